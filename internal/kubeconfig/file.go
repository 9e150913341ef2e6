package kubeconfig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/eks-x509/eks-x509/internal/safefile"
)

const (
	lockWait = 10 * time.Second
	lockPoll = 25 * time.Millisecond
)

// LockedError is a lock that did not go away.
type LockedError struct{ Path string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("%q is there (remove it if no program is changing the kubeconfig)", e.Path)
}

// Paths are the kubeconfigs, as kubectl and the AWS CLI find them: the flag, else
// the list in KUBECONFIG, else the one in the home directory.
func Paths(flag string, getenv func(string) string) ([]string, error) {
	if flag != "" {
		return []string{flag}, nil
	}
	paths := slices.DeleteFunc(filepath.SplitList(getenv("KUBECONFIG")), func(p string) bool { return p == "" })
	if len(paths) > 0 {
		return paths, nil
	}
	for _, name := range []string{"HOME", "USERPROFILE"} {
		if home := getenv(name); home != "" {
			return []string{filepath.Join(home, ".kube", "config")}, nil
		}
	}
	return nil, errors.New("finding the kubeconfig: no home directory found, and KUBECONFIG is not set")
}

// Read returns what a kubeconfig holds, nothing if there is none.
func Read(path string) ([]byte, error) {
	data, err := safefile.ReadWhole(path, largest)
	if err != nil {
		return nil, fmt.Errorf("reading kubeconfig: %w", err)
	}
	return data, nil
}

// Update changes a kubeconfig under the lock of client-go, so that kubectl and we
// wait for each other, whole or not at all. A symbolic link stays one. If edit
// changes nothing, nothing is written.
func Update(ctx context.Context, path string, edit func([]byte) ([]byte, error), inPlace ...func(string)) (changed bool, err error) {
	target, err := safefile.Target(path)
	if err != nil {
		return false, fmt.Errorf("finding kubeconfig: %w", err)
	}
	named, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err == nil {
		named, err = filepath.Abs(filepath.Join(named, filepath.Base(path)))
	}
	if err != nil {
		return false, fmt.Errorf("finding kubeconfig: %w", err)
	}
	// client-go locks the name that it is given. Those who come by another name meet
	// at the target's lock. Sorted, so that two of us don't wait for each other.
	names := []string{named, target}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		err := lock(ctx, name+".lock")
		if runtime.GOOS != "windows" && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
			continue // nobody can lock it here, kubectl included: it will be written in place, if at all
		}
		if err != nil {
			return false, err
		}
		defer func() {
			if gone := safefile.Remove(name + ".lock"); err == nil && gone != nil {
				err = fmt.Errorf("unlocking kubeconfig: %w", gone)
			}
		}()
	}
	changed, err = safefile.EditLocked(target, largest, edit, inPlace...)
	if err != nil {
		return false, fmt.Errorf("changing %q: %w", path, err)
	}
	return changed, nil
}

// lock makes the file beside the kubeconfig as clientcmd's lockFile does, and waits
// where that gives up.
func lock(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, lockWait, &LockedError{path})
	defer cancel()
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	for {
		f, err := safefile.CreateFile(path, 0)
		if err == nil {
			return f.Close()
		}
		// On Windows a file that is being deleted is there, and access to it is denied.
		busy := errors.Is(err, fs.ErrExist) || runtime.GOOS == "windows" && errors.Is(err, fs.ErrPermission)
		if !busy {
			return fmt.Errorf("locking kubeconfig: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("locking kubeconfig: %w", context.Cause(ctx))
		case <-poll.C:
		}
	}
}
