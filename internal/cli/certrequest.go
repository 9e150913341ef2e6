package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/certs"
	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/keys"
	"github.com/eks-x509/eks-x509/internal/provision"
	"github.com/eks-x509/eks-x509/internal/safefile"
	"github.com/eks-x509/eks-x509/internal/safetext"
)

// caFlags say who signs.
type caFlags struct {
	certificate, key string
	arn, template    string
	validity         days
	admin            adminFlags
}

func addCA(cmd *cobra.Command, f *caFlags) {
	f.validity = days(365 * 24 * time.Hour)
	cmd.Flags().StringVar(&f.arn, "ca-arn", "", "`ARN` of a private CA of AWS Private CA")
	cmd.Flags().StringVar(&f.template, "template-arn", "", "`ARN` of Private CA's template; default: that for a client's certificate")
	fileVar(cmd.Flags(), &f.certificate, "ca-certificate", "", "", "`FILE` with the certificate of a local CA, and maybe those above it (see cert ca)")
	fileVar(cmd.Flags(), &f.key, "ca-private-key", "", "", "`FILE` with the local CA's private key")
	cmd.Flags().Var(&f.validity, "validity", "how long the certificate is to last; it never outlasts its CA, and a CA of short-lived certificates gives 7d by default")
	addAdmin(cmd, &f.admin)
	addSetting(cmd, "key-password-file")
}

func (f *caFlags) check() error {
	local := f.certificate != "" || f.key != ""
	switch {
	case f.arn == "" && (f.certificate == "" || f.key == ""):
		return misuse("no CA given: --ca-arn, or --ca-certificate with --ca-private-key")
	case f.arn != "" && local:
		return misuse("both --ca-arn and a local CA are given")
	case f.template != "" && local:
		return misuse("--template-arn is for AWS Private CA")
	case f.validity <= 0:
		return misuse("invalid --validity %s", &f.validity)
	}
	return nil
}

// issue has the CA sign a request, and returns the certificate and those above
// it.
func (a *app) issue(ctx context.Context, cmd *cobra.Command, f caFlags, csr *x509.CertificateRequest) ([]*x509.Certificate, error) {
	if f.arn != "" {
		_, asked := given(cmd)["validity"]
		return a.issuePrivately(ctx, f, csr, !asked)
	}
	c, err := config.LoadKey(passwordFlags(cmd), a.Getenv)
	if err != nil {
		return nil, err
	}
	c.Certificate, c.PrivateKey, c.Intermediates = f.certificate, f.key, ""
	key, err := keys.Open(ctx, a.keySource(c))
	if err != nil {
		return nil, err
	}
	for _, w := range key.Warnings {
		a.warn(w)
	}
	ca := certs.CA{Certificate: key.Chain[0], Signer: key.Signer, Chain: key.Chain[1:]}
	return ca.Issue(csr, a.Now(), time.Duration(f.validity))
}

// issuePrivately has AWS Private CA sign, with the administrator's credentials.
func (a *app) issuePrivately(ctx context.Context, f caFlags, csr *x509.CertificateRequest, byDefault bool) ([]*x509.Certificate, error) {
	if f.admin.region == "" {
		if parts := strings.Split(f.arn, ":"); len(parts) == 6 {
			f.admin.region = parts[3]
		}
	}
	client, err := a.adminClient(ctx, f.admin)
	if err != nil {
		return nil, err
	}
	a.notice("AWS charges for each certificate that a private CA issues (https://aws.amazon.com/private-ca/pricing/)")
	ca := provision.PrivateCA{Client: client, ARN: f.arn, Wait: wait}
	in := provision.Issuance{CSR: certs.CSRPEM(csr), Validity: time.Duration(f.validity), ByDefault: byDefault, Notice: a.notice, TemplateARN: f.template}
	leaf, above, err := ca.Issue(ctx, in, func(d time.Duration) {
		if d < time.Second {
			a.progress("waiting for the certificate")
			return
		}
		a.progress("waiting for the certificate, %s so far", d.Round(time.Second))
	})
	if err != nil {
		return nil, err
	}
	return certs.ParseChain(csr, leaf, above)
}

func newCertRequestCmd(a *app) *cobra.Command {
	var flags caFlags
	var csrFile, certificateFile string
	cmd := &cobra.Command{
		Use:   "request",
		Short: "Have a certificate request signed",
		Long: `Have a certificate request signed: by AWS Private CA, with your own AWS
credentials, or by a local CA (cert ca), for labs. The certificate is written with
those above it, but for the root. One that Roles Anywhere would refuse is not
written, and a request whose key can't sign for Roles Anywhere is not sent to the
CA. A file that is there is never overwritten: cert renew replaces one.

AWS charges for each certificate that a private CA issues.`,
		Example: `  eks-x509 cert request --csr alice.csr --certificate alice.pem --ca-arn arn:…
  eks-x509 cert request --csr alice.csr --certificate alice.pem \
      --ca-certificate lab-ca.pem --ca-private-key lab-ca.key --validity 90d`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "csr", "certificate"); err != nil {
				return err
			}
			if err := flags.check(); err != nil {
				return err
			}
			if err := absent(certificateFile); err != nil {
				return err
			}
			data, err := safefile.ReadExisting(csrFile, certs.MaxFileSize)
			if err != nil {
				return fmt.Errorf("opening certificate request %q: %w", csrFile, withoutPath(err))
			}
			csr, err := certs.ParseCSR(csrFile, data)
			if err != nil {
				return requestError(csrFile, err)
			}
			answer, err := a.issue(cmd.Context(), cmd, flags, csr)
			if err != nil {
				return err
			}
			key, err := keys.Issued(certificateFile, answer, csr.PublicKey, a.Now())
			if err != nil {
				return fmt.Errorf("no file was written: %w", err)
			}
			for _, w := range key.Warnings {
				a.warn(w)
			}
			if err := writeNew(certificateFile, certs.PEM(key.Chain), 0o644); err != nil {
				return err
			}
			a.notice(fmt.Sprintf("wrote %s, valid until %s", safetext.File(certificateFile), key.Chain[0].NotAfter.UTC().Format(time.RFC3339)))
			return nil
		},
	}
	fileVar(cmd.Flags(), &csrFile, "csr", "", "", "`FILE` with the request (PEM or DER)")
	fileVar(cmd.Flags(), &certificateFile, "certificate", "", "", "`FILE` to make, with the certificate and those above it")
	addCA(cmd, &flags)
	cmd.Flags().SortFlags = false
	return cmd
}

// requestError names the file of a request, unless err does.
func requestError(file string, err error) error {
	if _, ok := errors.AsType[*keys.Error](err); ok {
		return err
	}
	err = fmt.Errorf("reading %q: %w", file, err)
	if _, ok := errors.AsType[*certs.NameError](err); ok {
		return &usageError{err}
	}
	return err
}
