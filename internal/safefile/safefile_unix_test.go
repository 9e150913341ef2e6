//go:build unix

package safefile

import (
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	check(t, err)
	return info.Mode().Perm()
}

func ownDir(t *testing.T, dir string) string {
	t.Helper()
	place, err := OwnDir(dir)
	check(t, err)
	return place
}

func TestModes(t *testing.T) {
	t.Parallel()
	above := filepath.Join(t.TempDir(), "above")
	dir := ownDir(t, filepath.Join(above, "dir"))
	path := filepath.Join(dir, "file")
	check(t, Write(path, []byte("x")))
	check(t, Overwrite(filepath.Join(dir, "torn"), []byte("x")))
	check(t, Append(filepath.Join(dir, "log"), []byte("x")))
	check(t, Append(filepath.Join(dir, "log"), []byte("y")))
	lock, _, err := TryLock(filepath.Join(dir, "lock"))
	check(t, err)
	check(t, lock.Unlock())
	for path, want := range map[string]fs.FileMode{
		above: 0o700, dir: 0o700, path: 0o600, filepath.Join(dir, "torn"): 0o600, filepath.Join(dir, "lock"): 0o600, filepath.Join(dir, "log"): 0o600,
	} {
		if got := mode(t, path); got != want {
			t.Errorf("%s: mode %#o, want %#o", filepath.Base(path), got, want)
		}
	}
	if data, err := Read(filepath.Join(dir, "log"), 10); err != nil || string(data) != "xy" {
		t.Errorf("appended: %q, %v", data, err)
	}

	// Looser ones are repaired; what is only stricter stays.
	for _, loose := range []fs.FileMode{0o604, 0o640, 0o620, 0o601, 0o777} {
		check(t, os.Chmod(path, loose))
		if data, err := Read(path, 10); err != nil || string(data) != "x" || mode(t, path) != 0o600 {
			t.Errorf("file of %#o: %q, %v, now %#o", loose, data, err, mode(t, path))
		}
	}
	check(t, os.Chmod(path, 0o400))
	if _, err := Read(path, 10); err != nil || mode(t, path) != 0o400 {
		t.Errorf("%v, now %#o", err, mode(t, path))
	}
}

// A directory is used as it is, or one of this user's in it is; a mode is never
// changed.
func TestOwnDir(t *testing.T) {
	t.Parallel()
	sub := "eks-x509-" + strconv.Itoa(os.Geteuid())
	for _, row := range []struct {
		mode  fs.FileMode
		owner int    // 0: this user
		want  string // "": refused
		err   string
	}{
		{0o700, 0, ".", ""},
		{0o500, 0, ".", ""},
		{0o700 | fs.ModeSetgid, 0, ".", ""},
		{0o750, 0, sub, ""},
		{0o755, 0, sub, ""},
		{0o711, 0, sub, ""},
		{0o777 | fs.ModeSticky, 0, sub, ""},
		{0o770 | fs.ModeSticky, 0, sub, ""},
		{0o777, 0, sub, ""},
		{0o777 | fs.ModeSetgid, 0, sub, ""},
		{0o770, 0, sub, ""},
		{0o702, 0, sub, ""},
		{0o755, 1, "", "owned by user 1"},
		{0o700, 1, "", "owned by user 1"},
		{0o777, 1, "", "owned by user 1"},
		{0o777 | fs.ModeSticky, 1, "", "owned by user 1"},
	} {
		if row.owner != 0 && os.Geteuid() != 0 {
			continue // only root can give a directory away
		}
		dir := filepath.Join(t.TempDir(), "dir")
		check(t, os.Mkdir(dir, 0o700))
		if row.owner != 0 {
			check(t, os.Chown(dir, row.owner, row.owner))
		}
		check(t, os.Chmod(dir, row.mode))
		for _, made := range []bool{false, true} {
			place, err := Place(dir)
			own, errOwn := OwnDir(dir)
			if place != own || (err == nil) != (errOwn == nil) {
				t.Errorf("%v: %q, %v and %q, %v", row, place, err, own, errOwn)
			}
			if row.want == "" {
				if err == nil || !strings.Contains(err.Error(), row.err) {
					t.Errorf("%v: %q, %v", row, place, err)
				}
			} else if err != nil || place != filepath.Join(dir, row.want) {
				t.Errorf("%v, made %t: %q, %v", row, made, place, err)
			} else if row.want == sub && mode(t, place) != 0o700 {
				t.Errorf("%v: mode %#o", row, mode(t, place))
			}
		}
		info, err := os.Lstat(dir)
		check(t, err)
		if got := info.Mode() &^ fs.ModeDir; got != row.mode {
			t.Errorf("%v: the mode is now %v", row, got)
		}
	}
}

