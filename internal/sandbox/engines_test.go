package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ask does an operation of JSON 1.1 as the administrator, at a time.
func ask(t testing.TB, s *Sandbox, at time.Time, service, target string, in any) (answer, map[string]any) {
	t.Helper()
	return askAs(t, s, issued{id: s.administrator.accessKeyID, secret: s.administrator.secret}, at, service, target, in)
}

func askAs(t testing.TB, s *Sandbox, who issued, at time.Time, service, target string, in any) (answer, map[string]any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	q := who.request(service, "POST", "/", string(body))
	q.time = at
	q.header.Set("Content-Type", "application/x-amz-json-1.1")
	q.header.Set("X-Amz-Target", target)
	if who.token == "" {
		q.header.Del("X-Amz-Security-Token")
	}
	got := do(s, q.sign(t))
	var out map[string]any
	if err := json.Unmarshal(got.Body.Bytes(), &out); err != nil && got.Body.Len() > 0 {
		t.Fatalf("%v: %s", err, got.Body)
	}
	return got, out
}

const (
	lookupTarget  = "CloudTrail_20131101.LookupEvents"
	goodInsights  = "fields @timestamp, @message\n| filter @logStream like /^kube-apiserver-audit/\n| sort @timestamp asc"
	goodAudit     = "SELECT message\nFROM \"kubernetes_audit\"\nWHERE json_extract_scalar(message, '$.kind') = 'Event'"
	requestToken  = "0123456789abcdef0123456789abcdef"
	insightsStart = "Logs_20140328.StartQuery"
	athenaStart   = "AmazonAthena.StartQueryExecution"
)

// movingClock is a sandbox's clock that a test moves.
type movingClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *movingClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *movingClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// The engines are the administrator's, and each signature is for one service.
func TestEnginesAreTheAdministrators(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	session := newSession(t, s, nil)
	for _, c := range []struct{ service, target string }{
		{"cloudtrail", lookupTarget}, {"logs", insightsStart}, {"athena", athenaStart}, {"logs", "Logs_20140328.StopQuery"}, {"athena", "AmazonAthena.GetQueryResults"},
	} {
		if got, out := askAs(t, s, session, noon, c.service, c.target, struct{}{}); got.Code != http.StatusBadRequest || out["__type"] != "AccessDeniedException" {
			t.Errorf("a session's %s: %d %v", c.target, got.Code, out)
		}
		if got, out := ask(t, s, noon, "sts", c.target, struct{}{}); got.Code < 400 || out["__type"] != "InvalidSignatureException" {
			t.Errorf("signed for another service, %s: %d %v", c.target, got.Code, out)
		}
		forged := issued{id: s.administrator.accessKeyID, secret: "another"}
		if got, out := askAs(t, s, forged, noon, c.service, c.target, struct{}{}); got.Code < 400 || out["__type"] != "InvalidSignatureException" {
			t.Errorf("forged %s: %d %v", c.target, got.Code, out)
		}
	}
	if got, out := ask(t, s, noon, "logs", "Logs_20140328.DeleteLogGroup", struct{}{}); got.Code != http.StatusBadRequest || out["__type"] != "UnknownOperationException" {
		t.Errorf("%d %v", got.Code, out)
	}
}

