package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/pkg/apis/clientauthentication"
	clientauthv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	clientauthv1beta1 "k8s.io/client-go/pkg/apis/clientauthentication/v1beta1"
	execplugin "k8s.io/client-go/plugin/pkg/client/auth/exec"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/transport"
)

// clusterInfo is what kubectl adds when the kubeconfig says provideClusterInfo and has an extension of its own shape.
const clusterInfo = `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"cluster":{"server":"https://127.0.0.1:6443",` +
	`"certificate-authority-data":"LS0tLS1CRUdJTg==","config":{"clusterName":"prod","nested":[1,{"a":null}]}},"interactive":true}}` + "\n"

func TestParseExecInfo(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, env string
		want      string
	}{
		{"no variable", "", ExecV1Beta1},
		{"v1 as kubectl writes it", `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false}}` + "\n", ExecV1},
		{"v1beta1", `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","spec":{"interactive":true}}`, ExecV1Beta1},
		{"no spec", `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1"}`, ExecV1},
		{"cluster with an extension", clusterInfo, ExecV1},
		{"cluster whose config is a string", strings.Replace(clusterInfo, `{"clusterName":"prod","nested":[1,{"a":null}]}`, `"text"`, 1), ExecV1},
		{"kind null, as kube-rs writes it", `{"apiVersion":"client.authentication.k8s.io/v1","kind":null,"spec":{"interactive":false}}`, ExecV1},
		{"kind empty", `{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":""}`, ExecV1Beta1},
		{"no kind", `{"apiVersion":"client.authentication.k8s.io/v1beta1","spec":{}}`, ExecV1Beta1},
		{"spec null", `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":null,"status":null}`, ExecV1},
		{"fields to come", `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","metadata":{"uid":1},` +
			`"spec":{"cluster":{"min-connection-pool-size":4,"config":null},"requestedAudiences":["a"]},"x":[{}]}`, ExecV1},
		{"cluster of another shape", `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"cluster":[0]}}`, ExecV1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseExecInfo(tc.env)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseExecInfoRefuses(t *testing.T) {
	t.Parallel()
	const supported = " (supported: client.authentication.k8s.io/v1beta1, client.authentication.k8s.io/v1)"
	for _, tc := range []struct {
		name, env, want string
		version         string // of the UnsupportedVersionError, where it is one
	}{
		{"v1alpha1", `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1alpha1"}`,
			`unsupported apiVersion "client.authentication.k8s.io/v1alpha1"` + supported, "client.authentication.k8s.io/v1alpha1"},
		{"a version to come", `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v2"}`,
			`unsupported apiVersion "client.authentication.k8s.io/v2"` + supported, "client.authentication.k8s.io/v2"},
		{"another kind", `{"kind":"TokenReview","apiVersion":"client.authentication.k8s.io/v1"}`, `unsupported kind "TokenReview" (supported: ExecCredential)`, ""},
		{"kind of another type", `{"kind":1,"apiVersion":"client.authentication.k8s.io/v1"}`,
			"malformed JSON: json: cannot unmarshal number into Go struct field .kind of type string", ""},
		{"an empty object", `{}`, `unsupported apiVersion ""` + supported, ""},
		{"no version", `{"kind":"ExecCredential"}`, `unsupported apiVersion ""` + supported, ""},
		{"cut short", `{"kind":"ExecCredential",`, "malformed JSON: unexpected end of JSON input", ""},
		{"two documents", clusterInfo + clusterInfo, "malformed JSON: invalid character '{' after top-level value", ""},
		{"only spaces", "  ", "malformed JSON: unexpected end of JSON input", ""},
		{"too long", strings.Repeat(" ", 1<<20) + "{}", "malformed: longer than 1048576 bytes", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseExecInfo(tc.env)
			if want := "reading KUBERNETES_EXEC_INFO: " + tc.want; err == nil || err.Error() != want {
				t.Errorf("got error %v, want %q", err, want)
			}
			if e, ok := errors.AsType[*UnsupportedVersionError](err); tc.version != "" && (!ok || e.APIVersion != tc.version) {
				t.Errorf("got %#v, want an UnsupportedVersionError of %s", err, tc.version)
			}
		})
	}
}

func FuzzParseExecInfo(f *testing.F) {
	f.Add("")
	f.Add(clusterInfo)
	f.Add(`{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1alpha1","spec":{}}`)
	f.Add(`{"KIND":"ExecCredential","apiversion":"client.authentication.k8s.io/v1beta1","spec":null,"status":{"token":"t"}}`)
	f.Fuzz(func(t *testing.T, env string) {
		got, err := ParseExecInfo(env)
		if err != nil && strings.ContainsAny(err.Error(), "\n\r") {
			t.Errorf("error of more than one line: %q", err)
		}
		if err == nil && got != ExecV1 && got != ExecV1Beta1 {
			t.Errorf("got apiVersion %q", got)
		}
		// Whatever Kubernetes' own type reads, we read.
		var k8s clientauthv1.ExecCredential
		if json.Unmarshal([]byte(env), &k8s) != nil || k8s.Kind != execKind || checkExecVersion(k8s.APIVersion) != nil || len(env) > maxExecInfo {
			return
		}
		if diff := cmp.Diff(k8s.APIVersion, got); diff != "" || err != nil {
			t.Errorf("error %v, difference to the Kubernetes type: %s", err, diff)
		}
	})
}

func TestExecCredential(t *testing.T) {
	t.Parallel()
	for _, version := range []string{ExecV1, ExecV1Beta1} {
		var b bytes.Buffer
		if err := ExecCredential(&b, version, "k8s-aws-v1.aHR0cHM6Ly9z", session().Expires); err != nil {
			t.Fatal(err)
		}
		want := `{"kind":"ExecCredential","apiVersion":"` + version + `","spec":{"interactive":false},` +
			`"status":{"expirationTimestamp":"2096-11-23T22:00:59Z","token":"k8s-aws-v1.aHR0cHM6Ly9z"}}` + "\n"
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Error(diff)
		}

		// The types that other Go programs read it with, which are two.
		var v1 clientauthv1.ExecCredential
		var v1beta1 clientauthv1beta1.ExecCredential
		if err := errors.Join(json.Unmarshal(b.Bytes(), &v1), json.Unmarshal(b.Bytes(), &v1beta1)); err != nil {
			t.Fatal(err)
		}
		expires := time.Date(2096, 11, 23, 22, 0, 59, 0, time.UTC)
		if s := v1.Status; v1.APIVersion != version || s.Token != "k8s-aws-v1.aHR0cHM6Ly9z" || !s.ExpirationTimestamp.Time.Equal(expires) {
			t.Errorf("as v1: got %+v", v1)
		}
		if s := v1beta1.Status; v1beta1.APIVersion != version || s.Token != "k8s-aws-v1.aHR0cHM6Ly9z" || !s.ExpirationTimestamp.Time.Equal(expires) {
			t.Errorf("as v1beta1: got %+v", v1beta1)
		}
	}
}

