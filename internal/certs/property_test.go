package certs

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eks-x509/eks-x509/internal/keys"
	"github.com/eks-x509/eks-x509/internal/sandbox"
	"github.com/eks-x509/eks-x509/pkg/x509creds"
)

// opensslIP: eight groups of hex digits for IPv6, none left out.
func opensslIP(ip net.IP) string {
	if ip.To4() != nil {
		return ip.String()
	}
	var groups []string
	for pair := range slices.Chunk([]byte(ip), 2) {
		groups = append(groups, fmt.Sprintf("%X", int(pair[0])<<8|int(pair[1])))
	}
	return strings.Join(groups, ":")
}

// randomRequest has names of all kinds, in the letters that certificates see.
func randomRequest(r *rand.Rand) Request {
	text := func(most int) string {
		letters := []rune("abcXYZ 019'()+,-./:=?@_é漢ü&<>\"\\#;*")
		if r.IntN(2) == 0 {
			letters = letters[:10] // of which session tags are made
		}
		out := make([]rune, 1+r.IntN(most))
		for i := range out {
			out[i] = letters[r.IntN(len(letters))]
		}
		return string(out)
	}
	some := func(most int) []string {
		var out []string
		for range r.IntN(3) {
			out = append(out, text(most))
		}
		return out
	}
	q := Request{Subject: pkix.Name{CommonName: text(64), Organization: some(64), OrganizationalUnit: some(64), Province: some(40), Locality: some(40)}}
	if r.IntN(2) == 0 {
		q.Subject.Country = []string{[]string{"CH", "US", "jp"}[r.IntN(3)]}
	}
	for i := range r.IntN(3) {
		q.DNSNames = append(q.DNSNames, fmt.Sprintf("host-%d.example.org", i))
		q.URIs = append(q.URIs, &url.URL{Scheme: "spiffe", Host: "example.org", Path: fmt.Sprintf("/ns/%d", r.IntN(1000))})
		q.EmailAddresses = append(q.EmailAddresses, fmt.Sprintf("a%d@example.org", i))
		q.IPAddresses = append(q.IPAddresses, net.IPv4(10, 0, byte(r.IntN(256)), byte(i)).To4(), net.ParseIP("2001:db8::1"))
	}
	return q
}

// rolesAnywhere is a sandbox, which has the rules in code of its own, with an
// anchor for a CA.
type rolesAnywhere struct {
	s                     *sandbox.Sandbox
	client                *http.Client
	anchor, profile, role string
}

func newRolesAnywhere(t *testing.T, root *x509.Certificate) rolesAnywhere {
	t.Helper()
	world := sandbox.DefaultWorld()
	world.TrustAnchors[0].Certificates = []string{string(PEM([]*x509.Certificate{root}))}
	s, err := sandbox.New(sandbox.Options{Dir: filepath.Join(t.TempDir(), "sandbox"), World: world})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	t.Cleanup(func() { stop(); <-served })
	<-s.Ready()
	roots := x509.NewCertPool()
	roots.AddCert(s.Authority().TLS.Certificate)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	return rolesAnywhere{s, client, world.TrustAnchors[0].ARN, world.Profiles[0].ARN, world.Roles[0].ARN}
}

// accepts says why a session of the certificate is refused by a role that has this
// condition and no other.
func (r rolesAnywhere) accepts(t *testing.T, condition any, leaf *x509.Certificate, key crypto.Signer) error {
	t.Helper()
	policy, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
		"Effect": "Allow", "Principal": map[string]string{"Service": "rolesanywhere.amazonaws.com"},
		"Action":    []string{"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"},
		"Condition": condition,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	w := r.s.World()
	w.Roles[0].TrustPolicy = policy
	if err := r.s.SetWorld(w); err != nil {
		t.Fatal(err)
	}
	_, err = x509creds.New(key, []*x509.Certificate{leaf}, func(o *x509creds.Options) {
		o.TrustAnchorARN, o.ProfileARN, o.RoleARN, o.Region = r.anchor, r.profile, r.role, w.Region
		o.Endpoint, o.HTTPClient = r.s.URL(), r.client
	}).Retrieve(t.Context())
	return err
}

