package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

const awsAuthPath = "/api/v1/namespaces/kube-system/configmaps"

// administratorToken is a token of the IAM user, who has no session token.
func administratorToken(s *Sandbox) string {
	p := issued{s.administrator.accessKeyID, s.administrator.secret, "", ""}.presign(noon)
	p.cluster = "aws-auth"
	delete(p.values, "X-Amz-Security-Token")
	return token(p.url())
}

func toAWSAuth(s *Sandbox, bearer, method, path, contentType, body string) answer {
	r := hosted(httptest.NewRequest(method, "/k8s/aws-auth"+path, strings.NewReader(body)), loopback)
	r.Header.Set("Authorization", "Bearer "+bearer)
	if body != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return do(s, r)
}

func TestConfigMap(t *testing.T) {
	t.Parallel()
	const (
		object = "application/json"
		merge  = "application/merge-patch+json"
		name   = `"metadata":{"name":"aws-auth","namespace":"kube-system"`
		at1    = `"metadata":{"resourceVersion":"1"}`
	)
	stale := `409 {"apiVersion":"v1","code":409,"details":{"kind":"configmaps","name":"aws-auth"},"kind":"Status","message":"Operation cannot be fulfilled on configmaps \"aws-auth\": the object has been modified;`
	for title, row := range map[string]struct {
		absent                   bool
		method, path, kind, body string
		want                     string // status and beginning of the body
		contains                 string
	}{
		"get":                  {false, "GET", "/aws-auth", "", "", `200 {"kind":"ConfigMap","apiVersion":"v1","metadata":{"creationTimestamp":"2026-01-01T00:00:00Z","name":"aws-auth","namespace":"kube-system","resourceVersion":"1"},"data":{"mapRoles":"# the nodes`, ""},
		"list":                 {false, "GET", "", "", "", `200 {"apiVersion":"v1","items":[{"kind":"ConfigMap"`, ""},
		"get, not there":       {true, "GET", "/aws-auth", "", "", `404 {"apiVersion":"v1","code":404,"details":{"kind":"configmaps","name":"aws-auth"},"kind":"Status","message":"configmaps \"aws-auth\" not found"`, ""},
		"patch":                {false, "PATCH", "/aws-auth", merge, `{` + at1 + `,"data":{"mapUsers":"[]"}}`, `200 {"kind":"ConfigMap"`, `"resourceVersion":"2"},"data":{"mapRoles":"# the nodes`},
		"patch, any version":   {false, "PATCH", "/aws-auth", merge, `{"data":{"mapRoles":null,"a":"b"}}`, `200 {"kind":"ConfigMap"`, `"resourceVersion":"2"},"data":{"a":"b"}}`},
		"patch, kubectl's":     {false, "PATCH", "/aws-auth", "application/strategic-merge-patch+json", `{"data":{"mapRoles":"x"}}`, `200 {"kind":"ConfigMap"`, `"resourceVersion":"2"},"data":{"mapRoles":"x"}}`},
		"patch of nothing":     {false, "PATCH", "/aws-auth", merge, `{` + at1 + `}`, `200 {"kind":"ConfigMap"`, `"resourceVersion":"1"`},
		"patch, stale":         {false, "PATCH", "/aws-auth", merge, `{"metadata":{"resourceVersion":"7"},"data":{"mapUsers":"[]"}}`, stale, ""},
		"patch, not there":     {true, "PATCH", "/aws-auth", merge, `{}`, `404 `, ""},
		"patch by operations":  {false, "PATCH", "/aws-auth", "application/json-patch+json", `[]`, `415 `, ""},
		"patch, not an object": {false, "PATCH", "/aws-auth", merge, `[]`, `400 `, ""},
		"patch, no strings":    {false, "PATCH", "/aws-auth", merge, `{"data":{"mapRoles":[]}}`, `400 `, ""},
		"patch, renamed":       {false, "PATCH", "/aws-auth", merge, `{"metadata":{"name":"x"}}`, `400 `, ""},
		"update":               {false, "PUT", "/aws-auth", object, `{` + name + `,"resourceVersion":"1"},"data":{"a":"b"}}`, `200 {"kind":"ConfigMap"`, `"resourceVersion":"2"},"data":{"a":"b"}}`},
		"update, stale":        {false, "PUT", "/aws-auth", object, `{` + name + `,"resourceVersion":"0"}}`, stale, ""},
		"create":               {true, "POST", "", object, `{` + name + `},"data":{"a":"b"}}`, `201 {"kind":"ConfigMap"`, `"resourceVersion":"1"},"data":{"a":"b"}}`},
		"create, there":        {false, "POST", "", object, `{` + name + `}}`, `409 {"apiVersion":"v1","code":409,"details":{"kind":"configmaps"},"kind":"Status","message":"configmaps \"aws-auth\" already exists"`, ""},
		"create another":       {true, "POST", "", object, `{"metadata":{"name":"x"}}`, `400 `, ""},
		"delete":               {false, "DELETE", "/aws-auth", "", "", `405 `, ""},
		"patch another":        {false, "PATCH", "/other", merge, `{}`, `405 `, ""},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, Options{})
			if row.absent {
				w := s.World()
				w.cluster("aws-auth").AWSAuth = nil
				if err := s.SetWorld(w); err != nil {
					t.Fatal(err)
				}
			}
			got := toAWSAuth(s, administratorToken(s), row.method, awsAuthPath+row.path, row.kind, row.body)
			if line := got.Result().Status[:4] + got.Body.String(); !strings.HasPrefix(line, row.want) || !strings.Contains(line, row.contains) {
				t.Errorf("got  %s\nwant %s…%s", line, row.want, row.contains)
			}
		})
	}
}

