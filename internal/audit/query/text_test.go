package query_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/eks-x509/eks-x509/internal/audit"
	"github.com/eks-x509/eks-x509/internal/audit/query"
)

// asked has s everywhere; without a subject the other two say which sessions.
func asked(s string, subject, serial bool) query.What {
	w := query.What{
		Filter: audit.Filter{Verb: s, User: s, Resource: s, Namespace: s, Name: s, Subject: s, Serial: s, Role: s, Denied: true},
		Narrow: true, Sessions: []query.Session{{AccessKeyID: s, ARN: s, Name: s}},
	}
	if !subject {
		w.Filter.Subject = ""
	}
	if !serial {
		w.Filter.Serial = ""
	}
	return w
}

func seeds(f *testing.F) {
	for _, s := range []string{"", "get", "kube-*", `a" or verb like /.*/`, "a\n| limit 1", `\"`, `a\`, "/", "'", "''", "x' OR '1'='1", "a'; --", "%_!", "é*", "\x00", "\xff'", "[a-z]", "*", "a?b",
		"system:serviceaccount:a:b", "a`b", "${jndi}", "#", "a | stats count(*)"} {
		f.Add(s, true, true)
		f.Add(s, false, true)
		f.Add(s, false, false)
	}
}

// Whatever a filter holds, the query is of the form that is meant.
func FuzzInsightsText(f *testing.F) {
	seeds(f)
	const (
		field = `[A-Za-z]+(\.[A-Za-z0-9]+)*`
		one   = field + ` (= "[A-Za-z0-9_:/+=,.@-]+"|like /\^[A-Za-z0-9_.*?-]+\$/|in \["[A-Za-z0-9_:/+=,.@-]+"\])`
	)
	line := regexp.MustCompile(`^filter (` + one + `|\(` + one + `( or ` + one + `)+\))$`)
	f.Fuzz(func(t *testing.T, s string, subject, serial bool) {
		text := query.Insights{What: asked(s, subject, serial)}.Text()
		lines := strings.Split(text, "\n| ")
		if lines[0] != "fields @timestamp, @message" || lines[1] != "filter @logStream like /^kube-apiserver-audit/" || lines[len(lines)-1] != "sort @timestamp asc" {
			t.Fatalf("%q", text)
		}
		for _, l := range lines[2 : len(lines)-1] {
			if l != "filter (responseStatus.code in [401, 403] or @message like /authorization.k8s.io.decision...forbid/)" && !line.MatchString(l) {
				t.Errorf("%q", l)
			}
		}
	})
}

func FuzzAuditSQL(f *testing.F) {
	seeds(f)
	literal := regexp.MustCompile(`'(?:[^']|'')*'`)
	skeleton := func(s string, subject, serial bool) string {
		text := query.Athena{What: asked(s, subject, serial), AuditTable: "t"}.AuditSQL()
		return literal.ReplaceAllString(text, "S")
	}
	// What is left without the strings: a query's own words, with or without the
	// conditions that a value makes.
	const (
		value = `json_extract_scalar\(message, S\)`
		one   = value + `( = S| LIKE S ESCAPE S| IN \(S\))`
	)
	condition := regexp.MustCompile(`^(` + value + `( = S| >= S| < S)|` + one + `|\(` + one + `( OR ` + one + `)+\)|\(` + value + ` IN \(S, S\) OR ` + value + ` = S\))$`)
	f.Fuzz(func(t *testing.T, s string, subject, serial bool) {
		text := skeleton(s, subject, serial)
		rest, ok := strings.CutPrefix(text, "SELECT message\nFROM \"t\"\nWHERE ")
		if !ok {
			t.Fatalf("%q", text)
		}
		for c := range strings.SplitSeq(rest, "\n  AND ") {
			if !condition.MatchString(c) {
				t.Errorf("%q in %q", c, text)
			}
		}
	})
}

