package sandbox

import (
	"cmp"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/minica"
)

// CertificateAuthority is one of AWS Private CA. The key is the sandbox's, in the world's file: AWS's never leaves its HSM.
type CertificateAuthority struct {
	ARN         string      `json:"arn"`
	Status      string      `json:"status"` // PENDING_CERTIFICATE, ACTIVE, DISABLED, DELETED
	UsageMode   string      `json:"usageMode,omitempty"`
	Subject     caSubject   `json:"subject"`
	Key         string      `json:"key"`                   // PEM
	Certificate string      `json:"certificate,omitempty"` // PEM
	DeletedFor  int         `json:"deletedForDays,omitempty"`
	Issued      []IssuedOne `json:"issued,omitempty"`
}

// IssuedOne is a certificate of a private CA. It can be had from the second question on: AWS takes a moment.
type IssuedOne struct {
	ARN         string `json:"arn"`
	Certificate string `json:"certificate"`
	Asked       bool   `json:"asked,omitempty"`
	// Token is that of the request: another with the same gives no other certificate.
	Token string `json:"token,omitempty"`
}

// caSubject is AWS's ASN1Subject, as far as it is used.
type caSubject struct {
	CommonName         string `json:"CommonName,omitempty"`
	Organization       string `json:"Organization,omitempty"`
	OrganizationalUnit string `json:"OrganizationalUnit,omitempty"`
	Country            string `json:"Country,omitempty"`
	State              string `json:"State,omitempty"`
	Locality           string `json:"Locality,omitempty"`
}

func (s caSubject) name() pkix.Name {
	one := func(v string) []string {
		if v == "" {
			return nil
		}
		return []string{v}
	}
	return pkix.Name{CommonName: s.CommonName, Organization: one(s.Organization), OrganizationalUnit: one(s.OrganizationalUnit),
		Country: one(s.Country), Province: one(s.State), Locality: one(s.Locality)}
}

func newCA(arn string, subject caSubject, algorithm string) (*CertificateAuthority, error) {
	kind, ok := map[string]string{"RSA_2048": "rsa2048", "RSA_4096": "rsa4096", "EC_prime256v1": "p256", "EC_secp384r1": "p384"}[algorithm]
	if !ok {
		return nil, fmt.Errorf("the sandbox does not know KeyAlgorithm %q", algorithm)
	}
	key, err := minica.GenerateKey(kind)
	if err != nil {
		return nil, err
	}
	text, err := minica.KeyPEM(key)
	if err != nil {
		return nil, err
	}
	return &CertificateAuthority{ARN: arn, Status: "PENDING_CERTIFICATE", Subject: subject, Key: string(text)}, nil
}

func (ca *CertificateAuthority) signer() (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(ca.Key))
	if block == nil {
		return nil, errors.New("no key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("no signing key")
	}
	return signer, nil
}

// sign makes the CA's own certificate.
func (ca *CertificateAuthority) sign(now time.Time, until time.Time) (string, error) {
	signer, err := ca.signer()
	if err != nil {
		return "", err
	}
	t := minica.CA("")
	t.Subject, t.NotBefore, t.NotAfter = ca.Subject.name(), now.Add(-time.Hour), until // AWS sets it an hour back as well
	p, err := minica.NewRoot(t, signer)
	if err != nil {
		return "", err
	}
	return string(minica.CertificatePEM(p.Certificate)), nil
}

func (ca *CertificateAuthority) pair() (*minica.Pair, error) {
	if ca.Certificate == "" {
		return nil, errors.New("the CA has no certificate yet")
	}
	return minica.Parse([]byte(ca.Certificate), []byte(ca.Key))
}

func (w *World) certificateAuthority(arn string) *CertificateAuthority {
	return find(w.CertificateAuthorities, func(ca CertificateAuthority) bool { return ca.ARN == arn })
}

type validity struct {
	Type  string `json:"Type"`
	Value int64  `json:"Value"`
}

func (v validity) from(now time.Time) (time.Time, error) {
	n := int(v.Value)
	switch {
	case v.Value < 1 || v.Value > 5000000000:
	case v.Type == "DAYS":
		return now.AddDate(0, 0, n), nil
	case v.Type == "MONTHS":
		return now.AddDate(0, n, 0), nil
	case v.Type == "YEARS":
		return now.AddDate(n, 0, 0), nil
	case v.Type == "ABSOLUTE":
		return time.Unix(v.Value, 0), nil
	}
	return time.Time{}, fmt.Errorf("validity %s %d", v.Type, v.Value)
}

