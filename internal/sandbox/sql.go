package sandbox

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// sqlQuery is SELECT columns FROM "table" WHERE condition, of the few forms that eks-x509 makes. It is no SQL engine: what it does
// not know it refuses.
type sqlQuery struct {
	columns, aliases []string
	table            string
	where            test
	names            []string // of all columns in it
}

// sqlTokenPattern: a string, a quoted name, a word, an operator.
var sqlTokenPattern = lazy(`^[ \n]*(?:('(?:[^']|'')*')|("(?:[^"]|"")+")|([A-Za-z_][A-Za-z0-9_.]*)|(<>|>=|[=<(),]))`)

type sqlParser struct {
	tokens []string
	query  sqlQuery
}

func parseSQL(text string) (q *sqlQuery, err error) {
	p := &sqlParser{}
	for rest := text; strings.Trim(rest, " \n") != ""; {
		m := sqlTokenPattern().FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf("unexpected %.40q", rest)
		}
		p.tokens, rest = append(p.tokens, m[1]+m[2]+m[3]+m[4]), rest[len(m[0]):]
	}
	if err := p.selected(); err != nil {
		return nil, err
	}
	if p.query.where, err = p.list("AND"); err != nil {
		return nil, err
	}
	if len(p.tokens) > 0 {
		return nil, fmt.Errorf("unexpected %q", p.tokens[0])
	}
	return &p.query, nil
}

