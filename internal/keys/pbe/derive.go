package pbe

import (
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // PBKDF2's default, and sound in HMAC
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"fmt"
	"hash"
	"math/big"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/scrypt"
)

// Password is a password in both of the forms that key derivations take.
type Password struct {
	text []byte // as it was given: PBKDF2 and scrypt
	bmp  []byte // a BMPString that ends with a null character: PKCS#12
}

// NewPassword takes UTF-8. Other bytes are taken for Latin-1, and characters above U+FFFF for two, as by OpenSSL.
func NewPassword(text []byte) Password {
	var units []uint16
	if utf8.Valid(text) {
		units = utf16.Encode([]rune(string(text)))
	} else {
		for _, c := range text {
			units = append(units, uint16(c))
		}
	}
	p := Password{text: text, bmp: make([]byte, 0, 2*len(units)+2)}
	for _, u := range append(units, 0) {
		p.bmp = append(p.bmp, byte(u>>8), byte(u)) //nolint:gosec // both halves
	}
	clear(units)
	return p
}

// NoPassword is what some programs use for an empty password: not even the null character.
func NoPassword() Password { return Password{} }

// Clear overwrites the form that NewPassword made.
func (p Password) Clear() { clear(p.bmp) }

const oidPBKDF2 = "1.2.840.113549.1.5.12"

// PBKDF2 derives size bytes (RFC 8018 §5.2). If the parameters say how many, they must agree.
func PBKDF2(kdf pkix.AlgorithmIdentifier, password Password, size int, b *Budget) ([]byte, error) {
	if oid := kdf.Algorithm.String(); oid != oidPBKDF2 {
		return nil, Unsupported("key derivation %s (supported: PBKDF2)", oid)
	}
	// PBKDF2-params, RFC 8018 appendix A.2. The salt's other choice, an algorithm, was never given one.
	var params struct {
		Salt       []byte
		Iterations *big.Int
		KeySize    int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
	if err := Unmarshal(kdf.Parameters.FullBytes, &params); err != nil {
		return nil, fmt.Errorf("malformed PBKDF2 parameters: %w", err)
	}
	if params.KeySize != 0 && params.KeySize != size {
		return nil, fmt.Errorf("malformed PBKDF2 parameters: %d bytes of key, %d are needed", params.KeySize, size)
	}
	if err := checkSalt(params.Salt); err != nil {
		return nil, err
	}
	var prf func() hash.Hash
	if oid := params.PRF.Algorithm.String(); oid == "" {
		prf = sha1.New // the DEFAULT of the ASN.1, and what ACM exports
	} else if prf = HMACHash(oid); prf == nil {
		return nil, Unsupported("PBKDF2 function %s (supported: HMAC with SHA-1 and SHA-2)", oid)
	}
	n, err := b.iterate(params.Iterations, size, prf().Size())
	if err != nil {
		return nil, err
	}
	return pbkdf2.Key(prf, string(password.text), params.Salt, n, size)
}

// HMACHash returns the hash of an HMAC by its OID (RFC 8018 appendix B.1), nil if it is not supported.
func HMACHash(oid string) func() hash.Hash {
	switch oid {
	case "1.2.840.113549.2.7":
		return sha1.New
	case "1.2.840.113549.2.8":
		return sha256.New224
	case "1.2.840.113549.2.9":
		return sha256.New
	case "1.2.840.113549.2.10":
		return sha512.New384
	case "1.2.840.113549.2.11":
		return sha512.New
	}
	return nil
}

func deriveScrypt(der []byte, password Password, size int, b *Budget) ([]byte, error) {
	// scrypt-params, RFC 7914 §7.1.
	var params struct {
		Salt    []byte
		N, R, P int
		KeySize int `asn1:"optional"`
	}
	if err := Unmarshal(der, &params); err != nil {
		return nil, fmt.Errorf("malformed scrypt parameters: %w", err)
	}
	n, r, p := params.N, params.R, params.P
	if n < 2 || n&(n-1) != 0 || r < 1 || p < 1 || params.KeySize != 0 && params.KeySize != size {
		return nil, fmt.Errorf("malformed scrypt parameters: N=%d, r=%d, p=%d", n, r, p)
	}
	if err := checkSalt(params.Salt); err != nil {
		return nil, err
	}
	if err := b.scrypt(n, r, p); err != nil {
		return nil, err
	}
	return scrypt.Key(password.text, params.Salt, n, r, p, size)
}

// What PKCS12 derives: its diversifiers, RFC 7292 appendix B.3.
const (
	IDKey = 1
	idIV  = 2
	IDMAC = 3
)

// PKCS12 derives size bytes (RFC 7292 appendix B.2).
func PKCS12(newHash func() hash.Hash, salt []byte, iterations *big.Int, id byte, size int, password Password, b *Budget) ([]byte, error) {
	h := newHash()
	if err := checkSalt(salt); err != nil {
		return nil, err
	}
	n, err := b.iterate(iterations, size, h.Size())
	if err != nil {
		return nil, err
	}
	v := h.BlockSize()
	diversifier := make([]byte, v)
	for i := range diversifier {
		diversifier[i] = id
	}
	input := append(repeat(salt, v), repeat(password.bmp, v)...)
	defer clear(input)
	var out []byte
	for {
		h.Reset()
		h.Write(diversifier)
		h.Write(input)
		a := h.Sum(nil)
		for range n - 1 {
			h.Reset()
			h.Write(a)
			a = h.Sum(a[:0])
		}
		out = append(out, a...)
		if len(out) >= size {
			return out[:size], nil
		}
		addToBlocks(input, repeat(a, v)[:v])
	}
}

// repeat fills whole blocks of v bytes with copies of pattern.
func repeat(pattern []byte, v int) []byte {
	if len(pattern) == 0 {
		return nil
	}
	out := make([]byte, (len(pattern)+v-1)/v*v)
	for i := range out {
		out[i] = pattern[i%len(pattern)]
	}
	return out
}

// addToBlocks sets each block to itself + b + 1, as big-endian numbers without the carry.
func addToBlocks(blocks, b []byte) {
	for ; len(blocks) > 0; blocks = blocks[len(b):] {
		carry := 1
		for i := len(b) - 1; i >= 0; i-- {
			sum := int(blocks[i]) + int(b[i]) + carry
			blocks[i], carry = byte(sum), sum>>8 //nolint:gosec // the rest is the carry
		}
	}
}
