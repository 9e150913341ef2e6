package sandbox

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/eks-x509/eks-x509/internal/minica"
	"github.com/google/go-cmp/cmp"
)

func TestCreateSession(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	for _, kind := range []string{"rsa2048", "rsa3072", "rsa4096", "p256", "p384", "p521"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			p := leaf(t, s, kind, func(t *minica.Template) {
				t.Serial = big.NewInt(0x0abc)
				t.Subject.OrganizationalUnit = []string{"Security", "Research"}
				t.DNSNames = []string{"a.example", "b.example"}
			})
			got := do(s, createRequest(s, p, nil).sign(t))
			if got.Code != http.StatusCreated || got.Header().Get("X-Amzn-Requestid") == "" {
				t.Fatalf("%d %v %s", got.Code, got.Header(), got.Body)
			}
			var out createSessionOutput
			if err := json.Unmarshal(got.Body.Bytes(), &out); err != nil {
				t.Fatal(err)
			}
			c := out.CredentialSet[0].Credentials
			if len(c.AccessKeyID) != 20 || len(c.SecretAccessKey) != 40 || len(c.SessionToken) != defaultSessionTokenLength {
				t.Errorf("sizes of %q: %d, %d", c.AccessKeyID, len(c.SecretAccessKey), len(c.SessionToken))
			}
			out.CredentialSet[0].Credentials = credentials{Expiration: c.Expiration}
			want := credentialSet{
				AssumedRoleUser:  assumedRoleUser{"arn:aws:sts::123456789012:assumed-role/eks-x509-sandbox/0abc", "AROASANDBOXAAAAAAAAA1:0abc"},
				Credentials:      credentials{Expiration: "2026-11-23T13:00:00Z"},
				PackedPolicySize: out.CredentialSet[0].PackedPolicySize,
				RoleARN:          s.World().Roles[0].ARN,
				SourceIdentity:   "CN=alice",
			}
			if diff := cmp.Diff([]credentialSet{want}, out.CredentialSet); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCreateSessionFromQuery(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	w := s.World()
	for name, row := range map[string]struct {
		target, body string
		status       int
		message      string
	}{
		"all in the query": {target: "roleArn=ROLE&profileArn=PROFILE&trustAnchorArn=ANCHOR&durationSeconds=900", status: 201},
		"as AWS's helper":  {target: "profileArn=PROFILE&roleArn=ROLE&trustAnchorArn=ANCHOR", body: `{"durationSeconds":3600}`, status: 201},
		"one in both": {
			target: "profileArn=PROFILE&roleArn=ROLE&trustAnchorArn=ANCHOR", body: `{"roleArn":"ROLE"}`,
			status: 400, message: `parameter "roleArn" is given twice`,
		},
		"one twice in the query": {target: "roleArn=ROLE&roleArn=ROLE", status: 400, message: `parameter "roleArn" is given twice`},
		"unknown in the query":   {target: "x=y", status: 400, message: `unknown parameter "x"`},
		"lower-case escapes":     {target: "roleArn=arn%3aaws", status: 400, message: `query parameter "roleArn" is not encoded as RFC 3986 and SigV4 want`},
		"not a number":           {target: "durationSeconds=x", status: 400, message: `malformed parameter "durationSeconds"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fill := func(s string, f func(string) string) string {
				return strings.NewReplacer("ROLE", f(w.Roles[0].ARN), "PROFILE", f(w.Profiles[0].ARN), "ANCHOR", f(w.TrustAnchors[0].ARN)).Replace(s)
			}
			q := createRequest(s, s.ca.Client, nil)
			q.target, q.body = "/sessions?"+fill(row.target, escape), fill(row.body, strings.Clone)
			if got := do(s, q.sign(t)); got.Code != row.status || !strings.HasPrefix(got.message, row.message) {
				t.Errorf("%d %s", got.Code, got.Body)
			}
		})
	}
}

// An alias names the trust anchor or the profile; a trust policy is compared with the ID.
func TestCreateSessionByAlias(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	w := s.World()
	id, alias := w.TrustAnchors[0].ARN, aliasARN(w.TrustAnchors[0].ARN, w.TrustAnchors[0].AliasName)
	profile := aliasARN(w.Profiles[0].ARN, w.Profiles[0].AliasName)
	for name, row := range map[string]struct {
		anchor, profile, condition string
		status                     int
	}{
		"both by ID":                {id, w.Profiles[0].ARN, id, 201},
		"both by alias":             {alias, profile, id, 201},
		"the policy has the alias":  {alias, profile, alias, 403},
		"an alias's case counts":    {strings.Replace(alias, "/sandbox", "/Sandbox", 1), profile, id, 404},
		"an alias of nothing":       {alias + "x", profile, id, 404},
		"an ID where an alias is":   {strings.Replace(id, "trust-anchor/", "alias/trust-anchor/", 1), profile, id, 404},
		"an alias where an ID is":   {strings.Replace(alias, "alias/", "", 1), profile, id, 404},
		"profile's in the anchor's": {profile, profile, id, 400},
	} {
		world := s.World()
		world.Roles[0].TrustPolicy = []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"rolesanywhere.amazonaws.com"},` +
			`"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"],"Condition":{"ArnEquals":{"aws:SourceArn":"` + row.condition + `"}}}]}`)
		if err := s.SetWorld(world); err != nil {
			t.Fatal(err)
		}
		q := createRequest(s, s.ca.Client, nil)
		q.target = "/sessions?profileArn=" + escape(row.profile) + "&roleArn=" + escape(w.Roles[0].ARN) + "&trustAnchorArn=" + escape(row.anchor)
		q.body = ""
		if got := do(s, q.sign(t)); got.Code != row.status {
			t.Errorf("%s: %d %s", name, got.Code, got.Body)
		}
	}
}

func TestWorldRefusesAliases(t *testing.T) {
	t.Parallel()
	for alias, ok := range map[string]bool{
		"prod": true, "Team-A/eu_1": true, strings.Repeat("a", 256): true, strings.Repeat("a", 257): false, "1a": false, "/a": false, "a/": false,
		"aws/x": false, "aws": true, "a b": false, "a.b": false, "sandbox": false, // which another one has
	} {
		w := DefaultWorld()
		w.TrustAnchors[1].AliasName = alias
		if err := w.validate(); ok != (err == nil) {
			t.Errorf("%q: %v", alias, err)
		}
	}
}

const (
	badSignature = "AccessDeniedException: Invalid signature"
	badLeaf      = "AccessDeniedException: Untrusted certificate. Insufficient certificate"
	badChain     = "AccessDeniedException: Untrusted signing certificate"
	noRole       = "AccessDeniedException: Unable to assume role for "
	badInput     = "ValidationException: "
)

// Each row spoils one thing.
func TestCreateSessionRefusesSignatures(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	p := leaf(t, s, "p256", nil)
	other := leaf(t, s, "p256", nil)
	without := func(name string) func(*request) {
		return func(q *request) {
			q.signed = nil
			q.sign(t)
			signed := q.signed[:0:0]
			for _, n := range q.signed {
				if n != name {
					signed = append(signed, n)
				}
			}
			q.signed = signed
		}
	}
	later := func(f func(*http.Request)) func(*request) { return func(q *request) { q.afterSigning = f } }
	header := func(name, value string) func(*request) { return func(q *request) { q.header.Set(name, value) } }
	spoil := func(f func(string) string) func(*request) { return func(q *request) { q.spoilSignature = f } }
	for name, row := range map[string]struct {
		change       func(*request)
		want, reason string
	}{
		"GET": {func(q *request) { q.method = "GET" }, "UnknownOperationException: Unknown operation", `no operation GET "/sessions"`},
		"no Authorization": {
			later(func(r *http.Request) { r.Header.Del("Authorization") }),
			"MissingAuthenticationTokenException: Missing Authentication Token", "no Authorization header",
		},
		"two Authorizations": {
			later(func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }),
			"IncompleteSignatureException: ", `header "Authorization" is there 2 times`,
		},
		"another scheme": {
			later(func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }),
			"IncompleteSignatureException: ", "malformed Authorization header",
		},
		"the algorithm of another key": {func(q *request) { q.algorithm = "AWS4-X509-RSA-SHA256" }, badSignature, `algorithm "AWS4-X509-RSA-SHA256" with a key for "AWS4-X509-ECDSA-SHA256"`},
		"ML-DSA":                       {func(q *request) { q.algorithm = "AWS4-X509-MLDSA" }, badSignature, `algorithm "AWS4-X509-MLDSA" with a key for`},
		"HMAC":                         {func(q *request) { q.algorithm = "AWS4-HMAC-SHA256" }, badSignature, `algorithm "AWS4-HMAC-SHA256" with a key for`},
		"the serial of another": {
			func(q *request) { q.keyID = other.Certificate.SerialNumber.String() }, badSignature, "serial ",
		},
		"the serial in hex":           {func(q *request) { q.keyID = p.Certificate.SerialNumber.Text(16) }, badSignature, "serial "},
		"the serial with a zero":      {func(q *request) { q.keyID = "0" + q.keyID }, badSignature, "serial "},
		"yesterday's scope":           {func(q *request) { q.scopeDate = "20261122" }, badSignature, `scope of day "20261122"`},
		"another region's scope":      {func(q *request) { q.region = "us-west-2" }, badSignature, `scope of region "us-west-2" at an endpoint of "us-east-1"`},
		"a FIPS region's scope":       {func(q *request) { q.region = "us-east-1-fips" }, badSignature, `scope of region "us-east-1-fips"`},
		"another service's scope":     {func(q *request) { q.service = "sts" }, badSignature, `scope of service "sts"`},
		"a date with a fraction":      {header("X-Amz-Date", "20261123T120000.0Z"), badSignature, `malformed X-Amz-Date`},
		"no date":                     {later(func(r *http.Request) { r.Header.Del("X-Amz-Date") }), "IncompleteSignatureException: ", `no header "X-Amz-Date"`},
		"too old":                     {func(q *request) { q.time = noon.Add(-301 * time.Second) }, "AccessDeniedException: Signature expired: 20261123T115459Z is now earlier than 20261123T115500Z (20261123T120000Z - 5 min.)", "Signature expired"},
		"too young":                   {func(q *request) { q.time = noon.Add(301 * time.Second) }, "AccessDeniedException: Signature not yet current: 20261123T120501Z", "Signature not yet"},
		"host not signed":             {without("host"), badSignature, `header "host" is not signed`},
		"Content-Type not signed":     {without("content-type"), badSignature, `header "content-type" is not signed`},
		"date not signed":             {without("x-amz-date"), badSignature, `header "x-amz-date" is not signed`},
		"certificate not signed":      {without("x-amz-x509"), badSignature, `header "x-amz-x509" is not signed`},
		"chain not signed":            {without("x-amz-x509-chain"), badSignature, `header "x-amz-x509-chain" is not signed`},
		"another x-amz- header added": {later(func(r *http.Request) { r.Header.Set("X-Amz-Foo", "x") }), badSignature, `header "x-amz-foo" is not signed`},
		"signed headers unsorted": {
			func(q *request) {
				q.signed = []string{"host", "content-type", "x-amz-date", "x-amz-x509", "x-amz-x509-chain"}
			},
			badSignature, `signed header "content-type" is out of order or repeated`,
		},
		"a signed header twice": {
			func(q *request) {
				q.signed = []string{"content-type", "host", "host", "x-amz-date", "x-amz-x509", "x-amz-x509-chain"}
			},
			badSignature, `signed header "host" is out of order or repeated`,
		},
		"a signed header that is not there": {
			func(q *request) {
				q.signed = []string{"a", "content-type", "host", "x-amz-date", "x-amz-x509", "x-amz-x509-chain"}
			},
			badSignature, `signed header "a" is not in the request`,
		},
		"another body":                     {func(q *request) { q.afterSigning = replaceBody(strings.Replace(q.body, "{", "{ ", 1)) }, badSignature, "ECDSA verification error"},
		"another Content-Type":             {later(func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=utf-8") }), badSignature, "ECDSA verification error"},
		"a wrong X-Amz-Content-Sha256":     {header("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), badSignature, "X-Amz-Content-Sha256 is not the hash of the body"},
		"a parameter added":                {later(func(r *http.Request) { r.RequestURI += "?sessionName=x" }), badSignature, "ECDSA verification error"},
		"no JSON":                          {header("Content-Type", "text/plain"), badInput, "Content-Type must be application/json"},
		"another certificate":              {header("X-Amz-X509", base64.StdEncoding.EncodeToString(other.Certificate.Raw)), badSignature, "serial "},
		"no certificate":                   {later(func(r *http.Request) { r.Header.Del("X-Amz-X509") }), badLeaf, `no header "X-Amz-X509"`},
		"two certificates":                 {later(func(r *http.Request) { r.Header.Add("X-Amz-X509", "x") }), badLeaf, `header "X-Amz-X509" is there 2 times`},
		"a certificate in PEM":             {header("X-Amz-X509", "-----BEGIN"), badLeaf, "malformed X-Amz-X509: illegal base64"},
		"base64 without padding":           {header("X-Amz-X509", "AA"), badLeaf, "malformed X-Amz-X509: illegal base64"},
		"base64 of nothing":                {header("X-Amz-X509", ""), badLeaf, "malformed X-Amz-X509: x509: malformed certificate"},
		"a malformed chain":                {header("X-Amz-X509-Chain", "AAAA, AAAA"), badLeaf, "malformed X-Amz-X509-Chain"},
		"a chain of six":                   {header("X-Amz-X509-Chain", "A,A,A,A,A,A"), badLeaf, "6 certificates in X-Amz-X509-Chain, at most 5"},
		"a signature in upper case":        {spoil(strings.ToUpper), "IncompleteSignatureException: ", "malformed Authorization header"},
		"a signature of odd length":        {spoil(func(s string) string { return s + "0" }), badSignature, "signature is not hex in lower case"},
		"a signature with trailing bytes":  {spoil(func(s string) string { return s + "00" }), badSignature, "ECDSA signature is not DER"},
		"a signature of r and s":           {spoil(func(s string) string { return strings.Repeat("01", 64) }), badSignature, "ECDSA signature is not DER"},
		"a signature of zeros":             {spoil(func(s string) string { return "3006020100020100" }), badSignature, "ECDSA verification error"},
		"a signature in BER":               {spoil(berLength), badSignature, "ECDSA signature is not DER"},
		"signed with a key not of its own": {func(q *request) { q.key = other.Key }, badSignature, "ECDSA verification error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := createRequest(s, p, nil)
			row.change(q)
			got := do(s, q.sign(t))
			checkRefusal(t, s, got, row.want, row.reason)
		})
	}
}

func replaceBody(body string) func(*http.Request) {
	return func(r *http.Request) {
		r.Body = http.NoBody
		*r = *r.Clone(r.Context())
		r.Body = readCloser{bytes.NewReader([]byte(body))}
		r.ContentLength = int64(len(body))
	}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// berLength writes the length of the outer SEQUENCE in two bytes where DER wants one.
func berLength(s string) string {
	raw, _ := hex.DecodeString(s)
	return hex.EncodeToString(append([]byte{raw[0], 0x81}, raw[1:]...))
}

// checkRefusal compares beginnings; the entry is found by the request id of the answer.
func checkRefusal(t *testing.T, s *Sandbox, got answer, want, reason string) {
	t.Helper()
	id := got.Header().Get("X-Amzn-Requestid")
	e := find(s.Requests(), func(e Entry) bool { return e.RequestID == id })
	if e == nil {
		t.Fatalf("request %q is not recorded", id)
	}
	if code := got.Header().Get("X-Amzn-Errortype"); !strings.HasPrefix(code+": "+got.message, want) || got.Code < 400 || e.Code != code || e.Message != got.message {
		t.Errorf("answer %d %s: %s (%s)\nwant %s", got.Code, code, got.message, e.Reason, want)
	}
	if !strings.HasPrefix(e.Reason, reason) || e.Reason == "" {
		t.Errorf("reason %q, want %q…", e.Reason, reason)
	}
}

func TestCreateSessionRefusesCertificates(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	rsaKey, err := minica.GenerateKey("rsa2048")
	if err != nil {
		t.Fatal(err)
	}
	root := minica.CA("foreign root")
	root.NotBefore, root.NotAfter = noon.Add(-time.Hour), noon.AddDate(1, 0, 0)
	foreign := &Sandbox{ca: &Authority{}}
	if foreign.ca.Root, err = minica.NewRoot(root, rsaKey); err != nil {
		t.Fatal(err)
	}
	if foreign.ca.Intermediate, err = foreign.ca.Root.Issue(minica.CA("foreign CA"), rsaKey); err != nil {
		t.Fatal(err)
	}
	expiredCA := minica.CA("expired CA")
	expiredCA.NotAfter = noon.Add(-time.Minute)
	notCA := minica.Leaf("not a CA")

	for name, row := range map[string]struct {
		issuer       *Sandbox
		ca           *minica.Template // issued by the root, and issuer of the leaf
		kind         string
		leaf         func(*minica.Template)
		change       func(*minica.Pair)
		want, reason string
	}{
		"version 1":        {leaf: func(t *minica.Template) { t.Version1 = true }, want: badLeaf, reason: "version 1 certificate"},
		"a CA":             {leaf: func(t *minica.Template) { t.IsCA = true }, want: badLeaf, reason: "a CA certificate as end entity"},
		"no keyUsage":      {leaf: func(t *minica.Template) { t.KeyUsage = 0 }, want: badLeaf, reason: "no keyUsage digitalSignature"},
		"another keyUsage": {leaf: func(t *minica.Template) { t.KeyUsage = x509.KeyUsageKeyEncipherment }, want: badLeaf, reason: "no keyUsage digitalSignature"},
		"SHA-1": {
			issuer: foreign, leaf: func(t *minica.Template) { t.SignatureAlgorithm = x509.SHA1WithRSA },
			want: badLeaf, reason: "certificate signed with SHA1-RSA",
		},
		"empty subject": {
			leaf: func(t *minica.Template) { t.Subject = pkix.Name{}; t.DNSNames = []string{"a.example"} },
			want: badLeaf, reason: "empty subject",
		},
		"Ed25519": {kind: "ed25519", want: badSignature, reason: "unsupported key of type Ed25519"},
		"expired": {
			leaf: func(t *minica.Template) { t.NotAfter = noon.Add(-time.Second) },
			want: "AccessDeniedException: Untrusted certificate. Certificate has expired", reason: "certificate expired at 2026-11-23T11:59:59Z",
		},
		"not yet valid": {
			leaf: func(t *minica.Template) { t.NotBefore = noon.Add(time.Second) },
			want: "AccessDeniedException: Untrusted certificate. Certificate is not yet valid", reason: "certificate is valid from 2026-11-23T12:00:01Z",
		},
		"intermediate not sent": {change: func(p *minica.Pair) { p.Chain = nil }, want: badChain, reason: `no chain from "CN=alice"`},
		"of another CA":         {issuer: foreign, want: badChain, reason: `no chain from "CN=alice", issued by "CN=foreign CA"`},
		"of another CA with its root": {
			issuer: foreign, change: func(p *minica.Pair) { p.Chain = append(p.Chain, foreign.ca.Root.Certificate) },
			want: badChain, reason: `no chain from "CN=alice"`,
		},
		"issued by an expired CA": {
			ca: &expiredCA, leaf: func(t *minica.Template) { t.NotAfter = noon.Add(time.Hour) },
			want: badChain, reason: `no chain from "CN=alice"`,
		},
		"issued by a leaf": {ca: &notCA, want: badChain, reason: `no chain from "CN=alice"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer, kind := s, "p256"
			if row.issuer != nil {
				issuer = row.issuer
			}
			if row.kind != "" {
				kind = row.kind
			}
			if row.ca != nil {
				ca, err := s.ca.Root.Issue(*row.ca, nil)
				if err != nil {
					t.Fatal(err)
				}
				issuer = &Sandbox{ca: &Authority{Intermediate: ca}}
			}
			p := leaf(t, issuer, kind, row.leaf)
			if row.change != nil {
				row.change(p)
			}
			q := createRequest(s, p, nil)
			if kind == "ed25519" {
				q.algorithm, q.key = "AWS4-X509-ED25519-SHA512", s.ca.Client.Key
			}
			checkRefusal(t, s, do(s, q.sign(t)), row.want, row.reason)
		})
	}
}

func TestCreateSessionAcceptsChains(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	p := leaf(t, s, "p256", nil)
	for name, chain := range map[string][]*x509.Certificate{
		"with the root":     {s.ca.Intermediate.Certificate, s.ca.Root.Certificate},
		"in another order":  {s.ca.Root.Certificate, s.ca.Intermediate.Certificate},
		"with the leaf too": {p.Certificate, s.ca.Intermediate.Certificate},
	} {
		q := createRequest(s, &minica.Pair{Certificate: p.Certificate, Key: p.Key, Chain: chain}, nil)
		if got := do(s, q.sign(t)); got.Code != http.StatusCreated {
			t.Errorf("%s: %d %s", name, got.Code, got.Body)
		}
	}
	noConstraints := leaf(t, s, "p256", func(t *minica.Template) { t.NoBasicConstraints, t.ExtKeyUsage = true, nil })
	if got := do(s, createRequest(s, noConstraints, nil).sign(t)); got.Code != http.StatusCreated {
		t.Errorf("no basicConstraints, no extended key usage: %d %s", got.Code, got.Body)
	}
}

func TestCreateSessionRefusesInput(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	w := s.World()
	with := func(name string, value any) func(map[string]any) {
		return func(m map[string]any) { m[name] = value }
	}
	profile := func(name string, more ...func(map[string]any)) func(map[string]any) {
		return func(m map[string]any) {
			m["profileArn"] = find(w.Profiles, func(p Profile) bool { return p.Name == name }).ARN
			for _, f := range more {
				f(m)
			}
		}
	}
	role := func(name string) func(map[string]any) { return with("roleArn", rolePrefix+name) }
	const exceeds = ". The requested DurationSeconds exceeds the MaxSessionDuration set for this role"
	for name, row := range map[string]struct {
		change       func(map[string]any)
		body         string
		want, reason string
	}{
		"no anchor":              {with("trustAnchorArn", nil), "", badInput + "trustAnchorArn is required", ""},
		"no profile":             {with("profileArn", ""), "", badInput + "profileArn is required", ""},
		"no role":                {with("roleArn", nil), "", badInput + "roleArn is required", ""},
		"a profile as anchor":    {with("trustAnchorArn", w.Profiles[0].ARN), "", badInput + "trustAnchorArn: malformed ARN ", ""},
		"an ARN of a user":       {with("roleArn", "arn:aws:iam::123456789012:user/x"), "", badInput + "roleArn: malformed ARN ", ""},
		"an ARN without name":    {with("roleArn", "arn:aws:iam::123456789012:role/"), "", badInput + "roleArn: malformed ARN ", ""},
		"an anchor elsewhere":    {with("trustAnchorArn", strings.Replace(w.TrustAnchors[0].ARN, defaultRegion, "us-west-2", 1)), "", badInput + "trustAnchorArn ", ""},
		"a profile elsewhere":    {with("profileArn", strings.Replace(w.Profiles[0].ARN, defaultRegion, "us-west-2", 1)), "", badInput + "profileArn ", ""},
		"a role of another":      {with("roleArn", "arn:aws:iam::210987654321:role/x"), "", badInput + "roleArn ", ""},
		"an ARN of China":        {with("roleArn", "arn:aws-cn:iam::123456789012:role/x"), "", badInput + "roleArn ", ""},
		"too short":              {with("durationSeconds", 899), "", badInput + "durationSeconds 899 is not between 900 and 43200", ""},
		"too long":               {with("durationSeconds", 43201), "", badInput + "durationSeconds 43201 is not between", ""},
		"a duration in a string": {with("durationSeconds", "900"), "", badInput + `malformed parameter "durationSeconds"`, ""},
		"a fraction of a second": {with("durationSeconds", 900.5), "", badInput + `malformed parameter "durationSeconds"`, ""},
		"a name of one letter":   {profile("named", with("roleSessionName", "a")), "", badInput + `roleSessionName "a" does not match`, ""},
		"a name with a space":    {profile("named", with("roleSessionName", "a b")), "", badInput + `roleSessionName "a b" does not match`, ""},
		"a name of 65":           {profile("named", with("roleSessionName", strings.Repeat("a", 65))), "", badInput + `roleSessionName "aaa`, ""},
		"an unknown member":      {with("foo", 1), "", badInput + `unknown parameter "foo"`, ""},
		"another case":           {with("RoleArn", 1), "", badInput + `unknown parameter "RoleArn"`, ""},
		"a member twice":         {nil, `{"roleArn":"a","roleArn":"a"}`, badInput + `malformed body: member "roleArn" is there twice`, ""},
		"an array":               {nil, `[]`, badInput + "malformed body: not a JSON object", ""},
		"two objects":            {nil, `{}{}`, badInput + "malformed body: more than one JSON value", ""},
		"half an object":         {nil, `{"roleArn":`, badInput + "malformed body: ", ""},
		"no body":                {nil, " ", badInput + "malformed body: not a JSON object", ""},
		"an unknown anchor":      {with("trustAnchorArn", w.TrustAnchors[0].ARN+"0"), "", "ResourceNotFoundException: Trust anchor not found", `no trust anchor "arn:`},
		"a disabled anchor":      {with("trustAnchorArn", w.TrustAnchors[1].ARN), "", "AccessDeniedException: Trust anchor is not enabled", `trust anchor "disabled" is disabled`},
		"an unknown profile":     {with("profileArn", w.Profiles[0].ARN+"0"), "", "ResourceNotFoundException: Profile not found", `no profile "arn:`},
		"a disabled profile":     {profile("disabled"), "", "AccessDeniedException: Profile is not enabled", `profile "disabled" is disabled`},
		"a name not accepted":    {with("roleSessionName", "alice"), "", "AccessDeniedException: Not authorized to set roleSessionName", `profile "sandbox" has acceptRoleSessionName false`},
		"a role of no profile":   {role("no-profile"), "", noRole + rolePrefix + "no-profile", `role "` + rolePrefix + `no-profile" is not in profile "sandbox"`},
		"an unknown role":        {role("nobody"), "", noRole + rolePrefix + "nobody", `role "`},
		"an untrusting role":     {role("untrusted"), "", noRole + rolePrefix + "untrusted", "the trust policy of role"},
		"more than the role has": {profile("long", role("short")), "", noRole + rolePrefix + "short" + exceeds, "43200 s is more than the 3600 s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := createRequest(s, s.ca.Client, row.change)
			if row.body != "" {
				q.body = row.body
			}
			checkRefusal(t, s, do(s, q.sign(t)), row.want, row.reason)
		})
	}
}

func TestRoleInProfileThatIsGone(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	w := s.World()
	w.Roles = w.Roles[1:]
	if err := s.SetWorld(w); err != nil {
		t.Fatal(err)
	}
	gone := w.Profiles[0].RoleARNs[0]
	q := createRequest(s, s.ca.Client, func(m map[string]any) { m["roleArn"] = gone })
	checkRefusal(t, s, do(s, q.sign(t)), noRole+gone, `no role "`+gone)
}

func TestDuration(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	for name, row := range map[string]struct {
		profile   int
		requested any
		want      time.Duration
	}{
		"the profile's if none is asked":   {0, nil, time.Hour},
		"the profile's if more is asked":   {0, 43200, time.Hour},
		"the one asked if the profile has": {2, 7200, 2 * time.Hour},
		"the longest":                      {2, nil, 12 * time.Hour},
	} {
		q := createRequest(s, s.ca.Client, func(m map[string]any) {
			m["profileArn"], m["durationSeconds"] = s.World().Profiles[row.profile].ARN, row.requested
		})
		g, err := Verifier{s.World(), noon, loopback}.CreateSession(q.sign(t))
		if err != nil || g.Duration != row.want {
			t.Errorf("%s: %v %v", name, g, err)
		}
	}
	q := createRequest(s, s.ca.Client, nil)
	if _, err := (Verifier{s.World(), noon, "other.example"}).CreateSession(q.sign(t)); err == nil || !strings.Contains(err.Error(), `Host "127.0.0.1:4433" (want "other.example")`) {
		t.Errorf("another host: %v", err)
	}
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	first, second, third := leaf(t, s, "p256", nil), leaf(t, s, "p256", nil), leaf(t, s, "p256", nil)
	for _, p := range []*minica.Pair{first, second} {
		if err := s.Revoke(p.Certificate.SerialNumber); err != nil {
			t.Fatal(err)
		}
	}
	const revoked = "AccessDeniedException: Untrusted certificate. Certificate has been revoked"
	checkRefusal(t, s, do(s, createRequest(s, first, nil).sign(t)), revoked, `certificate "CN=alice", serial `)
	checkRefusal(t, s, do(s, createRequest(s, second, nil).sign(t)), revoked, `certificate "CN=alice", serial `)
	if got := do(s, createRequest(s, third, nil).sign(t)); got.Code != http.StatusCreated {
		t.Errorf("not revoked: %s", got.Body)
	}
	if n := len(s.World().TrustAnchors[0].CRLs); n != 1 {
		t.Errorf("%d CRLs", n)
	}
	if err := s.Revoke(s.ca.Intermediate.Certificate.SerialNumber); err != nil {
		t.Fatal(err)
	}
	checkRefusal(t, s, do(s, createRequest(s, third, nil).sign(t)), revoked, `certificate "CN=eks-x509 sandbox intermediate CA", serial `)
}

func TestSourceIdentity(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"alice":                 "CN=alice",
		strings.Repeat("a", 61): "CN=" + strings.Repeat("a", 61),
		strings.Repeat("a", 62): strings.Repeat("a", 62),
		"":                      "ID=0abc",
	} {
		c := &x509.Certificate{SerialNumber: big.NewInt(0xabc), Subject: pkix.Name{CommonName: name}}
		if got := sourceIdentity(c); got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
}
