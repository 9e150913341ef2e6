package safefile

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// lockPoll is how often a waiting process tries again.
const lockPoll = 20 * time.Millisecond

// Lock is held by one process at a time. The system takes it back from a process
// that ends, however it ends; the file is left behind and means nothing.
type Lock struct{ f *os.File }

// TryLock takes the lock at path if it is free. The directory must be private: a
// lock that others can open is one that they can hold.
func TryLock(path string) (*Lock, bool, error) {
	const mostTries = 10
	for range mostTries {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|noFollow, fileMode)
		if err != nil {
			return nil, false, err
		}
		free, err := lockFile(f, path)
		if free {
			return &Lock{f}, true, nil
		}
		_ = f.Close()
		if !errors.Is(err, errRemoved) {
			return nil, false, err
		}
	}
	return nil, false, nil // others make and remove it all the time
}

// errRemoved: the file that was locked is not, or no more, the one at the path.
var errRemoved = errors.New("the lock was removed")

// lockFile locks an open file, and makes sure that it is the one that others who
// come by the same path lock: who holds a lock may remove it.
func lockFile(f *os.File, path string) (free bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, &fs.PathError{Op: "lock", Path: path, Err: errNotRegular}
	}
	if free, err = tryLock(f); err != nil || !free {
		return false, err
	}
	if now, err := os.Lstat(path); err != nil || !os.SameFile(now, info) {
		return false, errRemoved
	}
	// Our pid, for those who wait; it is only told, and nothing depends on it.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return true, nil
}

// WaitLock waits for the lock until ctx ends.
func WaitLock(ctx context.Context, path string) (*Lock, error) {
	var poll *time.Ticker
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if l, free, err := TryLock(path); err != nil || free {
			return l, err
		}
		if poll == nil {
			poll = time.NewTicker(lockPoll)
			defer poll.Stop()
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-poll.C:
		}
	}
}

// Unlock gives the lock back.
func (l *Lock) Unlock() error {
	if err := l.f.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// RemoveLock removes the file of a lock that is free. Whoever is about to take it
// finds that it is gone, and takes a new one.
func RemoveLock(path string) error {
	l, free, err := TryLock(path)
	if err != nil || !free {
		return err
	}
	err = os.Remove(path)
	return errors.Join(err, l.Unlock())
}

// LockHolder is the pid that the lock file names, 0 if it names none.
func LockHolder(path string) int {
	const longestPID = 32
	data, err := Read(path, longestPID)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}
