package audit

import (
	"bytes"
	"cmp"
	"sync"
	"time"
)

// trail is what CloudTrail tells. Its readers share it. Sessions are on disk where
// they are many; in memory is a row of each.
type trail struct {
	mu       sync.Mutex
	records  *store // sessions, as they came
	reader   storeReader
	refused  *store // CreateSession calls that AWS refused, as sessions
	rows     chunks[trailRow]
	sessions lastOf // where the access key is missing, by the event
	// assumed are of AssumeRole by temporary credentials. Whether they are ours
	// is known at the end only: the parent's event may come later.
	assumed lastOf
	seen    map[hash]struct{} // event IDs: CloudTrail delivers at least once

	held               held
	others             int // sessions that are no certificate's
	events, duplicates int64
}

// trailRow is a session in memory.
type trailRow struct {
	key    hash  // of the access key
	other  hash  // of the assumed role's ARN; of one that was assumed, of the parent's access key
	from   int64 // in nanoseconds
	at     int64 // its record
	before int32 // 1 more than the row before it of the same access key; 0: none
	kind   uint8
}

// The kinds of rows.
const (
	rowAssumed uint8 = 1 << iota // by temporary credentials
	rowKey                       // it has an access key
	rowOwn                       // its event is of CreateSession
	rowBegan                     // it is no certificate's
	rowGone                      // another row tells of it
)

// lastOf has of each access key 1 more than its last row. Most have one: the IDs
// of temporary access keys are "unique only in combination with the secret access
// key and the session token".
//
//	https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
type lastOf map[hash]int32

func newTrail(o Options) *trail {
	t := &trail{records: newStore(o), refused: newStore(o), sessions: lastOf{}, assumed: lastOf{}, seen: map[hash]struct{}{}}
	t.reader = storeReader{store: t.records}
	return t
}

// first says that an event is new. It must be asked once.
func (t *trail) first(eventID string) bool {
	if eventID == "" {
		return true
	}
	id := hash(auditID(eventID))
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, again := t.seen[id]; again {
		t.duplicates++
		return false
	}
	t.held.take(seenCost)
	t.seen[id] = struct{}{}
	return true
}

func (t *trail) refuse(s *Session) error {
	if !t.first(s.EventID) {
		return nil
	}
	record := appendSession(nil, &Session{Certificate: s.Certificate, RoleARN: s.RoleARN, From: s.From})
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := t.refused.append(record)
	return err
}

// other takes a session that is no certificate's, and no more of it than is told
// of one. Beyond maxOthers their actions are "not in CloudTrail".
func (t *trail) other(s *Session, began string) error {
	if began == "" {
		return nil
	}
	t.mu.Lock()
	t.others++
	more := t.others > maxOthers
	t.mu.Unlock()
	if more {
		return nil
	}
	return t.add(&Session{AccessKeyID: s.AccessKeyID, AssumedRoleARN: s.AssumedRoleARN, RoleARN: s.RoleARN, Name: s.Name, From: s.From, To: s.To, Began: began}, 0)
}

// rowOf is a session's row, but for its places.
func rowOf(s *Session, kind uint8) trailRow {
	key, other := s.AccessKeyID, s.AssumedRoleARN
	if kind&rowAssumed != 0 {
		other = s.Parent
	}
	if key != "" {
		kind |= rowKey
	} else {
		key = "event " + s.EventID + " " + s.AssumedRoleARN + " " + s.From.String()
	}
	if s.ProfileARN != "" {
		kind |= rowOwn
	}
	if s.Began != "" {
		kind |= rowBegan
	}
	return trailRow{key: hashOf(key), other: hashOf(other), from: nanos(s.From), kind: kind}
}

// add takes a session. If another event told of it, the better of the two stays.
func (t *trail) add(s *Session, kind uint8) (err error) {
	row, record := rowOf(s, kind), appendSession(make([]byte, 0, 1<<10), s)
	t.mu.Lock()
	defer t.mu.Unlock()
	last := t.sessions
	if kind&rowAssumed != 0 {
		last = t.assumed
	}
	if same := t.same(last[row.key], row.from); same >= 0 {
		known := t.rows.at(same)
		other, err := t.session(known.at)
		if err != nil || better(s, other) == other {
			return err
		}
		row.before = known.before
		row.at, err = t.records.append(record)
		*known = row
		return err
	}
	t.held.take(sessionCost)
	if row.at, err = t.records.append(record); err != nil {
		return err
	}
	row.before = last[row.key]
	t.rows.append(row)
	last[row.key] = t.rows.n
	return nil
}

func (t *trail) session(at int64) (*Session, error) {
	record, err := t.reader.at(at)
	if err != nil {
		return nil, err
	}
	return decode(record).session(), nil
}

// same is the row that another event made of a session; -1: none. last is that of
// its access key.
func (t *trail) same(last int32, from int64) int32 {
	found := int32(-1)
	// No access key has so many; without the bound each would be compared with all.
	for n := 0; last != 0 && n < maxCompared; n++ {
		row := t.rows.at(last - 1)
		if near(row.from, from) {
			found = last - 1
		}
		last = row.before
	}
	return found
}

func near(a, b int64) bool { return max(a, b)-min(a, b) <= int64(skew) }

// better is the same of two whichever comes first. Of CreateSession and an
// AssumeRole by Roles Anywhere for it the first knows more.
func better(a, b *Session) *Session {
	own := func(s *Session) int { return min(1, len(s.ProfileARN)) }
	if cmp.Or(cmp.Compare(own(b), own(a)), a.From.Compare(b.From), cmp.Compare(a.EventID, b.EventID)) < 0 {
		return a
	}
	return b
}

