package keys

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func authorityNamed(name string) *x509.Certificate {
	c := template(name)
	c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
	return c
}

// However many certificates a file has, and whatever they are called, few signatures are verified, and the chain is the one
// that there is.
func TestOrderChainIsBounded(t *testing.T) {
	t.Parallel()
	const many = 400
	rootKey, caKey, leafKey := newKey(t), newKey(t), newKey(t)
	root := authorityNamed("root")
	ca := issue(t, authorityNamed("ca"), caKey, root, rootKey)
	leaf := issue(t, template("leaf"), leafKey, ca, caKey)
	filler := func(make func(i int) *x509.Certificate) []*x509.Certificate {
		pool := []*x509.Certificate{}
		for i := range many {
			pool = append(pool, make(i))
		}
		return append(pool, ca)
	}
	with := func(t2 *x509.Certificate, serial int, keyID []byte) *x509.Certificate {
		t2.SerialNumber, t2.SubjectKeyId = big.NewInt(int64(serial)+1000), keyID
		return t2
	}
	strangerKey := newKey(t)
	for name, c := range map[string]struct {
		pool []*x509.Certificate
		most int
		want string // the error, or else the path is [ca]
	}{
		"strangers": {filler(func(i int) *x509.Certificate {
			key := newKey(t)
			c := authorityNamed(fmt.Sprint("other ", i))
			return issue(t, c, key, nil, nil)
		}), 4, ""},
		"the issuer's name": {filler(func(i int) *x509.Certificate {
			key := newKey(t)
			return issue(t, with(authorityNamed("ca"), i, nil), key, nil, nil)
		}), 4, ""},
		"the issuer's name and key identifier, of one other key": {filler(func(i int) *x509.Certificate {
			return issue(t, with(authorityNamed("ca"), i, ca.SubjectKeyId), strangerKey, nil, nil)
		}), 4, ""},
		"the issuer's name and key identifier, of many keys": {filler(func(i int) *x509.Certificate {
			return issue(t, with(authorityNamed("ca"), i, ca.SubjectKeyId), newKey(t), root, rootKey)
		}), maxVerifications + 1, "unsupported number of certificates that may be its issuers: more than 128 were tried"},
		"clients with the issuer's name and key": {filler(func(i int) *x509.Certificate {
			return issue(t, with(template("ca"), i, ca.SubjectKeyId), caKey, root, rootKey)
		}), 4, ""},
	} {
		s := &issuers{now: noon}
		path, _, err := s.order(leaf, c.pool)
		if s.verifications > c.most {
			t.Errorf("%s: %d signatures were verified, want at most %d", name, s.verifications, c.most)
		}
		switch {
		case c.want != "":
			if err == nil || err.Error() != c.want {
				t.Errorf("%s: got %v, want %s", name, err, c.want)
			}
		case err != nil || len(path) != 1 || !path[0].Equal(ca):
			t.Errorf("%s: got %q, %v", name, names(path), err)
		}
	}
	// As many with the CA's key by the same issuer: one is enough.
	pool := filler(func(i int) *x509.Certificate {
		return issue(t, with(authorityNamed("ca"), i, ca.SubjectKeyId), caKey, root, rootKey)
	})
	s := &issuers{now: noon}
	if path, _, err := s.order(leaf, pool); err != nil || len(path) != 1 || s.verifications > 4 {
		t.Errorf("many certificates of the CA: %d in the path, %d verified, %v", len(path), s.verifications, err)
	}
}

// What is found does not depend on the order of the file.
func TestOrderChainFindsIssuersAnywhere(t *testing.T) {
	t.Parallel()
	rootKey, caKey, leafKey := newKey(t), newKey(t), newKey(t)
	root := issue(t, authorityNamed("root"), rootKey, nil, nil)
	ca := issue(t, authorityNamed("ca"), caKey, root, rootKey)
	again := authorityNamed("ca")
	again.SerialNumber, again.SubjectKeyId = big.NewInt(999), []byte("another way to compute it")
	crossed := issue(t, again, caKey, root, rootKey)
	leaf := issue(t, template("leaf"), leafKey, ca, caKey)
	impostor := issue(t, authorityNamed("ca"), newKey(t), root, rootKey)
	for _, pool := range [][]*x509.Certificate{{ca, crossed, impostor, root}, {impostor, root, ca, crossed}, {root, ca, impostor, crossed}} {
		path, unused, err := orderChain(leaf, pool, noon)
		if err != nil || len(path) != 2 || !path[0].Equal(ca) || !path[1].Equal(crossed) || len(unused) != 1 || !unused[0].Equal(impostor) {
			t.Errorf("got %q and %q left, %v", names(path), names(unused), err)
		}
	}
}

