package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/safefile"
)

// Kept is what may be told of a kept session.
type Kept struct {
	File        string    `json:"file"`
	AccessKeyID string    `json:"accessKeyId"`
	Issued      time.Time `json:"issued"`
	Expires     time.Time `json:"expires"`
	Key         Key       `json:"key"`
}

// List returns the sessions in dir that are not over. A dir that is not there
// holds none.
func List(dir string, now time.Time) ([]Kept, error) {
	names, err := ours(dir)
	if err != nil {
		return nil, err
	}
	var list []Kept
	for _, name := range names {
		path := filepath.Join(dir, name)
		if !strings.HasSuffix(name, ".json") {
			continue
		}
		data, err := safefile.Read(path, maxSize)
		if err != nil {
			continue // as if it were not there, as for Get
		}
		if e, err := decode(data, now.Round(0)); err == nil && e.alive(now.Round(0)) && name == e.Key.id()+".json" {
			list = append(list, Kept{path, e.Session.AccessKeyID, e.Issued, e.Session.Expires, e.Key})
		}
	}
	return list, nil
}

// Clear removes the session of key and says whether there was one.
func Clear(dir string, key Key) (bool, error) {
	removed := false
	for _, suffix := range []string{".json", ".asked"} {
		err := os.Remove(filepath.Join(dir, key.id()+suffix))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, fmt.Errorf("removing kept session: %w", err)
		}
		removed = removed || err == nil && suffix == ".json"
	}
	return removed, nil
}

// ClearAll removes every file in dir that has a name of ours, and returns how
// many sessions there were. A lock that a process holds is left to it.
func ClearAll(dir string) (int, error) {
	names, err := ours(dir)
	if err != nil {
		return 0, err
	}
	sessions := 0
	for _, name := range names {
		path := filepath.Join(dir, name)
		if strings.HasSuffix(name, ".lock") {
			lock, free, err := safefile.TryLock(path)
			if err != nil || !free {
				continue
			}
			_ = os.Remove(path) // Windows keeps a file that is open; it means nothing
			_ = lock.Unlock()
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return sessions, fmt.Errorf("removing kept session: %w", err)
		}
		if strings.HasSuffix(name, ".json") {
			sessions++
		}
	}
	return sessions, nil
}

// ours are the names in dir that this package gives: a key's id and a suffix,
// or what a killed process left of writing one.
func ours(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the sessions kept: %w", err)
	}
	var names []string
	for _, entry := range entries {
		name := strings.TrimPrefix(entry.Name(), ".")
		id, suffix, _ := strings.Cut(name, ".")
		aside := name != entry.Name()
		known := suffix == "json" || suffix == "lock" || suffix == "asked"
		if aside {
			known = strings.HasPrefix(suffix, "json.")
		}
		if known && len(id) == 64 && strings.Trim(id, "0123456789abcdef") == "" && entry.Type().IsRegular() {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}
