package keys

import (
	"encoding/asn1"
	"encoding/binary"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// nameNumbers numbers distinguished names. Equal names have one number. They are compared as RFC 5280 §7.1 does: by their characters,
// whatever kind of string holds them, without regard to letter case and to blanks at the ends or several in a row.
type nameNumbers map[string]int

func (n nameNumbers) of(raw []byte) int {
	name := canonicalName(raw)
	number, known := n[name]
	if !known {
		number = len(n)
		n[name] = number
	}
	return number
}

// canonicalName returns raw itself if it is not a name.
func canonicalName(raw []byte) string {
	// Name ::= SEQUENCE OF SET OF SEQUENCE { type OBJECT IDENTIFIER, value ANY }
	var rdns []asn1.RawValue
	if rest, err := asn1.Unmarshal(raw, &rdns); err != nil || len(rest) > 0 {
		return string(raw)
	}
	var out []byte
	for _, rdn := range rdns {
		var attributes []string
		for rest := rdn.Bytes; len(rest) > 0; {
			var attribute struct {
				Type  asn1.ObjectIdentifier
				Value asn1.RawValue
			}
			var err error
			if rest, err = asn1.Unmarshal(rest, &attribute); err != nil {
				return string(raw)
			}
			oid := attribute.Type.String()
			attributes = append(attributes, withLength(oid)+withLength(canonicalValue(attribute.Value)))
		}
		slices.Sort(attributes) // a set has no order; DER's is that of the bytes, which the kind of string changes
		out = append(out, withLength(strings.Join(attributes, ""))...)
	}
	return string(out)
}

// withLength keeps the end of one part from being read as the beginning of the next.
func withLength(s string) string {
	return string(binary.AppendUvarint(nil, uint64(len(s)))) + s
}

// canonicalValue returns the value of an attribute; what is not a string is compared by its bytes.
func canonicalValue(v asn1.RawValue) string {
	text, ok := characters(v)
	if !ok {
		return "\x00" + string(v.FullBytes)
	}
	return "s" + strings.Map(foldCase, strings.Join(strings.Fields(text), " "))
}

// characters returns what a string of any kind says.
func characters(v asn1.RawValue) (string, bool) {
	if v.Class != asn1.ClassUniversal || v.IsCompound {
		return "", false
	}
	const universalString, visibleString = 28, 26
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, asn1.TagNumericString, visibleString:
		return string(v.Bytes), utf8.Valid(v.Bytes)
	case asn1.TagT61String: // as all tools have it: Latin-1
		runes := make([]rune, len(v.Bytes))
		for i, b := range v.Bytes {
			runes[i] = rune(b)
		}
		return string(runes), true
	case asn1.TagBMPString:
		if len(v.Bytes)%2 != 0 {
			return "", false
		}
		units := make([]uint16, len(v.Bytes)/2)
		for i := range units {
			units[i] = binary.BigEndian.Uint16(v.Bytes[2*i:])
		}
		return string(utf16.Decode(units)), true
	case universalString:
		if len(v.Bytes)%4 != 0 {
			return "", false
		}
		var text strings.Builder
		for i := 0; i < len(v.Bytes); i += 4 {
			text.WriteRune(rune(min(binary.BigEndian.Uint32(v.Bytes[i:]), unicode.MaxRune+1)))
		}
		return text.String(), true
	}
	return "", false
}

// foldCase returns the first of the letters that differ by case alone.
func foldCase(r rune) rune {
	least := r
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		least = min(least, other)
	}
	return least
}
