package audit

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// manyAddresses of a certificate's sessions: a laptop has one at home and one
	// at work. An access key lives for hours, so that two are worth a look, though
	// a network with two ways out has both.
	manyAddresses = 3
	// A burst is so many denials of a session within so long.
	burstDenials = 10
	burstTime    = time.Minute
	// maxKeys is how many access keys a finding names.
	maxKeys = 20
)

// watch watches the actions of a session as they pass, in the order of time.
type watch struct {
	revoked                Revoked
	afterEnd, afterRevoked int64
	firstEnd, firstRevoked time.Time
	moved                  time.Time // when the second address came
	denials                []time.Time
	bursts, uncounted      int64 // denials in bursts, and those of denials that are not in bursts yet
	burst                  time.Time
	last                   time.Time // of these
}

func (w *watch) action(a *Action) {
	s := a.session
	if end := s.Certificate.NotAfter; !end.IsZero() && a.Time.After(end) {
		if w.afterEnd++; w.afterEnd == 1 {
			w.firstEnd = a.Time
		}
	}
	if at, ok := w.revoked.at(s.Certificate); ok && a.Time.After(at) {
		if w.afterRevoked++; w.afterRevoked == 1 {
			w.firstRevoked = a.Time
		}
	}
	if w.moved.IsZero() && len(s.Addresses) > 1 {
		w.moved = a.Time
	}
	if a.Denied() {
		w.deny(a.Time)
	}
}

// deny slides the window on.
func (w *watch) deny(t time.Time) {
	if len(w.denials) == burstDenials {
		w.denials = append(w.denials[:0], w.denials[1:]...)
	}
	w.denials = append(w.denials, t)
	w.uncounted = min(w.uncounted+1, burstDenials)
	if len(w.denials) < burstDenials || t.Sub(w.denials[0]) > burstTime {
		return
	}
	if w.bursts == 0 {
		w.burst = w.denials[0]
	}
	w.bursts += w.uncounted
	w.uncounted, w.last = 0, t
}

func (w *watch) findings(s *Session) (list []Finding) {
	add := func(kind string, at time.Time, format string, args ...any) {
		f := Finding{Kind: kind, Detail: fmt.Sprintf(format, args...), Serial: s.Certificate.Serial, Subject: s.Certificate.Subject, Time: at}
		if s.AccessKeyID != "" {
			f.AccessKeyIDs = []string{s.AccessKeyID}
		}
		list = append(list, f)
	}
	if w.afterEnd > 0 {
		add(FindingAfterEnd, w.firstEnd, "%s after the certificate's end at %s", plural(w.afterEnd, "action"), stamp(s.Certificate.NotAfter))
	}
	if w.afterRevoked > 0 {
		at, _ := w.revoked.at(s.Certificate)
		add(FindingRevoked, w.firstRevoked, "%s after the certificate was revoked at %s", plural(w.afterRevoked, "action"), stamp(at))
	}
	if !w.moved.IsZero() && s.AccessKeyID != "" {
		add(FindingKeyMoved, w.moved, "one access key from %s as the API server saw them: %s", atLeast(len(s.Addresses), "address"), strings.Join(s.Addresses, ", "))
	}
	if w.bursts > 0 {
		add(FindingDeniedBurst, w.burst, "%s denied at a rate of %d or more in %s, until %s", plural(w.bursts, "action"), burstDenials, "a minute", stamp(w.last))
	}
	return list
}

// Of findings that nothing else tells apart, those of certificates come first.
const (
	findingOfCertificate = iota
	findingOfName
	findingOfSession
)

// finding tells of one, by time. number is that of the first session it is of.
func (t *teller) finding(f *Finding, of byte, number int) error {
	key := appendOrder(nil, nanos(f.Time))
	for _, text := range [...]string{f.Kind, f.Detail} {
		key = append(append(key, text...), 0)
	}
	t.Totals.Findings++
	return t.findings.put(keyed(appendKnown(append(key, of), number), appendFinding(nil, f)))
}

// manyFrom is of a certificate whose sessions were asked for from many addresses.
func manyFrom(c *Certificate, from, ids []string, at time.Time) Finding {
	return Finding{Kind: FindingManyAddresses, Serial: c.Serial, Subject: c.Subject, Time: at, AccessKeyIDs: keys(ids),
		Detail: fmt.Sprintf("sessions were asked for from %s: %s", atLeast(len(from), "address"), strings.Join(from, ", "))}
}

// misnamed finds a session whose name is not the serial number of its certificate.
// Roles Anywhere gives it that name, unless the profile lets the caller choose.
func misnamed(s *Session) bool {
	// Without a whole certificate its serial number may be from the name itself.
	if s.Unknown || s.Parent != "" || s.Certificate.Issuer == "" || s.Name == "" || s.Name == s.Certificate.Serial {
		return false
	}
	n, ok := hexSerial(s.Name)
	return !ok || n != s.Certificate.Serial
}

// finding tells of a name. owner is the subject of the certificate whose serial
// number it is.
func (g *misname) finding(owner string) Finding {
	c, name := &g.first.Certificate, g.first.Name
	detail := fmt.Sprintf("%s named %q, which is not the certificate's serial number %s: whoever asked chose the name", plural(g.sessions, "session"), name, c.Serial)
	if owner != "" {
		detail += "; it is the serial number of the certificate of " + owner
	}
	return Finding{Kind: FindingSessionName, Detail: detail, Serial: c.Serial, Subject: c.Subject, AccessKeyIDs: keys(g.keys), Time: g.first.From}
}

func keys(all []string) []string {
	all = slices.DeleteFunc(all, func(s string) bool { return s == "" })
	return all[:min(len(all), maxKeys)]
}

func stamp(t time.Time) string { return t.Format(time.RFC3339) }

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// atLeast counts addresses, of which no more than maxAddresses are kept.
func atLeast(n int, what string) string {
	if n == maxAddresses {
		return fmt.Sprintf("%d or more %ses", n, what)
	}
	return fmt.Sprintf("%d %ses", n, what)
}
