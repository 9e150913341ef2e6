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
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/safefile"
)

const (
	// sortMemory is for all sorters together.
	sortMemory = 16 << 20
	// mergeMemory is for the buffers of a merge.
	mergeMemory = 16 << 20
	keySize     = 8 + 16 + 1 // time, ID, stage
)

// record is an action as it is sorted: a key that compares as its bytes do, and
// the rest. Two records of an action have keys that differ in the stage only: the
// API server gives all stages the time at which the request was received.
type record []byte

// sorter sorts records of which one worker has many, on disk where they are too
// many. It is an external merge sort: runs are sorted in memory and written one
// behind the other.
type sorter struct {
	dir     string // for its file; empty: the system's
	limit   int
	buf     []byte
	entries []entry
	tmp     []byte

	file  *os.File
	named string // the file's name, while it has one
	size  int64
	runs  []run
}

type entry struct {
	time  uint64 // the beginning of the key, that compares fast
	start int
	end   int
}

type run struct{ start, end int64 }

// add takes an action by its key, and the number of its session.
func (s *sorter) add(key [keySize]byte, a *Action, session int) error {
	s.tmp = appendAction(append(s.tmp[:0], key[:]...), a, session)
	return s.put(s.tmp)
}

func (s *sorter) put(r record) error {
	if len(s.buf)+len(r)+len(s.entries)*24 > s.limit && len(s.entries) > 0 {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.entries = append(s.entries, entry{binary.BigEndian.Uint64(r), len(s.buf), len(s.buf) + len(r)})
	s.buf = append(s.buf, r...)
	return nil
}

func (s *sorter) sort() {
	slices.SortFunc(s.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.time, b.time), bytes.Compare(s.buf[a.start:a.end], s.buf[b.start:b.end]))
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
func (s *sorter) spill() (err error) {
	if len(s.entries) == 0 {
		return nil
	}
	if s.file == nil {
		if s.file, s.named, err = safefile.Scratch(s.dir); err != nil {
			return fmt.Errorf("sorting on disk: %w", err)
		}
	}
	s.sort()
	w := bufio.NewWriterSize(s.file, 64<<10)
	start := s.size
	var length [binary.MaxVarintLen64]byte
	for _, e := range s.entries {
		n := binary.PutUvarint(length[:], uint64(e.end-e.start)) //nolint:gosec // end is not before start
		_, _ = w.Write(length[:n])                               // Flush tells
		_, _ = w.Write(s.buf[e.start:e.end])
		s.size += int64(n + e.end - e.start)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("sorting on disk: %w", err)
	}
	s.runs = append(s.runs, run{start, s.size})
	s.buf, s.entries = s.buf[:0], s.entries[:0]
	return nil
}

func (s *sorter) close() error {
	s.buf, s.entries, s.runs = nil, nil, nil
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	if s.named != "" {
		err = errors.Join(err, safefile.Remove(s.named))
	}
	s.file, s.named = nil, ""
	return err
}

// source gives the records of one run in order.
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
	n, err := binary.ReadUvarint(s.r)
	if err != nil {
		return err
	}
	if cap(s.current) < int(n) { //nolint:gosec // we wrote it
		s.current = make([]byte, n)
	}
	s.current = s.current[:n]
	if _, err = io.ReadFull(s.r, s.current); errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
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

// inOrder gives the records of all sorters in order. A record is the receiver's
// until it asks for the next.
func inOrder(sorters []*sorter) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		var h sources
		runs := 0
		for _, s := range sorters {
			runs += len(s.runs)
		}
		size := max(4<<10, min(64<<10, mergeMemory/max(runs, 1)))
		start := func(s *source) error {
			err := s.advance()
			if errors.Is(err, io.EOF) {
				return nil
			}
			h = append(h, s)
			return err
		}
		fail := func(err error) { yield(nil, fmt.Errorf("sorting on disk: %w", err)) }
		for _, s := range sorters {
			if err := start(&source{from: s}); err != nil {
				fail(err)
				return
			}
			for _, r := range s.runs {
				if err := start(&source{r: bufio.NewReaderSize(io.NewSectionReader(s.file, r.start, r.end-r.start), size)}); err != nil {
					fail(err)
					return
				}
			}
		}
		heap.Init(&h)
		for len(h) > 0 {
			if !yield(h[0].current, nil) {
				return
			}
			err := h[0].advance()
			if errors.Is(err, io.EOF) {
				heap.Pop(&h)
				continue
			}
			if err != nil {
				fail(err)
				return
			}
			heap.Fix(&h, 0)
		}
	}
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

func sameAction(a, b record) bool { return bytes.Equal(a[:keySize-1], b[:keySize-1]) }

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
