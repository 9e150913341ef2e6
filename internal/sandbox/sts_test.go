package sandbox

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const identityForm = "Action=GetCallerIdentity&Version=2011-06-15"

// callerFromXML reads an answer of STS; code is empty on success.
func callerFromXML(t *testing.T, got answer) (arn, code, message string) {
	t.Helper()
	var body struct {
		ARN     string `xml:"GetCallerIdentityResult>Arn"`
		Code    string `xml:"Error>Code"`
		Message string `xml:"Error>Message"`
	}
	if err := xml.Unmarshal(got.Body.Bytes(), &body); err != nil {
		t.Fatalf("%v: %s", err, got.Body)
	}
	return body.ARN, body.Code, body.Message
}

func TestGetCallerIdentity(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	session := newSession(t, s, nil)
	plainURL := session.presign(noon)
	plainURL.values["X-Amz-SignedHeaders"] = "host"
	for name, r := range map[string]*http.Request{
		"POST, at the loopback name": session.request("sts", "POST", "/", identityForm).sign(t),
		"GET, at the loopback name":  session.request("sts", "GET", "/?"+identityForm, "").sign(t),
		"POST, at STS's name":        at(session.request("sts", "POST", "/", identityForm), stsHost).sign(t),
		"POST, at the FIPS name":     at(session.request("sts", "POST", "/", identityForm), "sts-fips.us-east-1.amazonaws.com").sign(t),
		"POST, at the global name":   at(session.request("sts", "POST", "/", identityForm), "sts.amazonaws.com").sign(t),
		"presigned":                  hosted(httptest.NewRequest("GET", "/?"+plainURL.query(), nil), stsHost),
		"another region":             inRegion(at(session.request("sts", "POST", "/", identityForm), "sts.eu-west-1.amazonaws.com"), "eu-west-1").sign(t),
	} {
		got := do(s, r)
		if arn, code, message := callerFromXML(t, got); got.Code != 200 || arn != session.arn {
			t.Errorf("%s: %d %q %s %s", name, got.Code, arn, code, message)
		}
	}
}

func at(q *request, host string) *request {
	q.host = host
	return q
}

func inRegion(q *request, region string) *request {
	q.region = region
	return q
}

func hosted(r *http.Request, host string) *http.Request {
	r.Host = host
	return r
}

func TestGetCallerIdentityInJSON(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	session := newSession(t, s, func(m map[string]any) { m["roleArn"] = s.World().Roles[1].ARN })
	q := session.request("sts", "POST", "/", identityForm)
	q.header.Set("Accept", "application/json")
	got := do(s, q.sign(t))
	var body map[string]map[string]map[string]string
	if err := json.Unmarshal(got.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	serial := strings.TrimPrefix(session.arn, "arn:aws:sts::123456789012:assumed-role/eks-x509-path/") // without the role's path
	want := map[string]map[string]map[string]string{"GetCallerIdentityResponse": {
		"GetCallerIdentityResult": {"Account": "123456789012", "Arn": session.arn, "UserId": "AROASANDBOXAAAAAAAAA2:" + serial},
		"ResponseMetadata":        {"RequestId": got.Header().Get("X-Amzn-Requestid")},
	}}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Error(diff)
	}
	q = session.request("sts", "POST", "/", identityForm)
	q.header.Set("Accept", "application/json")
	q.secret = "wrong"
	if got := do(s, q.sign(t)); !strings.HasPrefix(got.Body.String(), `{"Error":{"Type":"Sender","Code":"SignatureDoesNotMatch",`) {
		t.Errorf("%s", got.Body)
	}
}

