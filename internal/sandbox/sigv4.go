package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Written from AWS's "Create a signed AWS API request" and, for what Roles Anywhere adds, "authentication-sign-process".

const (
	amzDateFormat = "20060102T150405Z"
	// AWS: "a request must reach AWS within five minutes of the time stamp in the request".
	maxSkew = 5 * time.Minute
	// A presigned STS request holds for 15 minutes whatever X-Amz-Expires says (aws-iam-authenticator, pkg/token).
	maxPresignedAge = 15 * time.Minute
)

// wireRequest is a request as it came: path and query not decoded, header values not joined.
type wireRequest struct {
	method, path, query, host string
	header                    http.Header
	body                      []byte
}

func newWireRequest(r *http.Request, body []byte) (*wireRequest, error) {
	target := r.RequestURI
	if target == "" { // not from the wire: a request that a test is about to send
		target = r.URL.RequestURI()
	}
	if !strings.HasPrefix(target, "/") {
		return nil, fmt.Errorf("malformed request target %q", target)
	}
	w := &wireRequest{method: r.Method, host: r.Host, header: r.Header, body: body}
	if w.host == "" {
		w.host = r.URL.Host
	}
	w.path, w.query, _ = strings.Cut(target, "?")
	return w, nil
}

// one is the value of a header that must be there exactly once.
func (w *wireRequest) one(name string) (string, error) {
	switch values := w.header.Values(name); len(values) {
	case 0:
		return "", fmt.Errorf("no header %q", name)
	case 1:
		return values[0], nil
	default:
		return "", fmt.Errorf("header %q is there %d times", name, len(values))
	}
}

// authorization is a parsed Authorization header, or the same taken from a presigned query.
type authorization struct {
	algorithm, keyID, date, region, service string
	signedHeaders                           []string
	signature                               string
}

var authorizationPattern = lazy(`^(AWS4-[A-Z0-9-]+) Credential=([A-Za-z0-9]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, ` +
	`SignedHeaders=([a-z0-9._-]+(?:;[a-z0-9._-]+)*), Signature=([0-9a-f]+)$`)

func parseAuthorization(value string) (*authorization, error) {
	m := authorizationPattern().FindStringSubmatch(value)
	if m == nil {
		return nil, errors.New("malformed Authorization header")
	}
	return &authorization{m[1], m[2], m[3], m[4], m[5], strings.Split(m[6], ";"), m[7]}, nil
}

func (a *authorization) String() string {
	return fmt.Sprintf("%s Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		a.algorithm, a.keyID, a.scope(), strings.Join(a.signedHeaders, ";"), a.signature)
}

func (a *authorization) scope() string {
	return a.date + "/" + a.region + "/" + a.service + "/aws4_request"
}

// checkSignedHeaders wants a sorted list without repetition that covers the required headers and every x-amz-* header sent.
func (a *authorization) checkSignedHeaders(w *wireRequest, required ...string) error {
	for i, name := range a.signedHeaders {
		if i > 0 && name <= a.signedHeaders[i-1] {
			return fmt.Errorf("signed header %q is out of order or repeated", name)
		}
		if _, err := w.canonicalHeader(name); err != nil {
			return err
		}
	}
	for name := range w.header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") {
			required = append(required, name)
		}
	}
	for _, name := range required {
		if !slices.Contains(a.signedHeaders, name) {
			return fmt.Errorf("header %q is not signed", name)
		}
	}
	return nil
}

// canonicalHeader is the value of a header (name in lower case) as it is signed: trimmed, runs of spaces collapsed, lines joined.
func (w *wireRequest) canonicalHeader(name string) (string, error) {
	values := w.header.Values(name)
	switch {
	case name == "host":
		values = []string{w.host}
	case name == "content-length" && len(values) == 0:
		values = []string{strconv.Itoa(len(w.body))}
	case len(values) == 0:
		return "", fmt.Errorf("signed header %q is not in the request", name)
	}
	values = slices.Clone(values)
	for i, v := range values {
		if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return "", fmt.Errorf("control character in header %q", name)
		}
		values[i] = strings.Join(strings.FieldsFunc(v, func(r rune) bool { return r == ' ' }), " ")
	}
	return strings.Join(values, ","), nil
}

