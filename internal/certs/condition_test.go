package certs

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/url"
	"strings"
	"testing"
)

// There is a condition only if it names this subject and this issuer.
func TestTrustCondition(t *testing.T) {
	t.Parallel()
	cn := func(names ...string) pkix.Name {
		var n pkix.Name
		for _, v := range names {
			n.Names = append(n.Names, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: v})
			n.CommonName = v
		}
		return n
	}
	o := pkix.Name{Organization: []string{"Example"}, Names: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: "Example"}}}
	for name, c := range map[string]struct {
		subject, issuer pkix.Name
		dns, uri        string
		want            string // of the error
	}{
		"as usual":             {subject: cn("alice"), issuer: cn("Team CA")},
		"quote":                {subject: cn("O'Brien"), issuer: cn("Team CA"), want: `the subject's common name can't be compared: "O'Brien" has '\''`},
		"bang":                 {subject: cn("alice!"), issuer: cn("Team CA"), want: "the subject's common name can't be compared"},
		"star":                 {subject: cn("*"), issuer: cn("Team CA"), want: "the subject's common name can't be compared"},
		"question mark":        {subject: cn("alic?"), issuer: cn("Team CA"), want: "the subject's common name can't be compared"},
		"variable":             {subject: cn("${aws:PrincipalTag/x}"), issuer: cn("Team CA"), want: "the subject's common name can't be compared"},
		"none":                 {subject: o, issuer: cn("Team CA"), want: "the subject's common name can't be compared: there is none; have the certificate issued again"},
		"none, but a DNS name": {subject: o, issuer: cn("Team CA"), dns: "a.example.org", want: `compare aws:PrincipalTag/x509SAN/DNS ("a.example.org") if it is the subject's alone, or have`},
		"none, but a URI":      {subject: o, issuer: cn("Team CA"), uri: "spiffe://x/a", want: `compare aws:PrincipalTag/x509SAN/URI ("spiffe://x/a")`},
		"an empty one":         {subject: cn(""), issuer: cn("Team CA"), want: "it is empty"},
		"two":                  {subject: cn("alice", "bob"), issuer: cn("Team CA"), want: "there are 2"},
		"too long":             {subject: cn(strings.Repeat("a", 257)), issuer: cn("Team CA"), want: "257 characters"},
		"a space at its end":   {subject: cn("alice "), issuer: cn("Team CA"), want: "begins or ends with a space"},
		"hidden":               {subject: cn("al\u200bice"), issuer: cn("Team CA"), want: "has '\\u200b'"},
		"issuer with a comma":  {subject: cn("alice"), issuer: cn("Acme, Inc. Root CA (2026)"), want: "the issuer's common name can't be compared"},
		"issuer without":       {subject: cn("alice"), issuer: o, want: `the issuer's common name can't be compared: there is none; compare aws:PrincipalTag/x509Issuer/O ("Example")`},
		"issuer with two":      {subject: cn("alice"), issuer: cn("a", "b"), want: "the issuer's common name can't be compared: there are 2"},
	} {
		leaf := &x509.Certificate{Subject: c.subject, Issuer: c.issuer}
		if c.dns != "" {
			leaf.DNSNames = []string{c.dns}
		}
		if u, err := url.Parse(c.uri); err == nil && c.uri != "" {
			leaf.URIs = []*url.URL{u}
		}
		for _, anchor := range []string{"", "arn:aws:rolesanywhere:eu-west-1:111122223333:trust-anchor/x"} {
			got, err := TrustCondition(leaf, anchor)
			if c.want != "" {
				if err == nil || got != nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: got %v, %v; want %s", name, got, err, c.want)
				}
				continue
			}
			if err != nil || got["StringEquals"]["aws:PrincipalTag/x509Subject/CN"] != "alice" || got["StringEquals"]["aws:PrincipalTag/x509Issuer/CN"] != "Team CA" ||
				anchor != "" && got["ArnEquals"]["aws:SourceArn"] != anchor || got["ArnEquals"]["aws:SourceArn"] == "" {
				t.Errorf("%s: got %v, %v", name, got, err)
			}
		}
	}
}

// IAM compares aws:SourceArn with the trust anchor's ID: an alias there matches nothing.
func TestTrustConditionNamesNoAlias(t *testing.T) {
	t.Parallel()
	name := pkix.Name{Names: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "a"}}}
	for anchor, want := range map[string]string{
		"arn:aws:rolesanywhere:eu-west-1:111122223333:alias/trust-anchor/prod":    "arn:aws:rolesanywhere:eu-west-1:111122223333:trust-anchor/ID",
		"arn:aws-cn:rolesanywhere:cn-north-1:111122223333:alias/trust-anchor/a/b": "arn:aws-cn:rolesanywhere:cn-north-1:111122223333:trust-anchor/ID",
		"arn:aws:rolesanywhere:eu-west-1:111122223333:trust-anchor/x":             "arn:aws:rolesanywhere:eu-west-1:111122223333:trust-anchor/x",
		"": anchorPlaceholder,
	} {
		got, err := TrustCondition(&x509.Certificate{Subject: name, Issuer: name}, anchor)
		if err != nil || got["ArnEquals"]["aws:SourceArn"] != want {
			t.Errorf("%q: %v, %v", anchor, got, err)
		}
	}
}
