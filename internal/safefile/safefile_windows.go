package safefile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/windows"
)

// Links are for the privileged, and a pipe has a name of another form; only what
// is read is checked.
const noWait, noFollow = 0, 0

func openNoFollow(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errNotRegular}
	}
	return os.Open(path)
}

func checkOwner(fs.FileInfo) error { return nil }

func sameOwner(fs.FileInfo, fs.FileInfo) bool { return true }

func loose(fs.FileInfo) bool { return false }

func writable(fs.FileInfo) bool { return false }

func ownName() string { return "eks-x509" }

func checkShared(fs.FileInfo) error { return nil }

func checkLink(string, string) error { return nil }

// rename tries again while a reader, or a virus scanner, has the file open.
func rename(dir *os.Root, from, to string) error {
	wait := 5 * time.Millisecond
	for {
		err := dir.Rename(from, to)
		busy := errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, fs.ErrPermission)
		if err == nil || !busy || wait > 200*time.Millisecond {
			return err
		}
		<-time.After(wait)
		wait *= 2
	}
}

// tryLock locks an open file until it is closed: a byte far beyond its end, for
// what is locked can't be read.
func tryLock(f *os.File) (bool, error) {
	at := windows.Overlapped{OffsetHigh: 1 << 30}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, syscall.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, err
}

// keep: a new file has what its directory gives to files.
func keep(f, old *os.File, path string) error { return nil }
