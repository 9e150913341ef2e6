package config

import "strings"

// The forms of AWS's names. They are checked at every start of the program,
// where compiling regular expressions would cost more than all the rest.

const (
	digits  = "0123456789"
	lower   = "abcdefghijklmnopqrstuvwxyz"
	letters = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// of says whether s is minLen to maxLen bytes of set.
func of(s, set string, minLen, maxLen int) bool {
	return len(s) >= minLen && len(s) <= maxLen && strings.Trim(s, set) == ""
}

func isAccount(s string) bool { return of(s, digits, 12, 12) }

// isResource accepts the part of an ARN after "trust-anchor/" or "profile/": an ID,
// or an alias with slashes. Its length is that of an ARN in CreateSession, and AWS
// documents no form but the beginning.
func isResource(s string) bool {
	return len(s) >= 1 && len(s) <= 1011 && !strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' })
}

// isSessionName: STS AssumeRole, RoleSessionName: [\w+=,.@-]{2,64}.
func isSessionName(s string) bool { return of(s, digits+letters+"_+=,.@-", 2, 64) }

// isRole takes the part after "role/": a path of printable ASCII, then the name
// (IAM CreateRole: [\w+=,.@-]{1,64}).
func isRole(s string) bool {
	for segment := range strings.SplitSeq(s[:strings.LastIndexByte(s, '/')+1], "/") {
		if strings.ContainsFunc(segment, func(r rune) bool { return r < '!' || r > '~' }) {
			return false
		}
	}
	return of(s[strings.LastIndexByte(s, '/')+1:], digits+letters+"_+=,.@-", 1, 64) && !strings.HasPrefix(s, "/")
}

// isRegion: words and a number, such as us-gov-west-1.
func isRegion(s string) bool {
	parts := strings.Split(s, "-")
	for _, word := range parts[:len(parts)-1] {
		if !of(word, lower, 1, 16) {
			return false
		}
	}
	return len(parts) >= 3 && of(parts[len(parts)-1], digits, 1, 2)
}