// stringToSign ends with the hash of the canonical request. The query is that of w, without X-Amz-Signature.
func (a *authorization) stringToSign(w *wireRequest, amzDate string, query []parameter, payloadHash string) (string, error) {
	lines := []string{w.method, canonicalPath(w.path), canonicalQuery(query)}
	for _, name := range a.signedHeaders {
		value, err := w.canonicalHeader(name)
		if err != nil {
			return "", err
		}
		lines = append(lines, name+":"+value)
	}
	lines = append(lines, "", strings.Join(a.signedHeaders, ";"), payloadHash)
	return strings.Join([]string{a.algorithm, amzDate, a.scope(), hexSHA256([]byte(strings.Join(lines, "\n")))}, "\n"), nil
}

// sign is the HMAC with the key derived from a secret access key.
func (a *authorization) sign(secret, stringToSign string) string {
	key := []byte("AWS4" + secret)
	for _, part := range []string{a.date, a.region, a.service, "aws4_request", stringToSign} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	return hex.EncodeToString(key)
}

// parameter is one of a query, decoded.
type parameter struct{ name, value string }

// parseQuery takes only queries that are encoded as SigV4 signs them, so that no byte can change unnoticed: %2f or + would be read
// the same as %2F and %20.
func parseQuery(raw string) ([]parameter, error) {
	var all []parameter
	if raw == "" {
		return nil, nil
	}
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		n, err := url.PathUnescape(name)
		if err != nil {
			return nil, fmt.Errorf("malformed query: %w", err)
		}
		v, err := url.PathUnescape(value)
		if err != nil {
			return nil, fmt.Errorf("malformed query: %w", err)
		}
		if n == "" || uriEncode(n) != name || uriEncode(v) != value {
			return nil, fmt.Errorf("query parameter %q is not encoded as RFC 3986 and SigV4 want", n)
		}
		all = append(all, parameter{n, v})
	}
	return all, nil
}

// canonicalQuery sorts by encoded name, then value. AWS's page also says to encode "=" in values twice; its own clients encode it
// once, and so does this.
func canonicalQuery(query []parameter) string {
	pairs := make([]string, len(query))
	for i, p := range query {
		// A space sorts before every other byte of an encoded name, so that "a" comes before "a-b".
		pairs[i] = uriEncode(p.name) + " " + uriEncode(p.value)
	}
	slices.Sort(pairs)
	return strings.ReplaceAll(strings.Join(pairs, "&"), " ", "=")
}

// canonicalPath encodes the path of the wire, which is encoded once already, a second time (every service but S3).
func canonicalPath(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = uriEncode(s)
	}
	return strings.Join(segments, "/")
}

// uriEncode keeps the unreserved characters of RFC 3986 §2.3 and makes %XX of all else.
func uriEncode(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// parseAMZDate takes YYYYMMDDTHHMMSSZ and nothing else: time.Parse alone lets fractions of a second through.
func parseAMZDate(s string) (time.Time, error) {
	t, err := time.Parse(amzDateFormat, s)
	if err != nil || t.Format(amzDateFormat) != s {
		return time.Time{}, fmt.Errorf("malformed X-Amz-Date %q", s)
	}
	return t, nil
}

// ageProblem is empty or, in AWS's words, what is wrong with the time of a request.
func ageProblem(date, now time.Time, maxAge time.Duration) string {
	f := func(t time.Time) string { return t.UTC().Format(amzDateFormat) }
	switch {
	case now.Sub(date) > maxAge:
		return fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - %d min.)", f(date), f(now.Add(-maxAge)), f(now), int(maxAge.Minutes()))
	case date.Sub(now) > maxSkew:
		return fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + %d min.)", f(date), f(now.Add(maxSkew)), f(now), int(maxSkew.Minutes()))
	}
	return ""
}

func hexSHA256(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
