package keys

import (
	"bytes"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"strings"
)

// restoreLines writes PEM blocks anew whose line breaks became blanks, "\n" in letters as in JSON or a variable, or nothing. A block is
// only touched if there is no doubt: what stands between its markers is base64 of whole ASN.1 values.
func restoreLines(text []byte) []byte {
	const begin, dashes = "-----BEGIN ", "-----"
	var out bytes.Buffer
	for rest := string(text); ; {
		_, after, found := strings.Cut(rest, begin)
		if !found {
			return out.Bytes()
		}
		label, body, ok := strings.Cut(after, dashes)
		if !ok {
			return append(out.Bytes(), begin+after...)
		}
		end := dashes + "END " + label + dashes
		content, next, ended := strings.Cut(body, end)
		der, whole := decodeBody(content)
		switch {
		case !ended || strings.Contains(content, begin): // the next may be whole
			out.WriteString(begin + label + dashes + "\n")
			rest = body
			continue
		case whole:
			_ = pem.Encode(&out, &pem.Block{Type: label, Bytes: der})
		default:
			out.WriteString(begin + label + dashes + content + end + "\n")
		}
		rest = next
	}
}

// decodeBody decodes base64 that is whole ASN.1 values.
func decodeBody(content string) ([]byte, bool) {
	// What JSON writes in the place of characters that base64 and its lines have.
	escapes := strings.NewReplacer(`\\r`, "", `\\n`, "", `\r`, "", `\n`, "", `\t`, "", `\/`, "/",
		`\u002b`, "+", `\u002B`, "+", `\u002f`, "/", `\u002F`, "/", `\u003d`, "=", `\u003D`, "=")
	compact := strings.Join(strings.Fields(escapes.Replace(content)), "")
	der, err := base64.StdEncoding.Strict().DecodeString(compact)
	if err != nil || len(der) == 0 {
		return nil, false
	}
	for rest := der; len(rest) > 0; {
		var one asn1.RawValue
		if rest, err = asn1.Unmarshal(rest, &one); err != nil || one.Tag != asn1.TagSequence || !one.IsCompound {
			return nil, false
		}
	}
	return der, true
}
