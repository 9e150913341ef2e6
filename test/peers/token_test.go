package peers

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awsv1 "github.com/aws/aws-sdk-go/aws"
	credentialsv1 "github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/endpoints"
	"github.com/aws/aws-sdk-go/aws/session"
	stsv1 "github.com/aws/aws-sdk-go/service/sts"
	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/aws-iam-authenticator/pkg/token"

	"github.com/eks-x509/eks-x509/internal/minica"
	"github.com/eks-x509/eks-x509/internal/sandbox"
)

const (
	tokenPrefix = "k8s-aws-v1."
	dateFormat  = "20060102T150405Z"
	stsHost     = "sts.us-east-1.amazonaws.com"
)

// environ leads our program to the sandbox as on a network that has a proxy: every AWS endpoint keeps its name.
func (s *testSandbox) environ() []string {
	w := s.World()
	return []string{
		"HTTPS_PROXY=" + s.proxy(), s.caBundle(),
		"EKS_X509_CERTIFICATE=" + filepath.Join(s.dir, "client-chain.pem"), "EKS_X509_PRIVATE_KEY=" + filepath.Join(s.dir, "client.key"),
		"EKS_X509_TRUST_ANCHOR_ARN=" + w.TrustAnchors[0].ARN, "EKS_X509_PROFILE_ARN=" + w.Profiles[0].ARN, "EKS_X509_ROLE_ARN=" + w.Roles[0].ARN,
	}
}

func (s *testSandbox) serialHex() string {
	return hex.EncodeToString(s.Authority().Client.Certificate.SerialNumber.Bytes())
}

// ourToken has our program print a token for the cluster "sandbox".
func ourToken(t *testing.T, env []string, args ...string) string {
	t.Helper()
	env = slices.Concat(shared.sandbox.environ(), env)
	r := runProgram(t, env, "", requireEKSX509(t), append([]string{"token", "--cluster-name", "sandbox", "--token-only"}, args...)...)
	if r.code != 0 {
		t.Fatalf("exit status %d\n%s", r.code, r.stderr)
	}
	return strings.TrimSuffix(r.stdout, "\n")
}

// ourCredentials are of a session that our program made.
func ourCredentials(t *testing.T) credentialProcess {
	t.Helper()
	return parseCredentials(t, runProgram(t, shared.sandbox.environ(), "", requireEKSX509(t), "credential-process"))
}

// authenticatorToken is what `aws-iam-authenticator token` makes of these credentials.
func authenticatorToken(t *testing.T, c credentialProcess, region string) string {
	t.Helper()
	s, err := session.NewSession(&awsv1.Config{
		Region: &region, STSRegionalEndpoint: endpoints.RegionalSTSEndpoint,
		HTTPClient:  new(http.Client), // the default client it would change, where AWS_CA_BUNDLE is set
		Credentials: credentialsv1.NewStaticCredentials(c.AccessKeyId, c.SecretAccessKey, c.SessionToken),
	})
	if err != nil {
		t.Fatal(err)
	}
	generator, err := token.NewGenerator(false, false)
	if err != nil {
		t.Fatal(err)
	}
	made, err := generator.GetWithSTS("sandbox", stsv1.New(s))
	if err != nil {
		t.Fatal(err)
	}
	return made.Token
}

// tokenSignedAt has the SDK's own signer make a token of that moment.
func tokenSignedAt(t *testing.T, c credentialProcess, at time.Time) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "https://"+stsHost+"/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Expires=60", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-K8s-Aws-Id", "sandbox")
	creds, err := c.provider().Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), creds, r, emptyHash, "sts", "us-east-1", at)
	if err != nil {
		t.Fatal(err)
	}
	return encode(signed)
}

func encode(u string) string { return tokenPrefix + base64.RawURLEncoding.EncodeToString([]byte(u)) }

func decode(t *testing.T, token string) *url.URL {
	t.Helper()
	encoded, ok := strings.CutPrefix(token, tokenPrefix)
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || !ok {
		t.Fatal("not a token")
	}
	u, err := url.Parse(string(raw))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func parameterNames(u *url.URL) []string { return slices.Sorted(maps.Keys(u.Query())) }

// review asks the sandbox, as a cluster's API server would.
func review(t *testing.T, token string) (status int, username, message string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": map[string]string{"token": token},
	})
	if err != nil {
		t.Fatal(err)
	}
	status, answer := post(t, shared.sandbox.URL()+"/authenticate?cluster=sandbox", string(body))
	var got struct {
		Status struct {
			User  struct{ Username string }
			Error string
		}
	}
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		t.Fatal(err)
	}
	return status, got.Status.User.Username, got.Status.Error
}

