package sandbox

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"time"
)

// checkLeaf applies AWS's "trust-model", end-entity certificates: v3, not a CA, digitalSignature, SHA-256 or better; and the subject
// must not be empty, for it is the key of the Subject resource.
func checkLeaf(c *x509.Certificate, now time.Time) *Refusal {
	switch {
	case c.Version != 3:
		return denied(insufficient, "version %d certificate (want 3)", c.Version)
	case c.IsCA:
		return denied(insufficient, "a CA certificate as end entity")
	case c.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return denied(insufficient, "no keyUsage digitalSignature")
	case weakSignature(c.SignatureAlgorithm):
		return denied(insufficient, "certificate signed with %v (want SHA-256 or better)", c.SignatureAlgorithm)
	case len(c.Subject.Names) == 0:
		return denied(insufficient, "empty subject")
	case c.SerialNumber.Sign() <= 0 || len(c.SerialNumber.Bytes()) > 20: // RFC 5280 §4.1.2.2
		return denied(insufficient, "serial %v is not a positive number of at most 20 octets", c.SerialNumber)
	case now.Before(c.NotBefore):
		return denied("Untrusted certificate. Certificate is not yet valid", "certificate is valid from %s", c.NotBefore.Format(time.RFC3339))
	case now.After(c.NotAfter):
		return denied("Untrusted certificate. Certificate has expired", "certificate expired at %s", c.NotAfter.Format(time.RFC3339))
	}
	return nil
}

// weakSignature is every algorithm that is not known to be good.
func weakSignature(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519:
		return false
	}
	return true
}

// checkChain builds a chain from the leaf to a certificate of the anchor and looks every link up in the anchor's CRLs.
func (by *signedBy) checkChain(anchor *TrustAnchor, now time.Time) *Refusal {
	const untrusted = "Untrusted signing certificate"
	anchors, err := anchor.certificates()
	if err != nil {
		return denied(untrusted, "%v", err)
	}
	lists, err := anchor.revocationLists()
	if err != nil {
		return denied(untrusted, "%v", err)
	}
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, // AWS documents no rule about extended key usage
	}
	for _, c := range anchors {
		options.Roots.AddCert(c)
	}
	for _, c := range by.chain {
		options.Intermediates.AddCert(c)
	}
	chains, err := by.leaf.Verify(options)
	if err != nil {
		return denied(untrusted, "no chain from %q, issued by %q, over the %d certificates sent to anchor %q: %v",
			by.leaf.Subject, by.leaf.Issuer, len(by.chain), anchor.Name, err)
	}
	for _, chain := range chains {
		if err = checkRevoked(chain, lists); err == nil {
			return nil
		}
	}
	return denied("Untrusted certificate. Certificate has been revoked", "%v", err)
}

func checkRevoked(chain []*x509.Certificate, lists []*x509.RevocationList) error {
	for i, c := range chain[:len(chain)-1] {
		for _, list := range lists {
			if !bytes.Equal(list.RawIssuer, c.RawIssuer) || list.CheckSignatureFrom(chain[i+1]) != nil {
				continue
			}
			for _, entry := range list.RevokedCertificateEntries {
				if entry.SerialNumber.Cmp(c.SerialNumber) == 0 {
					return fmt.Errorf("certificate %q, serial %v, is on the CRL of %q", c.Subject, c.SerialNumber, c.Issuer)
				}
			}
		}
	}
	return nil
}
