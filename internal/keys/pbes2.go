package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" //nolint:gosec // what old keys are encrypted with
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // PBKDF2's default, and sound in HMAC
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/scrypt"
)

// limits keep a file from costing minutes or gigabytes before its password can be known to be wrong.
type limits struct {
	iterations int // of PBKDF2 and of PKCS#12's own function; OpenSSL writes 2048, OWASP asks for 600 000
	scryptCost int // N·r·p; 128 bytes each, so that it bounds memory and time; OpenSSL writes 2^17
}

func defaultLimits() limits {
	return limits{iterations: 10_000_000, scryptCost: 256 << 20 / 128}
}

func (l limits) checkIterations(n int) error {
	if n < 1 {
		return fmt.Errorf("malformed encryption: %d iterations", n)
	}
	if n > l.iterations {
		return unsupported("encryption with %d iterations (supported: up to %d)", n, l.iterations)
	}
	return nil
}

const supportedEncryption = "supported: PBES2 with PBKDF2 or scrypt, and AES-CBC or 3DES-CBC"

// decryptPKCS8 opens an EncryptedPrivateKeyInfo (RFC 5958 §3) that is encrypted by PBES2 (RFC 8018 §6.2). There are
// libraries for it, but the one that is best known panics on a bad IV, sets no bound on the cost of a password, and
// does not know SHA-384 and SHA-512; with the primitives at hand, this is shorter than what would guard it.
func decryptPKCS8(der, password []byte, limits limits) ([]byte, error) {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, fmt.Errorf("malformed encrypted private key: %w", err)
	}
	if oid := info.Algorithm.Algorithm.String(); oid != "1.2.840.113549.1.5.13" { // id-PBES2, RFC 8018 appendix A.4
		return nil, unsupported("encryption %s (%s)", oid, supportedEncryption)
	}
	// PBES2-params ::= SEQUENCE { keyDerivationFunc AlgorithmIdentifier, encryptionScheme AlgorithmIdentifier }
	var params struct{ KDF, Scheme pkix.AlgorithmIdentifier }
	if _, err := asn1.Unmarshal(info.Algorithm.Parameters.FullBytes, &params); err != nil {
		return nil, fmt.Errorf("malformed encryption parameters: %w", err)
	}
	newCipher, keySize, err := pbes2Cipher(params.Scheme.Algorithm)
	if err != nil {
		return nil, err
	}
	var iv []byte
	if _, err := asn1.Unmarshal(params.Scheme.Parameters.FullBytes, &iv); err != nil {
		return nil, fmt.Errorf("malformed encryption parameters: %w", err)
	}

	key, err := deriveKey(params.KDF, password, keySize, limits)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	b, err := newCipher(key)
	if err != nil {
		return nil, err
	}
	size := b.BlockSize()
	if len(iv) != size || len(info.Data) == 0 || len(info.Data)%size != 0 {
		return nil, errors.New("malformed encrypted private key: wrong length of IV or data")
	}
	plain := make([]byte, len(info.Data))
	cipher.NewCBCDecrypter(b, iv).CryptBlocks(plain, info.Data)

	plain, ok := unpad(plain, size)
	// There is no MAC: a wrong password shows by its padding, and in 1 of 256 cases not before the bytes behind it.
	if !ok || classify(plain) == "" {
		clear(plain)
		return nil, errWrongPassword
	}
	return plain, nil
}

// unpad takes off the padding of RFC 8018 §6.1.1, step 4.
func unpad(plain []byte, blockSize int) ([]byte, bool) {
	n := int(plain[len(plain)-1])
	if n == 0 || n > blockSize {
		return plain, false
	}
	for _, b := range plain[len(plain)-n:] {
		if int(b) != n {
			return plain, false
		}
	}
	return plain[:len(plain)-n], true
}

