package audit

import (
	"bytes"
	"encoding/json"
)

// Bare is an event of either log on one line, without what may be secret, none of
// which Run reads: the bodies of requests, what follows the ? of a URI, secret keys
// and session tokens. Of an event that is no JSON, as one that CloudWatch Logs has
// cut, it is what the API server writes before any of these, and false.
func Bare(event []byte) ([]byte, bool) {
	var line bytes.Buffer
	if event = bytes.TrimSpace(event); json.Compact(&line, event) != nil || event[0] != '{' {
		before, _, found := bytes.Cut(event, []byte(`"requestURI"`))
		if !found {
			return []byte("{"), false
		}
		return bytes.ReplaceAll(bytes.ReplaceAll(before, []byte("\n"), nil), []byte("\r"), nil), false
	}
	return appendBare(nil, line.Bytes()), true
}

// appendBare takes JSON that is valid. fastjson can't write what it has read: its
// strings are Go's then.
func appendBare(to, value []byte) []byte {
	if value[0] != '{' && value[0] != '[' {
		return append(to, value...)
	}
	parts := json.NewDecoder(bytes.NewReader(value))
	_, _ = parts.Token() // the bracket; what is valid gives no error
	to = append(to, value[0])
	for between := ""; parts.More(); {
		var item json.RawMessage
		if value[0] == '{' {
			key, _ := parts.Token()
			_ = parts.Decode(&item)
			switch key {
			case "requestObject", "responseObject", "secretAccessKey", "sessionToken":
				continue
			case "requestURI":
				if item[0] == '"' {
					item = withoutParameters(item)
				}
			}
			name, _ := json.Marshal(key)
			to = append(append(append(to, between...), name...), ':')
		} else {
			_ = parts.Decode(&item)
			to = append(to, between...)
		}
		to = appendBare(to, item)
		between = ","
	}
	return append(to, value[0]+2) // ASCII: {} and [] are two apart
}

// withoutParameters cuts a string as it is written, so that nothing else changes.
func withoutParameters(uri json.RawMessage) json.RawMessage {
	for i := 0; i < len(uri); i++ {
		switch {
		case uri[i] == '?', len(uri)-i > 6 && bytes.EqualFold(uri[i:i+6], []byte(`\u003f`)):
			return append(bytes.Clone(uri[:i]), '"')
		case uri[i] == '\\':
			i++ // whatever it escapes is no ?
		}
	}
	return uri
}
