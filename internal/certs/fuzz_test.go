package certs

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
	"time"

	"github.com/eks-x509/eks-x509/internal/keys"
	"github.com/eks-x509/eks-x509/internal/safetext"
)

// foreignCSR is a request with any subject, in DER.
func foreignCSR(t testing.TB, key crypto.Signer, rawSubject []byte) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{RawSubject: rawSubject}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// FuzzCSR gives foreign requests to whoever signs them: what is accepted can be issued, passes the checks of a session, and
// has no name that does not show as what it is.
func FuzzCSR(f *testing.F) {
	key, err := NewKey("p256")
	if err != nil {
		f.Fatal(err)
	}
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	root, err := NewCA(Request{Subject: pkix.Name{CommonName: "Lab CA"}}, key, now, 1000*time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	ca := CA{Certificate: root, Signer: key}
	san := []byte{0x30, 0x0b, 0x82, 9, 'x', '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e'}
	f.Add(root.RawSubject, san, []byte{})
	f.Add(root.RawSubject, []byte{0x30, 8, 0x86, 6, 'a', ':', '/', '/', 'b', 'c'}, []byte("-----BEGIN CERTIFICATE REQUEST-----\n"))
	f.Fuzz(func(t *testing.T, subject, san, data []byte) {
		if csr, err := ParseCSR("a.csr", data); err == nil {
			issueFuzzed(t, ca, csr, now)
		}
		// Signed, since hardly any change of a request keeps its signature.
		template := &x509.CertificateRequest{RawSubject: subject, ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: san}}}
		der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
		if err != nil {
			return
		}
		if csr, err := ParseCSR("a.csr", der); err == nil {
			issueFuzzed(t, ca, csr, now)
		}
	})
}

// FuzzNames puts foreign names into a request by hand, as another program may.
func FuzzNames(f *testing.F) {
	key, err := NewKey("p256")
	if err != nil {
		f.Fatal(err)
	}
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	root, err := NewCA(Request{Subject: pkix.Name{CommonName: "Lab CA"}}, key, now, 1000*time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("alice", "Example", "alice.example.org")
	f.Add("*", "a'b!", "a b")
	f.Add("${aws:x}", "", "")
	f.Add("a\u202eb", "\x1b[2J", "é")
	f.Fuzz(func(t *testing.T, cn, o, dns string) {
		r := Request{Subject: pkix.Name{CommonName: cn, Organization: []string{o}}}
		if dns != "" {
			r.DNSNames = []string{dns}
		}
		text, err := r.CSR(key)
		if err != nil {
			return
		}
		csr, err := ParseCSR("a.csr", text)
		if err != nil {
			t.Fatalf("made from accepted names: %v", err)
		}
		if csr.Subject.CommonName != cn {
			t.Fatalf("asked for %q, the request has %q", cn, csr.Subject.CommonName)
		}
		issueFuzzed(t, CA{Certificate: root, Signer: key}, csr, now)
	})
}

func issueFuzzed(t *testing.T, ca CA, csr *x509.CertificateRequest, now time.Time) {
	t.Helper()
	chain, err := ca.Issue(csr, now, time.Hour)
	if err != nil {
		return
	}
	if _, err := keys.Issued("a.pem", chain, csr.PublicKey, now); err != nil {
		t.Fatalf("issued, and refused: %v", err)
	}
	leaf := chain[0]
	for _, v := range append(leaf.DNSNames, Name(leaf.RawSubject)) {
		if safetext.Line(v) != v {
			t.Fatalf("issued for %q", v)
		}
	}
	SessionTags(leaf)
	SourceIdentity(leaf)
}
