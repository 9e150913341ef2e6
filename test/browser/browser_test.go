// Package browser tests the page of eks-x509 audit in headless Chromium: the
// page that the real program makes of logs in which somebody put markup.
package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "eks-x509-browser-")
	if err == nil {
		program = filepath.Join(dir, "eks-x509")
		build := exec.Command("go", "build", "-o", program, "./cmd/eks-x509")
		build.Dir, build.Stderr = "../..", os.Stderr
		err = build.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "browser:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// tab is a browser with one page open, and what happened in it that must not.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	requests []string
	trouble  []string
}

func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no chromium: apt-get install chromium")
	return ""
}

// open shows a page, after what is to be set before.
func open(t *testing.T, file string, width, height int64, before ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(t.Context(), chromedp.WithAllocatorOptions(chromedp.ExecPath(chromium(t)), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true)))
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	check(t, chromedp.Listen(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(e.Request.URL, "data:") { // the browser's own calendar icon
				b.requests = append(b.requests, e.Request.URL)
			}
		case *runtime.EventExceptionThrown:
			b.trouble = append(b.trouble, fmt.Sprintf("%s %v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
		case *log.EventEntryAdded:
			b.trouble = append(b.trouble, e.Entry.Text)
		case *page.EventJavascriptDialogOpening:
			b.trouble = append(b.trouble, "dialog: "+e.Message)
		}
	}))
	_, err := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	check(t, err)
	b.run(append(append([]chromedp.Action[chromedp.Void]{chromedp.EmulateViewport(width, height)}, before...), chromedp.Navigate("file://"+file), chromedp.WaitReady(chromedp.CSS("#view")))...)
	return b
}

func (b *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// quiet: nothing was asked for but the file, nothing ran that is not ours.
func (b *tab) quiet(file string) {
	b.t.Helper()
	if evaluate[bool](b, `"pwned" in window || document.querySelectorAll("img, svg, iframe, object, embed, link, script[src]").length > 0`) {
		b.t.Error("text of a log became a part of the page")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.requests) != 1 || b.requests[0] != "file://"+file {
		b.t.Errorf("requests: %q, want the file alone", b.requests)
	}
	if len(b.trouble) > 0 {
		b.t.Errorf("the browser says %q", b.trouble)
	}
}

// evaluate runs a script in the page.
func evaluate[T any](b *tab, script string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	check(b.t, err)
	return value
}

// until waits for a condition in the page.
func (b *tab) until(condition string) {
	b.t.Helper()
	script := fmt.Sprintf("new Promise((done) => { const look = () => (%s) ? done(true) : requestAnimationFrame(look); look(); })", condition)
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script, chromedp.EvalAwaitPromise)); err != nil {
		b.t.Fatalf("waiting for %s: %v; in view: %s", condition, err, evaluate[string](b, "document.getElementById('view').textContent"))
	}
}

// do runs a script for what it does.
func (b *tab) do(script string) {
	b.t.Helper()
	b.run(chromedp.Evaluate[chromedp.Void](script))
}

// fill sets a field.
func (b *tab) fill(id, text string) {
	b.t.Helper()
	b.do(fmt.Sprintf(`{ const e = document.getElementById(%q); e.value = %q; e.dispatchEvent(new Event("input")); e.dispatchEvent(new Event("change")); }`, id, text))
}

