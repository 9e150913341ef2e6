package cli

import (
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/certs"
	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/keys"
	"github.com/eks-x509/eks-x509/internal/safefile"
	"github.com/eks-x509/eks-x509/internal/safetext"
	"github.com/eks-x509/eks-x509/internal/session"
	"github.com/eks-x509/eks-x509/internal/sessiontag"
	"github.com/eks-x509/eks-x509/internal/term"
)

func newCertCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Make, request, look at and renew certificates",
		Long: `Make a key and a certificate request, have it signed by AWS Private CA or by a
local CA for labs, look at what Roles Anywhere will make of a certificate, and
renew it before it ends.`,
		Example: "  eks-x509 cert show\n  eks-x509 cert needs-renewal || test $? -eq 1",
		Args:    cobra.ArbitraryArgs,
		RunE:    a.group,
	}
	if a.named("cert") {
		cmd.AddCommand(newCertNewCmd(a), newCertRequestCmd(a), newCertShowCmd(a), newCertNeedsRenewalCmd(a), newCertRenewCmd(a), newCertCACmd(a))
	}
	return cmd
}

// named says whether the command line may be of this command: what is below it,
// with all its flags, is not made for another.
func (a *app) named(command string) bool { return len(a.Args) == 0 || slices.Contains(a.Args, command) }

// subjectFlags are the names that a certificate is asked for.
type subjectFlags struct {
	commonName, country, state, locality string
	organization, unit                   []string
	dns, uris, emails, ips               []string
}

func addSubject(cmd *cobra.Command, f *subjectFlags) {
	cmd.Flags().StringVar(&f.commonName, "common-name", "", "common `NAME` (CN): of the person, machine or CA")
	cmd.Flags().StringArrayVar(&f.organization, "organization", nil, "`NAME` of the organization (O); may be repeated")
	cmd.Flags().StringArrayVar(&f.unit, "organizational-unit", nil, "`NAME` of the unit (OU); may be repeated")
	cmd.Flags().StringVar(&f.country, "country", "", "two-letter `CODE` of the country (C)")
	cmd.Flags().StringVar(&f.state, "state", "", "`NAME` of the state or province (ST)")
	cmd.Flags().StringVar(&f.locality, "locality", "", "`NAME` of the town (L)")
}

func addAlternativeNames(cmd *cobra.Command, f *subjectFlags) {
	cmd.Flags().StringArrayVar(&f.dns, "dns", nil, "DNS `NAME` as an alternative name; may be repeated")
	cmd.Flags().StringArrayVar(&f.uris, "uri", nil, "`URI` as an alternative name; may be repeated")
	cmd.Flags().StringArrayVar(&f.emails, "email", nil, "e-mail `ADDRESS` as an alternative name; may be repeated")
	cmd.Flags().StringArrayVar(&f.ips, "ip", nil, "IP `ADDRESS` as an alternative name; may be repeated")
}

func (f subjectFlags) request() (certs.Request, error) {
	one := func(s string) []string {
		if s == "" {
			return nil
		}
		return []string{s}
	}
	r := certs.Request{
		Subject: pkix.Name{CommonName: f.commonName, Organization: f.organization, OrganizationalUnit: f.unit,
			Country: one(f.country), Province: one(f.state), Locality: one(f.locality)},
		DNSNames: f.dns, EmailAddresses: f.emails,
	}
	for _, s := range f.uris {
		u, err := url.Parse(s)
		if err != nil || safetext.Line(s) != s {
			return r, misuse("invalid --uri %q", s)
		}
		r.URIs = append(r.URIs, u)
	}
	for _, s := range f.ips {
		ip := net.ParseIP(s)
		if ip == nil {
			return r, misuse("invalid --ip %q", s)
		}
		r.IPAddresses = append(r.IPAddresses, ip)
	}
	if err := r.Check(); err != nil {
		return r, &usageError{err}
	}
	return r, nil
}

func addKeyType(cmd *cobra.Command, kind *string) {
	cmd.Flags().StringVar(kind, "key-type", "p256", "type of the `KEY`: "+strings.Join(certs.KeyTypes(), ", "))
	addChoices(cmd, "key-type", certs.KeyTypes()...)
}

// days is a flag for a span of time: 90d, 36h, 1h30m, 900.
type days time.Duration

func (d *days) Set(s string) error {
	v, err := config.ParseDuration(s)
	if err == nil {
		*d = days(v)
	}
	return err
}

func (d *days) String() string {
	if *d == 0 {
		return "0" // which help does not show as a default
	}
	return config.FormatDuration(time.Duration(*d))
}

