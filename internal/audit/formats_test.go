package audit

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fastjson"

	"github.com/eks-x509/eks-x509/internal/minica"
)

// The source's own example: a CreateSession whose session name is the serial
// number of the certificate, and what its holder may not do.
func TestSourceExample(t *testing.T) {
	t.Parallel()
	const name = "00c8a3f1d27e5b9046d1835cf2607a9e44b1b192"
	trail := created("ASIAVIEWK8EXAMPLE123", name, "viewk8", noon, func(e m) { e["requestParameters"].(m)["roleArn"] = "arn:aws:iam::123456789012:role/Dev" })
	action := did("62f66737-1f7d-4ec2-9c04-cde9e4be78b1", "ASIAVIEWK8EXAMPLE123", "arn:aws:sts::123456789012:assumed-role/Dev/"+name, name, at(3), func(e m) {
		e["verb"], e["requestURI"] = "create", "/api/v1/namespaces?fieldManager=kubectl-create&fieldValidation=Strict"
		e["user"].(m)["username"] = "viewk8"
		e["objectRef"] = m{"resource": "namespaces", "apiVersion": "v1"}
		e["responseStatus"] = m{"metadata": m{}, "status": "Failure", "reason": "Forbidden", "code": 403}
		e["annotations"] = m{"authorization.k8s.io/decision": "forbid", "authorization.k8s.io/reason": ""}
	})
	r := audit(t, log(encode(t, m{"Records": []any{trail}})), log(lines(t, action)), Options{})
	rows := timeline(t, r)
	if len(rows) != 1 || len(rows[0].Actions) != 1 {
		t.Fatalf("got %+v", rows)
	}
	s, a := rows[0].Session, rows[0].Actions[0]
	equal(t, "certificate", s.Certificate, Certificate{Subject: "CN=viewk8", Serial: "c8a3f1d27e5b9046d1835cf2607a9e44b1b192"})
	equal(t, "session", []string{s.AccessKeyID, s.AssumedRoleARN, s.Name, s.SourceIP, s.From.Format(time.RFC3339), s.To.Format(time.RFC3339)},
		[]string{"ASIAVIEWK8EXAMPLE123", "arn:aws:sts::123456789012:assumed-role/Dev/" + name, name, "198.51.100.7", "2026-11-24T12:00:00Z", "2026-11-24T13:00:00Z"})
	equal(t, "action", []string{a.Verb, a.Resource, a.Decision, a.User, string(a.JoinedBy)}, []string{"create", "namespaces", "forbid", "viewk8", "accessKeyId"})
	if a.Code != 403 || !a.Denied() || s.Denied != 1 {
		t.Errorf("code %d, denied %v, denials of the session %d", a.Code, a.Denied(), s.Denied)
	}
	if got := told(t, r); strings.Contains(got, "SECRETSECRET") || strings.Contains(got, "TOKENTOKEN") {
		t.Errorf("a secret is told: %s", got)
	}
}

// The real event of the facts, byte for byte as kube-apiserver 1.34 wrote it.
func TestRealEvent(t *testing.T) {
	t.Parallel()
	const event = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"62f66737-1f7d-4ec2-9c04-cde9e4be78b1","stage":"ResponseComplete","requestURI":"/version?timeout=5s","verb":"get","user":{"username":"ra:123456789012:1a2b3c4d5e6f708192","uid":"aws-iam-authenticator:123456789012:AROAEXAMPLEROLEID1234","groups":["system:masters","system:authenticated"],"extra":{"accessKeyId":["ASIAEXAMPLEEXAMPLE12"],"arn":["arn:aws:sts::123456789012:assumed-role/RolesAnywhereDev/1a2b3c4d5e6f708192"],"canonicalArn":["arn:aws:iam::123456789012:role/RolesAnywhereDev"],"principalId":["AROAEXAMPLEROLEID1234"],"sessionName":["1a2b3c4d5e6f708192"],"sigs.k8s.io/aws-iam-authenticator/principalId":["AROAEXAMPLEROLEID1234"]}},"sourceIPs":["127.0.0.1"],"userAgent":"kubectl-dispatcher/v1.0 (linux/amd64)","responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-11-23T19:40:29.948715Z","stageTimestamp":"2026-11-23T19:40:29.957107Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}}`
	rows := timeline(t, audit(t, nil, log(event), Options{}))
	if len(rows) != 1 || len(rows[0].Actions) != 1 {
		t.Fatalf("got %+v", rows)
	}
	want := Action{ID: "62f66737-1f7d-4ec2-9c04-cde9e4be78b1", Time: time.Date(2026, 11, 23, 19, 40, 29, 948715000, time.UTC), Verb: "get", URI: "/version", Code: 200, Decision: "allow", User: "ra:123456789012:1a2b3c4d5e6f708192",
		SourceIP: "127.0.0.1", UserAgent: "kubectl-dispatcher/v1.0 (linux/amd64)", AccessKeyID: "ASIAEXAMPLEEXAMPLE12", ARN: "arn:aws:sts::123456789012:assumed-role/RolesAnywhereDev/1a2b3c4d5e6f708192", SessionName: "1a2b3c4d5e6f708192", JoinedBy: ByNothing}
	equal(t, "action", encode(t, rows[0].Actions[0]), encode(t, want))
	equal(t, "session", *rows[0].Session, Session{AccessKeyID: "ASIAEXAMPLEEXAMPLE12", AssumedRoleARN: want.ARN, RoleARN: "arn:aws:iam::123456789012:role/RolesAnywhereDev", Name: "1a2b3c4d5e6f708192", Unknown: true,
		Actions: 1, First: want.Time, Last: want.Time, Users: []string{want.User}, Addresses: []string{"127.0.0.1"}})
}

