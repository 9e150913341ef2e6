package keys

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/keys/pbe"
	"github.com/eks-x509/eks-x509/internal/keys/pkcs12"
)

// namedSigner is a private key of a file with several.
type namedSigner struct {
	crypto.Signer
	name string
}

// openPKCS12 decrypts a PKCS#12 file: without a password if it goes, else with one.
func (o *opener) openPKCS12(doing string, c *contents) error {
	if c.signers != nil {
		return nil
	}
	var askErr error
	ask := func() (password []byte, err error) {
		c.encrypted = true
		password, askErr = o.password(doing, c.file)
		return password, askErr
	}
	opened, err := pkcs12.Open(c.pkcs12, ask, o.limits.Budget())
	switch {
	case askErr != nil:
		return askErr
	case err != nil:
		return asError(err, doing, c.file)
	}
	defer opened.Clear()

	const supported = "supported: private keys with their certificates, and a MAC if they are encrypted"
	switch {
	case len(opened.Keys) == 0:
		return asError(pbe.Unsupported("PKCS#12 file without a private key (%s)", supported), doing, c.file)
	case len(opened.Certificates) == 0:
		return asError(pbe.Unsupported("PKCS#12 file without a certificate (%s)", supported), doing, c.file)
	}
	if err := c.parseCertificates(doing, opened.Certificates); err != nil {
		return err
	}
	var signers []namedSigner
	for _, k := range opened.Keys {
		signer, err := parsePrivateKey(k.DER)
		if err != nil {
			return asError(err, openingKey, c.file)
		}
		signers = append(signers, namedSigner{signer, k.Name})
	}
	c.signers = signers
	return nil
}

// choose returns the key of a file that one of the certificates is for.
func choose(file string, signers []namedSigner, certs []*x509.Certificate, now time.Time) (crypto.Signer, error) {
	if len(signers) == 1 {
		return signers[0].Signer, nil
	}
	var chosen crypto.Signer
	var found []string
	several := false
	for _, s := range signers {
		name := strconv.Quote(s.name) + " (" + KeyName(s.Public()) + ", no certificate)"
		if leaf, err := findLeaf(certs, s.Public(), now); err == nil {
			name = fmt.Sprintf("%s (%s)", subject(leaf), KeyName(s.Public()))
			several = several || chosen != nil && !samePublicKey(chosen.Public(), s.Public())
			chosen = s.Signer
		}
		found = append(found, name)
	}
	if chosen == nil || several {
		return nil, fail(SeveralKeys, openingKey, file, "%d private keys found, one is needed: %s", len(signers), strings.Join(found, ", "))
	}
	return chosen, nil
}

func samePublicKey(a, b crypto.PublicKey) bool {
	own, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(b)
}
