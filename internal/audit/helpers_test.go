package audit

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eks-x509/eks-x509/internal/minica"
)

// log is an input for each text.
func log(texts ...string) (inputs []Input) {
	for i, text := range texts {
		inputs = append(inputs, Input{Name: fmt.Sprintf("file%d", i), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader([]byte(text))), nil }})
	}
	return inputs
}

func zip(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

func indent(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(text), "", "    "); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func encode(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// audit runs and closes at the end of the test.
func audit(t testing.TB, cloudtrail, kubernetes []Input, o Options) *Result {
	t.Helper()
	o.Actions, o.TempDir = true, t.TempDir()
	r, err := Run(context.Background(), cloudtrail, kubernetes, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// row is a line of a timeline.
type row struct {
	Session *Session
	Actions []Action
}

func timeline(t testing.TB, r *Result) (rows []row) {
	t.Helper()
	err := r.Timeline(func(s *Session, actions iter.Seq2[Action, error]) error {
		got := row{Session: s}
		for a, err := range actions {
			if err != nil {
				return err
			}
			if r.SessionOf(a) != s {
				t.Errorf("action %s: its session is %+v, not that of the timeline", a.ID, r.SessionOf(a))
			}
			got.Actions = append(got.Actions, a)
		}
		rows = append(rows, got)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// told is all that a result tells, but for sizes.
func told(t testing.TB, r *Result) string {
	t.Helper()
	counts := r.Counts
	counts.Bytes = 0
	b, err := json.MarshalIndent(map[string]any{"sessions": sessionsOf(t, r), "subjects": subjectsOf(t, r), "findings": findingsOf(t, r), "counts": counts, "timeline": timeline(t, r)}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

type m = map[string]any

// created is a CreateSession event.
func created(key, name, cn string, from time.Time, change func(m)) m {
	e := m{"eventVersion": "1.09", "userIdentity": m{"type": "Unknown", "principalId": "", "accountId": "123456789012"},
		"eventTime": from.Format(time.RFC3339), "eventSource": "rolesanywhere.amazonaws.com", "eventName": "CreateSession", "awsRegion": "eu-central-1", "sourceIPAddress": "198.51.100.7", "userAgent": "eks-x509",
		"requestParameters": m{"profileArn": "arn:aws:rolesanywhere:eu-central-1:123456789012:profile/p", "roleArn": "arn:aws:iam::123456789012:role/team/Dev", "trustAnchorArn": "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/a"},
		"responseElements": m{"credentialSet": []any{m{"assumedRoleUser": m{"arn": "arn:aws:sts::123456789012:assumed-role/Dev/" + name, "assumedRoleId": "AROAEXAMPLE:" + name},
			"credentials": m{"accessKeyId": key, "expiration": from.Add(time.Hour).Format(time.RFC3339), "secretAccessKey": "SECRETSECRET", "sessionToken": "TOKENTOKEN"},
			"roleArn":     "arn:aws:iam::123456789012:role/team/Dev", "sourceIdentity": "CN=" + cn}}, "subjectArn": "arn:aws:rolesanywhere:eu-central-1:123456789012:subject/s"},
		"eventID": "e-" + key + from.Format("150405"), "recipientAccountId": "123456789012"}
	if change != nil {
		change(e)
	}
	return e
}

// assumed is an AssumeRole event by the holder of parent.
func assumed(key, parent, name string, from time.Time) m {
	return m{"eventVersion": "1.08", "userIdentity": m{"type": "AssumedRole", "accessKeyId": parent}, "eventTime": from.Format(time.RFC3339), "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole",
		"requestParameters": m{"roleArn": "arn:aws:iam::123456789012:role/Cluster", "roleSessionName": name},
		"responseElements": m{"credentials": m{"accessKeyId": key, "expiration": from.Add(time.Hour).Format("Jan 2, 2006, 3:04:05\u202fPM"), "sessionToken": "TOKENTOKEN"},
			"assumedRoleUser": m{"arn": "arn:aws:sts::123456789012:assumed-role/Cluster/" + name}}, "eventID": "e-" + key}
}

// did is an audit event, of an AWS identity where key, arn or name are given.
func did(id, key, arn, name string, received time.Time, change func(m)) m {
	extra := m{}
	for k, v := range map[string]string{"accessKeyId": key, "arn": arn, "sessionName": name} {
		if v != "" {
			extra[k] = []any{v}
		}
	}
	e := m{"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": id, "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/prod/pods?limit=500", "verb": "list",
		"user": m{"username": "alice", "groups": []any{"system:authenticated"}, "extra": extra}, "sourceIPs": []any{"203.0.113.5"}, "userAgent": "kubectl/v1.33",
		"objectRef": m{"resource": "pods", "namespace": "prod", "apiVersion": "v1"}, "responseStatus": m{"metadata": m{}, "code": 200},
		"requestReceivedTimestamp": received.Format(time.RFC3339Nano), "stageTimestamp": received.Add(time.Millisecond).Format(time.RFC3339Nano),
		"annotations": m{"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""}}
	if change != nil {
		change(e)
	}
	return e
}

func forbidden(e m) {
	e["responseStatus"] = m{"code": 403}
	e["annotations"] = m{"authorization.k8s.io/decision": "forbid"}
}

// lines are events as JSON lines.
func lines(t testing.TB, events ...m) string {
	t.Helper()
	var b bytes.Buffer
	for _, e := range events {
		b.WriteString(encode(t, e) + "\n")
	}
	return b.String()
}

func encodeCertificate(p *minica.Pair) string {
	return base64.StdEncoding.EncodeToString(p.Certificate.Raw)
}

// every is all of a list of a result; an error ends the test.
func every[T any](t testing.TB, seq iter.Seq2[T, error]) (list []T) {
	t.Helper()
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
	return list
}

func sessionsOf(t testing.TB, r *Result) []*Session { t.Helper(); return every(t, r.Sessions) }
func subjectsOf(t testing.TB, r *Result) []*Subject { t.Helper(); return every(t, r.Subjects) }
func findingsOf(t testing.TB, r *Result) []Finding  { t.Helper(); return every(t, r.Findings) }
