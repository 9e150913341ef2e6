package query

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// condition is that one of the fields matches the pattern, in which * and ? match
// as in a shell. The fields are those of an audit event, with dots.
type condition struct {
	fields  []string
	pattern string
}

// conditions of an action. Package audit looks closer: these are never narrower.
func (w What) conditions() []condition {
	var all []condition
	add := func(pattern string, fields ...string) {
		// What matches an empty text matches a field that is not there.
		if plain(pattern) && strings.Trim(pattern, "*") != "" {
			all = append(all, condition{fields, pattern})
		}
	}
	add(w.Filter.Verb, "verb")
	add(firstPart(w.Filter.Resource), "objectRef.resource")
	add(w.Filter.Namespace, "objectRef.namespace")
	add(w.Filter.Name, "objectRef.name")
	add(w.Filter.User, "user.username", "impersonatedUser.username")
	return all
}

// firstPart of a resource is what is before the group or the subresource, which
// are fields of their own. A * may have matched some of these.
func firstPart(resource string) string {
	at := strings.IndexAny(resource, "*?./")
	switch {
	case at < 0:
		return resource
	case resource[at] == '.', resource[at] == '/':
		return resource[:at]
	}
	return resource[:at] + "*"
}

// plain: characters that a log shows. Other patterns are for package audit alone.
func plain(pattern string) bool {
	return utf8.ValidString(pattern) && !strings.ContainsFunc(pattern, func(r rune) bool { return !unicode.IsPrint(r) })
}

func word(r rune) bool {
	return r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// identifier: an access key, an ARN, a name of Kubernetes.
func identifier(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !word(r) && !strings.ContainsRune(":/+=,.@", r) })
}

// insightsTest is "=" for text without special characters, else a regular
// expression in which only letters, digits, - and _ stand for themselves: how
// Insights escapes is not documented well enough to trust it with more.
func insightsTest(field, pattern string) string {
	if identifier(pattern) {
		return fmt.Sprintf(`%s = "%s"`, field, pattern)
	}
	var b strings.Builder
	for _, r := range pattern {
		switch {
		case word(r):
			b.WriteRune(r)
		case r == '*', r > unicode.MaxASCII: // which may be one character, or some bytes
			b.WriteString(".*")
		case r == '?': // one byte, for package audit
			b.WriteString(".?")
		default:
			b.WriteByte('.')
		}
	}
	return field + " like /^" + b.String() + "$/"
}

// sqlString: a quote is written twice, and nothing else is special.
//
//	https://trino.io/docs/current/language/types.html#varchar
func sqlString(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// sqlName is a table's or a column's; a double quote is written twice.
func sqlName(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

func sqlTest(expression, pattern string) string {
	if !strings.ContainsAny(pattern, "*?") {
		return expression + " = " + sqlString(pattern)
	}
	// A ? is a byte for package audit, and a _ a character.
	like := strings.NewReplacer(`%`, `!%`, `_`, `!_`, `!`, `!!`, "*", "%", "?", "%").Replace(pattern)
	return expression + " LIKE " + sqlString(like) + " ESCAPE '!'"
}

// jsonValue of the message; list items are in brackets.
func jsonValue(path string) string {
	return "json_extract_scalar(message, " + sqlString("$."+path) + ")"
}

// anyOf is one test, or several in parentheses; nothing for none.
func anyOf(tests []string, or string) string {
	switch len(tests) {
	case 0:
		return ""
	case 1:
		return tests[0]
	}
	return "(" + strings.Join(tests, or) + ")"
}

func (c condition) test(one func(field, pattern string) string, or string) string {
	var tests []string
	for _, f := range c.fields {
		tests = append(tests, one(f, c.pattern))
	}
	return anyOf(tests, or)
}

func (c condition) insights() string { return c.test(insightsTest, " or ") }

func (c condition) sql() string {
	return c.test(func(field, pattern string) string { return sqlTest(jsonValue(field), pattern) }, " OR ")
}

// alternative is one of the ways in which an action may be a session's: the field
// is one of the values or, without these, matches the pattern.
type alternative struct {
	field   string
	values  []string
	pattern string
}

// alternatives for the actions of the sessions asked for; nil: of all.
func (w What) alternatives() []alternative {
	f := w.Filter
	if !w.Narrow || f.Subject == "" && f.Serial == "" && f.Role == "" {
		return nil
	}
	keys, arns, names := alternative{field: "user.extra.accessKeyId.0"}, alternative{field: "user.extra.arn.0"}, alternative{field: "user.extra.sessionName.0"}
	for _, s := range w.Sessions {
		keys.add(s.AccessKeyID)
		arns.add(s.ARN)
		names.add(s.Name)
		if before, ok := strings.CutSuffix(s.ARN, s.Name); s.AccessKeyID == "" && ok && strings.Trim(s.Name, "0123456789abcdef") == "" {
			// The ARN may be made of the serial number, before which there may be zeros.
			for _, zeros := range []string{"", "0", "00"} {
				name := zeros + strings.TrimLeft(s.Name, "0")
				arns.add(before + name)
				names.add(name)
			}
		}
	}
	all := slices.DeleteFunc([]alternative{keys, arns, names}, func(a alternative) bool { return a.values == nil })
	// A session that CloudTrail has no event for is known by what its actions say.
	switch {
	case f.Subject != "": // which they don't
	case f.Serial != "":
		endings, ok := serialEndings(f.Serial)
		if !ok {
			return nil
		}
		for _, e := range endings {
			all = append(all, alternative{field: names.field, pattern: "*" + e})
		}
	case plain(f.Role):
		all = append(all, alternative{field: arns.field, pattern: "*:assumed-role/" + lastPart(f.Role) + "/*"})
	default:
		return nil
	}
	return all
}

func (a *alternative) add(value string) {
	if identifier(value) && !slices.Contains(a.values, value) {
		a.values = append(a.values, value)
	}
}

// serialEndings are the ends of session names that are the serial number: lower or
// upper case, after any zeros.
func serialEndings(serial string) (all []string, ok bool) {
	add := func(n *big.Int, ok bool) {
		if text := n.Text(16); ok && n.Sign() > 0 && !slices.Contains(all, text) {
			all = append(all, text)
			if upper := strings.ToUpper(text); upper != text {
				all = append(all, upper)
			}
		}
	}
	text := strings.TrimPrefix(strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(serial)), "0x")
	for _, base := range []int{16, 10} {
		n, ok := new(big.Int).SetString(text, base)
		if !ok {
			n = new(big.Int)
		}
		add(n, ok)
	}
	return all, all != nil && identifier(text)
}

// lastPart of a role's pattern is that of its name: what is after the last /, or
// after the last *, which may have matched one.
func lastPart(role string) string {
	at := strings.LastIndexAny(role, "/*")
	if at >= 0 && role[at] == '*' {
		return role[at:]
	}
	return role[at+1:]
}
