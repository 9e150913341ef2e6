package keys

import (
	"encoding/asn1"

	"github.com/eks-x509/eks-x509/internal/keys/pkcs12"
)

// normal returns what a block holds as blocks that are read further, by shape and not by label: a PKCS#7 bundle as its certificates,
// and a certificate without OpenSSL's remarks on how far it is trusted.
func (b block) normal() []block {
	switch b.label {
	case "CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE", "PKCS7", "PKCS #7 SIGNED DATA", "CMS":
	default:
		return []block{b}
	}
	if b.label == "TRUSTED CERTIFICATE" {
		b.label, b.der = "CERTIFICATE", withoutTrust(b.der)
	}
	der := b.der
	if classify(der) == "" {
		if converted, err := pkcs12.ToDER(der); err == nil {
			der = converted
		}
	}
	if classify(der) != "PKCS7" {
		return []block{b}
	}
	var all []block
	for _, c := range signedCertificates(der) {
		all = append(all, block{label: "CERTIFICATE", der: c})
	}
	if all == nil {
		return []block{{label: "PKCS7", der: der}}
	}
	return all
}

// withoutTrust cuts off what "openssl x509 -trustout" adds: Certificate CertAux, where CertAux is a SEQUENCE.
func withoutTrust(der []byte) []byte {
	var cert, aux asn1.RawValue
	rest, err := asn1.Unmarshal(der, &cert)
	if err != nil || classify(cert.FullBytes) != "CERTIFICATE" {
		return der
	}
	if rest, err = asn1.Unmarshal(rest, &aux); err != nil || len(rest) > 0 || aux.Class != asn1.ClassUniversal || aux.Tag != asn1.TagSequence {
		return der
	}
	return cert.FullBytes
}

// signedCertificates returns the certificates of a PKCS#7 bundle (RFC 5652 §5.1), none if it is of another kind or malformed.
// Whatever was signed is not looked at: a bundle is a list.
func signedCertificates(der []byte) [][]byte {
	// ContentInfo ::= SEQUENCE { contentType OBJECT IDENTIFIER, content [0] EXPLICIT ANY }
	var info struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"optional,explicit,tag:0"`
	}
	// SignedData ::= SEQUENCE { version, digestAlgorithms SET, encapContentInfo SEQUENCE, certificates [0] IMPLICIT SET OPTIONAL, … }
	var signed struct {
		Version      int
		Digests      asn1.RawValue
		Content      asn1.RawValue
		Certificates asn1.RawValue `asn1:"optional,tag:0"`
		CRLs         asn1.RawValue `asn1:"optional,tag:1"`
		Signers      asn1.RawValue
	}
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 || info.Type.String() != "1.2.840.113549.1.7.2" {
		return nil
	}
	if rest, err := asn1.Unmarshal(info.Content.Bytes, &signed); err != nil || len(rest) > 0 {
		return nil
	}
	var all [][]byte
	for rest := signed.Certificates.Bytes; len(rest) > 0; {
		var one asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &one); err != nil {
			return nil
		}
		if one.Class == asn1.ClassUniversal && one.Tag == asn1.TagSequence { // not an attribute certificate
			all = append(all, one.FullBytes)
		}
	}
	return all
}
