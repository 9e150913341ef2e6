package x509creds_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/eks-x509/eks-x509/pkg/x509creds"
)

const success = `{"credentialSet":[{"assumedRoleUser":{"arn":"arn:aws:sts::123456789012:assumed-role/r/01","assumedRoleId":"AROA:01"},
"credentials":{"accessKeyId":"ASIAEXAMPLE","secretAccessKey":"secret","sessionToken":"token","expiration":"%s"},
"packedPolicySize":10,"roleArn":"arn:aws:iam::123456789012:role/r","sourceIdentity":"CN=t"}],"subjectArn":"arn:aws:rolesanywhere:us-east-1:123456789012:subject/s"}`

var expires = time.Now().Add(time.Hour).UTC().Truncate(time.Second)

// newProvider's requests go to handler, whatever their host.
func newProvider(t *testing.T, handler http.HandlerFunc, optFns ...func(*x509creds.Options)) *x509creds.Provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "t"}},
		&x509.Certificate{}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	options := func(o *x509creds.Options) {
		o.TrustAnchorARN, o.ProfileARN, o.RoleARN = "anchor", "profile", "role/a=b+c"
		o.Region = "us-east-1"
		o.HTTPClient = &http.Client{
			Transport:     roundTripper(handler),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return x509creds.New(key, []*x509.Certificate{cert}, append([]func(*x509creds.Options){options}, optFns...)...)
}

// roundTripper answers in process, so that the endpoint's real name is kept.
type roundTripper http.HandlerFunc

func (h roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	h(w, r)
	response := w.Result()
	response.Request = r
	return response, nil
}

func answer(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amzn-Requestid", "11111111-2222-3333-4444-555555555555")
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestRetrieve(t *testing.T) {
	t.Parallel()
	var got struct {
		Method, URL, ContentType, UserAgent string
		Body                                map[string]any
	}
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
		got.Method, got.URL = r.Method, r.URL.String()
		got.ContentType, got.UserAgent = r.Header.Get("Content-Type"), r.Header.Get("User-Agent")
		if err := json.NewDecoder(r.Body).Decode(&got.Body); err != nil {
			t.Error(err)
		}
		answer(201, fmt.Sprintf(success, expires.Format(time.RFC3339)))(w, r)
	}, func(o *x509creds.Options) { o.UserAgent = "eks-x509/test" })
	creds, err := p.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := aws.Credentials{AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: "secret", SessionToken: "token",
		Source: x509creds.ProviderName, CanExpire: true, Expires: expires}
	if diff := cmp.Diff(want, creds); diff != "" {
		t.Error(diff)
	}
	if got.Method != "POST" || got.URL != "https://rolesanywhere.us-east-1.amazonaws.com/sessions" || got.ContentType != "application/json" || got.UserAgent != "eks-x509/test" {
		t.Errorf("request %+v", got)
	}
	// The session's duration and name are sent only when asked for.
	wantBody := map[string]any{"trustAnchorArn": "anchor", "profileArn": "profile", "roleArn": "role/a=b+c"}
	if diff := cmp.Diff(wantBody, got.Body); diff != "" {
		t.Error(diff)
	}
}

