package e2e

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eks-x509/eks-x509/internal/minica"
	"github.com/eks-x509/eks-x509/internal/sandbox"
)

// ourLines are what we said among kubectl's lines.
func ourLines(stderr string) []string {
	var ours []string
	for line := range strings.Lines(stderr) {
		if strings.HasPrefix(line, "eks-x509: ") {
			ours = append(ours, strings.TrimSpace(line))
		}
	}
	return ours
}

// What a person sees who is refused: a line of ours if the plugin can know, else kubectl's, and the doctor's.
func TestRefusals(t *testing.T) {
	const mustLogIn = "error: You must be logged in to the server (the server has asked for the client to provide credentials)"
	for _, tt := range []struct {
		name             string
		spoil            func(*testing.T, *person)
		ours, last, says string // our line, kubectl's last, the doctor's
	}{
		{
			"a revoked certificate", func(t *testing.T, p *person) {
				pair, err := shared.aws.Authority().Intermediate.Issue(minica.Leaf("tester"), nil)
				if err != nil {
					t.Fatal(err)
				}
				p.give(t, pair)
				if err := shared.aws.Revoke(pair.Certificate.SerialNumber); err != nil {
					t.Fatal(err)
				}
			},
			"Untrusted certificate. Certificate has been revoked", "failed with exit code 4", "get a new certificate: this one was revoked",
		},
		{
			"an expired certificate", func(t *testing.T, p *person) {
				leaf := minica.Leaf("tester")
				leaf.NotBefore, leaf.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
				pair, err := shared.aws.Authority().Intermediate.Issue(leaf, nil)
				if err != nil {
					t.Fatal(err)
				}
				p.give(t, pair)
			},
			"expired 24 hours ago", "failed with exit code 3", "expired 24 hours ago",
		},
		{
			"a role that is not mapped", func(t *testing.T, p *person) {
				p.must(t, "eks-x509", "config", "set", "role-arn", "arn:aws:iam::123456789012:role/unmapped")
			},
			"", mustLogIn, "access entry",
		},
		{
			"another cluster's name", func(t *testing.T, p *person) {
				p.edit(t, p.kubeconfig(), "- "+clusterName+"\n", "- sandbox\n")
			},
			"", mustLogIn, "the entry names another cluster",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPerson(t)
			tt.spoil(t, p)
			p.must(t, "eks-x509", "cache", "clear", "--all")
			start := time.Now()
			r := p.run(t, "kubectl", "get", "ns")
			if r.code != 1 || r.stdout != "" || !strings.Contains(r.stderr[strings.LastIndexByte(strings.TrimSpace(r.stderr), '\n')+1:], tt.last) {
				t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
			}
			ours := ourLines(r.stderr)
			if len(ours) > 5 || (len(ours) > 0) != (tt.ours != "") {
				t.Errorf("%d lines of ours:\n%s", len(ours), r.stderr)
			}
			for _, line := range ours {
				if !strings.Contains(line, tt.ours) {
					t.Errorf("said %q", line)
				}
			}
			if n := len(shared.aws.since(start, "CreateSession")); n > 1 {
				t.Errorf("%d CreateSession calls", n)
			}
			if r := p.run(t, "eks-x509", "doctor"); r.code == 0 || !strings.Contains(r.stdout, tt.says) {
				t.Errorf("the doctor: exit code %d\n%s", r.code, r.stdout)
			}
		})
	}
}

// kubectl runs a plugin that fails five times: five lines, and AWS is asked once.
func TestFailingPlugin(t *testing.T) {
	for name, tt := range map[string]struct {
		fault sandbox.Fault
		calls int // what may pass by itself is tried three times, once
	}{
		"refused":        {sandbox.Fault{Operation: "CreateSession", Kind: "status", Value: "403"}, 1},
		"not JSON":       {sandbox.Fault{Operation: "CreateSession", Kind: "html"}, 1},
		"throttled":      {sandbox.Fault{Operation: "CreateSession", Kind: "throttle"}, 3},
		"internal error": {sandbox.Fault{Operation: "CreateSession", Kind: "status", Value: "500"}, 3},
		"dropped":        {sandbox.Fault{Operation: "CreateSession", Kind: "drop"}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPerson(t)
			p.must(t, "eks-x509", "cache", "clear", "--all")
			if err := os.RemoveAll(p.path(".kube/cache")); err != nil {
				t.Fatal(err)
			}
			shared.aws.SetFaults([]sandbox.Fault{tt.fault})
			t.Cleanup(func() { shared.aws.SetFaults(nil) })
			start := time.Now()
			r := p.run(t, "kubectl", "get", "ns")
			t.Logf("after %v: %s", time.Since(start).Round(time.Millisecond), r.stderr)
			ours := ourLines(r.stderr)
			if r.code != 1 || r.stdout != "" || len(ours) != 5 {
				t.Fatalf("exit code %d, %d lines of ours", r.code, len(ours))
			}
			for i, line := range ours {
				if strings.Contains(line, "; hint: ") != (i == 0) {
					t.Errorf("line %d: %s", i+1, line)
				}
			}
			if n := len(shared.aws.since(start, "CreateSession")); n != tt.calls {
				t.Errorf("%d CreateSession calls", n)
			}
		})
	}
}

// A watch was let in when it connected: it goes on when its session ends, and the next kubectl has a new one.
func TestSessionEndsDuringWatch(t *testing.T) {
	p := newPerson(t)
	p.must(t, "eks-x509", "cache", "clear", "--all")
	const lasts = 3 * time.Second
	shared.aws.SetFaults([]sandbox.Fault{{Operation: "CreateSession", Kind: "ends", Value: lasts.String()}})
	t.Cleanup(func() { shared.aws.SetFaults(nil) })

	var out lockedBuffer
	watch := p.command(t, "kubectl", "get", "ns", "-w", "-o", "name")
	watch.Stdout, watch.Stderr = &out, &out
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watch.Process.Kill(); _ = watch.Wait() })
	shows := func(what string) {
		t.Helper()
		if err := until(30*time.Second, func() error {
			if !strings.Contains(out.String(), what) {
				return errors.New("not seen")
			}
			return nil
		}); err != nil {
			t.Fatalf("%s: %v in\n%s", what, err, out.String())
		}
	}
	shows("namespace/kube-system")
	ends := time.Now().Add(lasts)
	if err := until(time.Minute, func() error {
		if time.Now().Before(ends) {
			return errors.New("not yet")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if out, err := shared.cluster.admin("create", "ns", "after-the-session"); err != nil {
		t.Fatal(err, out)
	}
	shows("namespace/after-the-session")
	if out, err := shared.cluster.admin("delete", "ns", "after-the-session"); err != nil {
		t.Fatal(err, out)
	}
	shared.aws.SetFaults(nil)
	start := time.Now()
	p.seesNamespaces(t, "kubectl")
	if n := len(shared.aws.since(start, "CreateSession")); n != 1 {
		t.Errorf("%d CreateSession calls after the end", n)
	}
}

// lockedBuffer may be read while a process writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
