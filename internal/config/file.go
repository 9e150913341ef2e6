package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/eks-x509/eks-x509/internal/safefile"
)

// DefaultProfile is what holds for every profile, and alone if none is chosen.
const DefaultProfile = "default"

// MaxFile bounds what is read as a configuration file, in bytes.
const MaxFile = 1 << 20

// place is one configuration file. It must be there if the person named it.
type place struct {
	path  string
	named string // "--config" or its variable; empty: the usual place
}

// places are where configuration files may be, the one that wins first: the
// user's, then the system's for all users (XDG Base Directory Specification on
// Linux).
func (s source) places() []place {
	var found []place
	if path := s.fromPerson("config"); path != "" {
		found = append(found, place{path, s.where("config")})
	} else if dir := configHome(s.getenv); dir != "" {
		found = append(found, place{path: filepath.Join(dir, "eks-x509", "config.yaml")})
	}
	for _, dir := range systemDirs(s.getenv) {
		found = append(found, place{path: filepath.Join(dir, "eks-x509", "config.yaml")})
	}
	return found
}

func configHome(getenv func(string) string) string {
	home := getenv("HOME")
	switch {
	case runtime.GOOS == "windows":
		return getenv("AppData")
	case runtime.GOOS == "darwin" && home != "":
		return filepath.Join(home, "Library", "Application Support")
	case filepath.IsAbs(getenv("XDG_CONFIG_HOME")): // a relative one is to be ignored
		return getenv("XDG_CONFIG_HOME")
	case home != "":
		return filepath.Join(home, ".config")
	}
	return ""
}

func systemDirs(getenv func(string) string) []string {
	switch runtime.GOOS {
	case "windows":
		return slices.DeleteFunc([]string{getenv("ProgramData")}, func(d string) bool { return d == "" })
	case "darwin":
		return []string{"/Library/Application Support"}
	}
	dirs := getenv("XDG_CONFIG_DIRS")
	if dirs == "" {
		dirs = "/etc/xdg"
	}
	return slices.DeleteFunc(filepath.SplitList(dirs), func(d string) bool { return !filepath.IsAbs(d) })
}

// Files are the paths of the configuration files that are looked at, the user's
// first; they need not exist.
func Files(flags map[string]string, getenv func(string) string) []string {
	var paths []string
	for _, p := range (source{flags: flags, getenv: getenv}).places() {
		paths = append(paths, p.path)
	}
	return paths
}

// UserFile is the configuration file that is the user's to write.
func UserFile(flags map[string]string, getenv func(string) string) (string, error) {
	s := source{flags: flags, getenv: getenv}
	if path := s.fromPerson("config"); path != "" {
		if err := CheckPath(s.where("config"), path); err != nil {
			return "", err
		}
		if _, err := ExpandHome(path, getenv); err != nil {
			return "", invalid(s.where("config"), "%w", err)
		}
		return path, nil
	}
	if dir := configHome(getenv); dir != "" {
		return filepath.Join(dir, "eks-x509", "config.yaml"), nil
	}
	return "", &Error{Where: "--config", Err: errors.New("no --config given, and no home directory in the environment")}
}

// entry is a value of a configuration file and where it stands.
type entry struct {
	value string
	path  string
	line  int
}

func (e entry) where(key string) string {
	if e.path == "" { // it is in no file yet
		return key
	}
	return fmt.Sprintf("%s (%s:%d)", key, e.path, e.line)
}

// section is a profile, or the default.
type section map[string]entry

type file struct {
	path     string
	sections map[string]section // by name; the default under DefaultProfile
	order    []string           // names of the profiles as they stand
}

// withFiles adds the layers below the environment: the chosen profile in each
// file, then the default in each.
func (s source) withFiles() (source, error) {
	if err := s.checkPaths(); err != nil {
		return s, err
	}
	var files []*file
	if err := s.checkHome(); err != nil { // before a file is looked for
		return s, err
	}
	for _, p := range s.places() {
		f, err := readFile(p, s.getenv)
		if err != nil {
			return s, err
		}
		if f != nil {
			files = append(files, f)
			s.files = append(s.files, f.path)
		}
	}
	s.profile, s.explicit = s.fromPerson("profile"), s.flags["profile"] != ""
	if s.profile == DefaultProfile {
		s.profile = ""
	}
	if s.profile != "" {
		var names []string
		for _, f := range files {
			names = append(names, f.order...)
			if layer, ok := f.sections[s.profile]; ok {
				s.layers = append(s.layers, layer)
			}
		}
		if len(s.layers) == 0 {
			return s, s.noProfile(names)
		}
	}
	for _, f := range files {
		s.layers = append(s.layers, f.sections[DefaultProfile])
	}
	if err := s.checkHome(); err != nil {
		return s, err
	}
	err := s.checkTrust() // which changes s
	return s, err
}

func (s source) noProfile(names []string) error {
	where := s.where("profile")
	switch near := Nearest(s.profile, names); {
	case len(s.files) == 0:
		paths := Files(s.flags, s.getenv)
		if len(paths) == 0 {
			return invalid(where, "no profile %q found: there is no configuration file, and no home directory in the environment", s.profile)
		}
		return invalid(where, "no profile %q found: there is no configuration file at %s", s.profile, paths[0])
	case near != "":
		return invalid(where, "no profile %q found in %s (is it %q?)", s.profile, strings.Join(s.files, ", "), near)
	default:
		return invalid(where, "no profile %q found in %s", s.profile, strings.Join(s.files, ", "))
	}
}

