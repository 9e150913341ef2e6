package sandbox

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// AWS: the chain header "MUST NOT exceed maximum depth of 5 certificates".
const maxChain = 5

const (
	invalidSignature = "Invalid signature"
	insufficient     = "Untrusted certificate. Insufficient certificate"
)

// signedBy is who signed a request: the certificate, and what the client sent to link it to a trust anchor.
type signedBy struct {
	leaf  *x509.Certificate
	chain []*x509.Certificate
	query []parameter
}

// verifyX509 checks all of AWS4-X509-*: it says who signed the request, not whether that certificate is any good.
func verifyX509(w *wireRequest, region string, now time.Time) (*signedBy, *Refusal) {
	if len(w.header.Values("Authorization")) == 0 {
		return nil, refuse(http.StatusForbidden, "MissingAuthenticationTokenException", "Missing Authentication Token", "no Authorization header")
	}
	header, err := w.one("Authorization")
	if err != nil {
		return nil, incomplete(err)
	}
	a, err := parseAuthorization(header)
	if err != nil {
		return nil, incomplete(err)
	}
	amzDate, err := w.one("X-Amz-Date")
	if err != nil {
		return nil, incomplete(err)
	}
	by := new(signedBy)
	if by.leaf, by.chain, err = w.certificates(); err != nil {
		return nil, denied(insufficient, "%v", err)
	}
	if by.query, err = parseQuery(w.query); err != nil {
		return nil, invalid("%v", err)
	}
	date, err := parseAMZDate(amzDate)
	if err != nil {
		return nil, denied(invalidSignature, "%v", err)
	}
	if err := a.checkX509(w, by.leaf, amzDate, region); err != nil {
		return nil, denied(invalidSignature, "%v", err)
	}
	if problem := ageProblem(date, now, maxSkew); problem != "" {
		return nil, denied(problem, "%s", problem)
	}
	message, err := a.stringToSign(w, amzDate, by.query, hexSHA256(w.body))
	if err != nil {
		return nil, denied(invalidSignature, "%v", err)
	}
	if err := checkSignature(by.leaf, a.signature, message); err != nil {
		return nil, denied(invalidSignature, "%v", err)
	}
	return by, nil
}

func incomplete(err error) *Refusal {
	return refuse(http.StatusBadRequest, "IncompleteSignatureException", "Authorization header requires existence of Credential, SignedHeaders and Signature", "%v", err)
}

// checkX509 compares what Authorization says with the request, the certificate and the endpoint.
func (a *authorization) checkX509(w *wireRequest, leaf *x509.Certificate, amzDate, region string) error {
	algorithm := map[x509.PublicKeyAlgorithm]string{x509.RSA: "AWS4-X509-RSA-SHA256", x509.ECDSA: "AWS4-X509-ECDSA-SHA256"}[leaf.PublicKeyAlgorithm]
	if algorithm == "" {
		return fmt.Errorf("unsupported key of type %v (RSA and ECDSA are supported)", leaf.PublicKeyAlgorithm)
	}
	if a.algorithm != algorithm {
		return fmt.Errorf("algorithm %q with a key for %q", a.algorithm, algorithm)
	}
	if serial := leaf.SerialNumber.String(); a.keyID != serial {
		return fmt.Errorf("serial %q in Credential, %q in the certificate", a.keyID, serial)
	}
	if !strings.HasPrefix(amzDate, a.date+"T") {
		return fmt.Errorf("scope of day %q with X-Amz-Date %q", a.date, amzDate)
	}
	if a.region != region {
		return fmt.Errorf("scope of region %q at an endpoint of %q", a.region, region)
	}
	if a.service != "rolesanywhere" {
		return fmt.Errorf("scope of service %q (want rolesanywhere)", a.service)
	}
	if hash := w.header.Get("X-Amz-Content-Sha256"); hash != "" && hash != hexSHA256(w.body) {
		return errors.New("X-Amz-Content-Sha256 is not the hash of the body")
	}
	return a.checkSignedHeaders(w, "host", "content-type", "x-amz-date", "x-amz-x509")
}

// certificates reads X-Amz-X509 and, leaf's issuer first, X-Amz-X509-Chain.
func (w *wireRequest) certificates() (*x509.Certificate, []*x509.Certificate, error) {
	value, err := w.one("X-Amz-X509")
	if err != nil {
		return nil, nil, err
	}
	leaf, err := decodeCertificate(value)
	if err != nil {
		return nil, nil, fmt.Errorf("malformed X-Amz-X509: %w", err)
	}
	if len(w.header.Values("X-Amz-X509-Chain")) == 0 {
		return leaf, nil, nil
	}
	if value, err = w.one("X-Amz-X509-Chain"); err != nil {
		return nil, nil, err
	}
	values := strings.Split(value, ",")
	if len(values) > maxChain {
		return nil, nil, fmt.Errorf("%d certificates in X-Amz-X509-Chain, at most %d", len(values), maxChain)
	}
	var chain []*x509.Certificate
	for _, v := range values {
		c, err := decodeCertificate(v)
		if err != nil {
			return nil, nil, fmt.Errorf("malformed X-Amz-X509-Chain: %w", err)
		}
		chain = append(chain, c)
	}
	return leaf, chain, nil
}

func decodeCertificate(s string) (*x509.Certificate, error) {
	der, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, err
	}
	if base64.StdEncoding.EncodeToString(der) != s { // the decoder skips line ends
		return nil, errors.New("base64 of more than one line")
	}
	return x509.ParseCertificate(der)
}

// checkSignature takes hex in lower case, of PKCS #1 v1.5 or of DER; SHA-256 whatever the curve.
func checkSignature(leaf *x509.Certificate, signature, message string) error {
	raw, err := hex.DecodeString(signature)
	if err != nil || hex.EncodeToString(raw) != signature {
		return errors.New("signature is not hex in lower case")
	}
	digest := sha256.Sum256([]byte(message))
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], raw)
	case *ecdsa.PublicKey:
		var rs struct{ R, S *big.Int }
		if rest, err := asn1.Unmarshal(raw, &rs); err != nil || len(rest) > 0 {
			return errors.New("ECDSA signature is not DER")
		}
		if again, err := asn1.Marshal(rs); err != nil || string(again) != string(raw) {
			return errors.New("ECDSA signature is not DER")
		}
		if !ecdsa.VerifyASN1(key, digest[:], raw) {
			return errors.New("ECDSA verification error")
		}
		return nil
	}
	return fmt.Errorf("unsupported key %T", leaf.PublicKey)
}