// byFrom orders rows.
func (t *trail) byFrom(a, b int32) int {
	x, y := t.rows.at(a), t.rows.at(b)
	return cmp.Or(cmp.Compare(x.from, y.from), bytes.Compare(x.key[:], y.key[:]), cmp.Compare(x.at, y.at))
}

// index is of the rows that have all of the kinds and none of the others.
func (t *trail) index(of func(*trailRow) hash, kinds, others uint8) *hashIndex {
	return newHashIndex(t.rows.n, func(i int32) hash {
		if row := t.rows.at(i); row.kind&kinds == kinds && row.kind&others == 0 {
			return of(row)
		}
		return hash{}
	}, t.byFrom)
}

// finish puts the sessions, chained ones too, into the sorter, by From.
func (t *trail) finish(to *sessionSorter) error {
	t.seen, t.sessions, t.assumed = nil, nil, nil
	if err := t.twins(); err != nil {
		return err
	}
	key := func(row *trailRow) hash { return row.key }
	x := &chains{t: t, sessions: t.index(key, 0, rowAssumed|rowGone), assumed: t.index(key, rowAssumed, rowGone), known: make([]int32, t.rows.n)}
	origins := storeReader{store: t.records}
	for i := range t.rows.n {
		row := t.rows.at(i)
		if row.kind&rowGone != 0 {
			continue
		}
		root := int32(-1)
		if row.kind&rowAssumed != 0 {
			if root = x.origin(i); root < 0 || x.told(row) {
				continue
			}
		}
		s, err := t.session(row.at)
		if err != nil {
			return err
		}
		if root >= 0 {
			record, err := origins.at(t.rows.at(root).at)
			if err != nil {
				return err
			}
			origin := decode(record).session()
			s.Certificate, s.Began = origin.Certificate, origin.Began
			s.TrustAnchorARN, s.ProfileARN = origin.TrustAnchorARN, origin.ProfileARN
			s.SourceIdentity = cmp.Or(s.SourceIdentity, origin.SourceIdentity)
		}
		if err := to.put(s); err != nil {
			return err
		}
	}
	t.rows = chunks[trailRow]{}
	return t.records.close()
}

// chains find the sessions that AssumeRole began with.
type chains struct {
	t                 *trail
	sessions, assumed *hashIndex // by access key, and then by From
	// known of each row that was assumed: 0: not visited; 1: none; else 2 more than
	// its origin. It spares long chains, and ends those that are circles.
	known []int32
}

// latest is whose access key it was: of the sessions, the latest that had begun by
// then, as far as clocks agree; else the first. -1: there is none.
func (x *chains) latest(list []int32, from int64) int32 {
	return latest(list, func(i int32) int64 { return x.t.rows.at(i).from }, from)
}

// origin is the row of the session of CreateSession at the root of a chain; -1:
// there is none.
func (x *chains) origin(child int32) int32 {
	const none = 1
	var path []int32
	found := int32(none)
	for i := child; i >= 0; {
		if x.known[i] != 0 {
			found = x.known[i]
			break
		}
		x.known[i] = none
		path = append(path, i)
		row := x.t.rows.at(i)
		if root := x.latest(x.sessions.find(row.other), row.from); root >= 0 {
			found = root + 2
			break
		}
		i = x.latest(x.assumed.find(row.other), row.from)
	}
	for _, i := range path {
		x.known[i] = found
	}
	return found - 2
}

// told reports whether a row that was assumed is that of a session.
func (x *chains) told(row *trailRow) bool {
	list := x.sessions.find(row.key)
	i := firstAfter(list, func(i int32) int64 { return x.t.rows.at(i).from }, row.from-int64(skew)-1)
	return i < len(list) && near(x.t.rows.at(list[i]).from, row.from)
}

// twins puts a CreateSession whose access key is hidden together with the
// AssumeRole by Roles Anywhere for it, which tells the key.
func (t *trail) twins() error {
	const apart = int64(time.Minute)
	hidden := t.index(func(row *trailRow) hash { return row.other }, 0, rowAssumed|rowKey|rowGone)
	if len(hidden.order) == 0 {
		return nil
	}
	telling := t.index(func(row *trailRow) hash { return row.other }, rowKey, rowAssumed|rowOwn|rowBegan|rowGone)
	var arn hash
	var list []int32 // those of the ARN that are left
	for _, i := range hidden.order {
		row := t.rows.at(i)
		if row.other != arn {
			arn, list = row.other, telling.find(row.other)
		}
		for len(list) > 0 && t.rows.at(list[0]).from < row.from-apart {
			list = list[1:] // those that follow are later still
		}
		if len(list) == 0 || t.rows.at(list[0]).from > row.from+apart {
			continue
		}
		if err := t.join(row, t.rows.at(list[0])); err != nil {
			return err
		}
		list = list[1:]
	}
	return nil
}

// join makes a session of a hidden one and the one that tells its access key.
func (t *trail) join(hidden, telling *trailRow) error {
	key, err := t.session(telling.at)
	if err != nil {
		return err
	}
	s, err := t.session(hidden.at)
	if err != nil {
		return err
	}
	s.AccessKeyID, s.To = key.AccessKeyID, key.To
	joined := rowOf(s, 0)
	joined.before = telling.before
	joined.at, err = t.records.append(appendSession(nil, s))
	*telling = joined
	hidden.kind |= rowGone
	return err
}