func TestOpenManyCertificates(t *testing.T) {
	t.Parallel()
	key, leafKey := newKey(t), newKey(t)
	leaf := issue(t, template("alice"), leafKey, authorityNamed("ca"), key)
	encode := func(c *x509.Certificate) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	base := append(encode(leaf), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
	var strangers [][]byte
	for i := range maxCertificates {
		strangers = append(strangers, encode(issue(t, template(fmt.Sprint("x", i)), key, authorityNamed("ca of x"), key)))
	}
	open := func(n int) (*Key, error) {
		data := append(bytes.Clone(base), bytes.Join(strangers[:n], nil)...)
		file := filepath.Join(t.TempDir(), "many.pem")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := Open(t.Context(), Source{Certificate: file})
		return k, err
	}
	k, err := open(1423)
	if err != nil {
		t.Fatal(err)
	}
	if len(k.Chain) != 1 || len(k.Warnings) != 1 || !strings.HasPrefix(k.Warnings[0], "leaving out 1423 certificates, such as CN=x0, serial ") {
		t.Errorf("got a chain of %d and warnings %q", len(k.Chain), k.Warnings)
	}
	if _, err := open(maxCertificates); err == nil || !strings.HasSuffix(err.Error(), ": unsupported number of certificates: 2001 (supported: up to 2000)") {
		t.Errorf("2001 certificates: %v", err)
	}
}

func TestOpenForeignPKCS12(t *testing.T) {
	t.Parallel()
	asked := &asker{answer: "changeit"}
	key, err := Open(t.Context(), source("foreign/ber.p12", "", "", asked))
	if err != nil {
		t.Fatal(err)
	}
	verify(t, key)

	// Two keys: which it is depends on the certificate that is asked for.
	_, err = Open(t.Context(), source("foreign/two-keys.p12", "", "", asked))
	wantError(t, err, SeveralKeys, `opening private key "foreign/two-keys.p12": 2 private keys found, one is needed: `+
		`CN=sandbox-client,OU=sandbox,O=eks-x509 (RSA 2048), CN=second (ECDSA P-256)`)
	both, err := OpenCertificate(t.Context(), source("foreign/two-keys.p12", "", "", asked))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "one.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: both.Chain[0].Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err = Open(t.Context(), source(file, "foreign/two-keys.p12", "", asked))
	if err != nil {
		t.Fatal(err)
	}
	if got := key.Chain[0].Subject.CommonName; got != "sandbox-client" {
		t.Errorf("got the key of %q", got)
	}
	verify(t, key)
	_, err = Open(t.Context(), source("ec256.pem", "foreign/two-keys.p12", "", asked))
	wantError(t, err, SeveralKeys, `opening private key "foreign/two-keys.p12": 2 private keys found, one is needed: `+
		`"1" (RSA 2048, no certificate), "second" (ECDSA P-256, no certificate)`)
}

// pkcs1 is an RSA private key whose numbers need not be any.
func pkcs1(n, e *big.Int) []byte {
	one := big.NewInt(1)
	der, err := asn1.Marshal(struct {
		Version                    int
		N, E, D, P, Q, Dp, Dq, Inv *big.Int
	}{0, n, e, one, one, one, one, one, one})
	if err != nil {
		panic(err)
	}
	return der
}

func TestRSABounds(t *testing.T) {
	t.Parallel()
	bits := func(n uint) *big.Int { return new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), n), big.NewInt(1)) }
	for _, c := range []struct {
		n, e *big.Int
		want string
	}{
		{bits(2047), big.NewInt(65537), "unsupported RSA 2047 key (supported: RSA of 2048 to 4096 bits"},
		{bits(4097), big.NewInt(65537), "unsupported RSA 4097 key (supported: RSA of 2048 to 4096 bits"},
		{bits(100_000), big.NewInt(65537), "unsupported RSA 100000 key "},
		{new(big.Int).Neg(bits(2048)), big.NewInt(65537), "unsupported RSA 2048 key "},
		{big.NewInt(0), big.NewInt(65537), "unsupported RSA 0 key "},
		{bits(2048), big.NewInt(3), "unsupported RSA 2048 key with exponent 3 (supported: RSA of 2048 to 4096 bits with an exponent of 65537 or more"},
		{bits(2048), big.NewInt(17), "unsupported RSA 2048 key with exponent 17 "},
		{bits(2048), big.NewInt(1), "unsupported RSA 2048 key with exponent 1 "},
		{bits(2048), big.NewInt(0), "unsupported RSA 2048 key with exponent 0 "},
		{bits(2048), big.NewInt(-65537), "unsupported RSA 2048 key with exponent -65537 "},
		{bits(2048), big.NewInt(65538), "unsupported RSA 2048 key with exponent 65538 "},
		{bits(2048), big.NewInt(1<<31 + 1), "unsupported RSA 2048 key with exponent 2147483649 "},
		{bits(2048), bits(2000), "unsupported RSA 2048 key with exponent of 2000 bits "},
	} {
		_, err := parsePrivateKey(pkcs1(c.n, c.e))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("PKCS#1: got %v, want %s", err, c.want)
		}
		wrapped, marshalErr := asn1.Marshal(struct {
			Version   int
			Algorithm struct{ OID asn1.ObjectIdentifier }
			Key       []byte
		}{0, struct{ OID asn1.ObjectIdentifier }{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}}, pkcs1(c.n, c.e)})
		if marshalErr != nil {
			t.Fatal(marshalErr)
		}
		if _, err := parsePrivateKey(wrapped); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("PKCS#8: got %v, want %s", err, c.want)
		}
		if !c.e.IsInt64() || c.n.Sign() <= 0 {
			continue
		}
		leaf := issueFor(t, template("alice"), &rsa.PublicKey{N: c.n, E: int(c.e.Int64())})
		if leaf == nil {
			continue // crypto/x509 makes no such certificate
		}
		if _, err := (&Key{Chain: []*x509.Certificate{leaf}}).Check(noon); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("certificate: got %v, want %s", err, c.want)
		}
	}
}

