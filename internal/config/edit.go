package config

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Set puts one value into a profile, or the default, of the configuration file
// whose text is data. Every other line stays as it is; where the file's style
// leaves no line to change (flow style, values over several lines), it is
// written anew from its tree, which keeps the comments.
func Set(path string, data []byte, profile, key, value string) ([]byte, error) {
	before, err := checkEdit(path, data, profile)
	if err != nil {
		return nil, err
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if err := checkWritten(key, value); err != nil {
		return nil, err
	}
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, invalid(key, "empty, or with control characters")
	}
	if _, ok := before.sections[profile]; !ok || len(before.sections[profile]) == 0 {
		return AddProfile(path, data, profile, map[string]string{key: value}, false)
	}
	for _, edit := range []func([]byte, string, string, string) []byte{setLine, setTree} {
		after := edit(data, profile, key, value)
		if f, err := parse(path, after); err == nil && f.sections[profile][key].value == value && sameBut(before, f, profile, key) {
			return after, nil
		}
	}
	return nil, errByHand(path)
}

func checkKey(key string) error {
	known := make([]string, 0, len(FileSettings()))
	for _, s := range FileSettings() {
		known = append(known, s.Name)
	}
	if slices.Contains(known, key) {
		return nil
	}
	if near := Nearest(key, known); near != "" {
		return &Error{Where: key, Err: fmt.Errorf("unknown setting %q (is it %q?)", key, near)}
	}
	return &Error{Where: key, Err: fmt.Errorf("unknown setting %q (known: %s)", key, strings.Join(known, ", "))}
}

// checkWritten refuses what may be a secret: nothing of the kind is in the file.
func checkWritten(key, value string) error {
	if key == "endpoint" {
		if _, err := checkEndpoint(value, key); err != nil {
			return err
		}
	}
	return CheckSetting(key, key, value)
}

// errByHand: what an edit would leave does not hold what it should.
func errByHand(path string) error {
	return fmt.Errorf("editing %s: its YAML is of a kind that can't be edited here; change it by hand", path)
}

func checkEdit(path string, data []byte, profile string) (*file, error) {
	if profile != DefaultProfile && !isProfileName(profile) {
		return nil, invalid("--profile", "%q: letters, digits and _-.@+ are taken", profile)
	}
	f, err := parse(path, data)
	if err != nil {
		return nil, inFile(path, err)
	}
	return f, nil
}

// sameBut says whether a and b hold the same but for one value.
func sameBut(a, b *file, profile, key string) bool {
	plain := func(f *file) map[string]string {
		all := map[string]string{}
		for name, section := range f.sections {
			for k, e := range section {
				if name != profile || k != key {
					all[name+"\x00"+k] = e.value
				}
			}
		}
		return all
	}
	return maps.Equal(plain(a), plain(b))
}

// HasProfile says whether the text has that profile with anything in it.
func HasProfile(path string, data []byte, profile string) (bool, error) {
	f, err := checkEdit(path, data, profile)
	if err != nil {
		return false, err
	}
	return len(f.sections[profile]) > 0, nil
}

// AddProfile adds a profile, or the default, which must not be there yet; with a
// comment for each value if explain.
func AddProfile(path string, data []byte, profile string, values map[string]string, explain bool) ([]byte, error) {
	before, err := checkEdit(path, data, profile)
	if err != nil {
		return nil, err
	}
	for name, value := range values {
		if err := checkWritten(name, value); err != nil {
			return nil, err
		}
	}
	text, at := "", len(data)
	indent := "  "
	root, err := parseDocument(path, data)
	if err != nil {
		return nil, err
	}
	head := profile
	parent := root
	if profile != DefaultProfile {
		indent, head = "    ", "  "+profile
		if parent = child(root, "profiles"); parent == nil || len(parent.Content) == 0 {
			text = "profiles:\n"
		} else {
			at = lineStart(data, lastLine(parent)+1)
			head = strings.Repeat(" ", parent.Content[0].Column-1) + profile
			indent = strings.Repeat(" ", parent.Content[0].Column+1)
		}
	}
	text += head + ":\n"
	for _, s := range FileSettings() {
		if value, ok := values[s.Name]; ok {
			if explain {
				text += indent + "# " + s.Usage + "\n"
			}
			text += indent + s.Name + ": " + scalar(value) + "\n"
		}
	}
	// A key without a value ("default:") is taken away before it is written again.
	if n := keyLine(parent, profile); n > 0 {
		start, end := lineStart(data, n), lineStart(data, n+1)
		data = slices.Concat(data[:start], data[end:])
		if at > start {
			at -= end - start
		}
	} else if n := keyLine(root, "profiles"); strings.HasPrefix(text, "profiles:") && n > 0 {
		data = slices.Concat(data[:lineStart(data, n)], data[lineStart(data, n+1):])
		at = len(data)
	}
	if at > 0 && data[at-1] != '\n' {
		text = "\n" + text
	}
	after := slices.Concat(data[:at], []byte(text), data[at:])
	f, err := parse(path, after)
	if err != nil {
		return nil, errByHand(path)
	}
	for key, value := range values {
		if f.sections[profile][key].value != value {
			return nil, errByHand(path)
		}
	}
	f.sections[profile] = nil
	before.sections[profile] = nil
	if !sameBut(before, f, "", "") {
		return nil, errByHand(path)
	}
	return after, nil
}

