package awsapi

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The deadlines of a call: of one attempt, from the connection to the last byte of the answer, and of all attempts.
const (
	attemptTimeout = 8 * time.Second // kubectl gives up after 32 s, what a person waits for is no longer
	callTimeout    = 18 * time.Second

	adminAttemptTimeout = 20 * time.Second // CreateChangeSet takes seconds
	adminCallTimeout    = time.Minute

	patientCallTimeout = 5 * time.Minute // of a long command, with the pauses between its attempts

	largeAttemptTimeout = time.Minute // a page of a log may have megabytes
	largeCallTimeout    = 2 * time.Minute
)

// DeadlineError is the cause of an [Error] when a server did not answer in time. errors.Is finds context.DeadlineExceeded.
type DeadlineError struct {
	After time.Duration
	// Begun: there were a status and headers, and the body did not end.
	Begun bool
}

func (e *DeadlineError) Error() string {
	if e.Begun {
		return "no complete answer within " + e.After.String()
	}
	return "no answer within " + e.After.String()
}

func (e *DeadlineError) Unwrap() error { return context.DeadlineExceeded }

// Timeout makes it a net.Error's kind of error.
func (e *DeadlineError) Timeout() bool { return true }

// limited is a context with a deadline that says how long it was.
func limited(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, &DeadlineError{After: d})
}

// late says of an attempt that failed whose time was over, if it was: the attempt's, the call's or the caller's.
func late(ctx context.Context, host string, begun bool, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		if d, ok := errors.AsType[*DeadlineError](context.Cause(ctx)); ok {
			return fmt.Errorf("reaching %s: %w", host, &DeadlineError{d.After, begun})
		}
		return fmt.Errorf("reaching %s: no answer in time: %w", host, context.DeadlineExceeded)
	}
	return err
}

// Pages guards a listing: one whose pages never end is refused.
type Pages struct {
	// Most pages are accepted; 0: any number, if no token comes twice in a row.
	Most int
	last string
	n    int
}

// MostPages is for a list that is held in memory.
const MostPages = 1000

// Next takes the token of the page that follows. service and operation are for the error.
func (p *Pages) Next(service, operation, token string) error {
	p.n++
	if token == p.last || p.Most > 0 && p.n > p.Most {
		return Endless(service, operation)
	}
	p.last = token
	return nil
}

// Endless is the error of a listing whose pages do not end.
func Endless(service, operation string) error {
	return &Error{Service: service, Operation: operation, Kind: Malformed, Err: errors.New("endless list in the answers to " + operation)}
}

// Overdue is the error of what AWS has begun and does not end.
func Overdue(service, operation string, waited time.Duration) error {
	return &Error{Service: service, Operation: operation, Kind: Unreachable, Err: fmt.Errorf("%s has not ended within %s: %w", operation, waited, context.DeadlineExceeded)}
}
