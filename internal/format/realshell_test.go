package format

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// A realShell is a program on this machine that takes what Export and Unset
// write, by the command line that the documentation gives for it.
type realShell struct {
	name  string
	shell Shell
	argv  []string // the script follows as the last argument
	set   string   // reads the file "set", then writes the environment to "set.env"
	unset string   // reads the file "unset", then writes the environment to "unset.env"
}

const (
	shSet     = `eval "$(cat set)"; env -0 >set.env; `
	shUnset   = `eval "$(cat unset)"; env -0 >unset.env`
	fishSet   = `cat set | source; env -0 >set.env; `
	fishUnset = `cat unset | source; env -0 >unset.env`
	nuSet     = `^cat set | from json | load-env; ^env -0 o> set.env; `
	nuUnset   = `hide-env -i ...(^cat unset | from json); ^env -0 o> unset.env`
	pwshSet   = `cat set | Invoke-Expression; sh -c 'env -0 >set.env'; `
	pwshUnset = `cat unset | Invoke-Expression; sh -c 'env -0 >unset.env'`
	nodeSet   = `require("fs").writeFileSync("set.env", Object.entries(process.env).map(([k, v]) => k + "=" + v).join("\0"))`
)

func realShells() []realShell {
	return []realShell{
		{"sh", Sh, []string{"sh", "-c"}, shSet, shUnset},
		{"bash", Sh, []string{"bash", "--norc", "-c"}, shSet, shUnset},
		{"bash as posix", Sh, []string{"bash", "--posix", "-c"}, shSet, shUnset},
		{"zsh", Sh, []string{"zsh", "-f", "-c"}, shSet, shUnset},
		{"zsh with rcquotes", Sh, []string{"zsh", "-f", "-o", "rcquotes", "-c"}, shSet, shUnset},
		{"dash", Sh, []string{"dash", "-c"}, shSet, shUnset},
		{"ksh", Sh, []string{"ksh", "-c"}, shSet, shUnset},
		{"mksh", Sh, []string{"mksh", "-c"}, shSet, shUnset},
		{"yash", Sh, []string{"yash", "-c"}, shSet, shUnset},
		{"posh", Sh, []string{"posh", "-c"}, shSet, shUnset},
		{"busybox", Sh, []string{"busybox", "sh", "-c"}, shSet, shUnset},
		{"fish", Fish, []string{"fish", "--no-config", "-c"}, fishSet, fishUnset},
		{"nu", Nushell, []string{"nu", "-n", "-c"}, nuSet, nuUnset},
		{"pwsh", PowerShell, []string{"pwsh", "-NoProfile", "-NonInteractive", "-Command"}, pwshSet, pwshUnset},
		{"dotenv by sh", Dotenv, []string{"sh", "-c"}, `set -a; . ./set; env -0 >set.env`, ""},
		{"dotenv by node", Dotenv, []string{"node", "--env-file=set", "-e"}, nodeSet, ""},
	}
}

// nasty are values that end a quoted string, or are changed inside one, somewhere.
func nasty() []string {
	var all strings.Builder
	for c := 1; c < 256; c++ {
		all.WriteByte(byte(c))
	}
	return []string{
		"", " ", "  two  spaces  ", "'", "''", `'\''`, `\`, `\\`, `\'`, `'\`, `a'b\`, `"`, "`", "$", "%", "!", "~", "#", "*", "?",
		"'; touch pwned; '", `"; touch pwned; "`, "$(touch pwned)", "`touch pwned`", "${IFS}", "$HOME", "%PATH%", "!PATH!",
		"' | touch pwned #", `\'; touch pwned; \'`, "'; ^touch pwned; '", "\n", "a\nb", "trailing\n\n", "\ntouch pwned\n", "\r\n", "\ttab\t", "{a,b}", "[abc]",
		"~/x", "=ls", "-n", "^", "&", "a=b", "é😀", "\u2018; touch pwned; \u2019", "\u201a\u201b", "\u2028\u2029\u0085\u00a0\ufeff",
		"\uf600\uf6ff\uf7ff", "\xff", "\xc3", "\xc3'", "'\xc3'; touch pwned #", "\xed\xa0\x80", "\x80\x81\x82\x88\x9b\x9c", "\x01\x02\x7f\x1b[31m",
		all.String(), strings.Repeat("A1+/=", 800), "FwoGZXIvYXdzEBYaD+/=", "2026-11-23T22:00:00Z",
	}
}

