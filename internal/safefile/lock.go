package safefile

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// lockPoll is how often a waiting process tries again.
const lockPoll = 20 * time.Millisecond

// Lock is held by one process at a time. The system takes it back from a process
// that ends, however it ends; the file is left behind and means nothing.
type Lock struct{ file *flock.Flock }

// TryLock takes the lock at path if it is free. The directory must be private: a
// lock that others can open is one that they can hold.
func TryLock(path string) (*Lock, bool, error) {
	l := newLock(path)
	ok, err := l.TryLock()
	if err != nil || !ok {
		return nil, false, err
	}
	return held(l), true, nil
}

// WaitLock waits for the lock until ctx ends.
func WaitLock(ctx context.Context, path string) (*Lock, error) {
	l := newLock(path)
	if _, err := l.TryLockContext(ctx, lockPoll); err != nil {
		return nil, err
	}
	return held(l), nil
}

func newLock(path string) *flock.Flock {
	return flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR|noFollow), flock.SetPermissions(fileMode))
}

// held writes our pid into the file, for those who wait; it is only told, and
// nothing depends on it.
func held(l *flock.Flock) *Lock {
	_ = Overwrite(l.Path(), []byte(strconv.Itoa(os.Getpid())+"\n"))
	return &Lock{l}
}

// Unlock gives the lock back.
func (l *Lock) Unlock() error { return l.file.Unlock() }

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
