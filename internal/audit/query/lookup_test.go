package query_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eks-x509/eks-x509/internal/audit"
	"github.com/eks-x509/eks-x509/internal/audit/query"
	"github.com/eks-x509/eks-x509/internal/awsapi"
)

// sessions makes so many, some within one second, and says their events' ids.
func (w *world) sessions(n int) []string {
	for i := range n {
		w.session()
		if i%3 == 0 {
			w.advance(time.Second)
		}
	}
	var all []string
	for _, e := range w.s.Events() {
		all = append(all, e.EventID)
	}
	slices.Sort(all)
	return all
}

func lookedUp(t *testing.T, path string) []string {
	all := ids(t, fileLines(t, path), "eventID")
	slices.Sort(all)
	return all
}

func TestLookupIsPaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := w.sessions(130)
	file := filepath.Join(t.TempDir(), "events.jsonl")
	if err := (query.Lookup{Tools: w.tools(), What: w.what(audit.Filter{}), File: file}).Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, lookedUp(t, file)); diff != "" {
		t.Error(diff)
	}
	if all, throttled := w.count("LookupEvents"); all != 3 || throttled != 0 {
		t.Errorf("%d requests, %d throttled", all, throttled)
	}
	if diff := cmp.Diff([]time.Duration{time.Second / 2, time.Second / 2}, w.waits); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{file, file + ".state"} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	if !strings.Contains(w.said(), "130 events") {
		t.Error(w.said())
	}
}

// Others of the account ask as well: then it waits longer and longer.
func TestLookupIsThrottled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := w.sessions(2)
	tools := w.tools()
	service := awsapi.JSONService{Name: "CloudTrail", Host: "cloudtrail", Target: "CloudTrail_20131101"}
	for range 2 {
		if err := tools.Client.JSON(t.Context(), service, "LookupEvents", struct{}{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "events.jsonl")
	if err := (query.Lookup{Tools: tools, What: w.what(audit.Filter{}), File: file}).Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, lookedUp(t, file)); diff != "" {
		t.Error(diff)
	}
	// Each call is tried three times at once, and then after a wait.
	if all, throttled := w.count("LookupEvents"); all != 6 || throttled != 3 {
		t.Errorf("%d requests, %d throttled", all, throttled)
	}
	if diff := cmp.Diff([]time.Duration{time.Second}, w.waits); diff != "" {
		t.Error(diff)
	}
}

// Whenever it is interrupted, the next run has what is missing and nothing twice.
func TestLookupGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := w.sessions(160) // 4 pages
	what := w.what(audit.Filter{})
	for interrupted := range 4 {
		for _, torn := range []string{"", `{"eventID":"half of a li`, strings.Repeat("{\"eventID\":\"a\"}\n", 1<<15)} {
			for _, token := range []string{"", "gone"} {
				t.Run(fmt.Sprint(interrupted, len(torn), token), func(t *testing.T) {
					file := filepath.Join(t.TempDir(), "events.jsonl")
					ctx, cancel := context.WithCancel(t.Context())
					n := 0
					w.before = func(*http.Request) {
						if n++; n > interrupted {
							cancel()
						}
					}
					w.advance(time.Second)
					err := query.Lookup{Tools: w.tools(), What: what, File: file}.Fetch(ctx)
					w.before = nil
					if !errors.Is(err, context.Canceled) {
						t.Fatalf("interrupted: %v", err)
					}
					if got := len(fileLines(t, file)); got != 50*interrupted {
						t.Errorf("%d events kept, want %d", got, 50*interrupted)
					}
					appendTo(t, file, torn) // events that were written, and not yet the state
					if token != "" && interrupted > 0 {
						setToken(t, file+".state", token)
					}
					w.advance(time.Hour) // later, and with a later --since
					what := what
					what.Filter.Since = what.Filter.Since.Add(time.Hour)
					if err := (query.Lookup{Tools: w.tools(), What: what, File: file}).Fetch(t.Context()); err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(want, lookedUp(t, file)); diff != "" {
						t.Error(diff)
					}
				})
			}
		}
	}
}

