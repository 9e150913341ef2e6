package config

import (
	"path/filepath"
	"runtime"
)

// CacheDir is where sessions are kept: --cache-dir, its variable or the
// configuration files, else our folder in the platform's cache directory (XDG
// Base Directory Specification on Linux). Empty if nothing says where that is.
func CacheDir(flags map[string]string, getenv func(string) string) (string, error) {
	s, err := source{flags: flags, getenv: getenv}.withFiles()
	return s.cacheDir(), err
}

func (s source) cacheDir() string {
	if dir := s.value("cache-dir"); dir != "" {
		return dir
	}
	getenv := s.getenv
	home := getenv("HOME")
	var base string
	switch {
	case runtime.GOOS == "windows":
		base = getenv("LocalAppData")
	case runtime.GOOS == "darwin" && home != "":
		base = filepath.Join(home, "Library", "Caches")
	case filepath.IsAbs(getenv("XDG_CACHE_HOME")): // a relative one is to be ignored
		base = getenv("XDG_CACHE_HOME")
	case home != "":
		base = filepath.Join(home, ".cache")
	}
	if base == "" {
		return ""
	}
	return filepath.Join(base, "eks-x509")
}
