package cli

import (
	"bufio"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/eks-x509/eks-x509/internal/audit"
)

// writeAuditTable writes an answer for a person, and the findings below it.
func writeAuditTable(w *bufio.Writer, answer string, records auditRecords, findings []audit.Finding) error {
	t := &columns{w: w}
	switch answer {
	case answerTimeline:
		t.indent = "  "
	case answerWho:
		t.row("TIME", "VERB", "RESOURCE", "NAMESPACE/NAME", "CODE", "DECISION", "USER", "SUBJECT", "SERIAL", "SOURCE IP")
	case answerSessions:
		t.row("FROM", "TO", "SUBJECT", "SERIAL", "ROLE", "SOURCE IP", "ACCESS KEY ID", "ACTIONS", "DENIED")
	case answerSummary:
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
			t.row(c.Certificate.Subject, c.Certificate.Serial, c.Certificate.Issuer, strings.Join(roles, ","), count(c.Sessions), count(c.Refused), count(c.Actions), count(c.Denied),
				utc(c.First), utc(c.Last))
		}
		return t.err
	})
	t.end()
	if len(findings) > 0 {
		fmt.Fprintf(w, "\nfindings:\n")
	}
	for _, f := range findings {
		fmt.Fprintf(w, "  %s\n", printable(findingLine(f)))
	}
	if err != nil {
		return err
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
		fmt.Fprintf(w, "%s%s\n", indent, printable(strings.Join(facts, " · ")))
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
	case s.Unknown && s.AssumedRoleARN != "":
		return "not in CloudTrail: " + s.AssumedRoleARN
	case s.Unknown:
		return "not in CloudTrail"
	}
	return dash(s.AssumedRoleARN)
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
	held   [][]string
	widths []int
	err    error
}

const (
	heldRows = 500
	widest   = 60 // what one long name may take from all other rows
)

func (t *columns) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = dash(printable(cell))
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
	for _, row := range t.held {
		t.write(row)
	}
	t.held = nil
}

func (t *columns) write(cells []string) {
	var line strings.Builder
	line.WriteString(t.indent)
	for i, cell := range cells {
		line.WriteString(cell)
		if i < len(cells)-1 {
			line.WriteString(strings.Repeat(" ", max(t.widths[i]-utf8.RuneCountInString(cell), 0)+2))
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
