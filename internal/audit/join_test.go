package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const devARN = "arn:aws:sts::123456789012:assumed-role/Dev/"

// joined says of each action of which session it is and by what.
func joined(t *testing.T, r *Result) map[string]string {
	t.Helper()
	got := map[string]string{}
	for a, err := range r.ByTime() {
		if err != nil {
			t.Fatal(err)
		}
		s := r.SessionOf(a)
		name := cmp.Or(s.EventID, "unknown "+cmp.Or(s.AccessKeyID, s.AssumedRoleARN))
		got[a.ID] = name + " " + string(a.JoinedBy)
	}
	return got
}

func TestJoin(t *testing.T) {
	t.Parallel()
	keyless := func(e m) {
		delete(e["responseElements"].(m)["credentialSet"].([]any)[0].(m)["credentials"].(m), "accessKeyId")
		e["eventID"] = "e-keyless"
	}
	long := func(e m) {
		e["responseElements"].(m)["credentialSet"].([]any)[0].(m)["credentials"].(m)["expiration"] = at(12 * 60).Format(time.RFC3339)
		e["eventID"] = "e-long"
	}
	id := func(e m, id string) m { e["eventID"] = id; return e }
	const years = 3 * 365 * 24 * 60
	trail := lines(t,
		id(assumed("ASIAC", "ASIAB", "c", at(12)), "e-c"), // before its parent, which is before its own
		id(assumed("ASIAB", "ASIA1", "b", at(11)), "e-b"),
		id(created("ASIA1", "01", "alice", at(0), nil), "e-1"),
		id(created("ASIA2", "01", "alice", at(59), nil), "e-2"),
		created("ASIAL", "77", "long", at(0), long),
		id(created("ASIAS", "77", "long", at(60), nil), "e-s"),
		created("", "02", "bob", at(0), keyless),
		assumed("ASIAX", "ASIAY", "x", at(1)), assumed("ASIAY", "ASIAX", "y", at(1)), // a circle
		assumed("ASIAZ", "ASIANOTOURS", "z", at(1)),
		id(assumed("ASIAD", "ASIA1", "d", at(years+5)), "e-d"),
		id(created("ASIA1", "03", "carol", at(years), nil), "e-3"), // the same access key as e-1
	)
	events := []m{
		did("by key", "ASIA1", devARN+"01", "01", at(1), nil),
		did("by key after its end", "ASIA1", "", "", at(500), nil),
		did("chained", "ASIAC", "", "", at(13), nil),
		did("by key of another, years later", "ASIA1", "", "", at(years-4), nil),
		did("chained, years later", "ASIAD", "", "", at(years+6), nil),
		did("by ARN", "", devARN+"01", "01", at(1), nil),
		did("by ARN before the second began", "", devARN+"01", "01", at(58), nil),
		did("by ARN when both are good", "", devARN+"01", "01", at(60), nil),
		did("by ARN in the tail", "", devARN+"01", "01", at(59+60+14), nil),
		did("by ARN too late", "", devARN+"01", "01", at(59+60+21), nil),
		did("by ARN within the skew", "", devARN+"01", "01", at(-4), nil),
		did("by ARN too early", "", devARN+"01", "01", at(-6), nil),
		did("by ARN of the longer", "", devARN+"77", "77", at(200), nil),
		did("by name", "", "", "01", at(1), nil),
		did("another key of a known ARN", "ASIAOTHER", devARN+"01", "01", at(1), nil),
		did("a key of a session that has none", "ASIAOTHER2", devARN+"02", "02", at(1), nil),
		did("circle", "ASIAX", "", "", at(2), nil),
		did("not ours", "ASIAZ", "", "", at(2), nil),
		did("nobody's", "", "", "", at(2), nil),
		did("scrubbed", "", "", "", at(2), func(e m) {
			e["user"].(m)["extra"] = m{"accessKeyId": []any{""}, "arn": []any{""}, "sessionName": []any{""}}
		}),
		did("a string for a list", "", "", "", at(1), func(e m) { e["user"].(m)["extra"] = m{"accessKeyId": "ASIA1"} }),
	}
	r := audit(t, log(trail), log(lines(t, events...)), Options{Workers: 2})
	equal(t, "joined", joined(t, r), map[string]string{
		"by key": "e-1 accessKeyId", "by key after its end": "e-1 accessKeyId", "by key of another, years later": "e-3 accessKeyId", "chained, years later": "e-d accessKeyId",
		"chained": "e-c accessKeyId",
		"by ARN":  "e-1 arn", "by ARN before the second began": "e-1 arn", "by ARN when both are good": "e-2 arn", "by ARN in the tail": "e-2 arn", "by ARN too late": "unknown " + devARN + "01 none",
		"by ARN within the skew": "e-1 arn", "by ARN too early": "unknown " + devARN + "01 none", "by ARN of the longer": "e-long arn", "by name": "e-1 sessionName",
		"another key of a known ARN": "unknown ASIAOTHER none", "a key of a session that has none": "e-keyless arn",
		"circle": "unknown ASIAX none", "not ours": "unknown ASIAZ none", "a string for a list": "e-1 accessKeyId",
	})
	if r.Counts.Others != 2 || r.Counts.KubernetesEvents != int64(len(events)) || r.Counts.CloudTrailEvents != 12 {
		t.Errorf("%+v", r.Counts)
	}
	for _, s := range sessionsOf(t, r) {
		if s.AccessKeyID == "ASIAD" && s.Certificate.Subject != "CN=carol" {
			t.Errorf("chained, years later: %+v", s)
		}
		if s.AccessKeyID == "ASIAC" && (s.Parent != "ASIAB" || s.Certificate.Subject != "CN=alice" || s.SourceIdentity != "CN=alice" || !s.To.Equal(at(72))) {
			t.Errorf("chained: %+v", s)
		}
	}
}

