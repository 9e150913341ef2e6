package cli

import (
	"bufio"
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/eks-x509/eks-x509/internal/audit"
	"github.com/eks-x509/eks-x509/internal/safetext"
)

// writeAuditTable writes an answer for a person, and below it what was folded and
// the findings; so
// wide at most, if that can be done; 0: as wide as it is.
func writeAuditTable(w *bufio.Writer, answer string, records auditRecords, folded string, findings iter.Seq2[audit.Finding, error], width int) error {
	t := &columns{w: w, limit: width}
	switch answer {
	case answerTimeline:
		t.indent, t.whole = "  ", []int{0}
	case answerWho:
		t.whole = []int{0}
		t.row("TIME", "VERB", "RESOURCE", "NAMESPACE/NAME", "CODE", "DECISION", "USER", "SUBJECT", "SERIAL", "SOURCE IP")
	case answerSessions:
		t.whole = []int{0, 1, 6}
		t.row("FROM", "TO", "SUBJECT", "SERIAL", "ROLE", "SOURCE IP", "ACCESS KEY ID", "ACTIONS", "DENIED")
	case answerSummary:
		t.whole = []int{8, 9}
		t.row("SUBJECT", "SERIAL", "ISSUER", "ROLES", "SESSIONS", "REFUSED", "ACTIONS", "DENIED", "FIRST SEEN", "LAST SEEN")
	}
	begun := false
	err := records(func(rec auditRecord) error {
		switch s, act := rec.session, rec.action; {
		case answer == answerTimeline && act == nil:
			t.end()
			if begun {
				_ = w.WriteByte('\n')
			}
			begun = true
			writeSessionHead(w, s)
		case answer == answerTimeline:
			t.row(actionCells(act)...)
		case answer == answerWho:
			t.row(append(actionCells(act), act.User, s.Certificate.Subject, s.Certificate.Serial, act.SourceIP)...)
		case answer == answerSessions:
			t.row(utc(s.From), utc(s.To), subjectOf(s), s.Certificate.Serial, roleName(s.RoleARN), s.SourceIP, s.AccessKeyID, count(s.Actions), count(s.Denied))
		default:
			c := rec.subject
			roles := make([]string, len(c.Roles))
			for i, role := range c.Roles {
				roles[i] = roleName(role)
			}
			t.row(titleOf(c), c.Certificate.Serial, c.Certificate.Issuer, strings.Join(roles, ","), count(c.Sessions), count(c.Refused), count(c.Actions), count(c.Denied),
				utc(c.First), utc(c.Last))
		}
		return t.err
	})
	t.end()
	if folded != "" {
		_, _ = w.WriteString("\n" + folded + "\n")
	}
	if err != nil {
		return err
	}
	before := "\nfindings:\n"
	for f, err := range findings {
		if err != nil {
			return err
		}
		_, _ = w.Write(fmt.Appendf(nil, "%s  %s\n", before, safetext.Line(findingLine(f))))
		before = ""
	}
	return t.err
}

// writeSessionHead says what a session was, in two lines.
func writeSessionHead(w *bufio.Writer, s *audit.Session) {
	var facts []string
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, name+" "+value)
		}
	}
	line := func(indent string) {
		_, _ = w.Write(fmt.Appendf(nil, "%s%s\n", indent, safetext.Line(strings.Join(facts, " · "))))
		facts = nil
	}
	facts = append(facts, subjectOf(s))
	add("serial", s.Certificate.Serial)
	add("issuer", s.Certificate.Issuer)
	line("")
	if !s.From.IsZero() {
		facts = append(facts, utc(s.From)+" to "+dash(utc(s.To)))
	}
	add("from", s.SourceIP)
	add("role", roleName(s.RoleARN))
	add("access key", s.AccessKeyID)
	add("assumed by", s.Parent)
	plural := "s"
	if s.Actions == 1 {
		plural = ""
	}
	facts = append(facts, fmt.Sprintf("%d action%s, %d denied", s.Actions, plural, s.Denied))
	line("  ")
}

