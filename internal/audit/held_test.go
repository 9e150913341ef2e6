package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// Logs that never end fill no memory: they are given up at the bound.
func TestTooManySessions(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100<<10)
	refused := created("NUMBER", "0a01", "alice", at(0), func(e m) { e["eventID"], e["errorCode"] = "eNUMBER", "AccessDenied" })
	seen := assumed("ASIANUMBER", "ASIAPARENT", "s", at(0))
	for name, c := range map[string]struct {
		trail  m
		action m
	}{
		"sessions":            {trail: created("ASIANUMBER", "NUMBER", "aliceNUMBER", at(0), func(e m) { e["eventID"] = "eNUMBER" })},
		"one access key":      {trail: created("ASIA1", "0a01", "alice", at(0), func(e m) { e["eventID"] = "eNUMBER" })},
		"chained sessions":    {trail: seen},
		"refusals":            {trail: refused},
		"long texts":          {trail: created("ASIANUMBER", "0a01", "alice", at(0), func(e m) { e["eventID"], e["userAgent"], e["sourceIPAddress"] = "eNUMBER", long, long })},
		"unknown access keys": {action: did("NUMBER", "ASIANUMBER", "", "", at(0), nil)},
		"unknown ARNs":        {action: did("NUMBER", "", devARN+"NUMBER", "", at(0), nil)},
		"users and addresses": {action: did("NUMBER", "ASIANUMBER", "", "", at(0), func(e m) { e["user"].(m)["username"], e["sourceIPs"] = "NUMBER"+long, []any{long} })},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const limit = 2 << 20
			o := Options{Workers: 2, TempDir: t.TempDir(), memory: 1 << 20, held: limit}
			var err error
			if c.action == nil {
				e := &endless{make: numbered(t, c.trail), n: 50_000}
				_, err = Run(context.Background(), e.inputs(), nil, o)
				if most := int64(200 << 20); e.read > most {
					t.Errorf("it read %d bytes", e.read)
				}
			} else {
				e := &endless{make: numbered(t, c.action), n: 2000} // actions are read to the end: they are on disk
				if strings.Contains(name, "users") {
					e.n = 300
				}
				_, err = Run(context.Background(), nil, e.inputs(), o)
			}
			if many, ok := errors.AsType[*TooManyError](err); !ok || many.Bytes != limit || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v", err)
			}
		})
	}
}

// What is counted is at least what is held.
func TestHeldIsCounted(t *testing.T) { //nolint:paralleltest // it measures the heap
	for name, c := range map[string]struct{ trail, action m }{
		"sessions":  {trail: created("ASIANUMBER", "NUMBER", "aliceNUMBER", at(0), func(e m) { e["eventID"] = "eNUMBER" })},
		"refusals":  {trail: created("NUMBER", "0a01", "alice", at(0), func(e m) { e["eventID"], e["errorCode"] = "eNUMBER", "AccessDenied" })},
		"unknown":   {action: did("NUMBER", "ASIANUMBER", "", "", at(0), forbidden)},
		"same role": {trail: assumed("ASIANUMBER", "ASIAPARENT", "s", at(0))},
	} {
		const n = 5000
		heap := func() int64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.GC()
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc) //nolint:gosec // no heap is that large
		}
		var trail, cluster []Input
		if c.trail != nil {
			trail = (&endless{make: numbered(t, c.trail), n: n}).inputs()
		} else {
			cluster = (&endless{make: numbered(t, c.action), n: n}).inputs()
		}
		before := heap()
		r, err := Run(context.Background(), trail, cluster, Options{Workers: 1, TempDir: t.TempDir(), memory: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		const buffers = 6 << 20
		if grown, counted := heap()-before, r.held.taken.Load(); grown > counted+buffers {
			t.Errorf("%s: the heap grew by %d bytes, %d are counted", name, grown, counted)
		}
		runtime.KeepAlive(r)
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
