package config

import (
	"fmt"
	"slices"
)

// Untrusted is a configuration file that another user can change. What of it
// leads secrets and signatures elsewhere is refused; for the rest there is a
// warning, as ssh treats its own configuration.
type Untrusted struct {
	Path string
	Why  string // a clause: other users can write it
	// Setting is what was refused; empty: nothing.
	Setting string
}

func (e *Untrusted) Error() string {
	if e.Setting != "" {
		return fmt.Sprintf("refusing %s from %s: %s", e.Setting, e.Path, e.Why)
	}
	return fmt.Sprintf("configuration %s: %s", e.Path, e.Why)
}

// leading are the settings that say where secrets and signatures go: whoever sets
// the endpoint answers in AWS's place, and the cache holds the sessions.
func leading() []string { return []string{"endpoint", "cache-dir"} }

// checkTrust notes which of the files that were read are untrusted, and refuses
// what must not come from one.
func (s *source) checkTrust() error {
	for _, path := range s.files {
		if why := distrust(path); why != "" {
			s.untrusted = append(s.untrusted, Untrusted{Path: path, Why: why})
		}
	}
	if len(s.untrusted) == 0 {
		return nil
	}
	for _, name := range leading() {
		e, ok := s.fromFile(name)
		i := slices.IndexFunc(s.untrusted, func(u Untrusted) bool { return u.Path == e.path })
		if ok && i >= 0 {
			return &Error{Where: e.where(name), Err: &Untrusted{Path: e.path, Why: s.untrusted[i].Why, Setting: name}}
		}
	}
	return nil
}

// fromFile is the entry of a setting that neither a flag nor a variable has.
func (s *source) fromFile(name string) (entry, bool) {
	_, where := s.lookup(name)
	for _, layer := range s.layers {
		if e, ok := layer[name]; ok && e.where(name) == where {
			return e, true
		}
	}
	return entry{}, false
}

// Distrust says why a configuration file is untrusted; empty: it is not, or it is
// not there.
func Distrust(path string) string { return distrust(path) }
