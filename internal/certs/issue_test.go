package certs

import (
	"crypto/x509/pkix"
	"strings"
	"testing"
	"time"
)

func TestParseChain(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	key := func() (csr []byte) {
		k, err := NewKey("p256")
		if err != nil {
			t.Fatal(err)
		}
		if csr, err = (Request{Subject: pkix.Name{CommonName: "alice"}}).CSR(k); err != nil {
			t.Fatal(err)
		}
		return csr
	}
	caKey, err := NewKey("p256")
	if err != nil {
		t.Fatal(err)
	}
	root, err := NewCA(Request{Subject: pkix.Name{CommonName: "Lab CA"}}, caKey, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	own, err := ParseCSR("a.csr", key())
	if err != nil {
		t.Fatal(err)
	}
	other, err := ParseCSR("a.csr", key())
	if err != nil {
		t.Fatal(err)
	}
	chain, err := CA{Certificate: root, Signer: caKey}.Issue(own, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	above := PEM(append(chain[1:], root))
	if got, err := ParseChain(own, PEM(chain[:1]), above); err != nil || len(got) != 1 || !got[0].Equal(chain[0]) {
		t.Errorf("got %d certificates, %v; want the leaf without the root", len(got), err)
	}
	if _, err := ParseChain(other, PEM(chain[:1]), above); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("a certificate for another key: %v", err)
	}
	if _, err := ParseChain(own, nil, nil); err == nil {
		t.Error("an empty answer is taken")
	}
}
