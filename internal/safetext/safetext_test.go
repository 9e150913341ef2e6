package safetext

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// hostile are names as an attacker chooses them, and what Line shows.
func hostile() map[string]string {
	return map[string]string{
		"alice":                   "alice",
		"Zoë 東京 — ü":              "Zoë 東京 — ü",
		"a\x1b[31mred":            `a\x1b[31mred`,
		"a\x1b]0;title\x07b":      `a\x1b]0;title\x07b`,
		"a\u009b31m\u009d0;t\x9c": `a\u009b31m\u009d0;t\x9c`,
		"a\x9b31m":                `a\x9b31m`,
		"one\ntwo\r\nthree\rfour": `one\x0atwo\x0d\x0athree\x0dfour`,
		"a\tb\x00\x7f\b":          `a\x09b\x00\x7f\x08`,
		"gnp.exe\u202egpj":        `gnp.exe\u202egpj`,
		"\u2066a\u2069\u200e\u200f\u061c\u202a\u202c": `\u2066a\u2069\u200e\u200f\u061c\u202a\u202c`,
		"l\u2028p\u2029n\u0085":                       `l\u2028p\u2029n\u0085`,
		"a\u200bb\u200d\ufeff\u2060\u00ad":            `a\u200bb\u200d\ufeff\u2060\u00ad`,
		"tag\U000e0041\U000e007f\U000e0101":           `tag\U000e0041\U000e007f\U000e0101`,
		"blank\u3164\u115f\u2800\u00a0\u2003\u180e":   `blank\u3164\u115f\u2800\u00a0\u2003\u180e`,
		"sel\ufe0f\u034f":                             `sel\ufe0f\u034f`,
		"bad\xff\xc3":                                 `bad\xff\xc3`,
		"\xed\xa0\x80":                                `\xed\xa0\x80`,
		"unassigned\u0378\ue000":                      `unassigned\u0378\ue000`,
	}
}

// dangerous says whether a terminal or an eye could be deceived.
func dangerous(text string) bool { return !utf8.ValidString(text) || unsafeAt(text, true) >= 0 }

func TestLine(t *testing.T) {
	t.Parallel()
	for in, want := range hostile() {
		if got := Line(in); got != want {
			t.Errorf("Line(%q) = %q, want %q", in, got, want)
		}
		if got := Line(Line(in)); got != want {
			t.Errorf("Line changes its own output %q to %q", want, got)
		}
		if got := Text(in); dangerous(got) || strings.Count(got, "\n") != strings.Count(in, "\n") {
			t.Errorf("Text(%q) = %q", in, got)
		}
	}
	for _, r := range []rune{0, 0x1b, 0x7f, 0x80, 0x9b, 0x9d, 0x9f, 0x061c, 0x200b, 0x200e, 0x2028, 0x202a, 0x202e, 0x2066, 0x2069, 0xfeff, 0xfff9, 0xe0001, 0xe007f} {
		if strings.ContainsRune(Line("a"+string(r)+"b"), r) {
			t.Errorf("U+%04X is shown", r)
		}
	}
	if got := Text("a\r\nb\tc\rd\n"); got != "a\r\nb\tc\\x0dd\n" {
		t.Errorf("Text = %q", got)
	}
}

