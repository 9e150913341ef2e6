package awsapi

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	attempts        = 3
	patientAttempts = 9                      // of a long command, where AWS throttles or is in trouble
	backoff         = 500 * time.Millisecond // the most before the second attempt; doubled before each later one
	longestBackoff  = 20 * time.Second
	maxAnswer       = 1 << 20
)

// query is one question to a server, which may take several attempts.
type query struct {
	service, operation string
	client             *http.Client
	now                func() time.Time
	newRequest         func(context.Context) (*http.Request, error)
	limit              int64         // of the answer; 0: maxAnswer
	attempt, whole     time.Duration // deadlines; 0: attemptTimeout and callTimeout
	secrets            []string      // of the request: no error repeats them
	waits              func(string)  // of a long command
}

// answer is what came back, whole.
type answer struct {
	status                                      int
	body                                        []byte
	contentType, errorType, requestID, location string
	date                                        time.Time
	retryAfter                                  time.Duration
	skew                                        time.Duration
}

// do asks until there is an answer that another attempt would not better, or
// the call's time is over. Every error is an *Error.
func (q query) do(ctx context.Context) (answer, error) {
	ctx, cancel := limited(ctx, cmp.Or(q.whole, callTimeout))
	defer cancel()
	for attempt := 1; ; attempt++ {
		a, err := q.once(ctx)
		if err == nil || attempt >= q.attempts(err) || !again(ctx, err) {
			return a, err
		}
		length := max(rand.N(min(backoff<<(attempt-1), longestBackoff)), min(a.retryAfter, longestBackoff)) //nolint:gosec // jitter is no secret
		if q.waits != nil && (attempt > 1 || length >= time.Second) {
			q.waits(fmt.Sprintf("%s; trying again in %s (%d of %d)", trouble(err), length.Round(100*time.Millisecond), attempt, q.attempts(err)-1))
		}
		pause := time.NewTimer(length)
		select {
		case <-ctx.Done():
			pause.Stop()
			return a, err
		case <-pause.C:
		}
	}
}

// again says whether err may be gone in a second.
func again(ctx context.Context, err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok || ctx.Err() != nil {
		return false
	}
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		return false
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return false
	}
	return e.throttled() || e.StatusCode >= 500 || e.Kind == Unreachable && e.StatusCode == 0
}

// attempts are more for a long command, if there was an answer.
func (q query) attempts(err error) int {
	if e, ok := errors.AsType[*Error](err); ok && q.waits != nil && (e.throttled() || e.StatusCode >= 500) {
		return patientAttempts
	}
	return attempts
}

// throttled: the services say it by other codes, and by HTTP 400 or 429.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
func (e *Error) throttled() bool {
	switch e.Code {
	case "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException", "RequestLimitExceeded",
		"TooManyRequestsException", "SlowDown", "BandwidthLimitExceeded", "PriorRequestNotComplete":
		return true
	}
	return e.StatusCode == http.StatusTooManyRequests
}

// trouble says why there is another attempt.
func trouble(err error) string {
	e, ok := errors.AsType[*Error](err)
	switch {
	case ok && e.throttled():
		return e.Service + " throttles " + e.Operation
	case ok && e.StatusCode >= 500:
		return fmt.Sprintf("%s answered %s with HTTP %d", e.Service, e.Operation, e.StatusCode)
	case ok:
		return e.Service + " did not answer " + e.Operation
	}
	return "no answer"
}

func (q query) once(ctx context.Context) (answer, error) {
	ctx, cancel := limited(ctx, cmp.Or(q.attempt, attemptTimeout))
	defer cancel()
	request, err := q.newRequest(ctx)
	if err != nil {
		return answer{}, q.malformed(answer{}, err.Error())
	}
	response, err := q.client.Do(request)
	if err != nil {
		return answer{}, q.unreachable(late(ctx, request.URL.Host, false, err))
	}
	defer response.Body.Close()
	a := answer{status: response.StatusCode}
	h := response.Header
	a.contentType, a.errorType = h.Get("Content-Type"), h.Get("X-Amzn-Errortype")
	for _, name := range []string{"X-Amzn-Requestid", "Audit-Id"} { // the second is an API server's
		if a.requestID == "" {
			a.requestID = shortLine(q.redact(h.Get(name)), maxID)
		}
	}
	if to, err := response.Location(); err == nil {
		a.location = q.redact(to.Host)
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		a.date, a.skew = date, date.Sub(q.now().Round(0)).Truncate(time.Second)
	}
	if seconds, err := strconv.Atoi(h.Get("Retry-After")); err == nil && seconds > 0 && seconds < 3600 {
		a.retryAfter = time.Duration(seconds) * time.Second
	}
	limit := cmp.Or(q.limit, maxAnswer)
	if a.body, err = io.ReadAll(io.LimitReader(response.Body, limit+1)); err != nil {
		err = late(ctx, request.URL.Host, true, &url.Error{Op: request.Method, URL: request.URL.String(), Err: err})
		return a, q.unreachable(err)
	}
	if int64(len(a.body)) > limit {
		return a, q.malformed(a, fmt.Sprintf("an answer of more than %d bytes", limit))
	}
	a.body = bytes.TrimSpace(bytes.TrimPrefix(a.body, []byte("\xef\xbb\xbf"))) // a byte order mark is not JSON's
	if a.status/100 != 2 || foreign(a) != "" {
		return a, q.refused(a)
	}
	return a, nil
}
