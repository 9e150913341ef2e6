package config

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// CheckValue refuses what Load would refuse of a single setting, before it is
// written to a file. What several settings must have in common (one account, one
// region) is Load's to check.
func CheckValue(name, value string) error {
	if err := checkKey(name); err != nil {
		return err
	}
	if err := CheckSetting(name, name, value); err != nil {
		return err
	}
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return invalid(name, "empty, or with control characters")
	}
	s := source{getenv: func(string) string { return "" }, layers: []section{{name: entry{value: value}}}}
	var err error
	switch name {
	case "trust-anchor-arn", "profile-arn", "role-arn":
		_, err = s.arn(name)
	case "region":
		err = s.regions(new(Config))
	case "endpoint":
		_, err = checkEndpoint(value, name)
	case "session-duration":
		err = s.duration(new(Config))
	case "role-session-name":
		err = s.sessionName()
	case "no-cache":
		_, err = s.boolean(name)
	}
	return err
}

// Section is what one profile, or the default, of the configuration file whose
// text is data holds, to be shown; nil if it is not there. Names are the file's
// profiles.
func Section(path string, data []byte, profile string) (values map[string]string, names []string, err error) {
	f, err := checkEdit(path, data, profile)
	if err != nil {
		return nil, nil, err
	}
	found, ok := f.sections[profile]
	if !ok || profile == DefaultProfile && len(found) == 0 {
		return nil, f.order, nil
	}
	values = map[string]string{}
	for key, e := range found {
		values[key] = shownValue(key, e.value)
	}
	return values, f.order, nil
}

// Unset takes one value out of a profile, or the default. Every other line stays
// as it is, but for the comment that AddProfile writes above the value.
func Unset(path string, data []byte, profile, key string) ([]byte, error) {
	before, err := checkEdit(path, data, profile)
	if err != nil {
		return nil, err
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if _, ok := before.sections[profile][key]; !ok {
		return data, nil
	}
	return cut(path, data, before, profile, key, func(root *yaml.Node) *yaml.Node { return sectionOf(root, profile) })
}

// RemoveProfile takes out a profile, or the default, and leaves every other line.
func RemoveProfile(path string, data []byte, profile string) ([]byte, error) {
	before, err := checkEdit(path, data, profile)
	if err != nil {
		return nil, err
	}
	delete(before.sections, profile)
	return cut(path, data, before, "", profile, func(root *yaml.Node) *yaml.Node {
		if profile == DefaultProfile {
			return root
		}
		return child(root, "profiles")
	})
}

// cut takes a key and its value out of the mapping that find finds: its lines, or
// where the file's style has none of their own, from the tree. What is left must
// hold what before does, without the key of that profile.
func cut(path string, data []byte, before *file, profile, key string, find func(root *yaml.Node) *yaml.Node) ([]byte, error) {
	for _, edit := range []func([]byte, string, func(*yaml.Node) *yaml.Node) []byte{cutLines, cutTree} {
		after := edit(data, key, find)
		f, err := parse(path, after)
		if err != nil {
			continue
		}
		_, still := f.sections[profile][key]
		if profile == "" {
			still = len(f.sections[key]) > 0
		}
		if !still && sameBut(before, f, profile, key) {
			return after, nil
		}
	}
	return nil, errByHand(path)
}

func cutLines(data []byte, key string, find func(*yaml.Node) *yaml.Node) []byte {
	root, err := parseDocument("", data)
	if err != nil || root == nil {
		return nil
	}
	mapping := find(root)
	n := keyLine(mapping, key)
	if n == 0 {
		return nil
	}
	start, end := lineStart(data, n), lineStart(data, max(n, lastLine(child(mapping, key)))+1)
	if above := lineStart(data, max(n-1, 1)); above < start {
		comment := strings.TrimSpace(string(data[above:start]))
		if slices.ContainsFunc(FileSettings(), func(s Setting) bool { return s.Name == key && comment == "# "+s.Usage }) {
			start = above
		}
	}
	return slices.Concat(data[:start], data[end:])
}

func cutTree(data []byte, key string, find func(*yaml.Node) *yaml.Node) []byte {
	var doc yaml.Node
	if yaml.Unmarshal(data, &doc) != nil || len(doc.Content) == 0 {
		return nil
	}
	mapping := find(deref(doc.Content[0]))
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			mapping.Content = slices.Delete(mapping.Content, i, i+2)
			break
		}
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if e.Encode(&doc) != nil {
		return nil
	}
	return b.Bytes()
}

// inherited are the values that a profile has from what lies below it: the same
// profile of other files, then the defaults.
func inherited(files []*file, own *file, name string) map[string]string {
	var below []section
	if name != DefaultProfile {
		for _, f := range files {
			if f != own {
				below = append(below, f.sections[name])
			}
		}
		for _, f := range files {
			below = append(below, f.sections[DefaultProfile])
		}
	}
	found := map[string]string{}
	for _, layer := range slices.Backward(below) {
		for key, e := range layer {
			found[key] = shownValue(key, e.value)
		}
	}
	maps.DeleteFunc(found, func(key, _ string) bool { _, ok := own.sections[name][key]; return ok })
	return found
}
