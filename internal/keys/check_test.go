package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// noon is in the middle of the life of the certificates that these tests make, which is 10 days.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          big.NewInt(123),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             noon.AddDate(0, 0, -5),
		NotAfter:              noon.AddDate(0, 0, 5),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate; a nil parent makes it self-signed.
func issue(t *testing.T, template *x509.Certificate, key crypto.Signer, parent *x509.Certificate, parentKey crypto.Signer) *x509.Certificate {
	t.Helper()
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCheckLeaf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*x509.Certificate)
		reason Reason
		want   string // of the error, or the warning
	}{
		{name: "all is well", change: func(*x509.Certificate) {}},
		{name: "at its first second", change: func(c *x509.Certificate) { c.NotBefore = noon }},
		{name: "at its last second", change: func(c *x509.Certificate) { c.NotAfter = noon },
			want: `certificate "client.pem" (CN=alice, serial 0x7b) expires in 0s (2026-11-23T12:00:00Z)`},
		{name: "expired", change: func(c *x509.Certificate) { c.NotAfter = noon.Add(-50 * time.Hour) }, reason: Expired,
			want: `checking certificate "client.pem" (CN=alice, serial 0x7b): expired 2 days ago (2026-11-21T10:00:00Z)`},
		{name: "expired just now", change: func(c *x509.Certificate) { c.NotAfter = noon.Add(-time.Second) }, reason: Expired,
			want: `checking certificate "client.pem" (CN=alice, serial 0x7b): expired 1s ago (2026-11-23T11:59:59Z)`},
		{name: "not yet valid", change: func(c *x509.Certificate) { c.NotBefore = noon.Add(150 * time.Minute) }, reason: NotYetValid,
			want: `checking certificate "client.pem" (CN=alice, serial 0x7b): not valid for another 2 hours (until 2026-11-23T14:30:00Z)`},
		{name: "a CA", change: func(c *x509.Certificate) { c.IsCA = true }, reason: IsCA,
			want: `checking certificate "client.pem" (CN=alice, serial 0x7b): it is a CA's certificate, a client's is needed (basicConstraints CA:FALSE)`},
		{name: "no keyUsage", change: func(c *x509.Certificate) { c.KeyUsage = 0 }, reason: NoDigitalSignature,
			want: `checking certificate "client.pem" (CN=alice, serial 0x7b): its keyUsage lacks digitalSignature`},
		{name: "keyUsage for encryption", change: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, reason: NoDigitalSignature,
			want: `checking certificate "client.pem" (CN=alice, serial 0x7b): its keyUsage lacks digitalSignature`},
		{name: "no basicConstraints", change: func(c *x509.Certificate) { c.BasicConstraintsValid = false }},
		{name: "an empty subject", change: func(c *x509.Certificate) { c.Subject, c.DNSNames = pkix.Name{}, []string{"alice.example"} }, reason: EmptySubject,
			want: `checking certificate "client.pem" (no subject, serial 0x7b): its subject is empty, one is needed even beside alternative names`},
		{name: "a subject that plays with the terminal", change: func(c *x509.Certificate) { c.Subject.CommonName, c.KeyUsage = "\x1b[2J", 0 }, reason: NoDigitalSignature,
			want: `checking certificate "client.pem" ("CN=\x1b[2J", serial 0x7b): its keyUsage lacks digitalSignature`},
		{name: "less than a tenth is left", change: func(c *x509.Certificate) { c.NotBefore, c.NotAfter = noon.AddDate(0, 0, -90), noon.AddDate(0, 0, 9) },
			want: `certificate "client.pem" (CN=alice, serial 0x7b) expires in 9 days (2026-12-02T12:00:00Z)`},
		{name: "a little more than a tenth is left", change: func(c *x509.Certificate) { c.NotBefore, c.NotAfter = noon.AddDate(0, 0, -90), noon.AddDate(0, 0, 11) }},
		{name: "less than a day is left", change: func(c *x509.Certificate) { c.NotAfter = noon.Add(23 * time.Hour) },
			want: `certificate "client.pem" (CN=alice, serial 0x7b) expires in 23 hours (2026-11-24T11:00:00Z)`},
		{name: "a life of less than a day", change: func(c *x509.Certificate) { c.NotBefore, c.NotAfter = noon.Add(-time.Hour), noon.Add(time.Hour) },
			want: `certificate "client.pem" (CN=alice, serial 0x7b) expires in 60 minutes (2026-11-23T13:00:00Z)`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			key, leaf := newKey(t), template("alice")
			test.change(leaf)
			ca, caKey := template("ca"), newKey(t)
			k := &Key{Signer: key, Chain: []*x509.Certificate{issue(t, leaf, key, ca, caKey)}, file: "client.pem"}
			warnings, err := k.Check(noon)
			if test.reason != 0 {
				keyErr, ok := errors.AsType[*Error](err)
				if !ok || keyErr.Reason != test.reason || err.Error() != test.want {
					t.Errorf("got  %v\nwant %s (reason %d)", err, test.want, test.reason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(warnings, "\n"); got != test.want {
				t.Errorf("got warning %q, want %q", got, test.want)
			}
		})
	}
}

func TestCheckFixtures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		certificate string
		reason      Reason
		want        string
	}{
		{"ec256.v1.pem", NotVersion3, `checking certificate "ec256.v1.pem" (CN=ec256,O=Example, serial SERIAL): unsupported X.509 version 1 (supported: 3)`},
		{"ec256.sha1.pem", WeakSignature, `checking certificate "ec256.sha1.pem" (CN=ec256,O=Example, serial SERIAL): it is signed with ECDSA-SHA1, SHA-256 or better is needed`},
		{"ec256.sha224.pem", WeakSignature, `checking certificate "ec256.sha224.pem" (CN=ec256,O=Example, serial SERIAL): it is signed with SHA-224, SHA-256 or better is needed`},
	} {
		t.Run(test.certificate, func(t *testing.T) {
			t.Parallel()
			k, err := Open(t.Context(), source(test.certificate, "ec256.pkcs8.key", "", nil))
			if err != nil {
				t.Fatal(err)
			}
			_, err = k.Check(noon)
			wantError(t, err, test.reason, test.want)
		})
	}
}

