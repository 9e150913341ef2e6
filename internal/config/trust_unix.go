//go:build unix

package config

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// distrust: the file must be of this user or root, and nobody else may write it or
// put another in its place. A directory in which everyone may write protects what
// is in it if it is sticky, or on a file system that is mounted read-only, as a
// ConfigMap of Kubernetes is.
func distrust(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	if owner := stranger(info); owner != "" {
		return "it belongs to " + owner
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o022 != 0 {
		return fmt.Sprintf("other users can write it (mode %04o)", info.Mode().Perm())
	}
	if !info.Mode().IsRegular() { // a pipe: it has no name in a directory
		return ""
	}
	dirs := []string{filepath.Dir(path)}
	if link, err := os.Lstat(path); err == nil && link.Mode()&fs.ModeSymlink != 0 {
		if owner := stranger(link); owner != "" {
			return "the link belongs to " + owner
		}
		if real, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil {
			continue
		}
		if owner := stranger(info); owner != "" {
			return fmt.Sprintf("the directory %s belongs to %s", dir, owner)
		}
		if info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 && !readOnly(dir) {
			return fmt.Sprintf("every user can replace it in the directory %s (mode %04o)", dir, info.Mode().Perm())
		}
	}
	return ""
}

// stranger names an owner that is neither this user nor root.
func stranger(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Uid == 0 || int(stat.Uid) == os.Geteuid() {
		return ""
	}
	return fmt.Sprintf("user %d", stat.Uid)
}
