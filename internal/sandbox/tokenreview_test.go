package sandbox

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func review(t testing.TB, s *Sandbox, target, body string) (int, tokenReview) {
	t.Helper()
	got := do(s, hosted(httptest.NewRequest("POST", target, strings.NewReader(body)), loopback))
	var out tokenReview
	if err := json.Unmarshal(got.Body.Bytes(), &out); err != nil {
		t.Fatalf("%v: %s", err, got.Body)
	}
	return got.Code, out
}

func spec(token string) string {
	return `{"spec":{"token":` + mustJSON(token) + `}}`
}

func mustJSON(s string) string {
	data, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func TestTokenReview(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	session := newSession(t, s, func(m map[string]any) {
		m["profileArn"], m["roleSessionName"] = s.World().Profiles[1].ARN, "alice@example.com"
	})
	good := token(session.presign(noon).url())
	want := &kubernetesUser{
		Username: "sandbox:alice-example.com", UID: "aws-iam-authenticator:123456789012:AROASANDBOXAAAAAAAAA1", Groups: []string{"view"},
		Extra: map[string][]string{
			"accessKeyId":  {session.id},
			"arn":          {"arn:aws:sts::123456789012:assumed-role/eks-x509-sandbox/alice@example.com"},
			"canonicalArn": {"arn:aws:iam::123456789012:role/eks-x509-sandbox"},
			"principalId":  {"AROASANDBOXAAAAAAAAA1"},
			"sessionName":  {"alice@example.com"},
			"sigs.k8s.io/aws-iam-authenticator/principalId": {"AROASANDBOXAAAAAAAAA1"},
		},
	}
	for name, row := range map[string]struct{ target, body, apiVersion string }{
		"bare":      {"/authenticate", spec(good), "authentication.k8s.io/v1"},
		"v1":        {"/authenticate", `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview",` + spec(good)[1:], "authentication.k8s.io/v1"},
		"v1beta1":   {"/authenticate?cluster=sandbox", `{"apiVersion":"authentication.k8s.io/v1beta1","kind":"TokenReview",` + spec(good)[1:], "authentication.k8s.io/v1beta1"},
		"audiences": {"/authenticate", `{"metadata":{},"spec":{"audiences":["x"],"token":` + mustJSON(good) + `}}`, "authentication.k8s.io/v1"},
	} {
		status, got := review(t, s, row.target, row.body)
		if diff := cmp.Diff(tokenReview{row.apiVersion, "TokenReview", nil, &tokenReviewStatus{Authenticated: true, User: want}}, got); status != 200 || diff != "" {
			t.Errorf("%s: %d %s", name, status, diff)
		}
	}
}

func TestTokenReviewRendersMappings(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	w := s.World()
	w.Clusters[0].Mappings = []Mapping{{RoleARN: w.Roles[1].ARN, Username: "{{AccountID}}:{{SessionNameRaw}}", Groups: []string{"k-{{AccessKeyID}}"}}}
	if err := s.SetWorld(w); err != nil {
		t.Fatal(err)
	}
	session := newSession(t, s, func(m map[string]any) {
		m["roleArn"], m["profileArn"], m["roleSessionName"] = w.Roles[1].ARN, w.Profiles[1].ARN, "a@b"
	})
	_, got := review(t, s, "/authenticate", spec(token(session.presign(noon).url())))
	if u := got.Status.User; u == nil || u.Username != "123456789012:a@b" || u.Groups[0] != "k-"+session.id {
		t.Errorf("%+v", got.Status)
	}
}

func TestTokenReviewRefusesTokens(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	w := s.World()
	session := newSession(t, s, nil)
	unmapped := newSession(t, s, func(m map[string]any) { m["roleArn"] = rolePrefix + "unmapped" })
	large := newSession(t, s, func(m map[string]any) { m["profileArn"] = w.Profiles[4].ARN })
	const format = "input token was not properly formatted: "
	const mismatch = "sts getCallerIdentity failed: SignatureDoesNotMatch: "
	const badCredential = format + "X-Amz-Credential parameter does not fit"

	// value changes one parameter, signed; its absence is "-".
	value := func(name, value string) func(*presigned) string {
		return func(p *presigned) string {
			p.values[name] = value
			if value == "-" {
				delete(p.values, name)
			}
			return p.url()
		}
	}
	host := func(host, region string) func(*presigned) string {
		return func(p *presigned) string {
			p.host = host
			p.values["X-Amz-Credential"] = session.id + "/20261123/" + region + "/sts/aws4_request"
			return p.url()
		}
	}
	replace := func(old, new string) func(*presigned) string {
		return func(p *presigned) string {
			if !strings.Contains(p.url(), old) {
				t.Errorf("no %q in the URL", old)
			}
			return strings.Replace(p.url(), old, new, 1)
		}
	}
	date := func(d time.Duration) func(*presigned) string {
		return func(p *presigned) string { return session.presign(noon.Add(d)).url() }
	}
	for name, row := range map[string]struct {
		url  func(*presigned) string
		want string // "" is success
	}{
		"good":                               {(*presigned).url, ""},
		"a scheme in upper case":             {replace("https", "HTTPS"), ""},
		"FIPS":                               {host("sts-fips.us-east-1.amazonaws.com", "us-east-1"), ""},
		"dual-stack":                         {host("sts.us-east-1.api.aws", "us-east-1"), ""},
		"FIPS and dual-stack":                {host("sts-fips.us-east-1.api.aws", "us-east-1"), ""},
		"global":                             {host("sts.amazonaws.com", "us-east-1"), ""},
		"another region":                     {host("sts.eu-west-1.amazonaws.com", "eu-west-1"), ""},
		"15 minutes old":                     {date(-15 * time.Minute), ""},
		"5 minutes in the future":            {date(5 * time.Minute), ""},
		"expires 900":                        {value("X-Amz-Expires", "900"), ""},
		"expires 0":                          {value("X-Amz-Expires", "0"), ""},
		"http":                               {replace("https", "http"), format + `unexpected scheme "http"`},
		"user information":                   {replace("https://", "https://user:pw@"), format + "user information"},
		"a fragment":                         {func(p *presigned) string { return p.url() + "#f" }, format + "fragment"},
		"an empty fragment":                  {func(p *presigned) string { return p.url() + "#" }, format + "fragment"},
		"a port":                             {host("sts.us-east-1.amazonaws.com:443", "us-east-1"), format + `unexpected hostname "sts.us-east-1.amazonaws.com:443"`},
		"a host in upper case":               {host("STS.us-east-1.amazonaws.com", "us-east-1"), format + "unexpected hostname"},
		"a host with a dot":                  {host("sts.us-east-1.amazonaws.com.", "us-east-1"), format + "unexpected hostname"},
		"a VPC endpoint":                     {host("vpce-1-a.sts.us-east-1.vpce.amazonaws.com", "us-east-1"), format + "unexpected hostname"},
		"a foreign host":                     {host("sts.us-east-1.example.com", "us-east-1"), format + "unexpected hostname"},
		"a host run together with the query": {func(*presigned) string { return "https://" + stsHost + "&Action=x" }, format + "malformed hostname in pre-signed URL"},
		"the loopback name":                  {host("127.0.0.1", "us-east-1"), format + "unexpected hostname"},
		"another service":                    {host("iam.us-east-1.amazonaws.com", "us-east-1"), format + "unexpected hostname"},
		"an unknown region":                  {host("sts.xx-nowhere-9.amazonaws.com", "xx-nowhere-9"), format + "unexpected hostname"},
		"aws-global":                         {host("sts.aws-global.amazonaws.com", "aws-global"), format + "unexpected hostname"},
		"China":                              {host("sts.cn-north-1.amazonaws.com.cn", "cn-north-1"), format + "unexpected hostname"},
		"GovCloud":                           {host("sts.us-gov-west-1.amazonaws.com", "us-gov-west-1"), format + "unexpected hostname"},
		"a suffix of another":                {host("sts.us-east-1.amazonaws.com.cn", "us-east-1"), format + "unexpected hostname"},
		"no path":                            {replace("/?", "?"), format + "unexpected path in pre-signed URL"},
		"another path":                       {replace("/?", "/x?"), format + "unexpected path in pre-signed URL"},
		"an escaped path":                    {replace("/?", "/%2F?"), format + "unexpected path in pre-signed URL"},
		"a raw semicolon":                    {replace("host%3Bx", "host;x"), format + "malformed query parameter"},
		"a plus for a space":                 {replace("2011-06-15", "2011+06-15"), format + "malformed query parameter"},
		"an escape in lower case":            {replace("host%3Bx", "host%3bx"), format + "malformed query parameter"},
		"not a URL":                          {func(*presigned) string { return "https://\x00" }, format + "token does not hold a URL"},
		"nothing":                            {func(*presigned) string { return "" }, format + `unexpected scheme ""`},
		"a parameter twice":                  {func(p *presigned) string { return p.url() + "&Action=GetCallerIdentity" }, format + `query parameter with multiple values not supported: "Action"`},
		"twice in another case":              {func(p *presigned) string { return p.url() + "&action=GetCallerIdentity" }, format + `query parameter with multiple values not supported: "action"`},
		"lower-case names":                   {replace("Action=", "action="), format + `non-whitelisted query parameter "action"`},
		"an extra parameter":                 {value("Foo", "x"), format + `non-whitelisted query parameter "Foo"`},
		"another action":                     {value("Action", "AssumeRole"), format + "unexpected action parameter"},
		"no action":                          {value("Action", "-"), format + "unexpected action parameter"},
		"cluster id not signed":              {value("X-Amz-SignedHeaders", "host"), format + `signed headers are "host"`},
		"more headers signed":                {value("X-Amz-SignedHeaders", "accept;host;x-k8s-aws-id"), format + "signed headers are"},
		"expires 901":                        {value("X-Amz-Expires", "901"), format + "invalid X-Amz-Expires"},
		"expires +60":                        {value("X-Amz-Expires", "+60"), format + "invalid X-Amz-Expires"},
		"no expiry":                          {value("X-Amz-Expires", "-"), format + "invalid X-Amz-Expires"},
		"no date":                            {value("X-Amz-Date", "-"), format + "X-Amz-Date parameter must be present"},
		"a date with a fraction":             {value("X-Amz-Date", "20261123T120000.5Z"), format + "X-Amz-Date parameter must be present"},
		"more than 15 minutes old":           {date(-15*time.Minute - time.Second), format + "X-Amz-Date parameter is expired"},
		"far in the future":                  {date(5*time.Minute + time.Second), format + "X-Amz-Date parameter is expired or not yet current"},
		"another version":                    {value("Version", "2011-06-16"), format + "unexpected version"},
		"another algorithm":                  {value("X-Amz-Algorithm", "AWS4-HMAC-SHA512"), format + "unexpected X-Amz-Algorithm"},
		"no credential":                      {value("X-Amz-Credential", "-"), badCredential},
		"another region's scope":             {value("X-Amz-Credential", session.id+"/20261123/us-west-2/sts/aws4_request"), badCredential},
		"another day's scope":                {value("X-Amz-Credential", session.id+"/20261122/us-east-1/sts/aws4_request"), badCredential},
		"another service's scope":            {value("X-Amz-Credential", session.id+"/20261123/us-east-1/eks/aws4_request"), badCredential},
		"no signature":                       {func(p *presigned) string { return strings.Split(p.url(), "&X-Amz-Signature")[0] }, format + "malformed X-Amz-Signature"},
		"an empty signature":                 {func(p *presigned) string { return strings.Split(p.url(), "&X-Amz-Signature")[0] + "&X-Amz-Signature=" }, format + "malformed X-Amz-Signature"},
		"a signature cut short":              {func(p *presigned) string { return p.url()[:len(p.url())-1] }, format + "malformed X-Amz-Signature"},
		"another cluster":                    {func(p *presigned) string { p.cluster = "creating"; return p.url() }, mismatch},
		"another secret":                     {func(p *presigned) string { p.secret = unmapped.secret; return p.url() }, mismatch},
		"another host's signature": {func(p *presigned) string {
			return strings.Replace(p.url(), stsHost, "sts-fips.us-east-1.amazonaws.com", 1)
		}, mismatch},
		"another session token":     {value("X-Amz-Security-Token", unmapped.token), "sts getCallerIdentity failed: InvalidClientTokenId: "},
		"no session token":          {value("X-Amz-Security-Token", "-"), "sts getCallerIdentity failed: InvalidClientTokenId: "},
		"an unknown key":            {value("X-Amz-Credential", "ASIAAAAAAAAAAAAAAAAA/20261123/us-east-1/sts/aws4_request"), "sts getCallerIdentity failed: InvalidClientTokenId: "},
		"a role that is not mapped": {func(*presigned) string { return unmapped.presign(noon).url() }, "identity is not mapped"},
		"a large session token":     {func(*presigned) string { return large.presign(noon).url() }, format + "token is too large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkReview(t, s, token(row.url(session.presign(noon))), row.want)
		})
	}
	url := session.presign(noon).url()
	good := token(url)
	for name, row := range map[string]struct{ token, want string }{
		"no token":              {"", format + `token is missing expected "k8s-aws-v1." prefix`},
		"another prefix":        {"k8s-aws-v2." + good[len(tokenPrefix):], format + `token is missing expected "k8s-aws-v1." prefix`},
		"padding":               {good + "=", format + "token is not base64url"},
		"the standard alphabet": {tokenPrefix + "+/+/", format + "token is not base64url"},
		"a newline within":      {good[:40] + "\n" + good[40:], format + "token is not base64url"},
		"a newline at the end":  {good + "\n", format + "token is not base64url"},
		"stray bits":            {tokenPrefix + "AB", format + "token is not base64url"},
		"4097 bytes":            {tokenPrefix + strings.Repeat("A", 4097-len(tokenPrefix)), format + "token is too large"},
		"4096 bytes":            {tokenPrefix + strings.Repeat("A", 4096-len(tokenPrefix)), format + "token is not base64url"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkReview(t, s, row.token, row.want)
		})
	}
}

