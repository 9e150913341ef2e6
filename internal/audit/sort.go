package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"iter"
	"math"
	"slices"
	"strings"
	"time"
)

const (
	// sortMemory is for all sorters together.
	sortMemory = 16 << 20
	// mergeMemory is for the buffers of a merge.
	mergeMemory = 16 << 20
)

// record is what is sorted: as its bytes compare.
type record []byte

// sorter sorts records of which one worker has many, on disk where they are too
// many. It is an external merge sort: runs are sorted in memory and written one
// behind the other.
type sorter struct {
	scratch
	limit   int
	buf     []byte
	entries []entry
	tmp     []byte
	size    int64
	runs    []run
}

func newSorter(o Options) *sorter { return &sorter{scratch: scratch{dir: o.TempDir}, limit: o.spill()} }

type entry struct {
	first, second uint64 // the record's beginning, that compares fast
	start, end    uint32
}

type run struct{ start, end int64 }

func (s *sorter) put(r record) error {
	if len(s.buf)+len(r)+len(s.entries)*24 > s.limit && len(s.entries) > 0 {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.entries = append(s.entries, entry{binary.BigEndian.Uint64(r), binary.BigEndian.Uint64(r[8:]), uint32(len(s.buf)), uint32(len(s.buf) + len(r))}) //nolint:gosec // as limit says
	s.buf = append(s.buf, r...)
	return nil
}

func (s *sorter) sort() {
	slices.SortFunc(s.entries, func(a, b entry) int {
		if a.first != b.first {
			return cmp.Compare(a.first, b.first)
		}
		if a.second != b.second {
			return cmp.Compare(a.second, b.second)
		}
		return bytes.Compare(s.buf[a.start:a.end], s.buf[b.start:b.end])
	})
}

// flush sorts what is in memory. Little enough stays there.
func (s *sorter) flush() error {
	s.sort()
	if len(s.runs) == 0 {
		return nil
	}
	return s.spill()
}

// spill writes a run.
func (s *sorter) spill() error {
	if len(s.entries) == 0 {
		return nil
	}
	if err := s.open(); err != nil {
		return onDisk(err)
	}
	s.sort()
	w := bufio.NewWriterSize(s.file, 64<<10)
	start := s.size
	var length [binary.MaxVarintLen64]byte
	for _, e := range s.entries {
		n := binary.PutUvarint(length[:], uint64(e.end-e.start))
		_, _ = w.Write(length[:n]) // Flush tells
		_, _ = w.Write(s.buf[e.start:e.end])
		s.size += int64(n) + int64(e.end-e.start)
	}
	if err := w.Flush(); err != nil {
		return onDisk(err)
	}
	s.runs = append(s.runs, run{start, s.size})
	s.buf, s.entries = s.buf[:0], s.entries[:0]
	return nil
}

func (s *sorter) close() error {
	s.buf, s.entries, s.runs = nil, nil, nil
	return s.scratch.close()
}

// source gives the records of one run in order. One in memory is good until its
// sorter is closed, one of the disk until the next.
type source struct {
	r       *bufio.Reader // nil: they are in memory
	from    *sorter
	next    int
	current record
}

// advance is io.EOF at the end.
func (s *source) advance() error {
	if s.r == nil {
		if s.next == len(s.from.entries) {
			return io.EOF
		}
		e := s.from.entries[s.next]
		s.next++
		s.current = s.from.buf[e.start:e.end]
		return nil
	}
	r, err := readRecord(s.r, s.current)
	s.current = r
	return err
}

// sources is a heap.
type sources []*source

func (h sources) Len() int           { return len(h) }
func (h sources) Less(i, j int) bool { return bytes.Compare(h[i].current, h[j].current) < 0 }
func (h sources) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *sources) Push(x any)        { *h = append(*h, x.(*source)) }
func (h *sources) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// merger gives the records of all sorters in order. A record is the receiver's
// until it asks for the next.
type merger struct {
	sorters []*sorter
	sources sources
	begun   bool
}

// next is io.EOF at the end.
func (m *merger) next() (record, error) {
	var err error
	switch {
	case !m.begun:
		m.begun = true
		err = m.start()
	case len(m.sources) > 0:
		if err = m.sources[0].advance(); errors.Is(err, io.EOF) {
			heap.Pop(&m.sources)
			err = nil
		} else if err == nil && len(m.sources) > 1 {
			heap.Fix(&m.sources, 0)
		}
	}
	if err != nil {
		m.sources = nil
		return nil, onDisk(err)
	}
	if len(m.sources) == 0 {
		return nil, io.EOF
	}
	return m.sources[0].current, nil
}

