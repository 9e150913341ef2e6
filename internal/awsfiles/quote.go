package awsfiles

import (
	"strings"
	"unicode/utf8"
)

// Quote makes one line of args for credential_process, which some SDKs split by
// themselves and others hand to the system's shell.
func Quote(goos string, args []string) string {
	quote := quotePOSIX
	if goos == "windows" {
		quote = quoteWindows
	}
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = quote(arg)
	}
	return strings.Join(quoted, " ")
}

// plain needs no quotes, as letters and digits.
const plain = "%+,-./:=@_"

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// quotePOSIX is for sh and for Python's shlex. It uses backslashes, since
// aws-sdk-go-v2 takes away quotes that a value begins and ends with, even if they
// are of different words, and takes " #" for a comment even within quotes.
func quotePOSIX(arg string) string {
	if arg == "" {
		return "''"
	}
	var b strings.Builder
	for _, c := range []byte(arg) {
		if c < utf8.RuneSelf && !isAlphanumeric(c) && strings.IndexByte(plain, c) < 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// quoteWindows is for cmd and for the C runtime's rules, which botocore follows:
// "Parsing C command-line arguments".
func quoteWindows(arg string) string {
	if arg != "" && !strings.ContainsAny(arg, " \t\"&|<>^()%!,;=") {
		return arg
	}
	var b strings.Builder
	b.WriteByte('"')
	backslashes := 0
	for _, c := range []byte(arg) {
		switch c {
		case '\\':
			backslashes++
		case '"': // backslashes before a quote are doubled, one more is the quote's
			b.WriteString(strings.Repeat(`\`, backslashes+1))
			backslashes = 0
		default:
			backslashes = 0
		}
		b.WriteByte(c)
	}
	b.WriteString(strings.Repeat(`\`, backslashes))
	b.WriteByte('"')
	return b.String()
}
