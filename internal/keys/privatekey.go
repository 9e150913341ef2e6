package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"strconv"

	"github.com/eks-x509/eks-x509/internal/keys/pbe"
)

const openingKey = "opening private key"

// maxKeySize is three times an RSA key of 16384 bits: parsing takes time in the cube of the size.
const maxKeySize = 32 << 10

const supportedKeys = "supported: RSA of 2048 to 4096 bits with an exponent of 65537 or more, ECDSA on P-256, P-384 and P-521"

// privateKey reads the one private key of a file, or that of a PKCS#12 file which a certificate is for.
func (o *opener) privateKey(file string, certs []*x509.Certificate) (crypto.Signer, error) {
	c, err := o.load(openingKey, file)
	if err != nil {
		return nil, err
	}
	if c.pkcs12 != nil {
		if err := o.openPKCS12(openingKey, c); err != nil {
			return nil, err
		}
		return choose(file, c.signers, certs, o.now)
	}

	var keys []block
	for _, b := range c.blocks {
		switch b.label {
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
			keys = append(keys, b)
		}
	}
	switch len(keys) {
	case 0:
		return nil, fail(NoPrivateKey, openingKey, file, "no private key found (found %s)", c.found())
	case 1:
	default:
		return nil, fail(Malformed, openingKey, file, "%d private keys found, one is needed", len(keys))
	}

	b := keys[0]
	if b.legacyEncrypted {
		return nil, fail(LegacyEncryption, openingKey, file,
			"unsupported traditional PEM encryption (supported: PKCS#8, which begins with %q)", "-----BEGIN ENCRYPTED PRIVATE KEY-----")
	}
	der := b.der
	defer clear(der)
	// By shape, not label: some tools write PKCS#8 under "RSA PRIVATE KEY" and the other way round.
	if b.encrypted() {
		c.encrypted = true
		password, err := o.password(openingKey, file)
		if err != nil {
			return nil, err
		}
		if der, err = decryptPKCS8(der, password, o.limits.Budget()); err != nil {
			e := asError(err, openingKey, file)
			e.Encryption = e.Reason == Unsupported
			return nil, e
		}
		defer clear(der)
	}
	signer, err := parsePrivateKey(der)
	if err != nil {
		return nil, asError(err, openingKey, file)
	}
	return signer, nil
}

// PasswordPrompt is what a Source's Password is asked by for a file.
func PasswordPrompt(file string) string { return fmt.Sprintf("password for %q: ", file) }

func (o *opener) password(doing, file string) ([]byte, error) {
	if o.ask == nil {
		return nil, fail(PasswordNeeded, doing, file, "it is encrypted, and no password is given")
	}
	password, err := o.ask(o.ctx, PasswordPrompt(file))
	if err != nil {
		return nil, fail(PasswordNeeded, doing, file, "it is encrypted: %w", err)
	}
	return password, nil
}

// decryptPKCS8 opens an EncryptedPrivateKeyInfo (RFC 5958 §3).
func decryptPKCS8(der, password []byte, budget *pbe.Budget) ([]byte, error) {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, fmt.Errorf("malformed encrypted private key: %w", err)
	}
	p := pbe.NewPassword(password)
	defer p.Clear()
	plain, err := pbe.Decrypt(info.Algorithm, info.Data, p, budget)
	if err != nil {
		return nil, err
	}
	// There is no MAC: a wrong password shows by its padding, and in 1 of 256 cases not before the bytes behind it.
	if classify(plain) == "" {
		clear(plain)
		return nil, pbe.ErrWrongPassword
	}
	return plain, nil
}

func asError(err error, doing, file string) *Error {
	reason := Malformed
	switch {
	case errors.Is(err, pbe.ErrUnsupported):
		reason = Unsupported
	case errors.Is(err, pbe.ErrWrongPassword):
		reason = WrongPassword
	}
	return &Error{Reason: reason, Doing: doing, File: file, Err: err}
}