func issueFor(t *testing.T, c *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	ca := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, c, authorityNamed("ca"), public, ca)
	if err != nil {
		return nil
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	return out
}

// A CA with a key that takes long to verify with has no place in a chain.
func TestOrderChainLeavesOutHugeKeys(t *testing.T) {
	t.Parallel()
	leafKey, caKey := newKey(t), newKey(t)
	leaf := issue(t, template("leaf"), leafKey, authorityNamed("ca"), caKey)
	huge := issueFor(t, authorityNamed("ca"), &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 2_000_000, 1), E: 65537})
	if huge == nil {
		t.Fatal("not made")
	}
	slow := issueFor(t, authorityNamed("ca"), &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 4000, 1), E: 1<<31 - 1})
	if slow == nil {
		t.Fatal("not made")
	}
	s := &issuers{now: noon}
	path, _, err := s.order(leaf, []*x509.Certificate{huge, slow})
	if err != nil || len(path) != 0 || s.verifications != 0 {
		t.Errorf("got %q, %d verifications, %v", names(path), s.verifications, err)
	}
}

// Encryption is seen by what a block holds, not by its label, and a key says whether it was encrypted.
func TestEncryptedByContent(t *testing.T) {
	t.Parallel()
	read := func(file string) []byte {
		data, err := os.ReadFile(pki + file)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := pem.Decode(data)
		return b.Bytes
	}
	for _, label := range []string{"PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DER"} {
		for file, want := range map[string]bool{"ec256.sha256.enc.key": true, "ec256.pkcs8.key": false, "ec256.traditional.key": false} {
			data := read(file)
			if label != "DER" {
				data = pem.EncodeToMemory(&pem.Block{Type: label, Bytes: data})
			}
			path := filepath.Join(t.TempDir(), "client.key")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			asked := &asker{answer: password}
			k, err := Open(t.Context(), source("ec256.pem", path, "", asked))
			if err != nil {
				t.Errorf("%s as %s: %v", file, label, err)
				continue
			}
			if k.Encrypted != want || (len(asked.prompts) == 1) != want {
				t.Errorf("%s as %s: encrypted is %t, asked %q", file, label, k.Encrypted, asked.prompts)
			}
		}
	}
	if diff := cmp.Diff(true, block{label: "RSA PRIVATE KEY", legacyEncrypted: true}.encrypted()); diff != "" {
		t.Error("traditional encryption is not seen")
	}
}
