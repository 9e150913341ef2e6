package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/audit"
	"github.com/eks-x509/eks-x509/internal/audit/page"
)

// auditRecord is one thing of an answer: a certificate, a session, or an action
// with its session.
type auditRecord struct {
	subject *audit.Subject
	session *audit.Session
	action  *audit.Action
}

// auditRecords are an answer's, in its order, one at a time: there may be more
// than memory holds.
type auditRecords func(do func(auditRecord) error) error

func recordsOf(answer string, r *audit.Result) auditRecords {
	return func(do func(auditRecord) error) error {
		switch answer {
		case answerTimeline:
			return r.Timeline(func(s *audit.Session, actions iter.Seq2[audit.Action, error]) error {
				if err := do(auditRecord{session: s}); err != nil {
					return err
				}
				for action, err := range actions {
					if err != nil {
						return err
					}
					if err := do(auditRecord{session: s, action: &action}); err != nil {
						return err
					}
				}
				return nil
			})
		case answerWho:
			for action, err := range r.ByTime() {
				if err != nil {
					return err
				}
				if err := do(auditRecord{session: r.SessionOf(action), action: &action}); err != nil {
					return err
				}
			}
		case answerSessions:
			for s, err := range r.Sessions {
				if err != nil {
					return err
				}
				if err := do(auditRecord{session: s}); err != nil {
					return err
				}
			}
		case answerSummary:
			for s, err := range r.Subjects {
				if err != nil {
					return err
				}
				if err := do(auditRecord{subject: s}); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// writeAnswer writes while it reads: an answer may be larger than memory. All
// logs are read by now; what can still go wrong is the disk that the actions
// were sorted on, and stdout.
func (a *app) writeAnswer(ctx context.Context, answer string, f auditFlags, r *audit.Result) error {
	out := bufio.NewWriterSize(interruptible{ctx, a.out.stream()}, 64<<10)
	records, matched := recordsOf(answer, r), false
	noted := func(do func(auditRecord) error) error {
		return records(func(record auditRecord) error {
			matched = true
			return do(record)
		})
	}
	folded := ""
	if answer != answerSummary { // which has a row of them
		folded = foldedLine(r.Folded)
	}
	var err error
	switch f.output {
	case "json":
		err = writeAuditJSON(out, answer, records, r)
	case "ndjson":
		err = writeAuditLines(out, answer, records, r)
	case "csv":
		err = writeAuditCSV(out, answer, noted)
	case "html":
		err = page.Write(out, r, page.Options{Made: a.Now(), Filter: f.asked()})
	default:
		err = writeAuditTable(out, answer, noted, folded, r.Findings, a.out.width())
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("writing output: %w", err)
	}
	if err := a.tellAudit(f.output, r); err != nil {
		return err
	}
	if folded != "" && (f.output == "csv" || f.output == "html") {
		a.notice(folded)
	}
	if c := r.Counts; !matched && folded == "" && (f.output == "table" || f.output == "csv") && c.CloudTrailEvents+c.KubernetesEvents > 0 {
		a.notice(nothingLine(answer, f, c))
	}
	return nil
}

// foldedLine says what an answer leaves out; empty: nothing.
func foldedLine(f audit.Folded) string {
	var parts []string
	for _, p := range []struct {
		audit.Fold
		why string
	}{{f.NoCertificate, "no certificate"}, {f.Unknown, "not in CloudTrail"}} {
		if p.Actions > 0 {
			parts = append(parts, fmt.Sprintf("%s of %s (%s)", counted(p.Actions, "action"), counted(p.Sessions, "session"), p.why))
		}
	}
	if parts == nil {
		return ""
	}
	if f.Findings > 0 {
		parts = append(parts, counted(int64(f.Findings), "finding"))
	}
	return "nodes and EKS components are not shown: " + strings.Join(parts, ", ") + "; add --all to show them"
}

func counted(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// interruptible ends a long answer where a person has seen enough.
type interruptible struct {
	ctx context.Context //nolint:containedctx // of the one command that writes
	io.Writer
}

func (w interruptible) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.Writer.Write(p)
}

// nothingLine says of an empty answer that it is one, and why.
func nothingLine(answer string, f auditFlags, c audit.Counts) string {
	if answer == answerWho && c.KubernetesEvents == 0 {
		return "no action found: only the API server's audit log tells them"
	}
	line := fmt.Sprintf("nothing found in %d CreateSession and AssumeRole events and %d requests to an API server", c.CloudTrailEvents, c.KubernetesEvents)
	if asked := f.asked(); asked != "" {
		line += " for " + asked
	}
	return line
}

// tellAudit says on stderr what the answer itself does not.
func (a *app) tellAudit(output string, r *audit.Result) error {
	if output == "csv" {
		for f, err := range r.Findings {
			if err != nil {
				return err
			}
			a.notice("finding: " + findingLine(f))
		}
	}
	a.tellUnread(r.Damage)
	if line := ignoredLine(r.Ignored); line != "" && output != "json" && output != "ndjson" {
		a.notice(line)
	}
	if c := r.Counts; c.CloudTrailEvents+c.KubernetesEvents == 0 {
		a.notice("no CreateSession, no AssumeRole and no request to an API server found in these logs")
	}
	return nil
}

// tellUnread names what was not read.
func (a *app) tellUnread(list []audit.Damage) {
	const most = 20
	for i, d := range list {
		if i == most {
			a.notice(fmt.Sprintf("… and %d more files with damage: --output json names all", len(list)-most))
			break
		}
		a.notice(damageLine(d))
	}
}

// ignoredLine says what was known to be no event; empty: nothing.
func ignoredLine(list []audit.Ignored) string {
	var parts []string
	for _, i := range list {
		parts = append(parts, fmt.Sprintf("%s (%d)", i.What, i.Count))
	}
	if parts == nil {
		return ""
	}
	return "ignored, because they are not events: " + strings.Join(parts, ", ")
}

func damageLine(d audit.Damage) string {
	switch {
	case d.Line == 0 && strings.HasPrefix(d.Why, "unsupported format"):
		return fmt.Sprintf("%s was not read: %s", d.File, d.Why)
	case d.Line == 0:
		return fmt.Sprintf("%s was not read to its end: %s", d.File, d.Why)
	case d.Count == 1:
		return fmt.Sprintf("%s, line %d was skipped: %s", d.File, d.Line, d.Why)
	}
	return fmt.Sprintf("%s: %d lines were skipped, the first is line %d: %s", d.File, d.Count, d.Line, d.Why)
}

func findingLine(f audit.Finding) string {
	var about []string
	for _, word := range []string{f.Subject, f.Serial, strings.Join(f.AccessKeyIDs, " "), utc(f.Time)} {
		if word != "" {
			about = append(about, word)
		}
	}
	line := f.Kind + ": " + f.Detail
	if len(about) > 0 {
		line += " (" + strings.Join(about, ", ") + ")"
	}
	return line
}

// utc is a time for a person and for --since.
func utc(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
