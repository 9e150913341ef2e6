package keys

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/eks-x509/eks-x509/internal/keys/pbe"
)

type pbes2 struct {
	Algorithm struct {
		OID    asn1.ObjectIdentifier
		Params struct{ KDF, Scheme pkix.AlgorithmIdentifier }
	}
	Data []byte
}

func raw(t *testing.T, v any) asn1.RawValue {
	t.Helper()
	der, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return asn1.RawValue{FullBytes: der}
}

func TestDecryptPKCS8RefusesParameters(t *testing.T) {
	t.Parallel()
	type kdf struct {
		Salt    []byte
		N, R, P int
	}
	type kdf2 struct {
		Salt       []byte
		Iterations int
		KeySize    int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
	salt := []byte("12345678")
	for _, test := range []struct {
		name   string
		file   string
		change func(*testing.T, *pbes2)
		want   string
	}{
		{"IV too short", "ec256.sha256.enc.key", func(t *testing.T, p *pbes2) { p.Algorithm.Params.Scheme.Parameters = raw(t, salt) },
			"malformed encrypted data: wrong length of IV or data"},
		{"IV is no bytes", "ec256.sha256.enc.key", func(t *testing.T, p *pbes2) { p.Algorithm.Params.Scheme.Parameters = asn1.NullRawValue },
			"malformed encryption parameters: "},
		{"no data", "ec256.sha256.enc.key", func(_ *testing.T, p *pbes2) { p.Data = nil },
			"malformed encrypted data: wrong length of IV or data"},
		{"data that is no whole block", "ec256.sha256.enc.key", func(_ *testing.T, p *pbes2) { p.Data = p.Data[1:] },
			"malformed encrypted data: wrong length of IV or data"},
		{"no iterations", "ec256.sha256.enc.key", func(t *testing.T, p *pbes2) { p.Algorithm.Params.KDF.Parameters = raw(t, kdf2{Salt: salt}) },
			"malformed encryption: 0 iterations"},
		{"iterations below zero", "ec256.sha256.enc.key", func(t *testing.T, p *pbes2) {
			p.Algorithm.Params.KDF.Parameters = raw(t, kdf2{Salt: salt, Iterations: -1})
		}, "malformed encryption: -1 iterations"},
		{"a key size that is not the cipher's", "ec256.sha256.enc.key", func(t *testing.T, p *pbes2) {
			p.Algorithm.Params.KDF.Parameters = raw(t, kdf2{Salt: salt, Iterations: 1, KeySize: 16})
		}, "malformed PBKDF2 parameters: 16 bytes of key, 32 are needed"},
		{"HMAC with MD5", "ec256.sha256.enc.key", func(t *testing.T, p *pbes2) {
			p.Algorithm.Params.KDF.Parameters = raw(t, kdf2{Salt: salt, Iterations: 1, PRF: pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 6}}})
		}, "unsupported PBKDF2 function 1.2.840.113549.2.6 (supported: HMAC with SHA-1 and SHA-2)"},
		{"an unknown derivation", "ec256.sha256.enc.key", func(_ *testing.T, p *pbes2) {
			p.Algorithm.Params.KDF.Algorithm = asn1.ObjectIdentifier{1, 2, 3}
		}, "unsupported key derivation 1.2.3 (supported: PBES2 with PBKDF2 or scrypt and AES-CBC or 3DES-CBC, and PKCS#12's with 3DES or RC2)"},
		{"scrypt in need of 512 MiB", "ec256.scrypt.enc.key", func(t *testing.T, p *pbes2) {
			p.Algorithm.Params.KDF.Parameters = raw(t, kdf{salt, 1 << 19, 8, 1})
		}, "unsupported scrypt cost N=524288, r=8, p=1 (supported: N·r·p up to 2097152)"},
		{"scrypt cost that overflows", "ec256.scrypt.enc.key", func(t *testing.T, p *pbes2) {
			p.Algorithm.Params.KDF.Parameters = raw(t, kdf{salt, 2, math.MaxInt32, math.MaxInt32})
		}, "unsupported scrypt cost N=2, r=2147483647, p=2147483647 (supported: N·r·p up to 2097152)"},
		{"scrypt N that is no power of 2", "ec256.scrypt.enc.key", func(t *testing.T, p *pbes2) {
			p.Algorithm.Params.KDF.Parameters = raw(t, kdf{salt, 1000, 8, 1})
		}, "malformed scrypt parameters: N=1000, r=8, p=1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(pki + test.file)
			if err != nil {
				t.Fatal(err)
			}
			block, _ := pem.Decode(text)
			var p pbes2
			if _, err := asn1.Unmarshal(block.Bytes, &p); err != nil {
				t.Fatal(err)
			}
			test.change(t, &p)
			_, err = decryptPKCS8(raw(t, p).FullBytes, []byte(password), pbe.DefaultLimits().Budget())
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
			if supported := !strings.HasPrefix(test.want, "unsupported"); errors.Is(err, pbe.ErrUnsupported) == supported {
				t.Errorf("%v is marked as unsupported: %t", err, supported)
			}
		})
	}
}

// Some wrong passwords leave a valid padding. None may pass for a key that is malformed.
func TestDecryptPKCS8KnowsWrongPasswords(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(pki + "ec256.sha256.enc.key")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	for i := range 2000 {
		_, err := decryptPKCS8(block.Bytes, []byte{byte(i), byte(i >> 8)}, pbe.DefaultLimits().Budget())
		if !errors.Is(err, pbe.ErrWrongPassword) {
			t.Fatalf("password %d: got %v, want %v", i, err, pbe.ErrWrongPassword)
		}
	}
}