// In whatever form a log is delivered, it tells the same.
func TestFormats(t *testing.T) {
	t.Parallel()
	trail := []m{created("ASIA1", "0a01", "alice", at(0), nil), created("ASIA2", "0b02", "bob", at(5), nil), assumed("ASIA3", "ASIA2", "ops", at(6))}
	events := []m{did("11111111-1111-4111-8111-111111111111", "ASIA1", "", "", at(1), nil), did("22222222-2222-4222-8222-222222222222", "ASIA3", "", "", at(7), forbidden),
		did("33333333-3333-4333-8333-333333333333", "", "", "", at(8), nil), did("44444444-4444-4444-8444-444444444444", "ASIA1", "", "", at(9), func(e m) { e["userAgent"] = `a "quoted" \ {[ü] agent` })}
	wrap := func(key, inner string, list []m, more m) string {
		var all []any
		for _, e := range list {
			if inner == "" {
				all = append(all, e)
			} else {
				all = append(all, m{inner: encode(t, e), "logStreamName": "kube-apiserver-audit-0123", "timestamp": 1})
			}
		}
		doc := m{key: all}
		for k, v := range more {
			doc[k] = v
		}
		return encode(t, doc)
	}
	prefixed := func(list []m) string {
		var b strings.Builder
		for _, e := range list {
			b.WriteString("2026-11-24T10:00:00.000Z " + encode(t, e) + "\n")
		}
		return b.String()
	}
	trailLines, eventLines := lines(t, trail...), lines(t, events...)
	records, list := wrap("Records", "", trail, nil), wrap("items", "", events, m{"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": m{}})
	trails := map[string]string{
		"JSON lines": trailLines, "Records": records, "Records, indented": indent(t, records), "Records, one a line": strings.ReplaceAll(strings.ReplaceAll(records, `[{"awsRegion`, "[\n"+`{"awsRegion`), `},{"awsRegion`, "},\n"+`{"awsRegion`),
		"LookupEvents": indent(t, wrap("Events", "CloudTrailEvent", trail, m{"NextToken": "x"})), "an array": encode(t, trail), "an array, indented": indent(t, encode(t, trail)),
		"CloudWatch Logs": wrap("events", "message", trail, nil), "CRLF": strings.ReplaceAll(trailLines, "\n", "\r\n"), "no newline at the end": strings.TrimSpace(trailLines), "byte order mark": "\ufeff" + trailLines, "byte order mark, indented": "\ufeff" + indent(t, records),
		"gzip": zip(records), "gzip of two members": zip(encode(t, trail[0])+"\n") + zip(lines(t, trail[1:]...)), "one behind the other": strings.ReplaceAll(trailLines, "\n", ""), "blank lines": "\n \n" + strings.ReplaceAll(trailLines, "\n", "\n\n"),
		"exported to S3": prefixed(trail), "NUL": trailLines + "\x00\x00\x00\n", "indented one after the other": indent(t, encode(t, trail[0])) + "\n" + indent(t, encode(t, trail[1])) + "\n" + indent(t, encode(t, trail[2])),
		"a line, then indented": lines(t, trail[0]) + indent(t, encode(t, m{"Records": trail[1:]})), "another envelope's lines": records + "\n" + records,
	}
	clusters := map[string]string{
		"JSON lines": eventLines, "EventList": list, "EventList, indented": indent(t, list), "exported to S3": prefixed(events),
		"filter-log-events": indent(t, wrap("events", "message", events, m{"searchedLogStreams": []any{}})), "gzip": zip(eventLines),
		"get-log-events":           indent(t, wrap("events", "message", events, m{"nextForwardToken": "f/1"})),
		"with other streams":       "2026-11-24T10:00:00.000Z \n2026-11-24T10:00:00.000Z \n2026-11-24T10:00:00.000Z goroutine 1 [running]:\nI1124 10:00:00.000000       1 controller.go:624] quota admission {\"a\"}\n2026-11-24T10:00:00.000Z time=\"2026-11-24T10:00:00Z\" level=info msg=\"access granted\" arn=x\n2026-11-24T10:00:00.000Z I1124 10:00:00.000000 1 a.go:1] {x}\n" + prefixed(events) + "2026-11-24T10:00:00.000Z \n",
		"lines of CloudWatch Logs": lines(t, m{"message": "I1124 klog"}, m{"message": encode(t, events[0])}, m{"@message": encode(t, events[1])}, m{"message": encode(t, events[2])}, m{"message": encode(t, events[3])}),
	}
	want := told(t, audit(t, log(trailLines), log(eventLines), Options{}))
	for _, must := range []string{`"actions": 2`, `"denied": 1`, `"otherEvents": 1`, `"parentAccessKeyId": "ASIA2"`, `"subject": "CN=bob"`} {
		if !strings.Contains(want, must) {
			t.Fatalf("no %s in %s", must, want)
		}
	}
	for name, text := range trails {
		for _, block := range []int{64, 65, 100, 1000, 0} {
			r := audit(t, log(text), log(eventLines), Options{Workers: 1 + block%3, block: block})
			if name == "another envelope's lines" {
				if r.Counts.Duplicates != 3 || r.Counts.CloudTrailEvents != 6 {
					t.Errorf("%s: %+v", name, r.Counts)
				}
				r.Counts.Duplicates, r.Counts.CloudTrailEvents = 0, 3
			}
			equal(t, fmt.Sprint("CloudTrail: ", name, " by ", block), told(t, r), want)
			equal(t, fmt.Sprint("CloudTrail: ", name, " by ", block, ": damage"), r.Damage, []Damage(nil))
		}
	}
	for name, text := range clusters {
		for _, block := range []int{64, 65, 100, 1000, 0} {
			r := audit(t, log(trailLines), log(text), Options{Workers: 2, block: block})
			equal(t, fmt.Sprint("Kubernetes: ", name, " by ", block), told(t, r), want)
			equal(t, fmt.Sprint("Kubernetes: ", name, " by ", block, ": damage"), r.Damage, []Damage(nil))
		}
	}
}

