package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/eks-x509/eks-x509/internal/safefile"
)

// world is a cache with a clock that a test sets, and a far side that it
// programs.
type world struct {
	*Cache
	now     time.Time
	leaf    string // that signs
	calls   int
	life    time.Duration
	err     error
	failure *Failure
	lines   []string // warnings and notices
}

func noon() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }

func newWorld(t *testing.T) *world {
	w := &world{now: noon(), life: time.Hour, leaf: aLeaf()}
	w.Cache = &Cache{
		Dir: filepath.Join(t.TempDir(), "sessions"), Now: func() time.Time { return w.now },
		Warn:   func(s string) { w.lines = append(w.lines, s) },
		Notice: func(s string) { w.lines = append(w.lines, s) },
	}
	return w
}

func (w *world) fetch(context.Context) (Session, *Failure, error) {
	w.calls++
	s := Session{Leaf: w.leaf}
	if w.err != nil {
		return s, w.failure, w.err
	}
	s.Credentials = aws.Credentials{
		AccessKeyID: fmt.Sprintf("ASIA%d", w.calls), SecretAccessKey: "secret-key", SessionToken: "session-token",
		Source: "far side", CanExpire: true, Expires: w.now.Add(w.life),
	}
	return s, nil, nil
}

// Get is the cache's, for one certificate.
func (w *world) Get(ctx context.Context, key Key, fetch Fetch) (Session, error) {
	return w.Cache.Get(ctx, key, []string{w.leaf}, fetch)
}

// get returns the access key id.
func (w *world) get(t *testing.T, key Key) string {
	t.Helper()
	creds, err := w.Get(t.Context(), key, w.fetch)
	if err != nil {
		t.Fatal(err)
	}
	return creds.AccessKeyID
}

// expect compares the warnings since the last look with what each must hold.
func (w *world) expect(t *testing.T, want ...string) {
	t.Helper()
	ok := len(w.lines) == len(want)
	for i := 0; ok && i < len(want); i++ {
		ok = strings.Contains(w.lines[i], want[i])
	}
	if !ok {
		t.Errorf("said %q, want %q", w.lines, want)
	}
	w.lines = nil
}

func (w *world) path(key Key, suffix string) string { return filepath.Join(w.Dir, key.id()+suffix) }

func (w *world) refuse(until time.Duration) {
	w.err = errors.New("refused")
	w.failure = &Failure{Until: w.now.Add(until), Detail: json.RawMessage(`{"code":"AccessDenied"}`)}
}

func aKey() Key {
	return Key{Certificate: "c", Roots: "system", TrustAnchorARN: "t", ProfileARN: "p", RoleARN: "r", Region: "us-east-1", Endpoint: "e", DurationSeconds: 3600, RoleSessionName: "n"}
}

func aLeaf() string { return strings.Repeat("a", 64) }

func TestEachFieldOfTheKeyCounts(t *testing.T) {
	t.Parallel()
	base := aKey()
	seen := map[string]string{base.id(): "none"}
	for i := range reflect.TypeFor[Key]().NumField() {
		k := base
		name := reflect.TypeFor[Key]().Field(i).Name
		switch f := reflect.ValueOf(&k).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString(f.String() + "x")
		case reflect.Bool:
			f.SetBool(!f.Bool())
		default:
			f.SetInt(f.Int() + 1)
		}
		if other, ok := seen[k.id()]; ok {
			t.Errorf("changing %s gives the id of changing %s", name, other)
		}
		seen[k.id()] = name
	}
	// A change of this value orphans every file that is out there.
	if got, want := base.id(), "4270c3cd"; !strings.HasPrefix(got, want) || len(got) != 64 {
		t.Errorf("id %s, want %s…", got, want)
	}
	moved := base
	moved.RoleARN, moved.ProfileARN = base.ProfileARN, base.RoleARN
	if moved.id() == base.id() {
		t.Error("two fields that change places give the same id")
	}
}

func TestGetServesWhatIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, err := w.Get(t.Context(), aKey(), w.fetch)
	if err != nil || first.Source != "far side" {
		t.Fatalf("%v %s", err, first.Source)
	}
	second, err := w.Get(t.Context(), aKey(), w.fetch)
	if err != nil {
		t.Fatal(err)
	}
	first.Source = "cache"
	if diff := cmp.Diff(first, second); diff != "" {
		t.Error(diff)
	}
	other := aKey()
	other.RoleARN = "another"
	if got := w.get(t, other); got != "ASIA2" {
		t.Errorf("another key: %s", got)
	}
	w.expect(t)
}

