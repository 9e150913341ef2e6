package sandbox

import (
	"errors"
	"fmt"
	"strings"
)

func (m *maker) createCA(r *StackResource) error {
	var p struct {
		KeyAlgorithm, SigningAlgorithm, Type, UsageMode string
		Subject                                         caSubject
		Tags                                            any
	}
	if err := strictJSON(r.Properties, &p); err != nil {
		return err
	}
	if p.Type != "ROOT" {
		return fmt.Errorf("the sandbox makes CAs of Type ROOT only, not %q", p.Type)
	}
	arn := m.arn("acm-pca", "certificate-authority/"+newUUID())
	ca, err := newCA(arn, p.Subject, p.KeyAlgorithm)
	if err != nil {
		return err
	}
	ca.UsageMode = p.UsageMode
	m.w.CertificateAuthorities = append(m.w.CertificateAuthorities, *ca)
	r.PhysicalID, r.Attributes = arn, map[string]string{"Arn": arn, "CertificateSigningRequest": "csr:" + arn}
	return nil
}

// removeCA is what CloudFormation does: the CA can be had back for 30 days.
func (m *maker) removeCA(r *StackResource) error {
	if ca := m.w.certificateAuthority(r.PhysicalID); ca != nil && ca.Status != "DELETED" {
		ca.Status, ca.DeletedFor = "DELETED", 30
	}
	return nil
}

func (m *maker) readCA(r *StackResource) map[string]any {
	if ca := m.w.certificateAuthority(r.PhysicalID); ca == nil || ca.Status == "DELETED" {
		return nil
	}
	return map[string]any{}
}

// createCACertificate signs the CA's own request.
func (m *maker) createCACertificate(r *StackResource) error {
	var p struct {
		CertificateAuthorityARN   string `json:"CertificateAuthorityArn"`
		CertificateSigningRequest string
		SigningAlgorithm          string
		TemplateARN               string `json:"TemplateArn"`
		Validity                  validity
	}
	if err := strictJSON(r.Properties, &p); err != nil {
		return err
	}
	ca := m.w.certificateAuthority(p.CertificateAuthorityARN)
	if ca == nil || p.CertificateSigningRequest != "csr:"+ca.ARN || !strings.HasSuffix(p.TemplateARN, ":template/RootCACertificate/V1") {
		return errors.New("the sandbox signs only the own request of a root CA, by RootCACertificate/V1")
	}
	until, err := p.Validity.from(m.now)
	if err != nil {
		return err
	}
	text, err := ca.sign(m.now, until)
	if err != nil {
		return err
	}
	r.PhysicalID, r.Attributes = ca.ARN+"/certificate/"+newUUID(), map[string]string{"Certificate": text, "Arn": ca.ARN}
	return nil
}

func (m *maker) activateCA(r *StackResource) error {
	var p struct {
		CertificateAuthorityARN               string `json:"CertificateAuthorityArn"`
		Certificate, CertificateChain, Status string
	}
	if err := strictJSON(r.Properties, &p); err != nil {
		return err
	}
	ca := m.w.certificateAuthority(p.CertificateAuthorityARN)
	if ca == nil {
		return fmt.Errorf("Could not find Certificate Authority %s", p.CertificateAuthorityARN) //nolint:staticcheck // AWS's words
	}
	ca.Certificate, ca.Status = p.Certificate, "ACTIVE"
	if p.Status == "DISABLED" {
		ca.Status = p.Status
	}
	r.PhysicalID, r.Attributes = ca.ARN, map[string]string{"CompleteCertificateChain": p.Certificate}
	return nil
}

func (m *maker) deactivateCA(r *StackResource) error {
	if ca := m.w.certificateAuthority(r.PhysicalID); ca != nil && ca.Status == "ACTIVE" {
		ca.Status = "DISABLED"
	}
	return nil
}
