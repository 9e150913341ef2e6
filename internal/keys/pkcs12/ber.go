package pkcs12

import (
	"encoding/asn1"
	"errors"
	"fmt"
)

// maxDepth is of ASN.1 within ASN.1. A PKCS#12 file goes about ten deep.
const maxDepth = 32

// ToDER converts BER (X.690 §8) to DER as far as encoding/asn1 needs it: definite lengths of the least bytes, and strings in
// one piece. Bytes after the first element are refused. The depth is bounded, and the result is no longer than half as
// much again.
//
// An OCTET STRING under a context tag, with an indefinite length or in pieces, stays in pieces: only who knows the
// structure knows that it is one.
func ToDER(ber []byte) ([]byte, error) {
	r := reader{ber}
	out, err := r.element(nil, 0)
	if err == nil && len(r.rest) > 0 {
		err = errors.New("malformed ASN.1: bytes after the end")
	}
	return out, err
}

type reader struct{ rest []byte }

var errTruncated = errors.New("malformed ASN.1: truncated")

type header struct {
	tag        []byte // as written
	number     int    // of the tag, if it is universal, else -1
	compound   bool
	indefinite bool
	content    []byte // if its length is definite
}

// header reads identifier and length, and the content if it can be told from what follows.
func (r *reader) header() (header, error) {
	var h header
	in := r.rest
	if len(in) < 2 {
		return h, errTruncated
	}
	n := 1
	h.compound, h.number = in[0]&0x20 != 0, -1
	switch {
	case in[0]&0x1f == 0x1f: // §8.1.2.4: no structure here has such tags, but what it passes over may
		for ; n < len(in) && in[n]&0x80 != 0; n++ {
		}
		n++
	case in[0]&0xc0 == 0:
		h.number = int(in[0] & 0x1f)
	}
	if n >= len(in) || n > 6 {
		return h, errTruncated
	}
	h.tag = in[:n]
	length := int(in[n])
	n++
	switch {
	case length == 0x80:
		h.indefinite = true
		if !h.compound {
			return h, errors.New("malformed ASN.1: a primitive value of indefinite length")
		}
		r.rest = in[n:]
		return h, nil
	case length > 0x80:
		size := length & 0x7f
		length = 0
		for ; size > 0; size-- {
			if n >= len(in) || length >= 1<<22 {
				return h, errTruncated
			}
			length = length<<8 | int(in[n])
			n++
		}
	}
	if length > len(in)-n {
		return h, errTruncated
	}
	h.content, r.rest = in[n:n+length], in[n+length:]
	return h, nil
}

// element appends the next one, converted, to out.
func (r *reader) element(out []byte, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("malformed ASN.1: nested more than %d deep", maxDepth)
	}
	h, err := r.header()
	if err != nil {
		return nil, err
	}
	if !h.compound {
		return appendElement(out, h.tag, h.content), nil
	}
	inner := r
	if !h.indefinite {
		inner = &reader{h.content}
	}
	isString := h.number == asn1.TagOctetString
	var content []byte
	for {
		if h.indefinite && len(inner.rest) >= 2 && inner.rest[0] == 0 && inner.rest[1] == 0 {
			inner.rest = inner.rest[2:]
			break
		}
		if !h.indefinite && len(inner.rest) == 0 {
			break
		}
		if isString {
			content, err = inner.piece(content, depth+1)
		} else {
			content, err = inner.element(content, depth+1)
		}
		if err != nil {
			return nil, err
		}
	}
	tag := h.tag
	if isString {
		tag = []byte{asn1.TagOctetString}
	}
	return appendElement(out, tag, content), nil
}

// piece appends the content of the next part of an OCTET STRING, which may have parts itself (§8.7.3).
func (r *reader) piece(content []byte, depth int) ([]byte, error) {
	part, err := r.element(nil, depth)
	if err != nil {
		return nil, err
	}
	var s []byte
	if _, err := asn1.Unmarshal(part, &s); err != nil {
		return nil, errors.New("malformed ASN.1: a part of a string is of another type")
	}
	return append(content, s...), nil
}

func appendElement(out, tag, content []byte) []byte {
	out = append(out, tag...)
	switch n := len(content); {
	case n < 0x80:
		out = append(out, byte(n))
	case n < 1<<8:
		out = append(out, 0x81, byte(n))
	case n < 1<<16:
		out = append(out, 0x82, byte(n>>8), byte(n)) //nolint:gosec // its digits
	default:
		out = append(out, 0x83, byte(n>>16), byte(n>>8), byte(n)) //nolint:gosec // its digits
	}
	return append(out, content...)
}
