package audit

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"time"
)

// refusedFrom is where the numbers of refused calls begin, after those of sessions.
const refusedFrom = math.MaxInt64 / 2

// certificateID is that of a certificate's line in a summary.
func certificateID(s *Session) hash {
	flags := "certificate "
	switch {
	case s.Unknown:
		flags = "unknown "
	case s.Began != "":
		flags = "none "
	}
	return hashOf(string(appendCertificate([]byte(flags), &s.Certificate)))
}

// group sorts a session, or a refused call, by its certificate.
func (t *teller) group(number int, s *Session) error {
	id := certificateID(s)
	key := appendKnown(id[:], number)
	rest := appendSession(make([]byte, 0, 1<<10), &Session{Certificate: s.Certificate, RoleARN: s.RoleARN, From: s.From, SourceIP: s.SourceIP, AccessKeyID: s.AccessKeyID, Parent: s.Parent, Unknown: s.Unknown,
		Began: s.Began, Actions: s.Actions, Denied: s.Denied, First: s.First, Last: s.Last})
	if err := t.groups.put(keyed(key, rest)); err != nil || !misnamed(s) {
		return err
	}
	name := hashOf(s.Name)
	key = appendKnown(append(id[:], name[:]...), number)
	return t.misnamed.put(keyed(key, appendSession(nil, &Session{Certificate: s.Certificate, Name: s.Name, From: s.From, AccessKeyID: s.AccessKeyID})))
}

// refused groups the refused calls that are asked for.
func (t *teller) refused(refused *store, whole *wholes) error {
	number, f := refusedFrom, t.filter
	for record, err := range refused.all() {
		if err := cmp.Or(err, t.ctx.Err()); err != nil {
			return err
		}
		s := decode(record).session()
		if err := whole.complete(&s.Certificate); err != nil {
			return err
		}
		if f.narrow() || !f.overlaps(s.From, s.From) || !f.session(s) {
			continue
		}
		id := certificateID(s)
		if err := t.groups.put(keyed(appendKnown(id[:], number), record)); err != nil {
			return err
		}
		number++
	}
	return nil
}

// certificates tells of each certificate what its sessions were.
func (t *teller) certificates() error {
	if err := t.groups.flush(); err != nil {
		return err
	}
	var id hash
	var g *certificate
	for record, err := range inOrder(t.groups) {
		if err := cmp.Or(err, t.ctx.Err()); err != nil {
			return err
		}
		key, rest := unkeyed(record)
		s, number := decode(rest).session(), int(binary.BigEndian.Uint64(key[len(id):])) //nolint:gosec // we wrote it
		if g == nil || hash(key) != id {
			if err := t.certificate(id, g); err != nil {
				return err
			}
			id, g = hash(key[:len(id)]), &certificate{subject: Subject{Certificate: s.Certificate, Unknown: s.Unknown, NoCertificate: s.Began != ""}}
		}
		if number >= refusedFrom {
			g.see(s.RoleARN, s.From, s.From)
			g.subject.Refused++
			continue
		}
		g.session(number, s)
	}
	return t.certificate(id, g)
}

// certificate is what is gathered of one.
type certificate struct {
	subject Subject
	from    []string // addresses that sessions were asked for from
	at      time.Time
	keys    []string
	number  int // of the first of these sessions
}

func (g *certificate) session(number int, s *Session) {
	first, last := s.From, s.From
	if s.Last.After(last) {
		last = s.Last
	}
	if s.Unknown || s.Began != "" {
		first = s.First
	}
	g.see(s.RoleARN, first, last)
	g.subject.Sessions++
	g.subject.Actions += s.Actions
	g.subject.Denied += s.Denied
	if s.Unknown || s.Parent != "" || s.Certificate == (Certificate{}) {
		return
	}
	if g.from == nil {
		g.number = number
	}
	before := len(g.from)
	if g.from = include(g.from, s.SourceIP); len(g.from) > before {
		g.keys = append(g.keys, s.AccessKeyID)
		if len(g.from) == manyAddresses {
			g.at = s.From
		}
	}
}

