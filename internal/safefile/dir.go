package safefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Place says where private files go that are to be in dir: in dir itself if it is
// of this user alone, or is not there yet; else in a directory of this user in it.
// A mode is never changed: what has another one was not made here.
//
// Where others could put something else in the place of that directory there is
// none.
func Place(dir string) (string, error) {
	dir = filepath.Clean(dir) // a / at the end would follow a link
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return dir, nil
	}
	if err != nil {
		return "", err
	}
	if err := checkPrivate(info); err == nil {
		return dir, nil
	}
	if !info.IsDir() {
		return "", &fs.PathError{Op: "open", Path: dir, Err: errNotDirectory}
	}
	if err := checkShared(info); err != nil {
		return "", &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	own := filepath.Join(dir, ownName())
	info, err = os.Lstat(own)
	if err == nil {
		err = checkPrivate(info)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return "", &fs.PathError{Op: "open", Path: own, Err: err}
	}
	return own, nil
}

var errNotDirectory = errors.New("not a directory (a symbolic link is not followed)")

// checkPrivate: a directory of this user, which no one else can enter.
func checkPrivate(info fs.FileInfo) error {
	if !info.IsDir() {
		return errNotDirectory
	}
	if err := checkOwner(info); err != nil {
		return err
	}
	if loose(info) {
		return errors.New("others can enter it (its mode must be 0700)")
	}
	return nil
}

// OwnDir makes the directory that Place names, and what is missing above it, for
// this user alone.
func OwnDir(dir string) (string, error) {
	place, err := Place(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(place), dirMode); err != nil {
		return "", err
	}
	if err := os.Mkdir(place, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	// Also if it was made just now: the path may lead elsewhere already.
	info, err := os.Lstat(place)
	if err != nil {
		return "", err
	}
	if err := checkPrivate(info); err != nil {
		return "", &fs.PathError{Op: "open", Path: place, Err: err}
	}
	return place, nil
}

// MkdirAll makes a directory of the user's, and what is missing above it, for this
// user alone. What is there stays as it is.
func MkdirAll(dir string) error { return os.MkdirAll(dir, dirMode) }

// TempDir makes a directory for this user alone, which remove removes with all
// that is in it.
func TempDir(prefix string) (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp("", prefix)
	return dir, func() { _ = os.RemoveAll(dir) }, err
}

// List returns what is in a directory, by name; nothing if there is none.
func List(dir string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}

// UserDir makes a directory for this user alone. One that is there is used if it
// is of this user, no link, and nobody else can write to it.
func UserDir(dir string) error {
	dir = filepath.Clean(dir) // a / at the end would follow a link
	if err := os.MkdirAll(filepath.Dir(dir), dirMode); err != nil {
		return err
	}
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		err = errNotDirectory
	} else if err = checkOwner(info); err == nil && writable(info) {
		err = errors.New("others can write to it")
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	return nil
}