// subjectOf says whose session it is.
func subjectOf(s *audit.Session) string {
	switch {
	case s.Certificate.Subject != "":
		return s.Certificate.Subject
	case s.Began != "":
		return fmt.Sprintf("no certificate: %s (%s)", cmp.Or(s.AssumedRoleARN, s.Name, s.AccessKeyID), s.Began)
	case s.Unknown && s.AssumedRoleARN != "":
		return "not in CloudTrail: " + s.AssumedRoleARN
	case s.Unknown:
		return "not in CloudTrail"
	}
	return dash(s.AssumedRoleARN)
}

// titleOf says whose row of a summary it is.
func titleOf(c *audit.Subject) string {
	switch {
	case c.Unknown:
		return "not in CloudTrail"
	case c.NoCertificate:
		return "no certificate"
	}
	return c.Certificate.Subject
}

func actionCells(act *audit.Action) []string {
	resource, object := act.Resource, act.Name
	if act.Group != "" {
		name, sub, has := strings.Cut(resource, "/")
		resource = name + "." + act.Group // as kubectl names it
		if has {
			resource += "/" + sub
		}
	}
	if resource == "" {
		resource = act.URI
	}
	if act.Namespace != "" {
		object = act.Namespace + "/" + act.Name
	}
	decision := act.Decision
	if decision == "" && act.Denied() {
		decision = "denied"
	}
	return []string{utc(act.Time), act.Verb, resource, object, fmt.Sprint(act.Code), decision}
}

// roleName is the last word of a role's ARN.
func roleName(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// columns writes rows side by side without holding them all: the first some
// hundred say how wide the columns are, what is wider later sticks out.
type columns struct {
	w      *bufio.Writer
	indent string
	limit  int   // of a line; 0: none
	whole  []int // columns of which nothing may be left out
	held   [][]string
	widths []int
	err    error
}

const (
	heldRows  = 500
	widest    = 60 // what one long name may take from all other rows
	narrowest = 13 // what is left of a long name where a line must be short
	gap       = 2
)

func (t *columns) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = dash(safetext.Value(cell))
	}
	if t.widths != nil {
		t.write(cells)
		return
	}
	if t.held = append(t.held, cells); len(t.held) == heldRows {
		t.measure()
	}
}

func (t *columns) measure() {
	for _, row := range t.held {
		for i, cell := range row {
			if i == len(t.widths) {
				t.widths = append(t.widths, 0)
			}
			t.widths[i] = max(t.widths[i], min(utf8.RuneCountInString(cell), widest))
		}
	}
	t.fit()
	for _, row := range t.held {
		t.write(row)
	}
	t.held = nil
}

// fit takes from the widest columns what a line has too much.
func (t *columns) fit() {
	if t.limit == 0 || len(t.widths) == 0 {
		return
	}
	total := len(t.indent) - gap
	for _, width := range t.widths {
		total += width + gap
	}
	for ; total > t.limit; total-- {
		most := -1
		for i, width := range t.widths {
			if width > narrowest && (most < 0 || width > t.widths[most]) && !slices.Contains(t.whole, i) {
				most = i
			}
		}
		if most < 0 {
			return
		}
		t.widths[most]--
	}
}

// short leaves out the middle: names differ at their ends.
func short(cell string, width int) string {
	letters := []rune(cell)
	if len(letters) <= width {
		return cell
	}
	return string(letters[:width/2]) + "…" + string(letters[len(letters)-(width-width/2-1):])
}

func (t *columns) write(cells []string) {
	var line strings.Builder
	line.WriteString(t.indent)
	for i, cell := range cells {
		if t.limit > 0 && !slices.Contains(t.whole, i) {
			cell = short(cell, max(t.widths[i], narrowest))
		}
		line.WriteString(cell)
		if i < len(cells)-1 {
			line.WriteString(strings.Repeat(" ", max(t.widths[i]-utf8.RuneCountInString(cell), 0)+gap))
		}
	}
	line.WriteByte('\n')
	if _, err := t.w.WriteString(line.String()); err != nil {
		t.err = err
	}
}

// end writes what is held; the next row begins a table of its own.
func (t *columns) end() {
	t.measure()
	t.widths = nil
}
