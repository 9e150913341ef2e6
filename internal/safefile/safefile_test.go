package safefile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestMain(m *testing.M) {
	if child := os.Getenv("SAFEFILE_TEST_CHILD"); child != "" {
		if err := runChild(child, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWriteAndRead(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	path := filepath.Join(dir, "file")
	for range 2 {
		if place, err := OwnDir(dir); err != nil || place != dir {
			t.Fatal(place, err)
		}
	}
	if _, err := Read(path, 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	for _, text := range []string{"first", "", "the second one"} {
		check(t, Write(path, []byte(text)))
		if got, err := Read(path, 14); err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
	}
	if _, err := Read(path, 13); err == nil || err.Error() != "read "+path+": larger than 13 bytes" {
		t.Errorf("beyond the limit: %v", err)
	}
	check(t, Overwrite(path, []byte("third")))
	if got, err := Read(path, 14); err != nil || string(got) != "third" {
		t.Errorf("%q, %v", got, err)
	}
	if got := names(t, dir); got != "file" {
		t.Errorf("left in the directory: %s", got)
	}
}

func TestWriteThatFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	check(t, os.Mkdir(filepath.Join(dir, "place"), 0o700))
	if err := Write(filepath.Join(dir, "place"), []byte("x")); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("a directory in the file's place: %v", err)
	}
	if got := names(t, dir); got != "place" {
		t.Errorf("left in the directory: %s", got)
	}
	if err := Write(filepath.Join(dir, "none", "file"), []byte("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	file := filepath.Join(dir, "file")
	check(t, Write(file, nil))
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if _, err := OwnDir(dir); err == nil {
			t.Errorf("%s: a directory where a file is", dir)
		}
	}
}

// Whoever reads while others write has one whole text or another.
func TestConcurrentWritersAndReaders(t *testing.T) {
	t.Parallel()
	const writers, rounds, size = 4, 25, 20_000
	path := filepath.Join(t.TempDir(), "file")
	check(t, Write(path, bytes.Repeat([]byte("0"), size)))
	var writing, reading sync.WaitGroup
	done := make(chan struct{})
	for i := range writers {
		writing.Go(func() {
			for range rounds {
				if err := Write(path, bytes.Repeat([]byte{'a' + byte(i)}, size)); err != nil {
					t.Error(err)
				}
			}
		})
		reading.Go(func() {
			for {
				data, err := Read(path, size)
				if err != nil || len(data) != size || bytes.Count(data, data[:1]) != size {
					t.Errorf("%d bytes, %v", len(data), err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	if got := names(t, filepath.Dir(path)); got != "file" {
		t.Errorf("left in the directory: %s", got)
	}
}