// setLine changes the value's line, or adds a line to its section.
func setLine(data []byte, profile, key, value string) []byte {
	section := sectionNode(data, profile)
	if section == nil || len(section.Content) == 0 {
		return nil
	}
	if n := keyLine(section, key); n > 0 {
		v := child(section, key)
		start, end := lineStart(data, n), lineStart(data, n+1)
		line := string(data[start:end])
		ending := line[len(strings.TrimRight(line, "\r\n")):]
		colon := strings.Index(line, ":")
		if colon < 0 || v.Line != n {
			return nil
		}
		line = line[:colon+1] + " " + scalar(value)
		if v.LineComment != "" {
			line += " " + v.LineComment
		}
		return slices.Concat(data[:start], []byte(line+ending), data[end:])
	}
	at := lineStart(data, lastLine(section)+1)
	line := strings.Repeat(" ", section.Content[0].Column-1) + key + ": " + scalar(value) + "\n"
	if at > 0 && data[at-1] != '\n' {
		line = "\n" + line
	}
	return slices.Concat(data[:at], []byte(line), data[at:])
}

// setTree changes the value in the tree and writes it all.
func setTree(data []byte, profile, key, value string) []byte {
	var doc yaml.Node
	if yaml.Unmarshal(data, &doc) != nil || len(doc.Content) == 0 {
		return nil
	}
	section := sectionOf(deref(doc.Content[0]), profile)
	if section == nil || section.Kind != yaml.MappingNode {
		return nil
	}
	if v := child(section, key); v != nil {
		v.Kind, v.Tag, v.Value, v.Style = yaml.ScalarNode, "!!str", value, 0
	} else {
		section.Content = append(section.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value})
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if e.Encode(&doc) != nil {
		return nil
	}
	return b.Bytes()
}

func sectionNode(data []byte, profile string) *yaml.Node {
	root, err := parseDocument("", data)
	if err != nil {
		return nil
	}
	return sectionOf(root, profile)
}

func sectionOf(root *yaml.Node, profile string) *yaml.Node {
	if profile == DefaultProfile {
		return child(root, DefaultProfile)
	}
	return child(child(root, "profiles"), profile)
}

func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// keyLine is the line of a key in a mapping, 0 if it is not there.
func keyLine(n *yaml.Node, key string) int {
	if n == nil || n.Kind != yaml.MappingNode {
		return 0
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i].Line
		}
	}
	return 0
}

func lastLine(n *yaml.Node) int {
	last := n.Line
	for _, c := range n.Content {
		last = max(last, lastLine(c))
	}
	return last
}

// lineStart is the offset of a line, which counts from 1; past the end, the end.
func lineStart(data []byte, line int) int {
	at := 0
	for range line - 1 {
		i := bytes.IndexByte(data[at:], '\n')
		if i < 0 {
			return len(data)
		}
		at += i + 1
	}
	return at
}

// scalar writes a value as YAML wants it.
func scalar(value string) string {
	text, err := yaml.Marshal(value)
	if err != nil {
		return value // a string always marshals
	}
	if s := strings.TrimSuffix(string(text), "\n"); !strings.ContainsAny(s, "\n") && s[0] != '|' && s[0] != '>' {
		return unquoteNumber(value, s)
	}
	return fmt.Sprintf("%q", value)
}

// unquoteNumber leaves 3600 and true as they are: all values are read as text.
func unquoteNumber(value, quoted string) string {
	if of(value, digits, 1, 20) || value == "true" || value == "false" {
		return value
	}
	return quoted
}