// What we make is what OpenSSL reads, and what Roles Anywhere's rules accept.
func TestOpenSSLAgrees(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl here")
	}
	now := time.Now()
	caKey, err := NewKey("p384")
	if err != nil {
		t.Fatal(err)
	}
	root, err := NewCA(Request{Subject: pkix.Name{CommonName: "Root", Organization: []string{"A", "B"}}}, caKey, now, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		c := exec.Command(openssl, args...)
		c.Dir = dir
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("openssl %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	write := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("root.pem", PEM([]*x509.Certificate{root}))
	aws := newRolesAnywhere(t, root)
	conditions := 0
	strangerKey, err := NewKey("p256")
	if err != nil {
		t.Fatal(err)
	}
	strangerCSR, err := Request{Subject: pkix.Name{CommonName: "a stranger"}}.CSR(strangerKey)
	if err != nil {
		t.Fatal(err)
	}
	parsedStranger, err := ParseCSR("a.csr", strangerCSR)
	if err != nil {
		t.Fatal(err)
	}
	strangerChain, err := CA{Certificate: root, Signer: caKey}.Issue(parsedStranger, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	stranger := strangerChain[0]
	r := rand.New(rand.NewPCG(6, 7)) // the same each time; any other should do
	for i := range 200 {
		kind := []string{"p256", "p384"}[i%2]
		if i%40 == 0 { // slow to make
			kind = []string{"rsa2048", "rsa3072", "rsa2048", "rsa4096", "rsa2048"}[i/40]
		}
		key, err := NewKey(kind)
		if err != nil {
			t.Fatal(err)
		}
		q := randomRequest(r)
		csr, err := q.CSR(key)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		write("a.csr", csr)
		if out := run("req", "-verify", "-noout", "-in", "a.csr"); !strings.Contains(out, "OK") {
			t.Fatalf("openssl req -verify: %s", out)
		}
		parsed, err := ParseCSR("a.csr", csr)
		if err != nil {
			t.Fatal(err)
		}
		chain, err := CA{Certificate: root, Signer: caKey}.Issue(parsed, now, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (&keys.Key{Chain: chain}).Check(now); err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		write("a.pem", PEM(chain))
		run("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "root.pem", "a.pem")
		text := run("x509", "-noout", "-text", "-nameopt", "RFC2253,utf8,-esc_msb", "-in", "a.pem")
		for _, want := range []string{"Version: 3 (0x2)", "X509v3 Key Usage: critical\n                Digital Signature\n", "TLS Web Client Authentication", "CA:FALSE"} {
			if !strings.Contains(text, want) {
				t.Fatalf("openssl x509 -text does not say %q:\n%s", want, text)
			}
		}
		for _, name := range slices.Concat(q.DNSNames, q.EmailAddresses) {
			if !strings.Contains(text, ":"+name) {
				t.Fatalf("alternative name %q is not in:\n%s", name, text)
			}
		}
		for _, u := range q.URIs {
			if !strings.Contains(text, "URI:"+u.String()) {
				t.Fatalf("URI %q is not in:\n%s", u, text)
			}
		}
		for _, ip := range q.IPAddresses {
			if !strings.Contains(text, "IP Address:"+opensslIP(ip)) {
				t.Fatalf("IP address %s is not in:\n%s", ip, text)
			}
		}
		leaf := chain[0]
		// The condition that cert show gives lets in this certificate, and no other of the CA. Without one, all get in.
		var condition any = map[string]any{"ArnEquals": map[string]string{"aws:SourceArn": aws.anchor}}
		named, conditionErr := TrustCondition(leaf, aws.anchor)
		if conditionErr == nil {
			conditions++
			condition = named
			if err := aws.accepts(t, condition, stranger, strangerKey); err == nil {
				t.Fatalf("the condition %v of %q lets in %q", named, leaf.Subject, stranger.Subject)
			}
		}
		if err := aws.accepts(t, condition, leaf, key); err != nil {
			t.Fatalf("%+v: %v (%s)", q, err, aws.s.Requests()[len(aws.s.Requests())-1])
		}
		if got, want := leaf.Subject, q.Subject; got.CommonName != want.CommonName || !slices.Equal(got.OrganizationalUnit, want.OrganizationalUnit) ||
			!slices.Equal(got.Organization, want.Organization) || !slices.Equal(got.Locality, want.Locality) {
			t.Fatalf("subject %q, want %q", got, want)
		}
		if !bytes.Equal(leaf.RawSubject, parsed.RawSubject) {
			t.Fatal("the subject was written anew")
		}
		if serial := run("x509", "-noout", "-serial", "-in", "a.pem"); !strings.EqualFold(strings.TrimSpace(serial), "serial="+SessionName(leaf)) {
			t.Fatalf("session name %q, openssl says %q", SessionName(leaf), serial)
		}
		renewed, err := OfCertificate(leaf).CSR(key)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseCSR("a.csr", renewed); err != nil || !bytes.Equal(again.RawSubject, leaf.RawSubject) || !slices.Equal(again.DNSNames, leaf.DNSNames) ||
			len(again.URIs) != len(leaf.URIs) || len(again.IPAddresses) != len(leaf.IPAddresses) {
			t.Fatalf("a renewal asks for other names: %v", err)
		}
	}
	if conditions == 0 {
		t.Error("no certificate had a condition")
	}
}
