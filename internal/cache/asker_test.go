package cache

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// asks lets one process ask n times, a second apart, and returns the calls made.
func (w *world) asks(t *testing.T, pid, n int) int {
	t.Helper()
	before := w.calls
	w.Asker = pid
	for range n {
		w.get(t, aKey())
		w.now = w.now.Add(time.Second)
	}
	return w.calls - before
}

func TestClusterThatRefuses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		age  time.Duration // of the session
		asks func(t *testing.T, w *world) int
		want int
	}{
		{"twice is no sign", time.Minute, func(t *testing.T, w *world) int { return w.asks(t, 7, 2) }, 0},
		{"the third time of one process renews", time.Minute, func(t *testing.T, w *world) int { return w.asks(t, 7, 3) }, 1},
		{"twelve times renew once", time.Minute, func(t *testing.T, w *world) int { return w.asks(t, 7, 12) }, 1},
		{"a session younger than a minute stays", time.Minute - 3*time.Second, func(t *testing.T, w *world) int { return w.asks(t, 7, 3) }, 0},
		{"at a minute it no longer does", time.Minute - 3*time.Second, func(t *testing.T, w *world) int { return w.asks(t, 7, 4) }, 1},
		{"a hundred times renew once a minute", time.Minute, func(t *testing.T, w *world) int { return w.asks(t, 7, 100) }, 2},
		{"without kubectl nothing is counted", time.Minute, func(t *testing.T, w *world) int { return w.asks(t, 0, 12) }, 0},
		{"other processes don't count", time.Minute, func(t *testing.T, w *world) int {
			return w.asks(t, 7, 2) + w.asks(t, 8, 2) + w.asks(t, 9, 2) + w.asks(t, 7, 2)
		}, 0},
		{"11 seconds apart is no retry", time.Minute, func(t *testing.T, w *world) int {
			calls := 0
			for range 6 {
				calls += w.asks(t, 7, 1)
				w.now = w.now.Add(10 * time.Second)
			}
			return calls
		}, 0},
		{"a clock that jumps back begins anew", 2 * time.Minute, func(t *testing.T, w *world) int {
			calls := w.asks(t, 7, 2)
			w.now = w.now.Add(-30 * time.Second)
			return calls + w.asks(t, 7, 2)
		}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.get(t, aKey())
			w.now = w.now.Add(row.age)
			if got := row.asks(t, w); got != row.want {
				t.Errorf("%d calls, want %d", got, row.want)
			}
			w.expect(t)
		})
	}
}

// The refusal of AWS is remembered for the third run of one kubectl as well.
func TestRefusalIsRememberedForOneAsker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Asker = 7
	w.refuse(5 * time.Second)
	for range 5 {
		if _, err := w.Get(t.Context(), aKey(), w.fetch); err == nil {
			t.Error("no error")
		}
	}
	if w.calls != 1 {
		t.Errorf("%d calls", w.calls)
	}
}

// A renewal that a cluster's refusal asks for, and that AWS refuses: the old
// session is served, with one call and one word.
func TestRefusedRenewalForOneAsker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.get(t, aKey())
	w.now = w.now.Add(2 * time.Minute)
	w.refuse(30 * time.Second)
	if got := w.asks(t, 7, 9); got != 1 {
		t.Errorf("%d calls", got)
	}
	w.expect(t, "the session could not be renewed")
}

func TestBadFileOfTheAsker(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]func(path string) error{
		"torn":         func(p string) error { return os.WriteFile(p, []byte(`{"pid":7,"cou`), 0o600) },
		"foreign":      func(p string) error { return os.WriteFile(p, []byte(`["x"]`), 0o600) },
		"a huge count": func(p string) error { return os.WriteFile(p, []byte(`{"pid":7,"count":9223372036854775808}`), 0o600) },
		"of the future": func(p string) error {
			return os.WriteFile(p, []byte(`{"pid":7,"since":"2099-01-01T00:00:00Z","count":9}`), 0o600)
		},
		"a directory":       func(p string) error { return os.Mkdir(p, 0o700) },
		"a link to nothing": func(p string) error { return os.Symlink("/nonexistent/x", p) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS == "windows" && name == "a link to nothing" {
				t.Skip("links are for the privileged")
			}
			w := newWorld(t)
			w.get(t, aKey())
			w.now = w.now.Add(time.Minute)
			if err := bad(w.path(aKey(), ".asked")); err != nil {
				t.Fatal(err)
			}
			if got := w.asks(t, 7, 2); got != 0 {
				t.Errorf("%d calls", got)
			}
			w.expect(t)
		})
	}
}