func TestOptionsReachTheRequest(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, url, scopeRegion string
		option                 func(*x509creds.Options)
		extra                  map[string]any
	}{
		{"duration", "https://rolesanywhere.us-east-1.amazonaws.com/sessions", "us-east-1", func(o *x509creds.Options) { o.Duration = 15 * time.Minute }, map[string]any{"durationSeconds": 900.0}},
		{"session name", "https://rolesanywhere.us-east-1.amazonaws.com/sessions", "us-east-1", func(o *x509creds.Options) { o.RoleSessionName = "alice" }, map[string]any{"roleSessionName": "alice"}},
		{"FIPS", "https://rolesanywhere-fips.us-gov-west-1.amazonaws.com/sessions", "us-gov-west-1", func(o *x509creds.Options) { o.UseFIPS, o.Region = true, "us-gov-west-1" }, nil},
		{"dual-stack", "https://rolesanywhere.us-east-1.api.aws/sessions", "us-east-1", func(o *x509creds.Options) { o.UseDualStack = true }, nil},
		{"FIPS and dual-stack", "https://rolesanywhere-fips.us-east-1.api.aws/sessions", "us-east-1", func(o *x509creds.Options) { o.UseFIPS, o.UseDualStack = true, true }, nil},
		{"China", "https://rolesanywhere.cn-north-1.amazonaws.com.cn/sessions", "cn-north-1", func(o *x509creds.Options) { o.Region = "cn-north-1" }, nil},
		{"an endpoint with a path, which FIPS leaves alone", "https://vpce.example:8443/a/sessions", "us-east-1", func(o *x509creds.Options) { o.Endpoint, o.UseFIPS = "https://vpce.example:8443/a", true }, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.String() != row.url {
					t.Errorf("URL %s, want %s", r.URL, row.url)
				}
				if scope := "/" + row.scopeRegion + "/rolesanywhere/aws4_request"; !strings.Contains(r.Header.Get("Authorization"), scope) {
					t.Errorf("Authorization %q, want scope %q", r.Header.Get("Authorization"), scope)
				}
				body := map[string]any{}
				if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
					t.Error(err)
				}
				for k, v := range row.extra {
					if body[k] != v {
						t.Errorf("%s is %v, want %v", k, body[k], v)
					}
				}
				answer(201, fmt.Sprintf(success, expires.Format(time.RFC3339)))(w, r)
			}, row.option)
			if _, err := p.Retrieve(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	const id = ", request id 11111111-2222-3333-4444-555555555555)"
	long := strings.Repeat("x", 200)
	for _, row := range []struct {
		name    string
		handler http.HandlerFunc
		kind    x509creds.Kind
		text    string
		calls   int32
	}{
		{"a refusal keeps AWS's words", answer(403, `{"message":"Untrusted signing certificate"}`, "X-Amzn-ErrorType", "AccessDeniedException"),
			x509creds.Refused, "creating session: AccessDeniedException: Untrusted signing certificate (HTTP 403" + id, 1},
		{"a refusal that the SDK would try again", answer(403, `{"message":"Signature expired"}`, "X-Amzn-ErrorType", "RequestTimeTooSkewed"),
			x509creds.Refused, "creating session: RequestTimeTooSkewed: Signature expired (HTTP 403" + id, 1},
		{"a message with a capital letter and a code with a namespace", answer(400, `{"Message":"bad\nthing","__type":"com.amazonaws#ValidationException"}`),
			x509creds.Refused, "creating session: ValidationException: bad thing (HTTP 400" + id, 1},
		{"throttling is tried three times", answer(429, `{"message":"Rate exceeded"}`, "X-Amzn-ErrorType", "ThrottlingException"),
			x509creds.Refused, "creating session: ThrottlingException: Rate exceeded (HTTP 429" + id, 3},
		{"429 under any code is tried three times", answer(429, `{"message":"slow"}`, "X-Amzn-ErrorType", "Odd"),
			x509creds.Refused, "creating session: Odd: slow (HTTP 429" + id, 3},
		{"a server's fault is tried three times", answer(503, `{"message":"later"}`, "X-Amzn-ErrorType", "ServiceUnavailable"),
			x509creds.Unreachable, "creating session: ServiceUnavailable: later (HTTP 503" + id, 3},
		{"HTML with a title", answer(403, "\n<!doctype html><TITLE a=b>Blocked\n by proxy</TITLE>"),
			x509creds.Unreachable, `creating session: an HTML page instead of an answer from AWS, titled "Blocked by proxy" (HTTP 403` + id, 1},
		{"HTML without a title, with success", answer(201, "<p>"), x509creds.Unreachable, "creating session: an HTML page instead of an answer from AWS (HTTP 201" + id, 1},
		{"a long title is cut", answer(403, "<title>"+long+"</title>"), x509creds.Unreachable, fmt.Sprintf("creating session: an HTML page instead of an answer from AWS, titled %q (HTTP 403", long[:80]) + id, 1},
		{"a load balancer's page is tried three times", answer(502, "<html>"), x509creds.Unreachable, "creating session: an HTML page instead of an answer from AWS (HTTP 502" + id, 3},
		{"HTML behind a comment, as JSON", answer(403, "<!-- proxy -->\n<HTML>", "Content-Type", "application/json"), x509creds.Unreachable, "creating session: an HTML page instead of an answer from AWS (HTTP 403" + id, 1},
		{"XML, as HTML", answer(403, "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "Content-Type", "text/html"), x509creds.Unreachable, "creating session: XML instead of an answer from AWS (HTTP 403" + id, 1},
		{"JSON, as HTML", answer(403, `{"message":"no"}`, "Content-Type", "text/html", "X-Amzn-ErrorType", "AccessDeniedException"), x509creds.Refused, "creating session: AccessDeniedException: no (HTTP 403" + id, 1},
		{"JSON, as text, with a byte order mark", answer(403, "\xef\xbb\xbf"+`{"message":"no"}`, "Content-Type", "text/plain", "X-Amzn-ErrorType", "AccessDeniedException"), x509creds.Refused, "creating session: AccessDeniedException: no (HTTP 403" + id, 1},
		{"a redirect", answer(302, "", "Location", "https://portal.example/login"), x509creds.Unreachable, `creating session: a redirect instead of an answer from AWS, to "portal.example" (HTTP 302` + id, 1},
		{"a proxy's refusal in words", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403); _, _ = io.WriteString(w, "blocked") },
			x509creds.Unreachable, "creating session: an answer that is not from AWS (HTTP 403)", 1},
		{"a key with a line break", answer(201, strings.Replace(fmt.Sprintf(success, expires.Format(time.RFC3339)), "ASIAEXAMPLE", `ASIA\n`, 1)),
			x509creds.Malformed, "creating session: malformed credentials in the answer (request id 11111111-2222-3333-4444-555555555555)", 1},
		{"malformed JSON", answer(201, `{"credentialSet":[{"credentials":{"secretAccessKey":"hunter2"`), x509creds.Malformed, "creating session: malformed JSON in the answer (HTTP 201" + id, 1},
		{"another shape", answer(201, `{"credentialSet":"hunter2"}`), x509creds.Malformed, "creating session: malformed JSON in the answer (HTTP 201" + id, 1},
		{"an empty credential set", answer(201, `{"credentialSet":[]}`), x509creds.Malformed, "creating session: no credentials in the answer (empty credentialSet) (request id 11111111-2222-3333-4444-555555555555)", 1},
		{"an empty body", answer(201, ``), x509creds.Malformed, "creating session: no credentials in the answer (empty credentialSet) (request id 11111111-2222-3333-4444-555555555555)", 1},
		{"a credential without its token", answer(201, `{"credentialSet":[{"credentials":{"accessKeyId":"a","secretAccessKey":"hunter2"}}]}`), x509creds.Malformed, "creating session: incomplete credentials in the answer (request id 11111111-2222-3333-4444-555555555555)", 1},
		{"an expiration that is none", answer(201, fmt.Sprintf(success, "tomorrow")), x509creds.Malformed, "creating session: malformed expiration in the answer (request id 11111111-2222-3333-4444-555555555555)", 1},
		{"a session that is over", answer(201, fmt.Sprintf(success, "2001-01-01T00:00:00Z")), x509creds.Malformed, "creating session: the session in the answer ended at 2001-01-01T00:00:00Z by this machine's clock (request id 11111111-2222-3333-4444-555555555555)", 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			p := newProvider(t, func(w http.ResponseWriter, r *http.Request) { calls.Add(1); row.handler(w, r) })
			creds, err := p.Retrieve(t.Context())
			if creds != (aws.Credentials{}) {
				t.Errorf("credentials with an error: %v", creds.AccessKeyID)
			}
			e, ok := errors.AsType[*x509creds.Error](err)
			if !ok {
				t.Fatalf("got %T %v", err, err)
			}
			if e.Kind != row.kind || e.Error() != row.text {
				t.Errorf("kind %d %q\nwant %d %q", e.Kind, e.Error(), row.kind, row.text)
			}
			if calls.Load() != row.calls {
				t.Errorf("%d calls, want %d", calls.Load(), row.calls)
			}
			if strings.Contains(fmt.Sprintf("%+v", err), "hunter2") {
				t.Error("the error holds a secret")
			}
		})
	}
}

