package audit

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// maxPacked is how often a log may be compressed: Firehose compresses what
	// CloudWatch Logs has compressed, and somebody the file.
	maxPacked = 4
	// peeked is what tells the form of a log; a tar's magic number is at 257.
	peeked = 4 << 10
)

// unsupported is a form that is not read. The text has no part of the log.
type unsupported struct{ why string }

func (e *unsupported) Error() string { return "unsupported format: " + e.why }

// plain is the log's text, in UTF-8 and a form that the splitter reads. What it is
// its first bytes tell: a name is often wrong, and a download may be decompressed
// on the way.
func plain(r io.Reader, found *tally) (io.Reader, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	for range maxPacked + 1 {
		head, err := in.Peek(peeked)
		if err != nil && len(head) == 0 {
			return in, nil // its error comes with the first read
		}
		if !bytes.HasPrefix(head, []byte(gzipMagic)) {
			return text8(in, found)
		}
		members := &members{in: in}
		if members.gzip, err = gzip.NewReader(in); err != nil {
			return nil, err
		}
		members.gzip.Multistream(false)
		in = bufio.NewReaderSize(members, 64<<10)
	}
	return nil, &unsupported{fmt.Sprintf("gzip within gzip more than %d times", maxPacked)}
}

const gzipMagic = "\x1f\x8b" // RFC 1952 §2.3.1

// members reads one member of gzip after the other. Firehose may put a newline
// between them.
type members struct {
	in   *bufio.Reader
	gzip *gzip.Reader
}

func (m *members) Read(p []byte) (int, error) {
	for {
		n, err := m.gzip.Read(p)
		if n > 0 || !errors.Is(err, io.EOF) {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return n, err
		}
		for {
			c, err := m.in.ReadByte()
			if err != nil {
				return 0, err
			}
			if !blank(c) {
				break
			}
		}
		if err := m.in.UnreadByte(); err != nil {
			return 0, err
		}
		if err := m.gzip.Reset(m.in); err != nil {
			return 0, err
		}
		m.gzip.Multistream(false)
	}
}

// text8 makes UTF-8 of UTF-16, and lines of JSON of what has another form.
func text8(in *bufio.Reader, found *tally) (io.Reader, error) {
	head, _ := in.Peek(peeked)
	if why := foreign(head); why != "" {
		return nil, &unsupported{why}
	}
	if order := utf16Order(head); order != nil {
		in = bufio.NewReaderSize(&utf16Reader{in: in, order: order}, 64<<10)
		head, _ = in.Peek(peeked)
	}
	head = trim(head)
	if why := otherText(head); why != "" {
		return nil, &unsupported{why}
	}
	first, _, _ := bytes.Cut(head, []byte("\n"))
	lines := &lineReader{in: in, found: found}
	switch {
	case isHeader(first):
		return &csvReader{lineReader: lines}, nil
	case isYAML(head):
		return &yamlReader{lineReader: lines, at: -1}, nil
	case isPartial(first):
		return &partialReader{lineReader: lines}, nil
	}
	return in, nil
}

// foreign names a form that is known by its first bytes.
func foreign(head []byte) string {
	for _, f := range []struct{ magic, why string }{
		{"\x28\xb5\x2f\xfd", "Zstandard; decompress it: zstd -d FILE"},
		{"\xfd7zXZ\x00", "xz; decompress it: xz -d FILE"},
		{"BZh", "bzip2; decompress it: bunzip2 FILE"},
		{"\x04\x22\x4d\x18", "LZ4; decompress it: lz4 -d FILE"},
		{"\xff\x06\x00\x00sNaPpY", "Snappy; decompress it: snzip -d FILE"},
		{"\xff\x06\x00\x00SnAPpY", "Snappy; decompress it: snzip -d FILE"},
		{"7z\xbc\xaf\x27\x1c", "7-Zip; unpack it: 7z x FILE"},
		{"PK\x03\x04", "ZIP (or an Excel sheet); unpack it: unzip FILE, or save the sheet as CSV"},
		{"PK\x05\x06", "ZIP; it is empty"},
		{"PAR1", `Parquet; convert it: duckdb -c "COPY (FROM 'FILE.parquet') TO 'FILE.json'"`},
		{"ORC", "ORC; convert it to JSON, for example with Athena's UNLOAD … WITH (format = 'JSON')"},
		{"Obj\x01", "Avro; convert it: avro-tools tojson FILE"},
		{"%PDF-", "PDF"},
		{"SQLite format 3\x00", "a SQLite database"},
		{"\xff\xfe\x00\x00", "UTF-32; convert it: iconv -f UTF-32 -t UTF-8 FILE"},
		{"\x00\x00\xfe\xff", "UTF-32; convert it: iconv -f UTF-32 -t UTF-8 FILE"},
	} {
		if bytes.HasPrefix(head, []byte(f.magic)) {
			return f.why
		}
	}
	if len(head) > 262 && string(head[257:262]) == "ustar" {
		return "tar; unpack it: tar -xf FILE"
	}
	return ""
}

// otherText names a form of text that is known by its beginning.
func otherText(head []byte) string {
	start := bytes.ToLower(head[:min(len(head), 16)])
	for _, tag := range []string{"<!doctype", "<html", "<?xml", "<error>"} {
		if bytes.HasPrefix(start, []byte(tag)) {
			return "HTML or XML, as an error of S3 or of a proxy; download it again"
		}
	}
	if bytes.HasPrefix(head, []byte("----------")) || bytes.HasPrefix(head, []byte("+-----")) {
		return "a table of the AWS CLI; run it with --output json"
	}
	return ""
}

// utf16Order tells UTF-16 by its byte order mark, as PowerShell writes it, or by
// the NUL in each of the first characters; nil: it is none.
func utf16Order(head []byte) func([]byte) uint16 {
	little := func(b []byte) uint16 { return uint16(b[0]) | uint16(b[1])<<8 }
	big := func(b []byte) uint16 { return uint16(b[1]) | uint16(b[0])<<8 }
	switch {
	case len(head) < 4:
	case head[0] == 0xff && head[1] == 0xfe, head[0] != 0 && head[1] == 0 && head[2] != 0 && head[3] == 0:
		return little
	case head[0] == 0xfe && head[1] == 0xff, head[0] == 0 && head[1] != 0 && head[2] == 0 && head[3] != 0:
		return big
	}
	return nil
}

// utf16Reader gives UTF-8.
type utf16Reader struct {
	in    *bufio.Reader
	order func([]byte) uint16
	out   []byte
	err   error
}

func (r *utf16Reader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.fill()
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

func (r *utf16Reader) fill() {
	var units [2 << 10]uint16
	n := 0
	var pair [2]byte
	next := func() bool {
		if _, r.err = io.ReadFull(r.in, pair[:]); r.err != nil {
			return false
		}
		units[n] = r.order(pair[:])
		n++
		return true
	}
	for n < len(units)-1 && next() {
	}
	if n > 0 && r.err == nil && units[n-1]&0xfc00 == 0xd800 { // the first half of a character
		next()
	}
	r.out = r.out[:0]
	for _, c := range utf16.Decode(units[:n]) {
		r.out = utf8.AppendRune(r.out, c)
	}
}