// drag pulls the mouse over an element, from one part of its width to another.
func (b *tab) drag(selector string, from, to float64) {
	b.t.Helper()
	box := evaluate[[]float64](b, fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.scrollIntoView({block: "center"}); const r = e.getBoundingClientRect();
		return [r.left, r.top + Math.min(r.height / 2, 40), r.width]; })()`, selector))
	b.run(chromedp.DragAndDropXY(box[0]+box[2]*from, box[1], box[0]+box[2]*to, box[1]))
}

func (b *tab) shot(name string) {
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	image, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	check(b.t, err)
	check(b.t, os.WriteFile(filepath.Join(dir, name+".png"), image, 0o644))
}

func audit(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(program, append([]string{"audit"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	return out
}

// timeline is what audit timeline --output json says, as far as it is compared.
type timeline struct {
	Sessions []struct {
		Session struct {
			Actions, Denied int
			AccessKeyID     string
		}
		Actions []struct{ Verb string }
	}
	Findings []any
}

func makePage(t *testing.T, sessions, actions int) (file string, want timeline) {
	t.Helper()
	dir := t.TempDir()
	cloudtrail, kubernetes := writeLogs(t, dir, sessions, actions)
	file = filepath.Join(dir, "audit.html")
	check(t, os.WriteFile(file, audit(t, "timeline", "--output=html", "--cloudtrail", cloudtrail, "--kubernetes", kubernetes), 0o600))
	check(t, json.Unmarshal(audit(t, "timeline", "--output=json", "--cloudtrail", cloudtrail, "--kubernetes", kubernetes), &want))
	return file, want
}

func (w timeline) numbers() (actions, denied int) {
	for _, s := range w.Sessions {
		actions += len(s.Actions)
		denied += s.Session.Denied
	}
	return actions, denied
}

func grouped(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func TestPage(t *testing.T) {
	t.Parallel()
	file, want := makePage(t, 100, 30)
	actions, denied := want.numbers()
	if len(want.Sessions) != 100 || actions != 3000 || denied == 0 {
		t.Fatalf("%d sessions, %d actions, %d denied", len(want.Sessions), actions, denied)
	}
	b := open(t, file, 1280, 1000)
	b.shot("page-1280")

	t.Log("the numbers are those of --output json")
	for id, n := range map[string]int{"n-sessions": len(want.Sessions), "n-actions": actions, "n-denied": denied, "n-findings": len(want.Findings)} {
		if got := evaluate[string](b, fmt.Sprintf("document.querySelector('#%s dd').textContent", id)); got != grouped(n) {
			t.Errorf("%s: %s, want %s", id, got, grouped(n))
		}
	}
	view := func() string { return evaluate[string](b, "document.getElementById('view').textContent") }
	whole := fmt.Sprintf("%s actions, %d denied, in 100 sessions", grouped(actions), denied)
	if got := view(); got != whole {
		t.Errorf("in view: %q, want %q", got, whole)
	}
	if n := evaluate[int](b, "document.querySelectorAll('#rows tr').length"); n != 100 {
		t.Errorf("%d rows at first, want 100", n)
	}
	b.run(chromedp.Click(chromedp.CSS("#more")))
	b.until("document.querySelectorAll('#rows tr').length === 600")

	t.Log("denied only, and a word")
	b.run(chromedp.Click(chromedp.CSS("#denied")))
	b.until(fmt.Sprintf("document.getElementById('view').textContent.startsWith('%s actions, %s denied')", grouped(denied), grouped(denied)))
	b.run(chromedp.Click(chromedp.CSS("#denied")))
	one := want.Sessions[len(want.Sessions)/2]
	b.run(chromedp.SendKeys(chromedp.CSS("#text"), one.Session.AccessKeyID))
	b.until(fmt.Sprintf("document.getElementById('view').textContent === '30 actions, %d denied, in 1 session'", one.Session.Denied))
	b.shot("page-one")
	b.fill("text", "no-such-thing")
	b.until("document.getElementById('view').textContent === '0 actions, 0 denied, in 0 sessions'")
	b.fill("text", "")
	b.until(fmt.Sprintf("document.getElementById('view').textContent === %q", whole))

	t.Log("zoom by button, keyboard, fields and drag; and back")
	zoomed := "document.getElementById('view').textContent !== " + fmt.Sprintf("%q", whole)
	back := func() {
		b.run(chromedp.Click(chromedp.CSS("#whole")))
		b.until("!(" + zoomed + ") && document.getElementById('whole').disabled")
	}
	b.run(chromedp.Click(chromedp.CSS("#in")))
	b.until(zoomed)
	back()
	b.run(chromedp.Focus(chromedp.CSS("#overview")), chromedp.KeyEvent("+"), chromedp.KeyEvent("+"))
	b.until(zoomed)
	b.run(chromedp.KeyEvent("0"))
	b.until("!(" + zoomed + ")")
	b.fill("to", "2026-11-20T12:00:00")
	b.until(zoomed)
	back()
	b.drag("#overview", 0.4, 0.6)
	b.until(zoomed)
	back()
	b.drag("#lanes", 0.4, 0.6)
	b.until(zoomed)
	b.shot("page-zoomed")
	back()

	t.Log("the keyboard reaches a session and its actions")
	b.run(chromedp.Focus(chromedp.CSS("#lanes")), chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.ArrowRight))
	b.until("!document.getElementById('details').hidden && document.getElementById('details').textContent.includes('audit id')")
	b.run(chromedp.KeyEvent(kb.Escape))
	b.until("document.getElementById('details').hidden")
	b.run(chromedp.Click(chromedp.CSS("#rows button")))
	b.until("document.getElementById('details').textContent.includes('joined by')")
	b.shot("page-details")

	t.Log("pointing at a lane tells what is there")
	box := evaluate[[]float64](b, `(() => { document.getElementById("lanes").scrollTop = 0; document.getElementById("timeline").scrollIntoView();
		const i = state.lanes.findIndex((l) => l.session), r = chart.lanes.getBoundingClientRect(); return [r.left + chart.x(state.lanes[i].session.own[0].time), r.top + (i + 0.5) * chart.rowHeight]; })()`)
	b.run(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, box[0], box[1]))
	b.until("!document.getElementById('tip').hidden && / (get|list|watch|create|patch|update|delete) /.test(document.getElementById('tip').textContent)")
	b.shot("page-tip")

	t.Log("a certificate's line shows that certificate alone")
	box = evaluate[[]float64](b, `(() => { const i = state.lanes.findIndex((l) => !l.session), r = chart.lanes.getBoundingClientRect(); return [r.left + 60, r.top + (i + 0.5) * chart.rowHeight, state.lanes[i].sessions]; })()`)
	b.run(chromedp.MouseClickXY(box[0], box[1]))
	b.until(fmt.Sprintf("document.getElementById('view').textContent.endsWith('in %d sessions') && state.lanes.filter((l) => !l.session).length === 1", int(box[2])))
	b.fill("text", "")
	b.until(fmt.Sprintf("document.getElementById('view').textContent === %q", whole))

	t.Log("markup of the logs is text")
	text := evaluate[string](b, "document.getElementById('details').textContent + document.getElementById('rows').textContent + document.getElementById('certificates').textContent")
	for _, want := range []string{"<img src=x onerror=", "</script><script>window.pwned = 1</script>"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	if strings.ContainsAny(text, "\u202e\x1b\u2028") {
		t.Error("the page shows characters that turn text around")
	}
	if strings.Contains(evaluate[string](b, "document.documentElement.outerHTML"), "SECRET") {
		t.Error("a secret of the log is in the page")
	}

	t.Log("the labels of the axis have room, however long the time is")
	for _, days := range []int{1, 365, 60 * 365} {
		labels := evaluate[int](b, fmt.Sprintf("(() => { const to = state.to; state.to = state.from + %d * 24 * 3600e3; const n = chart.ticks().length; state.to = to; return n; })()", days))
		if labels < 1 || labels > 20 {
			t.Errorf("%d days have %d labels", days, labels)
		}
	}
	b.quiet(file)
}

// The policy holds even if something got in: no other script, no request.
func TestPolicy(t *testing.T) {
	t.Parallel()
	file, _ := makePage(t, 5, 5)
	b := open(t, file, 1280, 800)
	fetched := evaluate[string](b, `const s = document.createElement("script"); s.textContent = "window.pwned = 1"; document.body.append(s);
		const d = document.createElement("div"); d.innerHTML = '<img src="https://example.com/x" onerror="window.pwned = 1">'; document.body.append(d);
		fetch("https://example.com/").then(() => "fetched", () => "refused")`)
	if fetched != "refused" || evaluate[bool](b, `"pwned" in window`) {
		t.Errorf("fetch was %s; a script that was put in ran: %v", fetched, evaluate[bool](b, `"pwned" in window`))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	said := strings.Join(b.trouble, "\n")
	if strings.Count(said, "Content Security Policy") < 3 {
		t.Errorf("the policy did not refuse all three: %s", said)
	}
}

// On a telephone nothing is wider than the screen.
func TestNarrow(t *testing.T) {
	t.Parallel()
	file, _ := makePage(t, 30, 20)
	b := open(t, file, 420, 900)
	if wide := evaluate[int](b, "document.documentElement.scrollWidth"); wide > 420 {
		t.Errorf("the page is %d wide", wide)
	}
	b.shot("page-420")
	b.do("document.getElementById('timeline').scrollIntoView()")
	b.shot("page-420-timeline")
	b.do("document.getElementById('actions-table').scrollIntoView()")
	b.shot("page-420-actions")
	b.quiet(file)
}

func TestDark(t *testing.T) {
	t.Parallel()
	file, _ := makePage(t, 30, 20)
	b := open(t, file, 1280, 1000, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
		return err
	}))
	if ground := evaluate[string](b, "getComputedStyle(document.body).backgroundColor"); ground != "rgb(20, 24, 28)" {
		t.Errorf("the ground is %s", ground)
	}
	b.shot("page-dark")
	b.quiet(file)
}

// Times are UTC, or the browser's own if that is asked for; the filter stays.
func TestZone(t *testing.T) {
	t.Parallel()
	file, want := makePage(t, 10, 20)
	_, denied := want.numbers()
	b := open(t, file, 1280, 1000, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Asia/Kolkata"})
		return err
	}))
	b.run(chromedp.Click(chromedp.CSS("#denied")))
	b.until(fmt.Sprintf("document.querySelectorAll('#rows tr').length === %d", denied))
	first := func() time.Time {
		at, err := time.Parse(time.DateTime, evaluate[string](b, "document.querySelector('#rows button').textContent"))
		check(t, err)
		return at
	}
	utc, from := first(), evaluate[string](b, "document.getElementById('from').value")
	b.run(chromedp.Click(chromedp.CSS("#zone")))
	b.until("/Kolkata|Calcutta/.test(document.getElementById('zone').textContent)")
	if local := first(); local.Sub(utc) != 5*time.Hour+30*time.Minute {
		t.Errorf("%s UTC is shown as %s", utc, local)
	}
	if n := evaluate[int](b, "document.querySelectorAll('#rows tr').length"); n != denied || !evaluate[bool](b, "document.getElementById('denied').checked") {
		t.Errorf("%d rows, want %d: the filter is gone", n, denied)
	}
	b.run(chromedp.Click(chromedp.CSS("#zone")))
	b.until(fmt.Sprintf("document.getElementById('from').value === %q", from))
	b.quiet(file)
}

func TestLarge(t *testing.T) {
	t.Parallel()
	file, want := makePage(t, 1000, 100)
	actions, denied := want.numbers()
	b := open(t, file, 1280, 1000)
	b.until(fmt.Sprintf("document.getElementById('view').textContent === '%s actions, %s denied, in 1,000 sessions'", grouped(actions), grouped(denied)))
	b.run(chromedp.SendKeys(chromedp.CSS("#text"), "delete secrets"))
	b.until(`/^[1-9][0-9,]* actions, /.test(document.getElementById("view").textContent) && !document.getElementById("view").textContent.startsWith("100,000")`)
	b.do("document.getElementById('lanes').scrollTop = 15000")
	b.shot("page-large")
	b.quiet(file)
}
