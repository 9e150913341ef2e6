package cli

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/audit"
	"github.com/eks-x509/eks-x509/internal/safetext"
)

// joinedAction is an action with what its session tells, side by side.
type joinedAction struct {
	*audit.Action
	Certificate   audit.Certificate `json:"certificate,omitzero"`
	RoleARN       string            `json:"roleArn,omitempty"`
	SessionFrom   time.Time         `json:"sessionFrom,omitzero"`
	SessionTo     time.Time         `json:"sessionTo,omitzero"`
	SessionSource string            `json:"sessionSourceIp,omitempty"`
}

func (r auditRecord) joined() joinedAction {
	s := r.session
	return joinedAction{r.action, s.Certificate, s.RoleARN, s.From, s.To, s.SourceIP}
}

// value is the record as it stands in JSON.
func (r auditRecord) value() (kind string, value any) {
	switch {
	case r.subject != nil:
		return "certificate", r.subject
	case r.action != nil:
		return "action", r.joined()
	}
	return "session", r.session
}

// writeAuditJSON writes one object, a line for each thing in it.
func writeAuditJSON(w *bufio.Writer, answer string, records auditRecords, r *audit.Result) error {
	list := map[string]string{answerTimeline: "sessions", answerSessions: "sessions", answerWho: "actions", answerSummary: "certificates"}[answer]
	_, _ = w.Write(fmt.Appendf(nil, "{\n\"schemaVersion\": %d,\n\"answer\": %q,\n%q: [", audit.SchemaVersion, answer, list))
	var err error
	if answer == answerTimeline {
		err = writeTimelineJSON(w, r)
	} else {
		between := "\n"
		err = records(func(rec auditRecord) error {
			_, value := rec.value()
			err := writeJSONItem(w, between, value)
			between = ",\n"
			return err
		})
	}
	if err != nil {
		return err
	}
	return writeRestJSON(w, r)
}

// writeRestJSON writes what follows the answer, and ends the object.
func writeRestJSON(w *bufio.Writer, r *audit.Result) error {
	member := func(name string, value any) error {
		data, err := json.MarshalIndent(value, "  ", "  ")
		_, _ = w.Write(fmt.Appendf(nil, ",\n  %q: %s", name, safetext.JSON(data)))
		return err
	}
	_, _ = w.WriteString("\n]")
	if r.Folded != (audit.Folded{}) {
		if err := member("folded", r.Folded); err != nil {
			return err
		}
	}
	_, _ = w.WriteString(",\n  \"findings\": [")
	between := "\n    "
	for f, err := range r.Findings {
		if err != nil {
			return err
		}
		data, err := json.MarshalIndent(f, "    ", "  ")
		if err != nil {
			return err
		}
		_, _ = w.Write(fmt.Appendf(nil, "%s%s", between, safetext.JSON(data)))
		between = ",\n    "
	}
	if between == ",\n    " {
		_, _ = w.WriteString("\n  ")
	}
	_, _ = w.WriteString("]")
	if err := member("damage", append([]audit.Damage{}, r.Damage...)); err != nil {
		return err
	}
	if len(r.Ignored) > 0 {
		if err := member("ignored", r.Ignored); err != nil {
			return err
		}
	}
	if err := member("counts", r.Counts); err != nil {
		return err
	}
	_, err := w.WriteString("\n}\n")
	return err
}

func writeTimelineJSON(w *bufio.Writer, r *audit.Result) error {
	between := "\n"
	return r.Timeline(func(s *audit.Session, actions iter.Seq2[audit.Action, error]) error {
		if err := writeJSONItem(w, between+`{"session": `, s); err != nil {
			return err
		}
		before := `, "actions": [` + "\n"
		for action, err := range actions {
			if err != nil {
				return err
			}
			if err := writeJSONItem(w, before, action); err != nil {
				return err
			}
			before = ",\n"
		}
		if before != ",\n" {
			_, _ = w.WriteString(before)
		}
		between = ",\n"
		_, err := w.WriteString("]}")
		return err
	})
}

// writeJSONItem writes a value after what stands before it.
func writeJSONItem(w *bufio.Writer, before string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = w.Write(fmt.Appendf(nil, "%s%s", before, safetext.JSON(data)))
	return err
}

