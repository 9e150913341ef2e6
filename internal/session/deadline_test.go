package session

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/eks-x509/eks-x509/internal/awsapi"
	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/pkg/x509creds"
)

// stall is a server, or a proxy, that goes so far and no further.
type stall struct {
	scheme string
	proxy  bool
	// dial may stand for the connection itself.
	dial func(ctx context.Context) error
	// serve has the connection until it is closed.
	serve func(net.Conn)
	fast  bool // refused at once, not by a deadline
}

const okHeader = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

func readAll(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// every writes text once a second, for ever.
func every(c net.Conn, text string) {
	for {
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

func flood(c net.Conn, text string) {
	for {
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
	}
}

// after reads a request, answers with the text and goes on.
func after(text string, then func(net.Conn, string), more string) func(net.Conn) {
	return func(c net.Conn) {
		if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil && r.Body != nil {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		go readAll(c)
		_, _ = io.WriteString(c, text)
		if then != nil {
			then(c, more)
		}
	}
}

func stalls() map[string]stall {
	return map[string]stall{
		"connection": {scheme: "https", dial: func(context.Context) error { // as net.Dialer with a timeout does
			time.Sleep(x509creds.ConnectTimeout)
			return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}, Err: os.ErrDeadlineExceeded}
		}},
		"nothing is read": {scheme: "http", serve: func(net.Conn) {}},
		"TLS":             {scheme: "https", serve: readAll},
		"half of a TLS hello": {scheme: "https", serve: func(c net.Conn) {
			go readAll(c)
			_, _ = io.WriteString(c, "\x16\x03\x03\x40")
		}},
		"a dripping TLS hello": {scheme: "https", serve: func(c net.Conn) {
			go readAll(c)
			_, _ = io.WriteString(c, "\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb")
			every(c, "\x00")
		}},
		"no answer":             {scheme: "http", serve: readAll},
		"half of a status line": {scheme: "http", serve: after("HTTP/1.1 2", nil, "")},
		"half of the headers":   {scheme: "http", serve: after(okHeader+"X-A: ", nil, "")},
		"dripping headers":      {scheme: "http", serve: after(okHeader, every, "X-A: b\r\n")},
		"a flood of headers":    {scheme: "http", serve: after(okHeader, flood, "X-A: "+strings.Repeat("a", 1000)+"\r\n"), fast: true},
		"one endless header":    {scheme: "http", serve: after(okHeader+"X-A: ", flood, strings.Repeat("a", 1000)), fast: true},
		"dripping 1xx":          {scheme: "http", serve: after("", every, "HTTP/1.1 103 Early Hints\r\n\r\n")},
		"a flood of 1xx":        {scheme: "http", serve: after("", flood, "HTTP/1.1 103 Early Hints\r\n\r\n"), fast: true},
		"no body":               {scheme: "http", serve: after(okHeader+"Content-Length: 100\r\n\r\n", nil, "")},
		"a dripping body":       {scheme: "http", serve: after(okHeader+"\r\n", every, " ")},
		"dripping chunks":       {scheme: "http", serve: after(okHeader+"Transfer-Encoding: chunked\r\n\r\n", every, "1\r\n \r\n")},
		"half of a trailer":     {scheme: "http", serve: after(okHeader+"Transfer-Encoding: chunked\r\n\r\n0\r\nX-A: ", nil, "")},
		"an error's body":       {scheme: "http", serve: after("HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\n{", nil, "")},
		"a proxy's answer":      {scheme: "https", proxy: true, serve: readAll},
		"a proxy's headers":     {scheme: "https", proxy: true, serve: after("HTTP/1.1 200 OK\r\n", every, "X-A: b\r\n")},
		"a proxy's flood":       {scheme: "https", proxy: true, serve: after("HTTP/1.1 200 OK\r\n", flood, "X-A: "+strings.Repeat("a", 1000)+"\r\n"), fast: true},
		"TLS behind a proxy":    {scheme: "https", proxy: true, serve: after("HTTP/1.1 200 OK\r\n\r\n", nil, "")},
	}
}

const stalledHost = "aws.test"

// rig leads a client's connections to the stall.
type rig struct {
	stall
	mu       sync.Mutex
	conns    []net.Conn
	notices  []string
	attempts int
}

func (r *rig) notice(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notices = append(r.notices, line)
}

func (r *rig) lead(transport *http.Transport) {
	dialer := transport.DialContext
	if dialer == nil {
		panic("no dialer with a timeout")
	}
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		r.mu.Lock()
		r.attempts++
		r.mu.Unlock()
		if r.dial != nil {
			return nil, r.dial(ctx) // not under the lock: in a bubble, time stands still for who waits for one
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		client, server := net.Pipe()
		r.conns = append(r.conns, client, server)
		go r.serve(server)
		return client, nil
	}
	if r.scheme == "http" { // a cluster is asked by https alone: what comes behind the handshake is told without one
		transport.DialTLSContext = transport.DialContext
	}
}

func (r *rig) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
}

func (r *rig) proxyURL(*http.Request) (*url.URL, error) {
	if r.proxy {
		return url.Parse("http://proxy.test:3128")
	}
	return nil, nil
}

func (r *rig) client(t *testing.T) *http.Client {
	t.Helper()
	c, err := HTTPClient(config.Config{Proxy: r.proxyURL}, nil, nil, r.notice)
	if err != nil {
		t.Fatal(err)
	}
	r.lead(c.Transport.(*watched).next.(*http.Transport))
	return c
}

func (r *rig) aws(t *testing.T) awsapi.Client {
	base := r.scheme + "://" + stalledHost
	return awsapi.Client{
		HTTP: r.client(t), Credentials: aws.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "x"}, Region: "us-east-1", Now: time.Now,
		STSEndpoint: base, EKSEndpoint: base, Endpoint: func(string) string { return base },
	}
}

