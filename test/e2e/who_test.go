package e2e

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eks-x509/eks-x509/internal/minica"
)

// apiEvent is what an auditor would look at in a line of the API server's log.
type apiEvent struct {
	AuditID, Verb, RequestURI string
	User                      struct {
		Username string
		Extra    map[string][]string
	}
	ObjectRef      struct{ Resource, Namespace, Name string }
	ResponseStatus struct{ Code int }
	Annotations    map[string]string
}

func (e apiEvent) accessKey() string {
	if keys := e.User.Extra["accessKeyId"]; len(keys) == 1 {
		return keys[0]
	}
	return ""
}

func (c *cluster) apiEvents(t *testing.T) []apiEvent {
	t.Helper()
	log, err := os.ReadFile(c.path("audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	var all []apiEvent
	for line := range bytes.Lines(log) {
		var e apiEvent
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// timeline is what audit timeline prints, as far as it is looked at here.
type timeline struct {
	Sessions []struct {
		Session struct {
			AccessKeyID string
			Certificate struct{ Subject, Serial string }
			SessionName string
			Actions     int
			Unknown     bool
		}
		Actions []struct {
			AuditID, Verb, Resource, Namespace, Name, RequestURI, Decision, JoinedBy string
			Code                                                                     int
		}
	}
	Damage []any
}

func (p *person) timeline(t *testing.T, more ...string) timeline {
	t.Helper()
	args := append([]string{"audit", "timeline", "--cloudtrail", shared.aws.dir + "/cloudtrail.jsonl", "--kubernetes", shared.cluster.path("audit.log"), "--output", "json"}, more...)
	var out timeline
	if err := json.Unmarshal([]byte(p.must(t, "eks-x509", args...)), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAudit joins what a real API server and a real authenticator wrote with
// what the sandbox wrote as CloudTrail.
func TestAudit(t *testing.T) {
	p := newHome(t)
	pair, err := shared.aws.Authority().Intermediate.Issue(minica.Leaf("somebody"), nil)
	if err != nil {
		t.Fatal(err)
	}
	p.take(t, pair)
	p.seesNamespaces(t, "kubectl")
	p.must(t, "kubectl", "get", "pods", "-n", "kube-system")
	if r := p.run(t, "kubectl", "create", "namespace", "of-somebody"); r.code == 0 {
		t.Fatal("somebody may make namespaces")
	}

	serial := fmt.Sprintf("%x", pair.Certificate.SerialNumber.Bytes())
	got := p.timeline(t, "--serial", serial)
	if len(got.Sessions) != 1 || len(got.Damage) != 0 {
		t.Fatalf("%d sessions, damage %v; want one session", len(got.Sessions), got.Damage)
	}
	if s := got.Sessions[0].Session; s.Certificate.Serial != serial || s.SessionName != serial || !strings.HasPrefix(s.Certificate.Subject, "CN=somebody") || s.Unknown {
		t.Errorf("the session is %+v", s)
	}
	var seen []string
	for _, a := range got.Sessions[0].Actions {
		if a.JoinedBy != "accessKeyId" {
			t.Errorf("joined by %q: %+v", a.JoinedBy, a)
		}
		if a.Resource != "" { // discovery differs from one kubectl to the next
			seen = append(seen, fmt.Sprintf("%s %s %s/%s %d %s", a.Verb, a.Resource, a.Namespace, a.Name, a.Code, a.Decision))
		}
	}
	want := []string{"list namespaces / 200 allow", "list pods kube-system/ 200 allow", "create namespaces / 403 forbid"} // at level Metadata the log has no name for what is not there yet
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}

	// In the table as a person reads it, and the row that the source of the walkthrough ends with.
	args := []string{"--cloudtrail", shared.aws.dir + "/cloudtrail.jsonl", "--kubernetes", shared.cluster.path("audit.log")}
	who := p.must(t, "eks-x509", append([]string{"audit", "who", "--resource", "namespaces", "--verb", "create", "--denied", "--serial", serial}, args...)...)
	if !strings.Contains(who, "CN=somebody") || !strings.Contains(who, "forbid") || !strings.Contains(who, serial) {
		t.Errorf("audit who printed:\n%s", who)
	}
	page := p.must(t, "eks-x509", append([]string{"audit", "timeline", "--serial", serial, "--output", "html"}, args...)...)
	if !strings.Contains(page, "CN=somebody") || !strings.HasPrefix(page, "<!") {
		t.Errorf("the page has %d bytes and no somebody", len(page))
	}
	if *record != "" {
		recordLogs(t, serial)
	}
}

// -record keeps what this run wrote about somebody, and some of the cluster's own, for testdata/logs/recorded.
var record = flag.String("record", "", "folder to write the logs of TestAudit to")

func recordLogs(t *testing.T, serial string) {
	t.Helper()
	others := 12
	for from, to := range map[string]string{shared.aws.dir + "/cloudtrail.jsonl": "cloudtrail.jsonl", shared.cluster.path("audit.log"): "audit.log"} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		var kept []byte
		for line := range bytes.Lines(data) {
			ours := bytes.Contains(line, []byte(serial))
			if !ours {
				others--
			}
			if ours || others >= 0 {
				kept = append(kept, line...)
			}
		}
		if err := os.WriteFile(filepath.Join(*record, to), kept, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAuditOfAll: over all that has happened in this run (the tests of this file
// are the last, by its name), each session has the actions that a join by hand
// gives it.
func TestAuditOfAll(t *testing.T) {
	p := newPerson(t)
	p.seesNamespaces(t, "kubectl")
	want := map[string]map[string]bool{}
	for _, e := range shared.cluster.apiEvents(t) {
		if key := e.accessKey(); key != "" {
			if want[key] == nil {
				want[key] = map[string]bool{}
			}
			want[key][e.AuditID] = true
		}
	}
	got := map[string]map[string]bool{}
	for _, s := range p.timeline(t).Sessions {
		ids := map[string]bool{}
		for _, a := range s.Actions {
			ids[a.AuditID] = true
		}
		if len(ids) != len(s.Actions) || s.Session.Actions != len(s.Actions) {
			t.Errorf("session %s: %d actions, %d distinct, %d counted", s.Session.AccessKeyID, len(s.Actions), len(ids), s.Session.Actions)
		}
		if len(ids) > 0 {
			got[s.Session.AccessKeyID] = ids
		}
	}
	if len(want) == 0 {
		t.Fatal("nobody of AWS's did anything")
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if missing := slices.DeleteFunc(slices.Collect(maps.Keys(want[key])), func(id string) bool { return got[key][id] }); len(missing) > 0 {
			t.Errorf("session %s lacks %d of %d actions", key, len(missing), len(want[key]))
		}
	}
}
