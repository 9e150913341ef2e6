// Package page writes an answer of the audit trail as one HTML page: a timeline
// to scan, filter and zoom, the findings, the certificates and the actions. The
// page needs no network and may use none: its policy allows the one style and
// the one script that are in it.
//
// What a log says is data, never markup: it stands as JSON in a data block,
// where encoding/json writes <, > and & as \u003c, \u003e and \u0026, and the
// script puts it into the page as text only. html/template would do the same,
// and cost every start of the program.
package page

import (
	"bufio"
	"crypto/sha256"
	_ "embed" // the page's style and script
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/eks-x509/eks-x509/internal/audit"
	"github.com/eks-x509/eks-x509/internal/safetext"
)

//go:embed page.css
var style string

//go:embed data.js
var dataScript string

//go:embed chart.js
var chartScript string

//go:embed page.js
var pageScript string

// Options of Write.
type Options struct {
	Made   time.Time
	Filter string // as it was asked for
}

// What a page holds at most: a browser has it all in memory.
const (
	MaxActions = 500_000
	MaxOthers  = 200_000 // of sessions, of certificates, and of findings
)

// TooManyError: more of something than a page holds.
type TooManyError struct {
	What       string // in the plural
	Count, Max int64
}

func (e *TooManyError) Error() string {
	return fmt.Sprintf("%d %s are too many for a page (at most %d)", e.Count, e.What, e.Max)
}

func check(t audit.Totals) error {
	for _, e := range []TooManyError{{"actions", t.Actions, MaxActions}, {"sessions", t.Sessions, MaxOthers}, {"certificates", t.Subjects, MaxOthers}, {"findings", t.Findings, MaxOthers}} {
		if e.Count > e.Max {
			return &e
		}
	}
	return nil
}

// Write writes the page. It holds one action, session, certificate or finding at a
// time.
func Write(out io.Writer, r *audit.Result, o Options) error {
	if err := check(r.Totals); err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	script := "\n" + dataScript + chartScript + pageScript
	css := "\n" + style
	fmt.Fprintf(w, `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src '%s'; style-src '%s'; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Audit trail</title>
<style>%s</style>
</head>
<body>
<noscript><p>This page draws the audit trail with a script of its own, which is turned off here. eks-x509 audit timeline shows the same as text.</p></noscript>
<main id="page"></main>
`, hash(script), hash(css), css)
	if err := writeData(w, r, o); err != nil {
		return err
	}
	fmt.Fprintf(w, "<script>%s</script>\n</body>\n</html>\n", script)
	return w.Flush()
}

// hash is what the policy knows an inline script or style by.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// writeData writes two data blocks: the actions as rows in the order of the
// timeline, and the head: everything else, with the sessions in the same order.
func writeData(w *bufio.Writer, r *audit.Result, o Options) error {
	_, _ = w.WriteString(`<script type="application/json" id="actions">[`)
	between, last, session := "\n", make([]string, columns), 0
	err := r.Timeline(func(_ *audit.Session, actions iter.Seq2[audit.Action, error]) error {
		for action, err := range actions {
			if err != nil {
				return err
			}
			if err := writeJSON(w, between, row(session, action, last)); err != nil {
				return err
			}
			between = ",\n"
		}
		session++
		return nil
	})
	if err != nil {
		return err
	}
	_, _ = w.WriteString("\n]</script>\n<script type=\"application/json\" id=\"head\">")
	if err := writeHead(w, r, o); err != nil {
		return err
	}
	_, err = w.WriteString("</script>\n")
	return err
}

func writeHead(w *bufio.Writer, r *audit.Result, o Options) error {
	return errors.Join(
		writeJSON(w, `{"schemaVersion":`, audit.SchemaVersion),
		writeJSON(w, `,"made":`, o.Made.UTC()),
		writeJSON(w, `,"filter":`, o.Filter),
		writeList(w, "certificates", r.Subjects),
		writeList(w, "sessions", r.Sessions),
		writeJSON(w, `,"folded":`, r.Folded),
		writeList(w, "findings", r.Findings),
		writeJSON(w, `,"damage":`, append([]audit.Damage{}, r.Damage...)),
		writeJSON(w, `,"counts":`, r.Counts),
		w.WriteByte('}'))
}

func writeList[T any](w *bufio.Writer, name string, list iter.Seq2[T, error]) error {
	_, _ = fmt.Fprintf(w, `,%q:[`, name)
	between := ""
	for v, err := range list {
		if err != nil {
			return err
		}
		if err := writeJSON(w, between, v); err != nil {
			return err
		}
		between = ","
	}
	return w.WriteByte(']')
}

// writeJSON writes a value after what stands before it.
func writeJSON(w *bufio.Writer, before string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s", before, safetext.JSON(data))
	return err
}

const columns = 14

// row is an action as data.js reads it: the session's number, the time in
// milliseconds, the code, then words; 0 for a word is that of the row before,
// which makes the page a third as large.
func row(session int, a audit.Action, last []string) []any {
	cells := []any{session, a.Time.UnixMilli(), a.Code}
	for i, word := range [columns]string{a.Verb, a.Resource, a.Group, a.Namespace, a.Name, a.URI, a.Decision, a.Reason, a.User, a.Impersonated, a.SourceIP, a.UserAgent, a.Cluster, string(a.JoinedBy)} {
		if word == last[i] {
			cells = append(cells, 0)
			continue
		}
		last[i] = word
		cells = append(cells, word)
	}
	return append(cells, a.ID)
}