func (r *rig) kube() awsapi.KubeAPI {
	return awsapi.KubeAPI{Server: "https://" + stalledHost, Proxy: r.proxyURL, Now: time.Now, Watch: func(next http.RoundTripper) http.RoundTripper {
		r.lead(next.(*http.Transport))
		return Watch(next, nil, r.notice)
	}}
}

// boundedCall is one kind of call, and the most time that it may take.
type boundedCall struct {
	most time.Duration
	make func(context.Context, *testing.T, *rig) error
}

func calls() map[string]boundedCall {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "t"}}, &x509.Certificate{}, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return map[string]boundedCall{
		"CreateSession": {20 * time.Second, func(ctx context.Context, t *testing.T, r *rig) error {
			_, err := x509creds.New(key, []*x509.Certificate{leaf}, func(o *x509creds.Options) {
				o.Region, o.HTTPClient, o.Endpoint = "us-east-1", r.client(t), r.scheme+"://"+stalledHost
			}).Retrieve(ctx)
			return err
		}},
		"GetCallerIdentity": {20 * time.Second, func(ctx context.Context, t *testing.T, r *rig) error {
			_, err := r.aws(t).CallerIdentity(ctx)
			return err
		}},
		"DescribeCluster": {20 * time.Second, func(ctx context.Context, t *testing.T, r *rig) error {
			_, err := r.aws(t).DescribeCluster(ctx, "x")
			return err
		}},
		"a cluster": {20 * time.Second, func(ctx context.Context, _ *testing.T, r *rig) error { _, err := r.kube().WhoAmI(ctx); return err }},
		"a cluster's version": {20 * time.Second, func(ctx context.Context, _ *testing.T, r *rig) error {
			_, err := r.kube().Version(ctx)
			return err
		}},
		"CloudFormation": {time.Minute, func(ctx context.Context, t *testing.T, r *rig) error {
			return r.aws(t).CloudFormation(ctx, "DescribeStacks", url.Values{}, &struct{}{})
		}},
		"Private CA": {time.Minute, func(ctx context.Context, t *testing.T, r *rig) error {
			return r.aws(t).PrivateCA(ctx, "GetCertificate", struct{}{}, &struct{}{})
		}},
		"ListTrustAnchors": {time.Minute, func(ctx context.Context, t *testing.T, r *rig) error {
			_, err := r.aws(t).TrustAnchors(ctx)
			return err
		}},
		"a page of a log": {2 * time.Minute, func(ctx context.Context, t *testing.T, r *rig) error {
			c := r.aws(t)
			c.MaxAnswer = 256 << 20
			return c.JSON(ctx, awsapi.JSONService{Name: "Athena", Host: "athena", Target: "AmazonAthena"}, "GetQueryResults", struct{}{}, &struct{}{})
		}},
	}
}

