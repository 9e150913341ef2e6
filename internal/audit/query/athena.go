package query

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/awsapi"
)

// The names that the tables have unless others are given.
const (
	CloudTrailTable = "cloudtrail_logs"
	AuditTable      = "kubernetes_audit"
)

// partition is the column of the day or hour, as AWS's own example has it.
const partition = "timestamp"

// Athena asks about both logs where they lie in S3, through the tables of Schema.
type Athena struct {
	Tools
	What
	Workgroup, Database         string
	Output                      string // s3://… for the results; empty: the workgroup's
	CloudTrailTable, AuditTable string
	// Layout is how the audit log was delivered.
	Layout Layout
}

// cloudTrailColumns are those that make an event again, and what they are in it.
// A * is for JSON.
func cloudTrailColumns() [][2]string {
	return [][2]string{
		{"eventversion", "eventVersion"}, {"useridentity.type", "userIdentity.type"}, {"useridentity.principalid", "userIdentity.principalId"},
		{"useridentity.arn", "userIdentity.arn"}, {"useridentity.accountid", "userIdentity.accountId"}, {"useridentity.accesskeyid", "userIdentity.accessKeyId"},
		{"eventtime", "eventTime"}, {"eventsource", "eventSource"}, {"eventname", "eventName"}, {"awsregion", "awsRegion"},
		{"sourceipaddress", "sourceIPAddress"}, {"useragent", "userAgent"}, {"errorcode", "errorCode"}, {"errormessage", "errorMessage"},
		{"requestparameters", "*requestParameters"}, {"responseelements", "*responseElements"}, {"additionaleventdata", "*additionalEventData"},
		{"requestid", "requestID"}, {"eventid", "eventID"}, {"eventtype", "eventType"}, {"recipientaccountid", "recipientAccountId"},
		{"useridentity.invokedby", "userIdentity.invokedBy"},
	}
}

// CloudTrailSQL asks for sessions.
func (a Athena) CloudTrailSQL() string {
	var columns []string
	for i, c := range cloudTrailColumns() {
		columns = append(columns, fmt.Sprintf("%s AS c%d", c[0], i))
	}
	// A session's event was seen under both names.
	events := "(eventsource = 'rolesanywhere.amazonaws.com' AND eventname IN ('CreateSession', 'AssumeRole'))"
	if a.Chained {
		events = "(" + events + " OR (eventsource = 'sts.amazonaws.com' AND eventname = 'AssumeRole' AND (useridentity.accesskeyid <> '' OR useridentity.invokedby = 'rolesanywhere.amazonaws.com')))"
	}
	from, to := a.sessionsSince(), a.Filter.Until
	return "SELECT " + strings.Join(columns, ", ") + "\nFROM " + sqlName(a.CloudTrailTable) +
		"\nWHERE " + partitions(from, to, "2006/01/02", 24*time.Hour) +
		"\n  AND " + between("eventtime", from, to) + "\n  AND " + events
}

// partitions are as wide as a delivery may be late.
func partitions(from, to time.Time, layout string, unit time.Duration) string {
	return fmt.Sprintf("%s BETWEEN %s AND %s", sqlName(partition), sqlString(from.UTC().Format(layout)), sqlString(to.Add(unit).UTC().Format(layout)))
}

// between compares RFC 3339 in UTC as text, up to the second and whatever comes
// after it.
func between(expression string, from, to time.Time) string {
	const seconds = "2006-01-02T15:04:05"
	return fmt.Sprintf("%s >= %s\n  AND %[1]s < %[3]s", expression, sqlString(from.UTC().Format(seconds)), sqlString(to.UTC().Truncate(time.Second).Add(time.Second).Format(seconds)))
}

// AuditSQL asks for actions.
func (a Athena) AuditSQL() string {
	var where []string
	if a.Layout == Firehose {
		where = append(where, partitions(a.Filter.Since, a.Filter.Until, "2006/01/02/15", time.Hour))
	}
	where = append(where, jsonValue("kind")+" = 'Event'", between(jsonValue("requestReceivedTimestamp"), a.Filter.Since, a.Filter.Until))
	for _, c := range a.conditions() {
		where = append(where, c.sql())
	}
	if a.Filter.Denied {
		where = append(where, "("+jsonValue("responseStatus.code")+" IN ('401', '403') OR "+jsonValue(`annotations["authorization.k8s.io/decision"]`)+" = 'forbid')")
	}
	if s := a.sessionsSQL(); s != "" {
		where = append(where, s)
	}
	return "SELECT message\nFROM " + sqlName(a.AuditTable) + "\nWHERE " + strings.Join(where, "\n  AND ")
}

// maxSessionsSQL is how many values a query names; Athena takes 256 KB of text.
const maxSessionsSQL = 800

func (a Athena) sessionsSQL() string {
	var tests []string
	values := 0
	for _, way := range a.alternatives() {
		field := jsonValue(strings.Replace(way.field, ".0", "[0]", 1))
		test := sqlTest(field, way.pattern)
		if way.values != nil {
			values += len(way.values)
			test = field + " IN ('" + strings.Join(way.values, "', '") + "')" // identifiers
		}
		tests = append(tests, test)
	}
	if values > maxSessionsSQL {
		return ""
	}
	return anyOf(tests, " OR ")
}