// A ? is a byte for package audit; what a character is to an engine may be more.
func TestQuestionMarks(t *testing.T) {
	t.Parallel()
	what := query.What{Filter: audit.Filter{User: "é_?"}}
	if text := (query.Athena{What: what}).AuditSQL(); !strings.Contains(text, "LIKE 'é!_%' ESCAPE '!'") {
		t.Error(text)
	}
	if text := (query.Insights{What: what}).Text(); !strings.Contains(text, "user.username like /^.*_.?$/") {
		t.Error(text)
	}
}

func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	good := query.Schema{CloudTrailTable: "c", AuditTable: "a", CloudTrailBucket: "s3://example", Accounts: []string{"123456789012"}, Regions: []string{"us-gov-west-1"}, AuditLocation: "s3://example/x", Layout: query.Export}
	if _, err := good.CloudTrail(); err != nil {
		t.Error(err)
	}
	if text, err := good.Audit(); err != nil || strings.Contains(text, "PARTITIONED") {
		t.Errorf("%v %s", err, text)
	}
	for name, change := range map[string]func(*query.Schema){
		"quote in bucket": func(s *query.Schema) { s.CloudTrailBucket = "s3://a'b" }, "no scheme": func(s *query.Schema) { s.CloudTrailBucket = "example" },
		"table": func(s *query.Schema) { s.CloudTrailTable = "C" }, "no account": func(s *query.Schema) { s.Accounts = nil },
		"account": func(s *query.Schema) { s.Accounts = []string{"1'"} }, "region": func(s *query.Schema) { s.Regions = []string{"x"} },
	} {
		s := good
		if change(&s); true {
			if text, err := s.CloudTrail(); err == nil || text != "" {
				t.Errorf("%s: %q", name, text)
			}
		}
	}
	bad := good
	if bad.AuditLocation = "s3://example/${x}"; true {
		if _, err := bad.Audit(); err == nil {
			t.Error("a location with $")
		}
	}
	organization := good
	organization.CloudTrailBucket = "s3://example/AWSLogs/o-1234567890/"
	if text, err := organization.CloudTrail(); err != nil || !strings.Contains(text, "'s3://example/AWSLogs/o-1234567890/${account}/CloudTrail/${region}/${timestamp}'") {
		t.Errorf("%v %s", err, text)
	}
}

// A session whose access key is hidden is asked for by its ARN and name.
func TestHiddenAccessKey(t *testing.T) {
	t.Parallel()
	const role = "arn:aws:sts::123456789012:assumed-role/Dev/"
	what := query.What{Filter: audit.Filter{Subject: "CN=a"}, Narrow: true, Sessions: []query.Session{{ARN: role + "c8a1", Name: "c8a1"}, {AccessKeyID: "ASIA1", ARN: role + "b2", Name: "b2"}}}
	for name, text := range map[string]string{"Insights": query.Insights{What: what}.Text(), "Athena": query.Athena{What: what}.AuditSQL()} {
		for _, want := range []string{role + "c8a1", role + "0c8a1", role + "00c8a1", "00c8a1", "ASIA1", role + "b2"} {
			if !strings.Contains(strings.ReplaceAll(text, `"`, "'"), "'"+want+"'") {
				t.Errorf("%s: no %s in %s", name, want, text)
			}
		}
		if strings.Contains(text, "00b2") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// Each engine takes a session's event under both names, and whoever is said to have called.
func TestBothNames(t *testing.T) {
	t.Parallel()
	what := query.What{Chained: true}
	for name, text := range map[string]string{"Athena": query.Athena{What: what, CloudTrailTable: "t"}.CloudTrailSQL(), "LookupEvents": query.Lookup{What: what}.Text()} {
		if !strings.Contains(text, "rolesanywhere.amazonaws.com") || !strings.Contains(text, "AssumeRole") || strings.Contains(text, "EventName,AttributeValue=CreateSession") {
			t.Errorf("%s: %s", name, text)
		}
	}
}
