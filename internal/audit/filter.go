package audit

import (
	"math/big"
	"slices"
	"strings"
	"time"
)

// filter is a Filter made ready.
type filter struct {
	Filter
	subject string   // lower case
	serials []string // what the text may mean
}

func newFilter(f Filter) *filter {
	p := &filter{Filter: f, subject: strings.ToLower(f.Subject)}
	if f.Serial != "" {
		p.serials = append(p.serials, strings.ToLower(f.Serial))
		if s, ok := hexSerial(f.Serial); ok {
			p.serials = append(p.serials, s)
		}
		if n, ok := new(big.Int).SetString(strings.TrimSpace(f.Serial), 10); ok && n.Sign() > 0 {
			p.serials = append(p.serials, serial(n))
		}
	}
	return p
}

// narrow says that a session without an action that passes is not asked for.
func (f *filter) narrow() bool {
	return f.User != "" || f.Verb != "" || f.Resource != "" || f.Namespace != "" || f.Name != "" || f.Denied
}

// session says whether a session passes, but for its time: an action in time may
// be of one that ended before.
func (f *filter) session(s *Session) bool {
	if !f.role(s) || !f.subjectOf(&s.Certificate) {
		return false
	}
	number := s.Certificate.Serial
	if s.Unknown {
		number = likeSerial(s.Name)
	}
	return len(f.serials) == 0 || f.serial(number)
}

// overlaps says whether something of the time from–to is asked for.
func (f *filter) overlaps(from, to time.Time) bool {
	if to.Before(from) {
		to = from
	}
	return (f.Until.IsZero() || from.Before(f.Until)) && (f.Since.IsZero() || !to.Before(f.Since))
}

func (f *filter) role(s *Session) bool {
	if f.Role == "" {
		return true
	}
	return glob(f.Role, s.RoleARN) || glob(f.Role, nameOf(s.RoleARN))
}

// subjectOf compares the whole subject and each of its attributes.
func (f *filter) subjectOf(c *Certificate) bool {
	if f.subject == "" {
		return true
	}
	subject := strings.ToLower(c.Subject)
	attributes := strings.FieldsFunc(subject, func(r rune) bool { return r == ',' || r == '+' })
	return slices.ContainsFunc(append(attributes, subject), func(s string) bool { return glob(f.subject, s) })
}

func (f *filter) serial(number string) bool {
	return number != "" && slices.ContainsFunc(f.serials, func(pattern string) bool { return glob(pattern, number) })
}

// action says whether an action passes, but for Denied: a later stage may tell.
func (f *filter) action(a *Action) bool {
	return f.overlaps(a.Time, a.Time) &&
		(f.User == "" || glob(f.User, a.User) || a.Impersonated != "" && glob(f.User, a.Impersonated)) &&
		(f.Verb == "" || glob(f.Verb, a.Verb)) && f.resource(a) &&
		(f.Namespace == "" || glob(f.Namespace, a.Namespace)) &&
		(f.Name == "" || glob(f.Name, a.Name))
}

// resource compares as RBAC writes it, but that a resource stands for its
// subresources too.
func (f *filter) resource(a *Action) bool {
	if f.Resource == "" {
		return true
	}
	resource, sub, _ := strings.Cut(a.Resource, "/")
	names := []string{resource}
	if a.Group != "" {
		names = append(names, resource+"."+a.Group)
	}
	pattern, subPattern, withSub := strings.Cut(f.Resource, "/")
	for _, name := range names {
		if glob(pattern, name) && (!withSub || sub != "" && glob(subPattern, sub)) {
			return true
		}
	}
	return false
}

// glob matches * and ? as a shell does, but that there are no borders to them.
func glob(pattern, s string) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
