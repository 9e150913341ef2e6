package cache

import (
	"errors"
	"fmt"
	"io/fs"
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
	Leaf        string    `json:"leaf"` // SHA-256 in hex of the certificate that signed
	Key         Key       `json:"key"`
}

// List returns the sessions in dir that are not over. A dir that is not there
// holds none.
func List(dir string, now time.Time) ([]Kept, error) {
	dir, names, err := ours(dir)
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
			list = append(list, Kept{path, e.Session.AccessKeyID, e.Issued, e.Session.Expires, e.Leaf, e.Key})
		}
	}
	return list, nil
}

// Clear removes the session of key and says whether there was one. Those of
// earlier versions, of which nobody can tell whose they are, go as well.
func Clear(dir string, key Key) (bool, error) {
	if err := clearEarlier(dir); err != nil {
		return false, err
	}
	dir, err := safefile.Place(dir)
	if err != nil {
		return false, fmt.Errorf("removing kept session: %w", err)
	}
	removed := false
	for _, suffix := range []string{".json", ".asked"} {
		err := safefile.Remove(filepath.Join(dir, key.id()+suffix))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, fmt.Errorf("removing kept session: %w", err)
		}
		removed = removed || err == nil && suffix == ".json"
	}
	return removed, nil
}

func clearEarlier(dir string) error {
	dir, names, err := ours(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		data, err := safefile.Read(path, maxSize)
		if err != nil || !strings.HasSuffix(name, ".json") {
			continue
		}
		_, err = decode(data, time.Time{})
		if v, other := errors.AsType[versionError](err); other && v < version {
			if err := safefile.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("removing kept session: %w", err)
			}
		}
	}
	return nil
}

// ClearAll removes every file in dir that has a name of ours, and returns how
// many sessions there were. A lock that a process holds is left to it, and so is
// the temporary file of one that is writing.
func ClearAll(dir string) (int, error) {
	dir, names, err := ours(dir)
	if err != nil {
		return 0, err
	}
	sessions := 0
	for _, name := range names {
		path := filepath.Join(dir, name)
		if strings.HasSuffix(name, ".lock") {
			_ = safefile.RemoveLock(path) // one that can't be removed means nothing
			continue
		}
		if err := safefile.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return sessions, fmt.Errorf("removing kept session: %w", err)
		}
		if strings.HasSuffix(name, ".json") {
			sessions++
		}
	}
	err = safefile.RemoveStale(dir, func(name string) bool { return ourName(name) && strings.HasSuffix(name, ".json") })
	if err != nil {
		return sessions, fmt.Errorf("removing kept session: %w", err)
	}
	return sessions, nil
}

// ours are the names that this package gives, in the directory that serves for
// dir.
func ours(dir string) (place string, names []string, err error) {
	place, err = safefile.Place(dir)
	if err != nil {
		return "", nil, fmt.Errorf("reading the sessions kept: %w", err)
	}
	entries, err := safefile.List(place)
	if err != nil {
		return "", nil, fmt.Errorf("reading the sessions kept: %w", err)
	}
	for _, entry := range entries {
		if ourName(entry.Name()) && entry.Type().IsRegular() {
			names = append(names, entry.Name())
		}
	}
	return place, names, nil
}

// ourName: a key's id and a suffix.
func ourName(name string) bool {
	id, suffix, _ := strings.Cut(name, ".")
	known := suffix == "json" || suffix == "lock" || suffix == "asked"
	return known && isHash(id)
}
