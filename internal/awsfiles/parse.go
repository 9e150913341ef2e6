package awsfiles

import "strings"

// What is in a section's brackets, for sections that are not just one profile's;
// no profile has these names.
const (
	profileDefault = "[profile default]"
	noProfile      = "[]"
)

// file is a config file by lines, and what was found in it of one profile.
type file struct {
	lines    []string // with their endings
	header   string   // what stands in the brackets of the profile's section
	key      string   // that is to be set
	sections []section
	settings []*setting
	doubled  bool // more than one section is the profile's
}

type section struct {
	line   int
	indent string // the deepest, up to its first setting
}

type setting struct {
	key    string // in lower case
	value  string // on its line
	line   int
	indent string // that a new text of the setting must have
	nested []int  // lines that continue the value
}

func parse(data []byte, profile, key string) *file {
	f := &file{header: sectionName(profile), key: key}
	f.lines = strings.SplitAfter(string(data), "\n")
	if last := len(f.lines) - 1; f.lines[last] == "" {
		f.lines = f.lines[:last]
	}
	headers, count := map[int]string{}, map[string]int{}
	for i, line := range f.lines {
		if name, ok := profileOf(line); ok {
			headers[i] = name
			count[name]++
		}
	}
	own := profile
	if profile == "default" && count[profileDefault] > 0 {
		own = profileDefault // aws-sdk-go-v2 then ignores [default]
	}
	f.doubled = count[own] > 1 || own != profile && count[profile] > 0
	var r *sectionReader
	for i, line := range f.lines {
		if name, ok := headers[i]; ok {
			r = nil
			if name == own {
				f.sections = append(f.sections, section{line: i})
				r = &sectionReader{file: f}
			}
		} else if r != nil && !blank(line) {
			r.read(i, line)
		}
	}
	return f
}

// sectionReader takes the lines of one section.
type sectionReader struct {
	*file
	last *setting // what a deeper line continues
}

func (r *sectionReader) read(i int, line string) {
	s, ok := parseSetting(line)
	s.line, s.indent = i, indent(line)
	if head := &r.sections[len(r.sections)-1]; r.last == nil && len(s.indent) > len(head.indent) {
		head.indent = s.indent
	}
	if r.last == nil || len(s.indent) <= len(r.last.indent) { // nothing to continue
		if ok {
			r.last = s
			r.settings = append(r.settings, s)
		}
		return
	}
	// For Python this line continues the last value. For Go it does so only if
	// that is empty; else it is a setting, though one indented too deep.
	if ok && r.last.key != r.key && uncommented(r.last.value) != "" {
		s.indent = r.last.indent
		r.settings = append(r.settings, s)
		if s.key == r.key {
			r.last = s
		}
		return
	}
	r.last.nested = append(r.last.nested, i)
}

func parseSetting(line string) (*setting, bool) {
	i := strings.IndexAny(line, "=:") // both are separators to botocore and to Go
	if i < 0 {
		return &setting{}, false
	}
	return &setting{key: strings.ToLower(strings.TrimSpace(line[:i])), value: strings.TrimSpace(line[i+1:])}, true
}

// sectionName is how a new section of the profile is called. botocore splits it
// like a shell, so that a name with a space needs quotes.
func sectionName(profile string) string {
	switch {
	case profile == "default":
		return profile
	case strings.ContainsAny(profile, " \t"):
		return `profile "` + profile + `"`
	}
	return "profile " + profile
}

// profileOf is the profile whose section the line begins.
func profileOf(line string) (string, bool) {
	text, _, _ := strings.Cut(strings.TrimPrefix(line, bom), "#")
	text, _, _ = strings.Cut(text, ";")
	text = strings.TrimSpace(text)
	end := strings.LastIndexByte(text, ']') // botocore takes what follows it for a comment
	if !strings.HasPrefix(text, "[") || end < 0 {
		return "", false
	}
	text = strings.TrimSpace(text[1:end])
	if text == "default" {
		return text, true
	}
	name, ok := strings.CutPrefix(text, "profile")
	if !ok || indent(name) == "" {
		return noProfile, true
	}
	name = unquoted(strings.TrimSpace(name))
	if name == "default" {
		return profileDefault, true
	}
	return name, true
}

func unquoted(s string) string {
	if n := len(s); n > 1 && s[0] == s[n-1] && (s[0] == '"' || s[0] == '\'') {
		return s[1 : n-1]
	}
	return s
}

// uncommented is a value without the comment that aws-sdk-go-v2 sees in it.
func uncommented(value string) string {
	value = " " + value
	for _, mark := range []string{" #", " ;", "\t#", "\t;"} {
		value, _, _ = strings.Cut(value, mark)
	}
	return strings.TrimSpace(value)
}

func blank(line string) bool {
	line = strings.TrimSpace(strings.TrimPrefix(line, bom))
	return line == "" || line[0] == '#' || line[0] == ';'
}

func indent(line string) string { return line[:len(line)-len(strings.TrimLeft(line, " \t"))] }

func ending(line string) string {
	switch {
	case strings.HasSuffix(line, "\r\n"):
		return "\r\n"
	case strings.HasSuffix(line, "\n"):
		return "\n"
	}
	return ""
}