// A subscription's record names the cluster; Firehose puts it behind the one before.
func TestSubscription(t *testing.T) {
	t.Parallel()
	record := func(group string, messages ...string) string {
		var events []any
		for _, text := range messages {
			events = append(events, m{"id": "1", "timestamp": 1, "message": text})
		}
		return `{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"` + group + `","logStream":"s","subscriptionFilters":["f"],"logEvents":` + encode(t, events) + `}`
	}
	one := record("/aws/eks/prod/cluster", `time="x" level=info msg="access granted"`, encode(t, did("a", "ASIA1", "", "", at(1), nil)))
	two := record("/aws/eks/test/cluster", encode(t, did("b", "ASIA1", "", "", at(2), nil)), `{"kind":"Event","auditID":"c","user":{"extra":{"accessKeyId":["ASIA1"]`)
	control := `{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1,"message":"CWL CONTROL MESSAGE: Checking health of destination Firehose."}]}`
	for name, text := range map[string]string{"one behind the other": control + one + two, "lines": one + "\n" + control + "\n" + two + "\n", "gzip": zip(one) + zip(two), "indented": indent(t, one) + indent(t, two)} {
		r := audit(t, nil, log(text), Options{})
		var got []string
		for _, a := range timeline(t, r)[0].Actions {
			got = append(got, a.ID+" "+a.Cluster)
		}
		equal(t, name, got, []string{"a prod", "b test"})
		if len(r.Damage) != 1 || r.Damage[0].Why != whyJSON || r.Damage[0].Count != 1 {
			t.Errorf("%s: damage %+v", name, r.Damage)
		}
	}
}

