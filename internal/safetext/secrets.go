package safetext

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Redacted stands for a secret.
const Redacted = "[redacted]"

// Secrets are those of one run, to be taken out of what is shown: a server may
// echo what it was sent. It may be used by many goroutines.
type Secrets struct {
	mu    sync.Mutex
	added []string // not yet among the forms: most runs show nothing
	forms []string
}

const (
	shortest = 8 // a word so short is in many texts, and to take it out would tell it
	enough   = 16
)

// Add adds secrets. Those too short to be told from a word are left out.
func (s *Secrets) Add(secrets ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range secrets {
		if len(secret) >= shortest {
			s.added = append(s.added, secret)
		}
	}
}

// known are the secrets in each form in which a text may hold them.
func (s *Secrets) known() []string {
	for _, secret := range s.added {
		quoted := strconv.Quote(secret)
		asJSON, _ := json.Marshal(secret) // a string always can be
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret), quoted[1 : len(quoted)-1], string(asJSON[1 : len(asJSON)-1]), Line(secret)} {
			if !slices.Contains(s.forms, form) {
				s.forms = append(s.forms, form)
			}
		}
	}
	s.added = nil
	return s.forms
}

// Mask takes the secrets out of a text. Of a long one its beginning is enough:
// messages are cut.
func (s *Secrets) Mask(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range s.known() {
		head := secret[:min(len(secret), enough)]
		for from := 0; ; from += len(Redacted) {
			i := strings.Index(text[from:], head)
			if i < 0 {
				break
			}
			from += i
			text = text[:from] + Redacted + text[from+s.longest(text[from:]):]
		}
	}
	return text
}

// longest is how much of the text's beginning is that of a secret.
func (s *Secrets) longest(text string) int {
	longest := 0
	for _, secret := range s.forms {
		n := 0
		for n < len(secret) && n < len(text) && secret[n] == text[n] {
			n++
		}
		if n >= min(len(secret), enough) {
			longest = max(longest, n)
		}
	}
	return longest
}

// Patterns are compiled when they are first used: most runs have nothing to say.
var (
	privateKey = lazy(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[^-]*(-----END [A-Z0-9 ]*-----)?`)
	token      = lazy(`k8s-aws-v1\.[A-Za-z0-9_=-]{8,}`)
	named      = lazy(`(?i)\b(X-Amz-Security-Token|X-Amz-Signature|aws_secret_access_key|aws_session_token|secretAccessKey|sessionToken)(["']?\s*[=:]\s*["']?)[^\s"'&]+`)
	authority  = lazy(`://[^\s"'<>]*@`)
)

func lazy(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

// Scrub takes out what looks like a secret: private keys, tokens, values of names
// that are secrets', and users and passwords in URLs.
func Scrub(text string) string {
	if strings.Contains(text, "-----BEGIN ") {
		text = privateKey().ReplaceAllLiteralString(text, Redacted)
	}
	if strings.Contains(text, "k8s-aws-v1.") {
		text = token().ReplaceAllLiteralString(text, Redacted)
	}
	text = named().ReplaceAllString(text, "${1}${2}"+Redacted)
	if strings.Contains(text, "://") {
		text = authority().ReplaceAllStringFunc(text, func(found string) string {
			if found = found[len("://") : len(found)-1]; !isUserinfo(found) {
				return "://" + found + "@"
			}
			return "://" + Redacted + "@"
		})
	}
	return text
}

// isUserinfo tells a user and a password, which may hold a slash where somebody
// forgot to escape it, from a host with a port, and a path with an @.
func isUserinfo(s string) bool {
	before, _, path := strings.Cut(s, "/")
	if !path {
		return true
	}
	_, port, colon := strings.Cut(before, ":")
	return colon && strings.Trim(port, "0123456789") != ""
}

// URL is an address without user, password, query and fragment, whether it parses
// or not.
func URL(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		scheme, rest = "", address
	} else {
		scheme += "://"
	}
	at := strings.LastIndexByte(rest, '@')
	if at >= 0 {
		rest = Redacted + rest[at:]
	}
	if end := strings.IndexAny(rest, "?#"); end >= 0 {
		rest = rest[:end]
	}
	return scheme + rest
}
