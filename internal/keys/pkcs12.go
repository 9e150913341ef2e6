package keys

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// openPKCS12 decrypts a PKCS#12 file: without a password if it goes, else with one.
func (o *opener) openPKCS12(doing string, c *contents) error {
	if c.signer != nil {
		return nil
	}
	if err := checkPKCS12Cost(c.pkcs12, o.limits, 0); err != nil {
		return asError(err, doing, c.file)
	}
	key, leaf, above, err := pkcs12.DecodeChain(c.pkcs12, "")
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		password, askErr := o.password(doing, c.file)
		if askErr != nil {
			return askErr
		}
		if bytes.ContainsFunc(password, func(r rune) bool { return r > 0xFFFF }) {
			return asError(unsupported("password for PKCS#12: it has a character above U+FFFF"), doing, c.file)
		}
		key, leaf, above, err = pkcs12.DecodeChain(c.pkcs12, string(password))
	}
	if err != nil {
		return asError(pkcs12Error(err), doing, c.file)
	}

	signer, ok := key.(crypto.Signer)
	if !ok {
		return asError(unsupported("private key of type %T (%s)", key, supportedKeys), openingKey, c.file)
	}
	if err := checkKey(signer.Public()); err != nil {
		return asError(err, openingKey, c.file)
	}
	c.signer, c.certs = signer, append([]*x509.Certificate{leaf}, above...)
	return nil
}

func pkcs12Error(err error) error {
	const supported = "supported: one private key with its certificates, and a MAC if they are encrypted"
	if why, ok := errors.AsType[pkcs12.NotImplementedError](err); ok {
		return unsupported("PKCS#12 file: %s", string(why))
	}
	switch err.Error() { // the library has no other mark for these
	case "pkcs12: private key missing":
		return unsupported("PKCS#12 file without a private key (%s)", supported)
	case "pkcs12: certificate missing":
		return unsupported("PKCS#12 file without a certificate (%s)", supported)
	}
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return errWrongPassword
	case strings.HasSuffix(err.Error(), pkcs12.ErrDecryption.Error()): // a wrong password shows by the MAC before this does
		return unsupported("PKCS#12 file that is encrypted without a MAC (%s)", supported)
	}
	return fmt.Errorf("malformed PKCS#12 file: %w", err)
}

// checkPKCS12Cost finds the iteration counts of a PKCS#12 file, which the library takes as they come. In all the
// structures that have one (MacData, pkcs-12PbeParams: RFC 7292 §4 and appendix C; PBKDF2-params: RFC 8018 appendix
// A.2) it is the INTEGER after an OCTET STRING, and no other INTEGER has that place.
func checkPKCS12Cost(der []byte, limits limits, depth int) error {
	// A file goes about ten deep; what follows is ciphertext that looks like ASN.1.
	if depth > 20 {
		return nil
	}
	afterOctets := false
	for len(der) > 0 {
		var e asn1.RawValue
		rest, err := asn1.Unmarshal(der, &e)
		if err != nil {
			return nil // no ASN.1, or none that the library would read
		}
		der = rest
		universal := e.Class == asn1.ClassUniversal
		isOctets := universal && e.Tag == asn1.TagOctetString
		if afterOctets && universal && e.Tag == asn1.TagInteger {
			var n int
			if _, err := asn1.Unmarshal(e.FullBytes, &n); err != nil {
				return fmt.Errorf("malformed PKCS#12 file: iteration count: %w", err)
			}
			if err := limits.checkIterations(n); err != nil {
				return err
			}
		}
		if e.IsCompound || isOctets {
			if err := checkPKCS12Cost(e.Bytes, limits, depth+1); err != nil {
				return err
			}
		}
		afterOctets = isOctets
	}
	return nil
}