func checkReview(t *testing.T, s *Sandbox, token, want string) {
	t.Helper()
	status, got := review(t, s, "/authenticate", spec(token))
	if want == "" {
		if status != http.StatusOK || !got.Status.Authenticated {
			t.Errorf("%d %+v", status, got.Status)
		}
		return
	}
	if status != http.StatusForbidden || got.Status.Authenticated || got.Status.User != nil || !strings.HasPrefix(got.Status.Error, want) {
		t.Errorf("%d %+v, want %q", status, got.Status, want)
	}
}

func TestTokenReviewRefusesRequests(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	good := spec(token(newSession(t, s, nil).presign(noon).url()))
	for name, row := range map[string]struct {
		target, body string
		status       int
		message      string
	}{
		"no JSON":            {"/authenticate", "x", 400, "expected a valid TokenReview"},
		"no spec":            {"/authenticate", "{}", 400, "expected a valid TokenReview"},
		"another kind":       {"/authenticate", `{"kind":"Pod",` + good[1:], 400, "expected a valid TokenReview"},
		"another apiVersion": {"/authenticate", `{"apiVersion":"v1",` + good[1:], 400, "expected a valid TokenReview"},
		"no such cluster":    {"/authenticate?cluster=x", good, 403, "no such cluster"},
		"another cluster":    {"/authenticate?cluster=creating", good, 403, "sts getCallerIdentity failed: SignatureDoesNotMatch"},
	} {
		if status, got := review(t, s, row.target, row.body); status != row.status || got.Status.Authenticated || !strings.HasPrefix(got.Status.Error, row.message) {
			t.Errorf("%s: %d %+v", name, status, got.Status)
		}
	}
	got := do(s, hosted(httptest.NewRequest("GET", "/authenticate", nil), loopback))
	if got.Code != http.StatusMethodNotAllowed || !strings.Contains(got.Body.String(), `"error":"expected POST"`) {
		t.Errorf("GET: %d %s", got.Code, got.Body)
	}
}

