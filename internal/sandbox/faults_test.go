package sandbox

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestParseFault(t *testing.T) {
	t.Parallel()
	for _, spec := range []string{
		"CreateSession:throttle", "CreateSession:throttle=3*2", "GetCallerIdentity:status=503", "*:slow=2s", "TokenReview:hang",
		"DescribeCluster:drop*1", "ListClusters:malformed", "*:html", "CreateSession:empty", "SelfSubjectReview:drop", "*:clock=-10m", "CreateSession:ends=90s*2", "*:clock=+10m*7",
		"DeleteStack:lose", "*:lose*1@12", "*:slow=1s@3",
	} {
		f, err := ParseFault(spec)
		if err != nil || f.String() != spec {
			t.Errorf("%s: %v %v", spec, f, err)
		}
	}
	for spec, want := range map[string]string{
		"":                            `invalid fault "" (want OPERATION:KIND[=VALUE][*COUNT][@AFTER])`,
		"CreateSession":               `invalid fault "CreateSession" (want`,
		"CreateSession:drop@0":        `invalid fault "CreateSession:drop@0" (want`,
		"CreateSession:drop*0":        `invalid fault "CreateSession:drop*0" (want`,
		"AssumeRole:drop":             `invalid fault "AssumeRole:drop": unsupported operation "AssumeRole"`,
		"CreateSession:explode":       `invalid fault "CreateSession:explode": unsupported kind "explode"`,
		"CreateSession:status":        `invalid fault "CreateSession:status": malformed value ""`,
		"CreateSession:status=200":    `invalid fault "CreateSession:status=200": malformed value "200"`,
		"CreateSession:slow=-1s":      `invalid fault "CreateSession:slow=-1s": malformed value "-1s"`,
		"CreateSession:ends=0s":       `invalid fault "CreateSession:ends=0s": malformed value "0s"`,
		"GetCallerIdentity:ends=3s":   `invalid fault "GetCallerIdentity:ends=3s": malformed value "3s"`,
		"CreateSession:clock=tonight": `invalid fault "CreateSession:clock=tonight": malformed value "tonight"`,
		"CreateSession:hang=1s":       `invalid fault "CreateSession:hang=1s": malformed value "1s"`,
		"CreateSession:throttle=soon": `invalid fault "CreateSession:throttle=soon": malformed value "soon"`,
	} {
		if _, err := ParseFault(spec); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", spec, err)
		}
	}
}

