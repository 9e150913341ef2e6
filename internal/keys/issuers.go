package keys

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Limits of a search for issuers. A bundle of all public CAs has about 150 certificates; a CA has a few with one name.
const (
	maxCertificates  = 2000
	maxVerifications = 128
	maxVerifiedRSA   = 8192 // bits: the time is in the square of the size, and a file of 1 MiB has room for 8 million

	maxVerifiedExponent = 1<<16 + 1 // which all CAs have, or a smaller one
)

var (
	errTooManyIssuers = fmt.Errorf("unsupported number of certificates that may be its issuers: more than %d were tried", maxVerifications)
	errChainTooLong   = fmt.Errorf("%d or more certificates above it found, at most %d are accepted", maxIntermediates+1, maxIntermediates)
)

// issuers is a search among the certificates of a pool, with a bound on the signatures that it verifies.
type issuers struct {
	now           time.Time
	pool          []*candidate // each once
	verifications int
}

// candidate is a certificate that may be an issuer. Equal numbers are equal names.
type candidate struct {
	*x509.Certificate
	subject, issuer int
}

// orderChain returns the certificates above leaf that are to be sent, each after one that it issued, and those of the pool that
// are not above it. A CA that is cross-signed has several certificates with one subject and one key; all are returned, since
// only AWS knows which of them leads to the trust anchor. Of an issuer's certificates that differ in their time alone, one that is
// not valid at the time now is left out if another is. If there are still more than AWS accepts, those of whole chains are
// returned: of valid certificates rather than of others, and of few.
func orderChain(leaf *x509.Certificate, pool []*x509.Certificate, now time.Time) (path, unused []*x509.Certificate, err error) {
	return (&issuers{now: now}).order(leaf, pool)
}

func (s *issuers) order(leaf *x509.Certificate, pool []*x509.Certificate) (path, unused []*x509.Certificate, err error) {
	names := nameNumbers{}
	known := map[string]bool{string(leaf.Raw): true}
	for _, c := range pool {
		if !known[string(c.Raw)] {
			known[string(c.Raw)] = true
			s.pool = append(s.pool, &candidate{c, names.of(c.RawSubject), names.of(c.RawIssuer)})
		}
	}
	t := &tree{issuers: s, depth: map[*candidate]int{}, spare: map[*candidate]bool{}}
	if err := t.grow(&candidate{leaf, names.of(leaf.RawSubject), names.of(leaf.RawIssuer)}); err != nil {
		return nil, nil, err
	}
	if path, err = t.choose(); err != nil {
		return nil, nil, err
	}
	for _, c := range s.pool {
		if t.depth[c] == 0 && !t.spare[c] && !selfIssued(c) {
			unused = append(unused, c.Certificate)
		}
	}
	return path, unused, nil
}

// tree is the chains above a leaf.
type tree struct {
	*issuers
	found []*candidate       // those that can be sent, each once
	depth map[*candidate]int // of the shortest chain to each
	tops  []*link            // whose chains are whole: no issuer is in the pool, but for a root
	spare map[*candidate]bool
	long  bool // there are chains that are longer than AWS accepts
}

// link is a certificate and the one that it issued, nil for the leaf.
type link struct {
	*candidate
	below          *link
	depth, invalid int // of the chain up to here
}

func (l *link) worse(o *link) bool {
	return l.invalid > o.invalid || l.invalid == o.invalid && l.depth > o.depth
}

func (l *link) isAbove(c *candidate) bool {
	return l != nil && (l.candidate == c || l.below.isAbove(c))
}

// grow finds what is above the leaf, the best chains first.
func (t *tree) grow(leaf *candidate) error {
	next := []*link{{candidate: leaf}}
	for len(next) > 0 && (len(t.found) <= maxIntermediates || len(t.tops) <= maxIntermediates) {
		best := 0
		for i := range next {
			if next[best].worse(next[i]) {
				best = i
			}
		}
		l := next[best]
		next = slices.Delete(next, best, best+1)
		found, err := t.of(l.candidate)
		if err != nil && len(t.tops) > 0 {
			return nil // what was found is good
		}
		if err != nil {
			return err
		}
		top := true
		for _, c := range t.useful(found) {
			top = top && l.isAbove(c)
			one := &link{candidate: c, below: l, depth: l.depth + 1, invalid: l.invalid}
			if one.depth > maxIntermediates {
				t.long, t.spare[c] = true, true
				continue
			}
			if before := t.depth[c]; before == 0 {
				t.found = append(t.found, c)
			} else if before <= one.depth { // by a chain that is better in all
				continue
			}
			if !isValid(c.Certificate, t.now) {
				one.invalid++
			}
			t.depth[c] = one.depth
			next = append(next, one)
		}
		if top {
			t.tops = append(t.tops, l)
		}
	}
	return nil
}

// useful leaves out what another certificate of the same key by the same issuer makes needless.
func (t *tree) useful(found []*candidate) []*candidate {
	type place struct {
		key    string
		issuer int
	}
	best := map[place]*candidate{}
	at := func(c *candidate) place { return place{string(c.RawSubjectPublicKeyInfo), c.issuer} }
	for _, c := range found {
		if b := best[at(c)]; b == nil || preferred(c.Certificate, b.Certificate, t.now) {
			best[at(c)] = c
		}
	}
	return slices.DeleteFunc(found, func(c *candidate) bool {
		b := best[at(c)]
		needless := c != b && (len(found) > maxIntermediates || isValid(b.Certificate, t.now) && !isValid(c.Certificate, t.now))
		if needless {
			t.spare[c] = true
		}
		return needless
	})
}

