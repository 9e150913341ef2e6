package sandbox

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	selfSubject = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
	selfAccess  = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
	selfRules   = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
)

// toCluster asks the API of cluster sandbox; an empty bearer sends none.
func toCluster(s *Sandbox, bearer, method, path, body string) answer {
	r := hosted(httptest.NewRequest(method, "/k8s/sandbox"+path, strings.NewReader(body)), loopback)
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	return do(s, r)
}

func clusterToken(t *testing.T, s *Sandbox, groups ...string) string {
	t.Helper()
	w := s.World()
	w.Clusters[0].Mappings[0] = Mapping{RoleARN: w.Roles[0].ARN, Username: "viewk8", Groups: groups}
	if err := s.SetWorld(w); err != nil {
		t.Fatal(err)
	}
	return token(newSession(t, s, nil).presign(noon).url())
}

func TestSelfSubjectReview(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	session := newSession(t, s, nil)
	got := toCluster(s, token(session.presign(noon).url()), "POST", selfSubject, "")
	type status struct {
		UserInfo kubernetesUser `json:"userInfo"`
	}
	type review struct {
		Kind, APIVersion string
		Status           status
	}
	name := session.arn[strings.LastIndex(session.arn, "/")+1:]
	want := review{"SelfSubjectReview", "authentication.k8s.io/v1", status{kubernetesUser{
		Username: "sandbox:" + name, UID: "aws-iam-authenticator:123456789012:AROASANDBOXAAAAAAAAA1", Groups: []string{"view", "system:authenticated"},
		Extra: map[string][]string{
			"accessKeyId":  {session.id},
			"arn":          {session.arn},
			"canonicalArn": {"arn:aws:iam::123456789012:role/eks-x509-sandbox"},
			"principalId":  {"AROASANDBOXAAAAAAAAA1"},
			"sessionName":  {name},
			"sigs.k8s.io/aws-iam-authenticator/principalId": {"AROASANDBOXAAAAAAAAA1"},
		},
	}}}
	var out review
	if err := json.Unmarshal(got.Body.Bytes(), &out); err != nil || got.Code != http.StatusCreated {
		t.Fatalf("%d %v", got.Code, err)
	}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Error(diff)
	}
	if e := s.Requests()[1]; e.Operation != "SelfSubjectReview" || e.Cluster != "sandbox" || e.Username != "sandbox:"+name {
		t.Errorf("%+v", e)
	}
}

