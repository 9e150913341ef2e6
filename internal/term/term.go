// Package term asks the person at the terminal for a secret, and only there: never on stdin, stdout or stderr, which
// belong to other programs when kubectl or an SDK calls.
//
// It opens the terminal that controls the process (/dev/tty, on Windows CONIN$ and CONOUT$). It does not use
// golang.org/x/term, whose ReadPassword turns the echo off after the prompt is out and can't be cancelled.
package term

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/eks-x509/eks-x509/internal/safetext"
)

// ErrNoTerminal is the error when nobody can be asked, as in a service or a pipeline.
var ErrNoTerminal = errors.New("no terminal to ask at")

// ReadPassword writes prompt to the terminal and reads a line from it without showing it. The line may be empty.
// When ctx ends, as by Ctrl-C if it is tied to the signal, the terminal is as it was before.
func ReadPassword(ctx context.Context, prompt string) ([]byte, error) {
	return read(ctx, prompt, true)
}

// ReadLine is ReadPassword for what is no secret: what is typed shows.
func ReadLine(ctx context.Context, prompt string) (string, error) {
	line, err := read(ctx, prompt, false)
	return string(line), err
}

func read(ctx context.Context, prompt string, hidden bool) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	in, out, err := openTerminal()
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNoTerminal, err)
	}
	stillRead := false
	defer func() {
		if !stillRead {
			_ = in.Close()
		}
		_ = out.Close()
	}()

	if hidden {
		// Before the prompt, so that nothing typed at once is seen.
		restore, err := echoOff(in)
		if err != nil {
			return nil, fmt.Errorf("turning off the terminal's echo: %w", err)
		}
		defer restore()
	}
	if _, err := io.WriteString(out, safetext.Line(prompt)); err != nil {
		return nil, fmt.Errorf("writing to the terminal: %w", err)
	}
	if hidden {
		defer func() { _, _ = io.WriteString(out, "\n") }() // in place of the one that was typed
	}

	type result struct {
		line []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		line, err := readLine(in)
		done <- result{line, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, fmt.Errorf("reading from the terminal: %w", r.err)
		}
		return r.line, nil
	case <-ctx.Done():
		// Where terminals have no deadlines (macOS, Windows) the read goes on until the process ends, and so does its file.
		if in.SetReadDeadline(time.Unix(1, 0)) == nil {
			<-done
		} else {
			stillRead = true
		}
		return nil, ctx.Err()
	}
}

// readLine reads up to the end of the line, and not a byte further.
func readLine(f *os.File) ([]byte, error) {
	var line []byte
	for b := make([]byte, 1); ; {
		n, err := f.Read(b)
		if n == 1 && b[0] != '\n' {
			line = append(line, b[0])
			continue
		}
		if n == 1 {
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		if err == io.EOF && len(line) == 0 {
			return nil, errors.New("nothing entered")
		}
		if err == io.EOF {
			return line, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
