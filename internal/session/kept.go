package session

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/eks-x509/eks-x509/internal/cache"
	"github.com/eks-x509/eks-x509/pkg/x509creds"
)

// How long a failure is remembered: long enough for kubectl's five runs, too
// short for a person who has mended the cause to notice.
const (
	rememberRefusal = 5 * time.Second
	rememberTrouble = 3 * time.Second  // throttling, 5xx, no connection
	rememberMost    = 30 * time.Second // whatever Retry-After asks for
)

// remembered is what the cache keeps of an *x509creds.Error. No secret is in one.
type remembered struct {
	Kind       x509creds.Kind `json:"kind"`
	Code       string         `json:"code"`
	Message    string         `json:"message"`
	StatusCode int            `json:"statusCode"`
	RequestID  string         `json:"requestId"`
	ClockSkew  time.Duration  `json:"clockSkew"`
	Cause      string         `json:"cause"`
}

// failure is what to remember of err: what AWS or the network said, and nothing
// of our own side, which the next call may find mended.
func failure(err error, now time.Time) *cache.Failure {
	e, ok := errors.AsType[*x509creds.Error](err)
	if !ok || errors.Is(err, context.Canceled) {
		return nil
	}
	var wait time.Duration
	switch {
	case e.Kind == x509creds.Unreachable || e.StatusCode == 429:
		wait = min(max(rememberTrouble, e.RetryAfter), rememberMost)
	case e.Kind == x509creds.Refused:
		wait = rememberRefusal
	default:
		return nil
	}
	r := remembered{Kind: e.Kind, Code: e.Code, Message: e.Message, StatusCode: e.StatusCode, RequestID: e.RequestID, ClockSkew: e.ClockSkew}
	if e.Err != nil {
		r.Cause = e.Err.Error()
	}
	detail, err := json.Marshal(r)
	if err != nil {
		return nil
	}
	return &cache.Failure{Until: now.Add(wait).Round(0).UTC(), Detail: detail}
}

// recall makes the error again, and says that it is a remembered one.
func recall(err *cache.RememberedError) error {
	var r remembered
	if json.Unmarshal(err.Failure.Detail, &r) != nil {
		return err
	}
	e := &x509creds.Error{Kind: r.Kind, Code: r.Code, Message: r.Message, StatusCode: r.StatusCode, RequestID: r.RequestID, ClockSkew: r.ClockSkew, Err: err}
	if r.Code == "" {
		e.Err = errors.New(r.Cause)
	}
	return &RecalledError{e}
}

// RecalledError is what AWS said a moment ago.
type RecalledError struct{ Err error }

func (e *RecalledError) Error() string {
	return e.Err.Error() + "; so it was a moment ago, and was not asked again"
}

func (e *RecalledError) Unwrap() error { return e.Err }
