package sandbox

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// serve runs a sandbox until the test ends. The client trusts it and, with proxy, goes through it to AWS's host names.
func serve(t *testing.T, s *Sandbox, proxy bool) *http.Client {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- s.Serve(ctx, ln) }()
	<-s.Ready()
	transport := clientTransport(t, s)
	if proxy {
		transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: strings.TrimPrefix(s.URL(), "https://")})
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		if err := <-result; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if _, err := os.Stat(s.path("ready")); !os.IsNotExist(err) {
			t.Errorf("ready is still there (%v)", err)
		}
	})
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func clientTransport(t *testing.T, s *Sandbox) *http.Transport {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(read(t, s, "tls-ca.pem"))) {
		t.Fatal("no certificate in tls-ca.pem")
	}
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
}

func TestServe(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	client := serve(t, s, false)
	host := strings.TrimPrefix(s.URL(), "https://")
	if read(t, s, "ready") != s.URL()+"\n" {
		t.Errorf("ready: %q", read(t, s, "ready"))
	}
	q := createRequest(s, s.ca.Client, nil)
	q.host = host
	r := outgoing(q.sign(t), s.URL())
	for range 2 { // the second goes over the same connection
		response, err := client.Do(r.Clone(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		if body := readAll(t, response); response.StatusCode != http.StatusCreated {
			t.Errorf("%d %s", response.StatusCode, body)
		}
		r = outgoing(q.sign(t), s.URL())
	}
	r.Host = "localhost.example"
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if body := readAll(t, response); response.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("foreign Host: %d %s", response.StatusCode, body)
	}
	for _, name := range []string{"localhost", "127.0.0.1"} {
		response, err := client.Get("https://" + name + host[strings.LastIndex(host, ":"):] + "/-/healthz")
		if err != nil {
			t.Fatal(err)
		}
		if body := readAll(t, response); body != "ok\n" {
			t.Errorf("%s: %q", name, body)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := s.Serve(t.Context(), ln); err == nil || err.Error() != "serving sandbox: it has been served before" {
		t.Errorf("second Serve: %v", err)
	}
}

// outgoing makes a request for a client of one for a server.
func outgoing(r *http.Request, base string) *http.Request {
	u, err := url.Parse(base + r.RequestURI)
	if err != nil {
		panic(err)
	}
	r.URL, r.RequestURI = u, ""
	return r
}

func TestServeRefusesOtherAddresses(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	ln := fakeListener{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}}
	if err := s.Serve(t.Context(), ln); err == nil || err.Error() != `serving sandbox: "192.0.2.1:443" is not a loopback address` {
		t.Error(err)
	}
	if _, err := os.Stat(s.path("ready")); err == nil {
		t.Error("ready is there")
	}
}

type fakeListener struct{ addr net.Addr }

func (fakeListener) Accept() (net.Conn, error) { return nil, io.EOF }
func (fakeListener) Close() error              { return nil }
func (f fakeListener) Addr() net.Addr          { return f.addr }

func TestProxy(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	client := serve(t, s, true)
	session := newSession(t, s, nil)
	create := createRequest(s, s.ca.Client, nil)
	foreign := createRequest(s, s.ca.Client, nil)
	foreign.region = "eu-west-1"
	for name, row := range map[string]struct {
		q      *request
		host   string
		status int
	}{
		"Roles Anywhere":                   {create, "rolesanywhere.us-east-1.amazonaws.com", 201},
		"Roles Anywhere, FIPS":             {createRequest(s, s.ca.Client, nil), "rolesanywhere-fips.us-east-1.amazonaws.com", 201},
		"Roles Anywhere, other region":     {foreign, "rolesanywhere.eu-west-1.amazonaws.com", 400},
		"STS":                              {session.request("sts", "POST", "/", identityForm), stsHost, 200},
		"EKS":                              {session.request("eks", "GET", "/clusters/sandbox", ""), "eks.us-east-1.amazonaws.com", 200},
		"EKS, dual-stack":                  {session.request("eks", "GET", "/clusters/sandbox", ""), "eks.us-east-1.api.aws", 200},
		"an operation of another service":  {session.request("eks", "GET", "/clusters/sandbox", ""), stsHost, 404},
		"another service":                  {session.request("iam", "POST", "/", identityForm), "iam.amazonaws.com", 404},
		"the sandbox's own controls":       {session.request("eks", "GET", "/-/requests", ""), stsHost, 404},
		"the webhook":                      {session.request("eks", "POST", "/authenticate", ""), stsHost, 404},
		"another port":                     {session.request("sts", "POST", "/", identityForm), stsHost + ":8443", 200},
		"Roles Anywhere by the wrong name": {createRequest(s, s.ca.Client, nil), "eks.us-east-1.amazonaws.com", 404},
	} {
		t.Run(name, func(t *testing.T) { // not parallel: the server ends with the outer test
			row.q.host = row.host
			response, err := client.Do(outgoing(row.q.sign(t), "https://"+row.host))
			if err != nil {
				t.Fatal(err)
			}
			if body := readAll(t, response); response.StatusCode != row.status {
				t.Errorf("%d %s", response.StatusCode, body)
			}
		})
	}
	if _, err := client.Get("https://example.com/"); err == nil || !strings.Contains(err.Error(), "Forbidden") {
		t.Errorf("another host: %v", err)
	}
	// What the tunnel is for and what is asked in it must agree.
	q := session.request("sts", "POST", "/", identityForm)
	q.host = "sts.eu-west-1.amazonaws.com"
	response, err := client.Do(outgoing(q.sign(t), "https://"+stsHost))
	if err != nil {
		t.Fatal(err)
	}
	if body := readAll(t, response); response.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("other Host in the tunnel: %d %s", response.StatusCode, body)
	}
}

func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	serve(t, s, false)
	for request, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n":                         "HTTP/1.1 400 Bad Request",
		"GET http://sts.amazonaws.com/ HTTP/1.1\r\nHost: x\r\n\r\n": "HTTP/1.1 400 Bad Request",
		"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n":       "HTTP/1.1 403 Forbidden",
		"CONNECT evilamazonaws.com:443 HTTP/1.1\r\nHost: x\r\n\r\n": "HTTP/1.1 403 Forbidden",
		"CONNECT sts.amazonaws.com HTTP/1.1\r\nHost: x\r\n\r\n":     "HTTP/1.1 403 Forbidden",
		"CONNECT sts.amazonaws.com:443 HTTP/1.1\r\nHost: x\r\n\r\n": "HTTP/1.1 200 Connection established",
		"GARBAGE\r\n\r\n": "",
		"GET / HTTP/1.1\r\nA: " + strings.Repeat("a", 2*maxHeader) + "\r\n\r\n\r": "",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "https://"))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, request) // may be cut off
		line, _ := bufio.NewReader(conn).ReadString('\n')
		conn.Close()
		if strings.TrimSpace(line) != want {
			t.Errorf("%.60q: %q", request, line)
		}
	}
}

