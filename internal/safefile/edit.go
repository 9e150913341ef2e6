package safefile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Edit replaces the file by what edit makes of it, under a lock that every Edit
// of the file takes. A symbolic link stays one, and the mode stays; a new file is
// for this user alone, as are the folders made for it. If edit changes nothing,
// nothing is written. The file must not be larger than limit bytes.
//
// The lock is a file in lockDir: beside the user's own files it would be litter.
func Edit(ctx context.Context, path, lockDir string, limit int64, edit func([]byte) ([]byte, error)) (changed bool, err error) {
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return false, err
	}
	target, err := Target(path)
	if err != nil {
		return false, err
	}
	if err := MkdirPrivate(lockDir); err != nil {
		return false, err
	}
	name := fmt.Sprintf("edit-%.16x.lock", sha256.Sum256([]byte(target)))
	lock, err := WaitLock(ctx, filepath.Join(lockDir, name))
	if err != nil {
		return false, fmt.Errorf("waiting for another process that edits %s: %w", path, err)
	}
	defer func() { _ = lock.Unlock() }()
	return EditLocked(target, limit, edit)
}

// Target is the absolute path that path leads to through symbolic links, whether
// or not there is a file.
func Target(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	const mostLinks = 40
	for range mostLinks {
		link, err := os.Readlink(path)
		if err != nil {
			dir, err := filepath.EvalSymlinks(filepath.Dir(path))
			if err != nil {
				return path, nil
			}
			return filepath.Join(dir, filepath.Base(path)), nil
		}
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(path), link)
		}
		path = link
	}
	return "", &fs.PathError{Op: "open", Path: path, Err: errors.New("too many symbolic links")}
}

// EditLocked is Edit for a caller that holds a lock; target is no link.
func EditLocked(target string, limit int64, edit func([]byte) ([]byte, error)) (changed bool, err error) {
	mode := fileMode
	f, err := os.Open(target)
	var data []byte
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return false, err
	default:
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return false, err
		}
		if !info.Mode().IsRegular() {
			return false, &fs.PathError{Op: "read", Path: target, Err: errors.New("not a regular file")}
		}
		mode = info.Mode().Perm()
		if data, err = io.ReadAll(io.LimitReader(f, limit+1)); err != nil {
			return false, err
		}
		if int64(len(data)) > limit {
			return false, &fs.PathError{Op: "read", Path: target, Err: fmt.Errorf("larger than %d bytes", limit)}
		}
		_ = f.Close() // before the rename: Windows keeps an open file
	}
	after, err := edit(slices.Clone(data))
	if err != nil || bytes.Equal(data, after) {
		return false, err
	}
	return true, Replace(target, after, mode)
}
