package audit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxAddresses is how many addresses or users of a session are told.
const maxAddresses = 16

// Run reads the logs and joins them. The CloudTrail logs come first, since an
// action can be of any session.
func Run(ctx context.Context, cloudtrail, kubernetes []Input, o Options) (_ *Result, err error) {
	n, block := workers(o), cmp.Or(o.block, blockSize)
	t, visitors := newTrail(), make([]visitor, n)
	t.held.limit = cmp.Or(int64(o.held), maxHeld)
	for i := range visitors {
		visitors[i] = &trailReader{to: t, certificates: map[[sha256.Size]byte]Certificate{}}
	}
	trailLog, err := read(ctx, cloudtrail, visitors, block)
	if err != nil {
		return nil, err
	}
	if t.others > maxOthers {
		trailLog.ignored[fmt.Sprintf("sessions without a certificate beyond the first %d", maxOthers)] = int64(t.others - maxOthers)
	}
	sessions := t.finish()
	t.sessions, t.assumed, t.seen = nil, nil, nil

	f := newFilter(o.Filter)
	r := &Result{denied: f.Denied, kept: o.Actions, foldAll: o.Fold, index: newIndex(sessions), unknown: map[string]*Session{}, held: &t.held, dir: o.TempDir}
	defer func() {
		if err != nil || !o.Actions {
			err = errors.Join(err, r.Close())
		}
	}()
	passes := make([]bool, len(sessions))
	for i, s := range sessions {
		passes[i] = f.session(s)
	}
	readers := make([]*kubernetesReader, n)
	for i := range readers {
		r.sorters = append(r.sorters, &sorter{dir: o.TempDir, limit: cmp.Or(o.memory, max(1<<20, sortMemory/n))})
		readers[i] = &kubernetesReader{index: r.index, filter: f, sorter: r.sorters[i], whole: o.Actions, passes: passes}
		visitors[i] = readers[i]
	}
	clusterLog, err := read(ctx, kubernetes, visitors, block)
	if err != nil {
		return nil, err
	}
	r.Counts = Counts{CloudTrailEvents: t.events, Duplicates: t.duplicates, Bytes: trailLog.bytes + clusterLog.bytes}
	for _, reader := range readers {
		r.Counts.KubernetesEvents += reader.events
		r.Counts.Others += reader.others
	}
	r.Damage = append(trailLog.damage, clusterLog.damage...)
	r.Ignored = ignoredOf(trailLog.ignored, clusterLog.ignored)
	for _, d := range r.Damage {
		r.Counts.Damaged += d.Count
	}
	found := newFindings(o.Revoked)
	for a, err := range r.actions(true) {
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return nil, err
		}
		a.session.count(&a, r.held)
		if err := r.held.err(); err != nil {
			return nil, err
		}
		found.action(&a)
	}
	r.Sessions = r.choose(passes, f)
	refusals := slices.DeleteFunc(t.refusals, func(refused refusal) bool {
		return f.narrow() || !f.overlaps(refused.at, refused.at) || !f.session(&Session{Certificate: refused.certificate, RoleARN: refused.role})
	})
	r.Subjects = subjects(r.Sessions, refusals)
	all := len(found.all(r.Sessions))
	r.fold()
	r.Findings = found.all(r.Sessions)
	r.Folded.Findings = all - len(r.Findings)
	return r, nil
}

// choose takes the sessions that are asked for: those of CloudTrail by From, then
// the unknown by their first action. Those without a certificate are told of only
// if they did something.
func (r *Result) choose(passes []bool, f *filter) (chosen []*Session) {
	for i, s := range r.index.sessions {
		if s.Actions > 0 || s.Began == "" && passes[i] && !f.narrow() && f.overlaps(s.From, s.To) {
			chosen = append(chosen, s)
		}
	}
	return append(chosen, slices.SortedFunc(maps.Values(r.unknown), func(a, b *Session) int {
		return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.AccessKeyID, b.AccessKeyID), cmp.Compare(a.AssumedRoleARN, b.AssumedRoleARN), cmp.Compare(a.Name, b.Name))
	})...)
}