func TestServeStopsInTime(t *testing.T) {
	t.Parallel()
	recorded := make(signal, 1)
	s := newSandbox(t, Options{Requests: recorded})
	s.SetFaults([]Fault{{Operation: "*", Kind: "hang"}})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- s.Serve(ctx, ln) }()
	<-s.Ready()
	idle, err := net.Dial("tcp", ln.Addr().String()) // says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	client := &http.Client{Transport: clientTransport(t, s)}
	failed := make(chan error, 1)
	go func() {
		_, err := client.Get(s.URL() + "/sessions")
		failed <- err
	}()
	<-recorded // now the request hangs
	cancel()
	if err := <-result; err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("a request that hangs was answered")
	}
}

// signal is a writer that tells when it is written to.
type signal chan struct{}

func (s signal) Write(p []byte) (int, error) {
	s <- struct{}{}
	return len(p), nil
}

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "it's a dir")
	s, err := New(Options{Dir: dir, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s, false)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info, err)
	}
	newSession(t, s, nil)
	want := map[string]os.FileMode{
		"sandbox.json": 0o600, "root-ca.pem": 0o600, "root-ca.key": 0o600, "intermediate-ca.pem": 0o600, "intermediate-ca.key": 0o600,
		"client.pem": 0o600, "client.key": 0o600, "client-chain.pem": 0o600, "tls-ca.pem": 0o600, "tls-ca.key": 0o600,
		"aws-credentials": 0o600, "world.json": 0o600, "env.sh": 0o600, "config.yaml": 0o600, "arns.txt": 0o600, "ready": 0o600, "requests.jsonl": 0o600, "cloudtrail.jsonl": 0o600,
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]os.FileMode{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		got[e.Name()] = info.Mode()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if strings.Count(read(t, s, "client-chain.pem"), "BEGIN CERTIFICATE") != 2 || !strings.HasPrefix(read(t, s, "client.key"), "-----BEGIN PRIVATE KEY-----") {
		t.Error("client-chain.pem or client.key")
	}

	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh")
	}
	command := exec.Command(sh, "-c", `. "$1/env.sh" && env`, "sh", dir)
	command.Env = []string{}
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Environ()) != 16 {
		t.Errorf("%q", s.Environ())
	}
	for _, pair := range s.Environ() {
		if !strings.Contains("\n"+string(out), "\n"+pair+"\n") {
			t.Errorf("env.sh does not set %q: %s", pair, out)
		}
	}
}

