// Package sessiontag says which values can be session tags, for conditions of trust policies that compare them.
//
// IAM Roles Anywhere makes session tags of a certificate's names, and leaves out without a word what STS does not take. A
// condition on such a value lets nobody in; leaving the condition out lets in everybody whom the CA has certified.
//
//	https://docs.aws.amazon.com/rolesanywhere/latest/userguide/trust-model.html
//	https://docs.aws.amazon.com/STS/latest/APIReference/API_Tag.html
package sessiontag

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Longest is how many characters a value has at most.
const Longest = 256

// Allowed says in words what a value is made of.
const Allowed = "letters, digits, spaces and _.:/=+-@"

// character says whether STS takes a rune: [\p{L}\p{Z}\p{N}_.:/=+\-@].
func character(r rune) bool {
	return unicode.In(r, unicode.L, unicode.Z, unicode.N) || strings.ContainsRune("_.:/=+-@", r)
}

// IsTag says whether AWS sets a tag of a value.
func IsTag(value string) bool {
	return value != "" && utf8.ValidString(value) && utf8.RuneCountInString(value) <= Longest &&
		!strings.ContainsFunc(value, func(r rune) bool { return !character(r) })
}

// Check returns an error for a value that can't be a tag, or of which it is not certain that it is the tag as it stands.
func Check(value string) error { return check(value, "") }

// CheckPattern is Check for a pattern of the operator StringLike, which must not match every name.
func CheckPattern(pattern string) error {
	const wildcards = "*?"
	if pattern != "" && strings.Trim(pattern, wildcards) == "" {
		return fmt.Errorf("%q matches every name: at least one other character is needed", pattern)
	}
	return check(pattern, wildcards)
}

func check(value, more string) error {
	switch {
	case value == "":
		return errors.New("it is empty")
	case !utf8.ValidString(value):
		return fmt.Errorf("%s is not UTF-8", strconv.QuoteToASCII(value))
	}
	for _, r := range value {
		if !character(r) && !strings.ContainsRune(more, r) {
			return fmt.Errorf("%s has %s, which AWS leaves out of session tags (%s are allowed)", strconv.Quote(value), strconv.QuoteRune(r), Allowed)
		}
	}
	if n := utf8.RuneCountInString(value); n > Longest {
		return fmt.Errorf("%s has %d characters, and AWS leaves it out of session tags (at most %d are allowed)", strconv.Quote(value), n, Longest)
	}
	if strings.TrimSpace(value) != value {
		return fmt.Errorf("%s begins or ends with a space, which may be lost in a policy", strconv.Quote(value))
	}
	return nil
}
