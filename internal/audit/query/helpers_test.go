package query_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/eks-x509/eks-x509/internal/audit"
	"github.com/eks-x509/eks-x509/internal/audit/query"
	"github.com/eks-x509/eks-x509/internal/awsapi"
	"github.com/eks-x509/eks-x509/internal/sandbox"
	"github.com/eks-x509/eks-x509/pkg/ekstoken"
	"github.com/eks-x509/eks-x509/pkg/x509creds"
)

// template holds the files of a new sandbox: an RSA key takes time to find.
var template = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "query-test-*")
	if err != nil {
		return "", err
	}
	_, err = sandbox.New(sandbox.Options{Dir: dir})
	return dir, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := template(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// world is a sandbox and an administrator who asks it, on one clock that only
// waiting moves.
type world struct {
	t *testing.T
	s *sandbox.Sandbox
	// before is called before each request; it may end the test's run.
	before func(*http.Request)
	client *http.Client
	admin  aws.Credentials
	lines  []string // of progress and warnings
	waits  []time.Duration

	mu  sync.Mutex
	now time.Time
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.before != nil {
		w.before(r)
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.client.Transport.RoundTrip(r)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	from, err := template()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, now: time.Now().Truncate(time.Second)}
	if w.s, err = sandbox.New(sandbox.Options{Dir: dir, Now: w.clock}); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		w.client.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-w.s.Ready()
	roots := x509.NewCertPool()
	roots.AddCert(w.s.Authority().TLS.Certificate)
	w.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	text, err := os.ReadFile(filepath.Join(dir, "aws-credentials"))
	if err != nil {
		t.Fatal(err)
	}
	field := func(name string) string {
		return regexp.MustCompile(name + ` = (\S+)`).FindStringSubmatch(string(text))[1]
	}
	w.admin = aws.Credentials{AccessKeyID: field("aws_access_key_id"), SecretAccessKey: field("aws_secret_access_key")}
	return w
}

func (w *world) tools() query.Tools {
	return query.Tools{
		Client: awsapi.Client{
			HTTP: &http.Client{Transport: w}, Credentials: w.admin, Region: "us-east-1", Endpoint: func(string) string { return w.s.URL() }, UserAgent: "test", Now: w.clock,
		},
		Wait: func(ctx context.Context, d time.Duration) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			w.waits = append(w.waits, d)
			w.advance(d)
			return nil
		},
		Progress: func(line string) { w.lines = append(w.lines, line) },
		Warn:     func(line string) { w.lines = append(w.lines, "warning: "+line) },
	}
}

// said are the lines for a person.
func (w *world) said() string { return strings.Join(w.lines, "\n") }

// session makes one with the client's certificate.
func (w *world) session() aws.Credentials {
	w.t.Helper()
	a, world := w.s.Authority(), w.s.World()
	provider := x509creds.New(a.Client.Key, append([]*x509.Certificate{a.Client.Certificate}, a.Client.Chain...), func(o *x509creds.Options) {
		o.TrustAnchorARN, o.ProfileARN, o.RoleARN = world.TrustAnchors[0].ARN, world.Profiles[0].ARN, world.Roles[0].ARN
		o.Region, o.Endpoint, o.HTTPClient, o.Now = world.Region, w.s.URL(), w.client, w.clock
	})
	creds, err := provider.Retrieve(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return creds
}

// do does something in the cluster.
func (w *world) do(creds aws.Credentials, method, path string) {
	w.t.Helper()
	token, err := ekstoken.New(creds, ekstoken.Options{Cluster: "sandbox", Region: "us-east-1", SignedAt: w.clock()})
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.s.URL()+"/k8s/sandbox"+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token.Value)
	response, err := w.client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	response.Body.Close()
}

// count is how many requests of the operation the sandbox had, and how many it
// throttled.
func (w *world) count(operation string) (all, throttled int) {
	for _, e := range w.s.Requests() {
		if e.Operation == operation {
			all++
			if e.Code == "ThrottlingException" {
				throttled++
			}
		}
	}
	return all, throttled
}

// what is all from an hour ago on.
func (w *world) what(f audit.Filter) query.What {
	f.Since, f.Until = w.clock().Add(-time.Hour), w.clock()
	return query.What{Filter: f}
}

// collect takes lines until the end or an error.
func collect(lines func(func([]byte, error) bool)) (all []string, err error) {
	for line, err := range lines {
		if err != nil {
			return all, err
		}
		all = append(all, string(line))
	}
	return all, nil
}

func fileLines(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) || len(data) == 0 {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

// ids are one field of each line.
func ids(t *testing.T, lines []string, field string) []string {
	t.Helper()
	var all []string
	for _, line := range lines {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, e[field].(string))
	}
	return all
}
