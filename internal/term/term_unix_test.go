//go:build unix

package term

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// TestMain is also the process at the terminal: "<test binary> -- ask".
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Arg(0) == "ask" {
		ask(os.Stdout)
		return
	}
	m.Run()
}

func ask(stdout io.Writer) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	line, err := ReadPassword(ctx, "password: ")
	fmt.Fprintf(stdout, "%q canceled=%t no-terminal=%t %v\n", line, errors.Is(err, context.Canceled), errors.Is(err, ErrNoTerminal), err)
}

func TestReadPassword(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		typed string
		want  string
	}{
		{"a line", "hunter2\n", `"hunter2" canceled=false no-terminal=false <nil>`},
		{"an empty line", "\n", `"" canceled=false no-terminal=false <nil>`},
		{"a carriage return", "hunter2\r", `"hunter2" canceled=false no-terminal=false <nil>`},
		{"blanks and other letters", " pässwörd 密 \n", `" pässwörd 密 " canceled=false no-terminal=false <nil>`},
		{"a correction", "huntex\x7fr2\n", `"hunter2" canceled=false no-terminal=false <nil>`},
		{"more than the line", "hunter2\nrest\n", `"hunter2" canceled=false no-terminal=false <nil>`},
		{"the end of the input", "\x04", `"" canceled=false no-terminal=false reading from the terminal: nothing entered`},
		{"an interrupt halfway", "hunt\x03", `"" canceled=true no-terminal=false context canceled`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			session := start(t)
			session.expect(t, "password: ")
			if session.echo(t) {
				t.Error("the echo is on at the prompt")
			}
			if _, err := session.terminal.WriteString(test.typed); err != nil {
				t.Fatal(err)
			}
			session.finish(t, test.want, "\r\n")
			if !session.echo(t) {
				t.Error("the echo is off after the answer")
			}
		})
	}
}

func TestReadPasswordEndsWithTheContext(t *testing.T) {
	t.Parallel()
	session := start(t)
	session.expect(t, "password: ")
	if err := session.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	session.finish(t, `"" canceled=true no-terminal=false context canceled`, "\r\n")
	if !session.echo(t) {
		t.Error("the echo is off after the process was told to end")
	}
}

func TestReadPasswordWithoutTerminal(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0], "--", "ask")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a new session has no terminal
	cmd.Stdin = strings.NewReader("from stdin\n")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := `"" canceled=false no-terminal=true no terminal to ask at (`; !strings.HasPrefix(string(out), want) {
		t.Errorf("got %q, want it to begin with %q", out, want)
	}
	if stderr.Len() > 0 {
		t.Errorf("stderr has %q", stderr.String())
	}
}

func TestReadPasswordAsksNobodyWhenTheContextIsOver(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ReadPassword(ctx, "password: "); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// session is a process with a terminal of its own, whose stdin and stdout are no terminals.
type session struct {
	cmd      *exec.Cmd
	terminal *os.File // the side of the person
	tty      *os.File // the side of the process
	screen   *bufio.Reader
	stdout   strings.Builder
	stderr   strings.Builder
}

func start(t *testing.T) *session {
	t.Helper()
	terminal, tty, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo-terminal to be had: %v", err)
	}
	t.Cleanup(func() { terminal.Close(); tty.Close() })
	s := &session{cmd: exec.Command(os.Args[0], "--", "ask"), terminal: terminal, tty: tty, screen: bufio.NewReader(terminal)}
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = strings.NewReader("from stdin\n"), &s.stdout, &s.stderr
	s.cmd.ExtraFiles = []*os.File{tty}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *session) expect(t *testing.T, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(s.screen, got); err != nil || string(got) != want {
		t.Fatalf("the screen shows %q (%v), want %q", got, err, want)
	}
}

// finish waits for the process, and wants its stdout and the rest of its screen to be these.
func (s *session) finish(t *testing.T, stdout, screen string) {
	t.Helper()
	if err := s.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSuffix(s.stdout.String(), "\n"); got != stdout {
		t.Errorf("got %s, want %s", got, stdout)
	}
	if s.stderr.Len() > 0 {
		t.Errorf("stderr has %q", s.stderr.String())
	}
	s.expect(t, screen)
	// A mark of our own shows that nothing else was written.
	if _, err := s.tty.WriteString("#"); err != nil {
		t.Fatal(err)
	}
	s.expect(t, "#")
}

func (s *session) echo(t *testing.T) bool {
	t.Helper()
	termios, err := unix.IoctlGetTermios(int(s.tty.Fd()), getTermios)
	if err != nil {
		t.Fatal(err)
	}
	return termios.Lflag&unix.ECHO != 0
}