func (d *days) Type() string { return "SPAN" }

// required takes flags that a command can't do without.
func required(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		if f := cmd.Flags().Lookup(name); f.Value.String() == "" {
			return misuse("no --%s given", name)
		}
	}
	return nil
}

// newPassword is the one for a new key: from where an old one's would come, or
// asked for twice.
func (a *app) newPassword(ctx context.Context, c config.Config, file string) ([]byte, error) {
	ask := func(ctx context.Context, prompt string) ([]byte, error) {
		first, err := term.ReadPassword(ctx, prompt)
		if err != nil {
			return nil, err
		}
		again, err := term.ReadPassword(ctx, "Once more: ")
		if err == nil && string(first) != string(again) {
			err = errors.New("the two passwords differ")
		}
		return first, err
	}
	session.WarnPassword(c.Password, a.warn)
	password, err := session.PasswordSource(c.Password, nil, ask)(ctx, fmt.Sprintf("New password for %q: ", file))
	if err == nil && len(password) == 0 {
		err = errors.New("the password is empty")
	}
	if err != nil {
		return nil, &keys.Error{Reason: keys.PasswordNeeded, Doing: "making private key", File: file, Err: err}
	}
	return password, nil
}

func newCertNewCmd(a *app) *cobra.Command {
	var subject subjectFlags
	var kind, keyFile, csrFile string
	var encrypt bool
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Make a private key and a certificate request for it",
		Long: `Make a private key, for you alone (mode 0600), and a certificate request for it
(PKCS#10). The key never leaves this machine: the request is what a CA gets.
A file that is there is never overwritten.

The key is encrypted with --encrypt or --key-password-file.`,
		Example: `  eks-x509 cert new --private-key alice.key --csr alice.csr --common-name alice
  eks-x509 cert new --private-key host.key --common-name host.example.org \
      --organization Example --dns host.example.org --key-type rsa2048`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "private-key"); err != nil {
				return err
			}
			return a.certNew(cmd, subject, kind, keyFile, csrFile, encrypt)
		},
	}
	fileVar(cmd.Flags(), &keyFile, "private-key", "", "", "`FILE` to make, with the private key (PKCS#8, PEM)")
	fileVar(cmd.Flags(), &csrFile, "csr", "", "", "`FILE` to make, with the request; default: stdout")
	addKeyType(cmd, &kind)
	cmd.Flags().BoolVar(&encrypt, "encrypt", false, "encrypt the key by a password: from --key-password-file, the environment or the terminal")
	addSetting(cmd, "key-password-file")
	addSubject(cmd, &subject)
	addAlternativeNames(cmd, &subject)
	cmd.Flags().SortFlags = false
	return cmd
}

func (a *app) certNew(cmd *cobra.Command, subject subjectFlags, kind, keyFile, csrFile string, encrypt bool) error {
	request, err := subject.request()
	if err != nil {
		return err
	}
	files := []string{keyFile}
	if csrFile != "" {
		files = append(files, csrFile)
	}
	for _, file := range files {
		if err := absent(file); err != nil {
			return err
		}
	}
	a.warnOfName(subject.commonName, "the certificate")
	key, keyPEM, err := a.makeKey(cmd, kind, keyFile, encrypt)
	if err != nil {
		return err
	}
	csr, err := request.CSR(key)
	if err != nil {
		return err
	}
	if err := writeNew(keyFile, keyPEM, 0o600); err != nil {
		return err
	}
	if csrFile == "" {
		return a.out.document(csr)
	}
	if err := writeNew(csrFile, csr, 0o644); err != nil {
		return errors.Join(err, safefile.Remove(keyFile)) // nobody has the request that it is for
	}
	a.notice(fmt.Sprintf("made %s and %s; next: eks-x509 cert request --csr %[2]s", safetext.File(keyFile), safetext.File(csrFile)))
	return nil
}

// warnOfName warns of a common name that AWS sets no session tag from.
func (a *app) warnOfName(name, of string) {
	if err := sessiontag.Check(name); err != nil {
		a.warn(fmt.Sprintf("a role's trust policy can't name %s by its common name: %v", of, err))
	}
}