// readFile returns nil if there is no file at a usual place.
func readFile(p place, getenv func(string) string) (*file, error) {
	if err := CheckPath(p.named, p.path); err != nil {
		return nil, err
	}
	data, err := safefile.ReadExisting(p.path, MaxFile)
	if errors.Is(err, fs.ErrNotExist) && p.named == "" {
		return nil, nil
	}
	if err != nil {
		where := p.named
		if where == "" {
			where = p.path
		}
		return nil, &Error{Where: where, Err: fmt.Errorf("reading configuration: %w", err)}
	}
	f, err := parse(p.path, data)
	if err != nil {
		return nil, inFile(p.path, err)
	}
	f.resolvePaths(getenv)
	return f, nil
}

// inFile is an error of a file's text.
func inFile(path string, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Where: path, Err: err}
}

// resolvePaths makes paths relative to the file's folder, and ~ the home
// directory.
func (f *file) resolvePaths(getenv func(string) string) {
	for _, section := range f.sections {
		for _, s := range FileSettings() {
			e, ok := section[s.Name]
			if !ok || !s.IsPath() {
				continue
			}
			// A ~ that can't be expanded stays, for checkPaths.
			if path, err := ExpandHome(e.value, getenv); err != nil {
				continue
			} else if e.value = path; !filepath.IsAbs(e.value) {
				e.value = filepath.Join(filepath.Dir(f.path), e.value)
			}
			section[s.Name] = e
		}
	}
}

// parse reads a configuration file, strictly: what it does not know is an error
// that names the line and the nearest key. No value is ever in an error.
func parse(path string, data []byte) (*file, error) {
	f := &file{path: path, sections: map[string]section{DefaultProfile: {}}}
	root, err := parseDocument(path, data)
	if err != nil || root == nil {
		return f, err
	}
	err = eachPair(path, root, "the file", func(key string, k, v *yaml.Node) error {
		switch key {
		case DefaultProfile:
			f.sections[DefaultProfile], err = parseSection(path, v, "default")
			return err
		case "profiles":
			return f.parseProfiles(v)
		}
		return unknownKey(path, k, []string{DefaultProfile, "profiles"})
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// parseDocument returns the document's root, nil if it is empty.
func parseDocument(path string, data []byte) (*yaml.Node, error) {
	var doc yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("malformed configuration %s: %s", path, strings.TrimPrefix(firstLine(err.Error()), "yaml: "))
	}
	if decoder.Decode(new(yaml.Node)) == nil {
		return nil, fmt.Errorf("malformed configuration %s: more than one YAML document", path)
	}
	root := deref(doc.Content[0])
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	return root, nil
}

func (f *file) parseProfiles(n *yaml.Node) error {
	return eachPair(f.path, n, "profiles", func(name string, k, v *yaml.Node) error {
		if !isProfileName(name) || name == DefaultProfile {
			return malformed(f.path, k, "%q can't be a profile's name: letters, digits and _-.@+ are taken, and the default stands outside profiles", name)
		}
		section, err := parseSection(f.path, v, "profile "+name)
		if err != nil {
			return err
		}
		f.sections[name] = section
		f.order = append(f.order, name)
		return nil
	})
}

func isProfileName(s string) bool { return of(s, digits+letters+"_-.@+", 1, 64) && s[0] != '-' }

func parseSection(path string, n *yaml.Node, what string) (section, error) {
	found := section{}
	var keys, paths []string
	for _, s := range FileSettings() {
		if keys = append(keys, s.Name); s.IsPath() {
			paths = append(paths, s.Name)
		}
	}
	err := eachPair(path, n, what, func(key string, k, v *yaml.Node) error {
		if !slices.Contains(keys, key) {
			return unknownKey(path, k, keys)
		}
		v = deref(v)
		if v.Kind != yaml.ScalarNode || v.Tag == "!!null" || v.Value == "" {
			return malformed(path, k, "%s needs one value", key)
		}
		found[key] = entry{value: v.Value, path: path, line: k.Line}
		if slices.Contains(paths, key) {
			return CheckPath(found[key].where(key), v.Value)
		}
		return nil
	})
	return found, err
}

// eachPair calls do for each key of a mapping; a mapping that is null has none.
func eachPair(path string, n *yaml.Node, what string, do func(key string, k, v *yaml.Node) error) error {
	n = deref(n)
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return malformed(path, n, "%s must be a mapping, such as key: value", what)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			return malformed(path, k, "a key of %s is no word", what)
		}
		if seen[k.Value] {
			return malformed(path, k, "%q stands twice in %s", k.Value, what)
		}
		seen[k.Value] = true
		if err := do(k.Value, k, v); err != nil {
			return err
		}
	}
	return nil
}

func deref(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func malformed(path string, n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("malformed configuration %s:%d: "+format, append([]any{path, n.Line}, args...)...)
}

func unknownKey(path string, k *yaml.Node, known []string) error {
	if near := Nearest(k.Value, known); near != "" {
		return malformed(path, k, "unknown key %q (is it %q?)", k.Value, near)
	}
	return malformed(path, k, "unknown key %q (known: %s)", k.Value, strings.Join(known, ", "))
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// Nearest is the word that s was probably meant to be; empty if none is near.
func Nearest(s string, words []string) string {
	best, least := "", len(s)/3+2
	for _, w := range words {
		if d := distance(strings.ToLower(strings.ReplaceAll(s, "_", "-")), strings.ToLower(w)); d < least {
			best, least = w, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substituted := corner
			if a[i] != b[j] {
				substituted++
			}
			corner = row[j+1]
			row[j+1] = min(substituted, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
