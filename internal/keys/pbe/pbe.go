package pbe

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"  //nolint:gosec // what old keys are encrypted with
	"crypto/sha1" //nolint:gosec // the hash of PKCS#12's ciphers
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
)

// A scheme derives a key from a password and decrypts by it.
type scheme struct {
	newCipher func(key []byte) (cipher.Block, error)
	key, iv   []byte
}

const supportedEncryption = "supported: PBES2 with PBKDF2 or scrypt and AES-CBC or 3DES-CBC, and PKCS#12's with 3DES or RC2"

// Decrypt decrypts data, by PBES2 (RFC 8018 §6.2) or one of PKCS#12's own schemes (RFC 7292 appendix C), both in CBC mode.
// Neither has a MAC: most wrong passwords show by the padding, as ErrWrongPassword, and the caller must look for the others.
func Decrypt(algorithm pkix.AlgorithmIdentifier, data []byte, password Password, b *Budget) ([]byte, error) {
	s, err := newScheme(algorithm, password, b)
	if err != nil {
		return nil, err
	}
	defer clear(s.key)
	block, err := s.newCipher(s.key)
	if err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(s.iv) != size || len(data) == 0 || len(data)%size != 0 {
		return nil, errors.New("malformed encrypted data: wrong length of IV or data")
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, s.iv).CryptBlocks(plain, data)
	out, ok := unpad(plain, size)
	if !ok {
		clear(plain)
		return nil, ErrWrongPassword
	}
	return out, nil
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

func newScheme(algorithm pkix.AlgorithmIdentifier, password Password, b *Budget) (scheme, error) {
	params := algorithm.Parameters.FullBytes
	switch oid := algorithm.Algorithm.String(); oid {
	case "1.2.840.113549.1.5.13": // id-PBES2, RFC 8018 appendix A.4
		return newPBES2(params, password, b)
	case "1.2.840.113549.1.12.1.3": // pbeWithSHAAnd3-KeyTripleDES-CBC, RFC 7292 appendix C
		return newPKCS12(params, des.NewTripleDESCipher, 24, password, b)
	case "1.2.840.113549.1.12.1.4": // pbeWithSHAAnd2-KeyTripleDES-CBC
		return newPKCS12(params, newTwoKeyTripleDES, 16, password, b)
	case "1.2.840.113549.1.12.1.5": // pbeWithSHAAnd128BitRC2-CBC
		return newPKCS12(params, newRC2, 16, password, b)
	case "1.2.840.113549.1.12.1.6": // pbewithSHAAnd40BitRC2-CBC
		return newPKCS12(params, newRC2, 5, password, b)
	default:
		return scheme{}, Unsupported("encryption %s (%s)", oid, supportedEncryption)
	}
}

func newPBES2(der []byte, password Password, b *Budget) (scheme, error) {
	// PBES2-params ::= SEQUENCE { keyDerivationFunc AlgorithmIdentifier, encryptionScheme AlgorithmIdentifier }
	var params struct{ KDF, Scheme pkix.AlgorithmIdentifier }
	if err := Unmarshal(der, &params); err != nil {
		return scheme{}, fmt.Errorf("malformed encryption parameters: %w", err)
	}
	var s scheme
	var size int
	switch oid := params.Scheme.Algorithm.String(); oid {
	case "2.16.840.1.101.3.4.1.2": // aes128-CBC-PAD, RFC 8018 appendix B.2.5
		s.newCipher, size = aes.NewCipher, 16
	case "2.16.840.1.101.3.4.1.22":
		s.newCipher, size = aes.NewCipher, 24
	case "2.16.840.1.101.3.4.1.42":
		s.newCipher, size = aes.NewCipher, 32
	case "1.2.840.113549.3.7": // des-EDE3-CBC, RFC 8018 appendix B.2.2
		s.newCipher, size = des.NewTripleDESCipher, 24
	default:
		return scheme{}, Unsupported("cipher %s (%s)", oid, supportedEncryption)
	}
	if err := Unmarshal(params.Scheme.Parameters.FullBytes, &s.iv); err != nil {
		return scheme{}, fmt.Errorf("malformed encryption parameters: %w", err)
	}
	var err error
	switch oid := params.KDF.Algorithm.String(); oid {
	case oidPBKDF2:
		s.key, err = PBKDF2(params.KDF, password, size, b)
	case "1.3.6.1.4.1.11591.4.11": // id-scrypt, RFC 7914 §7
		s.key, err = deriveScrypt(params.KDF.Parameters.FullBytes, password, size, b)
	default:
		err = Unsupported("key derivation %s (%s)", oid, supportedEncryption)
	}
	return s, err
}

func newPKCS12(der []byte, newCipher func([]byte) (cipher.Block, error), keySize int, password Password, b *Budget) (scheme, error) {
	// pkcs-12PbeParams ::= SEQUENCE { salt OCTET STRING, iterations INTEGER }
	var params struct {
		Salt       []byte
		Iterations *big.Int
	}
	if err := Unmarshal(der, &params); err != nil {
		return scheme{}, fmt.Errorf("malformed encryption parameters: %w", err)
	}
	key, err := PKCS12(sha1.New, params.Salt, params.Iterations, IDKey, keySize, password, b)
	if err != nil {
		return scheme{}, err
	}
	iv, err := PKCS12(sha1.New, params.Salt, params.Iterations, idIV, des.BlockSize, password, b) // RC2's blocks are as long
	return scheme{newCipher, key, iv}, err
}

func newTwoKeyTripleDES(key []byte) (cipher.Block, error) {
	three := append(append([]byte(nil), key...), key[:8]...)
	defer clear(three)
	return des.NewTripleDESCipher(three) //nolint:gosec // what old keys are encrypted with
}

// Unmarshal is asn1.Unmarshal for all of der, with shorter errors.
func Unmarshal(der []byte, v any) error {
	rest, err := asn1.Unmarshal(der, v)
	if _, ok := errors.AsType[asn1.StructuralError](err); ok { // whose text is of Go's types
		return errors.New("malformed ASN.1: unexpected element")
	}
	if err == nil && len(rest) > 0 {
		err = errors.New("malformed ASN.1: bytes after the end")
	}
	return err
}