func TestLookupEvents(t *testing.T) {
	t.Parallel()
	clock := &movingClock{at: noon}
	s := newSandbox(t, Options{Now: clock.now})
	for range 5 {
		newSession(t, s, nil)
		clock.add(time.Second)
	}
	lookup := func(in map[string]any) (answer, map[string]any) {
		t.Helper()
		clock.add(time.Second)
		return ask(t, s, clock.now(), "cloudtrail", lookupTarget, in)
	}
	byName := []any{map[string]string{"AttributeKey": "EventName", "AttributeValue": "CreateSession"}}
	var seen []string
	in := map[string]any{"LookupAttributes": byName, "MaxResults": 2}
	for pages := 1; ; pages++ {
		got, out := lookup(in)
		if got.Code != http.StatusOK {
			t.Fatalf("%d %v", got.Code, out)
		}
		for _, e := range out["Events"].([]any) {
			var whole Event
			if err := json.Unmarshal([]byte(e.(map[string]any)["CloudTrailEvent"].(string)), &whole); err != nil {
				t.Fatal(err)
			}
			seen = append(seen, whole.EventID)
		}
		token, more := out["NextToken"]
		if !more {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
		in["NextToken"] = token
		newSession(t, s, nil) // later events do not disturb
	}
	var want []string
	for _, e := range s.Events()[:5] {
		want = append([]string{e.EventID}, want...)
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
	for name, c := range map[string]struct {
		in   map[string]any
		code string
	}{
		"token of another question": {map[string]any{"LookupAttributes": byName, "NextToken": in["NextToken"]}, "InvalidNextTokenException"},
		"token":                     {map[string]any{"NextToken": "x"}, "InvalidNextTokenException"},
		"size":                      {map[string]any{"MaxResults": 51}, "InvalidMaxResultsException"},
		"no size":                   {map[string]any{"MaxResults": 0}, "InvalidMaxResultsException"},
		"two attributes":            {map[string]any{"LookupAttributes": append(byName, byName...)}, "InvalidLookupAttributesException"},
		"unknown attribute":         {map[string]any{"LookupAttributes": []any{map[string]string{"AttributeKey": "Username", "AttributeValue": "x"}}}, "InvalidLookupAttributesException"},
		"range":                     {map[string]any{"StartTime": noon.Unix() + 60, "EndTime": noon.Unix()}, "InvalidTimeRangeException"},
		"unknown member":            {map[string]any{"Start": 1}, "SerializationException"},
	} {
		if got, out := lookup(c.in); got.Code != http.StatusBadRequest || out["__type"] != c.code {
			t.Errorf("%s: %d %v", name, got.Code, out)
		}
	}
	clock.add(91 * 24 * time.Hour)
	if got, out := lookup(map[string]any{"StartTime": 0}); got.Code != http.StatusOK || len(out["Events"].([]any)) != 0 {
		t.Errorf("after 90 days: %d %v", got.Code, out)
	}
	// Two a second.
	clock.add(time.Hour)
	for i, want := range []int{200, 200, 400} {
		if got, out := ask(t, s, clock.now(), "cloudtrail", lookupTarget, struct{}{}); got.Code != want || want == 400 && out["__type"] != "ThrottlingException" {
			t.Errorf("request %d: %d %v", i, got.Code, out)
		}
	}
	clock.add(time.Second / 2)
	if got, out := ask(t, s, clock.now(), "cloudtrail", "com.amazonaws.cloudtrail.v20131101."+lookupTarget, struct{}{}); got.Code != http.StatusOK {
		t.Errorf("half a second later: %d %v", got.Code, out)
	}
}

func TestInsightsRefuses(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	good := map[string]any{"logGroupName": "/aws/eks/sandbox/cluster", "startTime": noon.Unix() - 60, "endTime": noon.Unix(), "queryString": goodInsights, "limit": 10}
	if got, out := ask(t, s, noon, "logs", insightsStart, good); got.Code != http.StatusOK || out["queryId"] == "" {
		t.Fatalf("%d %v", got.Code, out)
	}
	filter := func(f string) string { return strings.Replace(goodInsights, "| sort", "| "+f+"\n| sort", 1) }
	for name, change := range map[string]struct {
		member string
		value  any
		code   string
	}{
		"another group": {"logGroupName", "/aws/eks/none/cluster", "ResourceNotFoundException"}, "no group": {"logGroupName", "x", "ResourceNotFoundException"},
		"milliseconds": {"endTime", noon.UnixMilli() * 100, "InvalidParameterException"}, "backwards": {"endTime", noon.Unix() - 61, "InvalidParameterException"},
		"rows": {"limit", 100001, "InvalidParameterException"}, "long": {"queryString", goodInsights + strings.Repeat(" ", 10000), "InvalidParameterException"},
		"stats": {"queryString", "stats count(*)", "MalformedQueryException"}, "command": {"queryString", filter("limit 1"), "MalformedQueryException"},
		"quote": {"queryString", filter(`filter verb = "a\"b"`), "MalformedQueryException"}, "and": {"queryString", filter(`filter verb = "a" and verb = "b"`), "MalformedQueryException"},
		"or without parentheses": {"queryString", filter(`filter verb = "a" or verb = "b"`), "MalformedQueryException"}, "open": {"queryString", filter(`filter (verb = "a"`), "MalformedQueryException"},
		"regular expression": {"queryString", filter(`filter verb like /(/`), "MalformedQueryException"}, "list": {"queryString", filter(`filter verb in [get]`), "MalformedQueryException"},
	} {
		in := map[string]any{}
		for k, v := range good {
			in[k] = v
		}
		in[change.member] = change.value
		if got, out := ask(t, s, noon, "logs", insightsStart, in); got.Code != http.StatusBadRequest || out["__type"] != change.code {
			t.Errorf("%s: %d %v", name, got.Code, out)
		}
	}
}

func TestAthenaRefuses(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	start := func(sql, token, output, group string) (answer, map[string]any) {
		in := map[string]any{"QueryString": sql, "ClientRequestToken": token, "ResultConfiguration": map[string]string{"OutputLocation": output}}
		if group != "" {
			in["WorkGroup"] = group
		}
		return ask(t, s, noon, "athena", athenaStart, in)
	}
	_, first := start(goodAudit, requestToken, "s3://x", "primary")
	if _, again := start(goodAudit, requestToken, "s3://x", ""); again["QueryExecutionId"] != first["QueryExecutionId"] || first["QueryExecutionId"] == nil {
		t.Errorf("the same token: %v %v", first, again)
	}
	for name, got := range map[string]func() (answer, map[string]any){
		"token of another query": func() (answer, map[string]any) { return start(goodAudit+" ", requestToken, "s3://x", "") },
		"short token":            func() (answer, map[string]any) { return start(goodAudit, "x", "s3://x", "") },
		"no output":              func() (answer, map[string]any) { return start(goodAudit, requestToken+"1", "", "") },
		"workgroup":              func() (answer, map[string]any) { return start(goodAudit, requestToken+"1", "s3://x", "none") },
		"unknown execution": func() (answer, map[string]any) {
			return ask(t, s, noon, "athena", "AmazonAthena.GetQueryExecution", map[string]string{"QueryExecutionId": "x"})
		},
		"results too early": func() (answer, map[string]any) {
			return ask(t, s, noon, "athena", "AmazonAthena.GetQueryResults", map[string]any{"QueryExecutionId": first["QueryExecutionId"]})
		},
	} {
		if a, out := got(); a.Code != http.StatusBadRequest || out["__type"] != "InvalidRequestException" {
			t.Errorf("%s: %d %v", name, a.Code, out)
		}
	}
	for i, c := range []struct{ sql, want string }{
		{`SELECT 1`, "SYNTAX_ERROR"}, {`SELECT message FROM kubernetes_audit WHERE message = 'x'`, "SYNTAX_ERROR"}, {goodAudit + "; DROP TABLE x", "SYNTAX_ERROR"},
		{goodAudit + " -- '", "SYNTAX_ERROR"}, {goodAudit + " OR message = 'x'", "SYNTAX_ERROR"}, {goodAudit + " AND 'a' = 'a'", "SYNTAX_ERROR"},
		{goodAudit + " AND (message = 'x'", "SYNTAX_ERROR"}, {goodAudit + " AND message LIKE 'x'", "SYNTAX_ERROR"}, {goodAudit + " AND json_extract_scalar(message, '$..x') = 'x'", "SYNTAX_ERROR"},
		{goodAudit + " AND verb = 'x'", "COLUMN_NOT_FOUND"}, {strings.Replace(goodAudit, "kubernetes_audit", "x", 1), "TABLE_NOT_FOUND"},
	} {
		_, out := start(c.sql, requestToken+fmt.Sprint(i), "s3://x", "")
		id := map[string]any{"QueryExecutionId": out["QueryExecutionId"]}
		ask(t, s, noon, "athena", "AmazonAthena.GetQueryExecution", id)
		_, out = ask(t, s, noon, "athena", "AmazonAthena.GetQueryExecution", id)
		status := out["QueryExecution"].(map[string]any)["Status"].(map[string]any)
		if reason, _ := status["StateChangeReason"].(string); status["State"] != "FAILED" || !strings.HasPrefix(reason, c.want) {
			t.Errorf("%s: %v", c.sql, status)
		}
	}
}

// The event is that of a real API server behind the authenticator, member by member.
func TestAuditEvents(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	bearer := clusterToken(t, s, "view")
	session := s.Events()[0]
	toCluster(s, bearer, "GET", "/api/v1/namespaces/kube-system/pods?limit=500", "")
	toCluster(s, bearer, "POST", "/api/v1/namespaces", "{}")
	toCluster(s, "", "GET", "/api/v1/nodes", "")
	toCluster(s, bearer, "GET", "/version", "")
	toCluster(s, bearer, "GET", "/livez", "")
	toCluster(s, bearer, "GET", "/apis", "")
	lines := strings.Split(strings.TrimSpace(read(t, s, "audit.jsonl")), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d events: %s", len(lines), lines)
	}
	set := session.ResponseElements.(createSessionOutput).CredentialSet[0]
	name := set.AssumedRoleUser.ARN[strings.LastIndex(set.AssumedRoleUser.ARN, "/")+1:]
	who := `"username":"viewk8","uid":"aws-iam-authenticator:123456789012:AROASANDBOXAAAAAAAAA1","groups":["view","system:authenticated"],"extra":{"accessKeyId":["` + set.Credentials.AccessKeyID +
		`"],"arn":["` + set.AssumedRoleUser.ARN + `"],"canonicalArn":["arn:aws:iam::123456789012:role/eks-x509-sandbox"],"principalId":["AROASANDBOXAAAAAAAAA1"],"sessionName":["` + name +
		`"],"sigs.k8s.io/aws-iam-authenticator/principalId":["AROASANDBOXAAAAAAAAA1"]}`
	for i, want := range []string{
		`"stage":"ResponseComplete","requestURI":"/api/v1/namespaces/kube-system/pods?limit=500","verb":"list","user":{` + who + `},"sourceIPs":["192.0.2.1"],` +
			`"objectRef":{"resource":"pods","namespace":"kube-system","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-11-23T12:00:00.000000Z",` +
			`"stageTimestamp":"2026-11-23T12:00:00.000000Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"view\" of ClusterRole \"view\" to Group \"view\""}}`,
		`"stage":"ResponseComplete","requestURI":"/api/v1/namespaces","verb":"create","user":{` + who + `},"sourceIPs":["192.0.2.1"],"objectRef":{"resource":"namespaces","apiVersion":"v1"},` +
			`"responseStatus":{"metadata":{},"status":"Failure","message":"namespaces is forbidden: User \"viewk8\" cannot create resource \"namespaces\" in API group \"\" at the cluster scope",` +
			`"reason":"Forbidden","details":{"kind":"namespaces"},"code":403},"requestReceivedTimestamp":"2026-11-23T12:00:00.000000Z","stageTimestamp":"2026-11-23T12:00:00.000000Z",` +
			`"annotations":{"authorization.k8s.io/decision":"forbid","authorization.k8s.io/reason":""}}`,
		`"stage":"ResponseStarted","requestURI":"/api/v1/nodes","verb":"list","user":{},"sourceIPs":["192.0.2.1"],"objectRef":{"resource":"nodes","apiVersion":"v1"},` +
			`"responseStatus":{"metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401},"requestReceivedTimestamp":"2026-11-23T12:00:00.000000Z",` +
			`"stageTimestamp":"2026-11-23T12:00:00.000000Z"}`,
	} {
		head, tail, _ := strings.Cut(lines[i], `"stage":`)
		if !strings.HasPrefix(head, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"`) {
			t.Error(head)
		}
		if diff := cmp.Diff(want, `"stage":`+tail); diff != "" {
			t.Error(diff)
		}
	}
}

// What can't be read is refused, and nothing else happens.
func FuzzInsightsQuery(f *testing.F) {
	f.Add(goodInsights)
	f.Add(strings.Replace(goodInsights, "| sort", "| filter (a.b.0 in [\"x\", 1] or a like /^x.*$/)\n| sort", 1))
	f.Fuzz(func(_ *testing.T, text string) {
		if matches, err := parseInsights(text); err == nil {
			matches(auditRecord{message: `{"verb":"get"}`}.insightsField)
		}
	})
}

func FuzzSQL(f *testing.F) {
	f.Add(goodAudit)
	f.Add(goodAudit + ` AND (a = 'x' OR b LIKE 'x!%%' ESCAPE '!') AND "timestamp" BETWEEN '1' AND '2' AND (c IN ('a', 'b'))`)
	f.Fuzz(func(_ *testing.T, text string) {
		if q, err := parseSQL(text); err == nil {
			q.where(sqlRow{"message": new(`{"verb":"get"}`)}.value)
		}
	})
}
