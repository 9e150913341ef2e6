package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// logs answers CloudWatch Logs, of which it has Insights over the clusters' audit logs.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html
func (c *call) logs() map[string]func() (any, error) {
	return map[string]func() (any, error){"StartQuery": c.startQuery, "GetQueryResults": c.logsResults, "StopQuery": c.stopQuery}
}

// insightsQuery is one that was started. It runs until it was asked about once: AWS takes a moment.
type insightsQuery struct {
	status           string
	rows             []auditRecord
	matched, scanned int
	bytes            int
}

// test is a condition of a query; value finds a field of the event.
type test func(value func(field string) (string, bool)) bool

func allOf(tests []test) test {
	return func(value func(string) (string, bool)) bool {
		return !slices.ContainsFunc(tests, func(t test) bool { return !t(value) })
	}
}

func oneOf(tests []test) test {
	return func(value func(string) (string, bool)) bool {
		return slices.ContainsFunc(tests, func(t test) bool { return t(value) })
	}
}

func (c *call) startQuery() (any, error) {
	var in struct {
		LogGroupName       string `json:"logGroupName"`
		StartTime, EndTime *int64
		QueryString        string `json:"queryString"`
		Limit              *int   `json:"limit"`
	}
	if err := c.readJSON(&in); err != nil {
		return nil, err
	}
	limit := 10000
	if in.Limit != nil {
		limit = *in.Limit
	}
	switch {
	case limit < 1 || limit > 100000:
		return nil, badRequest("InvalidParameterException", "limit %d is not in 1 to 100000", limit)
	case in.StartTime == nil || in.EndTime == nil || *in.EndTime < *in.StartTime || *in.StartTime < 0:
		return nil, badRequest("InvalidParameterException", "startTime and endTime are needed, in this order")
	case *in.EndTime > 1<<34:
		return nil, badRequest("InvalidParameterException", "endTime is not in seconds")
	case len(in.QueryString) > 10000:
		return nil, badRequest("InvalidParameterException", "queryString has more than 10000 characters")
	}
	cluster, ok := strings.CutPrefix(in.LogGroupName, "/aws/eks/")
	cluster, ok2 := strings.CutSuffix(cluster, "/cluster")
	if !ok || !ok2 || c.world.cluster(cluster) == nil {
		return nil, badRequest("ResourceNotFoundException", "Log group '%s' does not exist for account ID '%s'", in.LogGroupName, c.world.Account)
	}
	matches, err := parseInsights(in.QueryString)
	if err != nil {
		return nil, badRequest("MalformedQueryException", "the sandbox runs only what eks-x509 audit query asks: %v", err)
	}
	q := &insightsQuery{status: "Running"}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for _, r := range c.s.audit.items {
		// The range is inclusive, and in seconds: what is between the last one and the next is not in it.
		if r.cluster != cluster || r.at.Before(time.Unix(*in.StartTime, 0)) || r.at.After(time.Unix(*in.EndTime, 0)) {
			continue
		}
		q.scanned, q.bytes = q.scanned+1, q.bytes+len(r.message)
		if matches(r.insightsField) {
			q.rows = append(q.rows, r)
		}
	}
	slices.SortStableFunc(q.rows, func(a, b auditRecord) int { return a.at.Compare(b.at) })
	q.matched, q.rows = len(q.rows), q.rows[:min(limit, len(q.rows))]
	id := newUUID()
	c.s.insights[id] = q
	return map[string]string{"queryId": id}, nil
}

func (c *call) insightsQuery(id string) (*insightsQuery, error) {
	q := c.s.insights[id]
	if q == nil {
		return nil, badRequest("ResourceNotFoundException", "Query '%s' does not exist", id)
	}
	return q, nil
}

