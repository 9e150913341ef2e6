package kubeconfig

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// lineStarts counts lines as the parser does: YAML 1.1 §4.2 has five line breaks.
func lineStarts(data []byte) []int {
	starts := []int{0}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		i += size
		switch {
		case r == '\r' && i < len(data) && data[i] == '\n':
		case r == '\n', r == '\r', r == '\u0085', r == '\u2028', r == '\u2029':
			starts = append(starts, i)
		}
	}
	return starts
}

// lineStart is the offset of a line counted from 0; after the last one, the end.
func (d *document) lineStart(line int) int {
	if line >= len(d.lines) {
		return len(d.data)
	}
	return d.lines[line]
}

// line is its text without the line break.
func (d *document) line(i int) string {
	return strings.TrimRight(string(d.data[d.lineStart(i):d.lineStart(i+1)]), "\r\n")
}

// offset is where a node begins. Columns count characters.
func (d *document) offset(n *yaml.Node) int {
	at := d.lineStart(n.Line - 1)
	for range n.Column - 1 {
		if at >= len(d.data) {
			break
		}
		_, size := utf8.DecodeRune(d.data[at:])
		at += size
	}
	return at
}

// eol is the line break that the file uses.
func (d *document) eol() string {
	if i := bytes.IndexByte(d.data, '\n'); i > 0 && d.data[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// indented is the text with the file's line breaks and so many columns to its left.
func (d *document) indented(text []byte, columns int) string {
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		if line != "" {
			b.WriteString(strings.Repeat(" ", columns))
		}
		b.WriteString(line + d.eol())
	}
	return b.String()
}

// insertLines puts whole lines in before the line. A file that ends without a line
// break goes on doing so.
func (d *document) insertLines(line int, lines string) []byte {
	return d.insertLinesAt(d.data, d.lineStart(line), lines)
}

func (d *document) insertLinesAt(data []byte, at int, lines string) []byte {
	if at == len(data) && at > 0 && !endsLine(data) {
		lines = d.eol() + strings.TrimSuffix(lines, d.eol())
	}
	return splice(data, at, at, lines)
}

// removeLines is the reverse of insertLines.
func removeLines(data []byte, start, end int) []byte {
	if end = min(end, len(data)); end == len(data) && !endsLine(data) {
		before := bytes.TrimSuffix(data[:start], []byte("\n"))
		start = len(bytes.TrimSuffix(before, []byte("\r")))
	}
	return splice(data, start, end, "")
}

func endsLine(data []byte) bool {
	r, _ := utf8.DecodeLastRune(data)
	return strings.ContainsRune("\n\r\u0085\u2028\u2029", r)
}

func splice(data []byte, start, end int, text string) []byte {
	out := make([]byte, 0, len(data)-(end-start)+len(text))
	out = append(out, data[:start]...)
	out = append(out, text...)
	return append(out, data[end:]...)
}

// keyLine is the line of a key of the top level. After the last one it is where
// the document ends.
func (d *document) keyLine(i int) int {
	if i < len(d.root.Content) {
		return d.root.Content[i].Line - 1
	}
	return d.endLine()
}

// endLine is the line of the marker that ends the document, or the end of the file.
func (d *document) endLine() int {
	for i := range d.lines {
		if line := d.line(i); strings.HasPrefix(line, "...") && strings.TrimLeft(line[3:], " \t") == "" {
			return i
		}
	}
	if endsLine(d.data) {
		return len(d.lines) - 1
	}
	return len(d.lines)
}

// contentEnd is the line after the last one in [from, to) that is neither blank
// nor a comment: those belong to what follows.
func (d *document) contentEnd(from, to int) int {
	for to > from {
		if line := strings.TrimLeft(d.line(to-1), " \t"); line != "" && line[0] != '#' {
			break
		}
		to--
	}
	return to
}

// dash is the line and the column of the dash before an entry of a block list.
func (d *document) dash(item *yaml.Node) (line, column int, ok bool) {
	for line = min(item.Line, len(d.lines)) - 1; line >= 0; line-- {
		text := d.line(line)
		column = len(text) - len(strings.TrimLeft(text, " "))
		if rest := text[column:]; rest == "-" || strings.HasPrefix(rest, "- ") {
			return line, column, true
		}
	}
	return 0, 0, false
}

// afterColon is the offset after a key's colon.
func (d *document) afterColon(key *yaml.Node) (int, bool) {
	_, at, ok := d.span(key)
	for ; ok && at < len(d.data); at++ {
		switch d.data[at] {
		case ' ', '\t':
		case ':':
			return at + 1, true
		default:
			return 0, false
		}
	}
	return 0, false
}

// span is where a scalar stands, if that is on one line and without a tag or an
// anchor.
func (d *document) span(n *yaml.Node) (start, end int, ok bool) {
	start = d.offset(n)
	rest := d.data[start:]
	switch {
	case n.Kind != yaml.ScalarNode:
	case n.Style&yaml.DoubleQuotedStyle != 0:
		if len(rest) > 0 && rest[0] == '"' {
			end, ok = quoteEnd(d.data, start)
		}
	case n.Style&yaml.SingleQuotedStyle != 0:
		if len(rest) > 0 && rest[0] == '\'' {
			end, ok = quoteEnd(d.data, start)
		}
	default:
		end, ok = start+len(n.Value), bytes.HasPrefix(rest, []byte(n.Value))
	}
	return start, end, ok
}
