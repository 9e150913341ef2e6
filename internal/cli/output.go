package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"text/tabwriter"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/eks-x509/eks-x509/internal/safetext"
	"github.com/eks-x509/eks-x509/internal/term"
)

// output is the one way out of the program. What a person reads goes through
// package safetext: names, messages and files are others', and a terminal obeys.
// What a program parses is written as it is; package format has checked it. No
// other file touches a stream (repotest keeps that).
type output struct {
	stdout, stderr io.Writer
	failed         error // the first write to stdout that failed, which cobra's help does not tell
	text           safetext.Writer
	mu             sync.Mutex // of stderr
	secrets        safetext.Secrets
}

func newOutput(stdout, stderr io.Writer) *output {
	o := &output{stdout: stdout, stderr: stderr}
	o.text.W = o.exact()
	return o
}

// hide adds secrets of this run, which are shown to nobody whatever else goes
// wrong.
func (o *output) hide(secrets ...string) { o.secrets.Add(secrets...) }

// say writes one line to stderr.
func (o *output) say(kind, text string) {
	text = safetext.Line(o.clean(text))
	const longest = 2000
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + " …"
	}
	o.writeErr("eks-x509: " + kind + ": " + text + "\n")
}

// progress writes a line to stderr while something takes time.
func (o *output) progress(format string, args ...any) {
	o.writeErr(strings.TrimRight(safetext.Line(o.clean(fmt.Sprintf(format, args...))), " ") + "\n")
}

// show writes lines to stderr, such as a change that a person is asked about.
func (o *output) show(text string) { o.writeErr(safetext.Text(o.clean(text))) }

// clean takes out secrets, and what looks like one.
func (o *output) clean(text string) string { return safetext.Scrub(o.secrets.Mask(text)) }

func (o *output) writeErr(text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, _ = io.WriteString(o.stderr, text) // there is nobody to tell
}

// writerFunc is a Write.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// log is stderr for others that write lines there: the logger, cobra, the
// sandbox. Each write is a line.
func (o *output) log() io.Writer {
	return writerFunc(func(p []byte) (int, error) {
		cells := strings.Split(o.clean(strings.TrimSuffix(string(p), "\n")), "\t")
		for i, cell := range cells {
			cells[i] = safetext.Line(cell)
		}
		o.writeErr(strings.Join(cells, "\t") + "\n")
		return len(p), nil
	})
}

// newLogger writes lines for a person: time, level, message, fields as JSON.
func (o *output) newLogger() *zap.Logger {
	encoder := zap.NewDevelopmentEncoderConfig()
	encoder.EncodeTime = zapcore.RFC3339TimeEncoder
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(encoder), zapcore.AddSync(o.log()), zap.DebugLevel))
}

// exact is stdout for what a program parses, byte by byte.
func (o *output) exact() io.Writer {
	return writerFunc(func(p []byte) (int, error) {
		n, err := o.stdout.Write(p)
		if err != nil && o.failed == nil {
			o.failed = err
		}
		return n, err
	})
}

// stream is stdout for what a person reads and is not held as a whole.
func (o *output) stream() io.Writer { return &o.text }

// print writes text for a person to stdout. What the format takes are values,
// which make no lines.
func (o *output) print(format string, args ...any) error {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = safetext.Value(o.secrets.Mask(text))
		}
	}
	return o.lines(fmt.Sprintf(format, args...))
}

// lines writes text that has lines.
func (o *output) lines(text string) error {
	_, err := io.WriteString(o.stream(), o.clean(text))
	return err
}

// document writes a file's content: as it is to a file or a program, and to a
// terminal as text.
func (o *output) document(data []byte) error {
	w := o.exact()
	if o.isTerminal() {
		w = o.stream()
	}
	_, err := w.Write(data)
	return err
}

// json writes a value, indented.
func (o *output) json(v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = o.stream().Write(append(safetext.JSON([]byte(o.secrets.Mask(string(data)))), '\n'))
	return err
}

// table writes rows in columns, the first row maybe being their names.
func (o *output) table(rows [][]string) error {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = safetext.Value(o.secrets.Mask(cell))
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var out strings.Builder
	for line := range strings.Lines(b.String()) {
		out.WriteString(strings.TrimRight(line, " \n") + "\n") // a last cell that is empty is padded
	}
	_, err := io.WriteString(o.stream(), out.String())
	return err
}

// statusLine is a word that may have a colour (an SGR code), and text.
type statusLine struct{ colour, word, text string }

// statuses writes lines that begin with a word in colour, if stdout shows any.
func (o *output) statuses(lines []statusLine, colour bool) error {
	var b strings.Builder
	for _, l := range lines {
		word := l.word
		if colour && l.colour != "" {
			word = "\x1b[" + l.colour + "m" + word + "\x1b[0m"
		}
		b.WriteString(word + safetext.Line(o.clean(l.text)) + "\n")
	}
	_, err := io.WriteString(o.exact(), b.String())
	return err
}

// finish ends what is written to stdout.
func (o *output) finish() error {
	if err := o.text.Flush(); err != nil && o.failed == nil {
		o.failed = err
	}
	return o.failed
}

// give gives a child the streams.
func (o *output) give(child *exec.Cmd) { child.Stdout, child.Stderr = o.stdout, o.stderr }

// width is the terminal's, 0 if stdout is none.
func (o *output) width() int {
	if f, ok := o.stdout.(*os.File); ok {
		return term.Width(f)
	}
	return 0
}

// isTerminal says whether a person sees stdout as it is written.
func (o *output) isTerminal() bool {
	f, ok := o.stdout.(*os.File)
	return ok && term.IsTerminal(f)
}