// What lies in the place of the directory of this user is not used.
func TestOwnDirThatIsNot(t *testing.T) {
	t.Parallel()
	for name, lay := range map[string]func(path string) error{
		"link":   func(p string) error { return os.Symlink(t.TempDir(), p) },
		"broken": func(p string) error { return os.Symlink("nothing", p) },
		"file":   func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"loose":  func(p string) error { return errors.Join(os.Mkdir(p, 0o700), os.Chmod(p, 0o755)) },
		"others": func(p string) error { return errors.Join(os.Mkdir(p, 0o700), os.Chown(p, 1, 1)) },
	} {
		if name == "others" && os.Geteuid() != 0 {
			continue
		}
		dir := t.TempDir()
		check(t, os.Chmod(dir, 0o777|fs.ModeSticky))
		own := filepath.Join(dir, ownName())
		check(t, lay(own))
		before, err := os.Lstat(own)
		check(t, err)
		if place, err := OwnDir(dir); err == nil {
			t.Errorf("%s: %q", name, place)
		}
		if after, err := os.Lstat(own); err != nil || after.Mode() != before.Mode() {
			t.Errorf("%s: changed", name)
		}
	}
}

// Whoever can write to the directory above can put another one in its place.
func TestWriteSecretInADirectoryThatWasReplaced(t *testing.T) {
	t.Parallel()
	for name, lay := range map[string]func(path string) error{
		"for all":   func(p string) error { return errors.Join(os.Mkdir(p, 0o700), os.Chmod(p, 0o777)) },
		"readable":  func(p string) error { return errors.Join(os.Mkdir(p, 0o700), os.Chmod(p, 0o755)) },
		"another's": func(p string) error { return errors.Join(os.Mkdir(p, 0o700), os.Chown(p, 1, 1)) },
		"link to one of another": func(p string) error {
			return errors.Join(os.Mkdir(p+"-target", 0o700), os.Chown(p+"-target", 1, 1), os.Symlink(p+"-target", p))
		},
	} {
		if strings.Contains(name, "another") && os.Geteuid() != 0 {
			continue
		}
		dir := t.TempDir()
		check(t, os.Chmod(dir, 0o777))
		own, err := OwnDir(dir)
		check(t, err)
		check(t, WriteSecret(filepath.Join(own, "a"), []byte("secret")))
		check(t, os.RemoveAll(own))
		check(t, lay(own))
		if err := WriteSecret(filepath.Join(own, "a"), []byte("secret")); err == nil {
			t.Errorf("%s: written", name)
		}
		if left, err := os.ReadDir(own); err != nil || len(left) > 0 {
			t.Errorf("%s: %v, %v", name, left, err)
		}
	}
}

// within fails the test if f hangs.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s: it hangs", what)
	}
}

func TestWhatIsNoFileOfOurs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	for _, row := range []struct {
		name            string
		make            func(path string) error
		read, overwrite string // in the error; overwrite: "" where it goes well
	}{
		{"a symbolic link", func(p string) error { return os.Symlink(target, p) }, "too many levels of symbolic links", "too many levels of symbolic links"},
		{"a link to nothing", func(p string) error { return os.Symlink(target+"-not", p) }, "too many levels of symbolic links", "too many levels of symbolic links"},
		{"a directory", func(p string) error { return os.Mkdir(p, 0o700) }, "not a regular file", "is a directory"},
		{"a pipe", func(p string) error { return syscall.Mkfifo(p, 0o600) }, "not a regular file", "no such device or address"},
	} {
		t.Run(row.name, func(t *testing.T) {
			check(t, os.WriteFile(target, []byte("precious"), 0o600))
			path := filepath.Join(dir, strings.ReplaceAll(row.name, " ", "-"))
			check(t, row.make(path))
			within(t, row.name, func() {
				if data, err := Read(path, 100); err == nil || !strings.Contains(err.Error(), row.read) {
					t.Errorf("reading: %q, %v", data, err)
				}
				if err := Overwrite(path, []byte("x")); err == nil || !strings.Contains(err.Error(), row.overwrite) {
					t.Errorf("overwriting: %v", err)
				}
				// A pipe may be locked like a file; a link is never followed.
				if lock, free, err := TryLock(path); err == nil && free {
					check(t, lock.Unlock())
				} else if err == nil {
					t.Error("locking: neither free nor an error")
				}
				if pid := LockHolder(path); pid != 0 {
					t.Errorf("holder %d", pid)
				}
				if err := Write(path, []byte("new")); row.name != "a directory" {
					check(t, err)
					if data, err := Read(path, 100); err != nil || string(data) != "new" {
						t.Errorf("replaced: %q, %v", data, err)
					}
				}
			})
			if data, err := os.ReadFile(target); err != nil || string(data) != "precious" {
				t.Errorf("the link was followed: %q, %v", data, err)
			}
			if _, err := os.Lstat(target + "-not"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the link was followed: %v", err)
			}
		})
	}
}

