package cache

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func otherLeaf() string { return strings.Repeat("b", 64) }

// What is kept for a key is served to whoever holds the certificate that signed,
// and to nobody else, be it a session or a refusal.
func TestServedOnlyToTheCertificateThatSigned(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		leaves []string // in hand
		served bool
	}{
		{"the one", []string{aLeaf()}, true},
		{"one of several", []string{otherLeaf(), aLeaf()}, true},
		{"unknown, in an encrypted file", nil, true},
		{"another", []string{otherLeaf()}, false},
		{"none of several", []string{otherLeaf(), strings.Repeat("c", 64)}, false},
		{"none", []string{}, false},
	} {
		for _, refused := range []bool{false, true} {
			t.Run(row.name+map[bool]string{true: ", refused"}[refused], func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				if refused {
					w.refuse(5 * time.Second)
				}
				_, _ = w.Get(t.Context(), aKey(), w.fetch)
				called := false
				s, err := w.Cache.Get(t.Context(), aKey(), row.leaves, func(context.Context) (Session, *Failure, error) {
					called = true
					return Session{}, nil, errors.New("asked again")
				})
				_, remembered := errors.AsType[*RememberedError](err)
				if served := remembered && refused || err == nil && !refused && s.AccessKeyID == "ASIA1" && s.Leaf == aLeaf(); served != row.served || called == row.served {
					t.Errorf("%q by %q, %v; called %t", s.AccessKeyID, s.Leaf, err, called)
				}
			})
		}
	}
}

// What another certificate signed is neither delivered nor kept.
func TestFetchedForAnother(t *testing.T) {
	t.Parallel()
	for name, leaf := range map[string]string{"another": otherLeaf(), "none": "", "no hash": "A"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s, err := w.Get(t.Context(), aKey(), func(ctx context.Context) (Session, *Failure, error) {
				s, f, err := w.fetch(ctx)
				s.Leaf = leaf
				return s, f, err
			})
			if !errors.Is(err, ErrOtherIdentity) || s.AccessKeyID != "" {
				t.Errorf("%q, %v", s.AccessKeyID, err)
			}
			if text := read(t, w.path(aKey(), ".json")); text != "" {
				t.Errorf("kept: %s", text)
			}
			w.expect(t)
		})
	}
}

// A renewal that fails serves the session that lives only if the same certificate
// was refused, or none came to it.
func TestFailedRenewalOfAnother(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, refused string
		other         bool // the files are another's
		served        bool
	}{
		{"the same", aLeaf(), false, true},
		{"the key could not be opened", "", false, true},
		{"another", otherLeaf(), false, false},
		{"the files are being replaced", aLeaf(), true, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.get(t, aKey())
			w.now = w.now.Add(55 * time.Minute)
			s, err := w.Cache.Get(t.Context(), aKey(), []string{aLeaf(), otherLeaf()}, func(context.Context) (Session, *Failure, error) {
				err := errors.New("refused")
				if row.other {
					err = ErrOtherIdentity
				}
				return Session{Leaf: row.refused}, nil, err
			})
			if served := err == nil && s.AccessKeyID == "ASIA1" && s.Leaf == aLeaf(); served != row.served || !served && s.AccessKeyID != "" {
				t.Errorf("%q, %v", s.AccessKeyID, err)
			}
		})
	}
}

// Nobody can tell who signed for the sessions of version 1: they are not served,
// and clear removes them.
func TestEarlierVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.get(t, aKey())
	earlier := strings.Replace(read(t, w.path(aKey(), ".json")), `"version":2`, `"version":1`, 1)
	write(t, w.path(aKey(), ".json"), earlier)
	if got := w.get(t, aKey()); got != "ASIA2" {
		t.Errorf("got %s", got)
	}
	other, later := aKey(), aKey()
	other.RoleARN, later.RoleARN = "another", "later"
	write(t, w.path(other, ".json"), earlier)
	write(t, w.path(later, ".json"), strings.Replace(earlier, `"version":1`, `"version":3`, 1))
	if removed, err := Clear(w.Dir, aKey()); err != nil || !removed {
		t.Errorf("%t %v", removed, err)
	}
	for path, want := range map[string]bool{w.path(other, ".json"): false, w.path(later, ".json"): true} {
		if _, err := os.Lstat(path); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	w.expect(t)
}