func TestValueKeepsValuesApart(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	pieces := []string{"", `\`, `\\`, "\x1b", `x1b`, `\x1b`, "a", `C:\users`, "\u202e", `u202e`, "\xff", "\n", `x0a`}
	for _, a := range pieces {
		for _, b := range pieces {
			for _, c := range pieces {
				in := a + b + c
				shown := Value(in)
				if dangerous(shown) {
					t.Errorf("Value(%q) = %q", in, shown)
				}
				if before, ok := seen[shown]; ok && before != in {
					t.Errorf("%q and %q are both shown as %q", before, in, shown)
				}
				seen[shown] = in
			}
		}
	}
	for _, same := range []string{`C:\Users\alice\key.pem`, `a\b`, `\`} {
		if got := Value(same); got != same {
			t.Errorf("Value(%q) = %q", same, got)
		}
	}
}

func TestJSONKeepsTheValue(t *testing.T) {
	t.Parallel()
	for in := range hostile() {
		data, err := json.MarshalIndent(map[string]string{in: in}, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		shown := JSON(data)
		var before, after map[string]string
		if json.Unmarshal(data, &before) != nil || json.Unmarshal(shown, &after) != nil {
			t.Fatalf("%q is no JSON", shown)
		}
		for k := range before {
			if after[k] != before[k] {
				t.Errorf("%q became %q", before[k], after[k])
			}
		}
		if dangerous(string(shown)) {
			t.Errorf("JSON of %q is %q", in, shown)
		}
	}
	if got := JSON([]byte("\"a\xffb\x1bc\"")); string(got) != `"a\ufffdb\u001bc"` {
		t.Errorf("raw bytes in JSON: %q", got)
	}
}

// However a text is cut into writes, it comes out the same.
func TestWriter(t *testing.T) {
	t.Parallel()
	for in := range hostile() {
		in += "\r\nend\r"
		var got bytes.Buffer
		w := &Writer{W: &got}
		buffer := make([]byte, 1)
		for r := iotest.OneByteReader(strings.NewReader(in)); ; {
			n, err := r.Read(buffer)
			if err != nil {
				break
			}
			if m, err := w.Write(buffer[:n]); m != n || err != nil {
				t.Fatal(m, err)
			}
		}
		if err := w.Flush(); err != nil || got.String() != Text(in) {
			t.Errorf("%q came out as %q, want %q (%v)", in, got.String(), Text(in), err)
		}
	}
}

// Every shell that is here reads a quoted name as that name.
func TestQuoteInRealShells(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the shells are POSIX ones")
	}
	names := []string{"", "a b", "$(touch pwned).key", "`id`", `a"b`, "it's", `'`, `''`, "a;b", "a&&b", "a|b", "*", "?", "[a]", "{a,b}", "~", "~root", "=ls", "!!", "#c", "a\\b", `\`,
		"-rf", "--help", "a=b", "%d%s%n", "a%", "$HOME", "${IFS}", "<in", ">out", "(a)", "é", "a\tb", "a\nb", "\nb", "a\n\nb\x01", "\x1b[31m", "\u202egpj", "\xff\xfe", "a\rb", "$'x'", "a\x1b'b$(id)`id`\"\\",
		"a\u00a0b", "\\0101", "%b\x1b"}
	for in := range hostile() {
		if !strings.Contains(in, "\x00") {
			names = append(names, in)
		}
	}
	tried := 0
	for _, shell := range []string{"sh", "bash", "dash", "zsh", "ksh", "mksh", "busybox"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			continue
		}
		tried++
		for _, name := range names {
			line := posix(name)
			if dangerous(line) || strings.Contains(line, "\n") {
				t.Errorf("posix(%q) = %q", name, line)
			}
			args := []string{"-c", `printf '%s\n' ` + line}
			if shell == "busybox" {
				args = append([]string{"sh"}, args...)
			}
			cmd := exec.Command(path, args...)
			cmd.Dir = t.TempDir()
			out, err := cmd.Output()
			if err != nil || string(out) != name+"\n" {
				t.Errorf("%s reads %q, which is %s, as %q (%v)", shell, name, line, out, err)
			}
		}
		if shell == "bash" {
			if out, err := exec.Command(path, "-c", `printf '%s.' `+posix("a\n")).Output(); err != nil || string(out) != "a\n." {
				t.Errorf("a line break at the end: %q, %v", out, err)
			}
		}
	}
	if tried == 0 {
		t.Fatal("no shell found")
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"a": "a", `C:\a b`: `'C:\a b'`, "it's": "'it''s'", "’;calc;’": "'’’;calc;’’'", "$(calc)": "'$(calc)'", "a,b": "'a,b'", "@x": "'@x'",
		"": "''", "-x": "'-x'", "a\x1b$`": "\"a`u{1b}`u{24}`u{60}\""} {
		if got := powerShell(in); got != want {
			t.Errorf("powerShell(%q) = %s, want %s", in, got, want)
		}
	}
	if runtime.GOOS == "windows" {
		return
	}
	if got := Quote("cp", "a b", "c"); got != "cp 'a b' c" {
		t.Errorf("Quote = %s", got)
	}
	for in, want := range map[string]string{"-key.pem": "./-key.pem", "-a b": "'./-a b'", "key.pem": "key.pem", "/-x": "/-x"} {
		if got := File(in); got != want {
			t.Errorf("File(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	var s Secrets
	long := "IQoJb3JpZ2luX2VjEXAMPLE+token/with=signs"
	s.Add(long, `pass"word\`, "short", "")
	for in, want := range map[string]string{
		"the token " + long + " is bad":      "the token [redacted] is bad",
		"cut: " + long[:20] + "…":            "cut: [redacted]…",
		"twice " + long + long:               "twice [redacted][redacted]",
		"X=IQoJb3JpZ2luX2VjEXAMPLE%2Btoken&": "X=[redacted]&",
		`password "pass\"word\\"`:            `password "[redacted]"`,
		`password pass"word\ here`:           `password [redacted] here`,
		"a short word":                       "a short word",
	} {
		if got := s.Mask(in); got != want {
			t.Errorf("Mask(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestScrub(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"proxy http://user:p@ss#w@host:3128/ refused": "proxy http://[redacted]@host:3128/ refused",
		`parse "http://user:p/ss@host": invalid`:      `parse "http://[redacted]@host": invalid`,
		"https://token@host":                          "https://[redacted]@host",
		"https://host:8443/a@b and spiffe://td/x@y":   "https://host:8443/a@b and spiffe://td/x@y",
		"mail alice@example.org":                      "mail alice@example.org",
		`key "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----\n" x`: `key "[redacted]\n" x`,
		"-----BEGIN PRIVATE KEY-----\nMIIE":                                                "[redacted]",
		"bearer k8s-aws-v1.aHR0cHM6Ly9zdHM_-=":                                             "bearer [redacted]",
		"X-Amz-Security-Token=abc&X":                                                       "X-Amz-Security-Token=[redacted]&X",
		`{"SecretAccessKey": "abc/def"}`:                                                   `{"SecretAccessKey": "[redacted]"}`,
	} {
		if got := Scrub(in); got != want {
			t.Errorf("Scrub(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"https://user:pw@host/x?sig=1#f": "https://[redacted]@host/x", "http://u:p@ss#w@host": "http://[redacted]@host", "https://host:1/p": "https://host:1/p",
		"u:p%zz@host": "[redacted]@host", "http://a:b?c@h": "http://[redacted]@h",
	} {
		if got := URL(in); got != want {
			t.Errorf("URL(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzShown(f *testing.F) {
	for in := range hostile() {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, shown := range []string{Line(in), Value(in)} {
			if dangerous(shown) || strings.ContainsAny(shown, "\n\t\r") {
				t.Errorf("%q is shown as %q", in, shown)
			}
		}
		if Line(Line(in)) != Line(in) || Text(Text(in)) != Text(in) || dangerous(Text(in)) {
			t.Errorf("%q", in)
		}
		data, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var before, after string
		if json.Unmarshal(data, &before) != nil || json.Unmarshal(JSON(data), &after) != nil || before != after {
			t.Errorf("%q: JSON %q", in, JSON(data))
		}
	})
}
