package awsfiles

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	process = "credential_process"
	region  = "region"

	bom = "\ufeff"
)

// SetCredentialProcess puts credential_process = command into the profile, at the
// end of the file if the profile is not there. If the profile has other settings
// that decide about credentials, or is there twice, the warnings say so.
func SetCredentialProcess(data []byte, profile, command string) (edited []byte, warnings []string, err error) {
	if err := checkProfile(profile); err != nil {
		return nil, nil, err
	}
	if err := checkCommand(command); err != nil {
		return nil, nil, err
	}
	if err := checkText(data); err != nil {
		return nil, nil, err
	}
	f := parse(data, profile, process)
	return f.set(command), f.warnings(profile), nil
}

// SetRegion puts region = name into the profile, as SetCredentialProcess does. If the
// profile has a region already, it is only replaced if replace is set.
func SetRegion(data []byte, profile, name string, replace bool) ([]byte, error) {
	if err := checkProfile(profile); err != nil {
		return nil, err
	}
	if err := checkCommand(name); err != nil {
		return nil, err
	}
	if err := checkText(data); err != nil {
		return nil, err
	}
	f := parse(data, profile, region)
	if f.value() != "" && !replace {
		return data, nil
	}
	return f.set(name), nil
}

// value is that of the key, empty if the profile does not have it.
func (f *file) value() string {
	for _, s := range f.settings {
		if s.key == f.key {
			return uncommented(s.value)
		}
	}
	return ""
}

func checkProfile(name string) error {
	switch {
	case name == "" || name != strings.TrimSpace(name):
		return fmt.Errorf("invalid profile name %q: it is empty or has spaces around it", name)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unprintable) || strings.ContainsAny(name, "[]#;'\"\\"):
		return fmt.Errorf("invalid profile name %q: unsupported in the AWS config file are brackets, quotes, backslashes, #, ; and control characters", name)
	}
	return nil
}

func checkCommand(command string) error {
	if command == "" {
		return errors.New("invalid command: it is empty")
	}
	if !utf8.ValidString(command) || strings.ContainsFunc(command, unprintable) {
		return errors.New("invalid command: it is not one line of text")
	}
	// Of a last word that ends with an escaped space, readers would leave the backslash.
	if command != strings.TrimSpace(command) {
		return errors.New("invalid command: spaces around it are taken away by readers of the AWS config file")
	}
	// aws-sdk-go-v2, internal/ini: both happen without regard to the shell's words.
	if uncommented(command) != command {
		return errors.New("invalid command: a # or ; after a space begins a comment in the AWS config file")
	}
	first, last := command[0], command[len(command)-1]
	if first == last && (first == '"' || first == '\'') {
		return errors.New("invalid command: quotes at both ends are taken away by the AWS SDK for Go")
	}
	return nil
}

// unprintable also are the line separators of Unicode: no reader breaks lines
// there, but whoever looks at the file is deceived.
func unprintable(r rune) bool { return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) }

func checkText(data []byte) error {
	switch {
	case bytes.IndexByte(data, 0) >= 0:
		return errors.New("malformed AWS config file: it has a NUL byte")
	case !utf8.Valid(data):
		return errors.New("malformed AWS config file: it is not UTF-8")
	case bytes.Count(data, []byte("\r")) != bytes.Count(data, []byte("\r\n")):
		// A new line for Python, not for Go: what is a setting is not certain.
		return errors.New("malformed AWS config file: it has a carriage return that ends no line")
	}
	return nil
}

// set returns the file's text with the command.
func (f *file) set(command string) []byte {
	switch has := func(s *setting) bool { return s.key == f.key }; {
	case slices.ContainsFunc(f.settings, has):
		f.replace(command)
	case len(f.sections) > 0:
		f.add(command)
	default:
		f.addSection(command)
	}
	return []byte(strings.Join(f.lines, ""))
}

// replace puts the command into the setting, and takes out its further values and
// its doubles, of which each SDK would take another or none.
func (f *file) replace(command string) {
	first := true
	for _, s := range f.settings {
		if s.key != f.key {
			continue
		}
		for _, nested := range s.nested {
			f.lines[nested] = ""
		}
		line := &f.lines[s.line]
		switch {
		case !first:
			*line = ""
		case s.value != command || s.indent != indent(*line):
			*line = s.indent + f.key + " = " + command + ending(*line)
		}
		first = false
	}
}

// add puts the setting at the top of the last section of the profile, where it
// continues no other value, indented like what follows.
func (f *file) add(command string) {
	header := f.sections[len(f.sections)-1]
	eol := f.eol(header.line)
	if ending(f.lines[header.line]) == "" {
		f.lines[header.line] += eol
	}
	f.lines[header.line] += header.indent + f.key + " = " + command + eol
}

func (f *file) addSection(command string) {
	last := len(f.lines) - 1
	eol := f.eol(last)
	section := "[" + f.header + "]" + eol + f.key + " = " + command + eol
	if last < 0 {
		f.lines = []string{section}
		return
	}
	switch empty := last == 0 && f.lines[last] == bom; { // further down it is a character
	case ending(f.lines[last]) == "" && !empty:
		section = eol + eol + section
	case strings.TrimSpace(f.lines[last]) != "" && !empty:
		section = eol + section
	}
	f.lines[last] += section
}

// eol is the ending that a new line after line i takes.
func (f *file) eol(i int) string {
	for _, at := range []int{i, 0} {
		if at >= 0 && at < len(f.lines) && ending(f.lines[at]) != "" {
			return ending(f.lines[at])
		}
	}
	return "\n"
}

// warnings names what may win over credential_process, or keep it from being
// read.
func (f *file) warnings(profile string) []string {
	var all []string
	for _, s := range f.settings {
		if fights(s.key) {
			all = append(all, fmt.Sprintf("profile %q also has %s, which an SDK may prefer to %s", profile, s.key, process))
		}
	}
	if strings.ContainsAny(profile, " \t") {
		all = append(all, fmt.Sprintf("profile name %q has a space: the AWS CLI wants it in quotes in the file, the AWS SDK for Go without", profile))
	}
	if f.doubled {
		all = append(all, fmt.Sprintf("profile %q has more than one section, which the AWS CLI refuses or reads in part", profile))
	}
	if len(f.lines) > 0 && strings.HasPrefix(f.lines[0], bom) {
		all = append(all, "the file begins with a byte order mark, which SDKs take for part of the first line")
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func fights(key string) bool {
	switch key {
	case "aws_access_key_id", "role_arn", "source_profile", "credential_source", "web_identity_token_file", "login_session":
		return true
	}
	return strings.HasPrefix(key, "sso_")
}