func parsePrivateKey(der []byte) (crypto.Signer, error) {
	if len(der) > maxKeySize {
		return nil, pbe.Unsupported("private key of %d bytes (supported: up to %d)", len(der), maxKeySize)
	}
	var key any
	var err error
	switch classify(der) {
	case "PRIVATE KEY":
		if err := checkAlgorithm(der); err != nil {
			return nil, err
		}
		key, err = x509.ParsePKCS8PrivateKey(der)
	case "RSA PRIVATE KEY":
		if err := checkPKCS1(der); err != nil {
			return nil, err
		}
		key, err = x509.ParsePKCS1PrivateKey(der)
	case "EC PRIVATE KEY":
		if err := checkSEC1Curve(der); err != nil {
			return nil, err
		}
		key, err = x509.ParseECPrivateKey(der)
	default:
		return nil, errors.New("malformed private key: it is not PKCS#8, PKCS#1 or SEC 1")
	}
	if err != nil {
		return nil, fmt.Errorf("malformed private key: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, pbe.Unsupported("private key of type %T (%s)", key, supportedKeys)
	}
	return signer, CheckPublicKey(signer.Public())
}

// checkAlgorithm looks at the algorithm of a PKCS#8 key before x509 does, whose message has nothing but its number.
func checkAlgorithm(der []byte) error {
	// OneAsymmetricKey ::= SEQUENCE { version, privateKeyAlgorithm AlgorithmIdentifier, privateKey OCTET STRING, … }
	var key struct {
		Version    int
		Algorithm  pkix.AlgorithmIdentifier
		PrivateKey []byte
	}
	if _, err := asn1.Unmarshal(der, &key); err != nil {
		return fmt.Errorf("malformed private key: %w", err)
	}
	switch oid := key.Algorithm.Algorithm.String(); oid {
	case "1.2.840.113549.1.1.1": // rsaEncryption, RFC 8017 appendix C
		return checkPKCS1(key.PrivateKey)
	case "1.2.840.10045.2.1": // id-ecPublicKey, RFC 5480 §2.1.1
		return checkCurve(key.Algorithm.Parameters.FullBytes)
	default:
		return unsupportedAlgorithm(oid)
	}
}

// unsupportedAlgorithm names a kind of key by its OID.
func unsupportedAlgorithm(oid string) error {
	switch oid {
	case "1.2.840.113549.1.1.10": // id-RSASSA-PSS, RFC 4055 §3.1
		return pbe.Unsupported("RSA key for PSS alone: AWS takes PKCS#1 v1.5 signatures (%s)", supportedKeys)
	case "1.3.101.112", "1.3.101.113": // RFC 8410 §3
		return pbe.Unsupported("EdDSA key (%s)", supportedKeys)
	case "2.16.840.1.101.3.4.3.17", "2.16.840.1.101.3.4.3.18", "2.16.840.1.101.3.4.3.19": // RFC 9881 §2
		return pbe.Unsupported("ML-DSA key (%s)", supportedKeys)
	}
	return pbe.Unsupported("key algorithm %s (%s)", oid, supportedKeys)
}

// checkSEC1Curve does for SEC 1 what checkAlgorithm does for PKCS#8.
func checkSEC1Curve(der []byte) error {
	// ECPrivateKey ::= SEQUENCE { version, privateKey OCTET STRING, parameters [0] ECParameters OPTIONAL, … }
	var key struct {
		Version    int
		PrivateKey []byte
		Curve      asn1.RawValue `asn1:"optional,explicit,tag:0"`
	}
	if _, err := asn1.Unmarshal(der, &key); err != nil {
		return fmt.Errorf("malformed private key: %w", err)
	}
	return checkCurve(key.Curve.Bytes) // a RawValue keeps the [0] around it
}

func checkCurve(params []byte) error {
	var curve asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(params, &curve); err != nil {
		return pbe.Unsupported("elliptic curve that is not named (%s)", supportedKeys)
	}
	switch oid := curve.String(); oid {
	case "1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35": // P-256, P-384, P-521: RFC 5480 §2.1.1.1
		return nil
	case "1.3.132.0.33":
		return pbe.Unsupported("elliptic curve P-224 (%s)", supportedKeys)
	default:
		return pbe.Unsupported("elliptic curve %s (%s)", oid, supportedKeys)
	}
}

// checkPKCS1 looks at the sizes of an RSA key before x509 does, which would take time in the cube of them.
func checkPKCS1(der []byte) error {
	// RSAPrivateKey ::= SEQUENCE { version, modulus INTEGER, publicExponent INTEGER, … }
	var key struct {
		Version int
		N, E    *big.Int
	}
	if _, err := asn1.Unmarshal(der, &key); err != nil {
		return fmt.Errorf("malformed private key: %w", err)
	}
	return checkRSA(key.N, key.E)
}

// CheckPublicKey returns an error for a key that Roles Anywhere's signatures can't be made with: one that AWS4-X509 has no
// algorithm for, or that is too weak or too large. AWS names no bounds of RSA keys. Below 2048 bits is below NIST
// SP 800-57's floor, and FIPS 186-5 §5.1 wants an odd exponent above 2^16; above 4096 bits they are slow.
func CheckPublicKey(public crypto.PublicKey) error {
	switch public := public.(type) {
	case *rsa.PublicKey:
		return checkRSA(public.N, big.NewInt(int64(public.E)))
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() || public.Curve == elliptic.P384() || public.Curve == elliptic.P521() {
			return nil
		}
	}
	return pbe.Unsupported("%s key (%s)", KeyName(public), supportedKeys)
}

func checkRSA(n, e *big.Int) error {
	const least, most, leastExponent = 2048, 4096, 1<<16 + 1
	if bits := n.BitLen(); n.Sign() <= 0 || bits < least || bits > most {
		return pbe.Unsupported("RSA %d key (%s)", bits, supportedKeys)
	}
	if e.Cmp(big.NewInt(leastExponent)) < 0 || e.Bit(0) == 0 || e.BitLen() > 31 { // what crypto/rsa takes
		exponent := e.String()
		if e.BitLen() > 64 {
			exponent = "of " + strconv.Itoa(e.BitLen()) + " bits"
		}
		return pbe.Unsupported("RSA %d key with exponent %s (%s)", n.BitLen(), exponent, supportedKeys)
	}
	return nil
}

// KeyName is the kind and size of a key, such as RSA 2048 or ECDSA P-256.
func KeyName(public crypto.PublicKey) string {
	switch public := public.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", public.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + public.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return "unknown"
}
