package certs

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eks-x509/eks-x509/internal/keys"
)

type lab struct {
	t   *testing.T
	ca  CA
	now time.Time
}

func newLab(t *testing.T) lab {
	t.Helper()
	key, err := NewKey("p256")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	root, err := NewCA(Request{Subject: pkix.Name{CommonName: "Root"}}, key, now, 1000*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return lab{t, CA{Certificate: root, Signer: key}, now}
}

// pair gives the PEM of a new key and of its certificate.
func (l lab) pair() (chain, key []byte) {
	l.t.Helper()
	signer, err := NewKey("p256")
	if err != nil {
		l.t.Fatal(err)
	}
	csr, err := Request{Subject: pkix.Name{CommonName: "alice"}}.CSR(signer)
	if err != nil {
		l.t.Fatal(err)
	}
	parsed, err := ParseCSR("a.csr", csr)
	if err != nil {
		l.t.Fatal(err)
	}
	all, err := l.ca.Issue(parsed, l.now, 90*time.Hour)
	if err != nil {
		l.t.Fatal(err)
	}
	if key, err = EncodeKey(signer, nil); err != nil {
		l.t.Fatal(err)
	}
	return PEM(all), key
}

// Readers never find one of each, in two files or one; nor does who reads after the run was killed, at any moment.
func TestInstallWhileRead(t *testing.T) {
	t.Parallel()
	for _, oneFile := range []bool{false, true} {
		dir := t.TempDir()
		src := keys.Source{Certificate: filepath.Join(dir, "a.pem"), PrivateKey: filepath.Join(dir, "a.key")}
		if oneFile {
			src.PrivateKey = ""
		}
		l := newLab(t)
		chain, key := l.pair()
		if err := Install(src.Certificate, src.PrivateKey, chain, nil, key); err != nil {
			t.Fatal(err)
		}
		if !oneFile { // as a certificate in DER, which can't be joined with others as it is
			block, _ := pem.Decode(chain)
			if err := os.WriteFile(src.Certificate, block.Bytes, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan struct{})
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for reads := 0; ; reads++ {
					select {
					case <-done:
						if reads == 0 {
							t.Error("nothing was read meanwhile")
						}
						return
					default:
					}
					if _, err := keys.Open(t.Context(), src); err != nil {
						t.Errorf("read while it was replaced: %v", err)
						return
					}
				}
			})
		}
		for range 100 {
			old := chain
			chain, key = l.pair()
			if err := Install(src.Certificate, src.PrivateKey, chain, old, key); err != nil {
				t.Fatal(err)
			}
		}
		close(done)
		readers.Wait()
		data, err := os.ReadFile(src.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		if want := string(chain); !oneFile && len(data) > len(want)+50 {
			t.Errorf("the old certificate was left in the file:\n%s", data)
		}
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	c := &x509.Certificate{NotBefore: now.Add(-60 * time.Hour), NotAfter: now.Add(30 * time.Hour)} // a third of 90 h is left
	for _, row := range []struct {
		before time.Duration
		at     time.Time
		want   bool
	}{
		{0, now, false}, {0, now.Add(time.Second), true}, {29 * time.Hour, now, false}, {31 * time.Hour, now, true},
		{time.Hour, now.Add(31 * time.Hour), true},
	} {
		if got := Due(c, row.at, row.before); got != row.want {
			t.Errorf("Due at %s before %s: got %t", row.at, row.before, got)
		}
	}
}

func TestRequestCheck(t *testing.T) {
	t.Parallel()
	long := string(make([]byte, 65))
	for name, r := range map[string]Request{
		"no subject":        {},
		"a long name":       {Subject: pkix.Name{CommonName: long}},
		"a control":         {Subject: pkix.Name{CommonName: "a\nb"}},
		"no country":        {Subject: pkix.Name{CommonName: "a", Country: []string{"CHE"}}},
		"a space in DNS":    {Subject: pkix.Name{CommonName: "a"}, DNSNames: []string{"a b"}},
		"no e-mail address": {Subject: pkix.Name{CommonName: "a"}, EmailAddresses: []string{"A <a@b.c>"}},
	} {
		if err := r.Check(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSourceIdentity(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	name := func(n int) string {
		return SourceIdentity(&x509.Certificate{Subject: pkix.Name{CommonName: string(make([]byte, n))}, SerialNumber: l.ca.Certificate.SerialNumber})
	}
	for n, want := range map[int]int{1: 4, 61: 64, 62: 62, 64: 64} {
		if got := len(name(n)); got != want {
			t.Errorf("CN of %d characters: source identity of %d, want %d", n, got, want)
		}
	}
	if got, want := name(0), "ID="+SessionName(l.ca.Certificate); got != want {
		t.Errorf("no CN: %q, want %q", got, want)
	}
}

func TestCheckRenewal(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	now := l.now
	cert := func(cn, issuer string, end time.Duration) *x509.Certificate {
		raw := func(cn string) []byte {
			der, err := Request{Subject: pkix.Name{CommonName: cn}}.subject()
			if err != nil {
				t.Fatal(err)
			}
			return der
		}
		return &x509.Certificate{RawSubject: raw(cn), RawIssuer: raw(issuer), NotAfter: now.Add(end)}
	}
	const day = 24 * time.Hour
	old := cert("alice", "ca", 30*day)
	for name, c := range map[string]struct {
		old, renewed *x509.Certificate
		wanted       time.Duration
		refused      bool
		warnings     int
	}{
		"longer":                     {old, cert("alice", "ca", 90*day), 90 * day, false, 0},
		"another subject":            {old, cert("alicia", "ca", 90*day), 90 * day, true, 0},
		"of another CA":              {old, cert("alice", "ca 2", 90*day), 90 * day, false, 1},
		"cut short by the CA's end":  {old, cert("alice", "ca", 5*day), 90 * day, true, 0},
		"shorter, as was asked for":  {old, cert("alice", "ca", 5*day), 5 * day, false, 0},
		"cut short, but old expired": {cert("alice", "ca", -day), cert("alice", "ca", 5*day), 90 * day, false, 0},
		"to the same end":            {old, cert("alice", "ca", 30*day), 90 * day, false, 0},
	} {
		if err := CheckRenewal(c.old, c.renewed, now.Add(c.wanted), now); (err != nil) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
		if w := RenewalWarnings(c.old, c.renewed); !c.refused && len(w) != c.warnings {
			t.Errorf("%s: %q", name, w)
		}
	}
}

// A pair of which one file can't be replaced as it is stays as it is.
func TestInstallThatIsRefused(t *testing.T) {
	t.Parallel()
	for _, refused := range []string{"a.key", "a.pem"} {
		dir := t.TempDir()
		certificate, private := filepath.Join(dir, "a.pem"), filepath.Join(dir, "a.key")
		l := newLab(t)
		chain, key := l.pair()
		if err := Install(certificate, private, chain, nil, key); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(filepath.Join(dir, refused), filepath.Join(dir, "second")); err != nil {
			t.Skip(err)
		}
		chainNew, keyNew := l.pair()
		err := Install(certificate, private, chainNew, nil, keyNew)
		if runtime.GOOS != "windows" && (err == nil || !strings.Contains(err.Error(), "hard links")) {
			t.Errorf("%s: %v", refused, err)
		}
		for path, want := range map[string][]byte{certificate: chain, private: key} {
			if data, err := os.ReadFile(path); runtime.GOOS != "windows" && (err != nil || !bytes.Equal(data, want)) {
				t.Errorf("%s: %s was changed: %v", refused, filepath.Base(path), err)
			}
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
			t.Errorf("%s: %v, %v", refused, entries, err)
		}
	}
}