func TestKubernetesAPI(t *testing.T) {
	t.Parallel()
	namespaces := `"items":[{"kind":"Namespace","apiVersion":"v1","metadata":{"creationTimestamp":"2026-01-01T00:00:00Z","name":"default",`
	status := func(code, reason, message string) string {
		return code + ` {"apiVersion":"v1","code":` + code + `,` + reason + `"kind":"Status","message":` + mustJSON(message)
	}
	details := func(json string) string { return `"details":` + json + `,` }
	for name, row := range map[string]struct {
		group, method, path, body string
		want                      string // status and beginning of the body
	}{
		"version":         {"view", "GET", "/version", "", `200 {"compiler":"gc","gitTreeState":"clean","gitVersion":"v1.34.2-eks-`},
		"liveness":        {"none", "GET", "/livez", "", "200 ok"},
		"core versions":   {"none", "GET", "/api", "", `200 {"kind":"APIVersions"`},
		"groups":          {"none", "GET", "/apis", "", `200 {"apiVersion":"v1","groups":[{"apiVersion":"v1","kind":"APIGroup","name":"authentication.k8s.io"`},
		"one group":       {"none", "GET", "/apis/authorization.k8s.io", "", `200 {"apiVersion":"v1","kind":"APIGroup","name":"authorization.k8s.io"`},
		"core resources":  {"none", "GET", "/api/v1", "", `200 {"apiVersion":"v1","groupVersion":"v1","kind":"APIResourceList"`},
		"group resources": {"none", "GET", "/apis/authorization.k8s.io/v1", "", `200 {"apiVersion":"v1","groupVersion":"authorization.k8s.io/v1"`},
		"no such group":   {"none", "GET", "/apis/example.com", "", status("404", details("{}"), "the server could not find the requested resource")},
		"namespaces":      {"view", "GET", "/api/v1/namespaces?limit=500", "", `200 {"apiVersion":"v1",` + namespaces},
		"one namespace":   {"view", "GET", "/api/v1/namespaces/kube-system", "", `200 {"kind":"Namespace","apiVersion":"v1","metadata":{"creationTimestamp":"2026-01-01T00:00:00Z","name":"kube-system"`},
		"no pods":         {"view", "GET", "/api/v1/namespaces/default/pods", "", `200 {"apiVersion":"v1","items":[],"kind":"PodList"`},
		"no such object": {"view", "GET", "/api/v1/namespaces/default/pods/web", "", status("404", details(`{"kind":"pods","name":"web"}`),
			`pods "web" not found`)},
		"create as viewer": {"view", "POST", "/api/v1/namespaces", "{}", status("403", details(`{"kind":"namespaces"}`),
			`namespaces is forbidden: User "viewk8" cannot create resource "namespaces" in API group "" at the cluster scope`)},
		"list without rights": {"none", "GET", "/api/v1/namespaces", "", status("403", details(`{"kind":"namespaces"}`),
			`namespaces is forbidden: User "viewk8" cannot list resource "namespaces" in API group "" at the cluster scope`)},
		"secrets as viewer": {"view", "GET", "/api/v1/namespaces/default/secrets/s", "", status("403", details(`{"kind":"secrets","name":"s"}`),
			`secrets "s" is forbidden: User "viewk8" cannot get resource "secrets" in API group "" in the namespace "default"`)},
		"a subresource": {"view", "POST", "/api/v1/namespaces/default/pods/p/exec", "", status("403", details(`{"kind":"pods","name":"p"}`),
			`pods "p" is forbidden: User "viewk8" cannot create resource "pods/exec" in API group "" in the namespace "default"`)},
		"another group": {"view", "DELETE", "/apis/apps/v1/namespaces/x/deployments", "", status("403", details(`{"group":"apps","kind":"deployments"}`),
			`deployments.apps is forbidden: User "viewk8" cannot deletecollection resource "deployments" in API group "apps" in the namespace "x"`)},
		"a path":                    {"view", "GET", "/metrics", "", status("403", details("{}"), `forbidden: User "viewk8" cannot get path "/metrics"`)},
		"secrets as administrator":  {"system:masters", "GET", "/api/v1/secrets", "", `200 {"apiVersion":"v1","items":[],"kind":"SecretList"`},
		"create as administrator":   {"system:masters", "POST", "/api/v1/namespaces", "{}", status("405", details(`{"kind":"namespaces"}`), "the server does not allow this method on the requested resource")},
		"not served":                {"system:masters", "GET", "/apis/apps/v1/deployments", "", status("404", details("{}"), "the server could not find the requested resource")},
		"may list pods":             {"view", "POST", selfAccess, access("list", "pods", ""), `201 {"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview"`},
		"access without attributes": {"view", "POST", selfAccess, "{}", status("400", "", "exactly one of nonResourceAttributes or resourceAttributes must be specified")},
		"access without JSON":       {"view", "POST", selfAccess, "k8s", status("400", "", "the object provided is unrecognized (must be of type SelfSubjectAccessReview)")},
		"rules without a namespace": {"view", "POST", selfRules, `{"spec":{}}`, status("400", "", "no namespace on request")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, Options{})
			got := toCluster(s, clusterToken(t, s, row.group), row.method, row.path, row.body)
			if line := got.Result().Status[:4] + got.Body.String(); !strings.HasPrefix(line, row.want) {
				t.Errorf("got  %s\nwant %s", line, row.want)
			}
			if got.Header().Get("Date") != noon.Format(http.TimeFormat) || got.Header().Get("Audit-Id") == "" {
				t.Errorf("%v", got.Header())
			}
		})
	}
}

func access(verb, resource, group string) string {
	return `{"spec":{"resourceAttributes":{"verb":"` + verb + `","resource":"` + resource + `","group":"` + group + `"}}}`
}

