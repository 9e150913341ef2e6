package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is taken is printed as it was read: nothing is passed over in between.
func FuzzAuthorizationHeader(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(vectorDir, "*.http"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(raw), "Authorization: ")
		value, _, _ := strings.Cut(rest, "\r\n")
		f.Add(value)
	}
	f.Add("AWS4-HMAC-SHA256 Credential=ASIA/20261123/us-east-1/sts/aws4_request, SignedHeaders=host;x-amz-date, Signature=00")
	f.Add("AWS4-HMAC-SHA256 Credential=ASIA/20261123/us-east-1/sts/aws4_request,SignedHeaders=host,Signature=00")
	f.Add("Bearer x")
	f.Fuzz(func(t *testing.T, value string) {
		a, err := parseAuthorization(value)
		if err == nil && a.String() != value {
			t.Errorf("%q printed as %q", value, a)
		}
	})
}

// A token that is taken names an STS host that EKS takes, and says nothing that is not in its canonical form.
func FuzzToken(f *testing.F) {
	s := newSandbox(f, Options{})
	good := newSession(f, s, nil).presign(noon).url()
	f.Add(good)
	f.Add(strings.Replace(good, "https", "HTTPS", 1))
	f.Add(strings.Replace(good, "%3B", ";", 1))
	f.Add("https://user:pw@" + stsHost + "/?#")
	f.Fuzz(func(t *testing.T, url string) {
		p, err := parseToken(token(url), "aws", noon)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error of more than one line: %q", err)
			}
			return
		}
		if rebuilt := "https://" + p.host + "/?" + p.query; !strings.EqualFold(rebuilt[:8], url[:8]) || rebuilt[8:] != url[8:] {
			t.Errorf("%q read as %q", url, rebuilt)
		}
		if e, ok := parseHost(p.host); !ok || !e.acceptedByEKS() {
			t.Errorf("host %q", p.host)
		}
	})
}

// What is read of a review was in it.
func FuzzReview(f *testing.F) {
	f.Add(selfAccessProtobuf, true)
	f.Add(selfAccessProtobuf, false)
	f.Add("k8s\x00\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f", true)
	f.Fuzz(func(t *testing.T, body string, access bool) {
		kind := "SelfSubjectRulesReview"
		if access {
			kind = "SelfSubjectAccessReview"
		}
		spec, err := readProtobufReview([]byte(body), kind)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "malformed protobuf: ") {
				t.Error(err)
			}
			return
		}
		values := []string{spec.Namespace}
		if a := spec.ResourceAttributes; a != nil {
			values = append(values, a.Verb, a.Group, a.Version, a.Resource, a.Subresource, a.Namespace, a.Name)
		}
		if a := spec.NonResourceAttributes; a != nil {
			values = append(values, a.Verb, a.Path)
		}
		for _, v := range values {
			if !strings.Contains(body, v) {
				t.Errorf("%q is not in the review", v)
			}
		}
	})
}
