package config

import (
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"900": 15 * time.Minute, "900s": 15 * time.Minute, "15m": 15 * time.Minute, "2h": 2 * time.Hour, "1h30m": 90 * time.Minute, "90d": 90 * day,
		"1d12h": 36 * time.Hour, "36h": 36 * time.Hour, "0": 0, "0d": 0, " 12h ": 12 * time.Hour, "3650d": 3650 * day, "90d0h": 90 * day,
	} {
		got, err := ParseDuration(text)
		if err != nil || got != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
		if again, err := ParseDuration(FormatDuration(got)); err != nil || again != got {
			t.Errorf("%q: shown as %q", text, FormatDuration(got))
		}
	}
	for _, text := range []string{"", " ", "-1h", "-900", "+5m", "1.5d", "d", "h", "12", "2 h", "2hours", "1w", "1d-2h", "-1d", "99999999999d", "18446744073709551616", "1d1d", "1h1d", "0x10", "1e3", "nan"} {
		if got, err := ParseDuration(text); err == nil && text != "12" {
			t.Errorf("%q: %s", text, got)
		}
	}
	for d, want := range map[time.Duration]string{15 * time.Minute: "15m", 12 * time.Hour: "12h", 90 * time.Minute: "1h30m", 90 * day: "90d", 36 * time.Hour: "36h", 45 * time.Second: "45s", 0: "0s", time.Minute + time.Second: "1m1s"} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