func (c *call) logsResults() (any, error) {
	var in struct {
		QueryID   string `json:"queryId"`
		NextToken string `json:"nextToken"`
		MaxItems  *int   `json:"maxItems"`
	}
	if err := c.readJSON(&in); err != nil {
		return nil, err
	}
	size := 10000
	if in.MaxItems != nil {
		size = *in.MaxItems
	}
	if size < 1 || size > 10000 {
		return nil, badRequest("InvalidParameterException", "maxItems %d is not in 1 to 10000", size)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	q, err := c.insightsQuery(in.QueryID)
	if err != nil {
		return nil, err
	}
	results := [][]map[string]string{}
	out := map[string]any{"status": q.status, "queryLanguage": "CWLI", "statistics": map[string]any{
		"recordsMatched": float64(q.matched), "recordsScanned": float64(q.scanned), "bytesScanned": float64(q.bytes),
	}}
	switch q.status {
	case "Running":
		q.status = "Complete"
	case "Complete":
		start := 0
		if in.NextToken != "" {
			if start, err = strconv.Atoi(in.NextToken); err != nil || start < 0 || start > len(q.rows) {
				return nil, badRequest("InvalidParameterException", "malformed nextToken")
			}
		}
		end := min(start+size, len(q.rows))
		for i, r := range q.rows[start:end] {
			results = append(results, []map[string]string{
				{"field": "@timestamp", "value": r.at.Format("2006-01-02 15:04:05.000")},
				{"field": "@message", "value": r.message},
				{"field": "@ptr", "value": base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s %d", in.QueryID, start+i))},
			})
		}
		if end < len(q.rows) {
			out["nextToken"] = strconv.Itoa(end)
		}
	}
	out["results"] = results
	return out, nil
}

func (c *call) stopQuery() (any, error) {
	var in struct {
		QueryID string `json:"queryId"`
	}
	if err := c.readJSON(&in); err != nil {
		return nil, err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	q, err := c.insightsQuery(in.QueryID)
	if err != nil {
		return nil, err
	}
	if q.status != "Running" {
		return nil, badRequest("InvalidParameterException", "Query with query ID '%s' has ended with status '%s'", in.QueryID, q.status)
	}
	q.status = "Cancelled"
	return map[string]bool{"success": true}, nil
}

// insightsField finds what Insights calls a field: its own with an @, those of the event by their path.
func (r auditRecord) insightsField(name string) (string, bool) {
	switch name {
	case "@message":
		return r.message, true
	case "@logStream":
		return "kube-apiserver-audit-" + hexSHA256([]byte(r.cluster))[:32], true
	}
	return jsonField([]byte(r.message), strings.Split(name, ".")...)
}

// jsonField finds a scalar, as text. In a list the path has a number.
func jsonField(data []byte, path ...string) (string, bool) {
	var v any
	if json.Unmarshal(data, &v) != nil {
		return "", false
	}
	for _, name := range path {
		switch in := v.(type) {
		case map[string]any:
			v = in[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(in) {
				return "", false
			}
			v = in[i]
		default:
			return "", false
		}
	}
	switch v := v.(type) {
	case string:
		return v, true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// parseInsights reads the queries that eks-x509 makes: which fields, filters, by time. In each filter is one test, or several in
// parentheses of which one must hold.
func parseInsights(text string) (test, error) {
	commands := strings.Split(text, "\n| ")
	if len(commands) < 2 || commands[0] != "fields @timestamp, @message" || commands[len(commands)-1] != "sort @timestamp asc" {
		return nil, fmt.Errorf("it does not begin with fields @timestamp, @message, and end with sort @timestamp asc")
	}
	var all []test
	for _, command := range commands[1 : len(commands)-1] {
		rest, ok := strings.CutPrefix(command, "filter ")
		if !ok {
			return nil, fmt.Errorf("unexpected command %q", command)
		}
		inner, several := strings.CutPrefix(rest, "(")
		if several {
			if inner, ok = strings.CutSuffix(inner, ")"); !ok {
				return nil, fmt.Errorf("no end of parentheses in %q", command)
			}
		}
		t, err := parseAlternatives(inner, several)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return allOf(all), nil
}

// insightsTestPattern is field = "…", field like /…/ or field in […]. No string has a quote or a backslash in it, no expression a
// slash.
var insightsTestPattern = lazy(`^([@A-Za-z][A-Za-z0-9.]*) (?:= "([^"\\\n]*)"|like /([^/\\\n]*)/|in \[((?:"[^"\\\n]*"|[0-9]+)(?:, (?:"[^"\\\n]*"|[0-9]+))*)\])`)

func parseAlternatives(text string, several bool) (test, error) {
	var found []test
	for {
		m := insightsTestPattern().FindStringSubmatchIndex(text)
		if m == nil {
			return nil, fmt.Errorf("unexpected test %q", text)
		}
		group := func(i int) string { return text[m[2*i]:m[2*i+1]] }
		field := group(1)
		var accept func(string) bool
		switch {
		case m[4] >= 0:
			want := group(2)
			accept = func(v string) bool { return v == want }
		case m[6] >= 0:
			expression, err := regexp.Compile(group(3))
			if err != nil {
				return nil, err
			}
			accept = expression.MatchString
		default:
			var list []listItem
			if err := json.Unmarshal([]byte("["+group(4)+"]"), &list); err != nil {
				return nil, err
			}
			accept = func(v string) bool { return slices.Contains(list, listItem(v)) }
		}
		found = append(found, func(value func(string) (string, bool)) bool {
			v, ok := value(field)
			return ok && accept(v)
		})
		rest := text[m[1]:]
		if rest == "" {
			return oneOf(found), nil
		}
		var ok bool
		if text, ok = strings.CutPrefix(rest, " or "); !ok || !several {
			return nil, fmt.Errorf("unexpected %q", rest)
		}
	}
}

// listItem is a string or a number of a list, as text.
type listItem string

func (a *listItem) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) != nil {
		s = string(data)
	}
	*a = listItem(s)
	return nil
}