func (p *sqlParser) next() string {
	if len(p.tokens) == 0 {
		return ""
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t
}

func (p *sqlParser) take(want string) bool {
	if len(p.tokens) == 0 || p.tokens[0] != want {
		return false
	}
	p.next()
	return true
}

func (p *sqlParser) want(all ...string) error {
	for _, w := range all {
		if t := p.next(); t != w {
			return fmt.Errorf("%q where %q should be", t, w)
		}
	}
	return nil
}

// text is a string's.
func (p *sqlParser) text() (string, error) {
	t := p.next()
	if !strings.HasPrefix(t, "'") {
		return "", fmt.Errorf("%q where a string should be", t)
	}
	return strings.ReplaceAll(t[1:len(t)-1], "''", "'"), nil
}

// column is a name, with its quotes taken off.
func (p *sqlParser) column() (string, error) {
	t := p.next()
	if strings.HasPrefix(t, `"`) {
		t = strings.ReplaceAll(t[1:len(t)-1], `""`, `"`)
	} else if t == "" || t[0] < 'a' || t[0] > 'z' || strings.ToLower(t) != t {
		return "", fmt.Errorf("%q where a column should be", t)
	}
	p.query.names = append(p.query.names, t)
	return t, nil
}

func (p *sqlParser) selected() error {
	if err := p.want("SELECT"); err != nil {
		return err
	}
	for {
		name, err := p.column()
		if err != nil {
			return err
		}
		alias := name
		if p.take("AS") {
			alias = p.next()
		}
		p.query.columns, p.query.aliases = append(p.query.columns, name), append(p.query.aliases, alias)
		if !p.take(",") {
			break
		}
	}
	if err := p.want("FROM"); err != nil {
		return err
	}
	t := p.next()
	if !strings.HasPrefix(t, `"`) {
		return fmt.Errorf("%q where a quoted table should be", t)
	}
	p.query.table = strings.Trim(t, `"`)
	return p.want("WHERE")
}

// list is conditions with AND or with OR between them, not with both.
func (p *sqlParser) list(word string) (test, error) {
	var all []test
	for {
		t, err := p.condition()
		if err != nil {
			return nil, err
		}
		if all = append(all, t); !p.take(word) {
			break
		}
	}
	if word == "OR" {
		return oneOf(all), nil
	}
	return allOf(all), nil
}

func (p *sqlParser) condition() (test, error) {
	if !p.take("(") {
		return p.comparison()
	}
	word, depth := "AND", 0
	for _, t := range p.tokens {
		switch t {
		case "(":
			depth++
		case ")":
			depth--
		}
		if depth < 0 {
			break
		}
		if t == "OR" && depth == 0 {
			word = "OR"
		}
	}
	t, err := p.list(word)
	if err != nil {
		return nil, err
	}
	return t, p.want(")")
}

// comparison is of a column, or of what is at a path in one, with strings.
func (p *sqlParser) comparison() (test, error) {
	field, err := p.operand()
	if err != nil {
		return nil, err
	}
	accept, err := p.operator()
	if err != nil {
		return nil, err
	}
	return func(value func(string) (string, bool)) bool {
		v, ok := value(field)
		return ok && accept(v) // NULL is nothing's equal
	}, nil
}

func (p *sqlParser) operand() (string, error) {
	if !p.take("json_extract_scalar") {
		return p.column()
	}
	if err := p.want("("); err != nil {
		return "", err
	}
	column, err := p.column()
	if err != nil {
		return "", err
	}
	if err := p.want(","); err != nil {
		return "", err
	}
	path, err := p.text()
	if err != nil {
		return "", err
	}
	parts, err := jsonPath(path)
	if err != nil {
		return "", err
	}
	return column + " " + strings.Join(parts, "\x00"), p.want(")")
}

var jsonPathPattern = lazy(`^(?:\.([A-Za-z]+)|\[([0-9]+)\]|\["([^"\\]+)"\])`)

func jsonPath(path string) (parts []string, err error) {
	rest, ok := strings.CutPrefix(path, "$")
	for ok && rest != "" {
		m := jsonPathPattern().FindStringSubmatch(rest)
		if m == nil {
			ok = false
			break
		}
		parts, rest = append(parts, m[1]+m[2]+m[3]), rest[len(m[0]):]
	}
	if !ok || len(parts) == 0 {
		return nil, fmt.Errorf("unexpected JSONPath %q", path)
	}
	return parts, nil
}

func (p *sqlParser) operator() (func(string) bool, error) {
	operator := p.next()
	if operator == "IN" {
		return p.in()
	}
	first, err := p.text()
	if err != nil {
		return nil, err
	}
	switch operator {
	case "=":
		return func(v string) bool { return v == first }, nil
	case "<>":
		return func(v string) bool { return v != first }, nil
	case "<":
		return func(v string) bool { return v < first }, nil
	case ">=":
		return func(v string) bool { return v >= first }, nil
	case "BETWEEN":
		if err := p.want("AND"); err != nil {
			return nil, err
		}
		last, err := p.text()
		return func(v string) bool { return v >= first && v <= last }, err
	case "LIKE":
		if err := p.want("ESCAPE"); err != nil {
			return nil, err
		}
		escape, err := p.text()
		if err != nil || len(escape) != 1 {
			return nil, errors.New("an escape of one character is needed")
		}
		expression, err := like(first, rune(escape[0]))
		if err != nil {
			return nil, err
		}
		return expression.MatchString, nil
	}
	return nil, fmt.Errorf("unexpected operator %q", operator)
}

func (p *sqlParser) in() (func(string) bool, error) {
	if err := p.want("("); err != nil {
		return nil, err
	}
	var list []string
	for {
		v, err := p.text()
		if err != nil {
			return nil, err
		}
		if list = append(list, v); !p.take(",") {
			break
		}
	}
	return func(v string) bool { return slices.Contains(list, v) }, p.want(")")
}

// like matches as SQL does: % any characters, _ one.
func like(pattern string, escape rune) (*regexp.Regexp, error) {
	var b strings.Builder
	escaped := false
	for _, r := range pattern {
		switch {
		case escaped:
			b.WriteString(regexp.QuoteMeta(string(r)))
			escaped = false
		case r == escape:
			escaped = true
		case r == '%':
			b.WriteString(".*")
		case r == '_':
			b.WriteByte('.')
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	return regexp.Compile("^(?s:" + b.String() + ")$")
}
