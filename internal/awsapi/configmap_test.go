package awsapi_test

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eks-x509/eks-x509/internal/awsapi"
	"github.com/eks-x509/eks-x509/internal/minica"
	"github.com/eks-x509/eks-x509/internal/sandbox"
	"github.com/eks-x509/eks-x509/pkg/ekstoken"
)

// masters makes the session of c an administrator of cluster aws-auth, by aws-auth.
func masters(t *testing.T, s *sandbox.Sandbox, c awsapi.Client, data map[string]string) awsapi.KubeAPI {
	t.Helper()
	w := s.World()
	k := &w.Clusters[len(w.Clusters)-1]
	k.AuthenticationMode, k.AWSAuth = "API_AND_CONFIG_MAP", nil
	k.Mappings = []sandbox.Mapping{{RoleARN: w.Roles[0].ARN, Username: "admin", Groups: []string{"system:masters"}}}
	if data != nil {
		k.AWSAuth = &sandbox.ConfigMap{ResourceVersion: 7, Data: data}
	}
	if err := s.SetWorld(w); err != nil {
		t.Fatal(err)
	}
	token, err := ekstoken.New(c.Credentials, ekstoken.Options{Cluster: k.Name, Region: w.Region, SignedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return awsapi.KubeAPI{Server: s.URL() + "/k8s/" + k.Name, CA: minica.CertificatePEM(s.Authority().TLS.Certificate), Token: token.Value, Now: time.Now}
}

func statusOf(err error) int {
	if e, ok := errors.AsType[*awsapi.Error](err); ok {
		return e.StatusCode
	}
	return 0
}

func TestConfigMap(t *testing.T) {
	t.Parallel()
	s, c := serve(t)
	others := map[string]string{"mapUsers": "- x\n", "mapRoles": "old"}
	k := masters(t, s, c, others)
	check := func(version string, data map[string]string) {
		t.Helper()
		got, err := k.ConfigMap(t.Context(), "kube-system", "aws-auth")
		if diff := cmp.Diff(awsapi.ConfigMap{ResourceVersion: version, Data: data}, got); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
	}
	check("7", others)
	write := func(version string) error {
		return k.WriteConfigMap(t.Context(), "kube-system", "aws-auth", version, map[string]string{"mapRoles": "new\n"})
	}
	for _, version := range []string{"6", ""} { // one that is no longer; it was not there
		if err := write(version); statusOf(err) != http.StatusConflict {
			t.Errorf("version %q: %v", version, err)
		}
	}
	check("7", others)
	if err := write("7"); err != nil {
		t.Fatal(err)
	}
	changed := maps.Clone(others)
	changed["mapRoles"] = "new\n"
	check("8", changed)

	masters(t, s, c, nil)
	check("", nil)
	if err := write("8"); statusOf(err) != http.StatusNotFound {
		t.Error(err)
	}
	if err := write(""); err != nil {
		t.Fatal(err)
	}
	check("1", map[string]string{"mapRoles": "new\n"})
}

func TestConfigMapAnswers(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"data":{"mapRoles":"x"}}`:                         "asking the cluster: no ConfigMap in the answer",
		`{"metadata":{"resourceVersion":""}}`:               "asking the cluster: no ConfigMap in the answer",
		`{"metadata":{"resourceVersion":"1"},"data":["x"]}`: "asking the cluster: no ConfigMap in the answer",
		`<html><title>Sign in</title>`:                      "asking the cluster: an HTML page instead of an answer",
	} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
		k := awsapi.KubeAPI{Server: server.URL, CA: minica.CertificatePEM(server.Certificate()), ServerName: "example.com", Token: "t", Now: time.Now}
		_, err := k.ConfigMap(t.Context(), "kube-system", "aws-auth")
		server.Close()
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", body, err)
		}
	}
}
