package keys

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strconv"
)

// malformed is a certificate that crypto/x509 does not read, such as one with a negative serial number.
type malformed struct {
	number int // in its file
	der    []byte
	err    error
}

// certificates reads all certificates of a file, of which there must be one that can be read.
func (o *opener) certificates(doing, file string) ([]*x509.Certificate, error) {
	c, err := o.load(doing, file)
	if err != nil {
		return nil, err
	}
	if c.pkcs12 != nil {
		err = o.openPKCS12(doing, c)
		return c.certs, err
	}
	if c.certs != nil {
		return c.certs, nil
	}
	var ders [][]byte
	for _, b := range c.blocks {
		if b.isCertificate() {
			ders = append(ders, b.der)
		}
	}
	if len(ders) == 0 {
		return nil, fail(NoCertificate, doing, file, "no certificate found (found %s)", c.found())
	}
	return c.certs, c.parseCertificates(doing, ders)
}

// parseCertificates reads the certificates of a file. Those that can't be read are remembered: one of them in a bundle of CAs does
// not matter, unless it is the one that is looked for.
func (c *contents) parseCertificates(doing string, ders [][]byte) error {
	if len(ders) > maxCertificates {
		return tooMany(doing, c.file, len(ders))
	}
	c.certs, c.malformed = nil, nil
	for i, der := range ders {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			c.malformed = append(c.malformed, malformed{i + 1, der, err})
			continue
		}
		c.certs = append(c.certs, cert)
	}
	if len(c.certs) == 0 {
		return c.malformed[0].fail(doing, c.file)
	}
	return nil
}

func (m malformed) fail(doing, file string) *Error {
	return fail(Malformed, doing, file, "malformed certificate (number %d in the file): %w", m.number, m.err)
}

// isFor says whether the certificate may be for a key.
func (m malformed) isFor(public crypto.PublicKey) bool {
	_, key := m.parts()
	own, err := x509.MarshalPKIXPublicKey(public)
	return err != nil || key == nil || slices.Equal(own, key)
}

// parts returns what can be told of it: its subject, or "", and its public key as DER, or nil.
func (m malformed) parts() (name string, key []byte) {
	// Certificate ::= SEQUENCE { tbsCertificate SEQUENCE { version [0] OPTIONAL, serialNumber, signature, issuer, validity, subject,
	// subjectPublicKeyInfo, … }, … }
	var cert, part asn1.RawValue
	if _, err := asn1.Unmarshal(m.der, &cert); err != nil {
		return "", nil
	}
	if _, err := asn1.Unmarshal(cert.Bytes, &cert); err != nil {
		return "", nil
	}
	const subjectAt, keyAt = 4, 5 // behind the version
	at := 0
	for rest := cert.Bytes; len(rest) > 0; at++ {
		var err error
		if rest, err = asn1.Unmarshal(rest, &part); err != nil {
			return name, nil
		}
		switch {
		case at == 0 && part.Class == asn1.ClassContextSpecific:
			at--
		case at == subjectAt:
			var rdns pkix.RDNSequence
			if _, err := asn1.Unmarshal(part.FullBytes, &rdns); err == nil {
				name = rdns.String()
			}
		case at == keyAt:
			return name, part.FullBytes
		}
	}
	return name, nil
}

// warnMalformed warns of the certificates that were not read: of each if they are few.
func (k *Key) warnMalformed(files ...*contents) {
	const most = 3
	var all []string
	for i, c := range files {
		if c == nil || slices.Contains(files[:i], c) {
			continue
		}
		for _, m := range c.malformed {
			name, _ := m.parts()
			if name != "" {
				name = " " + printable(name)
			}
			all = append(all, fmt.Sprintf("leaving out certificate%s (number %d in %q): it is malformed: %v", name, m.number, c.file, m.err))
		}
	}
	if len(all) > most {
		all = append(all[:1], "leaving out "+strconv.Itoa(len(all)-1)+" more malformed certificates")
	}
	k.Warnings = append(k.Warnings, all...)
}