// choose returns what is to be sent.
func (t *tree) choose() ([]*x509.Certificate, error) {
	var path []*x509.Certificate
	if len(t.found) <= maxIntermediates && !t.long {
		for _, c := range t.found {
			path = append(path, c.Certificate)
		}
		return path, nil
	}
	if len(t.tops) == 0 {
		return nil, errChainTooLong
	}
	chosen := map[*candidate]bool{}
	for _, l := range t.tops {
		var more []*candidate
		for ; l.below != nil && !chosen[l.candidate]; l = l.below {
			more = append(more, l.candidate)
		}
		if len(chosen)+len(more) > maxIntermediates {
			continue
		}
		slices.Reverse(more)
		for _, c := range more {
			chosen[c] = true
			path = append(path, c.Certificate)
		}
	}
	return path, nil
}

// of returns the issuers of child but for roots, in the pool's order. What is cheap comes first: names, then key
// identifiers, then keys that were seen to verify the signature or not to.
func (s *issuers) of(child *candidate) ([]*candidate, error) {
	found := map[*candidate]bool{}
	wrong, right := map[string]bool{}, ""
	for _, sameID := range []bool{true, false} {
		for _, c := range s.pool {
			if c == child || sameID != fitsKeyID(c, child) || !sameID && !fitsName(c, child) || !mayIssue(c.Certificate) {
				continue
			}
			key := string(c.RawSubjectPublicKeyInfo)
			if wrong[key] || right != "" && key != right {
				continue
			}
			if key != right {
				verdict, err := s.verify(c, child)
				if err != nil {
					return nil, err
				}
				if verdict == otherKey {
					wrong[key] = true
					continue
				}
				if verdict == verified {
					right = key
				}
			}
			root, err := s.isRoot(c)
			if err != nil {
				return nil, err
			}
			if !root {
				found[c] = true
			}
		}
	}
	var out []*candidate
	for _, c := range s.pool {
		if found[c] {
			out = append(out, c)
		}
	}
	return out, nil
}

// fitsName and fitsKeyID say which certificates may be an issuer (RFC 5280 §4.1.2.4 and §4.2.1.1). A name may be encoded
// in two ways, and a key identifier computed in two.
func fitsName(parent, child *candidate) bool { return parent.subject == child.issuer }

func fitsKeyID(parent, child *candidate) bool {
	if len(child.AuthorityKeyId) == 0 || len(parent.SubjectKeyId) == 0 {
		return fitsName(parent, child)
	}
	return bytes.Equal(parent.SubjectKeyId, child.AuthorityKeyId)
}

// mayIssue says whether a certificate is a CA's, as CheckSignatureFrom of crypto/x509 does.
func mayIssue(c *x509.Certificate) bool {
	if c.Version == 3 && !c.BasicConstraintsValid || c.BasicConstraintsValid && !c.IsCA {
		return false
	}
	return c.KeyUsage == 0 || c.KeyUsage&x509.KeyUsageCertSign != 0
}

// selfIssued says by names, as is good enough for a certificate that is not used, whether c is a root.
func selfIssued(c *candidate) bool { return fitsName(c, c) && fitsKeyID(c, c) }

func (s *issuers) isRoot(c *candidate) (bool, error) {
	if !fitsName(c, c) {
		return false, nil
	}
	verdict, err := s.verify(c, c)
	return verdict == verified || verdict == unverifiable, err
}

type verdict int

const (
	otherKey     verdict = iota // the signature is of another key
	unverifiable                // by an algorithm that crypto/x509 does not verify; name, identifier and algorithm fit
	verified
)

// verify says whether parent's key signed child.
func (s *issuers) verify(parent, child *candidate) (verdict, error) {
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
	err := child.CheckSignatureFrom(parent.Certificate)
	_, insecure := errors.AsType[x509.InsecureAlgorithmError](err)
	switch {
	case err == nil:
		return verified, nil
	case !fitsName(parent, child) || !fitsKeyID(parent, child):
	case insecure:
		return unverifiable, nil // SHA-1, which x509 does not verify: it still has its place, and Check will have its say
	case errors.Is(err, x509.ErrUnsupportedAlgorithm) && (len(child.AuthorityKeyId) > 0 || signsWith(parent.Certificate, child.Certificate)):
		return unverifiable, nil // ML-DSA
	}
	return otherKey, nil
}

// signsWith says of algorithms that crypto/x509 does not know, such as ML-DSA (RFC 9881 §3), whether the parent's key is of the
// kind that the child was signed with: both have one identifier.
func signsWith(parent, child *x509.Certificate) bool {
	return signatureOID(child) == keyOID(parent.RawSubjectPublicKeyInfo)
}

// keyOID is the kind of a public key, "" if it can't be read.
func keyOID(der []byte) string {
	// SubjectPublicKeyInfo ::= SEQUENCE { algorithm AlgorithmIdentifier, subjectPublicKey BIT STRING }
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return ""
	}
	return info.Algorithm.Algorithm.String()
}
