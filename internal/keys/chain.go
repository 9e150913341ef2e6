package keys

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"
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
	if n := c.countCertificates(); n > maxCertificates {
		return nil, tooMany(doing, file, n)
	}
	var certs []*x509.Certificate
	for _, b := range c.blocks {
		if !b.isCertificate() {
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
	for _, c := range certs {
		if !samePublicKey(public, c.PublicKey) {
			continue
		}
		if leaf == nil || leaf.IsCA && !c.IsCA || leaf.IsCA == c.IsCA && c.NotAfter.After(leaf.NotAfter) {
			leaf = c
		}
	}
	if leaf != nil {
		return leaf, nil
	}
	const most = 5
	var names []string
	for _, c := range certs[:min(len(certs), most)] {
		names = append(names, fmt.Sprintf("%s (%s)", subject(c), KeyName(c.PublicKey)))
	}
	if more := len(certs) - most; more > 0 {
		names = append(names, "and "+strconv.Itoa(more)+" more")
	}
	return nil, fmt.Errorf("no certificate for the private key (%s) found: the file holds %s", KeyName(public), strings.Join(names, ", "))
}

// Limits of a search for issuers. A bundle of all public CAs has about 150 certificates; a CA has a few with one name.
const (
	maxCertificates  = 2000
	maxVerifications = 128
	maxVerifiedRSA   = 8192 // bits: the time is in the square of the size, and a file of 1 MiB has room for 8 million

	maxVerifiedExponent = 1<<16 + 1 // which all CAs have, or a smaller one
)

func tooMany(doing, file string, n int) *Error {
	return fail(Unsupported, doing, file, "unsupported number of certificates: %d (supported: up to %d)", n, maxCertificates)
}

func (c *contents) countCertificates() int {
	n := 0
	for _, b := range c.blocks {
		if b.isCertificate() {
			n++
		}
	}
	return n
}

// issuers is a search among the certificates of a pool, with a bound on the signatures that it verifies.
type issuers struct {
	pool          []*x509.Certificate // each once
	verifications int
}

// orderChain returns the certificates above leaf, each after one that it issued, and those of the pool that are not
// among them. A CA that is cross-signed has several certificates with one subject and one key; all are kept, since
// only AWS knows which of them leads to the trust anchor.
func orderChain(leaf *x509.Certificate, pool []*x509.Certificate) (path, unused []*x509.Certificate, err error) {
	return (&issuers{}).order(leaf, pool)
}

func (s *issuers) order(leaf *x509.Certificate, pool []*x509.Certificate) (path, unused []*x509.Certificate, err error) {
	done := map[string]bool{string(leaf.Raw): true}
	for _, c := range pool {
		if !done[string(c.Raw)] {
			done[string(c.Raw)] = true
			s.pool = append(s.pool, c)
		}
	}
	// Breadth first. Once there are too many, the rest does not matter.
	inPath := map[*x509.Certificate]bool{}
	for next := []*x509.Certificate{leaf}; len(next) > 0 && len(path) <= maxIntermediates; next = next[1:] {
		found, err := s.of(next[0])
		if err != nil {
			return nil, nil, err
		}
		for _, c := range found {
			if !inPath[c] {
				inPath[c] = true
				path, next = append(path, c), append(next, c)
			}
		}
	}
	for _, c := range s.pool {
		if !inPath[c] && !selfIssued(c) {
			unused = append(unused, c)
		}
	}
	return path, unused, nil
}

// of returns the issuers of child but for roots, in the pool's order. What is cheap comes first: names, then key
// identifiers, then keys that were seen to verify the signature or not to.
func (s *issuers) of(child *x509.Certificate) ([]*x509.Certificate, error) {
	found := map[*x509.Certificate]bool{}
	wrong, right := map[string]bool{}, ""
	for _, sameID := range []bool{true, false} {
		for _, c := range s.pool {
			key := string(c.RawSubjectPublicKeyInfo)
			if c == child || sameID != fitsKeyID(c, child) || !sameID && !fitsName(c, child) || wrong[key] || right != "" && key != right {
				continue
			}
			verdict, err := s.verify(c, child)
			if err != nil {
				return nil, err
			}
			switch verdict {
			case otherKey:
				wrong[key] = true
				continue
			case notIssuer:
				continue
			case verified:
				right = key
			}
			root, err := s.isRoot(c)
			if err != nil {
				return nil, err
			}
			if !root {
				found[c] = true
			}
			if len(found) > maxIntermediates {
				break
			}
		}
	}
	var out []*x509.Certificate
	for _, c := range s.pool {
		if found[c] {
			out = append(out, c)
		}
	}
	return out, nil
}

// fitsName and fitsKeyID say which certificates may be an issuer (RFC 5280 §4.1.2.4 and §4.2.1.1). A name may be encoded
// in two ways, and a key identifier computed in two; both at once are not followed.
func fitsName(parent, child *x509.Certificate) bool {
	return bytes.Equal(parent.RawSubject, child.RawIssuer)
}

func fitsKeyID(parent, child *x509.Certificate) bool {
	if len(child.AuthorityKeyId) == 0 || len(parent.SubjectKeyId) == 0 {
		return fitsName(parent, child)
	}
	return bytes.Equal(parent.SubjectKeyId, child.AuthorityKeyId)
}

// selfIssued says by names, as is good enough for a certificate that is not used, whether c is a root.
func selfIssued(c *x509.Certificate) bool { return fitsName(c, c) && fitsKeyID(c, c) }

func (s *issuers) isRoot(c *x509.Certificate) (bool, error) {
	if !fitsName(c, c) {
		return false, nil
	}
	verdict, err := s.verify(c, c)
	return verdict == verified || verdict == unverifiable, err
}

type verdict int

const (
	notIssuer    verdict = iota // a certificate that may not issue
	otherKey                    // the signature is of another key
	unverifiable                // by an algorithm that crypto/x509 does not verify; names and identifiers fit
	verified
)

var errTooManyIssuers = fmt.Errorf("unsupported number of certificates that may be its issuers: more than %d were tried", maxVerifications)

// verify says whether parent's key signed child.
func (s *issuers) verify(parent, child *x509.Certificate) (verdict, error) {
	cost := 1
	if public, ok := parent.PublicKey.(*rsa.PublicKey); ok {
		if public.N.BitLen() > maxVerifiedRSA || public.E > maxVerifiedExponent {
			return otherKey, nil
		}
		if public.N.BitLen() > 4096 {
			cost = 4
		}
	}
	if s.verifications += cost; s.verifications > maxVerifications {
		return 0, errTooManyIssuers
	}
	err := child.CheckSignatureFrom(parent)
	_, insecure := errors.AsType[x509.InsecureAlgorithmError](err)
	_, constraint := errors.AsType[x509.ConstraintViolationError](err)
	switch {
	case err == nil:
		return verified, nil
	case constraint:
		return notIssuer, nil
	case insecure && fitsName(parent, child) && fitsKeyID(parent, child):
		return unverifiable, nil // SHA-1, which x509 does not verify: it still has its place, and Check will have its say
	case errors.Is(err, x509.ErrUnsupportedAlgorithm) && fitsName(parent, child) && len(child.AuthorityKeyId) > 0 && fitsKeyID(parent, child):
		return unverifiable, nil // ML-DSA
	}
	return otherKey, nil
}