func (m *merger) start() error {
	runs := 0
	for _, s := range m.sorters {
		runs += len(s.runs)
	}
	size := max(4<<10, min(64<<10, mergeMemory/max(runs, 1)))
	for _, s := range m.sorters {
		all := []*source{{from: s}}
		for _, r := range s.runs {
			all = append(all, &source{r: bufio.NewReaderSize(io.NewSectionReader(s.file, r.start, r.end-r.start), size)})
		}
		for _, source := range all {
			switch err := source.advance(); {
			case err == nil:
				m.sources = append(m.sources, source)
			case !errors.Is(err, io.EOF):
				return err
			}
		}
	}
	heap.Init(&m.sources)
	return nil
}

// inOrder gives what a merger gives.
func inOrder(sorters ...*sorter) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		m := merger{sorters: sorters}
		for r, err := m.next(); !errors.Is(err, io.EOF); r, err = m.next() {
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// An action is sorted by its session, and then by when it was. Two records of an
// action have keys that differ in the stage only: the API server gives all stages
// the time at which the request was received. The session's part is its number;
// of one that CloudTrail has no event for, ones and the hash of how it is known.
const (
	knownSize   = 8
	unknownSize = knownSize + 16
	keySize     = 8 + 16 + 1 // time, ID, stage
)

func appendKnown(b []byte, number int) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(number)) //nolint:gosec // not negative
}

func appendUnknown(b []byte, a *Action) []byte {
	group := hashOf("key " + a.AccessKeyID)
	if a.AccessKeyID == "" {
		group = hashOf("arn " + a.ARN + " " + a.SessionName)
	}
	return append(binary.BigEndian.AppendUint64(b, math.MaxUint64), group[:]...)
}

// ownerSize is how long the session's part is.
func ownerSize(r record) int {
	if binary.BigEndian.Uint64(r) == math.MaxUint64 {
		return unknownSize
	}
	return knownSize
}

// add takes an action by its key, and the number of its session; -1: unknown.
func (s *sorter) add(key [keySize]byte, a *Action, session int) error {
	if session >= 0 {
		s.tmp = appendKnown(s.tmp[:0], session)
	} else {
		s.tmp = appendUnknown(s.tmp[:0], a)
	}
	s.tmp = appendAction(append(s.tmp, key[:]...), a, session)
	return s.put(s.tmp)
}

// actionKey is the first part of an action's record.
func actionKey(a *Action, stage byte) (key [keySize]byte) {
	binary.BigEndian.PutUint64(key[:], uint64(a.Time.UnixNano())^1<<63) // the order of the bits is what matters
	id := auditID(a.ID)
	if a.ID == "" {
		// Without an ID only the same words are the same action.
		sum := sha256.Sum256(appendAction(nil, a, 0))
		copy(id[:], sum[:])
	}
	copy(key[8:], id[:])
	key[keySize-1] = stage
	return key
}

// appendAction encodes the rest of it.
func appendAction(b []byte, a *Action, session int) []byte {
	b = binary.AppendUvarint(b, uint64(session+1)) //nolint:gosec // -1 is the least
	b = binary.AppendVarint(b, int64(a.Code))
	for _, s := range fields(a) {
		text := cut(*s)
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	return b
}

// fields are the strings of an action.
func fields(a *Action) [18]*string {
	return [18]*string{&a.ID, &a.Verb, &a.Group, &a.Resource, &a.Namespace, &a.Name, &a.URI, &a.Decision, &a.Reason, &a.User, &a.Impersonated, &a.SourceIP, &a.UserAgent, &a.Cluster, &a.AccessKeyID, &a.ARN, &a.SessionName, (*string)(&a.JoinedBy)}
}

// auditID is 16 bytes of a UUID, as the API server makes them, or of the digest
// of what else may stand there.
func auditID(s string) (id [16]byte) {
	if digits := strings.ReplaceAll(s, "-", ""); len(digits) == 2*len(id) {
		if _, err := hex.Decode(id[:], []byte(digits)); err == nil {
			return id
		}
	}
	sum := sha256.Sum256([]byte(s))
	return [16]byte(sum[:16])
}

// decode is the reverse of actionKey and appendAction.
func (r record) decode() (a Action, session int) {
	a.Time = time.Unix(0, int64(binary.BigEndian.Uint64(r)^1<<63)).UTC() //nolint:gosec // as above
	rest := []byte(r[keySize:])
	number, n := binary.Uvarint(rest)
	code, m := binary.Varint(rest[n:])
	rest = rest[n+m:]
	for _, s := range fields(&a) {
		size, n := binary.Uvarint(rest)
		*s = strings.ToValidUTF8(string(rest[n:n+int(size)]), "\ufffd") //nolint:gosec // we wrote it
		rest = rest[n+int(size):]                                       //nolint:gosec // we wrote it
	}
	a.Code = int(code)
	return a, int(number) - 1 //nolint:gosec // we wrote it
}
