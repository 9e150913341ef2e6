package keys

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxIntermediates is AWS: "authentication-sign-process", X-Amz-X509-Chain: a maximum depth of 5 certificates.
const maxIntermediates = 5

// certificates reads all certificates of a file, of which there must be one.
func (o *opener) certificates(doing, file string) ([]*x509.Certificate, error) {
	c, err := o.load(doing, file)
	if err != nil {
		return nil, err
	}
	if c.pkcs12 != nil {
		err = o.openPKCS12(doing, c)
		return c.certs, err
	}
	var certs []*x509.Certificate
	for _, b := range c.blocks {
		if b.label != "CERTIFICATE" && b.label != "X509 CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(b.der)
		if err != nil {
			return nil, fail(Malformed, doing, file, "malformed certificate (number %d in the file): %w", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, fail(NoCertificate, doing, file, "no certificate found (found %s)", c.found())
	}
	return certs, nil
}

// findLeaf finds the certificate of a key. If several are, which happens when a certificate was renewed with its old
// key and the file keeps both, it is the one that lasts longest.
func findLeaf(certs []*x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error) {
	var leaf *x509.Certificate
	var names []string
	for _, c := range certs {
		names = append(names, fmt.Sprintf("%s (%s)", subject(c), KeyName(c.PublicKey)))
		if own, ok := public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !own.Equal(c.PublicKey) {
			continue
		}
		if leaf == nil || leaf.IsCA && !c.IsCA || leaf.IsCA == c.IsCA && c.NotAfter.After(leaf.NotAfter) {
			leaf = c
		}
	}
	if leaf == nil {
		return nil, fmt.Errorf("no certificate for the private key (%s) found: the file holds %s", KeyName(public), strings.Join(names, ", "))
	}
	return leaf, nil
}

// orderChain returns the certificates above leaf, each after one that it issued, and those of the pool that are not
// among them. A CA that is cross-signed has several certificates with one subject and one key; all are kept, since
// only AWS knows which of them leads to the trust anchor.
func orderChain(leaf *x509.Certificate, pool []*x509.Certificate) (path, unused []*x509.Certificate) {
	for _, c := range pool {
		known := slices.ContainsFunc(unused, c.Equal)
		if !known && !c.Equal(leaf) && !issued(c, c) {
			unused = append(unused, c)
		}
	}
	// Breadth first. Once there are too many, the rest does not matter.
	for next := []*x509.Certificate{leaf}; len(next) > 0 && len(path) <= maxIntermediates; next = next[1:] {
		var rest []*x509.Certificate
		for _, c := range unused {
			if issued(c, next[0]) {
				path, next = append(path, c), append(next, c)
			} else {
				rest = append(rest, c)
			}
		}
		unused = rest
	}
	return path, unused
}

// issued says whether parent's key signed child, by name and signature.
func issued(parent, child *x509.Certificate) bool {
	if !bytes.Equal(parent.RawSubject, child.RawIssuer) {
		return false
	}
	err := child.CheckSignatureFrom(parent)
	if _, ok := errors.AsType[x509.InsecureAlgorithmError](err); ok {
		// Signed with SHA-1, which x509 does not verify. It still has its place; Check will have its say.
		return len(child.AuthorityKeyId) == 0 || bytes.Equal(parent.SubjectKeyId, child.AuthorityKeyId)
	}
	return err == nil
}
