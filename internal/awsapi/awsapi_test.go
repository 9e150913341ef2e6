package awsapi_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/eks-x509/eks-x509/internal/awsapi"
	"github.com/eks-x509/eks-x509/internal/minica"
	"github.com/eks-x509/eks-x509/internal/sandbox"
	"github.com/eks-x509/eks-x509/pkg/ekstoken"
	"github.com/eks-x509/eks-x509/pkg/x509creds"
)

// template holds the files of a new sandbox: an RSA key takes time to find.
var template = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "awsapi-test-*")
	if err != nil {
		return "", err
	}
	_, err = sandbox.New(sandbox.Options{Dir: dir})
	return dir, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := template(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// serve starts a sandbox; client is for a session in it.
func serve(t *testing.T) (*sandbox.Sandbox, awsapi.Client) {
	t.Helper()
	from, err := template()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := errors.Join(os.CopyFS(dir, os.DirFS(from)), os.Chmod(dir, 0o700)); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	s, err := sandbox.New(sandbox.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-s.Ready()

	a := s.Authority()
	api := awsapi.KubeAPI{CA: minica.CertificatePEM(a.TLS.Certificate)}
	client, err := api.Client()
	if err != nil {
		t.Fatal(err)
	}
	w := s.World()
	provider := x509creds.New(a.Client.Key, append([]*x509.Certificate{a.Client.Certificate}, a.Client.Chain...), func(o *x509creds.Options) {
		o.TrustAnchorARN, o.ProfileARN, o.RoleARN = w.TrustAnchors[0].ARN, w.Profiles[0].ARN, w.Roles[0].ARN
		o.Region, o.Endpoint, o.HTTPClient, o.Now = w.Region, s.URL(), client, time.Now
	})
	creds, err := provider.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s, awsapi.Client{
		HTTP: client, Credentials: creds, Region: w.Region, STSEndpoint: s.URL(), EKSEndpoint: s.URL() + "/", UserAgent: "test", Now: time.Now,
	}
}

func TestCallerIdentity(t *testing.T) {
	t.Parallel()
	s, c := serve(t)
	got, err := c.CallerIdentity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got.ARN, "arn:aws:sts::123456789012:assumed-role/eks-x509-sandbox/") || got.Account != "123456789012" || got.UserID == "" {
		t.Errorf("identity: %+v", got)
	}
	if time.Since(got.Date).Abs() > time.Minute {
		t.Errorf("date: %s", got.Date)
	}
	requests := s.Requests()
	if last := requests[len(requests)-1]; last.UserAgent != "test" || last.Operation != "GetCallerIdentity" {
		t.Errorf("request: %+v", last)
	}
}

func TestDescribeCluster(t *testing.T) {
	t.Parallel()
	s, c := serve(t)
	got, err := c.DescribeCluster(t.Context(), "sandbox")
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := pem.Decode(got.CertificateAuthority); block == nil {
		t.Errorf("no certificate authority: %q", got.CertificateAuthority)
	}
	want := awsapi.Cluster{
		Name: "sandbox", ARN: "arn:aws:eks:us-east-1:123456789012:cluster/sandbox", Status: "ACTIVE", Version: "1.34",
		Endpoint: s.URL() + "/k8s/sandbox", CertificateAuthority: got.CertificateAuthority, AuthenticationMode: "API",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	creating, err := c.DescribeCluster(t.Context(), "creating")
	if err != nil || creating.Status != "CREATING" || creating.Endpoint != "" || len(creating.CertificateAuthority) != 0 {
		t.Errorf("a cluster in the making: %+v, %v", creating, err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	_, c := serve(t)
	stranger, late := c, c
	stranger.Credentials.AccessKeyID = "ASIASTRANGERAAAAAAAA"
	late.Now = func() time.Time { return time.Now().Add(time.Hour) }
	identity := func(c awsapi.Client) error { _, err := c.CallerIdentity(t.Context()); return err }
	describe := func(name string) func(awsapi.Client) error {
		return func(c awsapi.Client) error { _, err := c.DescribeCluster(t.Context(), name); return err }
	}
	for _, tt := range []struct {
		name   string
		client awsapi.Client
		ask    func(awsapi.Client) error
		want   string // of the message, up to the request id
	}{
		{"a cluster that is not there", c, describe("x"), "EKS refused: ResourceNotFoundException: No cluster found for name: x. (HTTP 404, request id "},
		{"STS does not know the key", stranger, identity, "STS refused: InvalidClientTokenId: The security token included in the request is invalid"},
		{"EKS does not know the key", stranger, describe("sandbox"), "EKS refused: UnrecognizedClientException: The security token included in the request is invalid"},
		{"our clock is an hour ahead", late, identity, "STS refused: SignatureDoesNotMatch: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.ask(tt.client)
			e, ok := errors.AsType[*awsapi.Error](err)
			if !ok || e.Kind != awsapi.Refused || !strings.HasPrefix(e.Error(), tt.want) {
				t.Fatalf("got %v", err)
			}
			if tt.name == "our clock is an hour ahead" && (e.ClockSkew+time.Hour).Abs() > time.Minute {
				t.Errorf("skew: %s", e.ClockSkew)
			}
		})
	}
	if err := describe("a/b")(c); err == nil || !strings.Contains(err.Error(), `invalid cluster name "a/b"`) {
		t.Errorf("a name with a slash: %v", err)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fault, want string
		kind        awsapi.Kind
		calls       int
	}{
		{"GetCallerIdentity:status=503*2", "", 0, 3},
		{"GetCallerIdentity:drop*1", "", 0, 2},
		{"GetCallerIdentity:throttle", "STS refused: Throttling: Rate exceeded (HTTP 429, request id ", awsapi.Refused, 3},
		{"GetCallerIdentity:status=500", "asking STS: InternalServerException: Internal failure (HTTP 500, request id ", awsapi.Unreachable, 3},
		{"GetCallerIdentity:status=403", "STS refused: AccessDeniedException: Access denied (HTTP 403, request id ", awsapi.Refused, 1},
		{"GetCallerIdentity:malformed", "asking STS: malformed answer (HTTP 200, request id ", awsapi.Malformed, 1},
		{"GetCallerIdentity:empty", "asking STS: no identity in the answer (HTTP 200, request id ", awsapi.Malformed, 1},
		{"GetCallerIdentity:html", `asking STS: an HTML page instead of an answer, titled "Access denied" (HTTP 403, request id `, awsapi.Unreachable, 1},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			t.Parallel()
			s, c := serve(t)
			f, err := sandbox.ParseFault(tt.fault)
			if err != nil {
				t.Fatal(err)
			}
			s.SetFaults([]sandbox.Fault{f})
			_, err = c.CallerIdentity(t.Context())
			checkError(t, err, tt.kind, tt.want)
			calls := len(slices.DeleteFunc(s.Requests(), func(e sandbox.Entry) bool { return e.Operation != "GetCallerIdentity" }))
			if calls != tt.calls {
				t.Errorf("%d calls, want %d", calls, tt.calls)
			}
		})
	}
}

// checkError wants the kind and how the message begins; no message: no error.
func checkError(t *testing.T, err error, kind awsapi.Kind, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	e, ok := errors.AsType[*awsapi.Error](err)
	if !ok || e.Kind != kind || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want kind %d and %q", err, kind, want)
	}
}

