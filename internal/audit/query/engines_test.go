package query_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// busy does many things in the cluster, some within one second.
func (w *world) busy() {
	one, two := w.session(), w.session()
	for i, path := range []string{
		"/api/v1/namespaces", "/api/v1/namespaces/default/pods", "/api/v1/namespaces/kube-system/pods/coredns", "/api/v1/namespaces/kube-system/secrets",
		"/apis/apps/v1/deployments", "/api/v1/namespaces/default/pods/web/log", "/readyz", "/api", "/api/v1/nodes?limit=500",
	} {
		for j, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			creds := one
			if (i+j)%2 == 0 {
				creds = two
			}
			w.do(creds, method, path)
			if j == 1 {
				w.advance(time.Second)
			}
		}
	}
	w.do(one, http.MethodGet, "/api/v1/namespaces/O'Brien\"%7C/pods")
}

// auditFile is what the sandbox's API server wrote, without secrets.
func (w *world) auditFile() []string {
	lines := fileLines(w.t, path.Join(path.Dir(w.s.EnvFile()), "audit.jsonl"))
	for i, line := range lines {
		event, ok := audit.Bare([]byte(line))
		if !ok {
			w.t.Errorf("no event: %s", line)
		}
		lines[i] = string(event)
	}
	return lines
}

func (w *world) insights(f audit.Filter) query.Insights {
	return query.Insights{Tools: w.tools(), What: w.what(f), LogGroup: query.LogGroup("sandbox")}
}

func (w *world) athena(f audit.Filter) query.Athena {
	return query.Athena{
		Tools: w.tools(), What: w.what(f), Database: "default", Output: "s3://results/",
		CloudTrailTable: query.CloudTrailTable, AuditTable: query.AuditTable, Layout: query.Firehose,
	}
}

// However few rows a query may give, all are there, once and in order.
func TestInsightsSplits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.busy()
	want := w.auditFile()
	if len(want) < 20 {
		t.Fatalf("only %d events", len(want))
	}
	for _, rows := range []int{1, 2, 7, len(want) - 1, len(want), 0} {
		q := w.insights(audit.Filter{})
		q.Rows = rows
		got, err := collect(q.Lines(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d rows: %s", rows, diff)
		}
	}
}

func TestSessionsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.session(), w.session()
	w.do(one, http.MethodGet, "/api/v1/namespaces")
	w.do(two, http.MethodGet, "/api/v1/nodes")
	for engine, ask := range map[string]func(query.What) ([]string, error){
		"insights": func(what query.What) ([]string, error) {
			q := w.insights(audit.Filter{})
			q.What = what
			return collect(q.Lines(t.Context()))
		},
		"athena": func(what query.What) ([]string, error) {
			q := w.athena(audit.Filter{})
			q.What = what
			return collect(q.AuditLines(t.Context()))
		},
	} {
		what := w.what(audit.Filter{Subject: "*"})
		what.Narrow, what.Sessions = true, []query.Session{{AccessKeyID: two.AccessKeyID}}
		got, err := ask(what)
		if err != nil || len(got) != 1 || !strings.Contains(got[0], two.AccessKeyID) {
			t.Errorf("%s by key: %v %q", engine, err, got)
		}
		what.Sessions = []query.Session{{AccessKeyID: "none", ARN: "arn:aws:sts::123456789012:assumed-role/eks-x509-sandbox/" + serial(w)}}
		if got, err := ask(what); err != nil || len(got) != 2 {
			t.Errorf("%s by ARN: %v %q", engine, err, got)
		}
		what.Sessions = slices.Repeat(what.Sessions, 3)
		for i := range 100000 { // too many to be named
			what.Sessions = append(what.Sessions, query.Session{AccessKeyID: fmt.Sprint("ASIA", i)})
			if i == 1000 {
				break
			}
		}
		if got, err := ask(what); err != nil || len(got) != 2 {
			t.Errorf("%s with many: %v %q", engine, err, got)
		}
	}
}

func serial(w *world) string {
	return fmt.Sprintf("%x", w.s.Authority().Client.Certificate.SerialNumber)
}

// An event from Athena's columns is the one that the trail wrote.
func TestAthenaMakesEventsAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sessions(3)
	q := w.athena(audit.Filter{})
	q.Chained = true
	got, err := collect(q.CloudTrailLines(t.Context()))
	if err != nil || len(got) != 3 {
		t.Fatalf("%v %q", err, got)
	}
	for i, line := range got {
		var e, want map[string]any
		text, err := json.Marshal(w.s.Events()[i])
		if err != nil {
			t.Fatal(err)
		}
		text, _ = audit.Bare(text)
		if err := errors.Join(json.Unmarshal([]byte(line), &e), json.Unmarshal(text, &want)); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"readOnly", "managementEvent", "eventCategory"} { // not asked for
			delete(want, name)
		}
		if diff := cmp.Diff(want, e); diff != "" {
			t.Error(diff)
		}
	}
	if !strings.Contains(w.said(), "Athena scanned ") {
		t.Error(w.said())
	}
}

