package audit

import (
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/valyala/fastjson"
)

// text is a string that outlives its document.
func text(v *fastjson.Value, keys ...string) string {
	if v == nil {
		return ""
	}
	return strings.ToValidUTF8(strings.Clone(cut(view(v, keys...))), "\ufffd")
}

// view is a string that is gone with its document, and may not be UTF-8.
func view(v *fastjson.Value, keys ...string) string {
	b := v.GetStringBytes(keys...)
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // a copy of each string of each event costs as much as parsing it
}

// first is a view of the first of a list of strings, or of the string itself.
func first(v *fastjson.Value, key string) string {
	if v = v.Get(key); v == nil {
		return ""
	}
	if list := v.GetArray(); len(list) > 0 {
		v = list[0]
	}
	return view(v)
}

// date reads what CloudTrail writes as a time: RFC 3339, seconds since 1970, and
// in what the AWS SDK for Java returned Nov 24, 2026, 11:00:00 AM.
func date(v *fastjson.Value) time.Time {
	if v == nil {
		return time.Time{}
	}
	if v.Type() == fastjson.TypeNumber {
		return seconds(v.GetFloat64())
	}
	// Newer Javas put a narrow no-break space before AM.
	s := strings.ReplaceAll(view(v), "\u202f", " ")
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700", "Jan 2, 2006, 3:04:05 PM", "Jan 2, 2006 3:04:05 PM", time.DateTime} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() >= 1970 && t.Year() < 2200 {
			return t.UTC()
		}
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return seconds(f)
	}
	return time.Time{}
}

func seconds(f float64) time.Time {
	if f > 1e11 {
		f /= 1000 // milliseconds
	}
	if !(f > 0 && f < 7e9) { // NaN is neither
		return time.Time{}
	}
	return time.UnixMicro(int64(f * 1e6)).UTC()
}