// AWS's page says that Roles Anywhere calls AssumeRole: such an event tells of a
// session too, and one of CreateSession for the same key tells more.
func TestAssumeRoleByService(t *testing.T) {
	t.Parallel()
	e := assumed("ASIA1", "", "00c8", at(0))
	e["userIdentity"] = m{"type": "AWSService", "invokedBy": "rolesanywhere.amazonaws.com"}
	e["requestParameters"].(m)["sourceIdentity"] = "CN=alice"
	r := audit(t, log(lines(t, e)), nil, Options{})
	if len(sessionsOf(t, r)) != 1 || sessionsOf(t, r)[0].Certificate != (Certificate{Subject: "CN=alice", Serial: "c8"}) || sessionsOf(t, r)[0].Parent != "" {
		t.Errorf("%+v", sessionsOf(t, r))
	}
	own := created("ASIA1", "00c8", "alice", at(1), nil)
	for _, trail := range []string{lines(t, e, own), lines(t, own, e)} {
		if r := audit(t, log(trail), nil, Options{}); len(sessionsOf(t, r)) != 1 || sessionsOf(t, r)[0].ProfileARN == "" {
			t.Errorf("%+v", sessionsOf(t, r))
		}
	}
}

func TestStagesAndCopies(t *testing.T) {
	t.Parallel()
	stage := func(name string, code int) func(m) {
		return func(e m) { e["stage"], e["responseStatus"] = name, m{"code": code} }
	}
	received := did("w", "ASIA1", "", "", at(1), func(e m) { e["stage"] = "RequestReceived"; delete(e, "responseStatus") })
	started, complete := did("w", "ASIA1", "", "", at(1), stage("ResponseStarted", 200)), did("w", "ASIA1", "", "", at(1), stage("ResponseComplete", 403))
	panicked := did("p", "ASIA1", "", "", at(2), stage("Panic", 500))
	noID := did("", "ASIA1", "", "", at(3), nil)
	other := did("", "ASIA1", "", "", at(3), func(e m) { e["verb"] = "get" })
	trail := lines(t, created("ASIA1", "01", "alice", at(0), nil))
	// Far apart, out of order, in other files, more than once.
	r := audit(t, log(trail+trail), log(lines(t, complete, panicked, noID), lines(t, received), lines(t, other, started, complete, noID)), Options{Workers: 3})
	var got []string
	for a, err := range r.ByTime() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(a.ID, " ", a.Code, " ", a.Verb))
	}
	slices.Sort(got)
	equal(t, "actions", got, []string{" 200 get", " 200 list", "p 500 list", "w 403 list"})
	if sessionsOf(t, r)[0].Actions != 4 || sessionsOf(t, r)[0].Denied != 0+1 || r.Counts.Duplicates != 3 || r.Counts.KubernetesEvents != 8 {
		t.Errorf("%+v %+v", sessionsOf(t, r)[0], r.Counts)
	}
	// What was denied in the end is denied.
	if r := audit(t, log(trail), log(lines(t, started, complete)), Options{Filter: Filter{Denied: true}}); sessionsOf(t, r)[0].Actions != 1 {
		t.Errorf("%+v", sessionsOf(t, r)[0])
	}
	if r := audit(t, log(trail), log(lines(t, did("w", "ASIA1", "", "", at(1), stage("ResponseStarted", 403)), did("w", "ASIA1", "", "", at(1), stage("ResponseComplete", 200)))), Options{Filter: Filter{Denied: true}}); len(sessionsOf(t, r)) != 0 {
		t.Errorf("%+v", sessionsOf(t, r))
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	trail := lines(t, created("ASIA1", "00c8", "alice", at(0), nil), created("ASIA2", "0b02", "bob", at(120), nil))
	events := lines(t,
		did("a1", "ASIA1", "", "", at(1), nil),
		did("a2", "ASIA1", "", "", at(2), func(e m) {
			e["verb"], e["objectRef"] = "create", m{"resource": "pods", "subresource": "exec", "namespace": "dev", "name": "web-1"}
		}),
		did("b1", "ASIA2", "", "", at(121), func(e m) {
			forbidden(e)
			e["objectRef"] = m{"resource": "deployments", "apiGroup": "apps", "namespace": "prod", "name": "api"}
			e["impersonatedUser"] = m{"username": "admin"}
		}),
		did("u1", "ASIAU", "arn:aws:sts::1:assumed-role/Node/0b02", "", at(3), func(e m) { e["user"].(m)["username"] = "system:node:x" }),
	)
	for name, c := range map[string]struct {
		f        Filter
		actions  string
		sessions int
	}{
		"none":                    {Filter{}, "a1 a2 u1 b1", 3},
		"subject":                 {Filter{Subject: "cn=ALICE"}, "a1 a2", 1},
		"subject by pattern":      {Filter{Subject: "CN=*x?"}, "", 0},
		"subject by pattern, bob": {Filter{Subject: "*b?b"}, "b1", 1},
		"serial, hex":             {Filter{Serial: "00:C8"}, "a1 a2", 1},
		"serial, decimal":         {Filter{Serial: "200"}, "a1 a2", 1},
		"serial, unknown too":     {Filter{Serial: "0b02"}, "u1 b1", 2},
		"role":                    {Filter{Role: "Dev"}, "a1 a2 b1", 2},
		"role by ARN":             {Filter{Role: "arn:aws:iam::*:role/team/Dev"}, "a1 a2 b1", 2},
		"role, unknown":           {Filter{Role: "Node"}, "u1", 1},
		"user":                    {Filter{User: "system:*"}, "u1", 1},
		"user, impersonated":      {Filter{User: "admin"}, "b1", 1},
		"verb":                    {Filter{Verb: "create"}, "a2", 1},
		"resource":                {Filter{Resource: "pods"}, "a1 a2 u1", 2},
		"resource, sub":           {Filter{Resource: "pods/exec"}, "a2", 1},
		"resource, any sub":       {Filter{Resource: "*/*"}, "a2", 1},
		"resource, group":         {Filter{Resource: "deployments.apps"}, "b1", 1},
		"namespace":               {Filter{Namespace: "prod"}, "a1 u1 b1", 3},
		"name":                    {Filter{Name: "web-*"}, "a2", 1},
		"denied":                  {Filter{Denied: true}, "b1", 1},
		"since":                   {Filter{Since: at(100)}, "b1", 1},
		"until":                   {Filter{Until: at(2)}, "a1", 1},
		"within a session":        {Filter{Since: at(30), Until: at(40)}, "", 1},
		"after every session":     {Filter{Since: at(500)}, "", 0},
	} {
		r := audit(t, log(trail), log(events), Options{Filter: c.f})
		var got []string
		for a, err := range r.ByTime() {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, a.ID)
		}
		if strings.Join(got, " ") != c.actions || len(sessionsOf(t, r)) != c.sessions {
			t.Errorf("%s: actions %v, %d sessions; want %q, %d", name, got, len(sessionsOf(t, r)), c.actions, c.sessions)
		}
		counted := int64(0)
		for _, s := range sessionsOf(t, r) {
			counted += s.Actions
		}
		if int(counted) != len(got) {
			t.Errorf("%s: %d actions are counted, %d are there", name, counted, len(got))
		}
	}
}

// An action in time is told though its session had ended before.
func TestSinceInTheTail(t *testing.T) {
	t.Parallel()
	r := audit(t, log(lines(t, created("ASIA1", "01", "alice", at(0), nil))), log(lines(t, did("a", "ASIA1", "", "", at(62), nil))), Options{Filter: Filter{Since: at(61)}})
	if len(sessionsOf(t, r)) != 1 || sessionsOf(t, r)[0].Actions != 1 {
		t.Errorf("%+v", sessionsOf(t, r))
	}
}
