package sandbox

import (
	"errors"
	"net/http"
	"strings"
)

// target is a service that speaks JSON 1.1, which an administrator asks.
// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
type target struct {
	service string // as its host and its signatures name it
	answers func(*call) map[string]func() (any, error)
}

// targetOf finds the service that X-Amz-Target names, and the operation.
func targetOf(w *wireRequest) (*target, string) {
	name := strings.TrimPrefix(w.header.Get("X-Amz-Target"), "com.amazonaws.cloudtrail.v20131101.") // botocore's
	prefix, operation, _ := strings.Cut(name, ".")
	t, ok := map[string]target{
		"ACMPrivateCA":        {"acm-pca", (*call).acmpca},
		"CloudTrail_20131101": {"cloudtrail", (*call).cloudtrail},
		"Logs_20140328":       {"logs", (*call).logs},
		"AmazonAthena":        {"athena", (*call).athena},
	}[prefix]
	if !ok {
		return nil, ""
	}
	return &t, operation
}

// json11 answers an operation, if the administrator asks.
func (c *call) json11(t *target, operation string) *response {
	if refusal := c.administer(t.service, operation); refusal != nil {
		if refusal = eksRefusal(refusal); refusal.Code == "AccessDeniedException" {
			refusal.Status = http.StatusBadRequest // as JSON 1.1 has all that is the caller's fault
		}
		return c.jsonError(refusal)
	}
	answer := t.answers(c)[operation]
	if answer == nil {
		return c.jsonError(refuse(http.StatusBadRequest, "UnknownOperationException", "", "no operation %q", operation))
	}
	out, err := answer()
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		return c.jsonError(refusal)
	case err != nil:
		return c.jsonError(invalid("%v", err))
	case out == nil:
		return &response{status: http.StatusOK, contentType: "application/x-amz-json-1.1"}
	}
	r := jsonResponse(http.StatusOK, out)
	r.contentType = "application/x-amz-json-1.1"
	return r
}

// jsonError answers in the manner of JSON 1.1.
func (c *call) jsonError(r *Refusal) *response {
	c.refused(r)
	out := jsonResponse(r.Status, map[string]string{"__type": r.Code, "message": r.Message})
	out.contentType = "application/x-amz-json-1.1"
	return out
}

// read takes a request's body apart, strictly.
func (c *call) readJSON(in any) error {
	if err := strictJSON(c.wire.body, in); err != nil {
		return refuse(http.StatusBadRequest, "SerializationException", "malformed body", "%v", err)
	}
	return nil
}

func badRequest(code, reason string, args ...any) error {
	r := refuse(http.StatusBadRequest, code, "", reason, args...)
	r.Message = r.Reason
	return r
}