// makeKey gives a new key and its PEM.
func (a *app) makeKey(cmd *cobra.Command, kind, keyFile string, encrypt bool) (crypto.Signer, []byte, error) {
	key, err := certs.NewKey(kind)
	if err != nil {
		return nil, nil, &usageError{err}
	}
	flags := passwordFlags(cmd)
	encrypt = encrypt || flags["key-password-file"] != ""
	c, err := config.LoadKey(flags, a.Getenv)
	var password []byte
	switch {
	case encrypt && err != nil:
		return nil, nil, err
	case encrypt:
		if password, err = a.newPassword(cmd.Context(), c, keyFile); err != nil {
			return nil, nil, err
		}
	case err == nil && (c.Password.Inline != "" || c.Password.File != ""):
		a.warn("the private key is not encrypted: the password of the environment or the configuration is used with --encrypt only")
	}
	keyPEM, err := certs.EncodeKey(key, password)
	return key, keyPEM, err
}

// passwordFlags: of a command's flags with settings' names, those that mean the
// setting, and not a file that is to be made.
func passwordFlags(cmd *cobra.Command) map[string]string {
	flags := given(cmd)
	for name := range flags {
		if name != "key-password-file" {
			delete(flags, name)
		}
	}
	return flags
}

func newCertCACmd(a *app) *cobra.Command {
	var subject subjectFlags
	var kind, keyFile, certificateFile string
	var encrypt bool
	validity := days(10 * 365 * 24 * time.Hour)
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "Make a CA of files, for labs",
		Long: `Make a CA of two files, for labs and the sandbox: its key is only as safe as the
file, and it keeps no record of what it issues. For more, use AWS Private CA
(setup) or the CA that your company has.`,
		Example: "  eks-x509 cert ca --certificate lab-ca.pem --private-key lab-ca.key --common-name 'Lab CA'",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "certificate", "private-key"); err != nil {
				return err
			}
			request, err := subject.request()
			if err != nil {
				return err
			}
			for _, file := range []string{keyFile, certificateFile} {
				if err := absent(file); err != nil {
					return err
				}
			}
			return a.certCA(cmd, request, kind, keyFile, certificateFile, encrypt, time.Duration(validity))
		},
	}
	fileVar(cmd.Flags(), &certificateFile, "certificate", "", "", "`FILE` to make, with the CA's certificate")
	fileVar(cmd.Flags(), &keyFile, "private-key", "", "", "`FILE` to make, with the CA's private key")
	addKeyType(cmd, &kind)
	cmd.Flags().Var(&validity, "validity", "how long it lasts")
	cmd.Flags().BoolVar(&encrypt, "encrypt", false, "encrypt the key by a password: from --key-password-file, the environment or the terminal")
	addSetting(cmd, "key-password-file")
	addSubject(cmd, &subject)
	cmd.Flags().SortFlags = false
	return cmd
}

func (a *app) certCA(cmd *cobra.Command, request certs.Request, kind, keyFile, certificateFile string, encrypt bool, validity time.Duration) error {
	a.warnOfName(request.Subject.CommonName, "what the CA issues")
	key, keyPEM, err := a.makeKey(cmd, kind, keyFile, encrypt)
	if err != nil {
		return err
	}
	certificate, err := certs.NewCA(request, key, a.Now(), validity)
	if err != nil {
		return err
	}
	if err := writeNew(keyFile, keyPEM, 0o600); err != nil {
		return err
	}
	if err := writeNew(certificateFile, certs.PEM([]*x509.Certificate{certificate}), 0o644); err != nil {
		return errors.Join(err, safefile.Remove(keyFile))
	}
	a.notice(fmt.Sprintf("made the CA %s, for labs: whoever has %s can be anyone that it vouches for", safetext.File(certificateFile), safetext.File(keyFile)))
	return nil
}

// oneFile takes a file at most, as an argument.
func oneFile(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return misuse("too many arguments: one file is taken")
	}
	return nil
}

// configured is the certificate that the command is for: an argument, or that of
// the configuration.
func (a *app) configured(cmd *cobra.Command, args []string) (config.Config, error) {
	flags := given(cmd)
	c, err := config.LoadKey(flags, a.Getenv)
	if err != nil {
		return c, err
	}
	if len(args) > 0 {
		if err := config.CheckPath("FILE", args[0]); err != nil {
			return c, err
		}
		c.Certificate, c.PrivateKey, c.Intermediates = args[0], "", ""
	}
	if c.Certificate == "" {
		return c, misuse("no certificate given (nor EKS_X509_CERTIFICATE in the environment, nor certificate in the configuration)")
	}
	c.Certificate = filepath.Clean(c.Certificate)
	session.WarnPassword(c.Password, a.warn)
	a.warnUntrusted(c)
	return c, nil
}

func (a *app) keySource(c config.Config) keys.Source {
	return keys.Source{Certificate: c.Certificate, PrivateKey: c.PrivateKey, Intermediates: c.Intermediates,
		Password: session.PasswordSource(c.Password, nil, term.ReadPassword), Now: a.Now}
}
