//go:build unix

package session

import (
	"io/fs"
	"strconv"
	"syscall"
)

// inode tells a file from another of the same path, size and time.
func inode(info fs.FileInfo) string {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return strconv.FormatUint(uint64(s.Dev), 10) + ":" + strconv.FormatUint(uint64(s.Ino), 10) //nolint:unconvert // other types on other systems
	}
	return ""
}
