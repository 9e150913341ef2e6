package sandbox

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// CONNECT mints a certificate for any name below AWS's domains; only so many stay.
func TestConnectNames(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	client := serve(t, s, true)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(read(t, s, "tls-ca.pem")))
	tunnel := func(host string) (string, error) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "https://"))
		if err != nil {
			return "", err
		}
		defer conn.Close()
		fmt.Fprintf(conn, "CONNECT %s:443 HTTP/1.1\r\nHost: x\r\n\r\n", host)
		r := bufio.NewReader(conn)
		line, err := r.ReadString('\n')
		if err != nil || !strings.Contains(line, " 200 ") {
			return strings.TrimSpace(line), err
		}
		_, _ = r.ReadString('\n')
		c := tls.Client(conn, &tls.Config{ServerName: host, RootCAs: pool})
		return strings.TrimSpace(line), c.HandshakeContext(t.Context())
	}
	for i := range maxMinted + 50 {
		if line, err := tunnel(fmt.Sprintf("name%d.us-east-1.amazonaws.com", i)); err != nil {
			t.Fatalf("%d: %s %v", i, line, err)
		}
	}
	size := func() int {
		s.minter.mu.Lock()
		defer s.minter.mu.Unlock()
		if len(s.minter.order) > maxMinted {
			t.Errorf("%d names in order", len(s.minter.order))
		}
		return len(s.minter.minted)
	}
	if n := size(); n > maxMinted+1 {
		t.Errorf("%d certificates are kept", n)
	}
	for range 3 { // one name in any case is one name
		for _, host := range []string{"STS.us-east-1.amazonaws.com", "sts.us-east-1.amazonaws.com", "Sts.US-east-1.amazonaws.com"} {
			if line, err := tunnel(host); err != nil {
				t.Errorf("%s: %s %v", host, line, err)
			}
		}
	}
	for _, name := range s.minter.order[:len(s.minter.order)-1] {
		if strings.HasPrefix(name, "sts.") {
			t.Errorf("%s is there more than once, or is not the latest", name)
		}
	}
	// A name that was dropped, and the loopback name, still work.
	if line, err := tunnel("name0.us-east-1.amazonaws.com"); err != nil {
		t.Errorf("%s %v", line, err)
	}
	if _, err := client.Get("https://sts.us-east-1.amazonaws.com/"); err != nil {
		t.Error(err)
	}
	for _, host := range []string{"a..amazonaws.com", "-.amazonaws.com", "a_b.amazonaws.com", "a%0a.amazonaws.com", strings.Repeat("a", 64) + ".amazonaws.com", strings.Repeat("a.", 130) + "amazonaws.com", "*.amazonaws.com", "a\x00.amazonaws.com", "é.amazonaws.com"} {
		before := size()
		if line, _ := tunnel(host); strings.Contains(line, " 200 ") || size() != before {
			t.Errorf("%q: %s", host, line)
		}
	}
}

// Nobody without credentials makes the memory grow by what they send.
func TestHistory(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	h := s.Handler("127.0.0.1")
	for i := range 1200 {
		r, err := http.NewRequest(http.MethodPost, "https://127.0.0.1/sessions", strings.NewReader("{"))
		if err != nil {
			t.Fatal(err)
		}
		r.RequestURI, r.RemoteAddr = "/sessions", "127.0.0.1:1"
		r.Header.Set("User-Agent", fmt.Sprint(i)+strings.Repeat("a", 60<<10))
		h.ServeHTTP(discard{}, r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	held := 0
	for _, e := range s.entries.items {
		held += len(e.UserAgent)
	}
	if held > maxKeptBytes || s.entries.bytes > maxKeptBytes || len(s.entries.items) != len(s.entries.sizes) || !strings.HasPrefix(s.entries.items[len(s.entries.items)-1].UserAgent, "1199a") {
		t.Errorf("%d entries hold %d bytes", len(s.entries.items), held)
	}
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

func TestLongTarget(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	client := serve(t, s, false)
	response, err := client.Get(s.URL() + "/k8s/sandbox/api?" + strings.Repeat("a", maxTarget))
	if err != nil {
		t.Fatal(err)
	}
	if body := readAll(t, response); response.StatusCode != http.StatusRequestURITooLong {
		t.Errorf("%d %s", response.StatusCode, body)
	}
}

// A connection beyond the limit waits until another is closed.
func TestConnections(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ln := &limited{inner, make(chan struct{}, 2), ctx.Done()}
	var open []net.Conn
	for range 2 {
		go net.Dial("tcp", inner.Addr().String())
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	accepted := make(chan error, 1)
	go func() {
		_, err := ln.Accept()
		accepted <- err
	}()
	go net.Dial("tcp", inner.Addr().String())
	if len(ln.slots) != 2 {
		t.Errorf("%d slots are taken", len(ln.slots))
	}
	open[0].Close()
	open[0].Close() // again frees nothing
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	if len(ln.slots) != 2 {
		t.Errorf("%d slots are taken", len(ln.slots))
	}
	cancel()
	if _, err := ln.Accept(); err == nil {
		t.Error("accepted after the end")
	}
}

func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	for i := range maxSessions + 10 {
		s.sessions[fmt.Sprint(i)] = &session{expires: noon.Add(time.Duration(i) * time.Second)}
	}
	for range 20 {
		s.issue(&Grant{Duration: 24 * time.Hour, tokenLength: 10, Role: Role{ARN: "arn:aws:iam::1:role/a"}}, noon)
	}
	if n := len(s.sessions); n > maxSessions+11 || s.sessions["0"] != nil || s.sessions[fmt.Sprint(maxSessions)] == nil || s.sessions[s.administrator.accessKeyID] == nil {
		t.Errorf("%d sessions", n)
	}
}

// A file that is full is not written to; nothing else stops.
func TestFullFile(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/log"
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, maxFile-3); err != nil { // sparse
		t.Skip(err)
	}
	if err := appendTo(path, []byte("ab\n")); err != nil {
		t.Error(err)
	}
	if err := appendTo(path, []byte("c\n")); !errors.Is(err, errFull) {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != maxFile {
		t.Errorf("%v %v", info, err)
	}
}