// selfAccessProtobuf is how kubectl 1.33 asks whether it may get secrets in the namespace default.
const selfAccessProtobuf = "k8s\x00\n2\n\x17authorization.k8s.io/v1\x12\x17SelfSubjectAccessReview" +
	"\x12?\n\x10\n\x00\x12\x00\x1a\x00\"\x00*\x002\x008\x00B\x00\x12!\n\x1f\n\x07default\x12\x03get\x1a\x00\"\x00*\x07secrets2\x00:\x00\x1a\b\b\x00\x12\x00\x1a\x00 \x00\x1a\x00\"\x00"

func TestSelfSubjectAccessReview(t *testing.T) {
	t.Parallel()
	const rbac = `RBAC: allowed by ClusterRoleBinding "view" of ClusterRole "view" to Group "view"`
	path := `{"spec":{"nonResourceAttributes":{"verb":"get","path":"/metrics"}}}`
	for name, row := range map[string]struct {
		group, body string
		want        accessStatus
	}{
		"a viewer lists":                  {"view", access("list", "deployments", "apps"), accessStatus{true, rbac}},
		"a viewer does not create":        {"view", access("create", "pods", ""), accessStatus{}},
		"a viewer does not read secrets":  {"view", access("get", "secrets", ""), accessStatus{}},
		"nor by protobuf":                 {"view", selfAccessProtobuf, accessStatus{}},
		"an administrator does":           {"system:masters", selfAccessProtobuf, accessStatus{Allowed: true}},
		"an administrator gets any path":  {"system:masters", path, accessStatus{Allowed: true}},
		"a viewer does not get any path":  {"view", path, accessStatus{}},
		"a member of no group may not":    {"none", access("list", "pods", ""), accessStatus{}},
		"everybody may ask for discovery": {"none", `{"spec":{"nonResourceAttributes":{"verb":"get","path":"/apis/apps/v1"}}}`, accessStatus{true, strings.NewReplacer(`"view"`, `"system:discovery"`, `Group "view"`, `Group "system:authenticated"`).Replace(rbac)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, Options{})
			r := hosted(httptest.NewRequest("POST", "/k8s/sandbox"+selfAccess, strings.NewReader(row.body)), loopback)
			r.Header.Set("Authorization", "Bearer "+clusterToken(t, s, row.group))
			r.Header.Set("Content-Type", "application/json")
			if strings.HasPrefix(row.body, "k8s") {
				r.Header.Set("Content-Type", "application/vnd.kubernetes.protobuf")
			}
			var out struct{ Status accessStatus }
			got := do(s, r)
			if err := json.Unmarshal(got.Body.Bytes(), &out); err != nil || got.Code != http.StatusCreated {
				t.Fatalf("%d %s", got.Code, got.Body)
			}
			if diff := cmp.Diff(row.want, out.Status); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSelfSubjectRulesReview(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	got := toCluster(s, clusterToken(t, s, "system:masters"), "POST", selfRules, `{"spec":{"namespace":"default"}}`)
	var out struct {
		Status struct {
			ResourceRules, NonResourceRules []rule
			Incomplete                      bool
		}
	}
	if err := json.Unmarshal(got.Body.Bytes(), &out); err != nil || got.Code != http.StatusCreated {
		t.Fatalf("%d %s", got.Code, got.Body)
	}
	if len(out.Status.ResourceRules) != 3 || len(out.Status.NonResourceRules) != 2 || out.Status.Incomplete ||
		!cmp.Equal(out.Status.ResourceRules[0], resourceRule("*", "*", "*")) {
		t.Errorf("%+v", out.Status)
	}
}

func TestKubernetesRefusesTokens(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	session := newSession(t, s, nil)
	unmapped := newSession(t, s, func(m map[string]any) { m["roleArn"] = rolePrefix + "unmapped" })
	other := session.presign(noon)
	other.cluster = "creating"
	const want = `{"apiVersion":"v1","code":401,"kind":"Status","message":"Unauthorized","metadata":{},"reason":"Unauthorized","status":"Failure"}`
	for name, row := range map[string]struct{ bearer, path, reason string }{
		"none":                  {"", "/api", "no bearer token"},
		"malformed":             {"x", "/api", `token is missing expected "k8s-aws-v1." prefix`},
		"of an unmapped role":   {token(unmapped.presign(noon).url()), "/api", "no mapping for"},
		"of another cluster":    {token(other.url()), "/api", "another signature was expected"},
		"expired":               {token(session.presign(noon.Add(-16 * time.Minute)).url()), "/api", "X-Amz-Date parameter is expired"},
		"malformed for version": {"x", "/version", "token is missing"},
	} {
		got := toCluster(s, row.bearer, "GET", row.path, "")
		requests := s.Requests()
		if e := requests[len(requests)-1]; got.Code != http.StatusUnauthorized || got.Body.String() != want || !strings.HasPrefix(e.Reason, row.reason) {
			t.Errorf("%s: %d %s %q", name, got.Code, got.Body, e.Reason)
		}
	}
	for _, path := range []string{"/k8s/missing/version", "/k8s/creating/version", "/k8s/"} {
		got := do(s, hosted(httptest.NewRequest("GET", path, nil), loopback))
		if got.Code != http.StatusNotFound || got.message != "the server could not find the requested resource" {
			t.Errorf("%s: %d %s", path, got.Code, got.Body)
		}
	}
	if got := do(s, hosted(httptest.NewRequest("GET", "/k8s/sandbox/version", nil), "eks.us-east-1.amazonaws.com")); got.Header().Get("X-Amzn-Errortype") != "UnknownOperationException" {
		t.Errorf("at AWS's name: %d %s", got.Code, got.Body)
	}
}

func TestKubernetesFaults(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string]string{
		"SelfSubjectReview:status=403":      `403 {"apiVersion":"v1","code":403,"kind":"Status","message":"forbidden"`,
		"SelfSubjectReview:status=401":      `401 {"apiVersion":"v1","code":401,"kind":"Status","message":"Unauthorized"`,
		"SelfSubjectReview:status=500":      `500 {"apiVersion":"v1","code":500,"kind":"Status","message":"an error on the server`,
		"SelfSubjectReview:status=503":      `503 {"apiVersion":"v1","code":503,"kind":"Status","message":"the server is currently unable`,
		"SelfSubjectReview:throttle=3":      `429 {"apiVersion":"v1","code":429,"kind":"Status","message":"the server has received too many requests`,
		"SelfSubjectReview:clock=+16m":      `401 {"apiVersion":"v1","code":401,"kind":"Status","message":"Unauthorized"`,
		"*:html":                            "403 <!DOCTYPE html>",
		"SelfSubjectAccessReview:drop":      `201 {"apiVersion":"authentication.k8s.io/v1"`,
		"KubernetesAPI:drop":                `201 {"apiVersion":"authentication.k8s.io/v1"`,
		"Version:drop\nListNamespaces:drop": `201 {"apiVersion":"authentication.k8s.io/v1"`,
	} {
		s := newSandbox(t, Options{})
		bearer := clusterToken(t, s, "view")
		s.SetFaults(faults(t, fault))
		got := toCluster(s, bearer, "POST", selfSubject, "{}")
		if line := got.Result().Status[:4] + got.Body.String(); !strings.HasPrefix(line, want) {
			t.Errorf("%s: got %s\nwant %s", fault, line, want)
		}
		if strings.Contains(fault, "clock") && got.Header().Get("Date") != noon.Add(16*time.Minute).Format(http.TimeFormat) {
			t.Errorf("Date: %s", got.Header().Get("Date"))
		}
	}
}

// A client needs no more than what DescribeCluster tells.
func TestClusterIsReachedByWhatDescribeClusterTells(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	serve(t, s, false)
	session := newSession(t, s, nil)
	var described struct {
		Cluster struct {
			Endpoint             string
			CertificateAuthority struct{ Data string }
		}
	}
	if err := json.Unmarshal(do(s, session.request("eks", "GET", "/clusters/sandbox", "").sign(t)).Body.Bytes(), &described); err != nil {
		t.Fatal(err)
	}
	ca, err := base64.StdEncoding.DecodeString(described.Cluster.CertificateAuthority.Data)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequest("GET", described.Cluster.Endpoint+"/api/v1/namespaces", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token(session.presign(noon).url()))
	got, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if body := readAll(t, got); got.StatusCode != http.StatusOK || !strings.Contains(body, `"name":"kube-system"`) {
		t.Errorf("%d %s", got.StatusCode, body)
	}
}
