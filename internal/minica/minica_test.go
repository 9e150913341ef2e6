package minica

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

func testRoot(t *testing.T, kind string) (*Pair, time.Time) {
	t.Helper()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	template := CA("test root")
	template.NotBefore, template.NotAfter = now.Add(-time.Hour), now.AddDate(1, 0, 0)
	key, err := GenerateKey(kind)
	if err != nil {
		t.Fatal(err)
	}
	root, err := NewRoot(template, key)
	if err != nil {
		t.Fatal(err)
	}
	return root, now
}

func issue(t *testing.T, issuer *Pair, template Template) *Pair {
	t.Helper()
	p, err := issuer.Issue(template, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestChainVerifies(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"rsa2048", "rsa3072", "p256", "p384", "p521", "ed25519"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			root, now := testRoot(t, kind)
			intermediate := issue(t, root, CA("test intermediate"))
			leaf := issue(t, intermediate, Leaf("leaf"))
			if len(intermediate.Chain) != 0 || len(leaf.Chain) != 1 || leaf.Chain[0] != intermediate.Certificate {
				t.Fatalf("chains of %d and %d certificates, want 0 and 1", len(intermediate.Chain), len(leaf.Chain))
			}
			options := x509.VerifyOptions{
				Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now,
				KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			}
			options.Roots.AddCert(root.Certificate)
			options.Intermediates.AddCert(leaf.Chain[0])
			if _, err := leaf.Certificate.Verify(options); err != nil {
				t.Error(err)
			}
			if bits := leaf.Certificate.SerialNumber.BitLen(); leaf.Certificate.SerialNumber.Sign() < 1 || bits < 128 || bits > 159 {
				t.Errorf("serial of %d bits", bits)
			}
		})
	}
	if _, err := GenerateKey("dsa"); err == nil || err.Error() != `generating key: unsupported kind "dsa"` {
		t.Errorf("GenerateKey(dsa): %v", err)
	}
}

func TestBadCertificates(t *testing.T) {
	t.Parallel()
	root, _ := testRoot(t, "rsa2048")
	for name, row := range map[string]struct {
		change func(*Template)
		is     func(*x509.Certificate) bool
	}{
		"SHA-1 signature": {
			func(t *Template) { t.SignatureAlgorithm = x509.SHA1WithRSA },
			func(c *x509.Certificate) bool { return c.SignatureAlgorithm == x509.SHA1WithRSA },
		},
		"version 1": {
			func(t *Template) { t.Version1 = true },
			func(c *x509.Certificate) bool {
				return c.Version == 1 && len(c.Extensions) == 0 && root.Certificate.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
			},
		},
		"no keyUsage":         {func(t *Template) { t.KeyUsage = 0 }, func(c *x509.Certificate) bool { return c.KeyUsage == 0 }},
		"a CA":                {func(t *Template) { t.IsCA = true }, func(c *x509.Certificate) bool { return c.IsCA }},
		"no basicConstraints": {func(t *Template) { t.NoBasicConstraints = true }, func(c *x509.Certificate) bool { return !c.BasicConstraintsValid }},
		"empty subject":       {func(t *Template) { t.Subject = pkix.Name{} }, func(c *x509.Certificate) bool { return len(c.Subject.Names) == 0 }},
		"chosen serial": {
			func(t *Template) { t.Serial = big.NewInt(7) },
			func(c *x509.Certificate) bool { return c.SerialNumber.Int64() == 7 },
		},
		"expired": {
			func(t *Template) { t.NotAfter = root.Certificate.NotBefore.Add(time.Minute) },
			func(c *x509.Certificate) bool { return c.NotAfter.Before(root.Certificate.NotAfter) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			template := Leaf("bad")
			row.change(&template)
			if leaf := issue(t, root, template); !row.is(leaf.Certificate) {
				t.Errorf("made a certificate without the wanted property: %+v", leaf.Certificate)
			}
		})
	}
}

func TestParseReadsWhatWasWritten(t *testing.T) {
	t.Parallel()
	root, _ := testRoot(t, "p256")
	intermediate := issue(t, root, CA("intermediate"))
	leaf := issue(t, intermediate, Leaf("leaf"))
	key, err := KeyPEM(leaf.Key)
	if err != nil {
		t.Fatal(err)
	}
	chain := CertificatePEM(append([]*x509.Certificate{leaf.Certificate}, leaf.Chain...)...)
	got, err := Parse(chain, key)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Certificate.Equal(leaf.Certificate) || len(got.Chain) != 1 || !got.Chain[0].Equal(intermediate.Certificate) {
		t.Error("another certificate came back")
	}
	if _, err := Parse(CertificatePEM(root.Certificate), key); err == nil || err.Error() != `key is not that of certificate "CN=test root"` {
		t.Errorf("foreign key: %v", err)
	}
	if _, err := Parse(nil, key); err == nil || err.Error() != "no PEM certificate with key found" {
		t.Errorf("no certificate: %v", err)
	}
}

func TestLegacyKeyPEM(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{"rsa2048": "RSA PRIVATE KEY", "p384": "EC PRIVATE KEY"} {
		key, err := GenerateKey(kind)
		if err != nil {
			t.Fatal(err)
		}
		data, err := LegacyKeyPEM(key)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		if block.Type != want {
			t.Errorf("%s: %s", kind, block.Type)
		}
		var parsed crypto.PrivateKey
		if kind == "rsa2048" {
			parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		} else {
			parsed, err = x509.ParseECPrivateKey(block.Bytes)
		}
		if err != nil || !parsed.(interface{ Equal(crypto.PrivateKey) bool }).Equal(key) {
			t.Errorf("%s: another key came back (%v)", kind, err)
		}
	}
}

func TestCRL(t *testing.T) {
	t.Parallel()
	root, now := testRoot(t, "p256")
	data, err := root.CRL([]*big.Int{big.NewInt(7)}, now)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	list, err := x509.ParseRevocationList(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := list.CheckSignatureFrom(root.Certificate); err != nil {
		t.Error(err)
	}
	if len(list.RevokedCertificateEntries) != 1 || list.RevokedCertificateEntries[0].SerialNumber.Int64() != 7 {
		t.Errorf("revoked: %v", list.RevokedCertificateEntries)
	}
}
