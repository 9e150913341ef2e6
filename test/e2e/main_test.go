package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	_ "github.com/eks-x509/eks-x509/internal/cli" // the test cache must see when the program that is built here has changed
	"github.com/eks-x509/eks-x509/internal/sandbox"
)

// shared is set before the tests run and not changed after.
var shared struct {
	bin     string // directory of the programs
	dir     string // ends with the run
	aws     *testSandbox
	cluster *cluster
}

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (_ int, err error) {
	runtime.LockOSThread() // Pdeathsig means the thread that started a process
	if shared.bin, err = filepath.Abs("../../bin/e2e"); err != nil {
		return 0, err
	}
	if err := buildPrograms(shared.bin); err != nil {
		return 0, err
	}
	if shared.dir, err = os.MkdirTemp("", "eks-x509-e2e-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(shared.dir)
	ctx, cancel := context.WithCancel(context.Background())
	if shared.aws, err = serveSandbox(ctx, filepath.Join(shared.dir, "aws")); err != nil {
		cancel()
		return 0, err
	}
	defer func() { cancel(); <-shared.aws.served }()
	fmt.Fprintln(os.Stderr, "starting the cluster")
	shared.cluster, err = startCluster(filepath.Join(shared.dir, "cluster"), shared.aws)
	defer shared.cluster.stop()
	if err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// buildPrograms builds what is not up to date. Each has the dependencies that its own authors chose, by a go.mod of its own.
func buildPrograms(bin string) error {
	for _, p := range []struct{ name, dir, modfile, pkg, release string }{
		{"eks-x509", "../..", "", "./cmd/eks-x509", ""},
		{"aws-iam-authenticator", "../bench/authenticator", "", "sigs.k8s.io/aws-iam-authenticator/cmd/aws-iam-authenticator", ""},
		{"kubectl", "kubectl", "go.mod", ".", "k8s.io/kubectl"},
		{"kubectl-oldest", "kubectl", "oldest.mod", ".", "k8s.io/kubectl"},
		{"kube-apiserver", "kubernetes", "go.mod", "k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes"},
		{"kube-controller-manager", "kubernetes", "go.mod", "k8s.io/kubernetes/cmd/kube-controller-manager", "k8s.io/kubernetes"},
	} {
		args := []string{"build", "-trimpath", "-o", filepath.Join(bin, p.name)}
		if p.release != "" {
			version, err := releaseOf(p.dir, p.modfile, p.release)
			if err != nil {
				return err
			}
			args = append(args, "-modfile="+p.modfile, "-ldflags=-s -w"+versionFlags(version))
		}
		fmt.Fprintln(os.Stderr, "building", p.name)
		cmd := exec.Command("go", append(args, p.pkg)...)
		cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", p.name, err, out)
		}
	}
	return nil
}

// releaseOf is the release of Kubernetes that a go.mod asks for: v1.34.4, though a staging module says v0.34.4.
func releaseOf(dir, modfile, module string) (string, error) {
	cmd := exec.Command("go", "list", "-modfile="+modfile, "-m", "-f", "{{.Version}}", module)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("finding the version of %s: %w", module, err)
	}
	_, minor, _ := strings.Cut(strings.TrimSpace(string(out)), ".")
	return "v1." + minor, nil
}

// versionFlags are what Kubernetes' own build sets: hack/lib/version.sh there.
func versionFlags(release string) string {
	number := strings.Split(strings.TrimPrefix(release, "v"), ".")
	var flags strings.Builder
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		fmt.Fprintf(&flags, " -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s", pkg, release, number[0], number[1])
	}
	return flags.String()
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

func (s *testSandbox) proxy() string { return "http" + strings.TrimPrefix(s.URL(), "https") }

func (s *testSandbox) ca() string { return filepath.Join(s.dir, "tls-ca.pem") }

// since are the requests of an operation after a time.
func (s *testSandbox) since(start time.Time, operation string) []sandbox.Entry {
	var found []sandbox.Entry
	for _, e := range s.Requests() {
		if e.Operation == operation && !e.Time.Before(start) {
			found = append(found, e)
		}
	}
	return found
}