// writeAuditLines writes an object a line; each says its type.
func writeAuditLines(w *bufio.Writer, answer string, records auditRecords, r *audit.Result) error {
	line := func(kind string, value any) error {
		data, err := json.Marshal(value)
		if err != nil {
			return err
		}
		_, err = w.Write(fmt.Appendf(nil, "{\"type\":%q,%s\n", kind, safetext.JSON(data[1:])))
		return err
	}
	if err := line("answer", map[string]any{"schemaVersion": audit.SchemaVersion, "answer": answer}); err != nil {
		return err
	}
	if err := records(func(rec auditRecord) error { return line(rec.value()) }); err != nil {
		return err
	}
	for f, err := range r.Findings {
		if err != nil {
			return err
		}
		if err := line("finding", f); err != nil {
			return err
		}
	}
	for _, d := range r.Damage {
		if err := line("damage", d); err != nil {
			return err
		}
	}
	for _, i := range r.Ignored {
		if err := line("ignored", i); err != nil {
			return err
		}
	}
	if r.Folded != (audit.Folded{}) {
		if err := line("folded", r.Folded); err != nil {
			return err
		}
	}
	return line("counts", r.Counts)
}

// writeAuditCSV writes RFC 4180, with a header; findings are not of that form.
func writeAuditCSV(out *bufio.Writer, answer string, records auditRecords) error {
	w := csv.NewWriter(out)
	w.UseCRLF = true
	if err := w.Write(csvHeader(answer)); err != nil {
		return err
	}
	err := records(func(rec auditRecord) error {
		if answer == answerTimeline && rec.action == nil && rec.session.Actions > 0 {
			return nil // its actions tell it
		}
		row := csvRow(answer, rec)
		for i, cell := range row {
			row[i] = notFormula(safetext.Value(cell))
		}
		return w.Write(row)
	})
	w.Flush()
	if err != nil {
		return err
	}
	return w.Error()
}

func csvHeader(answer string) []string {
	session := []string{"subject", "serial", "issuer", "roleArn", "sessionFrom", "sessionTo", "sessionSourceIp", "accessKeyId", "sessionName"}
	switch answer {
	case answerSummary:
		return []string{"subject", "serial", "issuer", "notBefore", "notAfter", "roles", "sessions", "refused", "actions", "denied", "firstSeen", "lastSeen"}
	case answerSessions:
		return append(session, "assumedRoleArn", "sourceIdentity", "parentAccessKeyId", "trustAnchorArn", "profileArn", "userAgent", "region", "eventId", "unknown",
			"actions", "denied", "firstAction", "lastAction", "kubernetesUsers", "addresses", "began")
	}
	return append([]string{"time", "verb", "apiGroup", "resource", "namespace", "name", "requestUri", "code", "decision", "reason", "user", "impersonatedUser",
		"sourceIp", "userAgent", "cluster", "auditId", "joinedBy"}, session...)
}

func csvRow(answer string, rec auditRecord) []string {
	if c := rec.subject; answer == answerSummary {
		return []string{titleOf(c), c.Certificate.Serial, c.Certificate.Issuer, utc(c.Certificate.NotBefore), utc(c.Certificate.NotAfter), strings.Join(c.Roles, " "),
			count(c.Sessions), count(c.Refused), count(c.Actions), count(c.Denied), utc(c.First), utc(c.Last)}
	}
	s, act := rec.session, rec.action
	session := []string{s.Certificate.Subject, s.Certificate.Serial, s.Certificate.Issuer, s.RoleARN, utc(s.From), utc(s.To), s.SourceIP, s.AccessKeyID, s.Name}
	if answer == answerSessions {
		return append(session, s.AssumedRoleARN, s.SourceIdentity, s.Parent, s.TrustAnchorARN, s.ProfileARN, s.UserAgent, s.Region, s.EventID, strconv.FormatBool(s.Unknown),
			count(s.Actions), count(s.Denied), utc(s.First), utc(s.Last), strings.Join(s.Users, " "), strings.Join(s.Addresses, " "), s.Began)
	}
	if act == nil {
		return append(make([]string, 17), session...)
	}
	return append([]string{act.Time.UTC().Format(time.RFC3339Nano), act.Verb, act.Group, act.Resource, act.Namespace, act.Name, act.URI, strconv.Itoa(act.Code), act.Decision, act.Reason, act.User,
		act.Impersonated, act.SourceIP, act.UserAgent, act.Cluster, act.ID, string(act.JoinedBy)}, session...)
}

func count(n int64) string { return strconv.FormatInt(n, 10) }

// notFormula keeps a spreadsheet from calculating what a log says:
// https://owasp.org/www-community/attacks/CSV_Injection
func notFormula(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
