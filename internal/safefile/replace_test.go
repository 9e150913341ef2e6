package safefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	check(t, Create(path, []byte("first"), 0o600))
	if err := Create(path, []byte("second"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file: %v", err)
	}
	check(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))
	if err := Create(filepath.Join(dir, "folder"), nil, 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a directory: %v", err)
	}
	if err := Create(filepath.Join(dir, "none", "file"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "first" {
		t.Errorf("%q, %v", data, err)
	}
	if got := names(t, dir); got != "file folder" {
		t.Errorf("left in the directory: %s", got)
	}
}

func edit(path, text string) (bool, error) {
	return EditLocked(path, 100, func([]byte) ([]byte, error) { return []byte(text), nil })
}

// What another program writes while an edit is made is not overwritten.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		before bool // there is a file
		change func(path string) error
		want   string
	}{
		"written in place": {true, func(p string) error { return os.WriteFile(p, []byte("another's"), 0o600) }, "another's"},
		"replaced":         {true, func(p string) error { return Write(p, []byte("old")) }, "old"},
		"removed":          {true, os.Remove, ""},
		"made":             {false, func(p string) error { return os.WriteFile(p, []byte("another's"), 0o600) }, "another's"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "file")
		if row.before {
			check(t, os.WriteFile(path, []byte("old"), 0o600))
		}
		_, err := EditLocked(path, 100, func([]byte) ([]byte, error) { return []byte("new"), row.change(path) })
		if !errors.Is(err, errChanged) && !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v", name, err)
		}
		if data, _ := os.ReadFile(path); string(data) != row.want {
			t.Errorf("%s: %q", name, data)
		}
		if got := names(t, dir); strings.Contains(got, tempMark) {
			t.Errorf("%s: left in the directory: %s", name, got)
		}
	}
}

// Temporary files of processes that are gone are removed; those of processes that
// are not, and what only looks alike, stay.
func TestStaleFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	check(t, os.WriteFile(path, []byte("old"), 0o600))
	living, err := Prepare(path, []byte("being written"), 0o600)
	check(t, err)
	defer living.Discard()
	stay := []string{
		living.name, ".other" + tempMark + "ABCDEFGH", ".file" + tempMark + "ABCDEFG", ".file" + tempMark + "abcdefgh", ".file" + tempMark + "ABCDEFG1",
		".file" + tempMark + "ABCDEFGHI", "file" + tempMark + "ABCDEFGH", ".file.ABCDEFGH", ".file2" + tempMark + "ABCDEFGH", "..file" + tempMark + "ABCDEFGH",
	}
	for _, name := range stay[1:] {
		check(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	folder := ".file" + tempMark + "AAAAAAAA"
	check(t, os.Mkdir(filepath.Join(dir, folder), 0o700))
	stay = append(stay, folder, "file")
	if runtime.GOOS != "windows" {
		link := ".file" + tempMark + "LLLLLLLL"
		check(t, os.Symlink("file", filepath.Join(dir, link)))
		stay = append(stay, link)
	}
	for _, name := range []string{"ABCDEFGH", "ZZZZZZZZ", "22222222"} {
		check(t, os.WriteFile(filepath.Join(dir, ".file"+tempMark+name), []byte("left behind"), 0o400))
	}
	if changed, err := edit(path, "new"); err != nil || !changed {
		t.Fatal(changed, err)
	}
	for _, name := range stay {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if got := strings.Fields(names(t, dir)); len(got) != len(stay) {
		t.Errorf("in the directory: %q", got)
	}
}

// What a killed process leaves, the next one removes.
func TestKilledWhileWriting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	check(t, os.WriteFile(path, []byte("old"), 0o600))
	cmd := child("stage", path)
	stdout, err := cmd.StdoutPipe()
	check(t, err)
	stdin, err := cmd.StdinPipe()
	check(t, err)
	defer stdin.Close()
	check(t, cmd.Start())
	if _, err := stdout.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	before := names(t, dir)
	check(t, Replace(path, []byte("two"), 0o600)) // while it lives
	if got := names(t, dir); got != before {
		t.Errorf("left in the directory: %s, before: %s", got, before)
	}
	check(t, cmd.Process.Kill())
	_ = cmd.Wait()
	if got := names(t, dir); got != before || !strings.Contains(got, tempMark) {
		t.Errorf("left in the directory: %s, before: %s", got, before)
	}
	check(t, Replace(path, []byte("three"), 0o600))
	if got := names(t, dir); got != "file" {
		t.Errorf("left in the directory: %s", got)
	}
}

// The directory is the one that was opened, whatever its path is meanwhile.
func TestDirectoryThatIsSwapped(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("what is open can't be renamed")
	}
	top := t.TempDir()
	dir, moved, victim := filepath.Join(top, "dir"), filepath.Join(top, "moved"), filepath.Join(top, "victim")
	for _, d := range []string{dir, victim} {
		check(t, os.Mkdir(d, 0o700))
		check(t, os.WriteFile(filepath.Join(d, "file"), []byte("of "+filepath.Base(d)), 0o600))
	}
	_, err := EditLocked(filepath.Join(dir, "file"), 100, func([]byte) ([]byte, error) {
		return []byte("new"), errors.Join(os.Rename(dir, moved), os.Symlink(victim, dir))
	})
	check(t, err)
	if data, err := os.ReadFile(filepath.Join(victim, "file")); err != nil || string(data) != "of victim" {
		t.Errorf("%q, %v", data, err)
	}
	if data, err := os.ReadFile(filepath.Join(moved, "file")); err != nil || string(data) != "new" {
		t.Errorf("%q, %v", data, err)
	}
}
