// Package safefile keeps small secret files: a directory for this user alone,
// files that are replaced whole or not at all, reads that trust nothing, and a
// lock between processes that has a deadline.
//
// On Windows owner and mode say nothing; there the profile's access list is
// what protects.
package safefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// The modes of what is made here.
const (
	dirMode  fs.FileMode = 0o700
	fileMode fs.FileMode = 0o600
)

// MkdirPrivate makes dir, and what is missing above it, for this user alone. A
// directory that is there must be ours and no symbolic link; a looser mode is
// repaired.
func MkdirPrivate(dir string) error {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &fs.PathError{Op: "open", Path: dir, Err: errors.New("not a directory (a symbolic link is not followed)")}
	}
	if err := checkOwner(info); err != nil {
		return &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	if loose(info) {
		return os.Chmod(dir, dirMode)
	}
	return nil
}

// Read returns what the file holds, at most limit bytes. The file must be a
// regular one of ours, no symbolic link; a looser mode is repaired.
func Read(path string, limit int64) ([]byte, error) {
	f, err := openNoFollow(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat() // of the open file: the path may lead elsewhere by now
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	if err := checkOwner(info); err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	if loose(info) {
		if err := f.Chmod(fileMode); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %d bytes", limit)}
	}
	return data, nil
}

// Write is Replace with a mode for this user alone.
func Write(path string, data []byte) error { return Replace(path, data, fileMode) }

// Replace replaces the file by data, or leaves it as it was: written aside,
// flushed to the disk, renamed. The file has the given permissions whatever the
// umask is. A symbolic link is itself replaced.
func Replace(path string, data []byte, mode fs.FileMode) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // 0600, O_EXCL
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && mode != fileMode {
		err = f.Chmod(mode.Perm())
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	syncDir(dir)
	return nil
}

// Overwrite writes the file in place, for what may be torn or lost. No symbolic
// link is followed.
func Overwrite(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|noFollow, fileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
