package safetext

import (
	"fmt"
	"runtime"
	"strings"
)

// Quote is a command, or a part of one, as the shell takes it that a person pastes
// it into: a POSIX shell, on Windows PowerShell. Each argument reaches the command
// as it is here, whatever it holds.
func Quote(args ...string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		if runtime.GOOS == "windows" {
			quoted[i] = powerShell(arg)
		} else {
			quoted[i] = posix(arg)
		}
	}
	return strings.Join(quoted, " ")
}

// File is Quote for the name of a file, which no command takes for a flag then.
func File(path string) string {
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	return Quote(path)
}

// plainWord is made of letters, digits and what no shell gives a meaning to. zsh
// expands a word that begins with =.
func plainWord(word, marks string) bool {
	return word != "" && word[0] != '=' && strings.Trim(word, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"+marks) == ""
}

// posix is in single quotes, where all but the quote stands for itself: POSIX XCU
// 2.2.2. What can't be shown is written by printf, which every shell has; $'…' is
// not in every shell. Only it can hold a line break at the end.
func posix(word string) string {
	switch {
	case plainWord(word, "_./@%+=:,-"):
		return word
	case unsafeAt(word, false) < 0:
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	case strings.HasSuffix(word, "\n"):
		return "$'" + octal(word, `\%03o`) + "'"
	}
	return `"$(printf %b '` + octal(word, `\0%03o`) + `')"`
}

// octal writes all but letters, digits and a few marks as octal numbers.
func octal(word, form string) string {
	var b strings.Builder
	for i := range len(word) {
		if plainWord(word[i:i+1], "_./@+:,-") {
			b.WriteByte(word[i])
		} else {
			fmt.Fprintf(&b, form, word[i])
		}
	}
	return b.String()
}

// powerShell is in single quotes; PowerShell takes typographic ones for the same.
// What can't be shown is an escape in double quotes, as PowerShell 7 has them.
func powerShell(word string) string {
	if plainWord(word, `_./\:-`) && word[0] != '-' {
		return word
	}
	if unsafeAt(word, false) < 0 {
		return "'" + strings.NewReplacer("'", "''", "‘", "‘‘", "’", "’’", "‚", "‚‚", "‛", "‛‛").Replace(word) + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range word {
		if plainWord(string(r), `_./\:- `) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "`u{%x}", r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
