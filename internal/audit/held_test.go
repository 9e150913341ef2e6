package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// endless makes one event after the other, and counts what is read of them.
type endless struct {
	make func(i int) string
	n    int // how many; 0: without end
	i    int
	rest string
	read int64
}

func (e *endless) Read(b []byte) (int, error) {
	if e.rest == "" {
		if e.i++; e.n > 0 && e.i > e.n {
			return 0, io.EOF
		}
		e.rest = e.make(e.i)
	}
	n := copy(b, e.rest)
	e.rest = e.rest[n:]
	e.read += int64(n)
	return n, nil
}

func (e *endless) inputs() []Input {
	return []Input{{Name: "endless", Open: func() (io.ReadCloser, error) { return io.NopCloser(e), nil }}}
}

// numbered puts the number of each event into a template of one.
func numbered(t testing.TB, event m) func(int) string {
	line := lines(t, event)
	start := at(0).Format(time.RFC3339)
	return func(i int) string {
		return strings.ReplaceAll(strings.ReplaceAll(line, "NUMBER", fmt.Sprintf("%010d", i)), start, at(i).Format(time.RFC3339))
	}
}

// Logs with more sessions than the bound are given up: none is half told.
func TestTooManySessions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trail  m
		action m
	}{
		"sessions":            {trail: created("ASIANUMBER", "NUMBER", "aliceNUMBER", at(0), func(e m) { e["eventID"] = "eNUMBER" })},
		"one access key":      {trail: created("ASIA1", "0a01", "alice", at(0), func(e m) { e["eventID"] = "eNUMBER" })},
		"chained sessions":    {trail: assumed("ASIANUMBER", "ASIAPARENT", "s", at(0))},
		"refusals":            {trail: created("NUMBER", "0a01", "alice", at(0), func(e m) { e["eventID"], e["errorCode"] = "eNUMBER", "AccessDenied" })},
		"unknown access keys": {action: did("NUMBER", "ASIANUMBER", "", "", at(0), nil)},
		"unknown ARNs":        {action: did("NUMBER", "", devARN+"NUMBER", "", at(0), nil)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const limit = 64 << 10
			o := Options{Workers: 2, TempDir: t.TempDir(), memory: 1 << 20, held: limit, Actions: true}
			var err error
			if c.action == nil {
				e := &endless{make: numbered(t, c.trail)}
				_, err = Run(context.Background(), e.inputs(), nil, o)
			} else {
				e := &endless{make: numbered(t, c.action), n: 3000} // actions are read to the end: they are on disk
				_, err = Run(context.Background(), nil, e.inputs(), o)
			}
			if many, ok := errors.AsType[*TooManyError](err); !ok || many.Bytes != limit || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v", err)
			}
			if left, err := os.ReadDir(o.TempDir); err != nil || len(left) > 0 {
				t.Errorf("left: %v %v", left, err)
			}
		})
	}
}

// heapSize is how much is in memory, garbage apart.
func heapSize() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// While sessions are read, joined and told, what is in memory is no more than is
// counted, and that is little for each, even if each has a certificate, a role, a
// name, users, addresses and findings of its own.
func TestMemoryOfSessions(t *testing.T) { //nolint:paralleltest // it measures the heap
	long := strings.Repeat("x", 1000)
	own := created("ASIANUMBER", "NUMBER", "aliceNUMBER", at(0), func(e m) { e["eventID"], e["userAgent"] = "eNUMBER", long })
	by := did("NUMBER", "ASIANUMBER", "", "", at(0), func(e m) { e["user"].(m)["username"], e["sourceIPs"] = "NUMBER"+long, []any{"NUMBER" + long} })
	for name, c := range map[string]struct{ trail, action m }{
		"sessions":  {trail: own},
		"chained":   {trail: assumed("ASIANUMBER", "ASIAPARENT", "s", at(0))},
		"refusals":  {trail: created("NUMBER", "NUMBER", "alice", at(0), func(e m) { e["eventID"], e["errorCode"] = "eNUMBER", "AccessDenied" })},
		"unknown":   {action: by},
		"with what": {trail: own, action: by},
		"hidden":    {trail: created("HIDDEN_KEY", "NUMBER", "alice", at(0), func(e m) { e["eventID"] = "eNUMBER" })},
	} {
		const n, perSession, buffers = 6000, 300, 4 << 20
		var trail, cluster []Input
		peak, before := int64(0), heapSize()
		measure := func(line func(int) string) func(int) string {
			return func(i int) string {
				if i%(n/4) == 0 {
					peak = max(peak, heapSize()-before)
				}
				return line(i)
			}
		}
		if c.trail != nil {
			trail = (&endless{make: measure(numbered(t, c.trail)), n: n}).inputs()
		}
		if c.action != nil {
			cluster = (&endless{make: measure(numbered(t, c.action)), n: n}).inputs()
		}
		r, err := Run(context.Background(), trail, cluster, Options{Workers: 1, Actions: true, TempDir: t.TempDir(), memory: 256 << 10, block: 256 << 10})
		if err != nil {
			t.Fatal(err)
		}
		peak = max(peak, heapSize()-before)
		if peak > n*perSession+buffers {
			t.Errorf("%s: %d bytes for %d sessions", name, peak, n)
		}
		if counted := r.held.taken.Load(); counted > n*perSession || peak > counted+buffers {
			t.Errorf("%s: the heap grew by %d bytes, %d are counted", name, peak, counted)
		}
		for s, err := range r.Sessions {
			if err != nil || s.AccessKeyID == "" && name != "hidden" {
				t.Fatalf("%s: %+v %v", name, s, err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Long texts are cut, whole characters of them, and so is what comes of them.
func TestCut(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", strings.Repeat("a", maxText), strings.Repeat("a", maxText+1), strings.Repeat("é", maxText), strings.Repeat("a", maxText-1) + "é", strings.Repeat("\xff", 2*maxText)} {
		got := cut(s)
		if len(got) > maxText+len("…") || cut(got) != got || len(s) <= maxText && got != s {
			t.Errorf("%d bytes become %d", len(s), len(got))
		}
	}
	long := strings.Repeat("n", 3*maxText)
	r := audit(t, nil, log(lines(t, did("1", "ASIA1", "", "", at(1), func(e m) { e["objectRef"].(m)["name"] = long }))), Options{})
	for a, err := range r.ByTime() {
		if err != nil || a.Name != cut(long) {
			t.Errorf("%d bytes, %v", len(a.Name), err)
		}
	}
}
