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
)

// maxAddresses is how many addresses or users of a session are told.
const maxAddresses = 16

// Run reads the logs and joins them. The CloudTrail logs come first, since an
// action can be of any session.
func Run(ctx context.Context, cloudtrail, kubernetes []Input, o Options) (_ *Result, err error) {
	r := newResult(o)
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	t := newTrail(o)
	r.owns(t.records.close)
	r.owns(t.refused.close)
	r.held = &t.held
	trailLog, err := r.readTrail(ctx, cloudtrail, t)
	if err != nil {
		return nil, err
	}
	sessions := &sessionSorter{sorter: *newSorter(o), wholes: newWholes(o, r.held)}
	r.owns(sessions.close)
	r.owns(sessions.records.close)
	if err := t.finish(sessions); err != nil {
		return nil, err
	}
	if err := sessions.finish(t.refused); err != nil {
		return nil, err
	}
	index, err := r.index(sessions)
	if err != nil {
		return nil, err
	}
	clusterLog, err := r.readCluster(ctx, kubernetes, index)
	if err != nil {
		return nil, err
	}
	r.Counts.CloudTrailEvents, r.Counts.Duplicates, r.Counts.Bytes = t.events, t.duplicates, trailLog.bytes+clusterLog.bytes
	r.Damage = append(trailLog.damage, clusterLog.damage...)
	r.Ignored = ignoredOf(trailLog.ignored, clusterLog.ignored)
	for _, d := range r.Damage {
		r.Counts.Damaged += d.Count
	}
	return r, r.tell(ctx, sessions, t.refused)
}

func (r *Result) readTrail(ctx context.Context, inputs []Input, t *trail) (reading, error) {
	t.held.limit = cmp.Or(int64(r.options.held), maxHeld)
	visitors := make([]visitor, workers(r.options))
	for i := range visitors {
		visitors[i] = &trailReader{to: t, certificates: map[[sha256.Size]byte]Certificate{}}
	}
	log, err := read(ctx, inputs, visitors, cmp.Or(r.options.block, blockSize))
	if err == nil && t.others > maxOthers {
		log.ignored[fmt.Sprintf("sessions without a certificate beyond the first %d", maxOthers)] = int64(t.others - maxOthers)
	}
	return log, err
}

func (r *Result) index(sessions *sessionSorter) (*index, error) {
	places := make([]place, sessions.n)
	err := sessions.each(func(i int32, s *Session) error {
		places[i] = placeOf(s, r.filter.session(s))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return newIndex(places), nil
}

func (r *Result) readCluster(ctx context.Context, inputs []Input, index *index) (reading, error) {
	visitors := make([]visitor, workers(r.options))
	readers := make([]*kubernetesReader, len(visitors))
	for i := range readers {
		s := newSorter(r.options)
		s.limit = cmp.Or(r.options.memory, max(1<<20, sortMemory/len(visitors)))
		r.sorters = append(r.sorters, s)
		r.owns(s.close)
		readers[i] = &kubernetesReader{index: index, filter: r.filter, sorter: s, whole: r.options.Actions}
		visitors[i] = readers[i]
	}
	log, err := read(ctx, inputs, visitors, cmp.Or(r.options.block, blockSize))
	for _, reader := range readers {
		r.Counts.KubernetesEvents += reader.events
		r.Counts.Others += reader.others
	}
	return log, err
}

// folds reports whether a session is counted and not shown.
func (r *Result) folds(s *Session) bool {
	return s.Component && r.options.Fold && (s.Unknown || s.Began != "")
}

// component reports whether a user is a node or a part of EKS. EKS refuses access
// entries with such names.
func component(user string) bool {
	return strings.HasPrefix(user, "system:node:") || strings.HasPrefix(user, "eks:")
}

// count takes an action of the session into account.
func (s *Session) count(a *Action) {
	s.Component = component(a.User) && (s.Component || s.Actions == 0)
	s.Actions++
	if a.Denied() {
		s.Denied++
	}
	if s.Actions == 1 {
		s.First = a.Time
	}
	s.Last = a.Time
	s.Users, s.Addresses = include(s.Users, a.User), include(s.Addresses, a.SourceIP)
}

func include(list []string, s string) []string {
	if s == "" || len(list) == maxAddresses || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
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
