// Package safetext makes text from outside safe to show: to a person, a
// terminal, a log, a report. What a terminal would obey, what the eye does not
// see and what reorders a line is shown as an escape, so that nothing is hidden
// and distinct names stay distinct. Secrets are taken out.
//
//	https://www.unicode.org/reports/tr36/ (bidirectional and invisible characters)
//	https://trojansource.codes
package safetext

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// visible says whether a rune shows as itself and does nothing else. Not so:
// controls (C0, DEL, C1), format characters (bidirectional controls, zero-width
// ones, tags), separators other than the space, what renders as nothing
// (variation selectors, fillers), and what is assigned to nothing.
func visible(r rune) bool {
	const brailleBlank = 0x2800 // a symbol by its class
	if r >= ' ' && r < 0x7f {
		return true
	}
	return unicode.IsPrint(r) && r != brailleBlank && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Line is text on one line, a line break being an escape. It changes nothing in
// its own output.
func Line(text string) string { return escape(text, false) }

// Text is Line for text that has lines and columns: line feeds, with a carriage
// return before them, and tabs stay.
func Text(text string) string { return escape(text, true) }

func escape(text string, lines bool) string {
	at := unsafeAt(text, lines)
	if at < 0 {
		return text
	}
	var b strings.Builder
	for ; at >= 0; at = unsafeAt(text, lines) {
		b.WriteString(text[:at])
		r, size := utf8.DecodeRuneInString(text[at:])
		writeEscape(&b, r, text[at:at+size])
		text = text[at+size:]
	}
	b.WriteString(text)
	return b.String()
}

// unsafeAt is where the first rune is that needs an escape, or -1.
func unsafeAt(text string, lines bool) int {
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c < 0x7f || lines && (c == '\n' || c == '\t' || c == '\r' && i+1 < len(text) && text[i+1] == '\n') {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && size == 1 || !visible(r) {
			return i
		}
		i += size
	}
	return -1
}

// writeEscape writes \x1b, \u202e or \U000e0041; \xff also is a byte that is not
// UTF-8.
func writeEscape(b *strings.Builder, r rune, encoded string) {
	switch {
	case len(encoded) == 1:
		fmt.Fprintf(b, `\x%02x`, encoded[0])
	case r < 0x10000:
		fmt.Fprintf(b, `\u%04x`, r)
	default:
		fmt.Fprintf(b, `\U%08x`, r)
	}
}

// Value is Line for one value as it came, such as a name in a table: no two
// values look the same. A backslash is doubled where it would read as an escape.
func Value(text string) string {
	if !strings.Contains(text, `\`) {
		return Line(text)
	}
	var b strings.Builder
	for text != "" {
		n := len(text) - len(strings.TrimLeft(text, `\`))
		rest := text[n:]
		b.WriteString(text[:n])
		if n > 0 && (unsafeAt(rest, false) == 0 || readsAsEscape(rest)) {
			b.WriteString(text[:n])
		}
		next := strings.IndexByte(rest, '\\')
		if next < 0 {
			next = len(rest)
		}
		b.WriteString(Line(rest[:next]))
		text = rest[next:]
	}
	return b.String()
}

// readsAsEscape says whether text after a backslash looks like writeEscape's.
func readsAsEscape(text string) bool {
	if text == "" {
		return false
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[text[0]]
	return digits > 0 && len(text) > digits && strings.Trim(text[1:1+digits], "0123456789abcdefABCDEF") == ""
}

// JSON escapes in a JSON text what JSON lets stand, so that it decodes to the
// same values. Such runes are in strings alone: outside of them JSON has none.
func JSON(data []byte) []byte {
	if unsafeAt(string(data), true) < 0 {
		return data
	}
	var b bytes.Buffer
	for text := string(data); text != ""; {
		at := unsafeAt(text, true)
		if at < 0 {
			at = len(text)
		}
		b.WriteString(text[:at])
		if text = text[at:]; text == "" {
			break
		}
		r, size := utf8.DecodeRuneInString(text) // what is not UTF-8 is U+FFFD, as in encoding/json
		text = text[size:]
		if r >= 0x10000 {
			const first, ten = 0x10000, 10 // UTF-16, RFC 8259 section 7
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+(r-first)>>ten, 0xdc00+(r-first)&(1<<ten-1))
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}

// Writer is Text for what is written in pieces. Flush writes what it held back,
// which is part of a rune or of a line break.
type Writer struct {
	W    io.Writer
	held []byte
}

// Write writes p, or all but its last few bytes.
func (w *Writer) Write(p []byte) (int, error) {
	all := append(w.held, p...)
	keep := partial(all)
	if _, err := io.WriteString(w.W, Text(string(all[:len(all)-keep]))); err != nil {
		return 0, err
	}
	w.held = append(w.held[:0], all[len(all)-keep:]...)
	return len(p), nil
}

// Flush ends the text.
func (w *Writer) Flush() error {
	rest := Text(string(w.held))
	w.held = nil
	if rest == "" {
		return nil
	}
	_, err := io.WriteString(w.W, rest)
	return err
}

// partial is how many bytes at the end may be the beginning of more.
func partial(p []byte) int {
	if bytes.HasSuffix(p, []byte("\r")) {
		return 1
	}
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		if tail := p[len(p)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}
