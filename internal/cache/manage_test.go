package cache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eks-x509/eks-x509/internal/safefile"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if list, err := List(w.Dir, w.now); err != nil || len(list) != 0 {
		t.Errorf("no directory: %v %v", list, err)
	}
	w.get(t, aKey())
	short, refused := aKey(), aKey()
	short.RoleARN, refused.RoleARN = "short", "refused"
	w.life = 10 * time.Minute
	w.get(t, short)
	w.refuse(time.Minute)
	_, _ = w.Get(t.Context(), refused, w.fetch)

	// As if absent: what is not ours, not an entry, not of the key it is named for, not readable.
	write(t, filepath.Join(w.Dir, "notes.json"), encode(t, anEntry()))
	write(t, filepath.Join(w.Dir, strings.Repeat("0", 64)+".json"), read(t, w.path(aKey(), ".json")))
	write(t, filepath.Join(w.Dir, strings.Repeat("1", 64)+".json"), "{")
	write(t, filepath.Join(w.Dir, strings.Repeat("2", 64)+".json"), strings.Repeat(" ", maxSize+1))
	if err := os.Mkdir(filepath.Join(w.Dir, strings.Repeat("3", 64)+".json"), 0o700); err != nil {
		t.Fatal(err)
	}

	w.now = w.now.Add(10 * time.Minute)
	list, err := List(w.Dir, w.now)
	want := []Kept{{w.path(aKey(), ".json"), "ASIA1", noon(), noon().Add(time.Hour), aLeaf(), aKey()}}
	if diff := cmp.Diff(want, list); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if list, err := List(w.Dir, w.now.Add(-1)); err != nil || len(list) != 2 {
		t.Errorf("a moment before the second ends: %v %v", list, err)
	}

	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	if _, err := List(file, w.now); err == nil || !strings.HasPrefix(err.Error(), "reading the sessions kept: ") {
		t.Errorf("a file in the directory's place: %v", err)
	}
}

func TestClear(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if removed, err := Clear(w.Dir, aKey()); err != nil || removed {
		t.Errorf("no directory: %t %v", removed, err)
	}
	other := aKey()
	other.RoleARN = "another"
	w.Asker = 7
	w.get(t, aKey())
	w.get(t, other)
	for i, want := range []bool{true, false} {
		if removed, err := Clear(w.Dir, aKey()); err != nil || removed != want {
			t.Errorf("%d: %t %v", i, removed, err)
		}
	}
	for _, suffix := range []string{".json", ".asked"} {
		if _, err := os.Lstat(w.path(aKey(), suffix)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", suffix, err)
		}
	}
	if got := w.get(t, other); got != "ASIA2" {
		t.Errorf("the other one: %s", got)
	}
	if got := w.get(t, aKey()); got != "ASIA3" {
		t.Errorf("made again: %s", got)
	}
}

func TestClearAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if n, err := ClearAll(w.Dir); err != nil || n != 0 {
		t.Errorf("no directory: %d %v", n, err)
	}
	w.Asker = 7
	w.get(t, aKey())
	other := aKey()
	other.RoleARN = "another"
	w.get(t, other)
	lock, free, err := safefile.TryLock(w.path(other, ".lock"))
	if err != nil || !free {
		t.Fatal(free, err)
	}
	defer func() { _ = lock.Unlock() }()

	id := aKey().id()
	write(t, filepath.Join(w.Dir, "."+id+".json.eks-x509-ABCDEFGH"), "what a killed process left")
	writing, err := safefile.Prepare(w.path(aKey(), ".json"), []byte("what one is writing"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer writing.Discard()
	var temporary string
	for _, name := range names(t, w.Dir) {
		if strings.HasPrefix(name, ".") && !strings.HasSuffix(name, "ABCDEFGH") {
			temporary = name
		}
	}
	foreign := []string{
		"notes.txt", "credentials.json", id, id + ".json.bak", id + ".JSON", id + ".yaml", id[:63] + ".json", id + "0.json",
		strings.ToUpper(id) + ".json", "g" + id[1:] + ".json", "." + id + ".json", "." + id + ".lock.1", ".hidden", "." + id + ".json.123456",
	}
	for _, name := range foreign {
		write(t, filepath.Join(w.Dir, name), "foreign")
	}
	sub := strings.Repeat("a", 64) + ".json"
	if err := os.Mkdir(filepath.Join(w.Dir, sub), 0o700); err != nil {
		t.Fatal(err)
	}

	if n, err := ClearAll(w.Dir); err != nil || n != 2 {
		t.Errorf("%d removed, %v", n, err)
	}
	left := map[string]bool{}
	for _, name := range names(t, w.Dir) {
		left[name] = true
	}
	want := map[string]bool{other.id() + ".lock": true, sub: true, temporary: true}
	for _, name := range foreign {
		want[name] = true
	}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Error(diff)
	}
	if _, free, err := safefile.TryLock(w.path(other, ".lock")); free || err != nil {
		t.Errorf("the held lock: free %t, %v", free, err)
	}
}