func TestExecCredentialWritesNothingWhen(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, version, token string
		expires              time.Time
		want                 string
	}{
		{"the version is v1alpha1", "client.authentication.k8s.io/v1alpha1", "t", session().Expires,
			`writing ExecCredential: unsupported apiVersion "client.authentication.k8s.io/v1alpha1" (supported: client.authentication.k8s.io/v1beta1, client.authentication.k8s.io/v1)`},
		{"the token is empty", ExecV1, "", session().Expires, "writing ExecCredential: invalid token: empty"},
		{"the expiry is missing", ExecV1, "t", time.Time{}, "writing ExecCredential: no expiry found"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			err := ExecCredential(&b, tc.version, tc.token, tc.expires)
			if err == nil || err.Error() != tc.want || b.Len() > 0 {
				t.Errorf("got error %v and output %q, want %q and none", err, b.String(), tc.want)
			}
		})
	}
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestClientGoRunsThePlugin has client-go run this test binary as kubectl
// runs its plugin, once with the cluster extension that its internal type can't decode.
func TestClientGoRunsThePlugin(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{ExecV1, ExecV1Beta1} {
		for _, provide := range []bool{false, true} {
			a, err := execplugin.GetAuthenticator(&api.ExecConfig{
				Command:            exe,
				Env:                []api.ExecEnvVar{{Name: "EKS_X509_TEST_AS", Value: "exec plugin"}},
				APIVersion:         version,
				InteractiveMode:    api.NeverExecInteractiveMode,
				ProvideClusterInfo: provide,
			}, &clientauthentication.Cluster{
				Server: "https://127.0.0.1:6443",
				Config: &runtime.Unknown{Raw: []byte(`{"clusterName":"prod"}`), ContentType: runtime.ContentTypeJSON},
			})
			if err != nil {
				t.Fatal(err)
			}
			var config transport.Config
			if err := a.UpdateTransportConfig(&config); err != nil {
				t.Fatal(err)
			}
			var authorization string
			rt, err := transport.HTTPWrappersForConfig(&config, roundTripFunc(func(r *http.Request) (*http.Response, error) {
				authorization = r.Header.Get("Authorization")
				return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
			}))
			if err != nil {
				t.Fatal(err)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://127.0.0.1:6443/api", nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := rt.RoundTrip(req); err != nil {
				t.Fatalf("%s, cluster info %v: %v", version, provide, err)
			}
			if want := "Bearer k8s-aws-v1.aHR0cHM6Ly9zdHM"; authorization != want {
				t.Errorf("%s, cluster info %v: got %q, want %q", version, provide, authorization, want)
			}
		}
	}
}
