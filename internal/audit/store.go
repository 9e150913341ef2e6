package audit

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/eks-x509/eks-x509/internal/safefile"
)

const (
	// spillSize is what each store and sorter of sessions holds in memory before it
	// writes to disk.
	spillSize = 8 << 20
	// windowSize is what is read at once of records that are not one behind the other.
	windowSize = 8 << 10
)

// scratch is a file without a name, made when it is first needed.
type scratch struct {
	dir   string // empty: the system's
	file  *os.File
	named string // the file's name, while it has one
}

func (s *scratch) open() (err error) {
	if s.file == nil {
		s.file, s.named, err = safefile.Scratch(s.dir)
	}
	return err
}

func (s *scratch) close() error {
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

// onDisk says where an error of a scratch file came up.
func onDisk(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sorting on disk: %w", err)
}

// store holds records in the order in which they came: the last of them in memory,
// at most limit bytes, and those before on disk. It is for one goroutine at a time.
type store struct {
	scratch
	limit int
	buf   []byte
	size  int64 // of what is on disk
}

func newStore(o Options) *store { return &store{scratch: scratch{dir: o.TempDir}, limit: o.spill()} }

// append adds a record, and returns where it is.
func (s *store) append(record []byte) (int64, error) {
	if len(s.buf) > 0 && len(s.buf)+len(record) > s.limit {
		if err := s.spill(); err != nil {
			return 0, onDisk(err)
		}
	}
	at := s.size + int64(len(s.buf))
	s.buf = append(binary.AppendUvarint(s.buf, uint64(len(record))), record...)
	return at, nil
}

func (s *store) spill() error {
	if err := s.open(); err != nil {
		return err
	}
	n, err := s.file.WriteAt(s.buf, s.size)
	if err != nil {
		return err
	}
	s.size, s.buf = s.size+int64(n), s.buf[:0]
	return nil
}

// all gives the records in order. A record is the receiver's until it asks for the
// next. Nothing may be added meanwhile.
func (s *store) all() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if s.size > 0 {
			r := bufio.NewReaderSize(io.NewSectionReader(s.file, 0, s.size), 64<<10)
			for record, err := readRecord(r, nil); !errors.Is(err, io.EOF); record, err = readRecord(r, record) {
				if !yield(record, onDisk(err)) || err != nil {
					return
				}
			}
		}
		for rest := s.buf; len(rest) > 0; {
			size, n := binary.Uvarint(rest)
			end := n + int(size) //nolint:gosec // we wrote it
			if !yield(rest[n:end], nil) {
				return
			}
			rest = rest[end:]
		}
	}
}

// readRecord reads one, with its length before it, into the place of another.
// io.EOF: there is no more.
func readRecord(r *bufio.Reader, into []byte) ([]byte, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, err
	}
	if cap(into) < int(n) { //nolint:gosec // we wrote it
		into = make([]byte, n)
	}
	into = into[:n]
	if _, err = io.ReadFull(r, into); errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return into, err
}

func (s *store) close() error {
	s.buf, s.size = nil, 0
	return s.scratch.close()
}

// storeReader reads records of a store at places that append returned. Near ones
// cost one read.
type storeReader struct {
	*store
	window []byte
	start  int64
}

// at gives the record there, until the next is asked for.
func (r *storeReader) at(at int64) ([]byte, error) {
	if at >= r.size {
		rest := r.buf[at-r.size:]
		size, n := binary.Uvarint(rest)
		return rest[n : n+int(size)], nil //nolint:gosec // we wrote it
	}
	for want := windowSize; ; {
		if at >= r.start && at < r.start+int64(len(r.window)) {
			rest := r.window[at-r.start:]
			size, n := binary.Uvarint(rest)
			if n > 0 && len(rest)-n >= int(size) { //nolint:gosec // we wrote it
				return rest[n : n+int(size)], nil //nolint:gosec // we wrote it
			}
			if n > 0 {
				want = max(want, n+int(size)) //nolint:gosec // we wrote it
			}
			if r.start == at && len(r.window) >= want {
				return nil, onDisk(io.ErrUnexpectedEOF)
			}
		}
		if cap(r.window) < want {
			r.window = make([]byte, want)
		}
		n, err := r.file.ReadAt(r.window[:want], at)
		r.window, r.start = r.window[:n], at
		if n == 0 || err != nil && !errors.Is(err, io.EOF) {
			return nil, onDisk(errors.Join(err, io.ErrUnexpectedEOF))
		}
		if n < want { // the file's end: it is all there is
			size, k := binary.Uvarint(r.window)
			if k <= 0 || n-k < int(size) { //nolint:gosec // we wrote it
				return nil, onDisk(io.ErrUnexpectedEOF)
			}
		}
	}
}
