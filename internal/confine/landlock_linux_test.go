package confine_test

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eks-x509/eks-x509/internal/confine"
)

// probe is built as the product is, without cgo.
func probe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "probe")
	build := exec.Command("go", "build", "-o", path, "./testdata/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the probe: %v\n%s", err, out)
	}
	return path
}

func write(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func listener(t *testing.T) (address string, port uint16) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String(), uint16(l.Addr().(*net.TCPAddr).Port)
}

// What a is not given is refused by the kernel, on every thread; what it is given
// works as before.
func TestRestrict(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	named, sibling := write(t, in("pki/a.pem")), write(t, in("pki/a.key"))
	home, beside := write(t, in("home/b.pem")), write(t, in("home/.ssh/id"))
	other, cached := write(t, in("other/secret")), write(t, in("cache/entry"))
	// As Kubernetes mounts a secret, and certbot keeps its archive.
	write(t, in("mount/..1/tls.crt"))
	later := write(t, in("mount/..2/tls.crt"))
	write(t, in("archive/c1.pem"))
	write(t, in("live/README"))
	archived := write(t, in("archive/c2.pem"))
	for link, to := range map[string]string{"mount/..data": "..1", "mount/tls.crt": "..data/tls.crt", "live/cert.pem": "../archive/c1.pem", "world": "other"} {
		if err := os.Symlink(to, in(link)); err != nil {
			t.Fatal(err)
		}
	}
	allowed, port := listener(t)
	elsewhere, _ := listener(t)
	access, err := json.Marshal(confine.Access{
		Named: []string{named, home, in("mount/tls.crt"), in("live/cert.pem"), in("nowhere/none.pem"), "", "/dev/stdin"},
		Write: []string{in("cache"), in("no-cache")}, Home: in("home"), Ports: []uint16{port},
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := []struct{ what, arg, want string }{
		{"read", named, "allowed"},
		{"read", sibling, "allowed"},
		{"read", in("mount/tls.crt"), "allowed"},
		{"read", later, "allowed"}, // once ..data is turned
		{"read", in("live/cert.pem"), "allowed"},
		{"read", archived, "allowed"},
		{"read", home, "allowed"},
		{"read", beside, "refused"},
		{"read", other, "refused"},
		{"read", in("world/secret"), "refused"},
		{"read", "/etc/passwd", "refused"},
		{"read", "/proc/1/environ", "refused"},
		{"read", "/dev/stdin", "allowed"},
		{"list", in("pki"), "allowed"},
		{"write", named, "refused"},
		{"write", in("pki/new"), "refused"},
		{"write", other, "refused"},
		{"write", in("new"), "refused"},
		{"make", in("new"), "refused"},
		{"remove", named, "refused"},
		{"rename", named, "refused"},
		{"link", in("pki/link"), "refused"},
		{"link", in("cache/link"), "refused"},
		{"run", "/bin/true", "refused"},
		{"read", cached, "allowed"},
		{"write", cached, "allowed"},
		{"write", in("cache/new"), "allowed"},
		{"rename", in("cache/new"), "allowed"},
		{"make", in("cache/own"), "allowed"},
		{"remove", in("cache/own"), "allowed"},
		{"remove", cached, "allowed"},
		{"connect", allowed, "allowed"},
		{"connect", elsewhere, "refused"},
		{"listen", "127.0.0.1:0", "refused"},
	}
	args, want := []string{string(access)}, ""
	for _, row := range rows {
		args = append(args, row.what, row.arg)
		want += row.what + " " + row.arg + " " + row.want + "\n"
	}
	cmd := exec.Command(probe(t), args...)
	cmd.Stdin = strings.NewReader("a pipe")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if string(out) == "unsupported\n" {
		t.Skip("no Landlock in this kernel")
	}
	for i, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		if wanted := strings.Split(want, "\n")[i]; line != wanted {
			t.Errorf("got %s, want %s", line, wanted)
		}
	}
	if strings.Count(string(out), "\n") != len(rows) {
		t.Errorf("%s", out)
	}
}
