package peers

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/aws-iam-authenticator/pkg/token"

	_ "github.com/eks-x509/eks-x509/internal/cli" // the test cache must see when the program that is built here has changed
	"github.com/eks-x509/eks-x509/internal/sandbox"
)

// shared is set before the tests run and not changed after.
var shared struct {
	binaries string
	sandbox  *testSandbox
	verifier token.Verifier // of the cluster "sandbox"
}

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// run leads every AWS host name to one sandbox: the authenticator's verifier uses http.DefaultTransport, and no option changes that.
func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "eks-x509-peers-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s, err := serveSandbox(ctx, filepath.Join(dir, "sandbox"))
	if err != nil {
		return 0, err
	}
	defer func() { cancel(); <-s.served }()
	shared.binaries, shared.sandbox = dir, s
	http.DefaultTransport = s.transport()
	shared.verifier = token.NewVerifier("sandbox", "aws", "us-east-1")
	return m.Run(), nil
}

// testSandbox is a sandbox that listens.
type testSandbox struct {
	*sandbox.Sandbox
	dir    string
	served chan error
}

func serveSandbox(ctx context.Context, dir string) (*testSandbox, error) {
	inner, err := sandbox.New(sandbox.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &testSandbox{inner, dir, make(chan error, 1)}
	go func() { s.served <- inner.Serve(ctx, ln) }()
	select {
	case <-inner.Ready():
		return s, nil
	case err := <-s.served:
		return nil, err
	}
}

func newSandbox(t *testing.T) *testSandbox {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s, err := serveSandbox(ctx, t.TempDir())
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-s.served; err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *testSandbox) proxy() string { return "http" + strings.TrimPrefix(s.URL(), "https") }

func (s *testSandbox) caBundle() string { return "AWS_CA_BUNDLE=" + filepath.Join(s.dir, "tls-ca.pem") }

// transport reaches the sandbox at its own name, and through it as a proxy at every other.
func (s *testSandbox) transport() *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = func(r *http.Request) (*url.URL, error) {
		if r.URL.Hostname() == "127.0.0.1" {
			return nil, nil
		}
		return url.Parse(s.proxy())
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Authority().TLS.Certificate)
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return transport
}

// eksX509 builds the program from the main module, with that module's dependencies.
var eksX509 = sync.OnceValues(func() (string, error) {
	path := filepath.Join(shared.binaries, "eks-x509")
	return path, build(filepath.Join("..", ".."), path, "./cmd/eks-x509")
})

// awsHelper builds aws_signing_helper from awshelper's go.mod.
var awsHelper = sync.OnceValues(func() (string, error) {
	path := filepath.Join(shared.binaries, "aws_signing_helper")
	if err := build("awshelper", path, "github.com/aws/rolesanywhere-credential-helper"); err != nil {
		return "", err
	}
	info, err := buildinfo.ReadFile(path)
	if err == nil && info.Main.Version != "v1.7.3" {
		err = fmt.Errorf("AWS's helper is of version %q", info.Main.Version)
	}
	return path, err
})

func build(dir, to, pkg string) error {
	cmd := exec.Command("go", "build", "-o", to, pkg)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", pkg, err, out)
	}
	return nil
}

func requireEKSX509(t *testing.T) string {
	t.Helper()
	path, err := eksX509()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func requireAWSHelper(t *testing.T) string {
	t.Helper()
	// Its PKCS#11 part does not build without cgo, which Go turns off where there is no C compiler.
	out, err := exec.Command("go", "env", "CGO_ENABLED").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(out)) != "1" {
		t.Skip("AWS's helper needs cgo: install a C compiler")
	}
	path, err := awsHelper()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

type result struct {
	code           int
	stdout, stderr string
}

// runProgram gives a program no more of the environment than what is said, and a home without ~/.aws.
func runProgram(t *testing.T, env []string, stdin string, path string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = slices.Concat([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "AWS_EC2_METADATA_DISABLED=true"}, env)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	response, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(data)
}
