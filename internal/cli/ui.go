package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/audit/query"
	"github.com/eks-x509/eks-x509/internal/awsapi"
	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/keys"
	"github.com/eks-x509/eks-x509/internal/provision"
	"github.com/eks-x509/eks-x509/internal/session"
	"github.com/eks-x509/eks-x509/pkg/x509creds"
)

// The stream law. stdout carries the one thing that was asked for, or nothing:
// a command builds its output whole and writes it once, when nothing can fail
// any more. stderr carries lines for a person: "eks-x509: error: …", then zero
// or more "eks-x509: hint: …", lower case, no full stop, no secret ever. Logs
// are off unless --debug. A secret is asked for on the terminal, never on stdin.
//
// Under kubectl a failure is one line, hints included: kubectl runs a failing
// plugin five times and shows its stderr each time.

// The exit codes.
const (
	exitDone        = 0
	exitFailed      = 1 // anything that has no code of its own
	exitMisuse      = 2 // a flag, an argument or a variable
	exitKey         = 3 // key or certificate unusable
	exitRefused     = 4 // AWS refused
	exitUnreachable = 5 // AWS not reachable, or what answered was not AWS

	// As a shell has them, for exec and sandbox --for. A signal ends every command with
	// 128 and its number: 130 is Ctrl-C, 143 SIGTERM.
	exitNotRun   = 126
	exitNotFound = 127
)

// exitStatus is the exit code of a child, which becomes ours without a word.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// usageError is a mistake in the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func misuse(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// noArgs is cobra.NoArgs as a usageError.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 && cmd.HasSubCommands() {
		return unknownCommand(cmd, args[0])
	}
	if len(args) > 0 {
		return misuse("unexpected argument %q", args[0])
	}
	return nil
}

func exitCode(err error) int {
	if status, ok := errors.AsType[exitStatus](err); ok {
		return int(status)
	}
	if e, ok := errors.AsType[*notFoundError](err); ok {
		return e.exitCode()
	}
	if e, ok := errors.AsType[*signalError](err); ok {
		return e.exitCode()
	}
	if e, ok := errors.AsType[*codedError](err); ok {
		return e.code
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitMisuse
	}
	if _, ok := errors.AsType[*config.Error](err); ok {
		return exitMisuse
	}
	if _, ok := errors.AsType[*keys.Error](err); ok {
		return exitKey
	}
	if e, ok := errors.AsType[*x509creds.Error](err); ok {
		switch e.Kind {
		case x509creds.Refused:
			return exitRefused
		case x509creds.Unreachable, x509creds.Malformed:
			return exitUnreachable
		case x509creds.Misconfigured:
			return exitMisuse
		case x509creds.Unsigned:
			return exitKey
		}
	}
	if is[*credentialsError](err) && errors.Is(err, context.DeadlineExceeded) {
		return exitUnreachable
	}
	if is[*provision.Failed](err) || is[*query.Failed](err) {
		return exitRefused
	}
	if e, ok := errors.AsType[*awsapi.Error](err); ok {
		if e.Kind == awsapi.Refused {
			return exitRefused
		}
		return exitUnreachable
	}
	return exitFailed
}

// interrupted keeps what a person has to know of what goes on without us.
func interrupted(ctx context.Context, err error) error {
	cause := errors.New("interrupted")
	if e := bySignal(ctx); e != nil {
		cause = e
	}
	if e, ok := errors.AsType[*provision.Unattended](err); ok {
		return &provision.Unattended{Stack: e.Stack, Err: cause}
	}
	return cause
}

func (a *app) underKubectl() bool { return a.Getenv(config.ExecInfoVariable) != "" }

// warn keeps a line until the command is done; notice says one at once.
func (a *app) warn(line string)   { a.warnings = append(a.warnings, line) }
func (a *app) notice(line string) { a.say("notice", line) }

// finish says what is to be said and returns the exit code.
func (a *app) finish(ctx context.Context, command string, err error) int {
	if failed := a.out.finish(); failed != nil {
		err = fmt.Errorf("writing output: %w", failed)
	}
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = interrupted(ctx, err)
	}
	if err == nil || !a.underKubectl() {
		for _, w := range a.warnings {
			a.say("warning", w)
		}
	}
	if err == nil {
		return exitDone
	}
	code := exitCode(err)
	if _, silent := errors.AsType[exitStatus](err); silent {
		return code
	}
	lines := hints(err, command)
	if a.underKubectl() {
		if _, ok := errors.AsType[*session.RecalledError](err); ok {
			lines = nil // kubectl runs us five times, and the first has said them
		}
		a.say("error", strings.Join(append([]string{err.Error()}, lines...), "; hint: "))
		return code
	}
	a.say("error", err.Error())
	for _, hint := range lines {
		a.say("hint", hint)
	}
	return code
}

// say writes one line; progress one of another program's kind.
func (a *app) say(kind, text string)               { a.out.say(kind, text) }
func (a *app) progress(format string, args ...any) { a.out.progress(format, args...) }