func pbes2Cipher(oid asn1.ObjectIdentifier) (newCipher func([]byte) (cipher.Block, error), keySize int, err error) {
	switch oid.String() {
	case "2.16.840.1.101.3.4.1.2": // aes128-CBC-PAD, RFC 8018 appendix B.2.5
		return aes.NewCipher, 16, nil
	case "2.16.840.1.101.3.4.1.22":
		return aes.NewCipher, 24, nil
	case "2.16.840.1.101.3.4.1.42":
		return aes.NewCipher, 32, nil
	case "1.2.840.113549.3.7": // des-EDE3-CBC, RFC 8018 appendix B.2.2
		return des.NewTripleDESCipher, 24, nil
	}
	return nil, 0, unsupported("cipher %s (%s)", oid, supportedEncryption)
}

func deriveKey(kdf pkix.AlgorithmIdentifier, password []byte, keySize int, limits limits) ([]byte, error) {
	switch oid := kdf.Algorithm.String(); oid {
	case "1.2.840.113549.1.5.12": // id-PBKDF2
		return derivePBKDF2(kdf.Parameters.FullBytes, password, keySize, limits)
	case "1.3.6.1.4.1.11591.4.11": // id-scrypt, RFC 7914 §7
		return deriveScrypt(kdf.Parameters.FullBytes, password, keySize, limits)
	default:
		return nil, unsupported("key derivation %s (%s)", oid, supportedEncryption)
	}
}

func derivePBKDF2(der, password []byte, keySize int, limits limits) ([]byte, error) {
	// PBKDF2-params, RFC 8018 appendix A.2. The salt's other choice, an algorithm, was never given one.
	var params struct {
		Salt       []byte
		Iterations int
		KeySize    int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(der, &params); err != nil {
		return nil, fmt.Errorf("malformed PBKDF2 parameters: %w", err)
	}
	if err := limits.checkIterations(params.Iterations); err != nil {
		return nil, err
	}
	if params.KeySize != 0 && params.KeySize != keySize {
		return nil, fmt.Errorf("malformed PBKDF2 parameters: %d bytes of key for a cipher that takes %d", params.KeySize, keySize)
	}
	var prf func() hash.Hash
	switch oid := params.PRF.Algorithm.String(); oid { // RFC 8018 appendix B.1
	case "", "1.2.840.113549.2.7":
		prf = sha1.New // the DEFAULT of the ASN.1, and what ACM exports
	case "1.2.840.113549.2.8":
		prf = sha256.New224
	case "1.2.840.113549.2.9":
		prf = sha256.New
	case "1.2.840.113549.2.10":
		prf = sha512.New384
	case "1.2.840.113549.2.11":
		prf = sha512.New
	default:
		return nil, unsupported("PBKDF2 function %s (supported: HMAC with SHA-1 and SHA-2)", oid)
	}
	return pbkdf2.Key(prf, string(password), params.Salt, params.Iterations, keySize)
}

func deriveScrypt(der, password []byte, keySize int, limits limits) ([]byte, error) {
	// scrypt-params, RFC 7914 §7.1.
	var params struct {
		Salt    []byte
		N, R, P int
		KeySize int `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(der, &params); err != nil {
		return nil, fmt.Errorf("malformed scrypt parameters: %w", err)
	}
	n, r, p := params.N, params.R, params.P
	if n < 2 || n&(n-1) != 0 || r < 1 || p < 1 || params.KeySize != 0 && params.KeySize != keySize {
		return nil, fmt.Errorf("malformed scrypt parameters: N=%d, r=%d, p=%d", n, r, p)
	}
	// By division, since the product may overflow.
	if n > limits.scryptCost || r > limits.scryptCost/n || p > limits.scryptCost/n/r {
		return nil, unsupported("scrypt cost N=%d, r=%d, p=%d (supported: N·r·p up to %d)", n, r, p, limits.scryptCost)
	}
	return scrypt.Key(password, params.Salt, n, r, p, keySize)
}