func TestRenewal(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		life  time.Duration
		after time.Duration
		calls int
	}{
		{"an hour: 6 minutes left is 10 %", time.Hour, 54 * time.Minute, 1},
		{"an hour: less than that", time.Hour, 54*time.Minute + 1, 2},
		{"15 minutes: 5 minutes left", 15 * time.Minute, 10 * time.Minute, 1},
		{"15 minutes: less than that", 15 * time.Minute, 10*time.Minute + 1, 2},
		{"12 hours: 72 minutes left is 10 %", 12 * time.Hour, 648 * time.Minute, 1},
		{"12 hours: less than that", 12 * time.Hour, 648*time.Minute + 1, 2},
		{"at its very end", time.Hour, time.Hour, 2},
		{"long over", time.Hour, 1000 * time.Hour, 2},
		{"the clock jumps back by 5 minutes", time.Hour, -5 * time.Minute, 1},
		{"the clock jumps back by more", time.Hour, -5*time.Minute - 1, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.life = row.life
			w.get(t, aKey())
			w.now = w.now.Add(row.after)
			if got, want := w.get(t, aKey()), fmt.Sprintf("ASIA%d", row.calls); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			w.expect(t)
		})
	}
}

func TestFailedRenewalServesTheLivingSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.get(t, aKey())
	w.now = noon().Add(55 * time.Minute)
	w.refuse(5 * time.Second)
	if got := w.get(t, aKey()); got != "ASIA1" || w.calls != 2 {
		t.Errorf("%s after %d calls", got, w.calls)
	}
	w.expect(t, "the session could not be renewed and goes on until 2026-11-24T13:00:00Z: refused")

	// While the refusal is remembered: no call, no word.
	w.now = w.now.Add(5*time.Second - 1)
	if got := w.get(t, aKey()); got != "ASIA1" || w.calls != 2 {
		t.Errorf("%s after %d calls", got, w.calls)
	}
	w.expect(t)
	w.now = w.now.Add(1)
	w.get(t, aKey())
	if w.calls != 3 {
		t.Errorf("%d calls once it is over", w.calls)
	}
	w.expect(t, "could not be renewed")

	// What is not worth remembering is not, and the session goes on.
	w.now, w.failure = noon().Add(56*time.Minute), nil
	for range 2 {
		w.get(t, aKey())
		w.expect(t, "could not be renewed")
	}

	// Over is over, refused or not.
	for _, now := range []time.Time{noon().Add(time.Hour), noon().Add(time.Hour + 1), noon().Add(24 * time.Hour)} {
		w.now = now
		if creds, err := w.Get(t.Context(), aKey(), w.fetch); err == nil || err.Error() != "refused" {
			t.Errorf("%s at %s: %v", creds.AccessKeyID, now, err)
		}
	}
	w.expect(t)
	w.err = nil
	if got := w.get(t, aKey()); got != fmt.Sprintf("ASIA%d", w.calls) {
		t.Errorf("once it is granted: %s", got)
	}
}

// A session that ends while its refusal is remembered is not served.
func TestRememberedRefusalOfAnEndedSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.get(t, aKey())
	w.now = noon().Add(time.Hour - time.Second)
	w.refuse(5 * time.Second)
	w.get(t, aKey())
	w.now = noon().Add(time.Hour)
	_, err := w.Get(t.Context(), aKey(), w.fetch)
	if _, ok := errors.AsType[*RememberedError](err); !ok || w.calls != 2 {
		t.Errorf("%v after %d calls", err, w.calls)
	}
}

func TestRefusalIsRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.refuse(5 * time.Second)
	if _, err := w.Get(t.Context(), aKey(), w.fetch); err == nil || err.Error() != "refused" {
		t.Fatal(err)
	}
	w.now = w.now.Add(5*time.Second - 1)
	_, err := w.Get(t.Context(), aKey(), w.fetch)
	remembered, ok := errors.AsType[*RememberedError](err)
	if !ok || w.calls != 1 {
		t.Fatalf("%v after %d calls", err, w.calls)
	}
	if diff := cmp.Diff(*w.failure, remembered.Failure); diff != "" {
		t.Error(diff)
	}
	if got, want := err.Error(), "refused a moment ago; not asked again before 2026-11-24T12:00:05Z"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	other := aKey()
	other.RoleARN = "another"
	if _, err := w.Get(t.Context(), other, w.fetch); err == nil || err.Error() != "refused" {
		t.Errorf("another key: %v", err)
	}
	w.err = nil
	w.now = noon().Add(5 * time.Second)
	w.get(t, aKey())
	w.get(t, aKey())
	if w.calls != 3 {
		t.Errorf("%d calls", w.calls)
	}
	w.expect(t)
}