// Whatever server or proxy comes to a halt at, each kind of call ends in time,
// more than one attempt was made, the error names the host and the time, and the
// person was told once what is waited for.
func TestEveryCallHasADeadline(t *testing.T) {
	t.Parallel()
	for call, c := range calls() {
		for name, s := range stalls() {
			t.Run(call+"/"+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					r := &rig{stall: s}
					defer r.close()
					start := time.Now()
					err := c.make(context.Background(), t, r)
					took := time.Since(start)
					if err == nil {
						t.Fatal("no error")
					}
					r.close()
					time.Sleep(2 * time.Minute) // a CONNECT goes on behind the scenes for a minute
					checkUnreachable(t, err)
					if took > c.most {
						t.Errorf("took %s, at most %s is allowed", took, c.most)
					}
					if s.fast {
						return
					}
					if !strings.Contains(err.Error(), stalledHost) || !strings.Contains(err.Error(), " within ") && !strings.Contains(err.Error(), " after ") {
						t.Errorf("the error does not say who was waited for, and for how long: %v", err)
					}
					if r.attempts < 2 {
						t.Errorf("%d attempts in %s", r.attempts, took)
					}
					if want := []string{"waiting for " + stalledHost}; took < noticeAgain && !slices.Equal(r.notices, want) || len(r.notices) == 0 {
						t.Errorf("notices %q, want %q", r.notices, want)
					}
				})
			})
		}
	}
}

func checkUnreachable(t *testing.T, err error) {
	t.Helper()
	if e, ok := errors.AsType[*awsapi.Error](err); ok && e.Kind == awsapi.Refused {
		t.Errorf("taken for AWS's refusal: %v", err)
	}
	if e, ok := errors.AsType[*x509creds.Error](err); ok && e.Kind == x509creds.Refused {
		t.Errorf("taken for AWS's refusal: %v", err)
	}
}

// A call that is slow, and within its time, is told of and succeeds; a quick one
// is not told of.
func TestSlowCallIsToldOf(t *testing.T) {
	t.Parallel()
	for delay, want := range map[time.Duration][]string{0: nil, 1900 * time.Millisecond: nil, 5 * time.Second: {"waiting for " + stalledHost}} {
		for _, inBody := range []bool{false, true} {
			t.Run(fmt.Sprint(delay, inBody), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					const version = `{"gitVersion":"v1.34.2"}`
					head := fmt.Sprintf("%sContent-Length: %d\r\n\r\n", okHeader, len(version))
					r := &rig{stall: stall{scheme: "http", serve: func(c net.Conn) {
						go readAll(c)
						first, rest := "", head+version
						if inBody {
							first, rest = head, version
						}
						_, _ = io.WriteString(c, first)
						time.Sleep(delay)
						_, _ = io.WriteString(c, rest)
					}}}
					defer r.close()
					got, err := r.kube().Version(context.Background())
					if err != nil || got != "v1.34.2" {
						t.Errorf("got %q, %v", got, err)
					}
					time.Sleep(time.Minute)
					if !slices.Equal(r.notices, want) {
						t.Errorf("notices %q, want %q", r.notices, want)
					}
				})
			})
		}
	}
}

// The caller's own end is not told as the call's.
func TestCallersEnd(t *testing.T) {
	t.Parallel()
	for call, c := range calls() {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &rig{stall: stalls()["no answer"]}
				defer r.close()
				ctx, cancel := context.WithCancel(context.Background())
				time.AfterFunc(time.Second, cancel)
				start := time.Now()
				if err := c.make(ctx, t, r); !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
					t.Errorf("canceled: %v after %s", err, time.Since(start))
				}
				ctx, cancel = context.WithTimeout(context.Background(), 3*time.Second)
				defer cancel()
				if err := c.make(ctx, t, r); !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "within") {
					t.Errorf("the caller's deadline: %v", err)
				}
			})
		})
	}
}
