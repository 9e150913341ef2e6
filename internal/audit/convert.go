package audit

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/valyala/fastjson"
)

// maxItem is how much of one item of YAML or row of CSV is held: what is made of it
// takes many times its text.
const maxItem = 4 << 20

// lineReader is what the readers that turn a form into lines of JSON have in
// common. Each takes a part of its input, of a bounded size, and writes one line
// for it and empty ones for the rest, so that line numbers stay what they are.
type lineReader struct {
	in    *bufio.Reader
	found *tally
	line  int64        // that was read last
	out   bytes.Buffer // of what is written, not read yet
	err   error
}

// read gives what is converted; more is called for the next part until there is
// an error.
func (r *lineReader) read(p []byte, more func() error) (int, error) {
	for r.out.Len() == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.err = more()
	}
	return r.out.Read(p)
}

// next is a line with its newline. What is longer than an event may be is left out.
func (r *lineReader) next() ([]byte, error) {
	var line []byte
	long := false
	for {
		part, err := r.in.ReadSlice('\n')
		if long = long || len(line)+len(part) > maxDocument; !long {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if len(line) > 0 || long || err == nil {
			r.line++
			if errors.Is(err, io.EOF) {
				err = nil // it comes again
			}
		}
		if long {
			r.found.damage(r.line, whyLong)
			return []byte("\n"), err
		}
		return line, err
	}
}

// emit writes a line for so many of the input. The line is its from then on.
func (r *lineReader) emit(line []byte, lines int64) {
	for i, c := range line {
		if c == '\n' || c == '\r' {
			line[i] = ' ' // in JSON it stands between values only
		}
	}
	for range lines {
		line = append(line, '\n')
	}
	if r.out.Len() == 0 {
		r.out = *bytes.NewBuffer(line)
	} else {
		r.out.Write(line)
	}
}

// isPartial reports a container's log, in which what is long is in several lines:
// the kubelet's (CRI), or Docker's.
func isPartial(first []byte) bool {
	_, _, cri := cutCRI(first)
	return cri || bytes.HasPrefix(first, []byte(`{"log":"`))
}

// cutCRI takes the time, the stream and the tag off a line of a container's log.
//
//	https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
func cutCRI(line []byte) (rest []byte, partial, ok bool) {
	stamp, rest, _ := bytes.Cut(line, []byte(" "))
	stream, rest, _ := bytes.Cut(rest, []byte(" "))
	tag, rest, found := bytes.Cut(rest, []byte(" "))
	if !found || string(stream) != "stdout" && string(stream) != "stderr" || !isTime(string(stamp)) {
		return nil, false, false
	}
	tag, _, _ = bytes.Cut(tag, []byte(":"))
	return rest, string(tag) == "P", string(tag) == "P" || string(tag) == "F"
}

// partialReader puts the parts of a line together again.
type partialReader struct {
	*lineReader
	held   []byte
	from   int64 // the line of its first part; 0: nothing is held
	parser fastjson.Parser
}

func (r *partialReader) Read(p []byte) (int, error) { return r.read(p, r.more) }

func (r *partialReader) more() error {
	line, err := r.next()
	if err != nil {
		if r.from > 0 {
			r.found.damage(r.from, whyCut)
		}
		return err
	}
	text, partial, ok := cutCRI(bytes.TrimRight(line, "\r\n"))
	if !ok {
		text, partial, ok = r.docker(line)
	}
	if !ok {
		r.out.Write(line)
		return nil
	}
	if r.from > 0 && len(r.held)+len(text) > maxDocument {
		r.found.damage(r.from, whyLong)
		r.held, r.from = nil, 0
	}
	if r.from == 0 {
		r.from = r.line
	}
	if len(r.held) == 0 {
		r.held = append(r.held, "2000-01-01T00:00:00Z stdout F "...) // whatever the time was
	}
	if r.held = append(r.held, text...); partial {
		return nil
	}
	r.emit(r.held, r.line-r.from+1)
	r.held, r.from = nil, 0
	return nil
}

// docker reads a line of Docker's json-file: a part that is not the last has no
// newline.
func (r *partialReader) docker(line []byte) (text []byte, partial, ok bool) {
	if !bytes.HasPrefix(line, []byte("{")) {
		return nil, false, false
	}
	v, err := r.parser.ParseBytes(line)
	if err != nil || v.Get("log") == nil || v.Get("log").Type() != fastjson.TypeString {
		return nil, false, false
	}
	text = v.GetStringBytes("log")
	const part = 16 << 10 // Docker's; a program may end without a newline
	return bytes.TrimRight(text, "\r\n"), !bytes.HasSuffix(text, []byte("\n")) && len(text) >= part, true
}
