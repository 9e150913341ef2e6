package audit

import (
	"cmp"
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

// findings watches the actions as they pass, in the order of time.
type findings struct {
	revoked  Revoked
	sessions map[*Session]*watch
}

// watch is what is to be remembered of a session.
type watch struct {
	afterEnd, afterRevoked int64
	firstEnd, firstRevoked time.Time
	moved                  time.Time // when the second address came
	denials                []time.Time
	bursts, uncounted      int64 // denials in bursts, and those of denials that are not in bursts yet
	burst                  time.Time
	last                   time.Time // of these
}

func newFindings(revoked Revoked) *findings {
	return &findings{revoked, map[*Session]*watch{}}
}

func (f *findings) action(a *Action) {
	s := a.session
	w := f.sessions[s]
	if w == nil {
		w = &watch{}
		f.sessions[s] = w
	}
	if end := s.Certificate.NotAfter; !end.IsZero() && a.Time.After(end) {
		if w.afterEnd++; w.afterEnd == 1 {
			w.firstEnd = a.Time
		}
	}
	if at, ok := f.revoked.at(s.Certificate); ok && a.Time.After(at) {
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

// all are the findings, by time.
func (f *findings) all(sessions []*Session) []Finding {
	list := slices.Concat(addresses(sessions), names(sessions))
	for _, s := range sessions {
		if w := f.sessions[s]; w != nil {
			list = append(list, w.findings(s, f.revoked)...)
		}
	}
	slices.SortStableFunc(list, func(a, b Finding) int {
		return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Kind, b.Kind), strings.Compare(a.Detail, b.Detail))
	})
	return list
}

func (w *watch) findings(s *Session, revoked Revoked) (list []Finding) {
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
		at, _ := revoked.at(s.Certificate)
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

// addresses finds certificates whose sessions were asked for from many.
func addresses(sessions []*Session) (list []Finding) {
	type seen struct {
		from []string
		at   time.Time
		keys []string
	}
	byCertificate := map[Certificate]*seen{}
	var order []Certificate
	for _, s := range sessions {
		if s.Unknown || s.Parent != "" || s.Certificate == (Certificate{}) {
			continue
		}
		c := byCertificate[s.Certificate]
		if c == nil {
			c = &seen{}
			byCertificate[s.Certificate] = c
			order = append(order, s.Certificate)
		}
		before := len(c.from)
		if c.from = include(c.from, s.SourceIP); len(c.from) > before {
			c.keys = append(c.keys, s.AccessKeyID)
			if len(c.from) == manyAddresses {
				c.at = s.From
			}
		}
	}
	for _, c := range order {
		if got := byCertificate[c]; len(got.from) >= manyAddresses {
			list = append(list, Finding{Kind: FindingManyAddresses, Serial: c.Serial, Subject: c.Subject, Time: got.at, AccessKeyIDs: keys(got.keys),
				Detail: fmt.Sprintf("sessions were asked for from %s: %s", atLeast(len(got.from), "address"), strings.Join(got.from, ", "))})
		}
	}
	return list
}

// names finds sessions whose name is not the serial number of their certificate.
// Roles Anywhere gives it that name, unless the profile lets the caller choose.
func names(sessions []*Session) (list []Finding) {
	owners := map[string]string{}
	for _, s := range sessions {
		if s.Certificate.Issuer != "" {
			owners[s.Certificate.Serial] = s.Certificate.Subject
		}
	}
	type named struct {
		certificate Certificate
		name        string
	}
	byName := map[named][]*Session{}
	var order []named
	for _, s := range sessions {
		// Without a whole certificate its serial number may be from the name itself.
		if s.Unknown || s.Parent != "" || s.Certificate.Issuer == "" || s.Name == "" || s.Name == s.Certificate.Serial {
			continue
		}
		if n, ok := hexSerial(s.Name); ok && n == s.Certificate.Serial {
			continue
		}
		k := named{s.Certificate, s.Name}
		if byName[k] == nil {
			order = append(order, k)
		}
		byName[k] = append(byName[k], s)
	}
	for _, k := range order {
		detail := fmt.Sprintf("%s named %q, which is not the certificate's serial number %s: whoever asked chose the name", plural(int64(len(byName[k])), "session"), k.name, k.certificate.Serial)
		if n, ok := hexSerial(k.name); ok && owners[n] != "" {
			detail += "; it is the serial number of the certificate of " + owners[n]
		}
		var ids []string
		for _, s := range byName[k] {
			ids = append(ids, s.AccessKeyID)
		}
		list = append(list, Finding{Kind: FindingSessionName, Detail: detail, Serial: k.certificate.Serial, Subject: k.certificate.Subject, AccessKeyIDs: keys(ids), Time: byName[k][0].From})
	}
	return list
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
