package pbe

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"
)

// Vectors of RFC 2268 §5 whose effective bits are those of the key.
func TestRC2(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ key, plain, cipher string }{
		{"ffffffffffffffff", "ffffffffffffffff", "278b27e42e2f0d49"},
		{"3000000000000000", "1000000000000001", "30649edf9be7d2c2"},
		{"88bca90e90875a7f0f79c384627bafb2", "0000000000000000", "2269552ab0f85ca6"},
	} {
		key, _ := hex.DecodeString(v.key)
		c, err := newRC2(key)
		if err != nil {
			t.Fatal(err)
		}
		plain, _ := hex.DecodeString(v.plain)
		got := make([]byte, 8)
		c.Encrypt(got, plain)
		if hex.EncodeToString(got) != v.cipher {
			t.Errorf("key %s: got %x, want %s", v.key, got, v.cipher)
		}
		c.Decrypt(got, got)
		if !bytes.Equal(got, plain) {
			t.Errorf("key %s: decrypted to %x, want %s", v.key, got, v.plain)
		}
	}
}

// The vectors that circulate with RFC 7292's function, of OpenSSL's and Bouncy Castle's tests.
func TestPKCS12Vectors(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		password, salt string
		iterations     int64
		id             byte
		want           string
	}{
		{"smeg", "0a58cf64530d823f", 1, IDKey, "8aaae6297b6cb04642ab5b077851284eb7128f1a2a7fbca3"},
		{"smeg", "0a58cf64530d823f", 1, idIV, "79993dfe048d3b76"},
		{"smeg", "3d83c0e4546ac140", 1, IDMAC, "8d967d88f6caa9d714800ab3d48051d63f73a312"},
		{"queeg", "1682c0fc5b3f7ec5", 1000, IDKey, "483dd6e919d7de2e8e648ba8f862f3fbfbdc2bcb2c02957f"},
	} {
		salt, _ := hex.DecodeString(v.salt)
		got, err := PKCS12(sha1.New, salt, big.NewInt(v.iterations), v.id, len(v.want)/2, NewPassword([]byte(v.password)), DefaultLimits().Budget())
		if err != nil || hex.EncodeToString(got) != v.want {
			t.Errorf("%s, %s: got %x, %v; want %s", v.password, v.salt, got, err, v.want)
		}
	}
}

func TestPasswordForms(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":           "0000",
		"é":          "00e90000",
		"\xe9":       "00e90000", // Latin-1, as OpenSSL takes what is not UTF-8
		"\U0001F511": "d83ddd110000",
	} {
		if got := hex.EncodeToString(NewPassword([]byte(text)).bmp); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

// What a file may cost is the sum of its derivations, each times the blocks of its output.
func TestBudgetIsASum(t *testing.T) {
	t.Parallel()
	b := Limits{Iterations: 1000, ScryptCost: 1 << 10}.Budget()
	if _, err := b.iterate(big.NewInt(400), 32, 32); err != nil {
		t.Fatal(err)
	}
	if _, err := b.iterate(big.NewInt(400), 32, 20); err == nil || !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "1200 iterations in all (supported: up to 1000 in a file)") {
		t.Errorf("two blocks of 400 after 400: %v", err)
	}
	if _, err := b.iterate(big.NewInt(600), 20, 20); err != nil {
		t.Errorf("what was refused was charged: %v", err)
	}
	if _, err := b.iterate(big.NewInt(1), 1, 20); err == nil {
		t.Error("1 after the last was accepted")
	}
	if err := b.scrypt(1<<5, 1<<4, 1); err != nil {
		t.Fatal(err)
	}
	if err := b.scrypt(1<<5, 1<<4, 1); err != nil {
		t.Fatal(err)
	}
	if err := b.scrypt(2, 1, 1); err == nil || !strings.Contains(err.Error(), "1026 in all") {
		t.Errorf("scrypt above the sum: %v", err)
	}
}

func TestCosts(t *testing.T) {
	t.Parallel()
	huge := new(big.Int).Lsh(big.NewInt(1), 1000)
	salt := []byte("12345678")
	for name, c := range map[string]struct {
		salt       []byte
		iterations *big.Int
		want       string
	}{
		"2^31-1":       {salt, big.NewInt(1<<31 - 1), "unsupported encryption with 2147483647 iterations (supported: up to 10000000)"},
		"1000 bits":    {salt, huge, "unsupported encryption with a number of 1001 bits of iterations"},
		"negative":     {salt, big.NewInt(-5), "malformed encryption: -5 iterations"},
		"very much so": {salt, new(big.Int).Neg(huge), "malformed encryption: a number of 1001 bits of iterations"},
		"none":         {salt, big.NewInt(0), "malformed encryption: 0 iterations"},
		"a long salt":  {make([]byte, 1<<20), big.NewInt(1), "unsupported salt of 1048576 bytes (supported: up to 1024)"},
	} {
		_, err := PKCS12(sha1.New, c.salt, c.iterations, IDKey, 24, NewPassword(nil), DefaultLimits().Budget())
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}