// What an answer is its bytes tell; proxies change content types.
func TestContentTypeDoesNotMatter(t *testing.T) {
	t.Parallel()
	body := fmt.Sprintf(success, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	for _, kind := range []string{"text/html", "text/plain; charset=utf-8", "application/xml", "application/octet-stream", "nonsense", ""} {
		for _, mark := range []string{"", "\xef\xbb\xbf", " \r\n"} {
			p := newProvider(t, answer(201, mark+body, "Content-Type", kind))
			if creds, err := p.Retrieve(t.Context()); err != nil || !creds.HasKeys() {
				t.Errorf("%q, %q: %v", kind, mark, err)
			}
		}
	}
}

func TestNoEndpoint(t *testing.T) {
	t.Parallel()
	for region, want := range map[string]string{
		"us-iso-east-1":  `creating session: finding Roles Anywhere endpoint of region "us-iso-east-1" (FIPS false, dual-stack true): `,
		"eusc-de-east-1": `creating session: no endpoint known for region "eusc-de-east-1": give one`,
	} {
		p := newProvider(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was made") },
			func(o *x509creds.Options) { o.Region, o.UseDualStack = region, true })
		_, err := p.Retrieve(t.Context())
		if e, ok := errors.AsType[*x509creds.Error](err); !ok || e.Kind != x509creds.Misconfigured || !strings.HasPrefix(e.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestClockSkewIsTakenFromTheAnswer(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	p := newProvider(t, answer(403, `{"message":"Invalid signature"}`, "X-Amzn-ErrorType", "AccessDeniedException", "Date", "Mon, 23 Nov 2026 12:07:00 GMT"),
		func(o *x509creds.Options) { o.Now = func() time.Time { return now } })
	_, err := p.Retrieve(t.Context())
	if e, ok := errors.AsType[*x509creds.Error](err); !ok || e.ClockSkew != 7*time.Minute {
		t.Errorf("got %+v", err)
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	_, err := newProvider(t, nil).Retrieve(ctx)
	e, ok := errors.AsType[*x509creds.Error](err)
	if !ok || e.Kind != x509creds.Unreachable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestPackedPolicySizeIsTold(t *testing.T) {
	t.Parallel()
	told := 0
	p := newProvider(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, success, expires.Format(time.RFC3339))
	}, func(o *x509creds.Options) { o.PackedPolicySize = func(percent int) { told = percent } })
	if _, err := p.Retrieve(t.Context()); err != nil || told != 10 {
		t.Errorf("told %d%%, %v", told, err)
	}
}
