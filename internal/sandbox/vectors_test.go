package sandbox

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const vectorDir = "../../testdata/vectors"

// vectorWorld is the account that the recorded requests were made for.
func vectorWorld(t *testing.T) *World {
	t.Helper()
	ca, err := os.ReadFile(filepath.Join(vectorDir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	const anchor = "arn:aws:rolesanywhere:us-east-1:123456789012:trust-anchor/t"
	const profile = "arn:aws:rolesanywhere:us-east-1:123456789012:profile/p"
	const role = "arn:aws:iam::123456789012:role/path/r"
	w := &World{
		Account: "123456789012", Region: "us-east-1",
		TrustAnchors: []TrustAnchor{{ARN: anchor, Name: "t", Enabled: true, Certificates: []string{string(ca)}}},
		Profiles:     []Profile{{ARN: profile, Name: "p", Enabled: true, RoleARNs: []string{role}, DurationSeconds: 3600, AcceptRoleSessionName: true}},
		Roles:        []Role{{ARN: role, RoleID: "AROAVECTOR", MaxSessionDuration: 3600, Trusted: true}},
	}
	if err := w.validate(); err != nil {
		t.Fatal(err)
	}
	return w
}

func verifyRaw(v Verifier, raw []byte) (*Grant, error) {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		return nil, err
	}
	return v.CreateSession(r)
}

func vectors(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(vectorDir, "*.http"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%d vectors found (%v)", len(files), err)
	}
	all := map[string][]byte{}
	for _, file := range files {
		if all[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// The vectors are raw requests of AWS's own helper.
func TestVectorsVerify(t *testing.T) {
	t.Parallel()
	v := Verifier{World: vectorWorld(t), Now: time.Date(2026, 11, 23, 19, 48, 33, 0, time.UTC), Host: "127.0.0.1:18091"}
	for name, raw := range vectors(t) {
		g, err := verifyRaw(v, raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if name == "rsa-chain-sessionname.http" && g.SessionName != "alice@example.com" || g.Duration != time.Hour || g.Tags["x509Subject/O"] != "Org" {
			t.Errorf("%s: %+v", name, g)
		}
	}
	for _, skew := range []time.Duration{-5*time.Minute - time.Second, 5*time.Minute + time.Second} {
		late := v
		late.Now = v.Now.Add(skew)
		var r *Refusal
		if _, err := verifyRaw(late, vectors(t)["rsa.http"]); !errors.As(err, &r) || r.Code != "AccessDeniedException" || r.Message[:10] != "Signature " {
			t.Errorf("skew %v: %v", skew, err)
		}
	}
}

// unsigned tells which bytes of a raw request may change: the lines of User-Agent, Content-Length and Accept-Encoding, which the
// helper does not sign, and the HTTP version. (A changed Content-Length changes the body, too, but is not itself signed.)
func unsigned(raw []byte) map[int]bool {
	free := map[int]bool{}
	mark := func(from, to int) {
		for i := from; i < to; i++ {
			free[i] = true
		}
	}
	end := bytes.Index(raw, []byte("\r\n"))
	mark(end-len("1.1"), end)
	for _, name := range []string{"User-Agent", "Content-Length", "Accept-Encoding"} {
		at := bytes.Index(raw, []byte("\r\n"+name+":")) + 2
		mark(at, at+bytes.Index(raw[at:], []byte("\r\n"))+1) // with its CR: after an unsigned value any byte will do
	}
	return free
}

// Whatever byte is changed, the signature no longer holds. The case of header names does not count (RFC 9110 §5.1).
func TestVectorsChangedInAnyByteDoNotVerify(t *testing.T) {
	t.Parallel()
	v := Verifier{World: vectorWorld(t), Now: time.Date(2026, 11, 23, 19, 48, 33, 0, time.UTC), Host: "127.0.0.1:18091"}
	for name, raw := range vectors(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			free := unsigned(raw)
			head := bytes.Index(raw, []byte("\r\n\r\n"))
			tried := 0
			for i := range raw {
				for _, mask := range []byte{0x01, 0x20, 0x80} {
					changed := bytes.Clone(raw)
					changed[i] ^= mask
					lineStart := bytes.LastIndexByte(raw[:i], '\n') + 1
					inName := i < head && lineStart > 0 && bytes.IndexByte(raw[lineStart:i+1], ':') < 0
					if free[i] || inName && mask == 0x20 && bytes.EqualFold(raw[i:i+1], changed[i:i+1]) {
						continue
					}
					tried++
					if _, err := verifyRaw(v, changed); err == nil {
						t.Errorf("byte %d, %q to %q near %q, still verifies", i, raw[i], changed[i], raw[max(0, i-20):min(len(raw), i+20)])
					}
				}
			}
			if tried < 2*len(raw) {
				t.Errorf("only %d changes tried on %d bytes", tried, len(raw))
			}
		})
	}
}
