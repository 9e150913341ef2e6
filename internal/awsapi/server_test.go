package awsapi_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/eks-x509/eks-x509/internal/awsapi"
	"github.com/eks-x509/eks-x509/internal/minica"
)

func TestCheckServer(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"https://ABC.gr7.us-east-1.eks.amazonaws.com", "https://127.0.0.1:6443/k8s/sandbox", "https://[::1]:6443", "https://host/", "https://host.", "https://10.0.0.1"} {
		if err := awsapi.CheckServer(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "host", "//host", "https:", "https://", "https:///path", "https:host", "http://host", "HTTP://host", "file:///etc/passwd", "unix:/run/x", "unix:///run/x", "ftp://host", "javascript:alert(1)",
		"https://evil@host", "https://user:password@host", "https://@host", "https://host?x", "https://host/path?x", "https://host?", "https://host#x", "https://host#", "https://host/..", "https://host/a/../b",
		"https://host//a", "https://host/%2e%2e/a", "https://host/a b", "https://host\n.evil", "https://host\nserver: x", " https://host", "https://host ", "https://host\t", "https://ho\x00st", "https://ho\x1b[31mst",
		"https://hôst", "https://host:0", "https://host:65536", "https://host:x", "https://host:", "https://host:443:443", "https://[::1", "https://[host]", "https://[fe80::1%25eth0]", "https://-host", "https://ho_st",
		"https://a..b", "https://" + strings.Repeat("a", 64) + ".com", "https://" + strings.Repeat("a.", 200) + "com", "https://host/" + strings.Repeat("a", 3000), "https://host\\@evil", "https://host/a;b", "https://\"host\"", "https://${HOME}",
	} {
		if err := awsapi.CheckServer(bad); err == nil || strings.ContainsAny(err.Error(), "\n\x1b") || strings.Contains(err.Error(), "password") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// exchange answers in process.
type exchange func(*http.Request) *http.Response

func (f exchange) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func answering(status int, header http.Header, body string) awsapi.Client {
	return awsapi.Client{
		HTTP: &http.Client{Transport: exchange(func(r *http.Request) *http.Response {
			return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}
		}), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		Credentials: aws.Credentials{AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: "SECRETKEYSECRETKEY", SessionToken: "TOKENTOKENTOKEN"},
		Region:      "us-east-1", Account: "123456789012", Now: time.Now,
	}
}

// What EKS says of a cluster goes into a kubeconfig only if it could be true.
func TestHostileCluster(t *testing.T) {
	t.Parallel()
	root, err := minica.GenerateKey("p256")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := minica.NewRoot(minica.CA("kubernetes"), root)
	if err != nil {
		t.Fatal(err)
	}
	ca := minica.CertificatePEM(pair.Certificate)
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret")})
	in64 := base64.StdEncoding.EncodeToString
	type m = map[string]any
	answer := func(change func(m)) string {
		c := m{"name": "prod", "arn": "arn:aws:eks:us-east-1:123456789012:cluster/prod", "status": "ACTIVE", "version": "1.34", "endpoint": "https://A.gr7.us-east-1.eks.amazonaws.com", "certificateAuthority": m{"data": in64(ca)}}
		change(c)
		data, err := json.Marshal(m{"cluster": c})
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	set := func(key string, value any) string { return answer(func(c m) { c[key] = value }) }
	authority := func(text string) string { return set("certificateAuthority", m{"data": text}) }
	hostile := map[string]string{
		"no authority": set("certificateAuthority", nil), "empty authority": authority(""), "garbage": authority("%%%"), "no PEM": authority(in64([]byte("none"))), "a private key": authority(in64(key)),
		"a private key behind": authority(in64(append(bytes.Clone(ca), key...))), "half a certificate": authority(in64(ca[:len(ca)/2])), "cut PEM behind": authority(in64(append(bytes.Clone(ca), ca[:40]...))),
		"no certificate": authority(in64(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))), "huge": authority(in64(bytes.Repeat(ca, 600))), "very huge": authority(strings.Repeat("A", 2<<20)),
		"another name": set("name", "other"), "another cluster's ARN": set("arn", "arn:aws:eks:us-east-1:123456789012:cluster/other"), "another region": set("arn", "arn:aws:eks:eu-west-1:123456789012:cluster/prod"),
		"another account": set("arn", "arn:aws:eks:us-east-1:999999999999:cluster/prod"), "another service": set("arn", "arn:aws:iam:us-east-1:123456789012:cluster/prod"), "no ARN": set("arn", ""), "ARN with a newline": set("arn", "arn:aws\n:eks:us-east-1:123456789012:cluster/prod"),
		"an option as id": set("id", "--role-arn"), "id with a newline": set("id", "a\nb"), "status": set("status", "ACTIVE\x1b[31m"), "version": set("version", "1.34\nx"), "long version": set("version", strings.Repeat("1", 100)),
		"a list": `[]`, "a cluster that is a list": `{"cluster":[]}`, "cut": answer(func(m) {})[:100], "empty": "",
	}
	for _, endpoint := range []string{"", "http://A.eks.amazonaws.com", "https://evil@host", "file:///etc/passwd", "unix:/run/x", "https://host/path?x", "https://host\nevil", "A.eks.amazonaws.com", "https://", "https://host#x"} {
		hostile[fmt.Sprintf("endpoint %q", endpoint)] = set("endpoint", endpoint)
		if endpoint != "" {
			hostile[fmt.Sprintf("endpoint %q of a cluster in the making", endpoint)] = answer(func(c m) { c["endpoint"], c["status"] = endpoint, "CREATING" })
		}
	}
	for name, body := range hostile {
		_, err := answering(200, http.Header{}, body).DescribeCluster(t.Context(), "prod")
		if e, ok := errors.AsType[*awsapi.Error](err); !ok || e.Kind != awsapi.Malformed || strings.ContainsAny(err.Error(), "\n\x1b") || strings.Contains(err.Error(), "evil") || len(err.Error()) > 300 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, body := range map[string]string{
		"plain": answer(func(m) {}), "text around": authority(in64(append([]byte("# mine\n"), ca...))),
		"outpost": set("id", "0b1e6f3c-0000-4000-8000-000000000001"), "two": authority(in64(append(bytes.Clone(ca), ca...))),
		"in the making": `{"cluster":{"name":"prod","arn":"arn:aws:eks:us-east-1:123456789012:cluster/prod","status":"CREATING","certificateAuthority":{}}}`,
	} {
		c, err := answering(200, http.Header{}, body).DescribeCluster(t.Context(), "prod")
		if err != nil || bytes.Contains(c.CertificateAuthority, []byte("mine")) {
			t.Errorf("%s: %v %s", name, err, c.CertificateAuthority)
		}
	}
}

// A token goes nowhere but to what CheckServer allows.
func TestTokenOverHTTPSOnly(t *testing.T) {
	t.Parallel()
	for _, server := range []string{"http://127.0.0.1:1", "https://evil@127.0.0.1:1", "https://127.0.0.1:1/?x=", "file:///x", "https://127.0.0.1:1\n"} {
		_, err := awsapi.KubeAPI{Server: server, Token: "k8s-aws-v1.secret", Now: time.Now}.WhoAmI(t.Context())
		checkError(t, err, awsapi.Malformed, "asking the cluster: invalid server URL: ")
	}
}

// FuzzAnswers: whatever answers in AWS's place, an error is one short line without
// control characters and secrets, of a known kind; what is no error is clean.
func FuzzAnswers(f *testing.F) {
	f.Add(200, "application/json", "", []byte(`{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Account":"123456789012","Arn":"arn:aws:sts::123456789012:assumed-role/r/s","UserId":"AROA:s"}}}`))
	f.Add(200, "text/xml", "", []byte(`<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:sts::1:x</Arn><Account>1</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`))
	f.Add(200, "application/json", "", []byte(`{"cluster":{"name":"prod","arn":"arn:aws:eks:us-east-1:123456789012:cluster/prod","status":"CREATING","endpoint":"https://a@b"}}`))
	f.Add(403, "application/json", "AccessDeniedException:http://x", []byte(`{"message":"no \u001b[31m TOKENTOKENTOKEN \u202e","code":403}`))
	f.Add(407, "text/html", "", []byte(`<html><title>SECRETKEYSECRETKEY</title>`))
	f.Add(302, "text/xml", "", []byte(`<Error><Code>A</Code><Message>b</Message></Error>`))
	f.Add(400, "application/json", "", []byte(`{"Error":{"Code":"a\nb","Message":"c"},"__type":"x#y"}`))
	f.Fuzz(func(t *testing.T, status int, contentType, errorType string, body []byte) {
		if status = 200 + status&0xff; status == http.StatusTooManyRequests { // what is asked again takes time
			status = 400
		}
		header := http.Header{"Content-Type": {contentType}, "X-Amzn-Errortype": {errorType}, "X-Amzn-Requestid": {errorType}, "Location": {"https://elsewhere.example/"}}
		c := answering(status, header, string(body))
		c.Endpoint = func(string) string { return "" }
		check := func(err error) bool {
			if err == nil {
				return true
			}
			e, ok := errors.AsType[*awsapi.Error](err)
			if !ok || e.Kind != awsapi.Refused && e.Kind != awsapi.Unreachable && e.Kind != awsapi.Malformed {
				t.Fatalf("%T %v", err, err)
			}
			text := err.Error()
			if utf8.RuneCountInString(text) > 1400 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }) || strings.Contains(text, "SECRETKEYSECRETKEY") || strings.Contains(text, "TOKENTOKENTOKEN") {
				t.Errorf("%q", text)
			}
			if status/100 != 2 && e.StatusCode != status {
				t.Errorf("status %d is told as %d", status, e.StatusCode)
			}
			return false
		}
		if id, err := c.CallerIdentity(t.Context()); check(err) && (status/100 != 2 || strings.ContainsAny(id.ARN+id.UserID+id.Account, "\n\r\x1b ")) {
			t.Errorf("%d %+v", status, id)
		}
		cluster, err := c.DescribeCluster(t.Context(), "prod")
		if check(err) {
			if status/100 != 2 || cluster.Name != "prod" || cluster.ARN == "" || cluster.Status == "ACTIVE" && cluster.Endpoint == "" {
				t.Errorf("%d %+v", status, cluster)
			}
			if u, err := url.Parse(cluster.Endpoint); cluster.Endpoint != "" && (err != nil || u.Scheme != "https" || u.User != nil || u.RawQuery != "") {
				t.Errorf("endpoint %q", cluster.Endpoint)
			}
		}
		var out struct{ A string }
		check(c.CloudFormation(t.Context(), "DescribeStacks", nil, &out))
		check(c.PrivateCA(t.Context(), "DescribeCertificateAuthority", nil, &out))
	})
}
