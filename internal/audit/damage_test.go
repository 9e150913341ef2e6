package audit

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/eks-x509/eks-x509/internal/safefile"
)

// ids are those of the actions that came through.
func ids(t *testing.T, r *Result) string {
	t.Helper()
	var got []string
	for a, err := range r.ByTime() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, a.ID)
	}
	return strings.Join(got, " ")
}

// What can't be read is counted and named; what is around it is read.
func TestDamage(t *testing.T) {
	t.Parallel()
	line := func(n int) string {
		return lines(t, did(fmt.Sprint(n), "ASIA1", "", "", at(n), func(e m) { e["groups"] = []any{"a", m{"b": []any{"c"}}} }))
	}
	cut := func(n, at int) string { return line(n)[:at] + "\n" }
	all := func(from, to int) (s string) {
		for i := from; i <= to; i++ {
			s += line(i)
		}
		return s
	}
	pretty := func(n int) string { return indent(t, strings.TrimSpace(line(n))) }
	deep := strings.Repeat("[", 100_000)
	for name, c := range map[string]struct {
		text   string
		ids    string
		damage []Damage
	}{
		"rubbish":               {line(1) + "rubbish\n" + line(2) + "more\n", "1 2", []Damage{{Line: 2, Count: 2, Why: whyNotJSON}}},
		"rubbish first":         {"rubbish\n" + all(1, 2), "1 2", []Damage{{Line: 1, Count: 1, Why: whyNotJSON}}},
		"the end of a line":     {line(1)[30:] + all(2, 3), "2 3", []Damage{{Line: 1, Count: 1, Why: whyNotJSON}}},
		"the end of the file":   {all(1, 2) + strings.TrimSpace(cut(3, 200)), "1 2", []Damage{{Line: 3, Count: 1, Why: whyJSON}}},
		"indented, cut off":     {pretty(1)[:500], "", []Damage{{Line: 1, Count: 1, Why: whyCut}}},
		"indented, in the list": {indent(t, `{"items":[`+strings.TrimSpace(line(1))+","+strings.TrimSpace(line(2))+"]}")[:2800], "1", []Damage{{Line: 1, Count: 1, Why: whyCut}}},
		"an element":            {`{"kind":"EventList","items":[` + line(1) + `,{"auditID":nope},` + line(2) + "]}", "1 2", []Damage{{Line: 2, Count: 1, Why: whyJSON}}},
		"around the elements":   {`{"items":[` + line(1) + `],nope}` + "\n" + line(2), "1 2", []Damage{{Line: 1, Count: 1, Why: whyJSON}}},
		"wrong bracket":         {`{"a":[1}` + "\n" + line(1), "1", []Damage{{Line: 1, Count: 1, Why: whyJSON}}},
		"a wrong log":           {`{"eventVersion":"1"}` + "\n" + line(1), "1", []Damage{{Line: 1, Count: 1, Why: whyOther}}},
		"NUL in it":             {line(1) + "{\"a\":\x00}\n" + line(2), "1 2", []Damage{{Line: 2, Count: 1, Why: whyJSON}}},
		"UTF-8":                 {strings.Replace(line(1), "kubectl", "kub\xff\xc3", 1), "1", nil},
		"deep":                  {line(1) + deep + "\n" + line(2) + `{"a":` + deep + "\n" + line(3), "1 2 3", []Damage{{Line: 2, Count: 2, Why: whyJSON}}},
		"deep first":            {deep + "\n" + line(1), "1", []Damage{{Line: 1, Count: 1, Why: whyJSON}}},
		"behind the document":   {strings.TrimSpace(line(1)) + " rubbish\n" + line(2) + strings.TrimSpace(line(3)) + " rubbish\n", "1 2 3", []Damage{{Line: 1, Count: 1, Why: whyNotJSON}, {Line: 3, Count: 1, Why: whyJSON}}},
		"null and numbers":      {"null\n" + line(1) + "[1,\"x\",null,[[]]]\n{}\n", "1", []Damage{{Line: 1, Count: 1, Why: whyNotJSON}, {Line: 3, Count: 5, Why: whyOther}}},
		"no time":               {lines(t, did("0", "ASIA1", "", "", at(0), func(e m) { e["requestReceivedTimestamp"], e["stageTimestamp"] = nil, "noon" })) + line(1), "1", []Damage{{Line: 1, Count: 1, Why: whyTimestamp}}},
		"the other log":         {`{"Records":[` + encode(t, created("ASIA1", "01", "a", at(0), nil)) + "]}\n" + `{"Records":[{"eventName":"x"}]}` + "\n", "", []Damage{{Line: 1, Count: 2, Why: whyOther}}},
	} {
		for i := range c.damage {
			c.damage[i].File = "file0"
		}
		r := audit(t, nil, log(c.text), Options{})
		if got := ids(t, r); got != c.ids {
			t.Errorf("%s: actions %q, want %q", name, got, c.ids)
		}
		equal(t, name, r.Damage, c.damage)
	}
	// A line that is cut off, wherever, costs itself and no other.
	for n := 0; n < len(line(2))-2; n += 3 {
		r := audit(t, nil, log(line(1)+cut(2, n+1)+line(3)+line(4)), Options{Workers: 1})
		if got := ids(t, r); got != "1 3 4" && got != "1 2 3 4" || r.Counts.Damaged != 1 {
			t.Errorf("cut at %d: %q, %+v", n, got, r.Damage)
		}
	}
	// So does a document that is cut off between others which are indented, but
	// that it may take the next with it.
	for n := 0; n < len(pretty(1))-1; n += 11 {
		r := audit(t, nil, log(pretty(1)[:n+1]+"\n"+pretty(2)+"\n"+pretty(3)+"\n"), Options{Workers: 1})
		if got := ids(t, r); !strings.HasSuffix(got, "3") || r.Counts.Damaged == 0 {
			t.Errorf("cut at %d: %q, %+v", n, got, r.Damage)
		}
	}
}

