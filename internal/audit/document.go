package audit

import (
	"bytes"

	"github.com/valyala/fastjson"
)

type documentState int

const (
	documentGoesOn documentState = iota
	documentEnds
	documentBroken
)

// document is one that is followed from bracket to bracket. What it is the
// parser finds out; here only its end matters, and that of the elements of an
// envelope.
type document struct {
	s       *splitter
	oneLine bool
	first   int64 // its line
	why     string

	stack            []byte // the brackets that are open
	inString, escape bool
	scalar           bool // the string is a document or an element of its own
	last             byte // outside of strings, but for blanks
	lineStart        bool // nothing but a newline before

	text     []byte // without elements
	long     bool   // text is too long to hold
	elements int    // the depth at which they are; 0: none yet
	streamed bool   // some were
	head     []byte
	element  []byte
	elemLine int64
	elemLong bool
	into     byte // where bytes go: 't'ext, 'e'lement, or nowhere
}

// bulky are the values of an event that nobody asks for: bodies, with secrets.
func bulky(key string) bool { return key == "requestObject" || key == "responseObject" }

// feed takes bytes up to the document's end and says how many.
func (d *document) feed(b []byte) (int, documentState) {
	from := 0
	for i := 0; i < len(b); i++ {
		c := b[i]
		if d.inString {
			switch {
			case c == '\n':
				return d.broken(i+1, whyCut, true)
			case d.escape:
				d.escape = false
			case c == '\\':
				d.escape = true
			case c == '"':
				d.inString, d.last = false, '"'
				if d.scalar {
					d.put(b[from : i+1])
					from = i + 1
					if d.shutString(); len(d.stack) == 0 {
						return i + 1, documentEnds
					}
				}
			}
			continue
		}
		start := d.lineStart
		d.lineStart = false
		switch c {
		case '\n':
			if d.oneLine {
				return d.broken(i+1, whyCut, true)
			}
			d.s.line++
			d.lineStart = true
			continue
		case ' ', '\t', '\r':
			continue
		case '"':
			d.inString = true
			if d.scalar = len(d.stack) == 0 || d.streaming() && d.due(); d.scalar {
				d.put(b[from:i])
				from = i
				d.begin()
			}
		case ',':
			if d.streaming() {
				d.put(b[from:i])
				from = i + 1
			}
		case '{', '[':
			if start && c == '{' && !d.due() {
				// A document that was cut off: this is another one.
				d.lineStart = true
				return i, d.fail(whyCut)
			}
			d.put(b[from:i])
			from = i
			if why := d.open(c); why != "" {
				return d.broken(i+1, why, false)
			}
		case '}', ']':
			d.put(b[from : i+1])
			from = i + 1
			if done, ok := d.shut(c); !ok {
				return d.broken(i+1, whyJSON, false)
			} else if done {
				return i + 1, documentEnds
			}
		}
		d.last = c
	}
	d.put(b[from:])
	return len(b), documentGoesOn
}

func (d *document) broken(n int, why string, newline bool) (int, documentState) {
	if newline {
		d.s.line++
		d.lineStart = true
	}
	return n, d.fail(why)
}

func (d *document) fail(why string) documentState {
	if d.why = why; d.long {
		d.why = whyLong
	}
	return documentBroken
}

// due says that a value may stand here.
func (d *document) due() bool {
	if len(d.stack) == 0 || d.last == ':' {
		return true
	}
	return d.stack[len(d.stack)-1] == '[' && (d.last == '[' || d.last == ',')
}

// streaming says that the next value is an element.
func (d *document) streaming() bool { return d.elements > 0 && len(d.stack) == d.elements }

// begin says that what follows is the document, or an element of it.
func (d *document) begin() {
	if len(d.stack) == 0 {
		d.into = 't'
		return
	}
	if d.head == nil {
		d.head = bytes.Clone(d.text)
	}
	d.into, d.element, d.elemLine, d.elemLong = 'e', d.element[:0], d.s.line, false
}

// shutString ends one that begin began.
func (d *document) shutString() {
	if d.scalar = false; len(d.stack) == 0 {
		d.end()
		return
	}
	d.hand()
}

// hand gives the element on.
func (d *document) hand() {
	if d.elemLong {
		d.s.damage(d.elemLine, whyLong)
	} else {
		d.s.add(d.element, d.elemLine, d.head)
	}
	d.into, d.streamed = 't', true
}

// open begins an object or array. What is before it has been put.
func (d *document) open(c byte) (why string) {
	switch {
	case len(d.stack) == maxDepth:
		return whyJSON
	case len(d.stack) == 0:
		d.begin()
		if c == '[' {
			d.elements = 1
		}
	case d.streaming():
		d.begin()
	case len(d.stack) == 1 && d.elements == 0:
		key := lastKey(d.text)
		if c == '[' && envelope(key) {
			d.elements = 2
		} else if bulky(key) {
			d.putText([]byte("null"))
			d.into = 0
		}
	}
	d.stack = append(d.stack, c)
	return ""
}

// shut ends one. Its bracket has been put.
func (d *document) shut(c byte) (done, ok bool) {
	n := len(d.stack) - 1
	if n < 0 || d.stack[n] != c-2 { // ASCII: {} and [] are two apart
		return false, false
	}
	d.stack = d.stack[:n]
	switch {
	case n == 0:
		d.end()
		return true, true
	case d.streaming() && d.into == 'e':
		d.hand()
	case n == 1 && d.into == 0:
		d.into = 't'
	case d.elements > n:
		d.elements, d.head = 0, nil
	}
	return false, true
}

func (d *document) end() {
	switch {
	case d.long:
		d.s.damage(d.first, whyLong)
	case !d.streamed:
		d.s.add(d.text, d.first, nil)
	case fastjson.ValidateBytes(d.text) != nil:
		d.s.damage(d.first, whyJSON)
	}
}

func (d *document) put(b []byte) {
	switch d.into {
	case 't':
		if d.streaming() { // a million elements have a million indents
			b = bytes.TrimSpace(b)
		}
		d.putText(b)
	case 'e':
		if d.elemLong = d.elemLong || len(d.element)+len(b) > maxDocument; d.elemLong {
			d.element = nil
		} else {
			d.element = append(d.element, b...)
		}
	}
}

func (d *document) putText(b []byte) {
	if d.long = d.long || len(d.text)+len(b) > maxDocument; d.long {
		d.text = nil
	} else {
		d.text = append(d.text, b...)
	}
}

// lastKey is the key at whose value text ends.
func lastKey(text []byte) string {
	text, ok := bytes.CutSuffix(bytes.TrimRight(text, " \r\n\t"), []byte(":"))
	if !ok {
		return ""
	}
	if text, ok = bytes.CutSuffix(bytes.TrimRight(text, " \r\n\t"), []byte(`"`)); !ok {
		return ""
	}
	return string(text[bytes.LastIndexByte(text, '"')+1:])
}
