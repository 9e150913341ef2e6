package audit

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"slices"
)

func newResult(o Options) *Result {
	r := &Result{options: o, filter: newFilter(o.Filter), sessions: *newStore(o), subjects: newSorter(o), findings: newSorter(o), numbers: map[hash]int{}}
	r.owns(r.sessions.close)
	r.owns(r.subjects.close)
	r.owns(r.findings.close)
	r.Sessions, r.Subjects, r.Findings = r.eachSession, r.eachSubject, r.eachFinding
	return r
}

// owns has something closed with the result. It may be closed before.
func (r *Result) owns(close func() error) { r.closers = append(r.closers, close) }

// Close removes what is on disk.
func (r *Result) Close() error {
	var errs []error
	for _, close := range r.closers {
		errs = append(errs, close())
	}
	r.closers = nil
	return errors.Join(errs...)
}

// cursor gives the actions of one session after the other, of each action one of
// its records: that of the last stage.
type cursor struct {
	records    merger
	denied     bool // others are left out
	duplicates *int64
	key        []byte // of the record
	owner      []byte // of the action
	action     Action
	more       bool
}

// cursor is at the first action. duplicates: where copies are counted, or nil.
func (r *Result) cursor(sorters []*sorter, duplicates *int64) (*cursor, error) {
	c := &cursor{records: merger{sorters: sorters}, denied: r.filter.Denied, duplicates: duplicates}
	return c, c.next()
}

