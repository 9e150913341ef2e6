package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// nobody is the uid that a test run by root gives its processes: root may do all
// that is tested here.
const nobody = 65534

// asNobody has the command run without privileges, in a folder that it may read.
func asNobody(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return cmd
}

// openFolder is one in which nobody's processes find files.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "eks-x509-") //nolint:usetesting // its parents are closed to others
	check(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	check(t, os.Chmod(dir, 0o755))
	return dir
}

func copyFile(t *testing.T, from, to string, mode os.FileMode) {
	t.Helper()
	data, err := os.ReadFile(from)
	check(t, err)
	check(t, os.WriteFile(to, data, mode))
	if os.Getuid() == 0 && mode&0o077 == 0 {
		check(t, os.Chown(to, nobody, nobody))
	}
}

// hangingProcess has its key open and waits for an answer that does not come. Its
// limit of core files is none.
func hangingProcess(t *testing.T) *exec.Cmd {
	t.Helper()
	p := newProcesses(t)
	dir := openFolder(t)
	self, err := os.Executable()
	check(t, err)
	copyFile(t, self, filepath.Join(dir, "eks-x509"), 0o755)
	for _, name := range []string{"client.pem", "client.key", "tls-ca.pem"} {
		copyFile(t, filepath.Join(p.dir, "sandbox", name), filepath.Join(dir, name), 0o600)
	}
	p.faults(t, "CreateSession:hang")
	cmd := asNobody(t, exec.Command("/bin/sh", "-c", `ulimit -S -c "$(ulimit -H -c)"; exec "$0" "$@"`,
		filepath.Join(dir, "eks-x509"), "credential-process", "--no-cache", "--certificate", filepath.Join(dir, "client.pem"), "--private-key", filepath.Join(dir, "client.key")))
	cmd.Dir = dir
	cmd.Env = append(p.env, "AWS_CA_BUNDLE="+filepath.Join(dir, "tls-ca.pem"), "GOTRACEBACK=crash", "EKS_X509_CONFIG=", "HOME="+dir, "EKS_X509_KEY_PASSWORD=planted")
	var stderr stream
	cmd.Stderr = &stderr
	check(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("stderr: %.1000s", stderr.String())
		}
	})
	until(t, "the call", func() bool { return len(p.calls()) > 0 || strings.Contains(stderr.String(), "error:") })
	return cmd
}

// control is a process of the same user that gave nothing up.
func control(t *testing.T, command string) *exec.Cmd {
	t.Helper()
	cmd := asNobody(t, exec.Command("/bin/sh", "-c", `ulimit -S -c "$(ulimit -H -c)"; `+command))
	cmd.Dir = openFolder(t)
	if os.Getuid() == 0 {
		check(t, os.Chown(cmd.Dir, nobody, nobody))
	}
	check(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

func dumpedCore(cmd *exec.Cmd) (signaled, dumped bool) {
	_ = cmd.Wait()
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return status.Signaled(), status.CoreDump()
}

// A process that has a key in memory leaves no core when it crashes.
func TestNoCore(t *testing.T) {
	t.Parallel()
	if _, dumped := dumpedCore(control(t, "kill -ABRT $$")); !dumped {
		t.Skip("no process leaves a core here")
	}
	cmd := hangingProcess(t)
	limits, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/limits")
	if err == nil { // it belongs to root; the kernel says the rest
		for line := range strings.Lines(string(limits)) {
			if f := strings.Fields(strings.TrimPrefix(line, "Max core file size")); strings.HasPrefix(line, "Max core") && f[0] != "0" {
				t.Errorf("limit of core files: %s", line)
			}
		}
	}
	check(t, cmd.Process.Signal(syscall.SIGABRT)) // with GOTRACEBACK=crash the runtime raises it once more
	if signaled, dumped := dumpedCore(cmd); !signaled || dumped {
		t.Errorf("signaled %t, dumped %t", signaled, dumped)
	}
}

// No other process of the user reads its memory or its environment, which may
// hold a password.
func TestMemoryIsPrivate(t *testing.T) {
	t.Parallel()
	read := func(pid int, what string) bool {
		out, err := asNobody(t, exec.Command("/bin/dd", "if=/proc/"+strconv.Itoa(pid)+"/"+what, "of=/dev/null", "bs=1", "count=1")).CombinedOutput()
		t.Logf("%s: %s", what, out)
		return err == nil
	}
	other := control(t, "exec sleep 600")
	until(t, "sleep", func() bool {
		comm, err := os.ReadFile("/proc/" + strconv.Itoa(other.Process.Pid) + "/comm")
		return err == nil && string(comm) == "sleep\n"
	})
	if !read(other.Process.Pid, "environ") {
		t.Skip("no process reads another's environment here")
	}
	cmd := hangingProcess(t)
	for _, what := range []string{"environ", "maps", "mem", "auxv"} {
		if read(cmd.Process.Pid, what) {
			t.Errorf("/proc/PID/%s can be read", what)
		}
	}
}

// What exec and sandbox --for run has the person's limit again, and can be
// dumped and traced as ever.
func TestChildrenHaveTheirLimit(t *testing.T) {
	t.Parallel()
	var limit unix.Rlimit
	check(t, unix.Getrlimit(unix.RLIMIT_CORE, &limit))
	if limit.Max < 4096*1024 {
		t.Skip("no limit to be had")
	}
	p := newProcesses(t)
	for _, command := range []string{"exec --", "sandbox --for"} {
		out, err := func() ([]byte, error) {
			cmd := exec.Command("/bin/sh", "-c", `ulimit -S -c 7; eks-x509 `+command+` sh -c 'ulimit -S -c; grep -c . /proc/self/environ; stat -c %U /proc/$$/mem'`)
			cmd.Env = p.env
			return cmd.Output()
		}()
		lines := strings.Fields(string(out))
		if err != nil || len(lines) == 0 || lines[0] != "7" {
			t.Errorf("%s: %q, %v", command, out, err)
		}
	}
}
