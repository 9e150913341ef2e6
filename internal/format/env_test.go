package format

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExport(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		shell Shell
		value string
		want  string
	}{
		{"sh, plain", Sh, "a+b/c==", "export AWS_X='a+b/c=='\n"},
		{"sh, quote", Sh, "'a'", `export AWS_X=''\''a'\'''` + "\n"},
		{"sh, line ends", Sh, "a\r\nb\n", "export AWS_X='a\r\nb\n'\n"},
		{"fish, quote and backslash", Fish, `'\`, `set -gx AWS_X '\'\\'` + "\n"},
		{"powershell, quote", PowerShell, "a'b", "$Env:AWS_X = 'a''b'\n"},
		{"powershell, what double quotes would expand", PowerShell, "$(x)`\"", "$Env:AWS_X = '$(x)`\"'\n"},
		{"cmd", Cmd, "aZ09+/=:-_.,@", `set "AWS_X=aZ09+/=:-_.,@"` + "\n"},
		{"cmd, longest", Cmd, strings.Repeat("a", 8178), `set "AWS_X=` + strings.Repeat("a", 8178) + `"` + "\n"},
		{"nushell", Nushell, "a\"b\\\n", `{"AWS_X":"a\"b\\\n"}` + "\n"},
		{"dotenv", Dotenv, "aZ09+/=:-_.,@", "AWS_X=aZ09+/=:-_.,@\n"},
		{"dotenv, empty", Dotenv, "", "AWS_X=\n"},
		{"json", JSON, "é+/=", `{"AWS_X":"é+/="}` + "\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if err := Export(&b, tc.shell, []Var{{"AWS_X", tc.value}}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExportRefuses(t *testing.T) {
	t.Parallel()
	const (
		nul       = "invalid value: contains a NUL byte"
		empty     = "unsupported value: empty, which removes the variable"
		plain     = "unsupported value: a byte is neither letter, digit nor one of +/=:-_.,@"
		printable = "unsupported value: a byte is not printable ASCII"
		text      = "unsupported value: not UTF-8"
	)
	for _, tc := range []struct {
		shell  Shell
		want   string
		values []string
	}{
		{Sh, nul, []string{"a\x00b"}},
		{Fish, nul, []string{"\x00"}},
		{PowerShell, nul, []string{"\x00"}},
		{PowerShell, empty, []string{""}},
		// Typographic quotes, and the UTF-8 of Ñ, whose second byte is one of them in code page 1252.
		{PowerShell, printable, []string{"a\nb", "a\rb", "\x1b[0m", "\x7f", "\u2018", "\u2019", "\u201a", "\u201b", "Ñ", "\xff"}},
		{Cmd, nul, []string{"\x00"}},
		{Cmd, empty, []string{""}},
		{Cmd, plain, []string{"%PATH%", "a!b", `a"b`, "a&b", "a|b", "a<b", "a>b", "a^b", "a\nb", "a\rb", "a b", "(", "é", "\x1a"}},
		{Cmd, "unsupported value: makes a line of more than 8191 bytes", []string{strings.Repeat("a", 8179)}},
		{Dotenv, nul, []string{"\x00"}},
		{Dotenv, plain, []string{"a\nb", "a'b", `a"b`, `a\b`, "$a", "a b", "a#b", "`", "~", ";", "é", "\xff"}},
		{Nushell, nul, []string{"\x00"}},
		{Nushell, text, []string{"\xff", "\xed\xa0\x80"}},
		{JSON, nul, []string{"\x00"}},
		{JSON, text, []string{"\xff", "a\xc3"}},
	} {
		for _, value := range tc.values {
			var b bytes.Buffer
			err := Export(&b, tc.shell, []Var{{"GOOD", "a"}, {"AWS_X", value}, {"LAST", "b"}})
			want := "setting variable AWS_X for " + string(tc.shell) + ": " + tc.want
			if err == nil || err.Error() != want {
				t.Errorf("%s, %.20q: got error %v, want %q", tc.shell, value, err, want)
			}
			if b.Len() > 0 {
				t.Errorf("%s, %.20q: wrote %q", tc.shell, value, b.String())
			}
		}
	}
}

func TestUnknownShell(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	want := "setting variable A for tcsh: unsupported shell"
	if err := Export(&b, "tcsh", []Var{{"A", "1"}}); err == nil || err.Error() != want || b.Len() > 0 {
		t.Errorf("got error %v and %q, want %q and nothing", err, b.String(), want)
	}
	want = `unsetting variables: unsupported shell "tcsh"`
	if err := Unset(&b, "tcsh", []string{"A"}); err == nil || err.Error() != want || b.Len() > 0 {
		t.Errorf("got error %v and %q, want %q and nothing", err, b.String(), want)
	}
}

func TestUnset(t *testing.T) {
	t.Parallel()
	for shell, want := range map[Shell]string{
		Sh:         "unset -v A\nunset -v B_1\n",
		Fish:       "set -eg A\nset -eg B_1\n",
		PowerShell: "$Env:A = $null\n$Env:B_1 = $null\n",
		Cmd:        "set \"A=\"\nset \"B_1=\"\n",
		Nushell:    `["A","B_1"]` + "\n",
		JSON:       `["A","B_1"]` + "\n",
	} {
		var b bytes.Buffer
		if err := Unset(&b, shell, []string{"A", "B_1"}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Errorf("%s: %s", shell, diff)
		}
	}
	var b bytes.Buffer
	if err := Unset(&b, Dotenv, []string{"A"}); !errors.Is(err, ErrNoUnset) || b.Len() > 0 {
		t.Errorf("dotenv: got error %v and %q, want ErrNoUnset and nothing", err, b.String())
	}
}

func TestVariableNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "1A", "A-B", "A B", "A=B", "A;B", "Ä", "A\n", "A\x00"} {
		for _, shell := range []Shell{Sh, Fish, PowerShell, Cmd, Nushell, Dotenv, JSON} {
			var b bytes.Buffer
			want := "setting variables: invalid name "
			if err := Export(&b, shell, []Var{{"GOOD", "a"}, {name, "a"}}); err == nil || !strings.HasPrefix(err.Error(), want) || b.Len() > 0 {
				t.Errorf("%s, %q: got error %v and %q, want %q and nothing", shell, name, err, b.String(), want)
			}
			want = "unsetting variables: invalid name "
			if err := Unset(&b, shell, []string{name}); err == nil || !strings.HasPrefix(err.Error(), want) || b.Len() > 0 {
				t.Errorf("%s, %q: got error %v and %q, want %q and nothing", shell, name, err, b.String(), want)
			}
		}
	}
}