func TestRestartGoesOn(t *testing.T) {
	t.Parallel()
	first := newSandbox(t, Options{})
	if err := first.Revoke(first.ca.Client.Certificate.SerialNumber); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(first.path("ready"), []byte("https://127.0.0.1:1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	second, err := New(Options{Dir: first.dir, Now: first.now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(second.path("ready")); err == nil {
		t.Error("ready is still there")
	}
	got := do(second, createRequest(second, first.ca.Client, nil).sign(t))
	checkRefusal(t, second, got, "AccessDeniedException: Untrusted certificate. Certificate has been revoked", "certificate ")
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	if _, err := New(Options{}); err == nil || err.Error() != "opening sandbox: no directory given" {
		t.Errorf("no directory: %v", err)
	}
	s := newSandbox(t, Options{})
	for name, row := range map[string]struct{ file, content, want string }{
		"an unknown key in the world": {"world.json", `{"foo":1}`, `malformed world: json: unknown field "foo"`},
		"two worlds":                  {"world.json", `{}{}`, "malformed world: more than one JSON value"},
		"no account":                  {"world.json", `{}`, `invalid world: account ""`},
		"another key":                 {"client.key", read(t, s, "root-ca.key"), `key is not that of certificate "CN=sandbox-client`},
	} {
		s := newSandbox(t, Options{})
		if err := os.WriteFile(s.path(row.file), []byte(row.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Options{Dir: s.dir}); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWorldIsChecked(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	leafPEM := read(t, s, "client.pem")
	for name, row := range map[string]struct {
		change func(*World)
		want   string
	}{
		"region":           {func(w *World) { w.Region = "nowhere" }, `unsupported region "nowhere"`},
		"anchor's ARN":     {func(w *World) { w.TrustAnchors[0].ARN = "x" }, `malformed ARN "x"`},
		"leaf as anchor":   {func(w *World) { w.TrustAnchors[0].Certificates[0] = leafPEM }, "incorrect basic constraints"},
		"no PEM":           {func(w *World) { w.TrustAnchors[0].Certificates[0] = "x" }, `not one PEM block "CERTIFICATE"`},
		"three anchors":    {func(w *World) { c := &w.TrustAnchors[0].Certificates; *c = append(*c, (*c)[0], (*c)[0]) }, "3 certificates and 0 CRLs"},
		"profile's ARN":    {func(w *World) { w.Profiles[0].ARN = "x" }, `malformed ARN "x"`},
		"duration":         {func(w *World) { w.Profiles[0].DurationSeconds = 1 }, "durationSeconds 1"},
		"role's ARN":       {func(w *World) { w.Roles[0].ARN = "x" }, `malformed ARN "x"`},
		"denied action":    {func(w *World) { w.Roles[0].DeniedActions = []string{"eks:*"} }, `unsupported denied action "eks:*"`},
		"cluster's region": {func(w *World) { w.Clusters[0].Region = "" }, `cluster "sandbox" in region ""`},
		"CRL":              {func(w *World) { w.TrustAnchors[0].CRLs = []string{leafPEM} }, `not one PEM block "X509 CRL"`},
	} {
		w := s.World()
		row.change(w)
		if err := s.SetWorld(w); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if diff := cmp.Diff(DefaultWorld().Roles, s.World().Roles); diff != "" {
		t.Error(diff)
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	client := serve(t, s, false)
	ask := func(method, path, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(method, s.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, readAll(t, response)
	}
	_, world := ask("GET", "/-/world", "")
	newSession(t, s, nil)
	for _, row := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/-/healthz", "", 200, "ok\n"},
		{"GET", "/-/requests", "", 200, `"operation": "CreateSession"`},
		{"GET", "/-/events", "", 200, `"eventName": "CreateSession"`},
		{"PUT", "/-/world", strings.ReplaceAll(world, "1.34", "1.35"), 204, ""},
		{"PUT", "/-/world", "x", 400, "malformed world"},
		{"GET", "/-/world", "", 200, `"version": "1.35"`},
		{"PUT", "/-/faults", "*:hang*2\n\nCreateSession:status=503", 204, ""},
		{"GET", "/-/faults", "", 200, "*:hang*2\nCreateSession:status=503\n"},
		{"PUT", "/-/faults", "x", 400, `invalid fault "x"`},
		{"DELETE", "/-/faults", "", 204, ""},
		{"GET", "/-/faults", "", 200, ""},
		{"POST", "/-/revoke", `{"serial":"0x1F"}`, 204, ""},
		{"POST", "/-/revoke", `{"serial":"31"}`, 204, ""},
		{"POST", "/-/revoke", `{"serial":"1F"}`, 400, `malformed serial "1F"`},
		{"POST", "/-/revoke", `{"serial":"0"}`, 400, `malformed serial "0"`},
		{"POST", "/-/revoke", `x`, 400, "malformed body"},
		{"POST", "/-/reset", "", 204, ""},
		{"GET", "/-/requests", "", 200, "[]\n"},
		{"GET", "/-/events", "", 200, `"Records": []`},
		{"GET", "/-/nothing", "", 404, "404 page not found"},
		{"GET", "/nothing", "", 404, `{"message":"Unknown operation"}`},
		{"PUT", "/sessions", strings.Repeat("x", maxBody+1), 413, `{"message":"Request is too large"}`},
	} {
		if status, got := ask(row.method, row.path, row.body); status != row.status || !strings.Contains(got, row.want) {
			t.Errorf("%s %s %.40q: %d %s", row.method, row.path, row.body, status, got)
		}
	}
}

// No secret may be in what the sandbox writes about requests.
func TestRecords(t *testing.T) {
	t.Parallel()
	var lines strings.Builder
	s := newSandbox(t, Options{Requests: &lines})
	session := newSession(t, s, nil)
	q := createRequest(s, s.ca.Client, func(m map[string]any) { m["durationSeconds"] = 1 })
	q.header.Set("User-Agent", "test \"agent\"")
	do(s, q.sign(t))
	if status, _ := review(t, s, "/authenticate", spec(token(session.presign(noon).url()))); status != 200 {
		t.Fatal(status)
	}
	wrong := session.presign(noon)
	wrong.secret = "wrong"
	review(t, s, "/authenticate", spec(token(wrong.url())))
	all := lines.String() + read(t, s, "requests.jsonl") + read(t, s, "cloudtrail.jsonl") + read(t, s, "world.json")
	for name, secret := range map[string]string{"secret": session.secret, "token": session.token, "escaped token": escape(session.token), "presigned": "X-Amz-Signature"} {
		if strings.Contains(all, secret) {
			t.Errorf("%s is in the records", name)
		}
	}
	serial := s.ca.Client.Certificate.SerialNumber
	want := []string{
		fmt.Sprintf("12:00:00 POST /sessions CreateSession 201 serial=%d role=%s session=", serial, rolePrefix+"eks-x509-sandbox"),
		fmt.Sprintf("12:00:00 POST /sessions CreateSession 400 serial=%d role=%s code=ValidationException reason=\"durationSeconds 1 ", serial, rolePrefix+"eks-x509-sandbox"),
		"12:00:00 POST /authenticate TokenReview 200 role=" + rolePrefix + "eks-x509-sandbox session=",
		"12:00:00 POST /authenticate TokenReview 403 key=" + session.id + " cluster=sandbox code=SignatureDoesNotMatch reason=\"another signature was expected",
	}
	got := strings.Split(lines.String(), "\n")
	for i, w := range want {
		if !strings.HasPrefix(got[i], w) {
			t.Errorf("got  %s\nwant %s", got[i], w)
		}
	}

	var events []Event
	for line := range strings.SplitSeq(strings.TrimSpace(read(t, s, "cloudtrail.jsonl")), "\n") {
		var e Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	if len(events) != 2 || events[0].ErrorCode != "" || events[1].ErrorCode != "ValidationException" || events[1].ResponseElements != nil || events[1].UserAgent != `test "agent"` {
		t.Fatalf("%+v", events)
	}
	set := events[0].ResponseElements.(map[string]any)["credentialSet"].([]any)[0].(map[string]any)
	wantCredentials := map[string]any{"accessKeyId": session.id, "expiration": "2026-11-23T13:00:00Z", "secretAccessKey": hidden, "sessionToken": hidden}
	if diff := cmp.Diff(wantCredentials, set["credentials"]); diff != "" {
		t.Error(diff)
	}
	if tags := events[0].AdditionalData["principalTags"].(map[string]any); tags["x509Subject/CN"] != "sandbox-client" || tags["x509Issuer/CN"] == nil {
		t.Errorf("%v", tags)
	}
}
