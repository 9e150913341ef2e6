package audit

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

const (
	// blockSize is how much of a log a parser gets at once.
	blockSize = 512 << 10
	// maxDocument is how much of one event, or of what stands around events, is
	// held. The bodies of requests, which make an event long, do not count.
	maxDocument = 16 << 20
	// maxDepth is deeper than fastjson parses.
	maxDepth = 512
	// maxOpener is longer than what a file begins with before its first event.
	maxOpener = 128
)

// Why something is damage. No text of a log is in these: it could be a secret.
const (
	whyCut       = "the document is cut off"
	whyJSON      = "malformed JSON"
	whyNotJSON   = "not JSON"
	whyLong      = "the document is longer than 16 MiB"
	whyOther     = "no event of this log"
	whyTimestamp = "no time in the event"
	whyYAML      = "malformed YAML"
	whyLongItem  = "the row or item is longer than 4 MiB: use --output json"
	whyRow       = "a row without the whole event: ask for @message, or for eventJson"
	whyColumns   = "a row without requestParameters and responseElements in JSON: ask for eventJson, or download JSON"
	whyOCSF      = "unsupported format: OCSF without raw_data; read the log in CloudWatch Logs"
	whyWrapped   = "an event within too many others"
	whyPacked    = "malformed base64 or gzip"
)

// batch is what a parser gets: lines of one document each, or documents and
// elements of one by their ends.
type batch struct {
	file  int
	line  int64 // of the first byte
	data  []byte
	ends  []int   // if these are no lines
	lines []int64 // that each of them begins at
	head  []byte  // what stands before elements, a JSON document that is not closed
	// stamped: a time stands before the documents, as in a log stream.
	stamped bool
	block   []byte // that data is part of; whoever is done with it may give it back
}

// splitter cuts a log at the borders of its documents, without parsing them.
//
// Its first document tells the layout of a file. If that is on one line, so are
// the others, and lines are all that is looked for. If it is not, it is followed
// from bracket to bracket, and so is each after it until one is on one line. The
// elements of an envelope ({"Records":[…]}) are handed on one by one.
type splitter struct {
	in     io.Reader
	file   int
	emit   func(*batch) bool // false: stop
	size   int               // of a block; it must hold what a line begins with
	blocks *sync.Pool        // of *[]byte of that size
	damage func(line int64, why string)

	buf      []byte
	pos, end int
	err      error // of the last read
	line     int64 // of buf[pos]
	bytes    int64
	byLine   bool
	stopped  bool
	stamped  bool   // the present document is
	out      *batch // documents and elements that are not handed on yet
}

// run is until the end of the log. What the reader says is damage of the file.
func (s *splitter) run() error {
	s.buf, s.line = s.newBlock(), 1
	for !s.stopped {
		if s.pos == s.end && !s.fill() {
			break
		}
		if s.byLine {
			s.someLines()
		} else {
			s.oneDocument(false)
		}
	}
	s.flush()
	if errors.Is(s.err, io.EOF) {
		return nil
	}
	return s.err
}

// fill reads on, behind what is not used yet.
func (s *splitter) fill() bool {
	if s.err != nil {
		return false
	}
	copy(s.buf, s.buf[s.pos:s.end])
	s.pos, s.end = 0, s.end-s.pos
	for empty := 0; s.end < len(s.buf) && s.err == nil && empty < 100; {
		var n int
		n, s.err = s.in.Read(s.buf[s.end:])
		s.end += n
		s.bytes += int64(n)
		if n > 0 {
			empty = 0
		} else if empty++; empty == 100 && s.err == nil {
			s.err = io.ErrNoProgress
		}
	}
	return s.end > s.pos
}

// need reads on if fewer bytes than n are left.
func (s *splitter) need(n int) {
	if s.end-s.pos < n {
		s.fill()
	}
}

// someLines hands on all whole lines that are there.
func (s *splitter) someLines() {
	s.need(len(s.buf))
	text := s.buf[s.pos:s.end]
	whole := bytes.LastIndexByte(text, '\n') + 1
	if whole == 0 && s.err == nil && len(text) == len(s.buf) {
		s.oneDocument(true) // longer than a block
		s.byLine = true
		return
	}
	if s.err != nil {
		whole = len(text)
	}
	used, lines, opener := 0, int64(0), false
	for used < whole {
		n := bytes.IndexByte(text[used:whole], '\n') + 1
		if n == 0 {
			n = whole - used
		}
		if opener = n <= maxOpener && opens(text[used:used+n]); opener {
			break
		}
		used += n
		lines++
	}
	s.byLine = !opener
	s.flush()
	b := &batch{file: s.file, line: s.line, data: text[:used]}
	if opener {
		b.data = bytes.Clone(b.data)
		s.pos += used
	} else { // hardly anything is left in the block
		b.block = s.buf
		s.buf = s.newBlock()
		s.pos, s.end = 0, copy(s.buf, text[used:])
	}
	s.line += lines
	s.send(b)
}

func (s *splitter) newBlock() []byte {
	if block, ok := s.blocks.Get().(*[]byte); ok {
		return *block
	}
	return make([]byte, s.size)
}

