package sandbox

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Entry is one request with its verdict, a line of requests.jsonl. It holds no secret and no token.
type Entry struct {
	Time      time.Time `json:"time"`
	Operation string    `json:"operation"`
	Method    string    `json:"method"`
	Host      string    `json:"host"`
	Path      string    `json:"path"` // without the query, which may be a presigned one
	UserAgent string    `json:"userAgent,omitempty"`
	RequestID string    `json:"requestId"`
	// Status is that of the answer, or 0 if there was none.
	Status            int      `json:"status"`
	Code              string   `json:"code,omitempty"`
	Message           string   `json:"message,omitempty"`
	Reason            string   `json:"reason,omitempty"`
	Serial            string   `json:"serial,omitempty"`
	CertificateSHA256 string   `json:"certificateSha256,omitempty"`
	TrustAnchorARN    string   `json:"trustAnchorArn,omitempty"`
	ProfileARN        string   `json:"profileArn,omitempty"`
	RoleARN           string   `json:"roleArn,omitempty"`
	SessionName       string   `json:"sessionName,omitempty"`
	AccessKeyID       string   `json:"accessKeyId,omitempty"`
	Cluster           string   `json:"cluster,omitempty"`
	Username          string   `json:"username,omitempty"`
	Faults            []string `json:"faults,omitempty"`
}

// String is a line for a person.
func (e Entry) String() string {
	var b strings.Builder
	target := e.Path
	if e.Method == http.MethodConnect {
		target = strconv.QuoteToASCII(e.Host)
	}
	fmt.Fprintf(&b, "%s %s %s %s %d", e.Time.Format(time.TimeOnly), e.Method, target, e.Operation, e.Status)
	for _, f := range []struct{ name, value string }{
		{"serial", e.Serial}, {"role", e.RoleARN}, {"session", e.SessionName}, {"key", e.AccessKeyID}, {"cluster", e.Cluster},
		{"user", e.Username}, {"fault", strings.Join(e.Faults, ",")}, {"code", e.Code}, {"reason", e.Reason},
	} {
		if strings.ContainsFunc(f.value, func(r rune) bool { return r <= ' ' || r == '"' || r > '~' }) {
			f.value = strconv.Quote(f.value)
		}
		if f.value != "" {
			fmt.Fprintf(&b, " %s=%s", f.name, f.value)
		}
	}
	return b.String()
}

// record is called before the request is answered, so that whoever has the answer finds the record.
func (s *Sandbox) record(e Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line, err := encodeLine(e)
	if err == nil {
		s.entries.add(e, len(line))
		err = appendTo(s.path("requests.jsonl"), line)
	}
	if s.requests == nil {
		return
	}
	fmt.Fprintln(s.requests, e)
	if err != nil {
		fmt.Fprintln(s.requests, "appending to requests.jsonl:", err)
	}
}

// refused notes why a request is turned down.
func (c *call) refused(r *Refusal) {
	c.entry.Code, c.entry.Message, c.entry.Reason = r.Code, r.Message, r.Reason
}

// restError answers in the manner of the REST services, AWS restJson1.
func (c *call) restError(r *Refusal) *response {
	c.refused(r)
	out := jsonResponse(r.Status, map[string]string{"message": r.Message})
	out.errorType = r.Code
	return out
}

// operationError answers in the manner of the operation asked for.
func (c *call) operationError(r *Refusal) *response {
	if c.toKubernetes {
		return c.kubernetesFault(r)
	}
	switch _, version, _ := stsAction(c.wire); {
	case version == cfnVersion:
		return c.cfnError(r)
	case c.wire.header.Get("X-Amz-Target") != "":
		return c.jsonError(r)
	}
	switch c.entry.Operation {
	case "GetCallerIdentity":
		if r.Status == http.StatusTooManyRequests {
			r.Code = "Throttling" // STS's own word for it
		}
		return c.stsError(r)
	case "TokenReview":
		r.Message = "sts getCallerIdentity failed: " + r.Message
		if r.Status == http.StatusTooManyRequests {
			r.Message = "sts getCallerIdentity was throttled"
		}
		return c.reviewError(tokenReview{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"}, r)
	}
	return c.restError(r)
}
