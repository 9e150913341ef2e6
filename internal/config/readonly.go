//go:build linux || darwin || freebsd

package config

import "syscall"

// readOnly tells whether the file system of a directory is mounted so.
func readOnly(dir string) bool {
	const flag = 1 // ST_RDONLY of Linux, MNT_RDONLY of the BSDs
	var s syscall.Statfs_t
	return syscall.Statfs(dir, &s) == nil && s.Flags&flag != 0
}
