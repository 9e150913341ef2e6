package safefile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Edit replaces the file by what edit makes of it, under a lock that every Edit
// of the file takes. A symbolic link stays one, and the mode stays; a new file is
// for this user alone, as are the folders made for it. If edit changes nothing,
// nothing is written. The file must not be larger than limit bytes.
//
// The lock is a file in lockDir: beside the user's own files it would be litter.
func Edit(ctx context.Context, path, lockDir string, limit int64, edit func([]byte) ([]byte, error)) (changed bool, err error) {
	target, err := Target(path)
	if err != nil {
		return false, err
	}
	if err := MkdirPrivate(lockDir); err != nil {
		return false, err
	}
	lock, err := WaitLock(ctx, filepath.Join(lockDir, fmt.Sprintf("%x.lock", sha256.Sum256([]byte(target)))))
	if err != nil {
		return false, fmt.Errorf("locking %q: %w", path, err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	return EditLocked(target, limit, edit)
}

// Target follows links, also one to a file that is not there yet, so that all who
// name the same file lock the same. It makes the file's folder.
func Target(path string) (string, error) {
	const mostLinks = 40 // as Linux
	for range mostLinks {
		if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
			return "", err
		}
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return "", err
		}
		if dir, err = filepath.Abs(dir); err != nil {
			return "", err
		}
		path = filepath.Join(dir, filepath.Base(path))
		to, err := os.Readlink(path)
		if err != nil {
			return path, nil // no link; what else it is, reading it tells
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(dir, to)
		}
		path = to
	}
	return "", &fs.PathError{Op: "open", Path: path, Err: errors.New("too many symbolic links")}
}

// EditLocked is Edit for a caller that holds a lock of its own kind; target is
// what Target gave.
func EditLocked(target string, limit int64, edit func([]byte) ([]byte, error)) (changed bool, err error) {
	data, mode, err := readWhole(target, limit)
	if err != nil {
		return false, err
	}
	after, err := edit(bytes.Clone(data))
	if err != nil || bytes.Equal(data, after) {
		return false, err
	}
	return true, Replace(target, after, mode)
}

// ReadWhole returns what a file of the user's holds, at most limit bytes; nothing
// if there is none. Links are followed.
func ReadWhole(path string, limit int64) ([]byte, error) {
	data, _, err := readWhole(path, limit)
	return data, err
}

// ReadExisting is ReadWhole for a file that must be there.
func ReadExisting(path string, limit int64) ([]byte, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	return ReadWhole(path, limit)
}

// readWhole also returns the file's permissions, or those for a new one.
func readWhole(path string, limit int64) ([]byte, fs.FileMode, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fileMode, nil
	}
	if err != nil {
		return nil, 0, err
	}
	// /dev/null is usual for "none"; it must not be replaced by a file.
	if !info.Mode().IsRegular() {
		return nil, 0, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	if info.Size() > limit {
		return nil, 0, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %d bytes", limit)}
	}
	data, err := os.ReadFile(path)
	return data, info.Mode().Perm(), err
}
