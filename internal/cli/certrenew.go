package cli

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/certs"
	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/keys"
	"github.com/eks-x509/eks-x509/internal/safefile"
	"github.com/eks-x509/eks-x509/internal/safetext"
)

func addBefore(cmd *cobra.Command, before *days) {
	cmd.Flags().Var(before, "before", "renewal is due when less than this is left; default: a third of the certificate's life")
}

// codedError is an error with an exit code that its command promises.
type codedError struct {
	err  error
	code int
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

func newCertNeedsRenewalCmd(a *app) *cobra.Command {
	var before days
	cmd := &cobra.Command{
		Use:   "needs-renewal [FILE]",
		Short: "Say by the exit code whether a certificate is due for renewal",
		Long: `Say whether a certificate, that of the configuration or of FILE, is due for
renewal. For timers, by the exit code: 0 it is, 1 it is not, 2 nobody can say.`,
		Example: "  eks-x509 cert needs-renewal --before 30d || test $? -eq 1",
		Args:    oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			due, err := a.needsRenewal(cmd, args, time.Duration(before))
			if err != nil {
				return &codedError{err, 2}
			}
			if !due {
				return exitStatus(1)
			}
			return nil
		},
	}
	addBefore(cmd, &before)
	addKeyFiles(cmd)
	return cmd
}

// addKeyFiles gives a command the settings that name the certificate.
func addKeyFiles(cmd *cobra.Command) {
	for _, name := range []string{"profile", "config", "certificate", "private-key", "intermediates", "key-password-file"} {
		addSetting(cmd, name)
	}
	cmd.Flags().SortFlags = false
}

func (a *app) needsRenewal(cmd *cobra.Command, args []string, before time.Duration) (bool, error) {
	c, err := a.configured(cmd, args)
	if err != nil {
		return false, err
	}
	key, err := keys.OpenCertificate(cmd.Context(), a.keySource(c))
	if err != nil {
		return false, err
	}
	leaf := key.Chain[0]
	due := certs.Due(leaf, a.Now(), before)
	verdict := map[bool]string{true: "due for renewal", false: "not due for renewal"}[due]
	err = a.out.print("%s: ends %s (%s), %s\n", certs.Name(leaf.RawSubject), leaf.NotAfter.UTC().Format(time.RFC3339), relative(leaf.NotAfter.Sub(a.Now())), verdict)
	return due, err
}

type renewFlags struct {
	ca      caFlags
	before  days
	newKey  bool
	keyType string
}

func newCertRenewCmd(a *app) *cobra.Command {
	var flags renewFlags
	cmd := &cobra.Command{
		Use:   "renew",
		Short: "Renew a certificate that is due",
		Long: `Renew the certificate of the configuration when it is due: the same names, signed
anew. With --new-key the key is new, too, and encrypted as the old one was.

Certificate and key are replaced so that a program which reads them meanwhile
finds the old pair or the new, and never one of each; so does one that reads
them after this command was killed. packaging/ has a systemd timer for it.`,
		Example: `  eks-x509 cert renew --ca-certificate lab-ca.pem --ca-private-key lab-ca.key
  eks-x509 cert renew --new-key --before 30d --ca-certificate lab-ca.pem \
      --ca-private-key lab-ca.key`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flags.ca.check(); err != nil {
				return err
			}
			return a.certRenew(cmd, flags)
		},
	}
	addBefore(cmd, &flags.before)
	cmd.Flags().BoolVar(&flags.newKey, "new-key", false, "make a new private key, too")
	addKeyType(cmd, &flags.keyType)
	addCA(cmd, &flags.ca)
	for _, name := range []string{"profile", "config", "certificate", "private-key", "intermediates"} {
		addSetting(cmd, name)
	}
	cmd.Flags().SortFlags = false
	return cmd
}