// folds reports whether a session is counted and not shown.
func (r *Result) folds(s *Session) bool {
	return s.Component && r.foldAll && (s.Unknown || s.Began != "")
}

// fold counts these, and takes them out.
func (r *Result) fold() {
	r.Sessions = slices.DeleteFunc(r.Sessions, func(s *Session) bool {
		if !r.folds(s) {
			return false
		}
		sum := &r.Folded.Unknown
		if !s.Unknown {
			sum = &r.Folded.NoCertificate
		}
		sum.Sessions++
		sum.Actions += s.Actions
		sum.Denied += s.Denied
		return true
	})
}

// component reports whether a user is a node or a part of EKS. EKS refuses access
// entries with such names.
func component(user string) bool {
	return strings.HasPrefix(user, "system:node:") || strings.HasPrefix(user, "eks:")
}

// count takes an action of the session into account.
func (s *Session) count(a *Action, h *held) {
	s.Component = component(a.User) && (s.Component || s.Actions == 0)
	s.Actions++
	if a.Denied() {
		s.Denied++
	}
	if s.Actions == 1 {
		s.First = a.Time
	}
	s.Last = a.Time
	users, addresses := len(s.Users), len(s.Addresses)
	if s.Users = include(s.Users, a.User); len(s.Users) > users {
		h.take(len(a.User))
	}
	if s.Addresses = include(s.Addresses, a.SourceIP); len(s.Addresses) > addresses {
		h.take(len(a.SourceIP))
	}
}

func include(list []string, s string) []string {
	if s == "" || len(list) == maxAddresses || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// subjects puts the sessions of each certificate together.
func subjects(sessions []*Session, refusals []refusal) []Subject {
	type group struct {
		certificate   Certificate
		unknown, none bool
	}
	groups := map[group]*Subject{}
	of := func(g group, role string, first, last time.Time) *Subject {
		s := groups[g]
		if s == nil {
			s = &Subject{Certificate: g.certificate, Unknown: g.unknown, NoCertificate: g.none}
			groups[g] = s
		}
		if role != "" && len(s.Roles) < maxRoles && !slices.Contains(s.Roles, role) {
			s.Roles = append(s.Roles, role)
		}
		if !first.IsZero() && (s.First.IsZero() || first.Before(s.First)) {
			s.First = first
		}
		if last.After(s.Last) {
			s.Last = last
		}
		return s
	}
	for _, s := range sessions {
		first, last := s.From, s.From
		if s.Last.After(last) {
			last = s.Last
		}
		if s.Unknown || s.Began != "" {
			first = s.First
		}
		sum := of(group{s.Certificate, s.Unknown, s.Began != ""}, s.RoleARN, first, last)
		sum.Sessions++
		sum.Actions += s.Actions
		sum.Denied += s.Denied
	}
	for _, r := range refusals {
		of(group{certificate: r.certificate}, r.role, r.at, r.at).Refused++
	}
	var list []Subject
	for _, s := range groups {
		slices.Sort(s.Roles)
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b Subject) int {
		return cmp.Or(a.last()-b.last(), a.First.Compare(b.First), strings.Compare(a.Certificate.Serial, b.Certificate.Serial), strings.Compare(a.Certificate.Subject, b.Certificate.Subject),
			strings.Compare(a.Certificate.Issuer, b.Certificate.Issuer), a.Certificate.NotAfter.Compare(b.Certificate.NotAfter))
	})
	return list
}

// last orders those without a certificate behind the others.
func (s *Subject) last() int {
	switch {
	case s.NoCertificate:
		return 1
	case s.Unknown:
		return 2
	}
	return 0
}

// ignoredOf puts both logs' together.
func ignoredOf(logs ...map[string]int64) (list []Ignored) {
	sum := map[string]int64{}
	for _, log := range logs {
		for what, n := range log {
			sum[what] += n
		}
	}
	for _, what := range slices.Sorted(maps.Keys(sum)) {
		list = append(list, Ignored{what, sum[what]})
	}
	return list
}
