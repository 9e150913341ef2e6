package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// copySuffix is added to the name of a file for the copy of what it held, which is there
// only while the file is written in place.
const copySuffix = ".eks-x509-copy"

// cantReplace says whether a file can't be replaced for a reason that does not keep it
// from being written: it is a mount of its own, or its directory is not ours to write.
func cantReplace(err error) bool {
	if _, refused := errors.AsType[*NotKeptError](err); refused || runtime.GOOS == "windows" {
		return false
	}
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EXDEV)
}

// writeInPlace is what is left where the file can't be replaced: a process that ends
// meanwhile leaves a torn file, and so a copy of what it held is put aside first. The
// caller holds the lock of those who edit the file; this one is for those who can't.
func (o *original) writeInPlace(before, after []byte) (err error) {
	f, err := o.dir.OpenFile(o.name, os.O_RDWR|noFollow, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: o.path(), Err: cause(err)}
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := o.lockInPlace(f); err != nil {
		return err
	}
	copied, remove, err := o.copyAside(before)
	if err != nil {
		return err
	}
	if err = overwrite(f, after, len(before)); err != nil {
		if back := overwrite(f, before, len(after)); back != nil {
			return fmt.Errorf("writing %q: %w (what it held is in %q)", o.path(), cause(err), copied)
		}
		err = &fs.PathError{Op: "write", Path: o.path(), Err: cause(err)}
	}
	return errors.Join(err, remove())
}

// lockInPlace waits for others that write the file in place, and makes sure that none has.
func (o *original) lockInPlace(f *os.File) error {
	const wait, poll = 10 * time.Second, 20 * time.Millisecond
	for end := time.Now().Add(wait); ; <-time.After(poll) {
		free, err := tryLock(f)
		if err != nil || free {
			break // where there are no locks, the check below is what there is
		}
		if time.Now().After(end) {
			return &fs.PathError{Op: "lock", Path: o.path(), Err: errors.New("another program has it locked")}
		}
	}
	now, err := f.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(now, o.info) || !now.ModTime().Equal(o.info.ModTime()) || now.Size() != o.info.Size() {
		return &fs.PathError{Op: "write", Path: o.path(), Err: errChanged}
	}
	return nil
}

// copyAside writes a copy beside the file, or where that can't be into a directory of its
// own, for this user alone.
func (o *original) copyAside(data []byte) (path string, remove func() error, err error) {
	name := o.name + copySuffix
	path = filepath.Join(o.dir.Name(), name)
	f, err := o.dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|noFollow, fileMode)
	remove = func() error { return o.dir.Remove(name) }
	if errors.Is(err, fs.ErrExist) {
		return "", nil, fmt.Errorf("%q is left from a write that was interrupted: compare it with %q, then remove it", path, o.path())
	}
	if err != nil {
		dir, removeDir, tempErr := TempDir("eks-x509-copy-")
		if tempErr != nil {
			return "", nil, tempErr
		}
		path = filepath.Join(dir, o.name)
		f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
		remove = func() error { removeDir(); return nil }
	}
	if err != nil {
		return "", nil, err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", nil, errors.Join(err, remove())
	}
	return path, remove, nil
}

// overwrite replaces what an open file holds. It is grown before it is cut, so that a full
// disk is noticed while what was there is still whole.
func overwrite(f *os.File, data []byte, held int) error {
	if len(data) > held {
		if _, err := f.WriteAt(make([]byte, len(data)-held), int64(held)); err != nil {
			return errors.Join(err, f.Truncate(int64(held)))
		}
	}
	if _, err := f.WriteAt(data, 0); err != nil {
		return err
	}
	if err := f.Truncate(int64(len(data))); err != nil {
		return err
	}
	return f.Sync()
}
