package x509creds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Kind says at which point CreateSession came to nothing.
type Kind int

// The kinds of [Error].
const (
	Refused       Kind = iota // AWS answered with an error of its own
	Unreachable               // no answer from AWS: no connection, no answer in time, a proxy's page, 5xx
	Malformed                 // an answer that holds no usable credentials
	Unsigned                  // the private key did not sign
	Misconfigured             // there is no endpoint for the options
)

// Error is why Retrieve returned no credentials.
type Error struct {
	Kind Kind
	// Code and Message are AWS's own words, empty if it said none.
	Code, Message string
	// StatusCode is that of the HTTP answer, 0 without one.
	StatusCode int
	RequestID  string
	// ClockSkew is the server's clock minus ours, from the answer's Date; zero
	// if there was none.
	ClockSkew time.Duration
	// RetryAfter is how long the answer asks to wait, zero if it does not say.
	RetryAfter time.Duration
	// Err is the cause where AWS did not say one.
	Err error
}

func (e *Error) Error() string {
	cause := ""
	switch {
	case e.Code != "" && e.Message != "" && e.Message != e.Code:
		cause = e.Code + ": " + e.Message
	case e.Code != "":
		cause = e.Code
	case e.Err != nil:
		cause = e.Err.Error()
	}
	cause = shortLine(cause, maxCause)
	var details []string
	if e.StatusCode != 0 {
		details = append(details, fmt.Sprintf("HTTP %d", e.StatusCode))
	}
	if e.RequestID != "" {
		details = append(details, "request id "+e.RequestID)
	}
	if len(details) > 0 {
		cause += " (" + strings.Join(details, ", ") + ")"
	}
	return "creating session: " + cause
}

func (e *Error) Unwrap() error { return e.Err }

// oneLine keeps foreign text from breaking the one line that an error is, and
// from commanding the terminal.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// maxCause is how many characters of foreign text an error quotes; maxID, of a
// request id.
const maxCause, maxID = 1000, 128

// shortLine is oneLine without the end of what is too long.
func shortLine(s string, most int) string {
	if letters := []rune(oneLine(s)); len(letters) > most {
		return string(letters[:most]) + "…"
	}
	return oneLine(s)
}

// newError sorts what the client returned.
func (p *Provider) newError(ctx context.Context, host string, err error) *Error {
	e := &Error{Kind: Unreachable, Err: err}
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		e.RequestID = shortLine(response.ServiceRequestID(), maxID)
	}
	if response, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && response.Response != nil {
		e.StatusCode = response.HTTPStatusCode()
		if date, err := http.ParseTime(response.Response.Header.Get("Date")); err == nil {
			e.ClockSkew = date.Sub(p.options.Now().Round(0)).Truncate(time.Second)
		}
		if seconds, err := strconv.Atoi(response.Response.Header.Get("Retry-After")); err == nil && seconds > 0 {
			e.RetryAfter = time.Duration(seconds) * time.Second
		}
	}
	if unsigned, ok := errors.AsType[*signError](err); ok {
		e.Kind, e.Err = Unsigned, unsigned.err
		return e
	}
	if foreign, ok := errors.AsType[*ForeignAnswerError](err); ok {
		e.Err, e.StatusCode = foreign, foreign.status
		return e
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		if e.StatusCode < 500 {
			e.Kind = Refused
		}
		e.Code, e.Message = shortLine(api.ErrorCode(), maxID), shortLine(api.ErrorMessage(), maxCause)
		return e
	}
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok {
		// The client's own text quotes the answer; an answer may hold secrets.
		e.Kind, e.Err = Malformed, errors.New("malformed JSON in the answer")
		if e.StatusCode >= 500 {
			e.Kind = Unreachable
		}
		return e
	}
	var late error
	if attempt, ok := errors.AsType[*deadlineError](err); ok {
		late = attempt
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		late = context.Cause(ctx)
	}
	if late != nil {
		e.Err = fmt.Errorf("reaching %s: %w", host, late)
		return e
	}
	e.Err = transportCause(err)
	return e
}

