package sandbox

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/eks-x509/eks-x509/internal/minica"
	"github.com/eks-x509/eks-x509/internal/safefile"
)

const (
	maxHeader       = 64 << 10 // a chain of five RSA-4096 certificates is about 14 KiB
	greetingTimeout = 10 * time.Second
	shutdownTimeout = 3 * time.Second
)

// Serve answers until ctx is done. The one port speaks TLS and, for clients that use it as HTTPS_PROXY, plain HTTP's CONNECT.
func (s *Sandbox) Serve(ctx context.Context, ln net.Listener) error {
	addr, ok := ln.Addr().(*net.TCPAddr)
	if !ok || !addr.IP.IsLoopback() {
		return fmt.Errorf("serving sandbox: %q is not a loopback address", ln.Addr())
	}
	if err := s.announce(ln.Addr().String()); err != nil {
		return fmt.Errorf("serving sandbox: %w", err)
	}
	defer func() { _ = safefile.Remove(s.path("ready")) }()
	port := ":" + strconv.Itoa(addr.Port)
	f := &front{
		s: s, loopback: newRealm(addr.String(), "127.0.0.1"+port, "localhost"+port, "[::1]"+port),
		conns: make(chan net.Conn), addr: ln.Addr(), done: make(chan struct{}),
	}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.serve(w, r, r.Context().Value(realmKey{}).(*realm))
		}),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, realmKey{}, c.(*tls.Conn).NetConn().(*frontConn).realm)
		},
		ReadHeaderTimeout: greetingTimeout,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(io.Discard, "", 0), // clients that don't trust the CA and the like
	}
	result := make(chan error, 2)
	go func() { result <- server.Serve(f) }()
	go func() { result <- f.accept(ctx, &limited{ln, make(chan struct{}, maxConnections), ctx.Done()}) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-result:
	}
	ln.Close()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if server.Shutdown(bounded) != nil {
		server.Close()
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// announce writes what depends on the port and, last, the file ready.
func (s *Sandbox) announce(addr string) error {
	s.mu.Lock()
	if s.url != "" {
		s.mu.Unlock()
		return errors.New("it has been served before")
	}
	s.url = "https://" + addr
	s.mu.Unlock()
	if err := s.writeEnv(); err != nil {
		return err
	}
	if err := safefile.Write(s.path("ready"), []byte(s.URL()+"\n")); err != nil {
		return err
	}
	close(s.ready)
	return nil
}

type realmKey struct{}

// front is the listener of the HTTP server: it hands on connections for which it is settled that they are TLS, and for which host.
type front struct {
	s        *Sandbox
	loopback *realm
	conns    chan net.Conn
	addr     net.Addr
	done     chan struct{}
	once     sync.Once
}

func (f *front) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.done:
		return nil, net.ErrClosed
	}
}

func (f *front) Close() error {
	f.once.Do(func() { close(f.done) })
	return nil
}

func (f *front) Addr() net.Addr { return f.addr }

func (f *front) accept(ctx context.Context, ln net.Listener) error {
	for {
		c, err := ln.Accept()
		if err != nil {
			return fmt.Errorf("serving sandbox: %w", err)
		}
		go f.greet(ctx, c)
	}
}

// frontConn is a connection of which some bytes have been read ahead.
type frontConn struct {
	net.Conn
	limit  *io.LimitedReader
	reader *bufio.Reader
	realm  *realm
}

func (c *frontConn) Read(p []byte) (int, error) { return c.reader.Read(p) }

// greet looks at the first byte: 22 begins a TLS handshake (RFC 8446 §5.1), all else is HTTP to a proxy.
func (f *front) greet(ctx context.Context, raw net.Conn) {
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	_ = raw.SetDeadline(time.Now().Add(greetingTimeout))
	c := &frontConn{Conn: raw, limit: &io.LimitedReader{R: raw, N: maxHeader}, realm: f.loopback}
	c.reader = bufio.NewReader(c.limit)
	first, err := c.reader.Peek(1)
	if err == nil && first[0] != 22 {
		c.realm, err = f.connect(c)
	}
	if !stop() || err != nil {
		raw.Close()
		return
	}
	c.limit.N = math.MaxInt64
	_ = raw.SetDeadline(time.Time{})
	select {
	case f.conns <- tls.Server(c, f.s.minter.config(c.realm)):
	case <-f.done:
		raw.Close()
	}
}

// connect answers a request to the port as a proxy; an error means that there is no tunnel.
func (f *front) connect(c *frontConn) (*realm, error) {
	r, err := http.ReadRequest(c.reader)
	if err != nil {
		return nil, err
	}
	status, text := http.StatusBadRequest, "this is the eks-x509 sandbox, which speaks HTTPS: use "+f.s.URL()+"\n"
	if r.Method == http.MethodConnect {
		host, port, err := net.SplitHostPort(r.Host)
		if err == nil && underAWS(host) {
			_, err = io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
			if port == "443" {
				return newRealm(host, r.Host), err
			}
			return newRealm(r.Host), err
		}
		status, text = http.StatusForbidden, "the eks-x509 sandbox is a proxy to AWS's hosts only\n"
	}
	now := f.s.now().UTC()
	f.s.record(Entry{Time: now, Operation: "-", Method: r.Method, Host: r.Host, Path: r.URL.EscapedPath(), Status: status, RequestID: newUUID(),
		Reason: "neither TLS nor CONNECT to a host of AWS"})
	fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), len(text), text)
	return nil, errors.New("no tunnel")
}

// minter makes server certificates when they are first needed.
type minter struct {
	ca *minica.Pair

	mu     sync.Mutex
	minted map[string]*tls.Certificate
	order  []string // of the names, the oldest first, without the loopback name
}

const loopbackName = "localhost"

func newMinter(ca *minica.Pair) (*minter, error) {
	m := &minter{ca: ca, minted: map[string]*tls.Certificate{}}
	_, err := m.certificate(loopbackName)
	return m, err
}

func (m *minter) config(at *realm) *tls.Config {
	name := loopbackName
	if at.aws {
		name = strings.ToLower(at.hosts[0])
		if host, _, err := net.SplitHostPort(name); err == nil {
			name = host
		}
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12, // AWS: TLS 1.2 or later
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return m.certificate(name) },
	}
}

func (m *minter) certificate(name string) (*tls.Certificate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.minted[name]; c != nil {
		return c, nil
	}
	t := minica.Leaf(name)
	t.Subject = pkix.Name{CommonName: "eks-x509 sandbox"}
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	t.DNSNames = []string{name}
	if name == loopbackName {
		t.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback}
	}
	// macOS takes no server certificate of more than 825 days.
	t.NotAfter = time.Now().AddDate(1, 0, 0)
	p, err := m.ca.Issue(t, nil)
	if err != nil {
		return nil, err
	}
	c := &tls.Certificate{Certificate: [][]byte{p.Certificate.Raw}, PrivateKey: p.Key, Leaf: p.Certificate}
	m.keepCertificate(name, c)
	return c, nil
}