// opens says that a document begins on this line which goes on on the next: it
// ends in a bracket that opens. A line that was cut off short is not so short.
func opens(line []byte) bool {
	line, _ = cutPrefix(trim(line), origin{})
	return len(line) > 0 && (line[0] == '{' || line[0] == '[') && (line[len(line)-1] == '{' || line[len(line)-1] == '[')
}

// trim takes off what may stand around a document: a byte order mark, and NUL
// where a machine crashed while it wrote.
func trim(line []byte) []byte {
	for len(line) > 0 && blank(line[len(line)-1]) {
		line = line[:len(line)-1]
	}
	for len(line) > 0 {
		if blank(line[0]) {
			line = line[1:]
		} else if bytes.HasPrefix(line, []byte("\ufeff")) {
			line = line[len("\ufeff"):]
		} else {
			break
		}
	}
	return line
}

func blank(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == 0 }

// oneDocument follows the document that begins on this line, and those behind it
// on the line where it ends. If there is none, the line is the parser's to judge.
func (s *splitter) oneDocument(oneLine bool) {
	s.need(4 << 10) // what a line begins with
	first := s.buf[s.pos:s.end]
	if n := bytes.IndexByte(first, '\n'); n >= 0 {
		first = first[:n]
	}
	rest, from := cutPrefix(trim(first), origin{})
	if !startsJSON(rest) {
		s.byLine = true
		if oneLine { // longer than a block: its beginning says what it is
			s.flush()
			s.send(&batch{file: s.file, line: s.line, data: s.wholeLine()})
			s.line++
		}
		return
	}
	s.stamped = from.stream
	s.pos += bytes.Index(first, rest)
	began := s.line
	for {
		d := document{s: s, oneLine: oneLine, first: s.line}
		if !s.follow(&d) {
			return
		}
		// Firehose puts one behind the other.
		c := s.skipBlanks()
		if startsJSON([]byte{c}) {
			continue
		}
		s.byLine = s.line == began
		if c != 0 && c != '\n' && len(bytes.Trim(s.restOfLine(), ",]} \r\t\n")) > 0 {
			s.damage(s.line, whyNotJSON)
		}
		s.skipLine()
		return
	}
}

// follow reads to the end of d. Where there is none it says so, and is at the
// beginning of a line.
func (s *splitter) follow(d *document) bool {
	for !s.stopped {
		if s.pos == s.end && !s.fill() {
			if errors.Is(s.err, io.EOF) {
				s.damage(d.first, whyCut)
			}
			return false
		}
		n, state := d.feed(s.buf[s.pos:s.end])
		s.pos += n
		switch state {
		case documentEnds:
			return true
		case documentBroken:
			s.damage(d.first, d.why)
			if !d.lineStart {
				s.skipLine()
			}
			return false
		}
	}
	return false
}

// skipBlanks returns the byte behind blanks, the newline too; 0: there is none.
func (s *splitter) skipBlanks() byte {
	for s.pos < s.end || s.fill() {
		if c := s.buf[s.pos]; c == '\n' || !blank(c) {
			return c
		}
		s.pos++
	}
	return 0
}

func (s *splitter) restOfLine() []byte {
	rest, _, _ := bytes.Cut(s.buf[s.pos:s.end], []byte("\n"))
	return rest
}

// wholeLine is the rest of a line; of one that is longer than an event may be the
// beginning, which says what it is.
func (s *splitter) wholeLine() (line []byte) {
	long := false
	for s.pos < s.end || s.fill() {
		rest := s.buf[s.pos:s.end]
		n := bytes.IndexByte(rest, '\n')
		if n >= 0 {
			rest = rest[:n]
		}
		if long = long || len(line)+len(rest) > maxDocument; long {
			line = line[:min(len(line), 4<<10)]
		} else {
			line = append(line, rest...)
		}
		if s.pos += len(rest); n >= 0 {
			s.pos++
			break
		}
	}
	return line
}

func (s *splitter) skipLine() {
	for s.pos < s.end || s.fill() {
		if n := bytes.IndexByte(s.buf[s.pos:s.end], '\n'); n >= 0 {
			s.pos += n + 1
			s.line++
			return
		}
		s.pos = s.end
	}
}

// add takes a document or, with a head, an element.
func (s *splitter) add(data []byte, line int64, head []byte) {
	if s.out != nil && (!bytes.Equal(s.out.head, head) || s.out.stamped != s.stamped) {
		s.flush()
	}
	if s.out == nil {
		block := s.newBlock()
		s.out = &batch{file: s.file, line: line, head: bytes.Clone(head), data: block[:0], block: block, stamped: s.stamped}
	}
	s.out.data = append(s.out.data, data...)
	s.out.ends = append(s.out.ends, len(s.out.data))
	s.out.lines = append(s.out.lines, line)
	if len(s.out.data) >= s.size {
		s.flush()
	}
}

func (s *splitter) flush() {
	if s.out != nil {
		s.send(s.out)
		s.out = nil
	}
}

func (s *splitter) send(b *batch) {
	if !s.stopped && !s.emit(b) {
		s.stopped = true
	}
}
