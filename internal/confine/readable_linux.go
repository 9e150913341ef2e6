//go:build linux && !cgo

package confine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// readable are the paths to open for reading.
func (a Access) readable() []string {
	all := slices.Clone(a.Read)
	for _, file := range a.Named {
		if file != "" {
			all = append(append(all, file), a.folders(file)...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// folders are that of a file, and where a link stands on the way to it, that of
// the link and of what it leads to: whoever replaces the file, or turns the link,
// does it there. Kubernetes' ..data and certbot's live are such.
func (a Access) folders(file string) []string {
	path, err := filepath.Abs(file)
	if err != nil {
		return nil
	}
	found := []string{filepath.Dir(path)}
	if end, err := filepath.EvalSymlinks(path); err == nil {
		found = append(found, filepath.Dir(end))
	}
	const mostLinks = 40 // as the kernel
	rest := strings.Split(strings.TrimPrefix(path, "/"), "/")
	at := "/"
	for links := 0; len(rest) > 0 && links < mostLinks; {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		target, err := os.Readlink(next)
		if err != nil {
			at = next
			continue
		}
		links++
		if !filepath.IsAbs(target) {
			target = filepath.Join(at, target)
		}
		found = append(found, at, filepath.Dir(target))
		rest = append(strings.Split(strings.TrimPrefix(filepath.Clean(target), "/"), "/"), rest...)
		at = "/"
	}
	return slices.DeleteFunc(found, a.shared)
}

// shared is a folder of so much else that a file in it is opened alone.
func (a Access) shared(dir string) bool {
	switch dir {
	case a.Home, "/", "/etc", "/tmp", "/var", "/var/tmp", "/usr", "/opt", "/srv", "/run", "/home", "/root", "/mnt":
		return true
	}
	for _, prefix := range []string{"/dev", "/proc", "/sys"} { // /dev/fd/63, which is opened as what it leads to
		if dir == prefix || strings.HasPrefix(dir, prefix+"/") {
			return true
		}
	}
	return false
}
