package audit

import (
	"encoding/binary"
	"errors"
	"io"
	"iter"
)

// Close removes what is on disk.
func (r *Result) Close() error {
	var errs []error
	for _, s := range r.sorters {
		errs = append(errs, s.close())
	}
	r.sorters = nil
	return errors.Join(errs...)
}

// SessionOf is the session of an action of this result.
func (r *Result) SessionOf(a Action) *Session { return a.session }

// ByTime gives all actions in the order of time.
func (r *Result) ByTime() iter.Seq2[Action, error] { return r.actions(false) }

// actions makes one of the records of each action: that of the last stage.
func (r *Result) actions(count bool) iter.Seq2[Action, error] {
	return func(yield func(Action, error) bool) {
		var before record
		for rec, err := range inOrder(r.sorters) {
			if err != nil {
				yield(Action{}, err)
				return
			}
			if before != nil && sameAction(before, rec) {
				if count && before[keySize-1] == rec[keySize-1] {
					r.Counts.Duplicates++
				}
				before = append(before[:0], rec...)
				continue
			}
			before = append(before[:0], rec...)
			a, number := rec.decode()
			if r.denied && !a.Denied() {
				continue
			}
			if a.session = r.session(&a, number); !count && r.folds(a.session) {
				continue
			}
			if !yield(a, nil) {
				return
			}
		}
	}
}

// session is that of the number, or the unknown one of the action.
func (r *Result) session(a *Action, number int) *Session {
	if number >= 0 {
		return r.index.sessions[number]
	}
	key := "key " + a.AccessKeyID
	if a.AccessKeyID == "" {
		key = "arn " + a.ARN + " " + a.SessionName
	}
	s := r.unknown[key]
	if s == nil {
		s = unknown(a)
		r.held.take(s.cost() + len(key))
		r.unknown[key] = s
	}
	return s
}

// Timeline gives each session with its actions in the order of time: those that
// CloudTrail knows, by From, and then the unknown. It needs Options.Actions.
// What yield leaves of the actions is skipped.
func (r *Result) Timeline(yield func(*Session, iter.Seq2[Action, error]) error) (err error) {
	if !r.kept {
		panic("audit: Timeline without Options.Actions")
	}
	s := &sorter{dir: r.dir, limit: sortMemory}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := r.bySession(s); err != nil {
		return err
	}
	next, stop := iter.Pull2(inOrder([]*sorter{s}))
	defer stop()
	rec, err, more := next()
	for i, session := range r.Sessions {
		mine := func() bool {
			return more && err == nil && binary.BigEndian.Uint64(rec) == uint64(i) //nolint:gosec // an index
		}
		each := func(yield func(Action, error) bool) {
			for ; mine(); rec, err, more = next() {
				a, _ := rec[orderSize:].decode()
				a.session = session
				if !yield(a, nil) {
					return
				}
			}
			if more && err != nil {
				yield(Action{}, err)
			}
		}
		if err := yield(session, each); err != nil {
			return err
		}
		for mine() {
			rec, err, more = next()
		}
	}
	if more && err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// orderSize is that of a session's place, before the action's record.
const orderSize = 8

// bySession sorts the actions anew.
func (r *Result) bySession(s *sorter) error {
	place := map[*Session]int{}
	for i, session := range r.Sessions {
		place[session] = i
	}
	for a, err := range r.actions(false) {
		if err != nil {
			return err
		}
		b := binary.BigEndian.AppendUint64(s.tmp[:0], uint64(place[a.session])) //nolint:gosec // an index
		key := actionKey(&a, 0)
		s.tmp = appendAction(append(b, key[:]...), &a, -1)
		if err := s.put(s.tmp); err != nil {
			return err
		}
	}
	return s.flush()
}
