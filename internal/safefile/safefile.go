// Package safefile is the one way to open, read, write, create, replace, remove
// and list files, and to make directories.
//
// There are two kinds of files. Private ones are the program's own: sessions,
// locks, state. They lie in a directory for this user alone, no link is followed,
// and a looser mode of a file is repaired. The others are the user's: what they
// name is read through links, and a replacement keeps owner, group, mode, access
// list and extended attributes, or is refused.
//
// What is read is limited while it is read, and nothing but a regular file is
// opened where a pipe is not expected. What is written is there whole or not at
// all.
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

// errNotRegular: a directory, a link where none is followed, a pipe, a device.
var errNotRegular = errors.New("not a regular file")

// Read returns what a private file holds, at most limit bytes. The file must be
// a regular one of this user, no symbolic link; a looser mode is repaired.
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
		return nil, &fs.PathError{Op: "read", Path: path, Err: errNotRegular}
	}
	if err := checkOwner(info); err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	if loose(info) {
		if err := f.Chmod(fileMode); err != nil {
			return nil, err
		}
	}
	return readAll(f, path, limit)
}

func readAll(f *os.File, path string, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %d bytes", limit)}
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

// Write makes or replaces a private file by data, or leaves it as it was. A
// symbolic link is itself replaced.
func Write(path string, data []byte) error {
	r, err := stageNew(filepath.Dir(path), filepath.Base(path), data, fileMode)
	if err != nil {
		return err
	}
	defer r.Discard()
	return r.rename()
}

// WriteSecret is Write for a directory that may be in one that others can write
// to: it must be of this user alone when it is open, wherever the path leads.
func WriteSecret(path string, data []byte) error {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	old := &original{dir: root, name: filepath.Base(path)}
	defer old.close()
	info, err := root.Stat(".")
	if err == nil {
		err = checkPrivate(info)
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: root.Name(), Err: cause(err)}
	}
	r, err := old.stage(data, fileMode)
	if err != nil {
		return err
	}
	defer r.removeTemp()
	return r.rename()
}

// Overwrite writes a private file in place, for what may be torn or lost. No
// symbolic link is followed.
func Overwrite(path string, data []byte) error {
	return writeThrough(path, data, os.O_TRUNC)
}

// Append adds data to a private file in one write, and makes the file if it is
// not there. No symbolic link is followed.
func Append(path string, data []byte) error {
	return writeThrough(path, data, os.O_APPEND)
}

func writeThrough(path string, data []byte, flag int) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|flag|noFollow, fileMode)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "write", Path: path, Err: errNotRegular}
	}
	if err == nil {
		_, err = f.Write(data)
	}
	return errors.Join(err, f.Close())
}