// An interrupted query is stopped: it would go on, and be paid for.
func TestInterruptedQueriesAreStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for stop, lines := range map[string]func(context.Context) func(func([]byte, error) bool){
		"StopQuery": func(ctx context.Context) func(func([]byte, error) bool) { return w.insights(audit.Filter{}).Lines(ctx) },
		"StopQueryExecution": func(ctx context.Context) func(func([]byte, error) bool) {
			return w.athena(audit.Filter{}).AuditLines(ctx)
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		w.before = func(r *http.Request) {
			if strings.Contains(r.Header.Get("X-Amz-Target"), ".Get") {
				cancel()
			}
		}
		if _, err := collect(lines(ctx)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", stop, err)
		}
		w.before = nil
		if all, _ := w.count(stop); all != 1 {
			t.Errorf("%d requests of %s", all, stop)
		}
	}
}

func TestFailedQueries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := w.athena(audit.Filter{})
	q.AuditTable = "none"
	_, err := collect(q.AuditLines(t.Context()))
	var failed *query.Failed
	if !errors.As(err, &failed) || failed.Status != "FAILED" || !strings.Contains(failed.Reason, "TABLE_NOT_FOUND") {
		t.Error(err)
	}
	for _, status := range []string{"Failed", "Cancelled", "Timeout", "Unknown"} {
		q := w.insights(audit.Filter{})
		q.Client.HTTP = &http.Client{Transport: &fakeInsights{t: t, status: status}}
		_, err := collect(q.Lines(t.Context()))
		if !errors.As(err, &failed) || failed.Error() != "Logs Insights query q1 ended as "+status {
			t.Error(err)
		}
	}
}

// fakeInsights has many events in few seconds: what the sandbox can't have.
type fakeInsights struct {
	t       *testing.T
	status  string
	times   []time.Time
	whole   bool // the last second of a range is in it as a whole
	limit   int
	queries int
	found   []time.Time
	matched int
	more    int // matched, and never given
}

func (f *fakeInsights) RoundTrip(r *http.Request) (*http.Response, error) {
	var in struct {
		StartTime, EndTime int64
		Limit, MaxItems    int
		NextToken          string
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	switch r.Header.Get("X-Amz-Target") {
	case "Logs_20140328.StartQuery":
		f.queries++
		f.found = nil
		for _, at := range f.times {
			end := time.Unix(in.EndTime, 0)
			if f.whole {
				end = end.Add(time.Second - 1)
			}
			if !at.Before(time.Unix(in.StartTime, 0)) && !at.After(end) {
				f.found = append(f.found, at)
			}
		}
		if f.matched = len(f.found); f.matched > 0 {
			f.matched += f.more
		}
		f.found = f.found[:min(len(f.found), in.Limit, f.limit)]
		out["queryId"] = fmt.Sprintf("q%d", f.queries)
	case "Logs_20140328.GetQueryResults":
		start := 0
		_, _ = fmt.Sscan(in.NextToken, &start)
		rows := []any{}
		for _, at := range f.found[start:min(start+in.MaxItems, len(f.found))] {
			text := at.UTC().Format("2006-01-02 15:04:05.000")
			rows = append(rows, []map[string]string{{"field": "@timestamp", "value": text}, {"field": "@message", "value": fmt.Sprintf("{\"at\":\n%d}", at.UnixNano())}})
		}
		if next := start + in.MaxItems; next < len(f.found) {
			out["nextToken"] = fmt.Sprint(next)
		}
		out["status"], out["results"], out["statistics"] = f.status, rows, map[string]any{"recordsMatched": float64(f.matched), "bytesScanned": 1e6}
	}
	text, err := json.Marshal(out)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(text)), Request: r}, err
}

// It is not said whether the last second of a range belongs to it as a whole.
func TestInsightsSplitsWithinSeconds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	start := w.clock().Add(-time.Hour)
	for _, whole := range []bool{false, true} {
		f := &fakeInsights{t: t, status: "Complete", whole: whole, limit: query.MaxRows}
		for i := range 6000 {
			f.times = append(f.times, start.Add(time.Duration(i)*137*time.Millisecond).Add(time.Duration(i)))
		}
		q := w.insights(audit.Filter{})
		q.Client.HTTP = &http.Client{Transport: f}
		q.Rows = 200
		got, err := collect(q.Lines(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(f.times) || !slices.IsSorted(got) || len(slices.Compact(got)) != len(f.times) {
			t.Errorf("%d events, want %d", len(got), len(f.times))
		}
		if f.queries > 200 {
			t.Errorf("%d queries", f.queries)
		}
	}
}

// More in one second than a query may give is told.
func TestInsightsSaysWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := &fakeInsights{t: t, status: "Complete", limit: query.MaxRows, times: []time.Time{w.clock().Add(-time.Minute)}, more: query.MaxRows}
	q := w.insights(audit.Filter{})
	q.Client.HTTP = &http.Client{Transport: f}
	got, err := collect(q.Lines(t.Context()))
	if err != nil || len(got) != 1 || !strings.Contains(w.said(), "warning: 100001 events in the second from ") {
		t.Errorf("%d events, %v; %s", len(got), err, w.said())
	}
}