// Of many who have read the same state, one writes.
func TestConfigMapAtOnce(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	bearer := administratorToken(s)
	var all sync.WaitGroup
	codes := make([]int, 20)
	for i := range codes {
		all.Go(func() {
			body := fmt.Sprintf(`{"metadata":{"resourceVersion":"1"},"data":{"mapRoles":"%d"}}`, i)
			codes[i] = toAWSAuth(s, bearer, "PATCH", awsAuthPath+"/aws-auth", "application/merge-patch+json", body).Code
		})
	}
	all.Wait()
	written := -1
	for i, code := range codes {
		switch {
		case code == http.StatusOK && written < 0:
			written = i
		case code != http.StatusConflict:
			t.Errorf("HTTP %d for the %dth", code, i)
		}
	}
	if m := s.World().cluster("aws-auth").AWSAuth; m.ResourceVersion != 2 || m.Data["mapRoles"] != fmt.Sprint(written) {
		t.Errorf("%+v, and %d wrote", m, written)
	}
}

// mapRoles maps as aws-iam-authenticator has it.
func TestMapRoles(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:iam::123456789012:role/eks-x509-sandbox"
	entry := Mapping{RoleARN: arn, Username: "entry", Groups: []string{"view"}}
	for title, row := range map[string]struct {
		mode     string
		entries  []Mapping
		mapRoles string
		want     string // "" refused
	}{
		"mapped":                    {modeConfigMap, nil, "- {rolearn: '" + arn + "', username: 'a:{{SessionName}}', groups: ['{{AccountID}}']}", "a:" + "…" + " [123456789012]"},
		"none":                      {modeConfigMap, nil, "", ""},
		"other":                     {modeConfigMap, nil, "- {rolearn: '" + arn + "2', username: a}", ""},
		"a path":                    {modeConfigMap, nil, "- {rolearn: 'arn:aws:iam::123456789012:role/p/eks-x509-sandbox', username: a}", ""},
		"case":                      {modeConfigMap, nil, "- {roleARN: '" + strings.ToUpper(arn) + "', userName: a}", "a []"},
		"the last":                  {modeConfigMap, nil, "- {rolearn: '" + arn + "', username: a}\n- {rolearn: '" + arn + "', username: b, groups: []}", "b []"},
		"after nonsense":            {modeConfigMap, nil, "- 5\n- {rolearn: [x]}\n- {rolearn: '" + arn + "', username: a}", "a []"},
		"no list":                   {modeConfigMap, nil, "rolearn: '" + arn + "'", ""},
		"no YAML":                   {modeConfigMap, nil, "- {", ""},
		"keys that are no text":     {modeConfigMap, nil, "- {rolearn: '" + arn + "', username: a, 1: b}", ""},
		"the entry first":           {modeBoth, []Mapping{entry}, "- {rolearn: '" + arn + "', username: a}", "entry [view]"},
		"then aws-auth":             {modeBoth, nil, "- {rolearn: '" + arn + "', username: a}", "a []"},
		"aws-auth is not looked at": {modeAPI, nil, "- {rolearn: '" + arn + "', username: a}", ""},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, Options{})
			w := s.World()
			k := w.cluster("aws-auth")
			k.AuthenticationMode, k.Mappings, k.AWSAuth = row.mode, row.entries, &ConfigMap{3, map[string]string{"mapRoles": row.mapRoles}}
			if err := s.SetWorld(w); err != nil {
				t.Fatal(err)
			}
			session := newSession(t, s, nil)
			p := session.presign(noon)
			p.cluster = "aws-auth"
			body := `{"spec":{"token":` + mustJSON(token(p.url())) + `}}`
			got := do(s, hosted(httptest.NewRequest("POST", "/authenticate?cluster=aws-auth", strings.NewReader(body)), loopback))
			var review tokenReview
			if err := json.Unmarshal(got.Body.Bytes(), &review); err != nil {
				t.Fatal(err)
			}
			who := ""
			if review.Status.Authenticated {
				who = strings.ReplaceAll(fmt.Sprint(review.Status.User.Username, " ", review.Status.User.Groups), session.arn[strings.LastIndex(session.arn, "/")+1:], "…")
			}
			if who != row.want {
				t.Errorf("%q, want %q (%s)", who, row.want, got.Body)
			}
		})
	}
}

func TestAuthenticationModeOfWorld(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	for _, k := range []Cluster{
		{AuthenticationMode: "NONE"},
		{AuthenticationMode: modeConfigMap, Mappings: []Mapping{{RoleARN: rolePrefix + "x", Username: "x"}}},
	} {
		w := s.World()
		k.Name, k.Region, k.Status = "new", w.Region, "ACTIVE"
		w.Clusters = append(w.Clusters, k)
		if err := s.SetWorld(w); err == nil || !strings.Contains(err.Error(), "authenticationMode") {
			t.Errorf("%+v: %v", k, err)
		}
	}
}
