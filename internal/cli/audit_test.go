package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/eks-x509/eks-x509/internal/audit"
)

func TestParseWhen(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"": "", "2026-11-23T08:00:00Z": "2026-11-23T08:00:00Z", "2026-11-23T08:00:00.5+02:00": "2026-11-23T06:00:00Z", "2026-11-23": "2026-11-23T00:00:00Z",
		"24h": "2026-11-25T12:00:00Z", "7d": "2026-11-19T12:00:00Z", "90m": "2026-11-26T10:30:00Z",
	} {
		got, err := parseWhen("since", text, now)
		if err != nil || utc(got) != want {
			t.Errorf("%q is %s, %v; want %s", text, utc(got), err, want)
		}
	}
	for _, text := range []string{"yesterday", "2026-11-31", "-1h", "1w", "2026-11-23 08:00"} {
		if got, err := parseWhen("since", text, now); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

func TestNotFormula(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string]string{"": "", "web-0": "web-0", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "a=1": "a=1"} {
		if got := notFormula(cell); got != want {
			t.Errorf("%q became %q, want %q", cell, got, want)
		}
	}
}

// The columns stand below each other, before and after the rows are too many to
// hold; a long cell pushes its own row only.
func TestColumns(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	c := &columns{w: w, indent: "  "}
	for i := range 2 * heldRows {
		first := "é"
		if i == 3 {
			first = strings.Repeat("x", 100)
		}
		c.row(first, fmt.Sprint(i), "", "a\x1bb")
	}
	c.end()
	c.row("another", "table")
	c.end()
	if err := w.Flush(); err != nil || c.err != nil {
		t.Fatal(err, c.err)
	}
	lines := strings.Split(b.String(), "\n")
	for i, want := range map[int]string{
		0: "  é" + strings.Repeat(" ", widest-1) + "  0    -  a\\x1bb", 3: "  " + strings.Repeat("x", 100) + "  3    -  a\\x1bb", 999: "  é" + strings.Repeat(" ", widest-1) + "  999  -  a\\x1bb",
		1000: "  another  table", 1001: "",
	} {
		if lines[i] != want {
			t.Errorf("line %d is %q, want %q", i, lines[i], want)
		}
	}
}

// Where a terminal ends, the longest names lose their middle.
func TestColumnsOfATerminal(t *testing.T) {
	t.Parallel()
	serial := strings.Repeat("0123456789", 4)
	for limit, want := range map[int]string{
		0:   "get  tester:" + serial + "  " + serial + "  here\n",
		100: "get  tester:" + serial + "  " + serial + "  here\n",
		80:  "get  tester:012345678…4567890123456789  01234567890123456…4567890123456789  here\n",
	} {
		var b bytes.Buffer
		w := bufio.NewWriter(&b)
		c := &columns{w: w, limit: limit}
		c.row("get", "tester:"+serial, serial, "here")
		c.end()
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := b.String(); got != want {
			t.Errorf("for %d columns:\n%swant\n%s", limit, got, want)
		}
	}
}

// No output has a character that a terminal obeys, and JSON stays what it was.
func TestNoControlCharacters(t *testing.T) {
	t.Parallel()
	const hostile = "\x1b[31m\u009b2J\x7f\t\n\u0085é"
	action := audit.Action{ID: "1", Verb: hostile, UserAgent: hostile, URI: hostile}
	session := audit.Session{Certificate: audit.Certificate{Subject: hostile}, UserAgent: hostile, Actions: 1}
	findings := func(yield func(audit.Finding, error) bool) { yield(audit.Finding{Kind: "kind", Detail: hostile}, nil) }
	r := &audit.Result{Findings: findings, Damage: []audit.Damage{{File: hostile}}}
	records := func(do func(auditRecord) error) error {
		return errors.Join(do(auditRecord{session: &session}), do(auditRecord{session: &session, action: &action}))
	}
	for name, write := range map[string]func(w *bufio.Writer) error{
		"json":   func(w *bufio.Writer) error { return writeAuditJSON(w, answerWho, records, r) },
		"ndjson": func(w *bufio.Writer) error { return writeAuditLines(w, answerTimeline, records, r) },
		"csv":    func(w *bufio.Writer) error { return writeAuditCSV(w, answerTimeline, records) },
		"table":  func(w *bufio.Writer) error { return writeAuditTable(w, answerTimeline, records, "", r.Findings, 0) },
	} {
		var b bytes.Buffer
		w := bufio.NewWriter(&b)
		if err := errors.Join(write(w), w.Flush()); err != nil {
			t.Fatal(err)
		}
		for _, c := range b.String() {
			if unicode.IsControl(c) && c != '\n' && (c != '\r' || name != "csv") {
				t.Errorf("%s has %U: %q", name, c, b.String())
				break
			}
		}
		if name == "json" {
			var v struct{ Actions []audit.Action }
			if err := json.Unmarshal(b.Bytes(), &v); err != nil || len(v.Actions) != 2 || v.Actions[1].UserAgent != hostile {
				t.Errorf("%v: %s", err, b.String())
			}
		}
	}
}
