package pkcs12

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"

	"github.com/eks-x509/eks-x509/internal/keys/pbe"
)

// What follows writes PKCS#12 files part by part, for parts that no program would write.

var (
	idPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	idPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	idPBMAC1 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14}
	idScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
	idAES256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
	idHMAC   = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	id3DES   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 3}
	idData   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	salt     = []byte("12345678")
)

// must is asn1.Marshal.
func must(v any) []byte {
	der, err := asn1.Marshal(v)
	if err != nil {
		panic(err)
	}
	return der
}

// tlv is one element around others.
func tlv(class, tag int, compound bool, parts ...[]byte) []byte {
	return must(asn1.RawValue{Class: class, Tag: tag, IsCompound: compound, Bytes: bytes.Join(parts, nil)})
}

func seq(parts ...[]byte) []byte  { return tlv(asn1.ClassUniversal, asn1.TagSequence, true, parts...) }
func tag0(parts ...[]byte) []byte { return tlv(asn1.ClassContextSpecific, 0, true, parts...) }

func algorithm(oid asn1.ObjectIdentifier, params []byte) pkix.AlgorithmIdentifier {
	return pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.RawValue{FullBytes: params}}
}

// bag is a SafeBag of the kind 1.2.840.113549.1.12.10.1.kind.
func bag(kind int, value []byte) []byte {
	return seq(must(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, kind}), tag0(value))
}

func data(content []byte) []byte { return seq(must(idData), tag0(must(content))) }

func encrypted(a pkix.AlgorithmIdentifier, ciphertext []byte) []byte {
	info := seq(must(idData), must(a), tlv(asn1.ClassContextSpecific, 0, false, ciphertext))
	return seq(must(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}), tag0(seq(must(0), info)))
}

func shrouded(a pkix.AlgorithmIdentifier, ciphertext []byte) []byte {
	return bag(2, seq(must(a), must(ciphertext)))
}

// file is a PFX with the parts of its AuthenticatedSafe, and a MAC if it is given one.
func file(mac []byte, parts ...[]byte) []byte {
	return seq(must(3), data(seq(parts...)), mac)
}

func mac(a pkix.AlgorithmIdentifier, digest, salt []byte, iterations any) []byte {
	return seq(seq(must(a), must(digest)), must(salt), must(iterations))
}

func pbes2(kdf pkix.AlgorithmIdentifier) pkix.AlgorithmIdentifier {
	return algorithm(idPBES2, seq(must(kdf), must(algorithm(idAES256, must(make([]byte, 16))))))
}

// pbkdf2Of has the parameters of PBKDF2 with SHA-256, and a key length if it is one.
func pbkdf2Of(salt []byte, iterations any, keyLength ...any) pkix.AlgorithmIdentifier {
	parts := [][]byte{salt, must(iterations)}
	for _, n := range keyLength {
		parts = append(parts, must(n))
	}
	return algorithm(idPBKDF2, seq(append(parts, must(algorithm(idHMAC, nil)))...))
}

func scryptOf(n, r, p any) pkix.AlgorithmIdentifier {
	return algorithm(idScrypt, seq(must(salt), must(n), must(r), must(p)))
}

// encrypt is by pbes2(pbkdf2Of(salt, 1)).
func encrypt(t testing.TB, plain, password []byte) []byte {
	t.Helper()
	key, err := pbkdf2.Key(sha256.New, string(password), salt, 1, 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	n := 16 - len(plain)%16
	out := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(n)}, n)...)
	cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(out, out)
	return out
}

// macOf is the MAC of the parts of a file, by one iteration.
func macOf(t testing.TB, password []byte, parts ...[]byte) []byte {
	t.Helper()
	key, err := pbe.PKCS12(sha256.New, salt, big.NewInt(1), pbe.IDMAC, 32, pbe.NewPassword(password), pbe.DefaultLimits().Budget())
	if err != nil {
		t.Fatal(err)
	}
	h := hmac.New(sha256.New, key)
	h.Write(seq(parts...))
	return mac(algorithm(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, nil), h.Sum(nil), salt, 1)
}

// cheap4000 and encrypt4000 are a scheme of 4,000 iterations and what it encrypted under the empty password: a part
// without bags, or as a key something that is none.
func cheap4000() pkix.AlgorithmIdentifier { return pbes2(pbkdf2Of(must(salt), 4000)) }

func encrypt4000(t testing.TB) []byte {
	t.Helper()
	key, err := pbkdf2.Key(sha256.New, "", salt, 4000, 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	out := append(seq(), bytes.Repeat([]byte{14}, 14)...)
	cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(out, out)
	return out
}
