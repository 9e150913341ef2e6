package awsapi

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A long command tries at least 8 times more where AWS throttles or is in trouble, by whatever code and status it says so, sends the
// same each time, and says that it waits. Every other error ends it as before.
func TestLongCommandsWait(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		status      int
		body        string
		patient     int // attempts of a long command
		short       int
		notice      string
		unreachable bool
	}{
		"JSON 1.1 throttles":       {400, `{"__type":"ThrottlingException","message":"Rate exceeded"}`, 9, 3, "Private CA throttles IssueCertificate; trying again in ", false},
		"too many requests":        {400, `{"__type":"com.amazonaws#TooManyRequestsException"}`, 9, 3, "throttles", false},
		"query protocol throttles": {400, `<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>`, 9, 3, "throttles", false},
		"HTTP 429":                 {429, `{}`, 9, 3, "throttles", false},
		"HTTP 500":                 {500, `{"__type":"InternalFailure"}`, 9, 3, "answered IssueCertificate with HTTP 500", false},
		"HTTP 503 of a balancer":   {503, "<html><title>Service Unavailable</title></html>", 9, 3, "HTTP 503", false},
		"a refusal":                {400, `{"__type":"AccessDeniedException"}`, 1, 1, "", false},
		"a quota":                  {400, `{"__type":"LimitExceededException"}`, 1, 1, "", false},
		"no answer":                {0, "", 3, 3, "did not answer", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				for _, long := range []bool{true, false} {
					var bodies, said []string
					client := Client{
						HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
							body, _ := io.ReadAll(r.Body)
							bodies = append(bodies, string(body))
							if row.unreachable {
								return nil, io.ErrUnexpectedEOF
							}
							return &http.Response{StatusCode: row.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(row.body))}, nil
						})},
						Credentials: aws.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "secret"}, Region: "us-east-1", Now: time.Now,
					}
					want := row.short
					if long {
						want = row.patient
						client.Waits = func(text string) { said = append(said, text) }
					}
					begun := time.Now()
					err := client.PrivateCA(context.Background(), "IssueCertificate", map[string]string{"IdempotencyToken": "t"}, nil)
					if err == nil || len(bodies) != want {
						t.Errorf("%d attempts, want %d: %v", len(bodies), want, err)
					}
					for _, b := range bodies {
						if b != `{"IdempotencyToken":"t"}` {
							t.Errorf("sent %s", b)
						}
					}
					if long && want > 1 && (len(said) < want-2 || !strings.Contains(strings.Join(said, "\n"), row.notice)) {
						t.Errorf("said %q", said)
					}
					if took := time.Since(begun); took > patientCallTimeout {
						t.Errorf("took %s", took)
					}
				}
			})
		})
	}
}

// AWS's own time to wait is kept, up to the longest pause, and what works in the end is an answer.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		client := Client{
			HTTP: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
				if n++; n <= 8 {
					return &http.Response{StatusCode: 429, Header: http.Header{"Retry-After": {"15"}}, Body: io.NopCloser(strings.NewReader("{}"))}, nil
				}
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{}`))}, nil
			})},
			Credentials: aws.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "secret"}, Region: "us-east-1", Now: time.Now, Waits: func(string) {},
		}
		begun := time.Now()
		if err := client.PrivateCA(context.Background(), "DescribeCertificateAuthority", nil, nil); err != nil || n != 9 {
			t.Errorf("%d attempts: %v", n, err)
		}
		if took := time.Since(begun); took < 8*15*time.Second || took > 8*longestBackoff {
			t.Errorf("took %s", took)
		}
	})
}
