package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/eks-x509/eks-x509/internal/audit"
)

// result joins a session with actions on objects of these names.
func result(t testing.TB, subject, agent string, names ...string) *audit.Result {
	t.Helper()
	event, err := json.Marshal(map[string]any{
		"eventSource": "rolesanywhere.amazonaws.com", "eventName": "CreateSession", "eventTime": "2026-11-23T19:40:00Z", "eventID": "1", "userAgent": agent,
		"responseElements": map[string]any{"credentialSet": []any{map[string]any{"sourceIdentity": "CN=" + subject, "roleArn": "arn:aws:iam::123456789012:role/view",
			"assumedRoleUser": map[string]any{"arn": "arn:aws:sts::123456789012:assumed-role/view/1a2b"}, "credentials": map[string]any{"accessKeyId": "ASIAEXAMPLE", "expiration": "2026-11-23T20:40:00Z"}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	for i, name := range names {
		line, err := json.Marshal(map[string]any{
			"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": fmt.Sprint(i), "stage": "ResponseComplete", "verb": "get", "userAgent": agent,
			"user":      map[string]any{"username": "viewer", "extra": map[string]any{"accessKeyId": []string{"ASIAEXAMPLE"}}},
			"objectRef": map[string]any{"resource": "pods", "namespace": "default", "name": name}, "responseStatus": map[string]any{"code": 200},
			"requestReceivedTimestamp": time.Date(2026, 11, 23, 19, 41, i, 0, time.UTC).Format("2006-01-02T15:04:05.000000Z"),
		})
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
	}
	input := func(data []byte) []audit.Input {
		return []audit.Input{{Name: "log", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}}
	}
	r, err := audit.Run(t.Context(), input(event), input(lines.Bytes()), audit.Options{Actions: true, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func write(t testing.TB, r *audit.Result) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, r, Options{Made: time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// block is what stands in a data block.
func block(t testing.TB, page, id string) string {
	t.Helper()
	_, rest, ok := strings.Cut(page, fmt.Sprintf(`<script type="application/json" id=%q>`, id))
	text, _, ended := strings.Cut(rest, "</script>")
	if !ok || !ended {
		t.Fatalf("no data block %q in the page", id)
	}
	return text
}

// The rows of the page are the actions, with 0 for what the row before says.
func TestRows(t *testing.T) {
	t.Parallel()
	var rows [][]any
	text := block(t, write(t, result(t, "alice", "kubectl", "a", "b", "b")), "actions")
	if err := json.Unmarshal([]byte(text), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 3 {
		t.Fatalf("%d rows: %s", len(rows), text)
	}
	word := func(row, column int) any { return rows[row][3+column] }
	for i, want := range []struct{ verb, name any }{{"get", "a"}, {0.0, "b"}, {0.0, 0.0}} {
		if word(i, 0) != want.verb || word(i, 4) != want.name || rows[i][2] != 200.0 || rows[i][len(rows[i])-1] != fmt.Sprint(i) {
			t.Errorf("row %d is %v", i, rows[i])
		}
	}
	if at := time.UnixMilli(int64(rows[1][1].(float64))).UTC().Format(time.TimeOnly); at != "19:41:01" {
		t.Errorf("row 1 is at %s", at)
	}
}

// The policy knows the script and the style of the page as they stand in it, and
// nothing else.
func TestPolicy(t *testing.T) {
	t.Parallel()
	page := write(t, result(t, "alice", "kubectl", "a"))
	for directive, pattern := range map[string]string{"script-src": `(?s)<script>(.*?)</script>`, "style-src": `(?s)<style>(.*?)</style>`} {
		found := regexp.MustCompile(pattern).FindAllStringSubmatch(page, -1)
		if len(found) != 1 {
			t.Fatalf("%d of %s", len(found), pattern)
		}
		if !strings.Contains(page, fmt.Sprintf("%s '%s';", directive, hash(found[0][1]))) {
			t.Errorf("%s does not have the hash of what is in the page", directive)
		}
	}
	if !strings.Contains(page, `content="default-src 'none';`) {
		t.Error("the policy does not begin with default-src 'none'")
	}
	for _, outside := range []string{"http://", "https://", "url(", "@import", "src=", "href="} {
		if strings.Contains(page, outside) {
			t.Errorf("the page has %q", outside)
		}
	}
}

func TestTooMany(t *testing.T) {
	t.Parallel()
	for want, totals := range map[string]audit.Totals{
		"500001 actions are too many for a page (at most 500000)":      {Sessions: 2, Actions: MaxActions + 1},
		"200001 sessions are too many for a page (at most 200000)":     {Sessions: MaxOthers + 1},
		"200001 certificates are too many for a page (at most 200000)": {Subjects: MaxOthers + 1},
		"200001 findings are too many for a page (at most 200000)":     {Findings: MaxOthers + 1},
	} {
		var b bytes.Buffer
		if err := Write(&b, &audit.Result{Totals: totals}, Options{}); err == nil || err.Error() != want || b.Len() > 0 {
			t.Errorf("error %v, %d bytes", err, b.Len())
		}
	}
}

// Whatever a log says, there is no more markup in the page than without it, and
// the data can be read back.
func FuzzWrite(f *testing.F) {
	for _, text := range []string{"alice", "</script><img src=x onerror=alert(1)>", "<!--<script>", "]]>", "\u2028\u2029\u202e", "\x00\xff\x1b[2J", `"\`, "&lt;"} {
		f.Add(text, text)
	}
	markup := func(page string) int {
		return strings.Count(page, "<") + strings.Count(page, "&") + strings.Count(page, "\u2028")
	}
	f.Fuzz(func(t *testing.T, subject, name string) {
		plain, page := write(t, result(t, "a", "a", "a")), write(t, result(t, subject, subject, name))
		if markup(page) != markup(plain) {
			t.Errorf("subject %q and name %q became markup", subject, name)
		}
		for _, id := range []string{"actions", "head"} {
			if !json.Valid([]byte(block(t, page, id))) {
				t.Errorf("malformed data block %q", id)
			}
		}
	})
}