// CloudTrailLines are the events of sessions.
func (a Athena) CloudTrailLines(ctx context.Context) iter.Seq2[[]byte, error] {
	columns := cloudTrailColumns()
	return a.lines(ctx, a.CloudTrailSQL(), func(row []*string) []byte {
		event := map[string]any{}
		for i, c := range columns {
			if i < len(row) && row[i] != nil {
				setField(event, c[1], *row[i])
			}
		}
		data, err := json.Marshal(event)
		if err != nil {
			return nil
		}
		return line(string(data))
	})
}

func setField(event map[string]any, name, value string) {
	if plain, isJSON := strings.CutPrefix(name, "*"); isJSON {
		if name = plain; json.Valid([]byte(value)) {
			event[name] = json.RawMessage(value)
			return
		}
	}
	outer, inner, nested := strings.Cut(name, ".")
	if !nested {
		event[name] = value
		return
	}
	in, ok := event[outer].(map[string]any)
	if !ok {
		in = map[string]any{}
		event[outer] = in
	}
	in[inner] = value
}

// AuditLines are the events of actions.
func (a Athena) AuditLines(ctx context.Context) iter.Seq2[[]byte, error] {
	return a.lines(ctx, a.AuditSQL(), func(row []*string) []byte {
		if len(row) == 0 || row[0] == nil {
			return nil
		}
		return line(*row[0])
	})
}

func athenaService() awsapi.JSONService {
	return awsapi.JSONService{Name: "Athena", Host: "athena", Target: "AmazonAthena"}
}

func (a Athena) lines(ctx context.Context, sql string, make func([]*string) []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if err := a.run(ctx, sql, make, yield); err != nil {
			yield(nil, err)
		}
	}
}

func (a Athena) run(ctx context.Context, sql string, make func([]*string) []byte, yield func([]byte, error) bool) error {
	id, err := a.execute(ctx, sql)
	if err != nil {
		return err
	}
	var events, rows int64
	var pages awsapi.Pages
	for token := ""; ; {
		in := map[string]any{"QueryExecutionId": id, "MaxResults": 1000}
		if token != "" {
			in["NextToken"] = token
		}
		var out struct {
			ResultSet struct {
				Rows []struct {
					Data []struct{ VarCharValue *string }
				}
			}
			NextToken string
		}
		if err := a.ask(ctx, athenaService(), "GetQueryResults", in, &out); err != nil {
			return fmt.Errorf("reading the rows of Athena query %s: %w", id, err)
		}
		for _, r := range out.ResultSet.Rows {
			if rows++; rows == 1 {
				continue // the names of the columns
			}
			var row []*string
			for _, d := range r.Data {
				row = append(row, d.VarCharValue)
			}
			if data := make(row); data != nil {
				if events++; !yield(data, nil) {
					return nil
				}
			}
		}
		if token = out.NextToken; token == "" {
			a.Progress(fmt.Sprintf("Athena: %d events", events))
			return nil
		}
		if err := pages.Next("Athena", "GetQueryResults", token); err != nil {
			return err
		}
	}
}

// execute runs the query to its end.
func (a Athena) execute(ctx context.Context, sql string) (id string, err error) {
	in := map[string]any{"QueryString": sql, "ClientRequestToken": rand.Text() + rand.Text()} // 32 characters at least
	if a.Workgroup != "" {
		in["WorkGroup"] = a.Workgroup
	}
	if a.Database != "" {
		in["QueryExecutionContext"] = map[string]string{"Database": a.Database}
	}
	if a.Output != "" {
		in["ResultConfiguration"] = map[string]string{"OutputLocation": a.Output}
	}
	var started struct {
		ID string `json:"QueryExecutionId"`
	}
	if err := a.ask(ctx, athenaService(), "StartQueryExecution", in, &started); err != nil {
		return "", fmt.Errorf("starting an Athena query: %w", err)
	}
	of := map[string]string{"QueryExecutionId": started.ID}
	return started.ID, a.poll(ctx, "Athena", func() (bool, error) {
		var out struct {
			QueryExecution struct {
				Status     struct{ State, StateChangeReason string }
				Statistics struct{ DataScannedInBytes int64 }
			}
		}
		if err := a.ask(ctx, athenaService(), "GetQueryExecution", of, &out); err != nil {
			return false, err
		}
		switch s := out.QueryExecution.Status; s.State {
		case "QUEUED", "RUNNING":
			return false, nil
		case "SUCCEEDED":
			a.Progress("Athena scanned " + size(out.QueryExecution.Statistics.DataScannedInBytes))
			return true, nil
		default:
			return true, &Failed{Engine: "Athena", ID: started.ID, Status: s.State, Reason: s.StateChangeReason}
		}
	}, func(ctx context.Context) error {
		return a.ask(ctx, athenaService(), "StopQueryExecution", of, nil)
	})
}
