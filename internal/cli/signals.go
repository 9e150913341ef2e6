package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// signalError is the cause of a context that a signal ended.
type signalError struct{ signal syscall.Signal }

func (e *signalError) Error() string { return "interrupted" }

// Is makes it one of context's errors, as those of package signal are.
func (e *signalError) Is(target error) bool { return target == context.Canceled }

// exitCode is that of a shell's command which a signal ended.
func (e *signalError) exitCode() int { return 128 + int(e.signal) }

// WithSignals ends the context at Ctrl-C, and when the process is asked to end. A second
// signal ends the process at once. One that is ignored, as by nohup, stays so.
func WithSignals(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			number, _ := s.(syscall.Signal)
			cancel(&signalError{number})
		case <-ctx.Done():
			signal.Stop(signals)
		}
	}()
	return ctx, func() { cancel(nil) }
}

// bySignal is the signal that ended the context, nil if none did.
func bySignal(ctx context.Context) *signalError {
	e, _ := errors.AsType[*signalError](context.Cause(ctx))
	return e
}
