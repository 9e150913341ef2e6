package cli

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const units = "../../packaging/systemd"

// unitValue is a setting of the unit, as systemd hands it on: $$ is a dollar.
func unitValue(t *testing.T, name string) string {
	t.Helper()
	unit, err := os.ReadFile(filepath.Join(units, "eks-x509-renew@.service"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(unit)) {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return strings.ReplaceAll(strings.TrimSpace(value), "$$", "$")
		}
	}
	t.Fatalf("the unit has no %s", name)
	return ""
}

// The service's two commands, with the little environment that systemd gives
// them: it renews what is due, is skipped by 1 if nothing is, and fails by 255 if
// nobody can say.
func TestSystemdCommands(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no sh here")
	}
	l := newLab(t)
	l.run("cert", "ca", "--certificate", "ca.pem", "--private-key", "ca.key", "--common-name", "Lab CA")
	l.run("cert", "new", "--private-key", "a.key", "--csr", "a.csr", "--common-name", "alice")
	sign := func(certificate, validity string) {
		l.run("cert", "request", "--csr", "a.csr", "--certificate", certificate, "--ca-certificate", "ca.pem", "--ca-private-key", "ca.key", "--validity", validity)
	}
	sign("fresh.pem", "90d")
	sign("due.pem", "1h")
	renew := "RENEW=--validity 30d --ca-certificate " + filepath.Join(l.dir, "ca.pem") + " --ca-private-key " + filepath.Join(l.dir, "ca.key")
	run := func(command, certificate string) int {
		c := exec.Command("/bin/sh", "-c", command)
		c.Env = []string{promptExit, "PATH=" + os.Getenv("PATH"), "EKS_X509_CACHE_DIR=" + filepath.Join(l.dir, "cache"), "BEFORE=--before 1d", renew,
			"EKS_X509_KEY_PASSWORD_FILE=" + filepath.Join(l.dir, "no-credential"), // a key that is not encrypted needs none
			"EKS_X509_CERTIFICATE=" + filepath.Join(l.dir, certificate), "EKS_X509_PRIVATE_KEY=" + filepath.Join(l.dir, "a.key")}
		out, err := c.CombinedOutput()
		t.Logf("%s: %s", certificate, out)
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return exit.ExitCode()
		}
		if err != nil {
			t.Fatal(err)
		}
		return 0
	}
	condition, start := unitValue(t, "ExecCondition"), unitValue(t, "ExecStart")
	for _, row := range []struct {
		certificate string
		want        int
	}{{"fresh.pem", 1}, {"due.pem", 0}, {"none.pem", 255}, {"a.key", 255}} {
		if got := run(condition, row.certificate); got != row.want {
			t.Errorf("ExecCondition for %s: exit code %d, want %d", row.certificate, got, row.want)
		}
	}
	if got := run(start, "due.pem"); got != 0 {
		t.Errorf("ExecStart: exit code %d", got)
	}
	if got := run(condition, "due.pem"); got != 1 {
		t.Errorf("ExecCondition after it: exit code %d", got)
	}
	if got := run(start, "none.pem"); got == 0 {
		t.Error("ExecStart without a certificate: exit code 0")
	}
}

// The exposure is what the unit's comments explain, and no more.
func TestSystemdSecurity(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here")
	}
	path := filepath.Join(t.TempDir(), "eks-x509-renew@.service")
	unit, err := os.ReadFile(filepath.Join(units, "eks-x509-renew@.service"))
	check(t, err)
	check(t, os.WriteFile(path, unit, 0o600))
	out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", "--threshold=17", path).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	explained := []string{"RootDirectory", "User", "RestrictAddressFamilies=~AF_UNIX", "RestrictAddressFamilies=~AF_(INET|INET6)", "PrivateNetwork", "PrivateUsers", "DeviceAllow", "IPAddressDeny"}
	for line := range strings.Lines(string(out)) {
		if rest, open := strings.CutPrefix(line, "✗ "); open && !slices.ContainsFunc(explained, func(name string) bool { return strings.HasPrefix(rest, name) }) {
			t.Errorf("not closed, and not explained in the unit: %s", rest)
		}
	}
	// As the owner of the files, which a drop-in names.
	check(t, os.WriteFile(path, []byte(strings.Replace(string(unit), "[Service]\n", "[Service]\nUser=www-data\n", 1)), 0o600))
	if out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", "--threshold=13", path).CombinedOutput(); err != nil {
		t.Errorf("with User=: %v\n%s", err, out)
	}
	for _, line := range []string{"LimitCORE=0", "LoadCredential=key-password:eks-x509.%i.key-password"} {
		if !strings.Contains(string(unit), "\n"+line+"\n") {
			t.Errorf("the unit has no %s", line)
		}
	}
}

// systemd finds nothing to complain about.
func TestSystemdVerify(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here")
	}
	program, err := exec.LookPath("eks-x509")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"eks-x509-renew@.service", "eks-x509-renew@.timer"} {
		unit, err := os.ReadFile(filepath.Join(units, name))
		if err != nil {
			t.Fatal(err)
		}
		// It looks for the program where it is installed.
		text := strings.Replace(string(unit), "ExecStart=eks-x509 ", "ExecStart="+program+" ", 1)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The manual page is not installed here either.
	out, err := exec.Command(analyze, "verify", "--man=no", filepath.Join(dir, "eks-x509-renew@x.service"), filepath.Join(dir, "eks-x509-renew@x.timer")).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
