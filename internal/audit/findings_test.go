package audit

import (
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

func TestFindings(t *testing.T) {
	t.Parallel()
	ca, leaf := pair(t, "alice") // good until 13:00
	_, other := pair(t, "bob")
	number := serial(leaf.Certificate.SerialNumber)
	with := func(p []byte, address string) func(m) {
		return func(e m) {
			e["requestParameters"].(m)["cert"] = base64.StdEncoding.EncodeToString(p)
			e["sourceIPAddress"] = address
		}
	}
	raw := leaf.Certificate.Raw
	trail := lines(t,
		created("ASIA1", number, "alice", at(0), with(raw, "198.51.100.1")),
		created("ASIA2", "000"+strings.ToUpper(number), "alice", at(50), with(raw, "198.51.100.2")),
		created("ASIA3", "admin", "alice", at(55), with(raw, "198.51.100.3")),
		created("ASIA4", "admin", "alice", at(56), with(raw, "198.51.100.3")),
		created("ASIA5", serial(other.Certificate.SerialNumber), "alice", at(57), with(raw, "198.51.100.3")),
		created("ASIAB", serial(other.Certificate.SerialNumber), "bob", at(0), with(other.Certificate.Raw, "198.51.100.9")),
		created("ASIAN", "whatever", "nobody", at(0), nil),
	)
	var events []m
	for i := range 25 { // ten a minute, but for the last five
		when := at(1).Add(time.Duration(i) * 6 * time.Second)
		if i >= 20 {
			when = at(20 + i)
		}
		events = append(events, did(fmt.Sprint("deny", i), "ASIAB", "", "", when, forbidden))
	}
	events = append(events,
		did("a", "ASIA1", "", "", at(10), nil), did("b", "ASIA1", "", "", at(11), func(e m) { e["sourceIPs"] = []any{"203.0.113.99", "10.0.0.1"} }),
		did("c", "ASIA2", "", "", at(55), nil), did("late", "ASIA2", "", "", at(61), nil), did("later", "ASIA2", "", "", at(62), nil))
	crl, err := ca.CRL([]*big.Int{leaf.Certificate.SerialNumber}, at(52))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(crl)
	for _, form := range [][]byte{crl, append([]byte("a comment\n"), crl...), block.Bytes} {
		revoked := Revoked{}
		err := revoked.AddCRL(form)
		for _, issuer := range []string{name(ca.Certificate.RawSubject), ""} { // "": CloudTrail did not tell
			if at52, ok := revoked.at(Certificate{Subject: "CN=alice", Issuer: issuer, Serial: number}); err != nil || !ok || !at52.Equal(at(52)) {
				t.Fatalf("%v %v", revoked, err)
			}
		}
		if _, ok := revoked.at(Certificate{Issuer: "CN=another", Serial: number}); ok {
			t.Error("revoked by another issuer")
		}
	}
	revoked := Revoked{}
	later, err := ca.CRL([]*big.Int{leaf.Certificate.SerialNumber}, at(53))
	for _, list := range [][]byte{later, crl, later} { // the first counts
		if err := errors.Join(err, revoked.AddCRL(list)); err != nil {
			t.Fatal(err)
		}
	}
	r := audit(t, log(trail), log(lines(t, events...)), Options{Revoked: revoked})
	var got []string
	for _, f := range findingsOf(t, r) {
		got = append(got, fmt.Sprint(f.Time.Format("15:04:05 "), f.Kind, " ", f.Subject, " ", f.AccessKeyIDs, " ", strings.ReplaceAll(strings.ReplaceAll(f.Detail, number, "SERIAL"), serial(other.Certificate.SerialNumber), "OTHER")))
	}
	equal(t, "findings", got, []string{
		"12:01:00 denied-burst CN=bob [ASIAB] 20 actions denied at a rate of 10 or more in a minute, until 2026-11-24T12:02:54Z",
		"12:11:00 access-key-from-two-addresses CN=alice [ASIA1] one access key from 2 addresses as the API server saw them: 203.0.113.5, 203.0.113.99",
		"12:55:00 action-after-revocation CN=alice [ASIA2] 3 actions after the certificate was revoked at 2026-11-24T12:52:00Z",
		"12:55:00 certificate-from-many-addresses CN=alice [ASIA1 ASIA2 ASIA3] sessions were asked for from 3 addresses: 198.51.100.1, 198.51.100.2, 198.51.100.3",
		`12:55:00 session-name-is-not-serial CN=alice [ASIA3 ASIA4] 2 sessions named "admin", which is not the certificate's serial number SERIAL: whoever asked chose the name`,
		`12:57:00 session-name-is-not-serial CN=alice [ASIA5] 1 session named "OTHER", which is not the certificate's serial number SERIAL: whoever asked chose the name; it is the serial number of the certificate of CN=bob`,
		"13:01:00 action-after-certificate-end CN=alice [ASIA2] 2 actions after the certificate's end at 2026-11-24T13:00:00Z",
	})
	// The same whatever the order.
	again := audit(t, log(trail), log(lines(t, events[20:]...), lines(t, events[:20]...)), Options{Revoked: revoked, Workers: 3})
	equal(t, "out of order", told(t, again), told(t, r))
}

func TestAddCRL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "malformed CRL: ", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n": "no CRL found", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n": "malformed CRL: "} {
		if err := (Revoked{}).AddCRL([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSerials(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"00:C8:a3": "c8a3", "0x1": "01", "0": "00", "": "", "xyz": "", " 0a ": "0a"} {
		if got, _ := hexSerial(in); got != want {
			t.Errorf("hexSerial(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"00c8": "c8", "deadbeef": "", "i-0123": "", "1a2b3c4d5e6f708192": "1a2b3c4d5e6f708192", "ada": "", strings.Repeat("1", 41): ""} {
		if got := likeSerial(in); got != want {
			t.Errorf("likeSerial(%q) = %q, want %q", in, got, want)
		}
	}
}
