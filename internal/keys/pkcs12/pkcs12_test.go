package pkcs12

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	oracle "software.sslmate.com/src/go-pkcs12"

	"github.com/eks-x509/eks-x509/internal/keys/pbe"
)

const password = "open-sesame"

func open(t testing.TB, file []byte, password string) (*Contents, error) {
	t.Helper()
	return Open(file, func() ([]byte, error) { return []byte(password), nil }, pbe.DefaultLimits().Budget())
}

// All that OpenSSL wrote opens as another implementation opens it.
func TestFixturesAgainstOracle(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../testdata/pki/*.p12")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	opened := 0
	for _, name := range files {
		if strings.Contains(name, "costly") {
			continue // the oracle would take minutes
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, pass := range []string{password, "", "wrong"} {
			got, err := open(t, data, pass)
			key, leaf, above, wantErr := oracle.DecodeChain(data, pass)
			if wantErr != nil {
				continue // it knows less: files without one key and certificate, without a MAC, without a password where none is needed
			}
			if err != nil {
				t.Errorf("%s, password %q: %v", name, pass, err)
				continue
			}
			opened++
			same(t, name, got, key, append([]*x509.Certificate{leaf}, above...))
		}
		if _, err := open(t, data, "wrong"); err != nil && !errors.Is(err, pbe.ErrWrongPassword) && !errors.Is(err, pbe.ErrUnsupported) {
			t.Errorf("%s, wrong password: %v", name, err)
		}
	}
	if opened < 8 {
		t.Errorf("%d files were compared", opened)
	}
}

func same(t *testing.T, name string, got *Contents, key any, certs []*x509.Certificate) {
	t.Helper()
	if len(got.Keys) != 1 || len(got.Certificates) != len(certs) {
		t.Errorf("%s: got %d keys and %d certificates, want 1 and %d", name, len(got.Keys), len(got.Certificates), len(certs))
		return
	}
	mine, err := x509.ParsePKCS8PrivateKey(got.Keys[0].DER)
	if own, ok := key.(interface{ Equal(x any) bool }); err != nil || ok && !own.Equal(mine) {
		t.Errorf("%s: another key (%v)", name, err)
	}
	for i, c := range certs {
		if !bytes.Equal(c.Raw, got.Certificates[i]) {
			t.Errorf("%s: certificate %d differs", name, i)
		}
	}
}

func newPair(t testing.TB) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "alice"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return key, c
}

// What other programs write, as the oracle imitates them, under passwords that take one block of the derivation and several.
func TestEncodersAgainstOracle(t *testing.T) {
	t.Parallel()
	key, cert := newPair(t)
	for name, e := range map[string]*oracle.Encoder{
		"RC2": oracle.LegacyRC2, "3DES": oracle.LegacyDES, "AES": oracle.Modern2023, "PBMAC1": oracle.Modern2026, "Java": oracle.Modern2023.WithIterations(10_000),
		"NSS": oracle.Modern2023.WithIterations(600_000),
	} {
		for _, pass := range []string{"", "x", "pass word ü 漢", strings.Repeat("long", 40)} {
			if name == "NSS" && pass != "x" {
				continue // it takes a second
			}
			data, err := e.Encode(key, cert, []*x509.Certificate{cert}, pass)
			if err != nil {
				t.Fatal(err)
			}
			got, err := open(t, data, pass)
			if err != nil {
				t.Errorf("%s, password %q: %v", name, pass, err)
				continue
			}
			same(t, name, got, key, []*x509.Certificate{cert, cert})
			if pass == "" {
				continue
			}
			if _, err := open(t, data, "wrong"); !errors.Is(err, pbe.ErrWrongPassword) {
				t.Errorf("%s: a wrong password: %v", name, err)
			}
		}
	}
}

// A file in BER: indefinite lengths, strings in pieces, lengths in more bytes than they need.
func TestBER(t *testing.T) {
	t.Parallel()
	key, cert := newPair(t)
	data, err := oracle.Modern2023.Encode(key, cert, nil, password)
	if err != nil {
		t.Fatal(err)
	}
	for name, convert := range map[string]func([]byte) []byte{"indefinite": indefinite, "long lengths": longLengths} {
		ber := convert(data)
		if bytes.Equal(ber, data) {
			t.Fatalf("%s: nothing was converted", name)
		}
		der, err := ToDER(ber)
		if err != nil || !bytes.Equal(der, data) {
			t.Errorf("%s: converted to other bytes (%v)", name, err)
		}
		got, err := open(t, ber, password)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		same(t, name, got, key, []*x509.Certificate{cert})
	}

	// [0] IMPLICIT OCTET STRING in pieces, and bags within that are BER, too.
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certBag := bag(3, seq(must(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}), tag0(must(cert.Raw))))
	ciphertext := encrypt(t, indefinite(seq(bag(1, pkcs8), certBag)), nil)
	info := seq(must(idData), must(pbes2(pbkdf2Of(must(salt), 1))), tag0(must(ciphertext[:100]), must(ciphertext[100:])))
	part := seq(must(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}), tag0(seq(must(0), info)))
	got, err := open(t, indefinite(file(macOf(t, nil, part), part)), "")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "pieces", got, key, []*x509.Certificate{cert})
}

// indefinite rewrites DER with indefinite lengths, and octet strings in pieces of 100 bytes.
func indefinite(der []byte) []byte {
	var out []byte
	for len(der) > 0 {
		var e asn1.RawValue
		rest, err := asn1.Unmarshal(der, &e)
		if err != nil {
			panic(err)
		}
		switch der = rest; {
		case e.IsCompound:
			out = append(out, e.FullBytes[0], 0x80)
			out = append(append(out, indefinite(e.Bytes)...), 0, 0)
		case e.Class == asn1.ClassUniversal && e.Tag == asn1.TagOctetString && len(e.Bytes) > 100:
			out = append(out, 0x24, 0x80)
			out = append(out, must(e.Bytes[:100])...)
			out = append(append(out, must(e.Bytes[100:])...), 0, 0)
		default:
			out = append(out, e.FullBytes...)
		}
	}
	return out
}

func longLengths(der []byte) []byte {
	var out []byte
	for len(der) > 0 {
		var e asn1.RawValue
		rest, err := asn1.Unmarshal(der, &e)
		if err != nil {
			panic(err)
		}
		der = rest
		content := e.Bytes
		if e.IsCompound {
			content = longLengths(content)
		}
		n := len(content)
		out = append(out, e.FullBytes[0], 0x84, 0, byte(n>>16), byte(n>>8), byte(n))
		out = append(out, content...)
	}
	return out
}

func TestKeysHaveNames(t *testing.T) {
	t.Parallel()
	name := seq(must(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 20}),
		tlv(asn1.ClassUniversal, asn1.TagSet, true, tlv(asn1.ClassUniversal, asn1.TagBMPString, false, []byte{0, 'a', 0, 0xe9})))
	key := seq(must(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}), tag0(seq()), tlv(asn1.ClassUniversal, asn1.TagSet, true, name))
	got, err := open(t, file(nil, data(seq(key, bag(1, seq())))), "")
	if err != nil || len(got.Keys) != 2 || got.Keys[0].Name != "aé" || got.Keys[1].Name != "" {
		t.Errorf("got %+v, %v", got, err)
	}
}
