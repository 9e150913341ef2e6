package keys

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"
)

// Check holds the certificates against what AWS IAM Roles Anywhere accepts ("Signature verification" in its guide), at
// the time now. The first thing that AWS would refuse is the error, an *Error. Doubts are warnings: whether an
// intermediate is needed at all, only AWS knows, who has the trust anchor.
func (k *Key) Check(now time.Time) (warnings []string, err error) {
	leaf := k.Chain[0]
	if err := k.checkLeaf(leaf, now); err != nil {
		return nil, err
	}
	life, left := leaf.NotAfter.Sub(leaf.NotBefore), leaf.NotAfter.Sub(now)
	if left < life/10 || left < 24*time.Hour {
		warnings = append(warnings, fmt.Sprintf("certificate %q (%s) expires in %s (%s)", k.file, describe(leaf), span(left), stamp(leaf.NotAfter)))
	}
	for _, c := range k.Chain[1:] {
		problem := validity(c, now)
		if problem == "" && weakHash(c) != "" {
			problem = "is signed with " + weakHash(c)
		}
		if problem != "" {
			warnings = append(warnings, fmt.Sprintf("intermediate certificate %s %s: AWS may refuse it", describe(c), problem))
		}
	}
	return warnings, nil
}

func (k *Key) checkLeaf(c *x509.Certificate, now time.Time) error {
	refuse := func(reason Reason, format string, args ...any) error {
		return &Error{Reason: reason, Doing: "checking certificate", File: k.file, Certificate: c, Err: fmt.Errorf(format, args...)}
	}
	if c.Version != 3 {
		return refuse(NotVersion3, "unsupported X.509 version %d (supported: 3)", c.Version)
	}
	if err := checkKeyInfo(c.PublicKey, c.RawSubjectPublicKeyInfo); err != nil {
		return refuse(UnsupportedKey, "%w", err)
	}
	if c.SerialNumber.Sign() <= 0 { // RFC 5280 §4.1.2.2
		return refuse(Malformed, "malformed serial number %s: a positive one is needed", c.SerialNumber)
	}
	if c.IsCA {
		return refuse(IsCA, "it is a CA's certificate, a client's is needed (basicConstraints CA:FALSE)")
	}
	if c.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return refuse(NoDigitalSignature, "its keyUsage lacks digitalSignature")
	}
	if len(c.Subject.Names) == 0 {
		return refuse(EmptySubject, "its subject is empty, one is needed even beside alternative names")
	}
	if hash := weakHash(c); hash != "" {
		return refuse(WeakSignature, "it is signed with %s, SHA-256 or better is needed", hash)
	}
	if now.Before(c.NotBefore) {
		return refuse(NotYetValid, "%s", validity(c, now))
	}
	if now.After(c.NotAfter) {
		return refuse(Expired, "%s", validity(c, now))
	}
	return nil
}

// CheckRequest returns an error for a request of a key that can't sign for Roles Anywhere.
func CheckRequest(file string, r *x509.CertificateRequest) error {
	if err := checkKeyInfo(r.PublicKey, r.RawSubjectPublicKeyInfo); err != nil {
		return &Error{Reason: UnsupportedKey, Doing: "reading certificate request", File: file, Err: err}
	}
	return nil
}

// checkKeyInfo is CheckPublicKey for a key of which crypto/x509 may not know the kind.
func checkKeyInfo(public crypto.PublicKey, der []byte) error {
	if public != nil {
		return CheckPublicKey(public)
	}
	oid := keyOID(der)
	if oid == "" {
		return errors.New("malformed public key")
	}
	return unsupportedAlgorithm(oid)
}

// validity says when c was or will be valid, or "" if it is.
func validity(c *x509.Certificate, now time.Time) string {
	switch {
	case now.Before(c.NotBefore):
		return fmt.Sprintf("not valid for another %s (until %s)", span(c.NotBefore.Sub(now)), stamp(c.NotBefore))
	case now.After(c.NotAfter):
		return fmt.Sprintf("expired %s ago (%s)", span(now.Sub(c.NotAfter)), stamp(c.NotAfter))
	}
	return ""
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// span is a duration in the largest unit of which there are two, or like 1m30s.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return d.Truncate(time.Second).String()
}

// weakHash names the signature algorithm of c if AWS does not accept it, else "".
func weakHash(c *x509.Certificate) string {
	switch c.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512,
		x509.PureEd25519:
		return ""
	case x509.UnknownSignatureAlgorithm:
		oid := signatureOID(c)
		switch oid {
		case "2.16.840.1.101.3.4.3.17", "2.16.840.1.101.3.4.3.18", "2.16.840.1.101.3.4.3.19": // ML-DSA, RFC 9881 §2
			return ""
		case "1.2.840.113549.1.1.14", "1.2.840.10045.4.3.1": // RFC 4055 §5, RFC 5758 §3.2
			return "SHA-224"
		}
		return "algorithm " + oid
	}
	return c.SignatureAlgorithm.String()
}

// signatureOID reads what x509 keeps to itself when it does not know it.
func signatureOID(c *x509.Certificate) string {
	// Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm AlgorithmIdentifier, signatureValue BIT STRING }
	var cert struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.Raw, &cert); err != nil {
		return "unknown"
	}
	return cert.Algorithm.Algorithm.String()
}
