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

// MaxActions is how many a page holds: a browser has them all in memory.
const MaxActions = 500_000

// TooManyError: more actions than a page holds.
type TooManyError struct{ Actions int64 }

func (e *TooManyError) Error() string {
	return fmt.Sprintf("%d actions are too many for a page (at most %d)", e.Actions, MaxActions)
}

// head is everything but the actions.
type head struct {
	SchemaVersion int              `json:"schemaVersion"`
	Made          time.Time        `json:"made"`
	Filter        string           `json:"filter"`
	Certificates  []audit.Subject  `json:"certificates"`
	Sessions      []*audit.Session `json:"sessions"`
	Folded        audit.Folded     `json:"folded"`
	Findings      []audit.Finding  `json:"findings"`
	Damage        []audit.Damage   `json:"damage"`
	Counts        audit.Counts     `json:"counts"`
}

// Write writes the page. Of the actions it holds one at a time.
func Write(out io.Writer, r *audit.Result, o Options) error {
	var actions int64
	for _, s := range r.Sessions {
		actions += s.Actions
	}
	if actions > MaxActions {
		return &TooManyError{actions}
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

// writeData writes two data blocks: the head, with the sessions in the order of
// the timeline, and the actions as rows, in the same order.
func writeData(w *bufio.Writer, r *audit.Result, o Options) error {
	h := head{audit.SchemaVersion, o.Made.UTC(), o.Filter, append([]audit.Subject{}, r.Subjects...), []*audit.Session{}, r.Folded, append([]audit.Finding{}, r.Findings...),
		append([]audit.Damage{}, r.Damage...), r.Counts}
	_, _ = w.WriteString(`<script type="application/json" id="actions">[`)
	between, last := "\n", make([]string, columns)
	err := r.Timeline(func(s *audit.Session, actions iter.Seq2[audit.Action, error]) error {
		session := len(h.Sessions)
		h.Sessions = append(h.Sessions, s)
		for action, err := range actions {
			if err != nil {
				return err
			}
			data, err := json.Marshal(row(session, action, last))
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(w, "%s%s", between, safetext.JSON(data)); err != nil {
				return err
			}
			between = ",\n"
		}
		return nil
	})
	if err != nil {
		return err
	}
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n]</script>\n<script type=\"application/json\" id=\"head\">%s</script>\n", safetext.JSON(data))
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