func TestCheckIntermediates(t *testing.T) {
	t.Parallel()
	leafKey, caKey := newKey(t), newKey(t)
	old := template("issuing")
	old.IsCA, old.KeyUsage, old.NotAfter = true, x509.KeyUsageCertSign, noon.AddDate(0, 0, -1)
	root, rootKey := template("root"), newKey(t)
	ca := issue(t, old, caKey, root, rootKey)
	leaf := issue(t, template("alice"), leafKey, ca, caKey)
	path, unused, _ := orderChain(leaf, []*x509.Certificate{ca}, noon)
	if len(path) != 1 || len(unused) != 0 {
		t.Fatalf("got a path of %d and %d unused, want the issuer", len(path), len(unused))
	}
	warnings, err := (&Key{Signer: leafKey, Chain: append([]*x509.Certificate{leaf}, path...)}).Check(noon)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"intermediate certificate CN=issuing, serial 0x7b expired 24 hours ago (2026-11-22T12:00:00Z): AWS may refuse it"}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}

	k, err := Open(t.Context(), source("ec256.sha1-intermediate.pem", "ec256.pkcs8.key", "", nil))
	if err != nil {
		t.Fatal(err)
	}
	warnings, err = k.Check(noon)
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 1 || !strings.HasSuffix(warnings[0], "is signed with ECDSA-SHA1: AWS may refuse it") {
		t.Errorf("got warnings %q, want one of SHA-1", warnings)
	}
}

// Two CAs that certify each other must not go round in circles, and of two CAs with one name the one that signed counts.
func TestOrderChainOfLookalikes(t *testing.T) {
	t.Parallel()
	authority := func(name string) *x509.Certificate {
		c := template(name)
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
		return c
	}
	aKey, bKey, leafKey := newKey(t), newKey(t), newKey(t)
	a, b := authority("a"), authority("b")
	aByB, bByA := issue(t, a, aKey, b, bKey), issue(t, b, bKey, a, aKey)
	impostor := issue(t, a, newKey(t), b, bKey)
	aRoot := issue(t, a, aKey, nil, nil)
	leaf := issue(t, template("leaf"), leafKey, aByB, aKey)

	path, unused, _ := orderChain(leaf, []*x509.Certificate{bByA, impostor, aRoot, aByB, aByB, leaf}, noon)
	if diff := cmp.Diff([]string{"CN=a by CN=b", "CN=b by CN=a"}, names(path)); diff != "" {
		t.Errorf("path (-want +got):\n%s", diff)
	}
	if len(unused) != 1 || !unused[0].Equal(impostor) {
		t.Errorf("unused: got %q, want the impostor", names(unused))
	}
}

func names(certs []*x509.Certificate) []string {
	var names []string
	for _, c := range certs {
		names = append(names, c.Subject.String()+" by "+c.Issuer.String())
	}
	return names
}
