package audit

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A store gives back what was put into it, in order and at its place, however
// little of it is in memory.
func TestStore(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		g := rand.New(rand.NewPCG(seed, 3))
		s := newStore(Options{TempDir: t.TempDir(), memory: 1 + g.IntN(3000)})
		var places []int64
		var want [][]byte
		r := &storeReader{store: s}
		check := func(i int) {
			if got, err := r.at(places[i]); err != nil || !bytes.Equal(got, want[i]) {
				t.Fatalf("seed %d: record %d is %d bytes, not %d: %v", seed, i, len(got), len(want[i]), err)
			}
		}
		for i := range 300 {
			size := g.IntN(200)
			if g.IntN(20) == 0 {
				size = g.IntN(3 * windowSize)
			}
			record := bytes.Repeat([]byte{byte(i)}, size)
			at, err := s.append(record)
			if err != nil {
				t.Fatal(err)
			}
			places, want = append(places, at), append(want, record)
			check(g.IntN(len(want))) // while it grows
		}
		for i := range want {
			check(i)
		}
		for range 2 {
			i := 0
			for got, err := range s.all() {
				if err != nil || !bytes.Equal(got, want[i]) {
					t.Fatalf("seed %d: record %d: %v", seed, i, err)
				}
				i++
			}
			if i != len(want) {
				t.Errorf("seed %d: %d records", seed, i)
			}
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}
}

// An index finds what a look at all finds.
func TestHashIndex(t *testing.T) {
	t.Parallel()
	g := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int32{0, 1, 2, 3, 100, 5000} {
		keys := make([]hash, n)
		for i := range keys {
			if k := g.IntN(int(n)); k > 0 {
				keys[i] = hashOf(fmt.Sprint(k / 3))
			}
			if g.IntN(10) == 0 && keys[i] != (hash{}) {
				keys[i] = hash{15: byte(1 + g.IntN(3))} // all in one bucket
			}
		}
		x := newHashIndex(n, func(i int32) hash { return keys[i] }, func(a, b int32) int { return int(b - a) })
		for _, h := range append(slices.Clone(keys), hashOf("none"), hash{}) {
			var want []int32
			for i := n - 1; i >= 0; i-- {
				if keys[i] == h && h != (hash{}) {
					want = append(want, i)
				}
			}
			if got := x.find(h); !slices.Equal(got, want) {
				t.Fatalf("%d: %v, want %v", n, got, want)
			}
		}
	}
}

// What is stored is what it was.
func TestCodec(t *testing.T) {
	t.Parallel()
	zero := time.Time{}
	for _, at := range []time.Time{zero, noon, noon.Add(time.Nanosecond), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), time.Date(-50, 1, 1, 0, 0, 0, 0, time.UTC)} {
		c := Certificate{"s\x00\xff", "i", "", at, zero}
		s := &Session{AccessKeyID: "a", AssumedRoleARN: "b", RoleARN: "c", Name: "d", SourceIdentity: "e", Certificate: c, Parent: "f", TrustAnchorARN: "g", ProfileARN: "h", SourceIP: "i", UserAgent: "j", Region: strings.Repeat("k", 5000),
			From: at, To: at, EventID: "l", Unknown: true, Began: "m", Component: true, Actions: 1 << 40, Denied: -1, First: at, Last: at, Users: []string{"", "u"}, Addresses: []string{"x"}}
		equal(t, "session", decode(appendSession(nil, s)).session(), s)
		equal(t, "empty session", decode(appendSession(nil, &Session{})).session(), &Session{})
		subject := &Subject{Unknown: true, NoCertificate: true, Certificate: c, Roles: []string{"r", ""}, Sessions: 1, Refused: 2, Actions: 3, Denied: 4, First: at, Last: zero}
		equal(t, "subject", decode(appendSubject(nil, subject)).subject(), subject)
		f := Finding{"k", "d", "s", "t", []string{"1", "2"}, at}
		equal(t, "finding", decode(appendFinding(nil, &f)).finding(), f)
		if got := decode(appendCertificate(nil, &c)).certificate(); got != c {
			t.Errorf("%+v is not %+v", got, c)
		}
	}
}

// Whether it is in memory or on disk, a result is the same.
func TestSpilledIsTheSame(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		g := rand.New(rand.NewPCG(seed, 9))
		w := world(g)
		trail, cluster := w.logs(t, g)
		o := Options{Workers: 1, Fold: g.IntN(2) == 0, Filter: Filter{Denied: g.IntN(4) == 0}}
		want := everything(t, audit(t, trail, cluster, o))
		for _, o.memory = range []int{1, 700, 5000} {
			equal(t, fmt.Sprintf("seed %d, %d bytes of memory", seed, o.memory), everything(t, audit(t, trail, cluster, o)), want)
		}
	}
}

func everything(t *testing.T, r *Result) string {
	var b strings.Builder
	b.WriteString(told(t, r) + encode(t, r.Totals) + encode(t, r.Folded))
	for a, err := range r.ByTime() {
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(encode(t, a) + encode(t, r.SessionOf(a)) + "\n")
	}
	return b.String()
}

// A disk without room, or without the folder, is one error, and nothing is left.
func TestNoDisk(t *testing.T) {
	t.Parallel()
	events := lines(t, created("ASIA1", "01", "alice", at(0), nil), created("ASIA2", "02", "bob", at(1), nil), created("ASIA3", "03", "carol", at(2), nil))
	actions := lines(t, did("1", "ASIA1", "", "", at(1), nil), did("2", "ASIA2", "", "", at(2), nil), did("3", "ASIA9", "", "", at(2), nil))
	for name, logs := range map[string][2][]Input{"sessions": {log(events), nil}, "actions": {nil, log(actions)}, "both": {log(events), log(actions)}} {
		dir := filepath.Join(t.TempDir(), "none")
		_, err := Run(context.Background(), logs[0], logs[1], Options{Actions: true, TempDir: dir, memory: 100})
		if err == nil || !strings.HasPrefix(err.Error(), "sorting on disk: ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The disk is gone while the answer is read.
	r := audit(t, log(events), log(actions), Options{memory: 100})
	for _, file := range []*os.File{r.sessions.file, r.subjects.file, r.sorters[0].file} {
		if file == nil {
			t.Fatal("it is not on disk")
		}
		_ = file.Close()
	}
	for name, read := range map[string]func() error{
		"sessions": func() error { return failed(r.Sessions) },
		"subjects": func() error { return failed(r.Subjects) },
		"by time":  func() error { return failed(r.ByTime()) },
	} {
		if err := read(); err == nil || !strings.HasPrefix(err.Error(), "sorting on disk: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.closers = nil // they are
}

func failed[T any](list func(func(T, error) bool)) (failed error) {
	for _, err := range list {
		failed = err
	}
	return failed
}
