package cli

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/eks-x509/eks-x509/internal/minica"
	"github.com/eks-x509/eks-x509/internal/sandbox"
)

// processes runs the program as processes, against a sandbox and with a cache
// of the test's own.
type processes struct {
	*sandbox.Sandbox
	dir string
	env []string
}

func newProcesses(t *testing.T) *processes {
	t.Helper()
	dir := t.TempDir()
	s, err := sandbox.New(sandbox.Options{Dir: filepath.Join(dir, "sandbox")})
	check(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		check(t, <-served)
	})
	<-s.Ready()
	env := append(s.Environ(), promptExit, "PATH="+os.Getenv("PATH"), "HOME="+dir, "EKS_X509_CACHE_DIR="+filepath.Join(dir, "cache"))
	if runtime.GOOS == "windows" {
		env = append(os.Environ(), env...)
	}
	return &processes{s, dir, env}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// process is one run of the program. TestMain puts this very test binary, race
// detector and all, into PATH under that name.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr stream
}

// stream may be looked at while it is written.
type stream struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *stream) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *stream) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start runs the program with more environment, NAME=value, before its arguments.
func (p *processes) start(t *testing.T, args ...string) *process {
	t.Helper()
	n := slices.IndexFunc(args, func(s string) bool { return !strings.Contains(s, "=") })
	r := &process{cmd: exec.Command("eks-x509", args[n:]...)}
	r.cmd.Dir, r.cmd.Env = p.dir, append(slices.Clone(p.env), args[:n]...)
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	check(t, r.cmd.Start())
	t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	return r
}

// wait returns the exit code, -1 of one that was killed.
func (r *process) wait(t *testing.T) int {
	t.Helper()
	err := r.cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return r.cmd.ProcessState.ExitCode()
}

func (p *processes) run(t *testing.T, args ...string) (*process, int) {
	t.Helper()
	r := p.start(t, args...)
	return r, r.wait(t)
}

// many starts n at once and waits for all.
func (p *processes) many(t *testing.T, n int, args ...string) []*process {
	t.Helper()
	all := make([]*process, n)
	for i := range all {
		all[i] = p.start(t, args...)
	}
	for _, r := range all {
		r.wait(t)
	}
	return all
}

// sameSession fails unless all succeeded with one access key, which it returns.
func sameSession(t *testing.T, all []*process) string {
	t.Helper()
	ids := map[string]bool{}
	for _, r := range all {
		var creds struct{ AccessKeyId string }
		if code := r.cmd.ProcessState.ExitCode(); code != 0 || json.Unmarshal([]byte(r.stdout.String()), &creds) != nil {
			t.Errorf("exit code %d: %s%s", code, r.stdout.String(), r.stderr.String())
			continue
		}
		ids[creds.AccessKeyId] = true
	}
	if len(ids) != 1 {
		t.Fatalf("%d sessions given out: %v", len(ids), ids)
	}
	for id := range ids {
		return id
	}
	return ""
}

func (p *processes) faults(t *testing.T, specs ...string) {
	t.Helper()
	all, err := sandbox.ParseFaults(strings.Join(specs, "\n"))
	check(t, err)
	p.SetFaults(all)
}

func (p *processes) calls() []sandbox.Entry {
	return slices.DeleteFunc(p.Requests(), func(e sandbox.Entry) bool { return e.Operation != "CreateSession" })
}

func (p *processes) expectCalls(t *testing.T, want int) {
	t.Helper()
	if calls := p.calls(); len(calls) != want {
		t.Errorf("%d CreateSession calls, want %d: %v", len(calls), want, calls)
	}
}

// expectRounds wants the calls to come in rounds of so many attempts, each begun
// when the round before was forgotten, however slow this machine is.
func (p *processes) expectRounds(t *testing.T, attempts int, forgotten time.Duration) {
	t.Helper()
	calls := p.calls()
	if len(calls) == 0 || len(calls)%attempts != 0 {
		t.Fatalf("%d CreateSession calls, want a multiple of %d: %v", len(calls), attempts, calls)
	}
	for i := attempts; i < len(calls); i += attempts {
		if since := calls[i].Time.Sub(calls[i-1].Time); since < forgotten {
			t.Errorf("asked again after %s: %v", since, calls)
		}
	}
}

// until waits for a condition, for as long as a test may take.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

const kubectl = `KUBERNETES_EXEC_INFO={"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false}}`

func TestManyProcessesMakeOneCall(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		fault []string
		calls int
	}{
		{"on a cold cache", nil, 1},
		{"with a far side that is slow", []string{"CreateSession:slow=3s"}, 1},
		{"with throttling that passes", []string{"CreateSession:throttle*2"}, 3},
		{"with server faults that pass", []string{"CreateSession:status=503*2"}, 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := newProcesses(t)
			p.faults(t, row.fault...)
			all := p.many(t, 24, "credential-process")
			id := sameSession(t, all)
			p.expectCalls(t, row.calls)
			warm, _ := p.run(t, "credential-process")
			if got := sameSession(t, []*process{warm}); got != id {
				t.Errorf("then %s, before %s", got, id)
			}
			p.expectCalls(t, row.calls)
		})
	}
}

