package keys

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"
)

// What a CA answered is held against all that a session needs.
func TestIssued(t *testing.T) {
	t.Parallel()
	rootKey, caKey, key := newKey(t), newKey(t), newKey(t)
	root := issue(t, authorityNamed("root"), rootKey, nil, nil)
	ca := issue(t, authorityNamed("ca"), caKey, root, rootKey)
	leaf := func(change func(c *x509.Certificate)) *x509.Certificate {
		c := template("alice")
		change(c)
		return issue(t, c, key, ca, caKey)
	}
	good := leaf(func(*x509.Certificate) {})
	long := []*x509.Certificate{good, ca}
	parent, parentKey := authorityNamed("top"), newKey(t)
	for _, name := range []string{"p", "q", "r", "s", "t"} {
		next, nextKey := authorityNamed(name), newKey(t)
		issued := issue(t, next, nextKey, parent, parentKey)
		parent, parentKey = next, nextKey
		long = append(long, issued)
	}
	long[1] = issue(t, authorityNamed("ca"), caKey, parent, parentKey)
	for name, c := range map[string]struct {
		answer []*x509.Certificate
		reason Reason // 0: it is accepted
		chain  int
	}{
		"as it should be":       {[]*x509.Certificate{good, ca}, 0, 2},
		"with the root":         {[]*x509.Certificate{good, root, ca}, 0, 2},
		"of a root alone":       {[]*x509.Certificate{good}, 0, 1},
		"nothing":               {nil, NoCertificate, 0},
		"for another key":       {[]*x509.Certificate{issue(t, template("alice"), newKey(t), ca, caKey), ca}, KeyMismatch, 0},
		"of another key's CA":   {[]*x509.Certificate{ca, good}, KeyMismatch, 0},
		"a CA":                  {[]*x509.Certificate{leaf(func(c *x509.Certificate) { c.IsCA = true }), ca}, IsCA, 0},
		"no digitalSignature":   {[]*x509.Certificate{leaf(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }), ca}, NoDigitalSignature, 0},
		"without a subject":     {[]*x509.Certificate{leaf(func(c *x509.Certificate) { c.Subject.CommonName = "" }), ca}, EmptySubject, 0},
		"that begins tomorrow":  {[]*x509.Certificate{leaf(func(c *x509.Certificate) { c.NotBefore = noon.Add(24 * time.Hour) }), ca}, NotYetValid, 0},
		"that ended yesterday":  {[]*x509.Certificate{leaf(func(c *x509.Certificate) { c.NotAfter = noon.Add(-24 * time.Hour) }), ca}, Expired, 0},
		"signed with SHA-1":     {[]*x509.Certificate{leaf(func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }), ca}, WeakSignature, 0},
		"with too long a chain": {long, ChainTooLong, 0},
	} {
		k, err := Issued("alice.pem", c.answer, key.Public(), noon)
		if c.reason != 0 {
			if e, ok := errors.AsType[*Error](err); !ok || e.Reason != c.reason || e.File != "alice.pem" {
				t.Errorf("%s: got %v, want reason %d", name, err, c.reason)
			}
			continue
		}
		if err != nil || len(k.Chain) != c.chain || !k.Chain[0].Equal(good) {
			t.Errorf("%s: got %v, %v", name, k, err)
		}
	}
}