func TestCertificateForms(t *testing.T) {
	t.Parallel()
	_, leaf := pair(t, "alice")
	der := base64.StdEncoding.EncodeToString(leaf.Certificate.Raw)
	block := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Certificate.Raw}))
	for name, form := range map[string]string{"base64 of DER": der, "PEM": block, "base64 of PEM": base64.StdEncoding.EncodeToString([]byte(block)), "base64 with newlines": der[:64] + "\n" + der[64:]} {
		c, ok := parseCertificate(form)
		if !ok || c.Subject != "CN=alice" || c.Issuer != "CN=Root" || c.Serial != serial(leaf.Certificate.SerialNumber) || !c.NotAfter.Equal(leaf.Certificate.NotAfter) {
			t.Errorf("%s: %+v", name, c)
		}
	}
	for _, bad := range []string{"", "HIDDEN_DUE_TO_SECURITY_REASONS", "MIIB", strings.Repeat("A", 4096)} {
		if c, ok := parseCertificate(bad); ok {
			t.Errorf("%q: %+v", bad, c)
		}
	}
	for identity, want := range map[string]Certificate{"": {}, "CN=alice": {Subject: "CN=alice"}, "a-long-name": {Subject: "CN=a-long-name"}, "ID=00C8": {Serial: "c8"}} {
		equal(t, identity, fromIdentity(identity), want)
	}
	// One event has the certificate, another has it left out: it is the same.
	with := created("ASIA1", serial(leaf.Certificate.SerialNumber), "alice", at(0), func(e m) { e["requestParameters"].(m)["cert"] = der })
	without := created("ASIA2", serial(leaf.Certificate.SerialNumber), "alice", at(1), nil)
	refused := created("ASIA3", "x", "alice", at(2), func(e m) {
		e["errorCode"], e["responseElements"] = "AccessDeniedException", nil
		e["requestParameters"].(m)["cert"] = der
	})
	r := audit(t, log(lines(t, with, without, refused, refused)), nil, Options{})
	if len(subjectsOf(t, r)) != 1 || subjectsOf(t, r)[0].Sessions != 2 || subjectsOf(t, r)[0].Refused != 1 || subjectsOf(t, r)[0].Certificate.Issuer != "CN=Root" {
		t.Errorf("%+v", subjectsOf(t, r))
	}
	if !subjectsOf(t, r)[0].Last.Equal(at(2)) || !subjectsOf(t, r)[0].First.Equal(at(0)) || r.Counts.Duplicates != 1 {
		t.Errorf("%+v %+v", subjectsOf(t, r)[0], r.Counts)
	}
}

func pair(t testing.TB, cn string) (ca, leaf *minica.Pair) {
	t.Helper()
	key, err := minica.GenerateKey("p256")
	if err != nil {
		t.Fatal(err)
	}
	root, end := minica.CA("Root"), minica.Leaf(cn)
	root.NotBefore, root.NotAfter = noon.AddDate(-1, 0, 0), noon.AddDate(1, 0, 0)
	end.NotBefore, end.NotAfter = root.NotBefore, noon.Add(time.Hour)
	if ca, err = minica.NewRoot(root, key); err != nil {
		t.Fatal(err)
	}
	if leaf, err = ca.Issue(end, key); err != nil {
		t.Fatal(err)
	}
	return ca, leaf
}

func TestDate(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`"2026-11-24T12:00:00Z"`: "2026-11-24T12:00:00Z", `"2026-11-24T13:00:00.5+01:00"`: "2026-11-24T12:00:00.5Z", `"2026-11-24T12:00:00+0000"`: "2026-11-24T12:00:00Z",
		`"Nov 24, 2026, 12:00:00 PM"`: "2026-11-24T12:00:00Z", `"Nov 24, 2026, 1:02:03\u202fPM"`: "2026-11-24T13:02:03Z", `"Nov 4, 2026 1:02:03 AM"`: "2026-11-04T01:02:03Z",
		"1795521600": "2026-11-24T12:00:00Z", "1795521600.5": "2026-11-24T12:00:00.5Z", "1795521600000": "2026-11-24T12:00:00Z", `"1795521600"`: "2026-11-24T12:00:00Z", `"2026-11-24 12:00:00"`: "2026-11-24T12:00:00Z",
		`"0001-01-01T00:00:00Z"`: "", `"9999-01-01T00:00:00Z"`: "", "0": "", "-5": "", "1e300": "", `"never"`: "", "null": "", "{}": "", `"NaN"`: "",
	} {
		v, err := fastjson.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		got := date(v)
		if want == "" && !got.IsZero() || want != "" && got.Format(time.RFC3339Nano) != want {
			t.Errorf("%s is %v, want %q", in, got, want)
		}
	}
}
