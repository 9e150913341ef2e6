package certs

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/minica"
)

// NewCA makes a self-signed CA, for labs: it keeps no record of what it issues.
func NewCA(r Request, key crypto.Signer, now time.Time, validity time.Duration) (*x509.Certificate, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	subject, err := r.subject()
	if err != nil {
		return nil, err
	}
	t := minica.CA("")
	t.Subject, t.RawSubject, t.NotBefore, t.NotAfter = r.Subject, subject, now.Add(-backdated), now.Add(validity)
	p, err := minica.NewRoot(t, key)
	if err != nil {
		return nil, err
	}
	return p.Certificate, nil
}

// backdated forgives clocks that are a little behind.
const backdated = time.Minute

// CA is a CA of files. Chain is what stands above Certificate, without the root.
type CA struct {
	Certificate *x509.Certificate
	Signer      crypto.Signer
	Chain       []*x509.Certificate
}

// Issue signs a request, for that long or as long as the CA itself lasts. The
// extensions are those that Roles Anywhere wants, whatever was asked for.
func (ca CA) Issue(csr *x509.CertificateRequest, now time.Time, validity time.Duration) ([]*x509.Certificate, error) {
	if c := ca.Certificate; !c.IsCA || c.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, fmt.Errorf("issuing certificate: %q is no CA (basicConstraints CA:TRUE and keyUsage keyCertSign are needed)", Name(c.RawSubject))
	}
	if !now.Before(ca.Certificate.NotAfter) {
		return nil, fmt.Errorf("issuing certificate: CA %q expired on %s", ca.Certificate.Subject, ca.Certificate.NotAfter.UTC().Format(time.RFC3339))
	}
	t := minica.Leaf("")
	t.Subject, t.RawSubject = csr.Subject, csr.RawSubject // as it was written, not as pkix would
	t.DNSNames, t.URIs, t.EmailAddresses, t.IPAddresses = csr.DNSNames, csr.URIs, csr.EmailAddresses, csr.IPAddresses
	if err := OfRequest(csr).checkText(); err != nil {
		return nil, fmt.Errorf("issuing certificate: %w", err)
	}
	t.NotBefore, t.NotAfter = now.Add(-backdated), now.Add(validity)
	if t.NotAfter.After(ca.Certificate.NotAfter) {
		t.NotAfter = ca.Certificate.NotAfter
	}
	issuer := minica.Pair{Certificate: ca.Certificate, Key: ca.Signer, Chain: ca.Chain}
	certificate, chain, err := issuer.Sign(t, csr.PublicKey)
	if err != nil {
		return nil, err
	}
	return append([]*x509.Certificate{certificate}, chain...), nil
}

// PEM joins certificates in their order.
func PEM(all []*x509.Certificate) []byte {
	var out []byte
	for _, c := range all {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

// ParseChain reads the certificate that a CA made of a request, and those above
// it, each in PEM. The root is left out: a trust anchor is AWS's to hold.
func ParseChain(csr *x509.CertificateRequest, leaf, above []byte) ([]*x509.Certificate, error) {
	const mostIssued = 20 // a path of more is refused anyway
	var all, roots []*x509.Certificate
	for _, data := range [][]byte{leaf, above} {
		for {
			var block *pem.Block
			if block, data = pem.Decode(data); block == nil {
				break
			}
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("malformed certificate from the CA: %w", err)
			}
			if len(all) == 0 || !bytes.Equal(c.RawIssuer, c.RawSubject) {
				all = append(all, c)
			} else {
				roots = append(roots, c)
			}
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no certificate found in the CA's answer")
	}
	if n := len(all) + len(roots); n > mostIssued {
		return nil, fmt.Errorf("malformed answer of the CA: %d certificates", n)
	}
	signed := func(parent *x509.Certificate) bool { return all[0].CheckSignatureFrom(parent) == nil }
	if issuers := append(all[1:len(all):len(all)], roots...); len(issuers) > 0 && !slices.ContainsFunc(issuers, signed) {
		return nil, errors.New("the CA's certificate is not signed by a CA of its own answer")
	}
	if wanted, ok := csr.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !wanted.Equal(all[0].PublicKey) {
		return nil, errors.New("the CA's certificate is for another key than the request")
	}
	return all, nil
}

// privateKeys are the PEM blocks of data that hold private keys, nil if none.
func privateKeys(data []byte) []byte {
	var out []byte
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return out
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			out = append(out, pem.EncodeToMemory(block)...)
		}
	}
}

// HasPrivateKey says whether data holds one in PEM.
func HasPrivateKey(data []byte) bool { return privateKeys(data) != nil }