func TestDirectoryThatIsALink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	check(t, os.Mkdir(filepath.Join(dir, "real"), 0o755))
	link := filepath.Join(dir, "link")
	check(t, os.Symlink("real", link))
	_, err := OwnDir(link)
	if want := "open " + link + ": not a directory (a symbolic link is not followed)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := OwnDir(link + "/"); err == nil {
		t.Error("a link with a / is followed")
	}
	if got := mode(t, filepath.Join(dir, "real")); got != 0o755 {
		t.Errorf("the link was followed: %#o", got)
	}
	dangling := filepath.Join(dir, "dangling")
	check(t, os.Symlink("nothing", dangling))
	if _, err := OwnDir(dangling); err == nil {
		t.Error("a link to nothing is taken")
	}
	if _, err := os.Lstat(filepath.Join(dir, "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the link was followed: %v", err)
	}
}

func TestAnotherOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path := filepath.Join(t.TempDir(), "file")
	check(t, Write(path, []byte("x")))
	check(t, os.Chmod(path, 0o666))
	check(t, os.Chown(path, 1, 1))
	const want = ": owned by user 1, not by the current user (0)"
	if data, err := Read(path, 10); err == nil || err.Error() != "read "+path+want {
		t.Errorf("%q, %v", data, err)
	}
	if f, err := Resume(path); err == nil || err.Error() != "open "+path+want {
		t.Errorf("%v, %v", f, err)
	}
	if mode(t, path) != 0o666 {
		t.Errorf("what is not ours was changed: %#o", mode(t, path))
	}
}

// A disk that is full in the midst of writing.
func TestWriteBeyondALimit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	check(t, Write(path, []byte("old")))
	if out, err := child("full", path).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if data, err := Read(path, 10); err != nil || string(data) != "old" {
		t.Errorf("%q, %v", data, err)
	}
	if got := names(t, dir); got != "file" {
		t.Errorf("left in the directory: %s", got)
	}
}

// childFull writes with a limit on the size of files, and expects to fail.
func childFull(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1000, Max: 1000}); err != nil {
		return err
	}
	if err := Write(path, make([]byte, 10_000)); !errors.Is(err, syscall.EFBIG) {
		return errors.Join(errors.New("not too large"), err)
	}
	return nil
}

// What is not a plain file with one name is not replaced.
func TestReplaceWhatIsNoPlainFile(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		lay  func(path string) error
		want string
	}{
		"a hard link": {func(p string) error {
			return errors.Join(os.WriteFile(p+"2", []byte("old"), 0o600), os.Link(p+"2", p))
		}, "it has 2 hard links"},
		"a link": {func(p string) error {
			return errors.Join(os.WriteFile(p+"2", []byte("old"), 0o600), os.Symlink(p+"2", p))
		}, "not a regular file"},
		"a link to nothing": {func(p string) error { return os.Symlink(p+"2", p) }, "not a regular file"},
		"a pipe":            {func(p string) error { return syscall.Mkfifo(p, 0o600) }, "not a regular file"},
		"a directory":       {func(p string) error { return os.Mkdir(p, 0o700) }, "not a regular file"},
	} {
		path := filepath.Join(t.TempDir(), "file")
		check(t, row.lay(path))
		before, left := mustLstat(t, path), names(t, filepath.Dir(path))
		within(t, name, func() {
			if err := Replace(path, []byte("new"), 0o600); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := edit(path, "new"); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%s: editing: %v", name, err)
			}
			if err := Create(path, []byte("new"), 0o600); !errors.Is(err, fs.ErrExist) {
				t.Errorf("%s: creating: %v", name, err)
			}
			if f, err := CreateFile(path, 0o600); !errors.Is(err, fs.ErrExist) {
				t.Errorf("%s: creating: %v, %v", name, f, err)
			}
		})
		if !os.SameFile(before, mustLstat(t, path)) || names(t, filepath.Dir(path)) != left {
			t.Errorf("%s: something was changed: %s", name, names(t, filepath.Dir(path)))
		}
		if data, err := os.ReadFile(path + "2"); err == nil && string(data) != "old" {
			t.Errorf("%s: followed", name)
		}
	}
}