func (g *certificate) see(role string, first, last time.Time) {
	s := &g.subject
	if role != "" && len(s.Roles) < maxRoles && !slices.Contains(s.Roles, role) {
		s.Roles = append(s.Roles, role)
	}
	if !first.IsZero() && (s.First.IsZero() || first.Before(s.First)) {
		s.First = first
	}
	if last.After(s.Last) {
		s.Last = last
	}
}

// certificate tells of one, by First. nil: there is none.
func (t *teller) certificate(id hash, g *certificate) error {
	if g == nil {
		return nil
	}
	slices.Sort(g.subject.Roles)
	c := &g.subject.Certificate
	key := appendOrder(appendOrder(nil, int64(g.subject.last())), nanos(g.subject.First))
	for _, text := range [...]string{c.Serial, c.Subject, c.Issuer} {
		key = append(append(key, text...), 0)
	}
	key = append(appendOrder(key, c.NotAfter.Unix()), id[:]...)
	t.Totals.Subjects++
	if err := t.subjects.put(keyed(key, appendSubject(nil, &g.subject))); err != nil || len(g.from) < manyAddresses {
		return err
	}
	f := manyFrom(c, g.from, g.keys, g.at)
	return t.finding(&f, findingOfCertificate, g.number)
}

// names tells of sessions with the name of something else. Sessions are sorted by
// certificate and name.
func (t *teller) names() error {
	if err := t.misnamed.flush(); err != nil {
		return err
	}
	owners, err := t.owners()
	if err != nil {
		return err
	}
	var id []byte
	var g *misname
	for record, err := range inOrder(t.misnamed) {
		if err := cmp.Or(err, t.ctx.Err()); err != nil {
			return err
		}
		key, rest := unkeyed(record)
		s, end := decode(rest).session(), len(key)-8
		if g == nil || string(key[:end]) != string(id) {
			if err := t.misname(g, owners); err != nil {
				return err
			}
			id, g = append(id[:0], key[:end]...), &misname{first: s, number: int(binary.BigEndian.Uint64(key[end:]))} //nolint:gosec // we wrote it
		}
		g.sessions++
		if s.AccessKeyID != "" && len(g.keys) < maxKeys {
			g.keys = append(g.keys, s.AccessKeyID)
		}
	}
	return t.misname(g, owners)
}

// misname is a certificate's sessions of a name.
type misname struct {
	first    *Session
	number   int // of the first
	sessions int64
	keys     []string
}

func (t *teller) misname(g *misname, o *owners) error {
	if g == nil {
		return nil
	}
	owner, err := o.of(g.first.Name)
	if err != nil {
		return err
	}
	f := g.finding(owner)
	return t.finding(&f, findingOfName, g.number)
}

// owners are the subjects of certificates whose serial number is another session's
// name.
type owners struct {
	wanted map[hash]int64 // 1 more than where the subject is; 0: there is none
	names  *store
	reader storeReader
}

func (t *teller) owners() (*owners, error) {
	o := &owners{wanted: map[hash]int64{}, names: newStore(t.options)}
	o.reader = storeReader{store: o.names}
	t.owns(o.names.close)
	for record, err := range inOrder(t.misnamed) {
		if err != nil {
			return nil, err
		}
		_, rest := unkeyed(record)
		if n, ok := hexSerial(decode(rest).session().Name); ok {
			if _, known := o.wanted[hashOf(n)]; !known {
				t.held.take(wantedCost)
				o.wanted[hashOf(n)] = 0
			}
		}
		if err := t.held.err(); err != nil {
			return nil, err
		}
	}
	if len(o.wanted) == 0 {
		return o, nil
	}
	for s, err := range t.Sessions {
		if err := cmp.Or(err, t.ctx.Err()); err != nil {
			return nil, err
		}
		serial := hashOf(s.Certificate.Serial)
		if _, ok := o.wanted[serial]; !ok || s.Certificate.Issuer == "" {
			continue
		}
		at, err := o.names.append([]byte(s.Certificate.Subject))
		if err != nil {
			return nil, err
		}
		o.wanted[serial] = at + 1
	}
	return o, nil
}

func (o *owners) of(name string) (string, error) {
	n, ok := hexSerial(name)
	if !ok || o.wanted[hashOf(n)] == 0 {
		return "", nil
	}
	subject, err := o.reader.at(o.wanted[hashOf(n)] - 1)
	return string(subject), err
}
