package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eks-x509/eks-x509/internal/sandbox"
)

const (
	killSpec = `stack: team
ca: {new: {commonName: Team CA}}
role: {name: team, subject: {OU: [platform]}}
clusters: [{name: sandbox, username: "x509:{{SessionName}}", groups: [view]}]
`
	// Another role takes the place of the first, and with it the access entry;
	// the profile is changed.
	killChange = `stack: team
ca: {new: {commonName: Team CA}}
role: {name: team-2, subject: {OU: [platform]}}
profile: {durationSeconds: 1800}
clusters: [{name: sandbox, username: "x509:{{SessionName}}", groups: [view]}]
`
)

// lab is a sandbox in this process, and a folder from which the program is run.
type lab struct {
	t       *testing.T
	s       *sandbox.Sandbox
	dir     string
	program string
	lost    chan struct{} // an answer was lost
}

// lostWriter looks for that in the sandbox's lines.
type lostWriter chan struct{}

func (w lostWriter) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("fault=*:lose")) {
		select {
		case w <- struct{}{}:
		default:
		}
	}
	return len(p), nil
}

func newLab(t *testing.T) *lab {
	t.Helper()
	program, err := exec.LookPath("eks-x509") // testscript's: this test's own binary
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, dir: t.TempDir(), program: program, lost: make(chan struct{}, 1)}
	if l.s, err = sandbox.New(sandbox.Options{Dir: filepath.Join(l.dir, "sandbox"), Requests: lostWriter(l.lost)}); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- l.s.Serve(ctx, ln) }()
	t.Cleanup(func() { stop(); <-served })
	<-l.s.Ready()
	return l
}

func (l *lab) spec(text string) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, "access.yaml"), []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) command(args ...string) *exec.Cmd {
	c := exec.Command(l.program, args...)
	c.Dir = l.dir
	c.Env = append(l.s.Environ(), promptExit, "HOME="+l.dir, "PATH="+os.Getenv("PATH"), "AWS_PROFILE=administrator", "EKS_X509_CONFIG=", "EKS_X509_NO_CACHE=true")
	return c
}

// run must succeed; it gives what the program said.
func (l *lab) run(args ...string) string {
	l.t.Helper()
	out, err := l.command(args...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("eks-x509 %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// runKilled kills the program when the answer to its n-th request is lost; false:
// it made fewer.
func (l *lab) runKilled(n int, args ...string) bool {
	l.t.Helper()
	l.s.SetFaults([]sandbox.Fault{{Operation: "*", Kind: "lose", Count: 1, After: n}})
	c := l.command(args...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		l.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	defer l.s.SetFaults(nil)
	select {
	case <-l.lost:
		if err := c.Process.Kill(); err != nil {
			l.t.Fatal(err)
		}
		<-ended
		return true
	case err := <-ended:
		if err != nil {
			l.t.Fatalf("eks-x509 %s: %v\n%s", strings.Join(args, " "), err, out.String())
		}
		return false
	}
}

var (
	pemRE  = regexp.MustCompile(`-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----(\\n)?`)
	idRE   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)
	roleRE = regexp.MustCompile(`AROA[A-Z0-9]{17}`)
	timeRE = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`)
)

// account is all there is, without what differs from run to run.
func (l *lab) account() string {
	l.t.Helper()
	w := l.s.World()
	var stacks []sandbox.Stack
	for _, k := range w.Stacks {
		if k.Status != "DELETE_COMPLETE" {
			k.Events = nil
			stacks = append(stacks, k)
		}
	}
	w.Stacks = stacks
	text, err := json.MarshalIndent(w, "", " ")
	if err != nil {
		l.t.Fatal(err)
	}
	for _, re := range []*regexp.Regexp{pemRE, idRE, roleRE, timeRE} {
		text = re.ReplaceAll(text, []byte("…"))
	}
	return string(text)
}

// Killed when any of its requests has been carried out, and run again, setup
// leaves what it leaves undisturbed.
func TestSetupKilledAnywhere(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		before func(*lab)
		args   []string
	}{
		"create": {func(l *lab) { l.spec(killSpec) }, []string{"setup", "apply", "--yes"}},
		"change": {func(l *lab) { l.spec(killSpec); l.run("setup", "apply", "--yes"); l.spec(killChange) }, []string{"setup", "apply", "--yes"}},
		"remove": {func(l *lab) { l.spec(killSpec); l.run("setup", "apply", "--yes") }, []string{"setup", "remove", "--yes"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			undisturbed := newLab(t)
			row.before(undisturbed)
			before := len(undisturbed.s.Requests())
			undisturbed.run(row.args...)
			want, requests := undisturbed.account(), len(undisturbed.s.Requests())-before

			var all sync.WaitGroup
			places := make(chan struct{}, 3*runtime.GOMAXPROCS(0)) // they wait most of the time
			for n := range requests {
				all.Go(func() {
					places <- struct{}{}
					defer func() { <-places }()
					t.Run(fmt.Sprint(n), func(t *testing.T) {
						l := newLab(t)
						row.before(l)
						if !l.runKilled(n, row.args...) {
							return // waited once less than the undisturbed one
						}
						said := l.run(row.args...)
						if diff := cmp.Diff(want, l.account()); diff != "" {
							t.Errorf("killed at request %d (%s); then:\n%s\n%s", n, l.s.Requests()[len(l.s.Requests())-1], said, diff)
						}
					})
				})
			}
			all.Wait()
		})
	}
}

// Whatever a killed apply had begun, setup remove takes away, the CA too.
func TestRemoveAfterKilledApply(t *testing.T) {
	t.Parallel()
	for n := range 10 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			before := l.account()
			l.spec(killSpec)
			if !l.runKilled(n, "setup", "apply", "--yes") {
				return
			}
			said := l.run("setup", "remove", "--yes")
			w := l.s.World()
			for _, ca := range w.CertificateAuthorities {
				if ca.Status != "DELETED" {
					t.Errorf("CA %s is %s, after:\n%s", ca.ARN, ca.Status, said)
				}
			}
			w.CertificateAuthorities = nil
			if err := l.s.SetWorld(w); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, l.account()); diff != "" {
				t.Errorf("after:\n%s\n%s", said, diff)
			}
		})
	}
}

// A certificate that was asked for and not taken is not paid for twice.
func TestRequestKilled(t *testing.T) {
	t.Parallel()
	const window = 300 // seconds: as long as AWS knows the request again
	l := newLab(t)
	l.spec(killSpec)
	l.run("setup", "apply", "--yes")
	l.run("cert", "new", "--private-key", "a.key", "--csr", "a.csr", "--common-name", "alice")
	ca := l.s.World().CertificateAuthorities[0].ARN
	request := []string{"cert", "request", "--csr", "a.csr", "--certificate", "a.pem", "--ca-arn", ca, "--validity", "7d"}
	began := time.Now().Unix()
	for n := range 3 { // describe, issue, get
		if !l.runKilled(n, request...) {
			t.Fatalf("it made %d requests", n)
		}
	}
	l.run(request...)
	if issued := len(l.s.World().CertificateAuthorities[0].Issued); issued != 1 && began/window == time.Now().Unix()/window {
		t.Errorf("%d certificates were issued", issued)
	}
}
