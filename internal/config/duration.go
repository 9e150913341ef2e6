package config

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// ParseDuration reads a length of time as all flags and settings take it: 900 (seconds), 15m, 12h, 1h30m, 90d, 1d12h.
func ParseDuration(text string) (time.Duration, error) {
	const day = 24 * time.Hour
	malformed := errors.New("a length of time is needed, as in 90d or 36h, 15m or 900 (seconds)")
	text = strings.TrimSpace(text)
	if allDigits(text) {
		text += "s"
	}
	var whole time.Duration
	if days, rest, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || !allDigits(days) || n > 100*366 {
			return 0, malformed
		}
		if whole, text = time.Duration(n)*day, rest; text == "" {
			return whole, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || strings.HasPrefix(text, "+") || strings.HasPrefix(text, "-") || whole+d < 0 {
		return 0, malformed
	}
	return whole + d, nil
}

func allDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// FormatDuration writes it as [ParseDuration] reads it, without what is zero: 90d, 12h, 1h30m.
func FormatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
