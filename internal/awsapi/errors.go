package awsapi

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/safetext"
)

// Kind says at which point a request came to nothing.
type Kind int

// The kinds of [Error].
const (
	Refused     Kind = iota // the server answered with an error of its own
	Unreachable             // no answer from the server: no connection, no answer in time, a proxy's page, 5xx
	Malformed               // an answer that does not hold what was asked for
)

// TheCluster is the Service that is a cluster's API server.
const TheCluster = "the cluster"

// Error is why a request came to nothing.
type Error struct {
	Service   string // EKS, STS, CloudFormation, Private CA, Roles Anywhere, or TheCluster
	Operation string // such as DescribeCluster
	Kind      Kind
	// Code and Message are the server's own words, empty if it said none.
	Code, Message string
	// StatusCode is that of the HTTP answer, 0 without one.
	StatusCode int
	RequestID  string
	// ClockSkew is the server's clock minus ours, from the answer's Date; zero
	// if there was none.
	ClockSkew time.Duration
	// Err is the cause where the server did not say one.
	Err error
}

func (e *Error) Error() string {
	cause := e.Code
	switch {
	case e.Code == "" && e.Message == "" && e.Err != nil:
		cause = e.Err.Error()
	case e.Code == "":
		cause = e.Message
	case e.Message != "" && e.Message != e.Code:
		cause += ": " + e.Message
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
	if e.Kind == Refused {
		return e.Service + " refused: " + cause
	}
	return "asking " + e.Service + ": " + cause
}

func (e *Error) Unwrap() error { return e.Err }

// oneLine keeps foreign text from breaking the one line that an error is, and
// from commanding the terminal.
func oneLine(s string) string {
	return safetext.Line(strings.Join(strings.Fields(s), " "))
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

// redact takes out what a server, or a proxy on the way, repeats of the secrets
// that came with the request.
func (q query) redact(s string) string {
	const shortest = 8 // or words would go
	for _, secret := range q.secrets {
		if len(secret) >= shortest {
			s = strings.ReplaceAll(s, secret, "(secret)")
		}
	}
	return s
}

func (q query) fail(a answer) *Error {
	return &Error{Service: q.service, Operation: q.operation, StatusCode: a.status, RequestID: a.requestID, ClockSkew: a.skew}
}

// malformed quotes nothing of the answer.
func (q query) malformed(a answer, what string) *Error {
	e := q.fail(a)
	e.Kind, e.Err = Malformed, errors.New(what)
	return e
}

// unreachable says whom was asked and what the network said.
func (q query) unreachable(err error) *Error {
	e := q.fail(answer{})
	e.Kind, e.Err = Unreachable, err
	if at, ok := errors.AsType[*url.Error](err); ok {
		if u, parseErr := url.Parse(at.URL); parseErr == nil {
			e.Err = fmt.Errorf("reaching %s: %w", u.Host, at.Err)
		}
	}
	return e
}

// refused sorts an answer that is not a success.
func (q query) refused(a answer) *Error {
	e := q.fail(a)
	if what := foreign(a); what != "" {
		e.Kind, e.Err = Unreachable, errors.New(q.redact(what))
		return e
	}
	e.Code, e.Message = a.code()
	e.Code, e.Message = shortLine(q.redact(e.Code), maxID), shortLine(q.redact(e.Message), maxCause)
	if e.Code == "" && e.Message == "" {
		e.Err = errors.New(http.StatusText(a.status))
	}
	if a.status >= 500 {
		e.Kind = Unreachable
	}
	return e
}

// code reads an error in each form that is in use: restJson1 (EKS), the query
// protocol in JSON and XML (STS), and metav1.Status (Kubernetes).
func (a answer) code() (code, message string) {
	type detail struct{ Code, Message string }
	if bytes.HasPrefix(a.body, []byte("<")) {
		var e struct {
			Error detail `xml:"Error"`
		}
		_ = xml.Unmarshal(a.body, &e) // no code then
		return e.Error.Code, e.Error.Message
	}
	var e struct {
		Type    string          `json:"__type"`
		Code    json.RawMessage `json:"code"` // a number in a Status
		Message string          `json:"message"`
		Reason  string          `json:"reason"`
		Error   detail          `json:"Error"`
	}
	_ = json.Unmarshal(a.body, &e) // no code then
	if e.Error.Code != "" {
		return e.Error.Code, e.Error.Message
	}
	// AWS restJson1: "Name:http://…" in the header, "namespace#Name" in the body.
	code, _, _ = strings.Cut(a.errorType, ":")
	for _, candidate := range []string{e.Reason, strings.Trim(string(e.Code), `"`), e.Type[strings.LastIndexByte(e.Type, '#')+1:]} {
		if code == "" {
			code = candidate
		}
	}
	return code, e.Message
}

// foreign says what an answer is that is not the server's, or "".
func foreign(a answer) string {
	switch {
	case isHTML(a.body):
		what := "an HTML page instead of an answer"
		if m := regexp.MustCompile(`(?is)<title[^>]*>([^<]{1,80})`).FindSubmatch(a.body); m != nil {
			what += fmt.Sprintf(", titled %q", oneLine(string(bytes.ToValidUTF8(m[1], []byte("?")))))
		}
		return what
	case strings.HasPrefix(a.contentType, "text/html") && len(a.body) > 0 && !bytes.ContainsAny(a.body[:1], "<{["):
		return "text instead of an answer"
	case a.status/100 == 3:
		return fmt.Sprintf("a redirect instead of an answer, to %q", a.location)
	}
	return ""
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
