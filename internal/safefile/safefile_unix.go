//go:build unix

package safefile

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// O_NONBLOCK: a pipe in the file's place must not hang us.
const noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

func openNoFollow(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDONLY|noFollow, 0) }

func checkOwner(info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if uid := os.Geteuid(); ok && int(stat.Uid) != uid {
		return fmt.Errorf("owned by user %d, not by us (%d)", stat.Uid, uid)
	}
	return nil
}

func loose(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }

func rename(from, to string) error { return os.Rename(from, to) }

// syncDir makes the rename last. Some file systems can't; the file is whole all
// the same.
func syncDir(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	defer d.Close()
	_ = d.Sync()
}