func TestRefusalBeyondAMinuteIsNotBelieved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.refuse(30 * time.Second)
	_, _ = w.Get(t.Context(), aKey(), w.fetch)
	w.now = w.now.Add(-31 * time.Second) // the clock jumps back
	w.err = nil
	w.get(t, aKey())
}

// What the person interrupted is no refusal, and no living session is served
// for it.
func TestInterruptedCallIsNotRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.life = 6 * time.Minute
	w.get(t, aKey())
	before := read(t, w.path(aKey(), ".json"))
	w.now = w.now.Add(2 * time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	w.refuse(5 * time.Second)
	_, err := w.Get(ctx, aKey(), func(ctx context.Context) (Session, *Failure, error) {
		cancel()
		return w.fetch(ctx)
	})
	if err == nil || read(t, w.path(aKey(), ".json")) != before {
		t.Errorf("%v, kept %s", err, read(t, w.path(aKey(), ".json")))
	}
	w.expect(t)
	if _, err := w.Get(ctx, aKey(), w.fetch); !errors.Is(err, context.Canceled) || w.calls != 2 {
		t.Errorf("%v after %d calls", err, w.calls)
	}
	w.expect(t)
}

// In a bubble, so that the 20 seconds pass at once.
func TestLockNotToBeHad(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		kept time.Duration // age of the session that is there; 0: none
		err  bool
		want string
	}{
		{"a new session is made and not kept", 0, false, "ASIA1"},
		{"a session due for renewal stays", 55 * time.Minute, false, "ASIA2"},
		{"a refusal is not kept", 0, true, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				if row.kept != 0 {
					w.get(t, aKey())
					w.now = w.now.Add(row.kept)
				} else if _, err := safefile.OwnDir(w.Dir); err != nil {
					t.Fatal(err)
				}
				lock, free, err := safefile.TryLock(w.path(aKey(), ".lock"))
				if err != nil || !free {
					t.Fatal(free, err)
				}
				defer func() { _ = lock.Unlock() }()
				before := read(t, w.path(aKey(), ".json"))
				if row.err {
					w.refuse(5 * time.Second)
				}
				start := time.Now()
				creds, err := w.Get(t.Context(), aKey(), w.fetch)
				if creds.AccessKeyID != row.want || (err != nil) != row.err {
					t.Errorf("%s, %v", creds.AccessKeyID, err)
				}
				if waited := time.Since(start); waited != lockTimeout {
					t.Errorf("waited %s", waited)
				}
				if after := read(t, w.path(aKey(), ".json")); after != before {
					t.Errorf("written: %s", after)
				}
				w.expect(t, fmt.Sprintf("waiting for process %d, which is making this session", os.Getpid()), "has not done so in 20s; this one is not kept")
			})
		})
	}
}

// While it waits, the holder makes the session; or the person has had enough.
func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		after  time.Duration
		cancel bool
		lines  int
	}{
		{"at once, without a word", time.Second, false, 0},
		{"after a while, with a notice", 10 * time.Second, false, 1},
		{"by an interrupt", time.Second, true, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				inside := make(chan struct{})
				go func() {
					_, _ = w.Get(t.Context(), aKey(), func(ctx context.Context) (Session, *Failure, error) {
						close(inside)
						time.Sleep(row.after)
						if row.cancel {
							cancel()
							time.Sleep(time.Second)
						}
						return w.fetch(ctx)
					})
				}()
				<-inside
				creds, err := w.Get(ctx, aKey(), func(context.Context) (Session, *Failure, error) {
					t.Error("a second call")
					return Session{}, nil, errors.New("a second call")
				})
				if row.cancel != errors.Is(err, context.Canceled) || !row.cancel && creds.AccessKeyID != "ASIA1" {
					t.Errorf("%s, %v", creds.AccessKeyID, err)
				}
				if len(w.lines) != row.lines {
					t.Errorf("said %q", w.lines)
				}
				synctest.Wait()
				time.Sleep(time.Minute) // the other one ends, too
			})
		})
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(data)
}
