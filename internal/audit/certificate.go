package audit

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// parseCertificate reads one as CloudTrail may have it: how it writes cert is not
// published. It may be base64 of DER, PEM, or base64 of PEM.
func parseCertificate(s string) (Certificate, bool) {
	der := []byte(s)
	for range 2 {
		if block, _ := pem.Decode(der); block != nil {
			der = block.Bytes
			break
		}
		text := strings.NewReplacer("\n", "", "\r", "", " ", "").Replace(string(der))
		decoded, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			break
		}
		der = decoded
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return Certificate{}, false
	}
	return Certificate{Subject: name(c.RawSubject), Issuer: name(c.RawIssuer), Serial: serial(c.SerialNumber), NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC()}, true
}

// name is RFC 4514's form of a name. pkix.Name would lose the order and which
// attributes are together.
func name(raw []byte) string {
	var rdns pkix.RDNSequence
	if _, err := asn1.Unmarshal(raw, &rdns); err != nil {
		return ""
	}
	return strings.ToValidUTF8(rdns.String(), "\ufffd")
}

// serial is the form of Certificate.Serial.
func serial(n *big.Int) string {
	b := n.Bytes()
	if len(b) == 0 {
		b = []byte{0}
	}
	return hex.EncodeToString(b)
}

// hexSerial reads a serial number in hex as openssl, AWS or a person writes it.
func hexSerial(s string) (string, bool) {
	s = strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(s), ":", ""), " ", "")
	s = strings.TrimPrefix(strings.ToLower(s), "0x")
	if s == "" || len(s) > 128 || strings.Trim(s, "0123456789abcdef") != "" {
		return "", false
	}
	n, ok := new(big.Int).SetString(s, 16)
	if !ok {
		return "", false
	}
	return serial(n), true
}

// IsSerial tells whether a filter's serial number can be one at all.
func IsSerial(s string) bool {
	_, ok := hexSerial(s) // a decimal one has the digits of a hex one
	return ok
}

// likeSerial is the serial number that a session name could be: Roles Anywhere
// gives it as the name if none is asked for. A word that is hex by chance has no
// digit.
func likeSerial(name string) string {
	if len(name) > 40 || !strings.ContainsAny(name, "0123456789") || strings.ContainsAny(name, ": x") { // RFC 5280 §4.1.2.2: 20 octets
		return ""
	}
	number, _ := hexSerial(name)
	return number
}

// fromIdentity reads what Roles Anywhere sets as source identity: CN=… , the
// common name alone if it is long, or ID= and the serial number.
func fromIdentity(identity string) (c Certificate) {
	switch {
	case identity == "":
	case strings.HasPrefix(identity, "ID="):
		c.Serial, _ = hexSerial(identity[len("ID="):])
	case strings.HasPrefix(identity, "CN="):
		c.Subject = identity
	default:
		c.Subject = "CN=" + identity
	}
	return c
}

// at is when c was revoked.
func (r Revoked) at(c Certificate) (time.Time, bool) {
	at, ok := r[Certificate{Issuer: c.Issuer, Serial: c.Serial}]
	return at, ok
}

// AddCRL reads a certificate revocation list, PEM or DER.
func (r Revoked) AddCRL(data []byte) error {
	der := data
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "X509 CRL" {
			der = block.Bytes
			break
		}
	}
	if bytes.Contains(der, []byte("-----BEGIN ")) {
		return fmt.Errorf("no CRL found: PEM without X509 CRL")
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return fmt.Errorf("malformed CRL: %w", err)
	}
	for _, entry := range list.RevokedCertificateEntries {
		for _, issuer := range []string{name(list.RawIssuer), ""} {
			c := Certificate{Issuer: issuer, Serial: serial(entry.SerialNumber)}
			if first, ok := r[c]; !ok || entry.RevocationTime.Before(first) {
				r[c] = entry.RevocationTime.UTC()
			}
		}
	}
	return nil
}