// acmpca answers AWS Private CA.
func (c *call) acmpca() map[string]func() (any, error) {
	answers := map[string]func() (any, error){}
	for operation, answer := range map[string]func(*World) (any, error){
		"IssueCertificate":                   c.issueCertificate,
		"GetCertificate":                     c.getCertificate,
		"GetCertificateAuthorityCertificate": c.getCACertificate,
		"DescribeCertificateAuthority":       c.describeCA,
		"UpdateCertificateAuthority":         c.updateCA,
		"DeleteCertificateAuthority":         c.deleteCA,
	} {
		answers[operation] = func() (any, error) {
			var out any
			err := c.s.change(func(w *World) (err error) {
				out, err = answer(w)
				return err
			})
			if refusal, ok := out.(*Refusal); ok { // one that changes the world
				return nil, refusal
			}
			return out, err
		}
	}
	return answers
}

// caOf reads the request into in, and finds the CA that it names.
func (c *call) caOf(w *World, in any, arn *string) (*CertificateAuthority, error) {
	if err := c.readJSON(in); err != nil {
		return nil, err
	}
	ca := w.certificateAuthority(*arn)
	if ca == nil {
		return nil, refuse(http.StatusBadRequest, "ResourceNotFoundException", "Could not find Certificate Authority", "no CA %q", *arn)
	}
	return ca, nil
}

func invalidState(reason string, args ...any) *Refusal {
	return refuse(http.StatusBadRequest, "InvalidStateException", fmt.Sprintf(reason, args...), reason, args...)
}

func (c *call) issueCertificate(w *World) (any, error) {
	var in struct {
		CertificateAuthorityARN string `json:"CertificateAuthorityArn"`
		CSR                     []byte `json:"Csr"`
		SigningAlgorithm        string
		TemplateARN             string `json:"TemplateArn"`
		Validity                validity
		IdempotencyToken        string
	}
	ca, err := c.caOf(w, &in, &in.CertificateAuthorityARN)
	if err != nil {
		return nil, err
	}
	if ca.Status != "ACTIVE" {
		return nil, invalidState("The certificate authority %s is not in the correct state to have a certificate issued: %s", ca.ARN, ca.Status)
	}
	if one := find(ca.Issued, func(i IssuedOne) bool { return i.Token != "" && i.Token == in.IdempotencyToken }); one != nil {
		return map[string]string{"CertificateArn": one.ARN}, nil
	}
	block, _ := pem.Decode(in.CSR)
	if block == nil {
		return nil, refuse(http.StatusBadRequest, "MalformedCSRException", "The certificate signing request is invalid.", "not PEM")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = csr.CheckSignature()
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "MalformedCSRException", "The certificate signing request is invalid.", "%v", err)
	}
	issuer, err := ca.pair()
	if err != nil {
		return nil, err
	}
	until, err := in.Validity.from(c.now)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "ValidationException", "invalid validity", "%v", err)
	}
	if until.After(issuer.Certificate.NotAfter) {
		return nil, refuse(http.StatusBadRequest, "ValidationException", "The certificate validity specified exceeds the certificate authority validity", "until %s", stamp(until))
	}
	// https://docs.aws.amazon.com/privateca/latest/userguide/short-lived-certificates.html
	if ca.UsageMode == "SHORT_LIVED_CERTIFICATE" && until.After(c.now.AddDate(0, 0, 7)) {
		return nil, refuse(http.StatusBadRequest, "ValidationException", "A certificate authority of usage mode SHORT_LIVED_CERTIFICATE issues certificates of at most 7 days", "until %s", stamp(until)) // [?] AWS's words
	}
	t, err := leafTemplate(in.TemplateARN)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "InvalidArgsException", err.Error(), "%v", err)
	}
	if want := signingAlgorithms(issuer.Key); !slices.Contains(want, in.SigningAlgorithm) {
		return nil, refuse(http.StatusBadRequest, "InvalidArgsException", "The signing algorithm does not match the key of the certificate authority", "%q, want one of %v", in.SigningAlgorithm, want)
	}
	t.Subject, t.RawSubject, t.DNSNames, t.URIs, t.EmailAddresses, t.IPAddresses = csr.Subject, csr.RawSubject, csr.DNSNames, csr.URIs, csr.EmailAddresses, csr.IPAddresses
	t.NotBefore, t.NotAfter = c.now.Add(-time.Hour), until
	leaf, _, err := issuer.Sign(t, csr.PublicKey)
	if err != nil {
		return nil, err
	}
	one := IssuedOne{ARN: ca.ARN + "/certificate/" + fmt.Sprintf("%032x", new(big.Int).Rsh(leaf.SerialNumber, 32)), Certificate: string(minica.CertificatePEM(leaf)), Token: in.IdempotencyToken}
	ca.Issued = append(ca.Issued, one)
	return map[string]string{"CertificateArn": one.ARN}, nil
}

func signingAlgorithms(key crypto.Signer) []string {
	if _, ok := key.Public().(interface{ Size() int }); ok { // RSA
		return []string{"SHA256WITHRSA", "SHA384WITHRSA", "SHA512WITHRSA"}
	}
	return []string{"SHA256WITHECDSA", "SHA384WITHECDSA", "SHA512WITHECDSA"}
}

