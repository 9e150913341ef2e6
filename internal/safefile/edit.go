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
// of the file takes. A symbolic link stays one, and what else Replace keeps; a new
// file is for this user alone, as are the folders made for it. If edit changes
// nothing, nothing is written. The file must not be larger than limit bytes.
//
// The lock is a file in lockDir: beside the user's own files it would be litter.
func Edit(ctx context.Context, path, lockDir string, limit int64, edit func([]byte) ([]byte, error), inPlace ...func(string)) (changed bool, err error) {
	target, err := Target(path)
	if err != nil {
		return false, err
	}
	lock, err := LockFor(ctx, target, lockDir, "")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	return EditLocked(target, limit, edit, inPlace...)
}

// LockFor waits for the lock in lockDir of what Target gave. One file may have
// locks of several kinds.
func LockFor(ctx context.Context, target, lockDir, kind string) (*Lock, error) {
	dir, err := OwnDir(lockDir)
	if err != nil {
		return nil, fmt.Errorf("locking %q: %w", target, err)
	}
	lock, err := WaitLock(ctx, filepath.Join(dir, fmt.Sprintf("%x%s.lock", sha256.Sum256([]byte(target)), kind)))
	if err != nil {
		return nil, fmt.Errorf("locking %q: %w", target, err)
	}
	return lock, nil
}

// Target follows links, also one to a file that is not there yet, so that all who
// name the same file lock the same. It makes the file's folder.
func Target(path string) (string, error) {
	const mostLinks = 40 // as Linux
	for range mostLinks {
		if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
			return "", err
		}
		dir, name, err := split(path)
		if err != nil {
			return "", err
		}
		path = filepath.Join(dir, name)
		to, err := os.Readlink(path)
		if err != nil {
			return path, nil // no link; what else it is, reading it tells
		}
		if err := checkLink(dir, path); err != nil {
			return "", &fs.PathError{Op: "open", Path: path, Err: err}
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(dir, to)
		}
		path = to
	}
	return "", &fs.PathError{Op: "open", Path: path, Err: errors.New("too many symbolic links")}
}

// split is the directory of path, absolute and without links, and the name in it.
func split(path string) (dir, name string, err error) {
	if dir, err = filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		dir, err = filepath.Abs(dir)
	}
	return dir, filepath.Base(path), err
}

// EditLocked is Edit for a caller that holds a lock of its own kind; target is
// what Target gave. What another program writes meanwhile is not overwritten.
func EditLocked(target string, limit int64, edit func([]byte) ([]byte, error), inPlace ...func(string)) (changed bool, err error) {
	old, err := openOld(filepath.Dir(target), filepath.Base(target))
	if err != nil {
		return false, err
	}
	defer old.close()
	var data []byte
	if old.file != nil {
		if data, err = readAll(old.file, target, limit); err != nil {
			return false, err
		}
	}
	after, err := edit(bytes.Clone(data))
	if err != nil || bytes.Equal(data, after) {
		return false, err
	}
	err = old.replaceBy(after)
	if old.file == nil || !cantReplace(err) {
		return err == nil, err
	}
	if failed := old.writeInPlace(data, after); failed != nil {
		return false, failed
	}
	for _, tell := range inPlace {
		tell(fmt.Sprintf("%s can't be replaced (%v): it was written in place", target, cause(err)))
	}
	return true, nil
}

func (o *original) replaceBy(data []byte) error {
	r, err := o.stage(data, fileMode)
	if err != nil {
		return err
	}
	defer r.removeTemp()
	return r.Commit()
}
