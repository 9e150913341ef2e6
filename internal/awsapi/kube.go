package awsapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/safetext"
)

// KubeAPI is a cluster's API server, asked with a bearer token.
type KubeAPI struct {
	Server string // base URL
	CA     []byte // PEM, alone to be trusted; empty: the system's roots
	Token  string
	// ServerName is whose certificate is expected; empty: that of Server's host.
	ServerName string
	Proxy      func(*http.Request) (*url.URL, error) // nil: none
	UserAgent  string
	// Watch may wrap what makes the calls, to log them or to tell the person who is waited for; nil: nobody does.
	Watch func(http.RoundTripper) http.RoundTripper
	Now   func() time.Time
}

// String hides the token.
func (k KubeAPI) String() string { return "API server " + k.Server }

// GoString is String, for %#v.
func (k KubeAPI) GoString() string { return k.String() }

// User is who a cluster says we are.
type User struct {
	Username string              `json:"username"`
	UID      string              `json:"uid"`
	Groups   []string            `json:"groups"`
	Extra    map[string][]string `json:"extra,omitempty"`
}

// WhoAmI asks by a SelfSubjectReview, which every user may make (Kubernetes 1.28
// and later).
func (k KubeAPI) WhoAmI(ctx context.Context) (User, error) {
	var out struct {
		Status struct {
			UserInfo User `json:"userInfo"`
		} `json:"status"`
	}
	q, a, err := k.review(ctx, "authentication.k8s.io", "SelfSubjectReview", nil, &out)
	if err == nil && out.Status.UserInfo.Username == "" {
		err = q.malformed(a, "no user in the answer")
	}
	return out.Status.UserInfo, err
}

// Can asks by a SelfSubjectAccessReview; an empty namespace is all of them.
func (k KubeAPI) Can(ctx context.Context, verb, group, resource, namespace string) (bool, error) {
	var out struct {
		Status *struct {
			Allowed bool `json:"allowed"`
		} `json:"status"`
	}
	spec := map[string]any{"resourceAttributes": map[string]string{"verb": verb, "group": group, "resource": resource, "namespace": namespace}}
	q, a, err := k.review(ctx, "authorization.k8s.io", "SelfSubjectAccessReview", spec, &out)
	if err == nil && out.Status == nil {
		err = q.malformed(a, "no status in the answer")
	}
	return err == nil && out.Status.Allowed, err
}

// Rules are what a user may do in a namespace.
type Rules struct {
	Resource []Rule `json:"resourceRules"`
	// Incomplete: there are authorizers that can't list what they allow. EKS's
	// access policies are one of them.
	Incomplete bool `json:"incomplete"`
}

// Rule allows verbs on resources.
type Rule struct {
	Verbs         []string `json:"verbs"`
	APIGroups     []string `json:"apiGroups"`
	Resources     []string `json:"resources"`
	ResourceNames []string `json:"resourceNames,omitempty"`
}

// Allow says whether some rule allows the verb on all resources of that name.
func (r Rules) Allow(verb, group, resource string) bool {
	has := func(all []string, one string) bool { return slices.Contains(all, "*") || slices.Contains(all, one) }
	return slices.ContainsFunc(r.Resource, func(r Rule) bool {
		return has(r.Verbs, verb) && has(r.APIGroups, group) && has(r.Resources, resource) && len(r.ResourceNames) == 0
	})
}

// Rules asks by a SelfSubjectRulesReview.
func (k KubeAPI) Rules(ctx context.Context, namespace string) (Rules, error) {
	var out struct {
		Status *Rules `json:"status"`
	}
	q, a, err := k.review(ctx, "authorization.k8s.io", "SelfSubjectRulesReview", map[string]any{"namespace": namespace}, &out)
	if err == nil && out.Status == nil {
		err = q.malformed(a, "no status in the answer")
	}
	if err != nil {
		return Rules{}, err
	}
	return *out.Status, nil
}

// Version is the API server's, such as v1.34.2-eks-5a9db0c. It needs no token.
func (k KubeAPI) Version(ctx context.Context) (string, error) {
	q, err := k.query("Version", http.MethodGet, "/version", nil)
	if err != nil {
		return "", err
	}
	a, err := q.do(ctx)
	if err != nil {
		return "", err
	}
	var out struct {
		GitVersion string `json:"gitVersion"`
	}
	if json.Unmarshal(a.body, &out) != nil || out.GitVersion == "" {
		return "", q.malformed(a, "no version in the answer")
	}
	return out.GitVersion, nil
}

func (k KubeAPI) review(ctx context.Context, group, kind string, spec map[string]any, out any) (query, answer, error) {
	body := map[string]any{"apiVersion": group + "/v1", "kind": kind}
	if spec != nil {
		body["spec"] = spec
	}
	data, err := json.Marshal(body)
	if err != nil {
		return query{}, answer{}, err
	}
	q, err := k.query(kind, http.MethodPost, "/apis/"+group+"/v1/"+strings.ToLower(kind)+"s", data)
	if err != nil {
		return q, answer{}, err
	}
	a, err := q.do(ctx)
	if err == nil && json.Unmarshal(a.body, out) != nil {
		err = q.malformed(a, "malformed answer")
	}
	return q, a, err
}

func (k KubeAPI) query(operation, method, path string, body []byte) (query, error) {
	q := query{service: TheCluster, operation: operation, now: k.Now, secrets: []string{k.Token}}
	var err error
	if q.client, err = k.Client(); err != nil {
		return q, q.malformed(answer{}, err.Error())
	}
	q.newRequest = func(ctx context.Context) (*http.Request, error) {
		if err := CheckServer(k.Server); err != nil { // or anyone on the way reads the token
			return nil, fmt.Errorf("invalid server URL: %w", err)
		}
		r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(k.Server, "/")+path, bytes.NewReader(body))
		if err != nil {
			return nil, errors.New("malformed server URL")
		}
		if k.Token != "" {
			r.Header.Set("Authorization", "Bearer "+k.Token)
		}
		switch {
		case method == http.MethodPatch:
			r.Header.Set("Content-Type", "application/merge-patch+json")
		case body != nil:
			r.Header.Set("Content-Type", "application/json")
		}
		r.Header.Set("Accept", "application/json")
		r.Header.Set("User-Agent", k.UserAgent)
		return r, nil
	}
	return q, nil
}

const (
	connectTimeout = 5 * time.Second
	maxHeaderBytes = 256 << 10
)

// Client trusts and connects as k says.
func (k KubeAPI) Client() (*http.Client, error) {
	var roots *x509.CertPool
	if len(k.CA) > 0 {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(k.CA) {
			return nil, errors.New("no certificate found in the cluster's certificate authority")
		}
	}
	var transport http.RoundTripper = &http.Transport{
		Proxy:                  k.Proxy,
		DialContext:            (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSHandshakeTimeout:    connectTimeout,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: k.ServerName},
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: maxHeaderBytes,
		OnProxyConnectResponse: safetext.ProxyAnswer,
	}
	if k.Watch != nil {
		transport = k.Watch(transport)
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
