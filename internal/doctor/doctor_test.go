package doctor_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/eks-x509/eks-x509/internal/awsapi"
	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/doctor"
	"github.com/eks-x509/eks-x509/internal/minica"
	"github.com/eks-x509/eks-x509/internal/sandbox"
	"github.com/eks-x509/eks-x509/internal/session"
)

// template holds the files of a new sandbox: an RSA key takes time to find.
var template = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "doctor-test-*")
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

// patient is a person's machine, with a sandbox in place of AWS.
type patient struct {
	t     *testing.T
	s     *sandbox.Sandbox
	dir   string // the sandbox's
	home  string
	env   map[string]string
	flags map[string]string
	path  map[string]string // commands on PATH
	in    doctor.Input
}

func newPatient(t *testing.T) *patient {
	t.Helper()
	from, err := template()
	if err != nil {
		t.Fatal(err)
	}
	p := &patient{t: t, dir: t.TempDir(), home: t.TempDir(), env: map[string]string{}, flags: map[string]string{}}
	if err := os.CopyFS(p.dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"client.key", "client-chain.pem"} {
		p.chmod(filepath.Join(p.dir, name), 0o600)
	}
	p.chmod(p.dir, 0o700)
	if p.s, err = sandbox.New(sandbox.Options{Dir: p.dir}); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-p.s.Ready()
	for _, pair := range p.s.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		p.env[name] = value
	}
	for _, name := range []string{"AWS_ENDPOINT_URL", "KUBECONFIG", "AWS_CONFIG_FILE", "EKS_X509_CONFIG"} {
		delete(p.env, name)
	}
	p.env["HOME"], p.env["USERPROFILE"], p.env["EKS_X509_ENDPOINT"] = p.home, p.home, p.s.URL()

	kubectl := filepath.Join(p.home, "kubectl")
	us := p.write("eks-x509", "")
	p.chmod(us, 0o700)
	p.path = map[string]string{"kubectl": kubectl, "eks-x509": us}
	kubeconfig := p.write("kubeconfig", "")
	p.in = doctor.Input{
		Cluster:     "sandbox",
		Now:         time.Now,
		STSEndpoint: p.s.URL(), EKSEndpoint: p.s.URL(),
		Kubeconfig: []string{kubeconfig},
		KubeContexts: []doctor.KubeContext{{
			Name: "sandbox", File: kubeconfig, Server: p.s.URL() + "/k8s/sandbox", User: "sandbox", APIVersion: "client.authentication.k8s.io/v1beta1",
			Command: "eks-x509", InteractiveMode: "Never", Cluster: "sandbox", Ours: true, Current: true,
		}},
		RunCommand: func(context.Context, string, ...string) ([]byte, error) {
			return []byte(`{"clientVersion":{"major":"1","minor":"37","gitVersion":"v1.37.2"}}`), nil
		},
		Hint: hinted,
	}
	return p
}

func (p *patient) chmod(path string, mode os.FileMode) {
	p.t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		p.t.Fatal(err)
	}
}

