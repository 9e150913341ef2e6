package sessiontag

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"alice", "Team CA", "Zoë 漢字 1", "a_b.c:d/e=f+g-h@i", strings.Repeat("é", 256)} {
		if err := Check(good); err != nil {
			t.Error(err)
		}
		if err := CheckPattern(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "O'Brien", "bob!", "a,b", "Root CA (2026)", "a*", "*", "b?", "${aws:username}", "{{resolve:ssm:x}}", "a\"b", `a\b`, "a\nb",
		"a&b", "a#b", "a%b", "a~b", "a;b", "\xff", "a\u200b", " a", "a ", "\u00a0a", strings.Repeat("a", 257)} {
		if err := Check(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		} else if strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%q: the message has a control character", bad)
		}
	}
	for _, good := range []string{"ci-*", "*.example.org", "a?", "?a*"} {
		if err := CheckPattern(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"*", "?", "**", "*?*", "", "O'*", "a*!", "${*}"} {
		if err := CheckPattern(bad); err == nil {
			t.Errorf("pattern %q is accepted", bad)
		}
	}
}
