package safefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestCantReplace(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		err  error
		want bool
	}{
		"none":               {nil, false},
		"a mount":            {&fs.PathError{Op: "replace", Path: "x", Err: syscall.EBUSY}, true},
		"no permission":      {&fs.PathError{Op: "create", Path: "x", Err: syscall.EACCES}, true},
		"another change":     {&fs.PathError{Op: "replace", Path: "x", Err: errChanged}, false},
		"a full disk":        {&fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, false},
		"what it would lose": {&NotKeptError{"x", "owner", syscall.EPERM}, false},
	} {
		if got := cantReplace(row.err); got != row.want && filepath.Separator == '/' {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWriteInPlace(t *testing.T) {
	t.Parallel()
	if filepath.Separator != '/' {
		t.Skip("not on Windows")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, row := range [][2]string{{"short", "much longer than before"}, {"much longer than before", "short"}, {"same", "size"}, {"gone", ""}, {"", "new"}} {
		if err := os.WriteFile(path, []byte(row[0]), 0o640); err != nil {
			t.Fatal(err)
		}
		info, _ := os.Stat(path)
		old, err := openOld(dir, "file")
		if err != nil {
			t.Fatal(err)
		}
		if err := old.writeInPlace([]byte(row[0]), []byte(row[1])); err != nil {
			t.Fatal(err)
		}
		old.close()
		data, _ := os.ReadFile(path)
		now, _ := os.Stat(path)
		if string(data) != row[1] || !os.SameFile(info, now) || now.Mode() != info.Mode() {
			t.Errorf("%q, want %q", data, row[1])
		}
	}
	// What another program wrote meanwhile stays, and so does an old copy.
	old, err := openOld(dir, "file")
	if err != nil {
		t.Fatal(err)
	}
	defer old.close()
	if err := os.WriteFile(path, []byte("another's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := old.writeInPlace([]byte("new"), []byte("x")); !errors.Is(err, errChanged) {
		t.Error(err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Error(names)
	}
	again, err := openOld(dir, "file")
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	if err := os.WriteFile(path+copySuffix, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := again.writeInPlace([]byte("another's"), []byte("x")); err == nil || !strings.Contains(err.Error(), "is left from a write that was interrupted") {
		t.Error(err)
	}
	if data, _ := os.ReadFile(path); string(data) != "another's" {
		t.Errorf("%q", data)
	}
}
