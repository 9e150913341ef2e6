package query_test

import (
	"io"
	"iter"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eks-x509/eks-x509/internal/audit"
	"github.com/eks-x509/eks-x509/internal/audit/query"
)

func input(lines []string) []audit.Input {
	return []audit.Input{{Name: "test", Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(strings.Join(lines, "\n"))), nil }}}
}

// answer is what the trail tells: sessions, and actions with theirs.
func answer(t *testing.T, cloudtrail, kubernetes []string, f audit.Filter) (all []string) {
	t.Helper()
	r, err := audit.Run(t.Context(), input(cloudtrail), input(kubernetes), audit.Options{Filter: f, Actions: true, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	err = r.Timeline(func(s *audit.Session, actions iter.Seq2[audit.Action, error]) error {
		all = append(all, "session "+s.AccessKeyID+" "+s.Name)
		for a, err := range actions {
			if err != nil {
				return err
			}
			all = append(all, s.AccessKeyID+" "+a.ID)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// Whatever is asked, the engines' lines give the answer that the files give.
func TestEnginesAnswerAsFilesDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.busy()
	w.advance(time.Minute)
	dir := path.Dir(w.s.EnvFile())
	cloudtrail := fileLines(t, path.Join(dir, "cloudtrail.jsonl"))
	// One session is not in CloudTrail's log.
	w.do(w.session(), http.MethodGet, "/api/v1/namespaces")
	kubernetes := w.auditFile()
	number := serial(w)
	for _, f := range []audit.Filter{
		{}, {Subject: "CN=sandbox-client"}, {Subject: "*nobody*"}, {Serial: number}, {Serial: strings.ToUpper(number)}, {Serial: "1"}, {Serial: number[:8] + "*"},
		{Serial: w.s.Authority().Client.Certificate.SerialNumber.String()}, {Role: "eks-x509-sandbox"}, {Role: "arn:aws:iam::123456789012:role/eks-*"}, {Role: "*sandbox"},
		{Role: "other"}, {Role: "a*x"}, {Serial: number, Role: "*sandbox", Denied: true}, {Subject: "*sandbox*", Verb: "list"}, {Resource: "pods", Namespace: "default"},
		{Resource: "pods/*"}, {Resource: "?ods"}, {Verb: "delete*", Denied: true}, {User: "sandbox:*"}, {Name: "core*"},
		{Denied: true}, {Verb: "*e*"}, {Verb: "[gl]*t"}, {Verb: "????"}, {Namespace: "kube-*"}, {Namespace: "*"}, {Namespace: "**"}, {Namespace: "O%27*"}, {Namespace: "o'brien\"|"},
		{Resource: "pods/log"}, {Resource: "p*/log"}, {Resource: "deployments.apps"}, {Resource: "*s"}, {Resource: "nodes", Verb: "list"}, {User: "*"}, {User: "x_%!\\"}, {Name: "é?"},
	} {
		for _, window := range [][2]time.Duration{{-30 * time.Minute, 0}, {-65 * time.Second, 0}, {-30 * time.Minute, -65 * time.Second}} {
			f.Since, f.Until = w.clock().Add(window[0]), w.clock().Add(window[1])
			w.compare(f, cloudtrail, kubernetes)
			w.compare(f, nil, kubernetes) // what actions say of their sessions is all that is known
		}
	}
}

func (w *world) compare(f audit.Filter, cloudtrail, kubernetes []string) {
	t := w.t
	t.Helper()
	want := answer(t, cloudtrail, kubernetes, f)
	what := query.What{Filter: f, Narrow: true}
	r, err := audit.Run(t.Context(), input(cloudtrail), nil, audit.Options{Filter: audit.Filter{Subject: f.Subject, Serial: f.Serial, Role: f.Role}})
	if err != nil {
		t.Fatal(err)
	}
	for s, err := range r.Sessions {
		if err != nil {
			t.Fatal(err)
		}
		what.Sessions = append(what.Sessions, query.Session{AccessKeyID: s.AccessKeyID, ARN: s.AssumedRoleARN, Name: s.Name})
	}
	i, a := w.insights(f), w.athena(f)
	i.What, a.What = what, what
	for engine, lines := range map[string]iter.Seq2[[]byte, error]{"insights": i.Lines(t.Context()), "athena": a.AuditLines(t.Context())} {
		got, err := collect(lines)
		if err != nil {
			t.Fatalf("%s %+v: %v", engine, f, err)
		}
		if diff := cmp.Diff(want, answer(t, cloudtrail, got, f)); diff != "" {
			t.Errorf("%s %+v: %s", engine, f, diff)
		}
		for _, line := range got {
			if f.Verb == "list" && !strings.Contains(line, `"verb":"list"`) || f.Denied && !strings.Contains(line, `"decision":"forbid"`) && !strings.Contains(line, `"code":40`) {
				t.Errorf("%s %+v gives %s", engine, f, line)
			}
		}
	}
}