// transportCause strips the client's wrapping ("operation error …, exceeded
// maximum number of attempts, 3, …") down to whom was asked and what the
// network said.
func transportCause(err error) error {
	if at, ok := errors.AsType[*url.Error](err); ok {
		if u, parseErr := url.Parse(at.URL); parseErr == nil {
			return fmt.Errorf("reaching %s: %w", u.Host, at.Err)
		}
	}
	for {
		switch err.(type) { //nolint:errorlint // one layer at a time
		case *smithy.OperationError, *retry.MaxAttemptsError, *awshttp.ResponseError, *smithyhttp.ResponseError, *smithyhttp.RequestSendError, *smithy.CanceledError:
			err = errors.Unwrap(err)
		default:
			return err
		}
	}
}

// deadlineError is retried by the SDK as a timeout.
type deadlineError struct{ after time.Duration }

func (e *deadlineError) Error() string { return "no answer within " + e.after.String() }
func (e *deadlineError) Unwrap() error { return context.DeadlineExceeded }
func (e *deadlineError) Timeout() bool { return true }

type signError struct{ err error }

func (e *signError) Error() string { return e.err.Error() }

// ForeignAnswerError is an answer that is not from AWS: a page, a redirect, or a
// refusal without AWS's form.
type ForeignAnswerError struct {
	status int
	what   string
}

// HTTPStatusCode lets the retryer see a load balancer's 502 to 504.
func (e *ForeignAnswerError) HTTPStatusCode() int { return e.status }

func (e *ForeignAnswerError) Error() string { return e.what }

// foreign says whether an answer is not from AWS, and what it is.
func foreign(r *http.Response, text []byte) *ForeignAnswerError {
	fromAWS := r.Header.Get("X-Amzn-Requestid") != "" || r.Header.Get("X-Amzn-Errortype") != ""
	what := ""
	switch {
	case isHTML(text):
		what = "an HTML page instead of an answer from AWS"
		if title := htmlTitle(text); title != "" {
			what += fmt.Sprintf(", titled %q", title)
		}
	case bytes.HasPrefix(text, []byte("<")):
		what = "XML instead of an answer from AWS"
	case r.StatusCode/100 == 3:
		what = "a redirect instead of an answer from AWS"
		if to, err := r.Location(); err == nil {
			what += fmt.Sprintf(", to %q", to.Host)
		}
	case r.StatusCode >= 400 && !fromAWS && !bytes.HasPrefix(text, []byte("{")):
		what = "an answer that is not from AWS"
	default:
		return nil
	}
	return &ForeignAnswerError{status: r.StatusCode, what: what}
}

// isHTML looks at the answer, not at its content type, which proxies and servers
// get wrong. XML that AWS writes has other tags.
func isHTML(text []byte) bool {
	for {
		rest, comment := bytes.CutPrefix(text, []byte("<!--"))
		end := "-->"
		if !comment {
			if rest, comment = bytes.CutPrefix(text, []byte("<?xml")); !comment {
				break
			}
			end = "?>"
		}
		_, rest, _ = bytes.Cut(rest, []byte(end))
		text = bytes.TrimSpace(rest)
	}
	tag, ok := bytes.CutPrefix(text, []byte("<"))
	if !ok {
		return false
	}
	if n := bytes.IndexAny(tag, " \t\r\n/>"); n >= 0 {
		tag = tag[:n]
	}
	switch strings.ToLower(string(tag[:min(len(tag), 16)])) {
	case "!doctype", "html", "head", "title", "meta", "link", "base", "style", "script", "noscript", "body", "p", "h1", "h2", "h3", "div", "span", "center", "font", "pre", "table", "a", "b", "br", "hr", "form":
		return true
	}
	return false
}

// htmlTitle returns the page's title, at most 80 bytes of it.
func htmlTitle(page []byte) string {
	page = bytes.ToValidUTF8(page, []byte("?"))
	lower := asciiLower(page)
	start := bytes.Index(lower, []byte("<title"))
	if start < 0 {
		return ""
	}
	open := bytes.IndexByte(lower[start:], '>')
	end := bytes.Index(lower[start:], []byte("</title>"))
	if open < 0 || end < open {
		return ""
	}
	title := page[start+open+1 : start+end]
	return oneLine(string(bytes.ToValidUTF8(title[:min(len(title), 80)], nil)))
}

// asciiLower keeps the length, which bytes.ToLower may not.
func asciiLower(b []byte) []byte {
	lower := bytes.Clone(b)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	return lower
}