func TestTwoCertificatesMakeTwoCalls(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	other := "EKS_X509_CERTIFICATE=" + p.certificate(t, "other")
	otherKey := "EKS_X509_PRIVATE_KEY=" + filepath.Join(p.dir, "other.key")
	var first, second []*process
	for range 10 {
		first = append(first, p.start(t, "credential-process"))
		second = append(second, p.start(t, other, otherKey, "credential-process"))
	}
	for _, r := range slices.Concat(first, second) {
		r.wait(t)
	}
	if a, b := sameSession(t, first), sameSession(t, second); a == b {
		t.Errorf("both got %s", a)
	}
	p.expectCalls(t, 2)
}

// certificate writes NAME.key, and NAME.pem, whose path it returns.
func (p *processes) certificate(t *testing.T, name string) string {
	t.Helper()
	pair, err := p.Authority().Intermediate.Issue(minica.Leaf(name), nil)
	check(t, err)
	key, err := minica.KeyPEM(pair.Key)
	check(t, err)
	check(t, os.WriteFile(filepath.Join(p.dir, name+".key"), key, 0o600))
	path := filepath.Join(p.dir, name+".pem")
	check(t, os.WriteFile(path, minica.CertificatePEM(append([]*x509.Certificate{pair.Certificate}, pair.Chain...)...), 0o600))
	return path
}

func TestManyProcessesShareARefusal(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		fault     string
		attempts  int
		forgotten time.Duration
		code      int
		want      string
	}{
		{"throttling that does not pass", "CreateSession:throttle=9", 3, 9 * time.Second, exitRefused, "ThrottlingException"},
		{"server faults that do not pass", "CreateSession:status=503", 3, 3 * time.Second, exitUnreachable, "HTTP 503"},
		{"a refusal", "CreateSession:status=403", 1, 5 * time.Second, exitRefused, "AccessDeniedException"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := newProcesses(t)
			p.faults(t, row.fault)
			remembered := 0
			for _, r := range p.many(t, 12, "credential-process") {
				stderr := r.stderr.String()
				if code := r.cmd.ProcessState.ExitCode(); code != row.code || r.stdout.String() != "" || !strings.Contains(stderr, row.want) {
					t.Errorf("exit code %d: %s%s", code, r.stdout.String(), stderr)
				}
				if strings.Contains(stderr, "was not asked again") {
					remembered++
				}
			}
			p.expectRounds(t, row.attempts, row.forgotten)
			if rounds := len(p.calls()) / row.attempts; remembered != 12-rounds {
				t.Errorf("%d processes of 12 say that they remember, after %d rounds", remembered, rounds)
			}
		})
	}
}

// The holder of the lock is killed in the midst of its call: one of those who
// wait goes on in its place, and nobody waits out the 20 seconds.
func TestHolderOfTheLockIsKilled(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	p.faults(t, "CreateSession:hang*1")
	holder := p.start(t, "credential-process")
	until(t, "the first call", func() bool { return len(p.calls()) == 1 })
	all := make([]*process, 8)
	for i := range all {
		all[i] = p.start(t, "credential-process")
	}
	holds := fmt.Sprintf("eks-x509: notice: waiting for process %d, which is making this session\n", holder.cmd.Process.Pid)
	if runtime.GOOS == "windows" { // where the lock file can't be read
		holds = "eks-x509: notice: waiting for another process, which is making this session\n"
	}
	for _, r := range all {
		until(t, "its notice", func() bool { return r.stderr.String() == holds })
	}
	check(t, holder.cmd.Process.Kill())
	holder.wait(t)
	for _, r := range all {
		if r.wait(t); r.stderr.String() != holds {
			t.Errorf("said %s", r.stderr.String())
		}
	}
	sameSession(t, all)
	p.expectCalls(t, 2)
	if kept := p.kept(t); len(kept) != 2 || filepath.Ext(kept[0]) != ".json" || filepath.Ext(kept[1]) != ".lock" {
		t.Errorf("left: %q", kept)
	}
}

// The holder stands still: who has waited 20 seconds goes on alone, and what it
// makes is not kept.
func TestHolderOfTheLockIsStopped(t *testing.T) {
	t.Parallel()
	if testing.Short() || runtime.GOOS == "windows" {
		t.Skip("half a minute, and a signal")
	}
	p := newProcesses(t)
	p.faults(t, "CreateSession:hang*1")
	holder := p.start(t, "credential-process")
	until(t, "the first call", func() bool { return len(p.calls()) == 1 })
	check(t, exec.Command("kill", "-STOP", strconv.Itoa(holder.cmd.Process.Pid)).Run())
	for _, r := range p.many(t, 2, "credential-process") {
		if stderr := r.stderr.String(); r.cmd.ProcessState.ExitCode() != 0 || strings.Count(stderr, "\n") != 2 ||
			!strings.Contains(stderr, "warning: the process that is making this session has not done so in 20s; this one is not kept\n") {
			t.Errorf("exit code %d: %s", r.cmd.ProcessState.ExitCode(), stderr)
		}
	}
	p.expectCalls(t, 3)
	if kept := p.kept(t); len(kept) != 1 || filepath.Ext(kept[0]) != ".lock" {
		t.Errorf("kept: %q", kept)
	}
	check(t, holder.cmd.Process.Kill())
	holder.wait(t)
}

