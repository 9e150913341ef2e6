package config

import (
	"os"

	"github.com/eks-x509/eks-x509/internal/safetext"
)

// Value is a setting as it holds, and what it came from: a flag, a variable, a
// line of a file.
type Value struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
	// Ignored are variables that are set and do not count: the profile was given
	// by a flag.
	Ignored []string `json:"ignored,omitempty"`
}

// Values are the settings that hold, in the order of the help; those without a
// value are left out. None is a secret.
func Values(flags map[string]string, getenv func(string) string) ([]Value, error) {
	s, err := source{flags: flags, getenv: getenv}.withFiles()
	if err != nil {
		return nil, err
	}
	var found []Value
	if s.profile != "" {
		found = append(found, Value{Name: "profile", Value: s.profile, Origin: s.where("profile")})
	}
	for _, setting := range FileSettings() {
		if value, where := s.lookup(setting.Name); value != "" {
			value = shownValue(setting.Name, value)
			found = append(found, Value{Name: setting.Name, Value: value, Origin: where, Ignored: s.ignored(setting.Name)})
		}
	}
	return found, nil
}

// Profile is a section of a configuration file.
type Profile struct {
	Name   string            `json:"name"`
	File   string            `json:"file"`
	Values map[string]string `json:"values"`
	// Inherited are the values that hold for it and stand in the default, or in
	// another file.
	Inherited map[string]string `json:"inherited,omitempty"`
}

// Profiles are those of all configuration files, the user's first; the default
// of a file stands before its profiles if it holds anything.
func Profiles(flags map[string]string, getenv func(string) string) ([]Profile, error) {
	var found []Profile
	var files []*file
	for _, p := range (source{flags: flags, getenv: getenv}).places() {
		f, err := readFile(p, getenv)
		if err != nil {
			return nil, err
		}
		if f != nil {
			files = append(files, f)
		}
	}
	for _, f := range files {
		for _, name := range append([]string{DefaultProfile}, f.order...) {
			section := f.sections[name]
			if name == DefaultProfile && len(section) == 0 {
				continue
			}
			values := map[string]string{}
			for key, e := range section {
				values[key] = shownValue(key, e.value)
			}
			found = append(found, Profile{Name: name, File: f.path, Values: values, Inherited: inherited(files, f, name)})
		}
	}
	return found, nil
}

// NoSuchFile stands for the name of a password file that is not there: it may be
// the password.
const NoSuchFile = "(no such file)"

func shownValue(name, value string) string {
	if name == "endpoint" {
		return safetext.Scrub(value) // it is not checked yet
	}
	if name == "key-password-file" {
		if _, err := os.Stat(value); err != nil {
			return NoSuchFile
		}
	}
	return value
}
