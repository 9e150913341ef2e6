package audit

import (
	"encoding/binary"
	"errors"
	"iter"
)

func (r *Result) eachSession(yield func(*Session, error) bool) {
	for record, err := range r.sessions.all() {
		var s *Session
		if err == nil {
			_, s = decodeNumbered(record)
		}
		if !yield(s, err) || err != nil {
			return
		}
	}
}

// decodeNumbered reads a session of r.sessions, and its number.
func decodeNumbered(record []byte) (int, *Session) {
	d := decode(record)
	return int(d.uint()), d.session() //nolint:gosec // we wrote it
}

func (r *Result) eachSubject(yield func(*Subject, error) bool) {
	for record, err := range inOrder(r.subjects) {
		var s *Subject
		if err == nil {
			_, rest := unkeyed(record)
			s = decode(rest).subject()
		}
		if !yield(s, err) || err != nil {
			return
		}
	}
}

func (r *Result) eachFinding(yield func(Finding, error) bool) {
	for record, err := range inOrder(r.findings) {
		var f Finding
		if err == nil {
			_, rest := unkeyed(record)
			f = decode(rest).finding()
		}
		if !yield(f, err) || err != nil {
			return
		}
	}
}

// SessionOf is the session of an action of this result.
func (r *Result) SessionOf(a Action) *Session { return a.session }

// recent is how many sessions are remembered for their next action.
const recent = 1000

// ByTime gives all actions in the order of time. It needs Options.Actions.
func (r *Result) ByTime() iter.Seq2[Action, error] {
	return func(yield func(Action, error) bool) {
		s := newSorter(r.options)
		if err := errors.Join(r.sortByTime(s), s.flush()); err != nil {
			yield(Action{}, errors.Join(err, s.close()))
			return
		}
		stopped := false
		err := r.eachByTime(s, func(a Action) bool {
			stopped = !yield(a, nil)
			return !stopped
		})
		if err = errors.Join(err, s.close()); err != nil && !stopped {
			yield(Action{}, err)
		}
	}
}

// sortByTime sorts the actions of sessions that are shown.
func (r *Result) sortByTime(s *sorter) error {
	c, err := r.cursor(r.sorters, nil)
	for ; err == nil && c.more; err = c.next() {
		number := r.number(c.owner)
		if *r.places.at(int32(number)) < 0 { //nolint:gosec // held is far below
			continue
		}
		s.tmp = appendAction(append(s.tmp[:0], c.key[len(c.owner):]...), &c.action, number)
		if err := s.put(s.tmp); err != nil {
			return err
		}
	}
	return err
}

func (r *Result) eachByTime(s *sorter, yield func(Action) bool) error {
	reader, known := storeReader{store: &r.sessions}, map[int]*Session{}
	for record, err := range inOrder(s) {
		if err != nil {
			return err
		}
		a, number := record.decode()
		if a.session = known[number]; a.session == nil {
			session, err := reader.at(*r.places.at(int32(number))) //nolint:gosec // held is far below
			if err != nil {
				return err
			}
			if len(known) == recent {
				clear(known)
			}
			_, a.session = decodeNumbered(session)
			known[number] = a.session
		}
		if !yield(a) {
			return nil
		}
	}
	return nil
}

// number is that of the session of an action.
func (r *Result) number(owner []byte) int {
	if len(owner) == knownSize {
		return int(binary.BigEndian.Uint64(owner)) //nolint:gosec // we wrote it
	}
	return r.numbers[hash(owner[knownSize:])]
}

// Timeline gives each session with its actions in the order of time: those that
// CloudTrail knows, by From, and then the unknown. It needs Options.Actions.
// What yield leaves of the actions is skipped.
func (r *Result) Timeline(yield func(*Session, iter.Seq2[Action, error]) error) (err error) {
	if !r.options.Actions {
		panic("audit: Timeline without Options.Actions")
	}
	actions, err := r.cursor(r.sorters, nil)
	if err != nil {
		return err
	}
	var unknown *sorter
	defer func() {
		if unknown != nil {
			err = errors.Join(err, unknown.close())
		}
	}()
	for record, err := range r.sessions.all() {
		if err != nil {
			return err
		}
		number, s := decodeNumbered(record)
		if number >= r.known && unknown == nil {
			unknown = newSorter(r.options)
			if actions, err = r.unknownActions(actions, unknown); err != nil {
				return err
			}
		}
		failed := error(nil)
		each := func(yield func(Action, error) bool) {
			for a, err := range actions.of(appendKnown(nil, number), s) {
				if err != nil {
					failed = err
					yield(Action{}, err)
					return
				}
				if !yield(*a, nil) {
					return
				}
			}
		}
		if err := yield(s, each); err != nil {
			return err
		}
		if failed != nil {
			return failed
		}
	}
	return nil
}

// unknownActions sorts what is left of the actions by the numbers of their
// sessions, and begins anew with them.
func (r *Result) unknownActions(left *cursor, s *sorter) (*cursor, error) {
	for left.more && len(left.owner) == knownSize {
		if err := left.next(); err != nil {
			return nil, err
		}
	}
	for left.more {
		s.tmp = appendKnown(s.tmp[:0], r.number(left.owner))
		s.tmp = appendAction(append(s.tmp, left.key[len(left.owner):]...), &left.action, 0)
		if err := s.put(s.tmp); err != nil {
			return nil, err
		}
		if err := left.next(); err != nil {
			return nil, err
		}
	}
	if err := s.flush(); err != nil {
		return nil, err
	}
	return r.cursor([]*sorter{s}, nil)
}
