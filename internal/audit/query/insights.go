package query

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/audit"
	"github.com/eks-x509/eks-x509/internal/awsapi"
)

// The limits of rows that StartQuery has.
const (
	DefaultRows = 10000
	MaxRows     = 100000
)

// maxInsightsText is how long a query's text may be.
const maxInsightsText = 10000

// LogGroup is where EKS puts a cluster's logs.
func LogGroup(cluster string) string { return "/aws/eks/" + cluster + "/cluster" }

// Insights asks CloudWatch Logs about the audit log of a cluster.
type Insights struct {
	Tools
	What
	LogGroup string
	Rows     int // that a query may give, to MaxRows; more: its time is split. 0: DefaultRows
}

// Text is the query's.
//
//	https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
func (q Insights) Text() string {
	lines := []string{"fields @timestamp, @message", "filter @logStream like /^kube-apiserver-audit/"}
	for _, c := range q.conditions() {
		lines = append(lines, "filter "+c.insights())
	}
	if q.Filter.Denied {
		// The second is audit annotation authorization.k8s.io/decision, whose name no
		// field can be given by.
		lines = append(lines, "filter (responseStatus.code in [401, 403] or @message like /authorization.k8s.io.decision...forbid/)")
	}
	const end = "\n| sort @timestamp asc"
	if s := q.sessions(); s != "" && len(strings.Join(lines, "\n| "))+len(s)+len(end) < maxInsightsText {
		lines = append(lines, "filter "+s) // else there are too many to be named
	}
	return strings.Join(lines, "\n| ") + end
}

func (q Insights) sessions() string {
	var tests []string
	for _, a := range q.alternatives() {
		test := insightsTest(a.field, a.pattern)
		if a.values != nil {
			test = a.field + ` in ["` + strings.Join(a.values, `", "`) + `"]`
		}
		tests = append(tests, test)
	}
	return anyOf(tests, " or ")
}

// Range is what is asked for, in whole seconds.
func (q Insights) Range() (from, to time.Time) {
	return q.Filter.Since.Truncate(time.Second), q.Filter.Until.Add(logLag).Truncate(time.Second).Add(time.Second)
}

// Lines are the events, each once and by time. After an error there is nothing
// more.
func (q Insights) Lines(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		r := insightsRun{Insights: q, text: q.Text(), yield: yield}
		from, to := q.Range()
		if _, err := r.part(ctx, from.Unix(), to.Unix(), int64(cmp.Or(q.Rows, DefaultRows))); err != nil {
			yield(nil, err)
			return
		}
		q.Progress(fmt.Sprintf("Logs Insights: %d events of %s, %d queries scanned %s", r.events, q.LogGroup, r.queries, size(int64(r.scanned))))
	}
}

// insightsRun is one run over a range of time, part by part.
type insightsRun struct {
	Insights
	text    string
	yield   func([]byte, error) bool
	events  int64
	queries int64
	scanned float64
	// Parts share a second, since it is not said how much of the last one is in a
	// range: edge are the events of the last second of the part before.
	edge, next map[string]bool
}

// part asks about a range of seconds, or about parts of it if that gives too many
// rows. It says whether more is wanted.
func (r *insightsRun) part(ctx context.Context, from, to, rows int64) (bool, error) {
	id, first, err := r.start(ctx, from, to, rows)
	if err != nil {
		return false, err
	}
	matched := int64(first.Statistics.RecordsMatched)
	if matched <= rows {
		return r.results(ctx, id, first, to)
	}
	// In halves at least: each query scans, and is paid for, its whole range.
	parts := min(matched/rows+1, to-from)
	switch {
	case parts >= 2:
		r.Progress(fmt.Sprintf("%d events from %s to %s: asking in %d parts", matched, stamp(time.Unix(from, 0)), stamp(time.Unix(to, 0)), parts))
	case rows < MaxRows:
		return r.part(ctx, from, to, MaxRows)
	default:
		r.Warn(fmt.Sprintf("%d events in the second from %s, of which a query gives %d: the rest is left out", matched, stamp(time.Unix(from, 0)), rows))
		return r.results(ctx, id, first, to)
	}
	for i := range parts {
		more, err := r.part(ctx, from+(to-from)*i/parts, from+(to-from)*(i+1)/parts, rows)
		if err != nil || !more {
			return more, err
		}
	}
	return true, nil
}

func logsService() awsapi.JSONService {
	return awsapi.JSONService{Name: "CloudWatch Logs", Host: "logs", Target: "Logs_20140328"}
}

// insightsAnswer is GetQueryResults's.
type insightsAnswer struct {
	Status     string
	Results    [][]struct{ Field, Value string }
	Statistics struct{ BytesScanned, RecordsMatched float64 }
	NextToken  string
}

// start begins a query and waits for its end.
func (r *insightsRun) start(ctx context.Context, from, to, rows int64) (id string, first insightsAnswer, err error) {
	var started struct{ QueryID string }
	in := map[string]any{"logGroupName": r.LogGroup, "startTime": from, "endTime": to, "queryString": r.text, "limit": rows}
	if err := r.ask(ctx, logsService(), "StartQuery", in, &started); err != nil {
		return "", first, fmt.Errorf("asking Logs Insights about %s: %w", r.LogGroup, err)
	}
	err = r.poll(ctx, "CloudWatch Logs", func() (bool, error) {
		first = insightsAnswer{}
		if err := r.ask(ctx, logsService(), "GetQueryResults", page(started.QueryID, ""), &first); err != nil {
			return false, err
		}
		switch first.Status {
		case "Scheduled", "Running":
			return false, nil
		case "Complete":
			return true, nil
		}
		return true, &Failed{Engine: "Logs Insights", ID: started.QueryID, Status: first.Status}
	}, func(ctx context.Context) error {
		return r.ask(ctx, logsService(), "StopQuery", map[string]string{"queryId": started.QueryID}, nil)
	})
	r.queries++
	r.scanned += first.Statistics.BytesScanned
	return started.QueryID, first, err
}

// page is a request for the next rows; so few that they fit into memory.
func page(id, token string) map[string]any {
	in := map[string]any{"queryId": id, "maxItems": 1000}
	if token != "" {
		in["nextToken"] = token
	}
	return in
}

// results yields the rows of a query that is complete.
func (r *insightsRun) results(ctx context.Context, id string, answer insightsAnswer, to int64) (bool, error) {
	r.next = map[string]bool{}
	var pages awsapi.Pages
	for {
		for _, row := range answer.Results {
			if !r.row(row, to) {
				return false, nil
			}
		}
		token := answer.NextToken
		if token == "" {
			r.edge = r.next
			return true, nil
		}
		if err := pages.Next("CloudWatch Logs", "GetQueryResults", token); err != nil {
			return false, err
		}
		answer = insightsAnswer{}
		if err := r.ask(ctx, logsService(), "GetQueryResults", page(id, token), &answer); err != nil {
			return false, err
		}
	}
}

func (r *insightsRun) row(row []struct{ Field, Value string }, to int64) bool {
	var at, message string
	for _, f := range row {
		switch f.Field {
		case "@timestamp":
			at = f.Value
		case "@message":
			message = f.Value
		}
	}
	if message == "" || r.edge[message] { // @ptr may be another in another query
		return true
	}
	if t, err := time.Parse("2006-01-02 15:04:05.999", at); err != nil || t.Unix() >= to {
		r.next[message] = true
	}
	r.events++
	return r.yield(line(message), nil)
}

// line is a message as it is handed on. One that was cut is damage to package
// audit, which says where.
func line(message string) []byte {
	event, _ := audit.Bare([]byte(message))
	return event
}