func TestGetCallerIdentityRefuses(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	session := newSession(t, s, nil)
	other := newSession(t, s, nil)
	later := func(f func(*http.Request)) func(*request) { return func(q *request) { q.afterSigning = f } }
	for name, row := range map[string]struct {
		change func(*request)
		want   string
	}{
		"another secret": {func(q *request) { q.secret = other.secret }, "403 SignatureDoesNotMatch The request signature we calculated"},
		"another key":    {func(q *request) { q.keyID = other.id }, "403 InvalidClientTokenId The security token included in the request is invalid."},
		"an unknown key": {func(q *request) { q.keyID = "ASIAAAAAAAAAAAAAAAAA" }, "403 InvalidClientTokenId "},
		"another token":  {func(q *request) { q.header.Set("X-Amz-Security-Token", other.token) }, "403 InvalidClientTokenId "},
		"no token":       {func(q *request) { q.header.Del("X-Amz-Security-Token") }, "403 InvalidClientTokenId "},
		"token not signed": {
			func(q *request) { q.signed = []string{"content-type", "host", "x-amz-date"} }, "403 SignatureDoesNotMatch ",
		},
		"host not signed": {
			func(q *request) { q.signed = []string{"content-type", "x-amz-date", "x-amz-security-token"} }, "403 SignatureDoesNotMatch ",
		},
		"no Authorization":  {later(func(r *http.Request) { r.Header.Del("Authorization") }), "403 MissingAuthenticationToken Request is missing Authentication Token"},
		"two of them":       {later(func(r *http.Request) { r.Header.Add("Authorization", "x") }), "400 IncompleteSignature "},
		"a Bearer":          {later(func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }), "400 IncompleteSignature "},
		"another body":      {later(replaceBody(identityForm + "&x=y")), "403 SignatureDoesNotMatch The request signature we calculated"},
		"another algorithm": {func(q *request) { q.algorithm = "AWS4-X509-RSA-SHA256" }, "403 SignatureDoesNotMatch "},
		"another service":   {func(q *request) { q.service = "eks" }, "403 SignatureDoesNotMatch Credential should be scoped to a valid region"},
		"another region":    {func(q *request) { q.region = "us-west-2" }, "403 SignatureDoesNotMatch Credential should be scoped to a valid region"},
		"no region":         {func(q *request) { q.region = "nowhere" }, "403 SignatureDoesNotMatch Credential should be scoped to a valid region"},
		"another partition": {
			func(q *request) { q.region, q.host = "cn-north-1", "sts.cn-north-1.amazonaws.com.cn" },
			"403 SignatureDoesNotMatch Credential should be scoped to a valid region",
		},
		"another day":           {func(q *request) { q.scopeDate = "20261122" }, "403 SignatureDoesNotMatch Credential should be scoped to a valid region"},
		"no date":               {later(func(r *http.Request) { r.Header.Del("X-Amz-Date") }), "400 IncompleteSignature "},
		"a malformed date":      {func(q *request) { q.date = "20261123T120000.0Z" }, "400 IncompleteSignature Date must be"},
		"too old":               {func(q *request) { q.time = noon.Add(-301 * time.Second) }, "403 SignatureDoesNotMatch Signature expired: 20261123T115459Z"},
		"too young":             {func(q *request) { q.time = noon.Add(301 * time.Second) }, "403 SignatureDoesNotMatch Signature not yet current: "},
		"a wrong hash":          {func(q *request) { q.header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }, "403 SignatureDoesNotMatch "},
		"another action":        {func(q *request) { q.body = "Action=AssumeRole&Version=2011-06-15" }, "400 InvalidAction Could not find operation AssumeRole"},
		"another version":       {func(q *request) { q.body = "Action=GetCallerIdentity&Version=1" }, "400 InvalidAction Could not find operation GetCallerIdentity"},
		"both ways of signing":  {func(q *request) { q.target = "/?X-Amz-Signature=0" }, "400 IncompleteSignature "},
		"an ill-encoded query":  {func(q *request) { q.target = "/?a=%2f" }, "400 IncompleteSignature "},
		"an action given twice": {func(q *request) { q.body += "&Action=GetCallerIdentity"; q.host = stsHost }, "400 InvalidAction "},
		"another HTTP method":   {func(q *request) { q.method, q.target, q.body = "PUT", "/?"+identityForm, "" }, "400 InvalidAction "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := session.request("sts", "POST", "/", identityForm)
			row.change(q)
			got := do(s, q.sign(t))
			_, code, message := callerFromXML(t, got)
			if line := strconv.Itoa(got.Code) + " " + code + " " + message; !strings.HasPrefix(line, row.want) {
				t.Errorf("got  %s\nwant %s", line, row.want)
			}
		})
	}
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	now := noon
	s := newSandbox(t, Options{Now: func() time.Time { return now }})
	session := newSession(t, s, nil)
	for _, row := range []struct {
		after time.Duration
		code  string
	}{{time.Hour - time.Second, ""}, {time.Hour, "ExpiredToken"}} {
		now = noon.Add(row.after)
		q := session.request("sts", "POST", "/", identityForm)
		q.time = now
		if _, code, _ := callerFromXML(t, do(s, q.sign(t))); code != row.code {
			t.Errorf("after %v: %q", row.after, code)
		}
		q = session.request("eks", "GET", "/clusters", "")
		q.time = now
		if row.code != "" {
			row.code += "Exception"
		}
		if got := do(s, q.sign(t)); got.Header().Get("X-Amzn-Errortype") != row.code {
			t.Errorf("after %v: %v", row.after, got.Body)
		}
	}
}

func TestPresignedAge(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	session := newSession(t, s, nil)
	for _, row := range []struct {
		age  time.Duration
		want string
	}{
		{0, ""},
		{15 * time.Minute, ""},
		{15*time.Minute + time.Second, "RequestExpired"},
		{-5 * time.Minute, ""},
		{-5*time.Minute - time.Second, "RequestExpired"},
	} {
		p := session.presign(noon.Add(-row.age))
		p.values["X-Amz-SignedHeaders"] = "host"
		got := do(s, hosted(httptest.NewRequest("GET", "/?"+p.query(), nil), stsHost))
		if _, code, message := callerFromXML(t, got); code != row.want {
			t.Errorf("%v old: %q %q", row.age, code, message)
		}
	}
}

