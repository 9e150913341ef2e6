package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/eks-x509/eks-x509/internal/minica"
)

// person is somebody with a certificate, a home of their own, and a kubeconfig by our command.
type person struct {
	home string
	env  []string
}

type result struct {
	code           int
	stdout, stderr string
}

// newPerson has a certificate of the sandbox's intermediate, which the role testerRole is for.
func newPerson(t testing.TB) *person {
	t.Helper()
	p := newHome(t)
	pair, err := shared.aws.Authority().Intermediate.Issue(minica.Leaf("tester"), nil)
	if err != nil {
		t.Fatal(err)
	}
	p.take(t, pair)
	return p
}

// newHome is somebody who has nothing yet. AWS is found by its own names, through the sandbox as a proxy.
func newHome(t testing.TB) *person {
	t.Helper()
	home := t.TempDir()
	return &person{home, []string{
		"PATH=" + shared.bin + ":/usr/local/bin:/usr/bin:/bin", "HOME=" + home, "LC_ALL=C.UTF-8",
		"HTTPS_PROXY=" + shared.aws.proxy(), "NO_PROXY=127.0.0.1", "AWS_CA_BUNDLE=" + shared.aws.ca(),
		"AWS_EC2_METADATA_DISABLED=true", "AWS_STS_REGIONAL_ENDPOINTS=regional",
	}}
}

// take gives the person a certificate, and a configuration that names it.
func (p *person) take(t testing.TB, pair *minica.Pair) {
	t.Helper()
	p.give(t, pair)
	world := shared.aws.World()
	p.must(t, "eks-x509", "config", "init", "--certificate", p.path("me.pem"), "--private-key", p.path("me.key"),
		"--trust-anchor-arn", world.TrustAnchors[0].ARN, "--profile-arn", world.Profiles[0].ARN, "--role-arn", testerRole)
	p.must(t, "eks-x509", "kubeconfig", "update", "--cluster-name", clusterName)
}

// give puts a certificate and its key where the configuration looks.
func (p *person) give(t testing.TB, pair *minica.Pair) {
	t.Helper()
	if err := writePair(p.path("me"), pair); err != nil {
		t.Fatal(err)
	}
}

// edit replaces what must be there.
func (p *person) edit(t *testing.T, path, old, replacement string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), old) {
		t.Fatalf("%s has no %q:\n%s", path, old, data)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(data), old, replacement)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *person) path(name string) string { return filepath.Join(p.home, name) }

func (p *person) kubeconfig() string { return p.path(".kube/config") }

// setenv is for all that the person does from now on.
func (p *person) setenv(assignments ...string) { p.env = append(p.env, assignments...) }

func (p *person) command(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	path := name
	for _, dir := range []string{shared.bin, "/usr/local/bin", "/usr/bin", "/bin"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil && !filepath.IsAbs(name) {
			path = filepath.Join(dir, name)
			break
		}
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env, cmd.Dir = slices.Clone(p.env), p.home
	return cmd
}

func (p *person) run(t testing.TB, name string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := p.command(t, name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func (p *person) must(t testing.TB, name string, args ...string) string {
	t.Helper()
	r := p.run(t, name, args...)
	if r.code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s%s", name, strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// seesNamespaces is the job done.
func (p *person) seesNamespaces(t testing.TB, kubectl string) {
	t.Helper()
	if out := p.must(t, kubectl, "get", "ns"); !strings.Contains(out, "kube-system") {
		t.Fatalf("%s get ns printed %q", kubectl, out)
	}
}