func (a *app) certRenew(cmd *cobra.Command, flags renewFlags) error {
	ctx := cmd.Context()
	c, err := a.configured(cmd, nil)
	if err != nil {
		return err
	}
	unlock, err := a.lockPair(ctx, c.Certificate)
	if err != nil {
		return err
	}
	defer unlock()
	source := a.keySource(c)
	source.Password = keys.AskOnce(source.Password) // for a new key, too
	old, err := keys.Open(ctx, source)
	if err != nil {
		return err
	}
	leaf := old.Chain[0]
	if !certs.Due(leaf, a.Now(), time.Duration(flags.before)) {
		a.notice(fmt.Sprintf("%s lasts until %s (%s) and is not due for renewal", safetext.File(c.Certificate), leaf.NotAfter.UTC().Format(time.RFC3339), relative(leaf.NotAfter.Sub(a.Now()))))
		return nil
	}
	// All that can fail here comes before the CA is asked, which may cost.
	if err := replaceable(c, flags.newKey); err != nil {
		return err
	}
	key, keyPEM := old.Signer, []byte(nil)
	if flags.newKey {
		if key, keyPEM, err = renewKey(ctx, keyFile(c), old.Encrypted, source, flags.keyType); err != nil {
			return err
		}
	}
	csrPEM, err := certs.OfCertificate(leaf).CSR(key)
	if err != nil {
		return &usageError{fmt.Errorf("renewing %q: %w", c.Certificate, err)}
	}
	csr, err := certs.ParseCSR(c.Certificate, csrPEM)
	if err != nil {
		return err
	}
	answer, err := a.issue(ctx, cmd, flags.ca, csr)
	if err != nil {
		return err
	}
	// What Roles Anywhere would refuse must not take the place of what it takes.
	renewed, err := keys.Issued(c.Certificate, answer, key.Public(), a.Now())
	if err == nil {
		err = certs.CheckRenewal(leaf, renewed.Chain[0], a.Now().Add(time.Duration(flags.ca.validity)), a.Now())
	}
	if err != nil {
		return fmt.Errorf("keeping the old certificate: %w", err)
	}
	for _, w := range append(renewed.Warnings, certs.RenewalWarnings(leaf, renewed.Chain[0])...) {
		a.warn(w)
	}
	if err := certs.Install(c.Certificate, c.PrivateKey, certs.PEM(renewed.Chain), certs.PEM(old.Chain), keyPEM); err != nil {
		return err
	}
	a.notice(fmt.Sprintf("renewed %s, valid until %s", safetext.File(c.Certificate), renewed.Chain[0].NotAfter.UTC().Format(time.RFC3339)))
	return nil
}

func keyFile(c config.Config) string {
	if c.PrivateKey != "" {
		return c.PrivateKey
	}
	return c.Certificate
}

// replaceable refuses files that can't be replaced without losing something: a
// private key is written as PEM, and one beside the certificate is kept only if it
// is the certificate's.
func replaceable(c config.Config, newKey bool) error {
	one := c.PrivateKey == "" || sameFile(c.PrivateKey, c.Certificate)
	if newKey || one {
		data, err := safefile.ReadExisting(keyFile(c), certs.MaxFileSize)
		if err != nil {
			return err
		}
		defer clear(data)
		if !certs.HasPrivateKey(data) {
			return fmt.Errorf("replacing %q: unsupported form of private key (supported: PEM)", keyFile(c))
		}
	}
	if one {
		return nil
	}
	data, err := safefile.ReadExisting(c.Certificate, certs.MaxFileSize)
	if err != nil {
		return err
	}
	defer clear(data)
	if keys.HoldsPrivateKey(data) {
		return fmt.Errorf("replacing %q: it holds a private key, too, which would be lost (supported: a file of certificates alone)", c.Certificate)
	}
	return nil
}

// renewKey makes a key as well protected as the old one, in that file, was.
func renewKey(ctx context.Context, file string, encrypted bool, source keys.Source, kind string) (crypto.Signer, []byte, error) {
	key, err := certs.NewKey(kind)
	if err != nil {
		return nil, nil, &usageError{err}
	}
	var password []byte
	if encrypted {
		if password, err = source.Password(ctx, keys.PasswordPrompt(file)); err != nil {
			return nil, nil, err
		}
		if len(password) == 0 {
			return nil, nil, fmt.Errorf("encrypting the new key for %q: the password is empty", file)
		}
	}
	keyPEM, err := certs.EncodeKey(key, password)
	return key, keyPEM, err
}

// lockPair keeps two renewals of one certificate apart.
func (a *app) lockPair(ctx context.Context, certificate string) (unlock func(), err error) {
	if _, err := os.Stat(certificate); errors.Is(err, fs.ErrNotExist) { // Target would make its folder
		return nil, &keys.Error{Reason: keys.NotFound, Doing: "opening certificate", File: certificate, Err: fs.ErrNotExist}
	}
	target, err := safefile.Target(certificate)
	if err != nil {
		return nil, err
	}
	dir, err := a.lockDir()
	if err != nil {
		return nil, err
	}
	lock, err := safefile.LockFor(ctx, target, dir, ".renew")
	if err != nil {
		return nil, err
	}
	return func() { _ = lock.Unlock() }, nil
}
