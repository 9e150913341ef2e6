// Package minica makes certificates for the sandbox, labs and tests: good ones, and ones that a careful server must refuse (SHA-1
// signature, version 1, no keyUsage, a CA as a leaf, no subject, out of date). It is not a certificate authority for real use: it
// keeps no record of what it issued and applies no policy. See RFC 5280.
package minica

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"
)

// Template says what a certificate holds. Everything is taken literally, so that bad certificates can be made, except that a nil
// Serial means a random one and zero dates mean the issuer's.
type Template struct {
	Subject             pkix.Name
	RawSubject          []byte // DER; wins over Subject
	Serial              *big.Int
	NotBefore, NotAfter time.Time
	KeyUsage            x509.KeyUsage
	ExtKeyUsage         []x509.ExtKeyUsage
	IsCA                bool
	NoBasicConstraints  bool
	DNSNames            []string
	IPAddresses         []net.IP
	URIs                []*url.URL
	EmailAddresses      []string
	ExtraExtensions     []pkix.Extension
	SignatureAlgorithm  x509.SignatureAlgorithm // zero: fitting the issuer's key, with SHA-256 or better
	Version1            bool                    // no version field, no extensions; signed with SHA-256
}

// CA is the template of an authority that may sign certificates and CRLs.
func CA(commonName string) Template {
	return Template{
		Subject:  pkix.Name{CommonName: commonName},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:     true,
	}
}

// Leaf is the template of a certificate that Roles Anywhere takes.
func Leaf(commonName string) Template {
	return Template{
		Subject:     pkix.Name{CommonName: commonName},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

// Pair is a certificate with its key.
type Pair struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
	// Chain is the issuers of Certificate, its own issuer first, without the root.
	Chain []*x509.Certificate
}

// GenerateKey makes a key of one of the kinds rsa2048, rsa3072, rsa4096, p256, p384, p521 and ed25519.
func GenerateKey(kind string) (crypto.Signer, error) {
	switch kind {
	case "rsa2048":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "rsa3072":
		return rsa.GenerateKey(rand.Reader, 3072)
	case "rsa4096":
		return rsa.GenerateKey(rand.Reader, 4096)
	case "p256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "p384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "p521":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "ed25519":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("generating key: unsupported kind %q", kind)
}

// NewRoot makes a self-signed certificate. The template's dates must be set.
func NewRoot(t Template, key crypto.Signer) (*Pair, error) {
	p := &Pair{Key: key}
	var err error
	p.Certificate, err = create(t, nil, key.Public(), key)
	return p, err
}

// Issue makes a certificate for key, signed by p. A nil key means a new P-256 one.
func (p *Pair) Issue(t Template, key crypto.Signer) (*Pair, error) {
	if key == nil {
		var err error
		if key, err = GenerateKey("p256"); err != nil {
			return nil, err
		}
	}
	child := &Pair{Key: key}
	var err error
	child.Certificate, child.Chain, err = p.Sign(t, key.Public())
	return child, err
}

// Sign is Issue for a key of which only the public half is here.
func (p *Pair) Sign(t Template, key crypto.PublicKey) (certificate *x509.Certificate, chain []*x509.Certificate, err error) {
	if certificate, err = create(t, p, key, p.Key); err != nil {
		return nil, nil, err
	}
	if !selfIssued(p.Certificate) {
		chain = append([]*x509.Certificate{p.Certificate}, p.Chain...)
	}
	return certificate, chain, nil
}

func selfIssued(c *x509.Certificate) bool { return string(c.RawIssuer) == string(c.RawSubject) }

func create(t Template, issuer *Pair, key crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber:          t.Serial,
		Subject:               t.Subject,
		RawSubject:            t.RawSubject,
		NotBefore:             t.NotBefore,
		NotAfter:              t.NotAfter,
		KeyUsage:              t.KeyUsage,
		ExtKeyUsage:           t.ExtKeyUsage,
		BasicConstraintsValid: !t.NoBasicConstraints,
		IsCA:                  t.IsCA,
		DNSNames:              t.DNSNames,
		IPAddresses:           t.IPAddresses,
		URIs:                  t.URIs,
		EmailAddresses:        t.EmailAddresses,
		ExtraExtensions:       t.ExtraExtensions,
		SignatureAlgorithm:    t.SignatureAlgorithm,
	}
	if t.Version1 {
		template.SignatureAlgorithm = x509.ECDSAWithSHA256
		if _, ok := signer.(*rsa.PrivateKey); ok {
			template.SignatureAlgorithm = x509.SHA256WithRSA
		}
	}
	parent := template
	if issuer != nil {
		parent = issuer.Certificate
	}
	if template.SerialNumber == nil {
		serial, err := randomSerial()
		if err != nil {
			return nil, err
		}
		template.SerialNumber = serial
	}
	if template.NotBefore.IsZero() {
		template.NotBefore = parent.NotBefore
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = parent.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, signer)
	if err != nil {
		return nil, fmt.Errorf("creating certificate for %q: %w", t.Subject, err)
	}
	if t.Version1 {
		if der, err = toVersion1(der, signer); err != nil {
			return nil, fmt.Errorf("creating version 1 certificate for %q: %w", t.Subject, err)
		}
	}
	return x509.ParseCertificate(der)
}

// randomSerial is positive and, as RFC 5280 §4.1.2.2 wants, at most 20 octets: 158 random bits below a bit that is always set.
func randomSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 158))
	if err != nil {
		return nil, err
	}
	return serial.SetBit(serial, 158, 1), nil
}

// toVersion1 drops version and extensions and signs again, with SHA-256 as the first signature was.
//
//	TBSCertificate ::= SEQUENCE { [0] version DEFAULT v1, serialNumber, …, subjectPublicKeyInfo, …, [3] extensions OPTIONAL }
func toVersion1(der []byte, signer crypto.Signer) ([]byte, error) {
	var outer struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return nil, err
	}
	var all, kept []asn1.RawValue
	if _, err := asn1.Unmarshal(outer.TBS.FullBytes, &all); err != nil {
		return nil, err
	}
	for _, v := range all {
		if v.Class != asn1.ClassContextSpecific {
			kept = append(kept, v)
		}
	}
	tbs, err := asn1.Marshal(kept)
	if err != nil {
		return nil, err
	}
	signature, err := crypto.SignMessage(signer, rand.Reader, tbs, crypto.SHA256)
	if err != nil {
		return nil, err
	}
	outer.TBS = asn1.RawValue{FullBytes: tbs}
	outer.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	return asn1.Marshal(outer)
}

// CRL makes a PEM certificate revocation list of p for these serials, in force for a week from now.
func (p *Pair) CRL(serials []*big.Int, now time.Time) ([]byte, error) {
	list := &x509.RevocationList{
		Number:     big.NewInt(now.UnixNano()),
		ThisUpdate: now,
		NextUpdate: now.AddDate(0, 0, 7),
	}
	for _, serial := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: serial, RevocationTime: now})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, p.Certificate, p.Key)
	if err != nil {
		return nil, fmt.Errorf("creating revocation list of %q: %w", p.Certificate.Subject, err)
	}
	return encode("X509 CRL", der), nil
}
