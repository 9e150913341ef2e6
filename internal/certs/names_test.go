package certs

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"net/url"
	"testing"
	"time"
)

// hidden are characters that do not show as what they are.
var hidden = map[string]string{
	"NUL": "\x00", "ESC": "\x1b", "line feed": "\n", "tab": "\t", "DEL": "\x7f", "C1's CSI": "\u009b", "NEL": "\u0085",
	"right-to-left override": "\u202e", "isolate": "\u2066", "Arabic letter mark": "\u061c", "zero width space": "\u200b", "zero width joiner": "\u200d",
	"word joiner": "\u2060", "byte order mark": "\ufeff", "soft hyphen": "\u00ad", "line separator": "\u2028", "paragraph separator": "\u2029",
	"Hangul filler": "\u3164", "variation selector": "\ufe0f", "tag character": "\U000e0041", "private use": "\ue000", "not UTF-8": "\xff", "replacement": "\ufffd",
}

// No name with such a character is asked for, nor issued from a request that another program made.
func TestHiddenCharacters(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	key, err := NewKey("p256")
	if err != nil {
		t.Fatal(err)
	}
	for kind, c := range hidden {
		s := "a" + c + "b"
		alice := pkix.Name{CommonName: "alice"}
		other := pkix.Name{Names: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 4}, Value: s}}}
		for field, r := range map[string]Request{
			"CN": {Subject: pkix.Name{CommonName: s}}, "O": {Subject: pkix.Name{Organization: []string{"x", s}}}, "OU": {Subject: pkix.Name{OrganizationalUnit: []string{s}}},
			"C": {Subject: pkix.Name{CommonName: "a", Country: []string{c + "C"}}}, "ST": {Subject: pkix.Name{Province: []string{s}}}, "L": {Subject: pkix.Name{Locality: []string{s}}},
			"surname": {Subject: other}, "DNS": {Subject: alice, DNSNames: []string{s}}, "e-mail": {Subject: alice, EmailAddresses: []string{s + "@example.org"}},
		} {
			if err := r.Check(); err == nil {
				t.Errorf("%s in %s is accepted", kind, field)
			}
			if _, err := r.CSR(key); err == nil {
				t.Errorf("%s in %s is asked for", kind, field)
			}
		}
		if u, err := url.Parse("spiffe://example.org/" + s); err == nil && (Request{Subject: alice, URIs: []*url.URL{u}}).Check() == nil && u.String() == "spiffe://example.org/"+s {
			t.Errorf("%s in a URI is accepted", kind)
		}
		if u, err := url.Parse("spiffe://" + s + "/x"); err == nil && (Request{Subject: alice, URIs: []*url.URL{u}}).Check() == nil && u.String() == "spiffe://"+s+"/x" {
			t.Errorf("%s in the host of a URI is accepted", kind)
		}

		// What another program asks for.
		raw, err := asn1.Marshal(pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(s)}}}})
		if err != nil {
			t.Fatal(err)
		}
		foreign := foreignCSR(t, key, raw)
		if _, err := ParseCSR("a.csr", foreign); err == nil {
			t.Errorf("%s in a foreign request is accepted", kind)
		} else if name, ok := errors.AsType[*NameError](err); ok && name.Error() == "" {
			t.Error("no message")
		}
	}
	good, err := Request{Subject: pkix.Name{CommonName: "alice", Organization: []string{"Zoë & Søn, 漢字"}}}.CSR(key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := ParseCSR("a.csr", good)
	if err != nil {
		t.Fatal(err)
	}
	csr.Subject.CommonName = "a\u202eb"
	if _, err := l.ca.Issue(csr, l.now, time.Hour); err == nil {
		t.Error("a CA of files issues a name with a right-to-left override")
	}
}