// AWS does not answer: the holder's call ends in time, and those who wait for it
// get its error then, well within the 32 seconds of kubectl.
func TestHungCallEndsForAll(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("18 seconds")
	}
	p := newProcesses(t)
	p.faults(t, "CreateSession:hang")
	start := time.Now()
	for _, r := range p.many(t, 3, "credential-process") {
		if code, stderr := r.cmd.ProcessState.ExitCode(), r.stderr.String(); code != exitUnreachable || r.stdout.String() != "" ||
			!strings.Contains(stderr, "no answer within 18s") || !strings.Contains(stderr, "reaching "+p.URL()[len("https://"):]) || !strings.Contains(stderr, "notice: waiting for ") {
			t.Errorf("exit code %d: %s", code, stderr)
		}
	}
	if took := time.Since(start); took > 32*time.Second {
		t.Errorf("took %s", took)
	}
	if calls := len(p.calls()); calls < 2 || calls > 3 {
		t.Errorf("%d CreateSession calls: the attempts of one process are at most 3", calls)
	}
}

func TestInterruptIsNoRefusal(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no interrupt between processes")
	}
	for signal, want := range map[os.Signal]int{os.Interrupt: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
		for _, args := range [][]string{{"credential-process"}, {"token", "--cluster-name", "sandbox"}, {"exec", "--", "echo", "ran"}} {
			p := newProcesses(t)
			p.faults(t, "CreateSession:hang*1")
			r := p.start(t, args...)
			until(t, "the call", func() bool { return len(p.calls()) == 1 })
			check(t, r.cmd.Process.Signal(signal))
			if code := r.wait(t); code != want || r.stderr.String() != "eks-x509: error: interrupted\n" || r.stdout.String() != "" {
				t.Errorf("%s, %s: exit code %d: %s", args[0], signal, code, r.stderr.String())
			}
			next, _ := p.run(t, "credential-process")
			sameSession(t, []*process{next})
			p.expectCalls(t, 2)
		}
	}
}

// kubectl runs a failing plugin five times. The hint is said once, unless the refusal is forgotten meanwhile.
func TestRefusalUnderKubectl(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	for i := range 5 {
		r, code := p.run(t, kubectl, "token", "--cluster-name", "sandbox", "--role-arn", "arn:aws:iam::123456789012:role/untrusted")
		stderr := r.stderr.String()
		if code != exitRefused || r.stdout.String() != "" || strings.Count(stderr, "\n") != 1 ||
			!strings.Contains(stderr, "Unable to assume role") ||
			strings.Contains(stderr, "; hint: the role's trust policy must allow") == strings.Contains(stderr, "was not asked again") ||
			i == 0 && !strings.Contains(stderr, "; hint: ") {
			t.Errorf("exit code %d: %s%s", code, r.stdout.String(), stderr)
		}
	}
	p.expectRounds(t, 1, 5*time.Second)
}

// A cluster answers 401: kubectl, which is this process, asks some ten times.
func TestTokenThatTheClusterRefuses(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	ask := func(n int) (quick bool) {
		t.Helper()
		start := time.Now()
		for i := range n {
			if r, code := p.run(t, kubectl, "token", "--cluster-name", "sandbox"); code != 0 || r.stderr.String() != "" {
				t.Fatalf("exit code %d: %s", code, r.stderr.String())
			}
			if i == 2 {
				quick = time.Since(start) < 9*time.Second
			}
		}
		return quick
	}
	ask(12) // a session younger than a minute is not to blame
	p.expectCalls(t, 1)
	for want := 2; want <= 3; want++ {
		p.setBack(t, 2*time.Minute)
		quick := ask(12)
		if !quick {
			t.Skip("this machine is too slow for three runs in ten seconds")
		}
		p.expectCalls(t, want)
	}
}

// kept are the names in the cache directory.
func (p *processes) kept(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(p.dir, "cache"))
	check(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// setBack makes the sessions that are kept older.
func (p *processes) setBack(t *testing.T, by time.Duration) {
	t.Helper()
	for _, name := range p.kept(t) {
		if filepath.Ext(name) != ".json" {
			continue
		}
		path := filepath.Join(p.dir, "cache", name)
		data, err := os.ReadFile(path)
		check(t, err)
		var entry map[string]any
		check(t, json.Unmarshal(data, &entry))
		issued, err := time.Parse(time.RFC3339, entry["issued"].(string))
		check(t, err)
		entry["issued"] = issued.Add(-by)
		data, err = json.Marshal(entry)
		check(t, err)
		check(t, os.WriteFile(path, data, 0o600))
	}
}