func mustLstat(t *testing.T, path string) fs.FileInfo {
	t.Helper()
	info, err := os.Lstat(path)
	check(t, err)
	return info
}

// What is named by a user is limited while it is read, and a pipe or a device is
// read only where one is expected.
func TestReading(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, link, pipe := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	check(t, os.WriteFile(file, []byte("0123456789"), 0o600))
	check(t, os.Symlink("file", link))
	check(t, syscall.Mkfifo(pipe, 0o600))
	sparse := filepath.Join(dir, "sparse")
	check(t, os.WriteFile(sparse, nil, 0o600))
	check(t, os.Truncate(sparse, 1<<40))
	for _, row := range []struct {
		path  string
		limit int64
		plain string // in the error of ReadExisting; "": it goes well
		input string // and of ReadInput
	}{
		{file, 10, "", ""},
		{link, 10, "", ""},
		{file, 9, "larger than 9 bytes", "larger than 9 bytes"},
		{sparse, 1 << 20, "larger than 1048576 bytes", "larger than 1048576 bytes"},
		{"/dev/zero", 1 << 20, "not a regular file", "larger than 1048576 bytes"},
		{"/dev/null", 10, "", ""},
		{dir, 10, "not a regular file", "it is a directory"},
		{dir + "/none", 10, "no such file", "no such file"},
		{file + "/below", 10, "not a directory", "not a directory"},
	} {
		within(t, row.path, func() {
			data, err := ReadExisting(row.path, row.limit)
			if row.plain == "" && (err != nil || row.limit == 10 && len(data) > 0 && string(data) != "0123456789") || row.plain != "" && (err == nil || !strings.Contains(err.Error(), row.plain)) {
				t.Errorf("%s: %q, %v", row.path, data, err)
			}
			data, _, err = ReadInput(row.path, row.limit)
			if row.input == "" && err != nil || row.input != "" && (err == nil || !strings.Contains(err.Error(), row.input)) {
				t.Errorf("%s: input %q, %v", row.path, data, err)
			}
		})
	}
	within(t, "a pipe without a writer", func() {
		if data, err := ReadExisting(pipe, 10); err == nil {
			t.Errorf("%q", data)
		}
		if _, err := edit(pipe, "x"); err == nil {
			t.Error("a pipe was edited")
		}
	})
	within(t, "a pipe", func() {
		go func() {
			f, err := os.OpenFile(pipe, os.O_WRONLY, 0)
			if err == nil {
				_, _ = f.WriteString("through a pipe")
				_ = f.Close()
			}
		}()
		if data, _, err := ReadInput(pipe, 100); err != nil || string(data) != "through a pipe" {
			t.Errorf("%q, %v", data, err)
		}
	})
}

// A link in a directory that everyone can write to may be anyone's.
func TestLinksOfOthers(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a link away")
	}
	for _, row := range []struct {
		dir         fs.FileMode
		owner, link int
		ok          bool
	}{
		{0o755, 0, 1, true},
		{0o777 | fs.ModeSticky, 0, 0, true},
		{0o777 | fs.ModeSticky, 1, 0, true},
		{0o777 | fs.ModeSticky, 1, 1, true}, // of the directory's owner
		{0o777 | fs.ModeSticky, 0, 1, false},
		{0o777, 0, 1, false},
		{0o703, 2, 1, false},
	} {
		top := t.TempDir()
		target, dir := filepath.Join(top, "target"), filepath.Join(top, "dir")
		check(t, os.WriteFile(target, []byte("old"), 0o600))
		check(t, os.Mkdir(dir, 0o700))
		link := filepath.Join(dir, "link")
		check(t, os.Symlink(target, link))
		check(t, os.Lchown(link, row.link, row.link))
		check(t, os.Chown(dir, row.owner, row.owner))
		check(t, os.Chmod(dir, row.dir))
		_, err := Edit(t.Context(), link, filepath.Join(top, "locks"), 100, func([]byte) ([]byte, error) { return []byte("new"), nil })
		if (err == nil) != row.ok || err != nil && !strings.Contains(err.Error(), "a symbolic link of user 1") {
			t.Errorf("%v: %v", row, err)
		}
		if data, err := os.ReadFile(target); err != nil || (string(data) == "new") != row.ok {
			t.Errorf("%v: %q, %v", row, data, err)
		}
	}
}
