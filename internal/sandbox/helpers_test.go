package sandbox

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eks-x509/eks-x509/internal/minica"
)

// noon is the clock of the tests that need none of their own.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const (
	loopback = "127.0.0.1:4433"
	stsHost  = "sts.us-east-1.amazonaws.com"
)

// templateDir holds the files of a new sandbox: an RSA key takes time to find, so tests copy them.
var templateDir = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sandbox-test-*")
	if err != nil {
		return "", err
	}
	_, err = New(Options{Dir: dir, Now: func() time.Time { return noon }})
	return dir, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := templateDir(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

func newSandbox(t testing.TB, o Options) *Sandbox {
	t.Helper()
	from, err := templateDir()
	if err != nil {
		t.Fatal(err)
	}
	o.Dir = t.TempDir()
	if err := errors.Join(os.CopyFS(o.Dir, os.DirFS(from)), os.Chmod(o.Dir, 0o700)); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	if o.Now == nil {
		o.Now = func() time.Time { return noon }
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// request is a request to be signed by this file's own code, with a way to spoil each part.
type request struct {
	method, host, target, body string
	header                     http.Header
	time                       time.Time

	algorithm, keyID, region, service string
	date                              string // X-Amz-Date
	scopeDate                         string
	signed                            []string // nil: every header there is, and host
	spoilSignature                    func(string) string
	afterSigning                      func(*http.Request)
	key                               crypto.Signer // AWS4-X509-…
	secret                            string        // AWS4-HMAC-SHA256
}

func (q *request) sign(t testing.TB) *http.Request {
	t.Helper()
	set := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	set(&q.date, q.time.UTC().Format("20060102T150405Z"))
	set(&q.scopeDate, q.date[:8])
	set(&q.region, "us-east-1")
	set(&q.host, loopback)
	if q.header.Get("X-Amz-Date") == "" {
		q.header.Set("X-Amz-Date", q.date)
	}
	if q.signed == nil {
		q.signed = []string{"host"}
		for name := range q.header {
			q.signed = append(q.signed, strings.ToLower(name))
		}
		slices.Sort(q.signed)
	}
	path, query, _ := strings.Cut(q.target, "?")
	pairs := strings.Split(query, "&")
	slices.Sort(pairs)
	canonical := q.method + "\n" + path + "\n" + strings.Join(pairs, "&") + "\n"
	for _, name := range q.signed {
		value := strings.Join(q.header.Values(name), ",")
		if name == "host" {
			value = q.host
		}
		canonical += name + ":" + value + "\n"
	}
	canonical += "\n" + strings.Join(q.signed, ";") + "\n" + sum(q.body)
	scope := q.scopeDate + "/" + q.region + "/" + q.service + "/aws4_request"
	toSign := q.algorithm + "\n" + q.date + "\n" + scope + "\n" + sum(canonical)
	signature := q.signature(t, toSign)
	if q.spoilSignature != nil {
		signature = q.spoilSignature(signature)
	}
	q.header.Set("Authorization", q.algorithm+" Credential="+q.keyID+"/"+scope+", SignedHeaders="+strings.Join(q.signed, ";")+", Signature="+signature)
	r := httptest.NewRequest(q.method, q.target, strings.NewReader(q.body))
	r.Host, r.Header = q.host, q.header
	if q.afterSigning != nil {
		q.afterSigning(r)
	}
	return r
}

func (q *request) signature(t testing.TB, toSign string) string {
	t.Helper()
	if q.secret != "" {
		return hmacSignature(q.secret, q.scopeDate, q.region, q.service, toSign)
	}
	digest := sha256.Sum256([]byte(toSign))
	signature, err := q.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(signature)
}

func hmacSignature(secret, date, region, service, toSign string) string {
	key := "AWS4" + secret
	for _, part := range []string{date, region, service, "aws4_request", toSign} {
		h := hmac.New(sha256.New, []byte(key))
		h.Write([]byte(part))
		key = string(h.Sum(nil))
	}
	return hex.EncodeToString([]byte(key))
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// createRequest asks with everything in the body, and with all that a strict server wants.
func createRequest(s *Sandbox, p *minica.Pair, change func(members map[string]any)) *request {
	w := s.World()
	members := map[string]any{"trustAnchorArn": w.TrustAnchors[0].ARN, "profileArn": w.Profiles[0].ARN, "roleArn": w.Roles[0].ARN}
	if change != nil {
		change(members)
	}
	body, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	q := &request{
		method: "POST", target: "/sessions", body: string(body), time: s.now(), service: "rolesanywhere",
		header: http.Header{"Content-Type": {"application/json"}}, key: p.Key, keyID: p.Certificate.SerialNumber.String(),
	}
	q.header.Set("X-Amz-X509", base64.StdEncoding.EncodeToString(p.Certificate.Raw))
	if len(p.Chain) > 0 {
		q.header.Set("X-Amz-X509-Chain", chainHeader(p.Chain))
	}
	switch p.Key.(type) {
	case *rsa.PrivateKey:
		q.algorithm = "AWS4-X509-RSA-SHA256"
	case *ecdsa.PrivateKey:
		q.algorithm = "AWS4-X509-ECDSA-SHA256"
	}
	return q
}

func chainHeader(chain []*x509.Certificate) string {
	var all []string
	for _, c := range chain {
		all = append(all, base64.StdEncoding.EncodeToString(c.Raw))
	}
	return strings.Join(all, ",")
}

// leaf is a client certificate by the sandbox's intermediate CA.
func leaf(t testing.TB, s *Sandbox, kind string, change func(*minica.Template)) *minica.Pair {
	t.Helper()
	template := minica.Leaf("alice")
	if change != nil {
		change(&template)
	}
	key, err := minica.GenerateKey(kind)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.ca.Intermediate.Issue(template, key)
	if err != nil {
		t.Fatal(err)
	}
	p.Chain = []*x509.Certificate{s.ca.Intermediate.Certificate}
	return p
}

// answer is what came back, read in the manner of the REST services.
type answer struct {
	*httptest.ResponseRecorder
	message string
}

func do(s *Sandbox, r *http.Request) answer {
	w := httptest.NewRecorder()
	s.Handler(r.Host).ServeHTTP(w, r)
	var body struct {
		Message string `json:"message"`
	}
	json.Unmarshal(w.Body.Bytes(), &body) // not every body is JSON
	return answer{w, body.Message}
}

// issued is a session as a client holds it.
type issued struct{ id, secret, token, arn string }

func newSession(t testing.TB, s *Sandbox, change func(map[string]any)) issued {
	t.Helper()
	got := do(s, createRequest(s, s.ca.Client, change).sign(t))
	if got.Code != http.StatusCreated {
		t.Fatalf("CreateSession: %d %s", got.Code, got.Body)
	}
	var out createSessionOutput
	if err := json.Unmarshal(got.Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	c := out.CredentialSet[0].Credentials
	return issued{c.AccessKeyID, c.SecretAccessKey, c.SessionToken, out.CredentialSet[0].AssumedRoleUser.ARN}
}

// request makes a request with a session's credentials.
func (i issued) request(service, method, target, body string) *request {
	q := &request{
		method: method, target: target, body: body, time: noon, service: service, algorithm: "AWS4-HMAC-SHA256",
		keyID: i.id, secret: i.secret, header: http.Header{"X-Amz-Security-Token": {i.token}},
	}
	if method == "POST" {
		q.header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	}
	return q
}

// presigned is a URL as EKS wants one, before the base64.
type presigned struct {
	host, cluster, secret string
	values                map[string]string
}

func (i issued) presign(at time.Time) *presigned {
	date := at.UTC().Format("20060102T150405Z")
	return &presigned{
		host: stsHost, cluster: "sandbox", secret: i.secret,
		values: map[string]string{
			"Action": "GetCallerIdentity", "Version": "2011-06-15", "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
			"X-Amz-Credential": i.id + "/" + date[:8] + "/us-east-1/sts/aws4_request", "X-Amz-Date": date, "X-Amz-Expires": "60",
			"X-Amz-SignedHeaders": "host;x-k8s-aws-id", "X-Amz-Security-Token": i.token,
		},
	}
}

func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func (p *presigned) query() string {
	var pairs []string
	for k, v := range p.values {
		pairs = append(pairs, escape(k)+"="+escape(v))
	}
	slices.Sort(pairs)
	query := strings.Join(pairs, "&")
	date := p.values["X-Amz-Date"]
	_, scope, _ := strings.Cut(p.values["X-Amz-Credential"], "/")
	parts := strings.SplitN(scope+"///", "/", 4)
	headers := ""
	for _, name := range strings.Split(p.values["X-Amz-SignedHeaders"], ";") {
		headers += name + ":" + map[string]string{"host": p.host, "x-k8s-aws-id": p.cluster}[name] + "\n"
	}
	canonical := "GET\n/\n" + query + "\n" + headers + "\n" + p.values["X-Amz-SignedHeaders"] + "\n" + sum("")
	toSign := "AWS4-HMAC-SHA256\n" + date + "\n" + scope + "\n" + sum(canonical)
	return query + "&X-Amz-Signature=" + hmacSignature(p.secret, parts[0], parts[1], parts[2], toSign)
}

func (p *presigned) url() string { return "https://" + p.host + "/?" + p.query() }

func token(url string) string {
	return "k8s-aws-v1." + base64.RawURLEncoding.EncodeToString([]byte(url))
}

// read is the whole of a file of the sandbox.
func read(t testing.TB, s *Sandbox, name string) string {
	t.Helper()
	data, err := os.ReadFile(s.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func readAll(t testing.TB, r *http.Response) string {
	t.Helper()
	defer r.Body.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, r.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
