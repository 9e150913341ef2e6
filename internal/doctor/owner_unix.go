//go:build unix

package doctor

import (
	"io/fs"
	"syscall"
)

// ownerOf is the user who owns a file, -1 if that can't be told.
func ownerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}
