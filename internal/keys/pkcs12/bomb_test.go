package pkcs12

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/eks-x509/eks-x509/internal/keys/pbe"
)

// No file may cost more than the limits, wherever it hides what it costs. The limits are those of the program unless a
// bomb needs to get near them.
func TestBombs(t *testing.T) {
	t.Parallel()
	const most = 1<<31 - 1
	block := make([]byte, 16)
	huge := new(big.Int).Lsh(big.NewInt(1), 200)
	cheap := pbes2(pbkdf2Of(must(salt), 1))
	inCheap := func(parts ...[]byte) []byte {
		part := encrypted(cheap, encrypt(t, seq(parts...), nil))
		return file(macOf(t, nil, part), part)
	}
	taggedSalt := tlv(asn1.ClassContextSpecific, 0, false, salt)
	pbe12 := func(salt []byte, n any) []byte { return seq(salt, must(n)) }
	nested := seq()
	for range 9 {
		nested = seq(bag(6, nested))
	}
	small := pbe.Limits{Iterations: 10_000, ScryptCost: 1 << 12}
	for name, c := range map[string]struct {
		file   []byte
		limits pbe.Limits
		want   string
	}{
		"MAC": {file: file(mac(algorithm(asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, nil), block, salt, most)),
			want: "unsupported encryption with 2147483647 iterations (supported: up to 10000000)"},
		"MAC of more than 64 bits": {file: file(mac(algorithm(asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, nil), block, salt, huge)),
			want: "unsupported encryption with a number of 201 bits of iterations"},
		"MAC of less than none": {file: file(mac(algorithm(asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, nil), block, salt, -1)),
			want: "malformed encryption: -1 iterations"},
		"MAC with a long salt": {file: file(mac(algorithm(asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, nil), block, make([]byte, 1<<19), 1)),
			want: "unsupported salt of 524288 bytes (supported: up to 1024)"},
		"PBMAC1": {file: file(mac(algorithm(idPBMAC1, seq(must(pbkdf2Of(must(salt), most, 32)), must(algorithm(idHMAC, nil)))), block, nil, 1)),
			want: "unsupported encryption with 2147483647 iterations"},
		"PBMAC1 with a long key": {file: file(mac(algorithm(idPBMAC1, seq(must(pbkdf2Of(must(salt), 1, most)), must(algorithm(idHMAC, nil)))), block, nil, 1)),
			want: "unsupported PBMAC1 key of another length than 20 to 64 bytes"},
		"PBMAC1 with a short key, which can be tried": {file: file(mac(algorithm(idPBMAC1, seq(must(pbkdf2Of(must(salt), 1, 1)), must(algorithm(idHMAC, nil)))), block, nil, 1)),
			want: "unsupported PBMAC1 key of another length"},
		"PBMAC1 without a length": {file: file(mac(algorithm(idPBMAC1, seq(must(pbkdf2Of(must(salt), 1)), must(algorithm(idHMAC, nil)))), block, nil, 1)),
			want: "unsupported PBMAC1 key of another length"},

		"encrypted data": {file: file(nil, encrypted(pbes2(pbkdf2Of(must(salt), most)), block)),
			want: "unsupported encryption with 2147483647 iterations"},
		"a context tag in PBKDF2's salt": {file: file(nil, encrypted(pbes2(pbkdf2Of(taggedSalt, most)), block)),
			want: "malformed PKCS#12 file: malformed PBKDF2 parameters: "},
		"a context tag in PKCS#12's salt": {file: file(nil, encrypted(algorithm(id3DES, pbe12(taggedSalt, most)), block)),
			want: "malformed PKCS#12 file: malformed encryption parameters: "},
		"PKCS#12's own": {file: file(nil, encrypted(algorithm(id3DES, pbe12(must(salt), most)), block)),
			want: "unsupported encryption with 2147483647 iterations"},
		"PKCS#12's own with a long salt": {file: file(nil, encrypted(algorithm(id3DES, pbe12(must(make([]byte, 1<<19)), 1)), block)),
			want: "unsupported salt of 524288 bytes"},
		"a key length of PBKDF2": {file: file(nil, encrypted(pbes2(pbkdf2Of(must(salt), 1, most)), block)),
			want: "malformed PKCS#12 file: malformed PBKDF2 parameters: 2147483647 bytes of key, 32 are needed"},
		"scrypt of much memory": {file: file(nil, encrypted(pbes2(scryptOf(1<<40, 8, 1)), block)),
			want: "unsupported scrypt cost N=1099511627776, r=8, p=1 (supported: N·r·p up to 2097152)"},
		"scrypt of much time": {file: file(nil, encrypted(pbes2(scryptOf(2, 1, 1<<30)), block)),
			want: "unsupported scrypt cost N=2, r=1, p=1073741824"},
		"scrypt that overflows": {file: file(nil, encrypted(pbes2(scryptOf(1<<62, 1<<62, 1<<62)), block)),
			want: "unsupported scrypt cost "},
		"a derivation that is an encryption": {file: file(nil, encrypted(pbes2(pbes2(pbkdf2Of(must(salt), most))), block)),
			want: "unsupported key derivation 1.2.840.113549.1.5.13"},

		"a key": {file: file(nil, data(seq(shrouded(pbes2(pbkdf2Of(must(salt), most)), block)))),
			want: "unsupported encryption with 2147483647 iterations"},
		"a key in cheap data": {file: inCheap(shrouded(pbes2(pbkdf2Of(must(salt), most)), block)),
			want: "unsupported encryption with 2147483647 iterations"},
		"PKCS#12's own in cheap data": {file: inCheap(shrouded(algorithm(id3DES, pbe12(must(salt), most)), block)),
			want: "unsupported encryption with 2147483647 iterations"},
		"scrypt in cheap data": {file: inCheap(shrouded(pbes2(scryptOf(1<<30, 8, 1)), block)),
			want: "unsupported scrypt cost N=1073741824, r=8, p=1"},
		"a key in bags in cheap data": {file: inCheap(bag(6, seq(bag(6, seq(shrouded(pbes2(pbkdf2Of(must(salt), most)), block)))))),
			want: "unsupported encryption with 2147483647 iterations"},

		"many keys, each below the limit": {limits: small,
			file: inCheap(bytes.Repeat(shrouded(cheap4000(), encrypt4000(t)), 30)),
			want: "unsupported encryption with 12002 iterations in all (supported: up to 10000 in a file)"},
		"many parts, each below the limit": {limits: small,
			file: file(nil, bytes.Repeat(encrypted(cheap4000(), encrypt4000(t)), 30)),
			want: "unsupported encryption with 12000 iterations in all (supported: up to 10000 in a file)"},

		"parts in parts":    {file: file(nil, data(nested)), want: "unsupported PKCS#12 file with parts that are nested more than 8 deep"},
		"very many parts":   {file: file(nil, data(seq(bytes.Repeat(bag(5, must(0)), 5000)))), want: "unsupported PKCS#12 file with more than 4000 parts"},
		"very many keys":    {file: file(nil, data(seq(bytes.Repeat(bag(1, must(0)), 40)))), want: "unsupported PKCS#12 file with more than 32 private keys"},
		"ASN.1 in ASN.1":    {file: deep(100), want: "malformed PKCS#12 file: malformed ASN.1: nested more than 32 deep"},
		"BER in BER":        {file: bytes.Repeat([]byte{0x30, 0x80}, 1<<19), want: "malformed PKCS#12 file: malformed ASN.1: nested more than 32 deep"},
		"strings of parts":  {file: bytes.Repeat([]byte{0x24, 0x80}, 1<<19), want: "malformed PKCS#12 file: malformed ASN.1: nested more than 32 deep"},
		"a length past all": {file: []byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff}, want: "malformed PKCS#12 file: malformed ASN.1: truncated"},
		"a length of 127 bytes": {file: append([]byte{0x30, 0xff}, bytes.Repeat([]byte{1}, 200)...),
			want: "malformed PKCS#12 file: malformed ASN.1: truncated"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := c.limits
			if limits.Iterations == 0 {
				limits = pbe.DefaultLimits()
			}
			done := make(chan error, 1)
			go func() {
				_, err := Open(c.file, func() ([]byte, error) { return []byte("x"), nil }, limits.Budget())
				done <- err
			}()
			select {
			case err := <-done:
				if err == nil || !strings.HasPrefix(err.Error(), c.want) {
					t.Errorf("got %v, want %s", err, c.want)
				}
				if strings.HasPrefix(c.want, "unsupported") && !errors.Is(err, pbe.ErrUnsupported) {
					t.Errorf("%v is not marked as unsupported", err)
				}
			case <-time.After(time.Minute): // some run for hours
				t.Fatal("still running")
			}
		})
	}
}

func deep(n int) []byte {
	der := seq()
	for range n {
		der = seq(der)
	}
	return der
}