// checkAccepted has both verifiers say whose token it is: the role and session of the sandbox's client.
func checkAccepted(t *testing.T, made string) {
	t.Helper()
	s := shared.sandbox
	keyID, _, _ := strings.Cut(decode(t, made).Query().Get("X-Amz-Credential"), "/")
	issued := slices.ContainsFunc(s.Requests(), func(e sandbox.Entry) bool {
		return e.Operation == "CreateSession" && e.AccessKeyID == keyID && e.SessionName == s.serialHex()
	})
	if !issued {
		t.Errorf("access key id %q is of no session of this client", keyID)
	}
	want := &token.Identity{
		ARN:          "arn:aws:sts::123456789012:assumed-role/eks-x509-sandbox/" + s.serialHex(),
		CanonicalARN: roleARN + "eks-x509-sandbox",
		AccountID:    "123456789012",
		UserID:       s.World().Roles[0].RoleID,
		SessionName:  s.serialHex(),
		AccessKeyID:  keyID,
	}
	got, err := shared.verifier.Verify(made)
	if err != nil {
		t.Fatalf("the authenticator: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	status, username, message := review(t, made)
	if status != http.StatusOK || username != "sandbox:"+s.serialHex() {
		t.Errorf("the sandbox: %d, user %q, %s", status, username, message)
	}
}

func TestTokenPassesAuthenticatorsVerifier(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name       string
		env, args  []string
		host       string
		fresh      bool
		unverified string // what the authenticator, in this version, has against the host
	}{
		{name: "plain", host: stsHost},
		{name: "another region", args: []string{"--region", "eu-central-1"}, host: "sts.eu-central-1.amazonaws.com"},
		{name: "FIPS", env: []string{"AWS_USE_FIPS_ENDPOINT=true"}, host: "sts-fips.us-east-1.amazonaws.com"},
		{name: "dual-stack", env: []string{"AWS_USE_DUALSTACK_ENDPOINT=true"}, host: "sts.us-east-1.api.aws",
			unverified: `input token was not properly formatted: unexpected hostname "sts.us-east-1.api.aws" in pre-signed URL`},
		{name: "fresh", args: []string{"--fresh"}, host: stsHost, fresh: true},
		{name: "an endpoint for CreateSession", env: []string{"AWS_ENDPOINT_URL=" + shared.sandbox.URL()}, host: stsHost},
		{name: "an endpoint for STS", env: []string{"AWS_ENDPOINT_URL_STS=https://sts.example"}, host: stsHost},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			made := ourToken(t, row.env, row.args...)
			u := decode(t, made)
			if u.Host != row.host {
				t.Errorf("host %q, want %q", u.Host, row.host)
			}
			signed, err := time.Parse(dateFormat, u.Query().Get("X-Amz-Date"))
			if err != nil {
				t.Fatal(err)
			}
			age := time.Since(signed)
			if row.fresh && age > time.Minute || !row.fresh && (age > 6*time.Minute || signed.Unix()%300 != 0) {
				t.Errorf("signed at %s, %s ago", signed, age)
			}
			if row.unverified == "" {
				checkAccepted(t, made)
				return
			}
			if _, err := shared.verifier.Verify(made); err == nil || err.Error() != row.unverified {
				t.Errorf("the authenticator: %v, want %s", err, row.unverified)
			}
			if status, username, message := review(t, made); status != http.StatusOK || username == "" {
				t.Errorf("the sandbox: %d, user %q, %s", status, username, message)
			}
		})
	}
}

// The other way round, and across: each tool's credentials, the authenticator's own generator, and both verifiers.
func TestAuthenticatorsTokenPasses(t *testing.T) {
	t.Parallel()
	s := shared.sandbox
	helperArgs := slices.Concat([]string{"credential-process"}, s.flags(), files{t.TempDir(), s.Authority().Client}.pem(t, keyPEM(t, minica.KeyPEM, s.Authority().Client.Key)))
	for _, row := range []struct {
		name        string
		credentials func(*testing.T) credentialProcess
		region      string
	}{
		{"our credentials", ourCredentials, "us-east-1"},
		{"our credentials, another region", ourCredentials, "eu-central-1"},
		{"the helper's credentials", func(t *testing.T) credentialProcess {
			return parseCredentials(t, runProgram(t, []string{s.caBundle()}, "", requireAWSHelper(t), helperArgs...))
		}, "us-east-1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			made := authenticatorToken(t, row.credentials(t), row.region)
			checkAccepted(t, made)

			theirs, ours := decode(t, made), decode(t, ourToken(t, nil, "--region", row.region))
			if theirs.Host != ours.Host || !slices.Equal(parameterNames(theirs), parameterNames(ours)) {
				t.Errorf("the authenticator's token is for host %q with %q, ours for %q with %q",
					theirs.Host, parameterNames(theirs), ours.Host, parameterNames(ours))
			}
			for _, name := range []string{"Action", "Version", "X-Amz-Algorithm", "X-Amz-SignedHeaders"} {
				if got, want := ours.Query().Get(name), theirs.Query().Get(name); got != want {
					t.Errorf("%s is %q, the authenticator's %q", name, got, want)
				}
			}
		})
	}
}
