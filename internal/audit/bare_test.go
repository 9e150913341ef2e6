package audit

import (
	"context"
	"strings"
	"testing"
)

// What is kept and printed of an event has no secret in it, and tells the same.
func TestBare(t *testing.T) {
	t.Parallel()
	made := created("ASIA1", "01", "alice", at(0), nil)
	action := did("1", "ASIA1", "", "", at(1), func(e m) {
		e["requestURI"] = "/api?token=SECRET"
		e["requestObject"] = m{"spec": m{"token": "SECRET"}}
		e["responseObject"] = m{"status": m{"token": "SECRET"}}
	})
	event := encode(t, action)
	twice := strings.Replace(event, `"requestObject"`, `"requestObject":"SECRET","request\u004fbject"`, 1)
	trail := strings.NewReplacer(`"accessKeyId"`, `"sessionToken":"SECRET","accessKeyId"`, "TOKENTOKEN", "SECRET").Replace(encode(t, made))
	if strings.Count(trail, "SECRET") < 3 {
		t.Fatal(trail)
	}
	escaped := strings.Replace(event, "/api?", `/a\"\\u003fi\u003F`, 1)
	if got, ok := Bare([]byte(escaped)); !ok || !strings.Contains(string(got), `"requestURI":"/a\"\\u003fi"`) {
		t.Errorf("%v %s", ok, got)
	}
	for _, whole := range []string{event, escaped, twice, indent(t, event), trail, indent(t, trail)} {
		if got, ok := Bare([]byte(whole)); !ok || strings.ContainsAny(string(got), "\r\n") || strings.Contains(string(got), "SECRET") || !strings.Contains(string(got), "ASIA1") {
			t.Errorf("%v %s", ok, got)
		}
	}
	bareTrail, _ := Bare([]byte(trail))
	bareEvent, _ := Bare([]byte(event))
	got, want := timeline(t, audit(t, log(string(bareTrail)), log(string(bareEvent)), Options{})), timeline(t, audit(t, log(trail), log(event), Options{}))
	if encode(t, got) != encode(t, want) || len(want[0].Actions) != 1 {
		t.Errorf("%+v, not %+v", got, want)
	}

	// As CloudWatch Logs cuts it, anywhere.
	const real = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","requestURI":"/api?token=SECRET","verb":"get","requestObject":{"SECRET":"SECRET"},"responseObject":"SECRET"}`
	for n := range len(real) {
		got, ok := Bare([]byte(real[:n]))
		if ok || strings.Contains(string(got), "SECRET") {
			t.Errorf("%d: %v %s", n, ok, got)
		}
	}
	cut, _ := Bare([]byte(real[:100]))
	r, err := Run(context.Background(), nil, log(string(cut)+"\n"), Options{TempDir: t.TempDir()})
	if err != nil || r.Counts.Damaged != 1 {
		t.Errorf("%s: %+v %v", cut, r, err)
	}
	for _, none := range []string{"", "[]", `"SECRET"`, "1", "SECRET"} {
		if got, ok := Bare([]byte(none)); ok || string(got) != "{" {
			t.Errorf("%q: %s", none, got)
		}
	}
}