// write makes a file in the person's home.
func (p *patient) write(name, text string) string {
	p.t.Helper()
	path := filepath.Join(p.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// self is the program.
func (p *patient) self() string { return filepath.Join(p.home, "eks-x509") }

// configure writes a configuration file and chooses it.
func (p *patient) configure(text string) {
	p.t.Helper()
	p.env["EKS_X509_CONFIG"] = p.write("config.yaml", text)
}

func (p *patient) lookPath(name string) (string, error) {
	if at, ok := p.path[name]; ok {
		return at, nil
	}
	if filepath.IsAbs(name) {
		return exec.LookPath(name)
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

// run does as the command will: it loads the configuration and looks.
func (p *patient) run() doctor.Report {
	getenv := func(name string) string { return p.env[name] }
	in := p.in
	if in.ConfigErr == nil {
		in.Config, in.ConfigErr = config.Load(p.flags, getenv)
	}
	in.ConfigFiles, in.Profile = config.Files(p.flags, getenv), in.Config.Profile
	in.Getenv, in.LookPath = getenv, p.lookPath
	for name := range p.env {
		in.Environ = append(in.Environ, name)
	}
	in.Session = session.Options{Log: zap.NewNop(), Now: in.Now, UserAgent: func() string { return "test" }, Warn: func(string) {}, Notice: func(string) {}}
	in.Client = func() (*http.Client, error) {
		data, err := os.ReadFile(in.Config.TLS.CABundle)
		if err != nil {
			return nil, err
		}
		return awsapi.KubeAPI{CA: data, Proxy: in.Config.Proxy}.Client()
	}
	return doctor.Run(p.t.Context(), in)
}

func (p *patient) fault(specs ...string) {
	p.t.Helper()
	faults, err := sandbox.ParseFaults(strings.Join(specs, "\n"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.s.SetFaults(faults)
}

func result(t *testing.T, r doctor.Report, name string) doctor.Result {
	t.Helper()
	i := slices.IndexFunc(r.Results, func(r doctor.Result) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("no check %q", name)
	}
	return r.Results[i]
}

func TestHealthy(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	r := p.run()
	if r.SchemaVersion != 1 || r.Class != "" || r.Status != doctor.OK {
		t.Errorf("report: %s %q", r.Status, r.Class)
	}
	for i, want := range doctor.Checks() {
		got := r.Results[i]
		if got.Name != want.Name || got.Status != doctor.OK || got.Found == "" || got.Why == "" || got.Remedy != "" {
			t.Errorf("%+v", got)
		}
	}
	for name, words := range map[string]string{
		"access": `"sandbox:`, "permissions": "may get pods, list namespaces", "identity": "assumed-role/eks-x509-sandbox/", "clock": "as AWS's",
		"Roles Anywhere endpoint": `TLS 1.3, certificate by "CN=eks-x509 sandbox TLS CA"`, "certificate": "CN=sandbox-client", "kubectl": "v1.37.2",
		"session duration": "1h0m0s, which is the profile's",
	} {
		if got := result(t, r, name); !strings.Contains(got.Found, words) {
			t.Errorf("%s: %q", name, got.Found)
		}
	}
	if created := slices.DeleteFunc(p.s.Requests(), func(e sandbox.Entry) bool { return e.Operation != "CreateSession" }); len(created) != 1 {
		t.Errorf("%d sessions made", len(created))
	}
	if entries, err := os.ReadDir(p.env["EKS_X509_CACHE_DIR"]); err == nil && len(entries) > 0 {
		t.Error("the session was kept")
	}
}

func TestOffline(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	p.in.Offline = true
	r := p.run()
	for _, one := range r.Results {
		if one.Status != doctor.OK {
			t.Errorf("%+v", one)
		}
	}
	if n := len(p.s.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// TestFailuresDoNotHideOthers: all local checks say something when there is no
// network, and what needs it says which check it misses.
func TestFailuresDoNotHideOthers(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	p.env["EKS_X509_ENDPOINT"] = "https://127.0.0.1:1"
	r := p.run()
	if r.Class != doctor.Unreachable || r.Status != doctor.Failed {
		t.Errorf("report: %s %q", r.Status, r.Class)
	}
	for name, want := range map[string]string{
		"session": "needs Roles Anywhere endpoint", "identity": "needs session", "permissions": "needs access",
	} {
		if got := result(t, r, name); got.Status != doctor.Skipped || got.Found != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := result(t, r, "kubeconfig"); got.Status != doctor.OK {
		t.Errorf("%+v", got)
	}
	if got := result(t, r, "STS endpoint"); got.Status != doctor.OK {
		t.Errorf("%+v", got)
	}
}

func TestNoCluster(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	p.in.Cluster, p.in.KubeContexts[0].Current = "", false
	r := p.run()
	if r.Status != doctor.Note || result(t, r, "token").Status != doctor.OK {
		t.Errorf("report: %+v", r)
	}
	if got := result(t, r, "cluster"); got.Status != doctor.Skipped || got.Found != "no cluster named (--cluster-name)" {
		t.Errorf("%+v", got)
	}
	p.in.KubeContexts[0].Current = true
	r = p.run()
	if got := result(t, r, "access"); r.Status != doctor.OK || got.Status != doctor.OK {
		t.Errorf("the current context's cluster: %+v", got)
	}
	p.in.KubeContexts[0].Profile = "other"
	r = p.run()
	if got := result(t, r, "cluster"); got.Status != doctor.Skipped || got.Remedy != `eks-x509 doctor --profile other` {
		t.Errorf("another profile's context: %+v", got)
	}
}

func TestBundle(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	p.env["AWS_SECRET_ACCESS_KEY"] = "hush"
	p.env["HTTPS_PROXY_NOTES"], p.env["EDITOR"] = "x", "vi"
	p.in.ConfigErr = errors.New("k8s-aws-v1.aHR0cHM6Ly9zdHM and https://me:pw@proxy.example and sessionToken=abc/def")
	text := string(doctor.Bundle(p.run(), map[string]string{"version": "1.2.3", "os": "linux"}))
	for _, want := range []string{"os: linux\nversion: 1.2.3\nvariables set: ", "AWS_SECRET_ACCESS_KEY", "EKS_X509_CERTIFICATE", "configuration: failed\n", "[redacted] and https://[redacted]@proxy.example and sessionToken=[redacted]"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	for _, secret := range []string{"hush", "aHR0", "me:pw", "abc/def", "EDITOR"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q in:\n%s", secret, text)
		}
	}
}

// leaf puts another certificate and key in the place of the person's.
func (p *patient) leaf(change func(*minica.Template)) {
	p.t.Helper()
	tmpl := minica.Leaf("alice")
	change(&tmpl)
	key, err := minica.GenerateKey("p256")
	if err != nil {
		p.t.Fatal(err)
	}
	a := p.s.Authority()
	pair, err := a.Intermediate.Issue(tmpl, key)
	if err != nil {
		p.t.Fatal(err)
	}
	text, err := minica.KeyPEM(key)
	if err != nil {
		p.t.Fatal(err)
	}
	p.env["EKS_X509_CERTIFICATE"] = p.write("alice.pem", string(minica.CertificatePEM(pair.Certificate, a.Intermediate.Certificate)))
	p.env["EKS_X509_PRIVATE_KEY"] = p.write("alice.key", string(text))
}

func (p *patient) world(change func(*sandbox.World)) {
	p.t.Helper()
	w := p.s.World()
	change(w)
	if err := p.s.SetWorld(w); err != nil {
		p.t.Fatal(err)
	}
}

func serverAuth(t *minica.Template) { t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }

func ending(in time.Duration) func(*minica.Template) {
	return func(t *minica.Template) { t.NotBefore, t.NotAfter = time.Now().AddDate(0, -6, 0), time.Now().Add(in) }
}

func kubectlVersion(minor int) func(context.Context, string, ...string) ([]byte, error) {
	return func(context.Context, string, ...string) ([]byte, error) {
		return fmt.Appendf(nil, `{"clientVersion":{"major":"1","minor":"%d+","gitVersion":"v1.%d.0"}}`, minor, minor), nil
	}
}

// hinted stands for the program's hints: AWS's errors have one.
func hinted(err error) []string {
	if _, ok := errors.AsType[*awsapi.Error](err); ok {
		return []string{"hint:"}
	}
	return nil
}
