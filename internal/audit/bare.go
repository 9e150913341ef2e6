package audit

import (
	"bytes"

	"github.com/valyala/fastjson"
)

// Bare is an event of either log on one line, without what may be secret, none of
// which Run reads: the bodies of requests, what follows the ? of a URI, secret keys
// and session tokens. Of an event that is no JSON, as one that CloudWatch Logs has
// cut, it is what the API server writes before any of these, and false.
func Bare(event []byte) ([]byte, bool) {
	v, err := fastjson.ParseBytes(event)
	if err != nil || v.Type() != fastjson.TypeObject {
		before, _, found := bytes.Cut(event, []byte(`"requestURI"`))
		if !found {
			before = []byte("{")
		}
		return oneLine(before), false
	}
	without(v, "requestObject", "responseObject")
	if path, _, found := bytes.Cut(v.GetStringBytes("requestURI"), []byte("?")); found {
		v.Set("requestURI", new(fastjson.Arena).NewStringBytes(path))
	}
	withoutCredentials(v)
	return oneLine(v.MarshalTo(nil)), true
}

func withoutCredentials(v *fastjson.Value) {
	for _, item := range v.GetArray() {
		withoutCredentials(item)
	}
	if v.Type() != fastjson.TypeObject {
		return
	}
	without(v, "secretAccessKey", "sessionToken")
	v.GetObject().Visit(func(_ []byte, item *fastjson.Value) { withoutCredentials(item) })
}

// without takes out all that have the key: JSON lets one stand twice.
func without(v *fastjson.Value, keys ...string) {
	for _, key := range keys {
		for v.Exists(key) {
			v.Del(key)
		}
	}
}

// oneLine: what is left of line ends is between tokens, or no JSON.
func oneLine(text []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return ' '
		}
		return r
	}, text)
}