// leafTemplate: https://docs.aws.amazon.com/privateca/latest/userguide/UsingTemplates.html
func leafTemplate(arn string) (minica.Template, error) {
	t := minica.Leaf("")
	t.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	_, name, _ := strings.Cut(arn, ":template/")
	switch name {
	case "", "EndEntityCertificate/V1":
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	case "EndEntityClientAuthCertificate/V1":
		t.KeyUsage = x509.KeyUsageDigitalSignature
	case "EndEntityServerAuthCertificate/V1":
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	case "CodeSigningCertificate/V1":
		t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	case "OCSPSigningCertificate/V1":
		t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
	case "SubordinateCACertificate_PathLen0/V1":
		t.IsCA, t.KeyUsage, t.ExtKeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign|x509.KeyUsageDigitalSignature, nil
	default:
		return t, fmt.Errorf("the sandbox does not know template %q", arn)
	}
	return t, nil
}

func (c *call) getCertificate(w *World) (any, error) {
	var in struct {
		CertificateAuthorityARN string `json:"CertificateAuthorityArn"`
		CertificateARN          string `json:"CertificateArn"`
	}
	ca, err := c.caOf(w, &in, &in.CertificateAuthorityARN)
	if err != nil {
		return nil, err
	}
	one := find(ca.Issued, func(i IssuedOne) bool { return i.ARN == in.CertificateARN })
	if one == nil {
		return nil, refuse(http.StatusBadRequest, "ResourceNotFoundException", "Could not find Certificate", "no certificate %q", in.CertificateARN)
	}
	if !one.Asked {
		one.Asked = true
		return refuse(http.StatusBadRequest, "RequestInProgressException", "The request to issue the certificate is still in progress", "the first question"), nil
	}
	return map[string]string{"Certificate": one.Certificate, "CertificateChain": ca.Certificate}, nil
}

func (c *call) getCACertificate(w *World) (any, error) {
	var in struct {
		CertificateAuthorityARN string `json:"CertificateAuthorityArn"`
	}
	ca, err := c.caOf(w, &in, &in.CertificateAuthorityARN)
	if err != nil {
		return nil, err
	}
	if ca.Certificate == "" {
		return nil, invalidState("The certificate authority %s has no certificate", ca.ARN)
	}
	return map[string]string{"Certificate": ca.Certificate}, nil
}

func (c *call) describeCA(w *World) (any, error) {
	var in struct {
		CertificateAuthorityARN string `json:"CertificateAuthorityArn"`
	}
	ca, err := c.caOf(w, &in, &in.CertificateAuthorityARN)
	if err != nil {
		return nil, err
	}
	signer, err := ca.signer()
	if err != nil {
		return nil, err
	}
	d := map[string]any{"Arn": ca.ARN, "Status": ca.Status, "Type": "ROOT", "CertificateAuthorityConfiguration": map[string]any{
		"Subject": ca.Subject, "SigningAlgorithm": signingAlgorithms(signer)[0],
	}}
	d["UsageMode"] = cmp.Or(ca.UsageMode, "GENERAL_PURPOSE")
	if pair, err := ca.pair(); err == nil {
		d["NotBefore"], d["NotAfter"] = pair.Certificate.NotBefore.Unix(), pair.Certificate.NotAfter.Unix()
	}
	if ca.Status == "DELETED" {
		d["RestorableUntil"] = c.now.AddDate(0, 0, ca.DeletedFor).Unix()
	}
	return map[string]any{"CertificateAuthority": d}, nil
}

func (c *call) updateCA(w *World) (any, error) {
	var in struct {
		CertificateAuthorityARN string `json:"CertificateAuthorityArn"`
		Status                  string
	}
	ca, err := c.caOf(w, &in, &in.CertificateAuthorityARN)
	if err != nil {
		return nil, err
	}
	if ca.Status != "ACTIVE" && ca.Status != "DISABLED" || in.Status != "ACTIVE" && in.Status != "DISABLED" {
		return nil, invalidState("The certificate authority %s can't go from %s to %s", ca.ARN, ca.Status, in.Status)
	}
	ca.Status = in.Status
	return nil, nil
}

func (c *call) deleteCA(w *World) (any, error) {
	var in struct {
		CertificateAuthorityARN string `json:"CertificateAuthorityArn"`
		Days                    *int   `json:"PermanentDeletionTimeInDays"`
	}
	ca, err := c.caOf(w, &in, &in.CertificateAuthorityARN)
	if err != nil {
		return nil, err
	}
	days := 30
	if in.Days != nil {
		days = *in.Days
	}
	if days < 7 || days > 30 {
		return nil, refuse(http.StatusBadRequest, "InvalidArgsException", "PermanentDeletionTimeInDays must be between 7 and 30", "%d days", days)
	}
	if ca.Status != "DISABLED" && ca.Status != "PENDING_CERTIFICATE" {
		return nil, invalidState("The certificate authority %s must be disabled before it is deleted", ca.ARN)
	}
	ca.Status, ca.DeletedFor = "DELETED", days
	return nil, nil
}