func faults(t *testing.T, specs string) []Fault {
	t.Helper()
	all, err := ParseFaults(specs)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFaultsInEachOperation(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		fault, operation string
		want             string // status, X-Amzn-Errortype, Retry-After and beginning of the body
	}{
		"throttled CreateSession":     {"CreateSession:throttle=7", "CreateSession", `429 ThrottlingException 7 {"message":"Rate exceeded"}`},
		"throttled STS":               {"*:throttle", "GetCallerIdentity", `429   <ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">` + "\n  <Error>\n    <Type>Sender</Type>\n    <Code>Throttling</Code>"},
		"throttled EKS":               {"*:throttle", "ListClusters", `429 ThrottlingException  {"message":"Rate exceeded"}`},
		"throttled TokenReview":       {"TokenReview:throttle", "TokenReview", `429   {"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","status":{"authenticated":false,"error":"sts getCallerIdentity was throttled"}}`},
		"500 of CreateSession":        {"CreateSession:status=503", "CreateSession", `503 InternalServerException  {"message":"Internal failure"}`},
		"403 of STS":                  {"GetCallerIdentity:status=403", "GetCallerIdentity", "403   <ErrorResponse "},
		"500 of STS":                  {"GetCallerIdentity:status=500", "GetCallerIdentity", "500   <ErrorResponse "},
		"malformed CreateSession":     {"CreateSession:malformed", "CreateSession", `201   {"credentialSet":[{"credentials":{"accessKeyId":"ASIA`},
		"malformed EKS":               {"ListClusters:malformed", "ListClusters", `200   {"credentialSet"`},
		"a page of HTML":              {"*:html", "CreateSession", "403   <!DOCTYPE html>"},
		"empty CreateSession":         {"*:empty", "CreateSession", `201   {"credentialSet":[],"subjectArn":""}`},
		"empty EKS":                   {"*:empty", "ListClusters", `200   {}`},
		"of another operation":        {"DescribeCluster:html\nTokenReview:html", "ListClusters", `200   {"clusters":`},
		"clock ahead":                 {"CreateSession:clock=+10m", "CreateSession", `403 AccessDeniedException  {"message":"Signature expired: 20261123T120000Z is now earlier than 20261123T120500Z`},
		"clock behind":                {"CreateSession:clock=-10m", "CreateSession", `403 AccessDeniedException  {"message":"Signature not yet current: `},
		"clock ahead for STS":         {"*:clock=6m", "GetCallerIdentity", "403   <ErrorResponse "},
		"slow":                        {"*:slow=1ms", "ListClusters", `200   {"clusters":`},
		"clock and another together":  {"*:clock=10m\n*:html", "CreateSession", "403   <!DOCTYPE html>"},
		"the first of two that fit":   {"*:status=500\n*:html", "CreateSession", "500 InternalServerException "},
		"none, after another's count": {"ListClusters:html*1", "CreateSession", "201   {"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, Options{})
			session := newSession(t, s, nil)
			s.SetFaults(faults(t, row.fault))
			got := do(s, map[string]func() *http.Request{
				"CreateSession":     func() *http.Request { return createRequest(s, s.ca.Client, nil).sign(t) },
				"GetCallerIdentity": func() *http.Request { return session.request("sts", "POST", "/", identityForm).sign(t) },
				"ListClusters":      func() *http.Request { return session.request("eks", "GET", "/clusters", "").sign(t) },
				"TokenReview": func() *http.Request {
					q := session.request("x", "POST", "/authenticate", spec("x"))
					return q.sign(t)
				},
			}[row.operation]())
			h := got.Header()
			line := strings.Join([]string{got.Result().Status[:3], h.Get("X-Amzn-Errortype"), h.Get("Retry-After"), got.Body.String()}, " ")
			if !strings.HasPrefix(line, row.want) {
				t.Errorf("got  %s\nwant %s", line, row.want)
			}
			if strings.Contains(row.fault, "clock=+10m") && h.Get("Date") != noon.Add(10*time.Minute).Format(http.TimeFormat) {
				t.Errorf("Date: %s", h.Get("Date"))
			}
		})
	}
}

func TestFaultsAreCounted(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	s.SetFaults(faults(t, "CreateSession:status=503*2\nCreateSession:throttle*1\nCreateSession:status=502*1@4\nListClusters:drop@1"))
	for _, want := range []int{503, 503, 429, 201, 201, 201, 201, 502, 201} {
		if got := do(s, createRequest(s, s.ca.Client, nil).sign(t)); got.Code != want {
			t.Errorf("%d, want %d", got.Code, want)
		}
	}
	if left := s.Faults(); len(left) != 1 || left[0].String() != "ListClusters:drop@1" {
		t.Errorf("left: %v", left)
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Options{})
	client := serve(t, s, false)
	s.SetFaults(faults(t, "*:drop*1"))
	r, err := http.NewRequest("POST", s.URL()+"/sessions", strings.NewReader("{}")) // net/http repeats a GET by itself
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Do(r); !errors.Is(err, io.EOF) {
		t.Errorf("drop: %v", err)
	}
	for _, fault := range []string{"*:hang", "*:slow=1h", "*:lose"} {
		s.SetFaults(faults(t, fault))
		hasty := &http.Client{Transport: client.Transport, Timeout: time.Second} // on a busy machine, too, the request arrives
		if _, err := hasty.Get(s.URL() + "/clusters"); err == nil || !strings.Contains(err.Error(), "Client.Timeout") {
			t.Errorf("%s: %v", fault, err)
		}
	}
	if all := s.Requests(); all[1].Status != 0 || all[3].Status == 0 || all[3].Faults[0] != "*:lose" { // that one was answered, to nobody
		t.Errorf("%+v", all)
	}
	if e := s.Requests()[0]; e.Status != 0 || len(e.Faults) != 1 || e.Faults[0] != "*:drop" {
		t.Errorf("%+v", e)
	}
}