func TestEKS(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	session := newSession(t, s, nil)
	for name, row := range map[string]struct {
		change func(*request)
		want   string // beginning of the answer
	}{
		"list":                 {nil, `200  {"clusters":["sandbox","creating","aws-auth"],"nextToken":null}`},
		"list at EKS's name":   {func(q *request) { q.host = "eks.us-east-1.amazonaws.com" }, `200  {"clusters":["sandbox","creating","aws-auth"]`},
		"list at the FIPS one": {func(q *request) { q.host = "fips.eks.us-east-1.amazonaws.com" }, `200  {"clusters":["sandbox","creating","aws-auth"]`},
		"list elsewhere":       {func(q *request) { q.region = "eu-west-1" }, `200  {"clusters":[],`},
		"a parameter":          {func(q *request) { q.target += "?maxResults=100" }, `200  {"clusters":["sandbox",`},
		"describe":             {func(q *request) { q.target += "/sandbox" }, `200  {"cluster":{"accessConfig":`},
		"one in the making":    {func(q *request) { q.target += "/creating" }, `200  {"cluster":{"accessConfig":`},
		"no such cluster": {
			func(q *request) { q.target += "/other" },
			`404 ResourceNotFoundException {"message":"No cluster found for name: other."}`,
		},
		"a cluster elsewhere": {
			func(q *request) { q.target += "/sandbox"; q.region = "eu-west-1" }, `404 ResourceNotFoundException `,
		},
		"unknown path": {func(q *request) { q.target += "/sandbox/addons" }, `404 UnknownOperationException `},
		"another region at EKS's name": {
			func(q *request) { q.region, q.host = "eu-west-1", "eks.us-east-1.amazonaws.com" },
			`403 InvalidSignatureException {"message":"Credential should be scoped`,
		},
		"another service": {func(q *request) { q.service = "sts" }, `403 InvalidSignatureException `},
		"another secret":  {func(q *request) { q.secret = "x" }, `403 InvalidSignatureException `},
		"another key":     {func(q *request) { q.keyID = "AKIAX" }, `403 UnrecognizedClientException `},
		"POST":            {func(q *request) { q.method = "POST" }, `404 UnknownOperationException `},
		"not signed": {
			func(q *request) { q.afterSigning = func(r *http.Request) { r.Header.Del("Authorization") } },
			`403 MissingAuthenticationTokenException `,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := session.request("eks", "GET", "/clusters", "")
			if row.change != nil {
				row.change(q)
			}
			got := do(s, q.sign(t))
			line := strings.Join([]string{got.Result().Status[:3], got.Header().Get("X-Amzn-Errortype"), got.Body.String()}, " ")
			if !strings.HasPrefix(line, row.want) {
				t.Errorf("got  %s\nwant %s", line, row.want)
			}
		})
	}
}

func TestDescribeCluster(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	serve(t, s, false)
	w := s.World()
	elsewhere := Cluster{Name: "elsewhere", Region: "us-east-1", Status: "ACTIVE", Version: "1.33", Endpoint: "https://cluster.example.com", CertificateAuthorityData: "Q0E="}
	w.Clusters = append(w.Clusters, elsewhere)
	if err := s.SetWorld(w); err != nil {
		t.Fatal(err)
	}
	session := newSession(t, s, nil)
	type cluster struct {
		Name, ARN, Endpoint, Status, Version string
		CertificateAuthority                 struct{ Data []byte }
	}
	const prefix = "arn:aws:eks:us-east-1:123456789012:cluster/"
	own := cluster{Name: "sandbox", Status: "ACTIVE", Version: "1.34", ARN: prefix + "sandbox", Endpoint: s.URL() + "/k8s/sandbox"}
	own.CertificateAuthority.Data = []byte(read(t, s, "tls-ca.pem"))
	given := cluster{Name: "elsewhere", Status: "ACTIVE", Version: "1.33", ARN: prefix + "elsewhere", Endpoint: elsewhere.Endpoint}
	given.CertificateAuthority.Data = []byte("CA")
	for _, want := range []cluster{own, given, {Name: "creating", Status: "CREATING", Version: "1.34", ARN: prefix + "creating"}} {
		got := do(s, session.request("eks", "GET", "/clusters/"+want.Name, "").sign(t))
		var body struct{ Cluster cluster }
		if err := json.Unmarshal(got.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, body.Cluster); diff != "" {
			t.Error(diff)
		}
	}
}

func TestRoleDeniedEKS(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	session := newSession(t, s, func(m map[string]any) { m["roleArn"] = rolePrefix + "no-describe" })
	for target, want := range map[string]string{
		"/clusters/sandbox": "eks:DescribeCluster on resource: arn:aws:eks:us-east-1:123456789012:cluster/sandbox",
		"/clusters/missing": "eks:DescribeCluster on resource: arn:aws:eks:us-east-1:123456789012:cluster/missing",
		"/clusters":         "eks:ListClusters on resource: arn:aws:eks:us-east-1:123456789012:cluster/*",
	} {
		got := do(s, session.request("eks", "GET", target, "").sign(t))
		want = "User: " + session.arn + " is not authorized to perform: " + want
		if got.Code != http.StatusForbidden || got.Header().Get("X-Amzn-Errortype") != "AccessDeniedException" || got.message != want {
			t.Errorf("%d %s %s", got.Code, got.Header(), got.message)
		}
	}
}