func TestParseHost(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]struct {
		service, region, partition string
		accepted                   bool // in a token, by EKS
	}{
		"sts.us-west-2.amazonaws.com":                 {"sts", "us-west-2", "aws", true},
		"sts-fips.ap-southeast-4.amazonaws.com":       {"sts", "ap-southeast-4", "aws", true},
		"sts.cn-northwest-1.amazonaws.com.cn":         {"sts", "cn-northwest-1", "aws-cn", true},
		"sts.cn-north-1.api.amazonwebservices.com.cn": {"sts", "cn-north-1", "aws-cn", true},
		"sts.us-gov-west-1.amazonaws.com":             {"sts", "us-gov-west-1", "aws-us-gov", true},
		"sts-fips.us-gov-west-1.amazonaws.com":        {"sts", "us-gov-west-1", "aws-us-gov", false},
		"sts.us-gov-east-1.api.aws":                   {"sts", "us-gov-east-1", "aws-us-gov", true},
		"sts.us-iso-east-1.c2s.ic.gov":                {"sts", "us-iso-east-1", "aws-iso", true},
		"sts.us-iso-east-1.api.aws.ic.gov":            {"sts", "us-iso-east-1", "aws-iso", false},
		"sts.us-isob-east-1.sc2s.sgov.gov":            {"sts", "us-isob-east-1", "aws-iso-b", true},
		"sts.eu-isoe-west-1.cloud.adc-e.uk":           {"sts", "eu-isoe-west-1", "aws-iso-e", true},
		"sts.us-isof-south-1.csp.hci.ic.gov":          {"sts", "us-isof-south-1", "aws-iso-f", true},
		"sts.eusc-de-east-1.amazonaws.eu":             {"sts", "eusc-de-east-1", "aws-eusc", true},
		"sts.eusc-de-east-1.api.amazonwebservices.eu": {"sts", "eusc-de-east-1", "aws-eusc", true},
		"rolesanywhere-fips.us-east-1.amazonaws.com":  {"rolesanywhere", "us-east-1", "aws", false},
		"rolesanywhere.mx-central-1.api.aws":          {"rolesanywhere", "mx-central-1", "aws", false},
		"fips.eks.us-east-2.amazonaws.com":            {"eks", "us-east-2", "aws", false},
		"sts.us-east-1.amazonaws.com.example.com":     {},
		"sts.us-east-1.sts.us-east-1.amazonaws.com":   {},
		"us-east-1.amazonaws.com":                     {},
		".us-east-1.amazonaws.com":                    {},
		"sts.us-iso-east-1.amazonaws.com":             {},
		"":                                            {},
	} {
		e, ok := parseHost(host)
		if !ok {
			e = endpoint{partition: &partition{}}
		}
		if e.service != want.service || e.region != want.region || e.partition.id != want.partition || ok && e.acceptedByEKS() != want.accepted || ok != (want.service != "") {
			t.Errorf("%q: %+v %v", host, e, ok)
		}
	}
}