// TestAnswers has answers that the sandbox does not give.
func TestAnswers(t *testing.T) {
	t.Parallel()
	const xmlIdentity = `<?xml version="1.0"?><GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">` +
		`<GetCallerIdentityResult><Arn>arn:aws:sts::1:assumed-role/r/s</Arn><UserId>A:s</UserId><Account>1</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`
	for _, tt := range []struct {
		name   string
		status int
		header http.Header
		body   string
		kind   awsapi.Kind
		want   string
	}{
		{"an identity in XML", 200, http.Header{"Content-Type": {"text/xml"}}, xmlIdentity, 0, ""},
		{"a refusal in XML", 403, nil, "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not\n allowed</Message></Error></ErrorResponse>",
			awsapi.Refused, "STS refused: AccessDenied: not allowed (HTTP 403)"},
		{"a code with its namespace in the body", 400, nil, `{"__type":"com.amazon#ValidationException","message":"no"}`,
			awsapi.Refused, "STS refused: ValidationException: no (HTTP 400)"},
		{"a code with an address in the header", 400, http.Header{"X-Amzn-Errortype": {"ValidationException:http://internal/"}}, `{"message":"no"}`,
			awsapi.Refused, "STS refused: ValidationException: no (HTTP 400)"},
		{"a refusal without words", 403, nil, ``, awsapi.Refused, "STS refused: Forbidden (HTTP 403)"},
		{"a redirect", 302, http.Header{"Location": {"https://portal.example/login?secret"}}, ``,
			awsapi.Unreachable, `asking STS: a redirect instead of an answer, to "portal.example" (HTTP 302)`},
		{"a page that says it is fine", 200, http.Header{"Content-Type": {"text/html"}}, `<p>welcome`, awsapi.Unreachable, "asking STS: an HTML page instead of an answer (HTTP 200)"},
		{"an identity in JSON, as HTML", 200, http.Header{"Content-Type": {"text/html; charset=utf-8"}}, `{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Arn":"arn:aws:sts::123456789012:assumed-role/R/S","Account":"123456789012","UserId":"U"}}}`, 0, ""},
		{"an identity in XML, as HTML", 200, http.Header{"Content-Type": {"text/html"}}, xmlIdentity, 0, ""},
		{"an identity in JSON, as an image, with a byte order mark", 200, http.Header{"Content-Type": {"image/png"}}, "\ufeff" + `{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Arn":"arn:aws:sts::123456789012:assumed-role/R/S","Account":"123456789012","UserId":"U"}}}`, 0, ""},
		{"a refusal in JSON, as HTML", 403, http.Header{"Content-Type": {"text/html"}}, `{"__type":"AccessDenied","message":"no"}`, awsapi.Refused, "STS refused: AccessDenied: no (HTTP 403)"},
		{"a page, as JSON", 403, http.Header{"Content-Type": {"application/json"}}, "<!-- x --> <HTML>", awsapi.Unreachable, "asking STS: an HTML page instead of an answer (HTTP 403)"},
		{"words, as HTML", 403, http.Header{"Content-Type": {"text/html"}}, "blocked", awsapi.Unreachable, "asking STS: text instead of an answer (HTTP 403)"},
		{"more than is read", 200, nil, strings.Repeat("x", 1<<20+1), awsapi.Malformed, "asking STS: an answer of more than 1048576 bytes (HTTP 200)"},
		{"a message that commands the terminal", 400, nil, `{"code":"X","message":"a\u001b[2Jb"}`, awsapi.Refused, "STS refused: X: a\\x1b[2Jb (HTTP 400)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for name, values := range tt.header {
					w.Header()[name] = values
				}
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			}))
			t.Cleanup(server.Close)
			client := server.Client()
			client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			c := awsapi.Client{HTTP: client, Credentials: aws.Credentials{AccessKeyID: "A", SecretAccessKey: "B"}, Region: "us-east-1", STSEndpoint: server.URL, Now: time.Now}
			_, err := c.CallerIdentity(t.Context())
			checkError(t, err, tt.kind, tt.want)
		})
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	at := ln.Addr().String()
	c := awsapi.Client{HTTP: http.DefaultClient, Region: "us-east-1", EKSEndpoint: "http://" + at, Now: time.Now}
	_, err = c.DescribeCluster(t.Context(), "x")
	checkError(t, err, awsapi.Unreachable, "asking EKS: reaching "+at+": dial tcp "+at+": ")

	s, hung := serve(t)
	s.SetFaults([]sandbox.Fault{{Operation: "*", Kind: "hang"}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = hung.CallerIdentity(ctx)
	checkError(t, err, awsapi.Unreachable, "asking STS: reaching "+strings.TrimPrefix(s.URL(), "https://")+": no answer in time: context deadline exceeded")
}

func TestEKSHost(t *testing.T) {
	t.Parallel()
	// As the SDK's rules give (service/eks v1.105.5).
	for _, tt := range []struct {
		region     string
		fips, dual bool
		want       string
	}{
		{"eu-central-1", false, false, "eks.eu-central-1.amazonaws.com"},
		{"us-east-1", true, false, "fips.eks.us-east-1.amazonaws.com"},
		{"us-east-1", false, true, "eks.us-east-1.api.aws"},
		{"us-east-1", true, true, "eks-fips.us-east-1.api.aws"},
		{"us-gov-west-1", false, false, "eks.us-gov-west-1.amazonaws.com"},
		{"us-gov-west-1", true, false, "eks.us-gov-west-1.amazonaws.com"},
		{"us-gov-west-1", true, true, "eks-fips.us-gov-west-1.api.aws"},
		{"cn-north-1", false, false, "eks.cn-north-1.amazonaws.com.cn"},
		{"cn-north-1", true, false, "eks-fips.cn-north-1.amazonaws.com.cn"},
		{"cn-north-1", false, true, "eks.cn-north-1.api.amazonwebservices.com.cn"},
		{"us-iso-east-1", false, false, "eks.us-iso-east-1.c2s.ic.gov"},
		{"eusc-de-east-1", false, false, "eks.eusc-de-east-1.amazonaws.eu"},
	} {
		if got, err := awsapi.EKSHost(tt.region, tt.fips, tt.dual); err != nil || got != tt.want {
			t.Errorf("%s fips=%t dual=%t: %q, %v; want %q", tt.region, tt.fips, tt.dual, got, err, tt.want)
		}
	}
	if _, err := awsapi.EKSHost("evil.example/", false, false); err == nil || !strings.Contains(err.Error(), "invalid region") {
		t.Errorf("no region: %v", err)
	}
	if _, err := awsapi.EKSHost("us-iso-east-1", false, true); err == nil || !strings.Contains(err.Error(), "unsupported dual-stack EKS endpoint") {
		t.Errorf("dual-stack in iso: %v", err)
	}
}

func TestKubeAPI(t *testing.T) {
	t.Parallel()
	s, c := serve(t)
	token, err := ekstoken.New(c.Credentials, ekstoken.Options{Cluster: "sandbox", Region: c.Region, SignedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	k := awsapi.KubeAPI{Server: s.URL() + "/k8s/sandbox", CA: minica.CertificatePEM(s.Authority().TLS.Certificate), Token: token.Value, Now: time.Now}
	user, err := k.WhoAmI(t.Context())
	if err != nil || !strings.HasPrefix(user.Username, "sandbox:") || !slices.Contains(user.Groups, "view") || len(user.Extra["accessKeyId"]) != 1 {
		t.Fatalf("user: %+v, %v", user, err)
	}
	for _, tt := range []struct {
		verb, resource string
		want           bool
	}{{"get", "pods", true}, {"delete", "pods", false}} {
		if got, err := k.Can(t.Context(), tt.verb, "", tt.resource, "default"); err != nil || got != tt.want {
			t.Errorf("can %s %s: %t, %v", tt.verb, tt.resource, got, err)
		}
	}
	rules, err := k.Rules(t.Context(), "default")
	if err != nil || !rules.Allow("get", "", "pods") || rules.Allow("delete", "", "pods") {
		t.Errorf("rules: %+v, %v", rules, err)
	}
	if v, err := k.Version(t.Context()); err != nil || !strings.HasPrefix(v, "v1.34") {
		t.Errorf("version: %q, %v", v, err)
	}

	bad, plain, untrusted, noCA := k, k, k, k
	bad.Token += "x"
	_, err = bad.WhoAmI(t.Context())
	checkError(t, err, awsapi.Refused, "the cluster refused: Unauthorized (HTTP 401, request id ")
	plain.Server = "http://127.0.0.1:1"
	_, err = plain.WhoAmI(t.Context())
	checkError(t, err, awsapi.Malformed, "asking the cluster: invalid server URL: https is needed")
	untrusted.CA = minica.CertificatePEM(s.Authority().Root.Certificate)
	_, err = untrusted.WhoAmI(t.Context())
	checkError(t, err, awsapi.Unreachable, "asking the cluster: reaching "+strings.TrimPrefix(s.URL(), "https://")+": tls: failed to verify certificate")
	noCA.CA = []byte("none")
	_, err = noCA.WhoAmI(t.Context())
	checkError(t, err, awsapi.Malformed, "asking the cluster: no certificate found in the cluster's certificate authority")
	if strings.Contains(k.GoString(), token.Value) {
		t.Error("the token is shown")
	}
}