// inLocale tells what yash can read: it keeps all text as wide characters, and
// takes a script that doesn't decode for a syntax error, so nothing of it runs.
func inLocale(value, locale string) bool {
	if locale == "C" {
		return strings.IndexFunc(value, func(r rune) bool { return r > 0x7f }) < 0
	}
	return utf8.ValidString(value)
}

// scrambled strings n values together from the pieces that end or change a quoted string.
func scrambled(n int) []string {
	pieces := []string{"'", "''", `\`, `"`, "`", "$", "$(", ")", "{", "}", ";", "&", "|", "\n", "\r", "#", "%", "!", " ", "touch pwned", "\xc3", "\xff", "é", "\u2019", "x", "="}
	r := rand.New(rand.NewPCG(1, 2)) // the same values in every run
	values := make([]string, n)
	for i := range values {
		for range 1 + r.IntN(8) {
			values[i] += pieces[r.IntN(len(pieces))]
		}
	}
	return values
}

// roundTrip sends values through s in one process and compares what its children see.
func roundTrip(t *testing.T, s realShell, locale string, values []string) {
	t.Helper()
	var vars []Var
	var names []string
	for i, v := range values {
		if s.name == "yash" && !inLocale(v, locale) {
			continue
		}
		name := fmt.Sprintf("EKSX_%d", i)
		if err := Export(new(bytes.Buffer), s.shell, []Var{{name, v}}); err == nil {
			vars = append(vars, Var{name, v})
			names = append(names, name)
		} else if s.shell == Sh || s.shell == Fish {
			t.Errorf("value %q: got error %v, want none: %s carries all bytes", v, err, s.shell)
		}
	}
	dir := t.TempDir()
	files := map[string]func(b *bytes.Buffer) error{
		"set": func(b *bytes.Buffer) error { return Export(b, s.shell, vars) },
	}
	if s.unset != "" {
		files["unset"] = func(b *bytes.Buffer) error { return Unset(b, s.shell, names) }
	}
	for name, write := range files {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	cmd := exec.Command(s.argv[0], append(s.argv[1:len(s.argv):len(s.argv)], s.set+s.unset)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL="+locale, "HOME="+t.TempDir(), "EKSX_KEPT=kept")
	if s.shell != Dotenv { // node lets the environment win over the file
		cmd.Env = append(cmd.Env, "EKSX_0=before")
	}
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%s: %v, printed %q", s.name, err, out)
	}

	got := readEnv(t, filepath.Join(dir, "set.env"))
	for _, v := range vars {
		if g, ok := got[v.Name]; !ok || g != v.Value {
			t.Errorf("%s, LC_ALL=%s: got %q, want %q", s.name, locale, g, v.Value)
		}
	}
	if s.unset != "" {
		got = readEnv(t, filepath.Join(dir, "unset.env"))
		for _, name := range names {
			if _, ok := got[name]; ok {
				t.Errorf("%s: %s is still set after unset", s.name, name)
			}
		}
		if got["EKSX_KEPT"] != "kept" {
			t.Errorf("%s: unset took another variable", s.name)
		}
	}
	wrote, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(wrote) != 2*len(files) {
		t.Errorf("%s: files %v, want only ours: a value was run", s.name, wrote)
	}
}

func readEnv(t *testing.T, file string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	env := make(map[string]string)
	for entry := range strings.SplitSeq(string(b), "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	return env
}

func TestRealShells(t *testing.T) {
	t.Parallel()
	for _, s := range realShells() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(s.argv[0]); err != nil {
				t.Skipf("no %s on this machine", s.argv[0])
			}
			values := append(nasty(), scrambled(500)...)
			roundTrip(t, s, "C.UTF-8", values)
			roundTrip(t, s, "C", values)
		})
	}
}

// FuzzShellQuoting takes its input apart at NUL bytes, so that one process of each shell tries many values.
func FuzzShellQuoting(f *testing.F) {
	f.Add("a'b\\c\n\x00$(touch pwned)\x00\xc3'; touch pwned; '")
	f.Add("'\x00''\x00\\'\x00\u2019\x00\r\n\x00%!\x00\"")
	var found []realShell
	for _, s := range realShells() {
		if _, err := exec.LookPath(s.argv[0]); err == nil {
			found = append(found, s)
		}
	}
	f.Fuzz(func(t *testing.T, in string) {
		if len(in) > 4096 {
			t.Skip("longer than a session token")
		}
		for _, s := range found {
			roundTrip(t, s, "C.UTF-8", strings.Split(in, "\x00"))
		}
	})
}