func (c *cursor) next() error {
	for {
		rec, err := c.records.next()
		if c.more = err == nil; !c.more {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		owner := ownerSize(rec)
		n := owner + keySize
		same := len(c.key) == n && bytes.Equal(c.key[:n-1], rec[:n-1])
		if same && c.duplicates != nil && c.key[n-1] == rec[n-1] {
			*c.duplicates++
		}
		c.key = append(c.key[:0], rec[:n]...)
		if same {
			continue
		}
		if c.action, _ = rec[owner:].decode(); c.denied && !c.action.Denied() {
			continue
		}
		c.owner = c.key[:owner]
		return nil
	}
}

// of gives the actions of a session. Those of sessions before it are skipped.
func (c *cursor) of(owner []byte, s *Session) iter.Seq2[*Action, error] {
	return func(yield func(*Action, error) bool) {
		for c.more {
			order := bytes.Compare(c.owner, owner)
			if order > 0 {
				return
			}
			c.action.session = s
			if order == 0 && !yield(&c.action, nil) {
				return
			}
			if err := c.next(); err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// teller puts sessions and their actions together.
type teller struct {
	*Result
	ctx      context.Context //nolint:containedctx // of the one call of tell
	groups   *sorter         // sessions by certificate
	misnamed *sorter         // those with another name than their certificate's number
	unknowns *sorter         // sessions that CloudTrail has no event for
}

// tell makes of the sessions and actions what the result tells.
func (r *Result) tell(ctx context.Context, sessions *sessionSorter, refused *store) (err error) {
	o := r.options
	t := &teller{r, ctx, newSorter(o), newSorter(o), newSorter(o)}
	defer func() { err = errors.Join(err, t.groups.close(), t.misnamed.close(), t.unknowns.close()) }()
	actions, err := r.cursor(r.sorters, &r.Counts.Duplicates)
	if err != nil {
		return err
	}
	r.known = int(sessions.n)
	if o.Actions {
		r.held.take(r.known * placeCost)
	}
	if err := sessions.each(func(i int32, s *Session) error { return t.session(int(i), s, actions) }); err != nil {
		return err
	}
	if err := sessions.close(); err != nil {
		return err
	}
	if err := t.unknown(actions); err != nil {
		return err
	}
	if !o.Actions {
		for _, s := range r.sorters {
			if err := s.close(); err != nil {
				return err
			}
		}
	}
	if err := t.refused(refused, &sessions.wholes); err != nil {
		return err
	}
	if err := refused.close(); err != nil {
		return err
	}
	if err := t.certificates(); err != nil {
		return err
	}
	if err := t.names(); err != nil {
		return err
	}
	if err := r.subjects.flush(); err != nil {
		return err
	}
	return r.findings.flush()
}

// session takes one of CloudTrail's. Those without a certificate are told of only
// if they did something.
func (t *teller) session(number int, s *Session, actions *cursor) error {
	findings, err := t.count(s, actions, appendKnown(nil, number))
	if err != nil {
		return err
	}
	f := t.filter
	if s.Actions == 0 && (s.Began != "" || f.narrow() || !f.overlaps(s.From, s.To) || !f.session(s)) {
		t.place(-1)
		return nil
	}
	return t.add(number, s, findings)
}

// place notes where the next session is: its actions ask for it.
func (t *teller) place(at int64) {
	if t.options.Actions {
		t.places.append(at)
	}
}

// unknown takes the sessions that CloudTrail has no event for, by their first
// action.
func (t *teller) unknown(actions *cursor) error {
	for actions.more {
		if err := t.sortUnknown(actions); err != nil {
			return err
		}
	}
	if err := t.unknowns.flush(); err != nil {
		return err
	}
	number := t.known
	for record, err := range inOrder(t.unknowns) {
		if err := cmp.Or(err, t.ctx.Err()); err != nil {
			return err
		}
		key, rest := unkeyed(record)
		d := decode(rest)
		s := d.session()
		findings := make([]Finding, d.uint())
		for i := range findings {
			findings[i] = d.finding()
		}
		if t.options.Actions {
			if t.held.take(unknownCost); t.held.err() != nil {
				return t.held.err()
			}
			t.numbers[hash(key[len(key)-len(hash{}):])] = number
		}
		if err := t.add(number, s, findings); err != nil {
			return err
		}
		number++
	}
	return nil
}

// sortUnknown takes the next of them.
func (t *teller) sortUnknown(actions *cursor) error {
	owner, s := slices.Clone(actions.owner), unknown(&actions.action)
	findings, err := t.count(s, actions, owner)
	if err != nil {
		return err
	}
	key := appendOrder(nil, nanos(s.First))
	for _, text := range [...]string{s.AccessKeyID, s.AssumedRoleARN, s.Name} {
		key = append(append(key, text...), 0)
	}
	rest := binary.AppendUvarint(appendSession(nil, s), uint64(len(findings)))
	for i := range findings {
		rest = appendFinding(rest, &findings[i])
	}
	return t.unknowns.put(keyed(append(key, owner[knownSize:]...), rest))
}

// count counts the actions of a session, and returns what is found in them.
func (t *teller) count(s *Session, actions *cursor, owner []byte) ([]Finding, error) {
	w := watch{revoked: t.options.Revoked}
	for a, err := range actions.of(owner, s) {
		if err := cmp.Or(err, t.ctx.Err()); err != nil {
			return nil, err
		}
		s.count(a)
		w.action(a)
	}
	return w.findings(s), t.ctx.Err()
}

// add takes a session that is told of, or counted.
func (t *teller) add(number int, s *Session, findings []Finding) error {
	if err := t.group(number, s); err != nil {
		return err
	}
	if t.folds(s) {
		sum := &t.Folded.Unknown
		if !s.Unknown {
			sum = &t.Folded.NoCertificate
		}
		sum.Sessions++
		sum.Actions += s.Actions
		sum.Denied += s.Denied
		t.Folded.Findings += len(findings)
		t.place(-1)
		return nil
	}
	for i := range findings {
		if err := t.finding(&findings[i], findingOfSession, number); err != nil {
			return err
		}
	}
	t.Totals.Sessions++
	t.Totals.Actions += s.Actions
	at, err := t.sessions.append(appendSession(binary.AppendUvarint(make([]byte, 0, 1<<10), uint64(number)), s)) //nolint:gosec // not negative
	t.place(at)
	return err
}
