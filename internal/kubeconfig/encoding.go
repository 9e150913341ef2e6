package kubeconfig

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// encoding is how a file's text is written. kubectl reads UTF-8, with or without a
// byte order mark, and UTF-16 with one; PowerShell's > writes that.
type encoding struct {
	mark  string           // the byte order mark, if there is one
	order binary.ByteOrder // of UTF-16; nil: UTF-8
}

func encodings() []encoding {
	return []encoding{{"\uFEFF", nil}, {"\xFF\xFE", binary.LittleEndian}, {"\xFE\xFF", binary.BigEndian}}
}

// decode returns the text in UTF-8, without its mark.
func decode(data []byte) (encoding, []byte, error) {
	var e encoding
	for _, known := range encodings() {
		if rest, ok := bytes.CutPrefix(data, []byte(known.mark)); ok {
			e, data = known, rest
			break
		}
	}
	if e.order != nil {
		text, err := decodeUTF16(data, e.order)
		return e, text, err
	}
	if i := bytes.IndexByte(data, 0); i >= 0 && i < 4 {
		name := map[bool]string{true: "UTF-16BE", false: "UTF-16LE"}[i == 0]
		return e, nil, fmt.Errorf("malformed kubeconfig: UTF-16 without a byte order mark, which kubectl does not read (convert it: iconv -f %s -t UTF-8)", name)
	}
	if !utf8.Valid(data) {
		return e, nil, errors.New("malformed kubeconfig: not UTF-8")
	}
	return e, data, nil
}

func decodeUTF16(data []byte, order binary.ByteOrder) ([]byte, error) {
	if len(data)%2 != 0 {
		return nil, errors.New("malformed kubeconfig: UTF-16 with an odd number of bytes")
	}
	units := make([]uint16, 0, len(data)/2)
	for i := 0; i < len(data); i += 2 {
		units = append(units, order.Uint16(data[i:]))
	}
	text := []byte(string(utf16.Decode(units)))
	// What can't be written back as it was is not edited: half a surrogate pair.
	if again, err := encodeUTF16(text, order); err != nil || !bytes.Equal(again, data) {
		return nil, errors.New("malformed kubeconfig: not UTF-16")
	}
	return text, nil
}

func encodeUTF16(text []byte, order binary.ByteOrder) ([]byte, error) {
	units := utf16.Encode([]rune(string(text)))
	out := make([]byte, 2*len(units))
	_, err := binary.Encode(out, order, units)
	return out, err
}

// encode writes text as the file has it.
func (e encoding) encode(text []byte) []byte {
	if e.order != nil {
		if out, err := encodeUTF16(text, e.order); err == nil { // the buffer is as long as is needed
			text = out
		}
	}
	return append([]byte(e.mark), text...)
}