func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	text := lines(t, did("1", "ASIA1", "", "", at(1), nil), did("2", "ASIA1", "", "", at(2), nil))
	packed := zip(text)
	inputs := log(text, packed[:len(packed)-6], zip(text[:600])+"rubbish that is longer", "\x1f\x8brubbish that is longer", "")
	inputs = append(inputs, Input{Name: "breaks", Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(text), iotest.ErrReader(errors.New("input/output error")))), nil
	}})
	r := audit(t, nil, inputs, Options{})
	if got := ids(t, r); got != "1 2" {
		t.Errorf("actions %q", got)
	}
	var why []string
	for _, d := range r.Damage {
		why = append(why, fmt.Sprint(d.File, " ", d.Line, " ", d.Why))
	}
	equal(t, "damage", why, []string{"file1 0 reading it: unexpected EOF", "file2 0 reading it: gzip: invalid header", "file3 0 reading it: gzip: invalid header", "breaks 0 reading it: input/output error"})
	none := filepath.Join(t.TempDir(), "none")
	if _, err := Run(context.Background(), nil, []Input{file(none, safefile.OpenInput)}, Options{}); err == nil || !strings.HasPrefix(err.Error(), `opening log "`) || strings.Count(err.Error(), none) != 1 {
		t.Errorf("opening: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, nil, log(text), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	// Stdin may never end.
	ctx, cancel = context.WithCancel(context.Background())
	r1, w := io.Pipe()
	defer w.Close()
	go func() {
		_, _ = w.Write([]byte(text))
		cancel()
	}()
	if _, err := Run(ctx, nil, stream(func() io.Reader { return r1 }), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled while it waits: %v", err)
	}
}

// repeat reads head, body n times, and tail.
func repeat(head, body string, n int, tail string) io.Reader {
	readers := []io.Reader{strings.NewReader(head)}
	const bunch = 1000
	many := strings.Repeat(body, bunch)
	for ; n >= bunch; n -= bunch {
		readers = append(readers, strings.NewReader(many))
	}
	return io.MultiReader(append(readers, strings.NewReader(strings.Repeat(body, n)), strings.NewReader(tail))...)
}

// bomb is gzip of 64 MB.
func bomb(head, body, tail string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.Copy(w, repeat(head, strings.Repeat(body, 1<<10), 64<<10, tail))
	_ = w.Close()
	return b.String()
}

func stream(r func() io.Reader) []Input {
	return []Input{{Name: "stream", Open: func() (io.ReadCloser, error) { return io.NopCloser(r()), nil }}}
}

// Long documents are not held beyond a bound, and memory does not grow with the log.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it reads hundreds of megabytes")
	}
	event := strings.TrimSpace(lines(t, did("1", "ASIA1", "", "", at(1), nil)))
	withBody := func(size int) func() io.Reader {
		return func() io.Reader {
			return repeat(event[:len(event)-1]+`,"responseObject":{"items":[`, `{"password":"c2VjcmV0"},`, size/24, "{}]}}\n"+strings.ReplaceAll(event, `"1"`, `"2"`)+"\n")
		}
	}
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	many := func() io.Reader { return &eventReader{n: 100_000, t: t} }
	for name, c := range map[string]struct {
		in   func() io.Reader
		ids  int
		why  string
		many int
	}{
		"a line with a body of 64 MB": {withBody(64 << 20), 2, "", 0},
		"a line of 64 MB that is none": {func() io.Reader {
			return repeat(event+"\n"+`{"auditID":"`, "abcdefgh", 64<<17, "\"}\n"+strings.ReplaceAll(event, `"1"`, `"2"`))
		}, 2, whyLong, 0},
		"the same in the first line": {func() io.Reader { return repeat(`{"auditID":"`, "abcdefgh", 64<<17, "\"}\n"+event) }, 1, whyLong, 0},
		"rubbish of 64 MB": {func() io.Reader {
			return repeat(event+"\n", "rubbish!", 64<<17, "\n"+strings.ReplaceAll(event, `"1"`, `"2"`))
		}, 2, whyNotJSON, 0},
		"an array of 64 MB on one line": {func() io.Reader {
			return repeat(`{"kind":"EventList","items":[`+event, ","+event, 64<<20/len(event), "]}")
		}, 1, "", 0},
		"strings in an array on one line": {func() io.Reader {
			return repeat("["+encode(t, event), ","+encode(t, event), 64<<20/len(event), "]")
		}, 1, "", 0},
		"UTF-16": {func() io.Reader {
			line := utf16Of(event+"\n", false, false)
			return repeat("\xff\xfe", line, 64<<20/len(line), "")
		}, 1, "", 0},
		"a quote in CSV that does not end": {func() io.Reader {
			return repeat("@message\n"+quote(event)+"\n\"", "abcdefg\n", 64<<17, "")
		}, 1, whyCut, 0},
		"a row of CSV": {func() io.Reader {
			return repeat("@message\n"+quote(event)+"\n\"", "abcdefg\n", 64<<17, "\"\n"+quote(strings.ReplaceAll(event, `"1"`, `"2"`))+"\n")
		}, 2, whyLongItem, 0},
		"parts of a line that do not end": {func() io.Reader {
			const head = "2026-11-30T15:57:07Z stdout "
			return repeat(head+"F "+event+"\n", head+"P abcdefghijklmnopqrstuvwxyz\n", 64<<14, head+"F x\n"+head+"F "+strings.ReplaceAll(event, `"1"`, `"2"`)+"\n")
		}, 2, whyLong, 0},
		"an item of YAML": {func() io.Reader {
			return repeat("events:\n- message: '"+strings.ReplaceAll(event, "'", "''")+"'\n- message: '", "    abcdefg\n", 64<<17, "'\n")
		}, 1, whyLongItem, 0},
		"a bomb": {func() io.Reader {
			return strings.NewReader(zip(bomb(event+"\n", " ", "\n"+strings.ReplaceAll(event, `"1"`, `"2"`))))
		}, 2, "", 0},
		"a bomb in a message": {func() io.Reader {
			return strings.NewReader(event + "\n" + encode(t, m{"awslogs": m{"data": base64.StdEncoding.EncodeToString([]byte(bomb("", "0", "")))}}))
		}, 1, whyLong, 0},
		"a hundred thousand actions": {many, 0, "", 100_000},
	} {
		r, err := Run(context.Background(), nil, stream(c.in), Options{Workers: 2, Actions: c.many > 0, TempDir: t.TempDir(), memory: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		var after runtime.MemStats
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 100<<20 {
			t.Errorf("%s: the heap grew by %d MB", name, grown>>20)
		}
		why := ""
		for _, d := range r.Damage {
			why += d.Why
		}
		if want := int64(max(c.ids, c.many)); sessionsOf(t, r)[0].Actions != want || why != c.why {
			t.Errorf("%s: %d actions, want %d; damage %+v", name, sessionsOf(t, r)[0].Actions, want, r.Damage)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// eventReader makes n events, each another.
type eventReader struct {
	t    testing.TB
	n    int
	text string
	rest []byte
}

func (r *eventReader) Read(b []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.n == 0 {
			return 0, io.EOF
		}
		if r.text == "" {
			r.text = lines(r.t, did("%08d", "ASIA1", "", "", at(1), nil))
		}
		r.n--
		r.rest = []byte(strings.Replace(r.text, "%08d", fmt.Sprintf("%08d", r.n), 1))
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Nobody else can read what is on disk meanwhile, and nothing is left.
func TestTemporaryFiles(t *testing.T) {
	t.Parallel()
	var events []m
	for i := range 50 {
		events = append(events, did(fmt.Sprint(i), "ASIA1", "", "", at(i), nil))
	}
	dir := t.TempDir()
	r, err := Run(context.Background(), nil, log(lines(t, events...)), Options{Actions: true, TempDir: dir, memory: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" { // however the process ends
		if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
			t.Errorf("files that are seen: %v %v", files, err)
		}
	}
	for range 2 { // as often as one likes
		if n := len(timeline(t, r)[0].Actions); n != 50 {
			t.Errorf("%d actions", n)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
	if _, err := Run(context.Background(), nil, log(lines(t, events...)), Options{Actions: true, TempDir: filepath.Join(dir, "none"), memory: 1000}); err == nil || !strings.HasPrefix(err.Error(), "sorting on disk: ") {
		t.Errorf("no folder: %v", err)
	}
	// Without actions nothing stays open.
	if r, err = Run(context.Background(), nil, log(lines(t, events...)), Options{TempDir: dir, memory: 1000}); err != nil || sessionsOf(t, r)[0].Actions != 50 {
		t.Errorf("%+v %v", r, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

func TestInputs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"b/2.log", "b/1.log", "a.json.gz", ".hidden", ".git/x", "c/.x"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	inputs, err := Inputs([]string{filepath.Join(dir, "b", "2.log"), "-", dir}, bytes.NewReader([]byte("stdin")))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, in := range inputs {
		f, err := in.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(f)
		got = append(got, string(text))
		f.Close()
	}
	equal(t, "inputs", got, []string{"b/2.log", "stdin", "a.json.gz", "b/1.log", "b/2.log"})
	for path, want := range map[string]string{filepath.Join(dir, "none"): "looking for log ", filepath.Join(dir, "c"): "no files found in "} {
		if _, err := Inputs([]string{path}, nil); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Count(err.Error(), path) != 1 {
			t.Errorf("%s: %v", path, err)
		}
	}
}
