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
	"time"
)

const (
	attempts  = 3
	backoff   = 500 * time.Millisecond // the most before the second attempt; doubled before each later one
	maxAnswer = 1 << 20
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
}

// answer is what came back, whole.
type answer struct {
	status                                      int
	body                                        []byte
	contentType, errorType, requestID, location string
	date                                        time.Time
	skew                                        time.Duration
}

// do asks until there is an answer that another attempt would not better, or
// the call's time is over. Every error is an *Error.
func (q query) do(ctx context.Context) (answer, error) {
	ctx, cancel := limited(ctx, cmp.Or(q.whole, callTimeout))
	defer cancel()
	for attempt := 1; ; attempt++ {
		a, err := q.once(ctx)
		if err == nil || attempt == attempts || !again(ctx, err) {
			return a, err
		}
		pause := time.NewTimer(rand.N(backoff << (attempt - 1))) //nolint:gosec // jitter is no secret
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
	return e.StatusCode == http.StatusTooManyRequests || e.StatusCode >= 500 || e.Kind == Unreachable && e.StatusCode == 0
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
