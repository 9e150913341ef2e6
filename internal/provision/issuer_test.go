package provision

import (
	"crypto/x509/pkix"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/eks-x509/eks-x509/internal/minica"
)

// bundleOf is a CA's certificate.
func bundleOf(t *testing.T, subject pkix.Name, edit func(*minica.Template)) []byte {
	t.Helper()
	key, err := minica.GenerateKey("p256")
	if err != nil {
		t.Fatal(err)
	}
	template := minica.CA("")
	template.Subject = subject
	template.NotBefore, template.NotAfter = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC)
	if edit != nil {
		edit(&template)
	}
	pair, err := minica.NewRoot(template, key)
	if err != nil {
		t.Fatal(err)
	}
	return minica.CertificatePEM(pair.Certificate)
}

// A CA whose common name can't be a tag is refused with the character and a way out, and the way out works.
func TestIssuerThatIsNoTag(t *testing.T) {
	t.Parallel()
	for cn, row := range map[string]struct {
		organization    string
		character, hint string
		way             string
	}{
		"Acme, Inc. Root CA": {"Acme", `','`, `role: {issuer: {O: ["Acme"]}}`, `role: {issuer: {O: ["Acme"]}}`},
		"Acme Root (2026)":   {"Acme, Inc.", `'('`, `attributeMappings: {subject: ["*"], san: [DNS, URI, "Name/*"]}`, `profile: {attributeMappings: {subject: ["*"], san: [DNS, URI, "Name/*"]}}`},
		"O'Brien CA":         {"", `'\''`, "attributeMappings", `profile: {attributeMappings: {subject: ["*"], san: [DNS]}}`},
		"A & B":              {"Über AG", `'&'`, `O: ["Über AG"]`, `role: {issuer: {O: ["Über AG"]}}`},
		"CA #1":              {"x*", `'#'`, "attributeMappings", `profile: {attributeMappings: {subject: [CN], issuer: [O]}}`},
		"":                   {"Acme", "no common name", `issuer: {O: ["Acme"]}`, `role: {issuer: {O: [Acme]}}`},
	} {
		subject := pkix.Name{CommonName: cn}
		if row.organization != "" {
			subject.Organization = []string{row.organization}
		}
		bundle := bundleOf(t, subject, nil)
		_, err := build(bundleSpec, bundle, nil)
		e, ok := errors.AsType[*Invalid](err)
		if !ok || e.Key != "role.issuerCN" || !strings.Contains(e.Error(), row.character) || !strings.Contains(e.Hint, row.hint) {
			t.Errorf("%q: %v, %+v", cn, err, e)
		}
		template, err := build(row.way+"\n"+bundleSpec, bundle, nil)
		if err != nil {
			t.Errorf("%q: %s: %v", cn, row.way, err)
		} else if strings.Contains(string(template), "x509Issuer/CN") || !strings.Contains(string(template), "aws:SourceArn") ||
			strings.Contains(row.way, "issuer: {") != strings.Contains(string(template), "aws:PrincipalTag/x509Issuer/O") {
			t.Errorf("%q: %s", cn, template)
		}
	}
	for text, want := range map[string]string{
		"ca: {new: {commonName: 'Acme, Inc.'}}\nclusters: [{name: one, groups: [a]}]":                                                         "',', which AWS leaves out",
		"role: {issuer: {O: ['Acme, Inc.']}}\n" + bundleSpec:                                                                                  "',', which AWS leaves out",
		"role: {issuer: {O: ['*']}}\n" + bundleSpec:                                                                                           "'*', which AWS leaves out",
		"role: {issuer: {CN: [a]}}\n" + bundleSpec:                                                                                            "issuerCN is for the common name",
		"role: {issuer: {O: []}}\n" + bundleSpec:                                                                                              "with 0 values",
		"profile: {attributeMappings: {subject: [CN]}}\n" + bundleSpec:                                                                        "x509Issuer/CN, which they leave out",
		"role: {issuer: {O: [a]}}\nprofile: {attributeMappings: {subject: [CN]}}\n" + bundleSpec:                                              "x509Issuer/O, which they leave out",
		"ca: {acmPcaArn: 'arn:aws:acm-pca:us-east-1:123456789012:certificate-authority/0'}\nclusters: [{name: one, groups: [a]}]":             "role.issuerCN: none is given",
		"ca: {acmPcaArn: 'arn:aws:acm-pca:us-east-1:123456789012:certificate-authority/0'}\nrole: {issuer: {O: []}}\nclusters: [{name: one}]": "role.issuer",
	} {
		if _, err := build(text, caPEM(t), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Of a bundle only the certificates go to AWS, and only those that a trust anchor can use.
func TestBundle(t *testing.T) {
	t.Parallel()
	clean, err := build(bundleSpec, caPEM(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, bundle := range map[string]string{
		"text before": "Bag Attributes\n    friendlyName: secret note\nsubject=CN = Lab CA\n" + string(caPEM(t)),
		"text after":  string(caPEM(t)) + "issued to us by mail\n",
		"twice":       string(caPEM(t)) + string(caPEM(t)),
		"CRLF":        strings.ReplaceAll(string(caPEM(t)), "\n", "\r\n"),
	} {
		if got, err := build(bundleSpec, []byte(bundle), nil); err != nil || string(got) != string(clean) {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
	lab := pkix.Name{CommonName: "Lab CA"}
	for want, bundle := range map[string]string{
		"expired on 2026-05-31T00:00:00Z": string(bundleOf(t, lab, func(c *minica.Template) { c.NotAfter = time.Date(2026, 5, 31, 0, 0, 0, 0, time.UTC) })),
		`the CA "CN=Old CA" expired on`:   string(caPEM(t)) + string(bundleOf(t, pkix.Name{CommonName: "Old CA"}, func(c *minica.Template) { c.NotAfter = time.Date(2026, 5, 31, 0, 0, 0, 0, time.UTC) })),
		"is no CA":                        string(bundleOf(t, lab, func(c *minica.Template) { c.IsCA = false })),
		"only certificates may go to AWS": string(caPEM(t)) + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"holds 0 certificates":            "hello",
	} {
		if _, err := build(bundleSpec, []byte(bundle), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