func appendTo(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// setToken: a token that CloudTrail no longer takes.
func setToken(t *testing.T, file, token string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var state map[string]any
	if err := json.Unmarshal(data, &state); err != nil {
		t.Fatal(err)
	}
	state["token"] = token
	if data, err = json.Marshal(state); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLookupLeavesOthersFilesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.session()
	dir := t.TempDir()
	for name, c := range map[string]struct{ file, state, want string }{
		"no state":        {"mine\n", "", "there is something in it, and no state beside it"},
		"no JSON":         {"mine\n", "{", "malformed state"},
		"another version": {"mine\n", `{"version":2}`, "malformed state"},
		"beyond the end":  {"mine\n", `{"version":1,"region":"us-east-1","since":"2020-01-01T00:00:00Z","events":["CreateSession"],"size":6}`, "it is shorter than"},
		"another region":  {"mine\n", `{"version":1,"region":"eu-west-1","since":"2020-01-01T00:00:00Z","events":["CreateSession"]}`, "it is of another lookup"},
		"fewer events":    {"mine\n", `{"version":1,"region":"us-east-1","since":"2020-01-01T00:00:00Z","events":["AssumeRole"]}`, "it is of another lookup"},
		"later":           {"mine\n", `{"version":1,"region":"us-east-1","since":"2099-01-01T00:00:00Z","events":["CreateSession"]}`, "it is of another lookup"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			if err := os.WriteFile(file, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			if c.state != "" {
				if err := os.WriteFile(file+".state", []byte(c.state), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := query.Lookup{Tools: w.tools(), What: w.what(audit.Filter{}), File: file}.Fetch(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if got, _ := os.ReadFile(file); string(got) != c.file {
				t.Errorf("the file is now %q", got)
			}
		})
	}
	if all, _ := w.count("LookupEvents"); all != 0 {
		t.Errorf("%d requests", all)
	}
}

func TestLookupHas90Days(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	what := w.what(audit.Filter{})
	what.Filter.Since = w.clock().AddDate(0, 0, -100)
	what.Chained = true
	file := filepath.Join(t.TempDir(), "events.jsonl")
	if err := (query.Lookup{Tools: w.tools(), What: what, File: file}).Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all, _ := w.count("LookupEvents"); all != 2 || !strings.Contains(w.said(), "warning: CloudTrail's event history has 90 days") {
		t.Errorf("%d requests; %s", all, w.said())
	}
}

// fakeHistory answers with one page for each name of an event.
type fakeHistory map[string][]map[string]any

func (f fakeHistory) RoundTrip(r *http.Request) (*http.Response, error) {
	var in struct {
		LookupAttributes []struct{ AttributeValue string }
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, err
	}
	text, err := json.Marshal(map[string]any{"Events": f[in.LookupAttributes[0].AttributeValue]})
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(text)), Request: r}, err
}

// Other services have a CreateSession, and most AssumeRole calls are a service's.
func TestLookupKeepsWhatMayBeOurs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	event := func(id, source, key, text string) map[string]any {
		return map[string]any{"EventId": id, "EventTime": 1.7e9 + 0.5, "EventSource": source, "AccessKeyId": key, "CloudTrailEvent": text}
	}
	tools := w.tools()
	tools.Client.HTTP = &http.Client{Transport: fakeHistory{
		"rolesanywhere.amazonaws.com": { // asked for by source, whatever the event is called
			event("1", "rolesanywhere.amazonaws.com", "", "{\"eventID\":\n\"1\"}"), event("1", "rolesanywhere.amazonaws.com", "", `{"eventID":"1"}`),
			event("2", "glue.amazonaws.com", "AKIA", `{"eventID":"2"}`), event("3", "rolesanywhere.amazonaws.com", "", "{"), event("4", "rolesanywhere.amazonaws.com", "", ""),
		},
		"AssumeRole": {event("5", "sts.amazonaws.com", "ASIA", `{"eventID":"5"}`), event("6", "sts.amazonaws.com", "", `{"eventID":"6"}`)},
	}}
	what := w.what(audit.Filter{})
	what.Chained = true
	file := filepath.Join(t.TempDir(), "events.jsonl")
	if err := (query.Lookup{Tools: tools, What: what, File: file}).Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`{"eventID":"1"}`, `{"eventID":"5"}`}, fileLines(t, file)); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(w.said(), "warning: 2 malformed events from CloudTrail's event history were left out") {
		t.Error(w.said())
	}
}
