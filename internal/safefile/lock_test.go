package safefile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// child is this test binary as another process.
func child(what string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "SAFEFILE_TEST_CHILD="+what)
	return cmd
}

func runChild(what string, args []string) error {
	switch what {
	case "full":
		return childFull(args[0])
	case "stage":
		return childStage(args[0])
	case "replace":
		return childReplace(args)
	case "hold":
		return childHold(args[0])
	default:
		return childCount(args[0], args[1])
	}
}

// childStage writes aside, and waits.
func childStage(path string) error {
	r, err := Prepare(path, []byte("never there"), 0o600)
	if err != nil {
		return err
	}
	defer r.Discard()
	fmt.Println("staged")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// childReplace is Replace of a file, for a test that starts it as another user.
func childReplace(args []string) error { return Replace(args[0], []byte("new"), 0o600) }

// childHold says when it holds the lock, and does so until stdin ends.
func childHold(path string) error {
	lock, free, err := TryLock(path)
	if err != nil || !free {
		return fmt.Errorf("free %t: %w", free, err)
	}
	fmt.Println("held")
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, lock.Unlock())
}

const rounds = 40

// childCount adds to a number in a file, which goes wrong if two do it at once.
func childCount(lockPath, path string) error {
	for range rounds {
		lock, err := WaitLock(context.Background(), lockPath)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(data))
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(strconv.Itoa(n+1)), 0o600); err != nil {
			return err
		}
		if err := lock.Unlock(); err != nil {
			return err
		}
	}
	return nil
}

func holder(t *testing.T, path string) (*exec.Cmd, io.Closer) {
	t.Helper()
	cmd := child("hold", path)
	stdin, err := cmd.StdinPipe()
	check(t, err)
	stdout, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "held\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return cmd, stdin
}

func TestLockExcludesProcesses(t *testing.T) {
	t.Parallel()
	const processes = 4
	dir := t.TempDir()
	path, lockPath := filepath.Join(dir, "count"), filepath.Join(dir, "lock")
	check(t, os.WriteFile(path, []byte("0"), 0o600))
	done := make(chan struct{})
	var removing sync.WaitGroup
	removing.Go(func() { // which takes it from nobody
		for {
			select {
			case <-done:
				return
			default:
				if err := RemoveLock(lockPath); err != nil && runtime.GOOS != "windows" {
					t.Error(err)
				}
			}
		}
	})
	defer removing.Wait()
	defer close(done)
	var all []*exec.Cmd
	for range processes {
		cmd := child("count", lockPath, path)
		cmd.Stderr = os.Stderr
		check(t, cmd.Start())
		all = append(all, cmd)
	}
	for _, cmd := range all {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != strconv.Itoa(processes*rounds) {
		t.Errorf("%s of %d, %v", data, processes*rounds, err)
	}
}

func TestLockOfAnotherProcess(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(cmd *exec.Cmd, stdin io.Closer) error{
		"killed":      func(cmd *exec.Cmd, _ io.Closer) error { return cmd.Process.Kill() },
		"gives it up": func(_ *exec.Cmd, stdin io.Closer) error { return stdin.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "lock")
			cmd, stdin := holder(t, path)
			for range 2 {
				if _, free, err := TryLock(path); free || err != nil {
					t.Errorf("free %t, %v", free, err)
				}
			}
			// On Windows what is locked can't be read.
			if pid := LockHolder(path); pid != cmd.Process.Pid && runtime.GOOS != "windows" {
				t.Errorf("holder %d, want %d", pid, cmd.Process.Pid)
			}
			short, cancel := context.WithTimeout(t.Context(), 3*lockPoll)
			defer cancel()
			if _, err := WaitLock(short, path); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("waiting: %v", err)
			}
			gone, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := WaitLock(gone, path); !errors.Is(err, context.Canceled) {
				t.Errorf("waiting: %v", err)
			}

			check(t, end(cmd, stdin))
			long, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			lock, err := WaitLock(long, path)
			check(t, err)
			if pid := LockHolder(path); pid != os.Getpid() && runtime.GOOS != "windows" {
				t.Errorf("holder %d, want %d", pid, os.Getpid())
			}
			check(t, lock.Unlock())
			check(t, lock.Unlock())
			if _, free, err := TryLock(path); !free || err != nil {
				t.Errorf("given back: free %t, %v", free, err)
			}
		})
	}
}

func TestLockWithoutAPlace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none", "lock")
	if _, free, err := TryLock(path); free || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("free %t, %v", free, err)
	}
	if _, err := WaitLock(t.Context(), path); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestLockHolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	if pid := LockHolder(path); pid != 0 {
		t.Errorf("no file: %d", pid)
	}
	for text, want := range map[string]int{"42\n": 42, "42": 42, "": 0, "x": 0, "-5\n": 0, "42\n43\n": 0, "99999999999999999999999": 0, "1234567890123456789012345678901234567890": 0} {
		check(t, os.WriteFile(path, []byte(text), 0o600))
		if pid := LockHolder(path); pid != want {
			t.Errorf("%q: %d, want %d", text, pid, want)
		}
	}
}

// A lock that was removed after it was opened and before it was locked is not
// held by whoever locks it then.
func TestLockThatWasRemoved(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("what is open can't be removed")
	}
	for name, change := range map[string]func(path string) error{
		"removed":             RemoveLock,
		"removed and made":    func(path string) error { return errors.Join(RemoveLock(path), os.WriteFile(path, nil, 0o600)) },
		"replaced":            func(path string) error { return Write(path, nil) },
		"a link in its place": func(path string) error { return errors.Join(os.Rename(path, path+"2"), os.Symlink(path+"2", path)) },
	} {
		path := filepath.Join(t.TempDir(), "lock")
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		check(t, err)
		check(t, change(path))
		if free, err := lockFile(f, path); free || !errors.Is(err, errRemoved) {
			t.Errorf("%s: free %t, %v", name, free, err)
		}
		check(t, f.Close())
	}
}

func TestRemoveLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	lock, free, err := TryLock(path)
	if err != nil || !free {
		t.Fatal(free, err)
	}
	check(t, RemoveLock(path))
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("a held lock was removed: %v", err)
	}
	check(t, lock.Unlock())
	check(t, RemoveLock(path))
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a free lock was not removed: %v", err)
	}
}
