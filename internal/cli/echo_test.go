package cli

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eks-x509/eks-x509/internal/safetext"
)

// A proxy that sends back what it was sent, wherever there is room for it: no
// user, no password and nothing that a terminal obeys is in any output.
func TestProxyThatEchoes(t *testing.T) {
	t.Parallel()
	const user, password = "planted-user", "planted-pass@word"
	encoded := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	p := newProcesses(t)
	for _, row := range []struct{ name, answer, want string }{
		{"reason", "HTTP/1.1 407 " + encoded + " " + user + ":" + password + " \x1b[2J\r\nProxy-Authenticate: Basic realm=\"" + password + "\"\r\n\r\n", "the proxy asks for a user and a password (HTTP 407, Basic)"},
		{"scheme", "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: " + encoded + "\r\nProxy-Authenticate: negotiate\r\n\r\n", "(HTTP 407, Negotiate)"},
		{"no scheme", "HTTP/1.1 407 \r\n\r\n", "the proxy asks for a user and a password (HTTP 407)"},
		{"another refusal", "HTTP/1.1 403 " + encoded + "\r\n\r\n" + encoded, "the proxy answered HTTP 403 Forbidden"},
		{"no status", "HTTP/1.1 999 " + encoded + "\r\n\r\n", "the proxy answered HTTP 999"},
		{"no HTTP", encoded + " " + user + ":" + password + "\r\n\r\n", ""},
		{"a bad header", "HTTP/1.1 407 x\r\n" + encoded + "\r\n\r\n", ""},
		{"no TLS", "HTTP/1.1 200 OK\r\n\r\n" + encoded + " " + password, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			check(t, err)
			t.Cleanup(func() { _ = ln.Close() })
			go func() {
				for {
					c, err := ln.Accept()
					if err != nil {
						return
					}
					go func() {
						defer c.Close()
						if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
							_, _ = c.Write([]byte(row.answer))
						}
					}()
				}
			}()
			ran, code := p.run(t, "HTTPS_PROXY=http://"+user+":planted-pass%40word@"+ln.Addr().String(), "EKS_X509_DEBUG=true",
				"credential-process", "--no-cache", "--endpoint=https://rolesanywhere.us-east-1.amazonaws.com")
			shown := ran.stdout.String() + ran.stderr.String()
			if code != exitUnreachable || !strings.Contains(shown, row.want) || ran.stdout.String() != "" {
				t.Errorf("exit code %d, want %q in %s", code, row.want, shown)
			}
			for _, secret := range []string{"planted", encoded, encoded[:20], "planted-pass%40word"} {
				if strings.Contains(shown, secret) {
					t.Errorf("%q in %s", secret, shown)
				}
			}
			if shown != safetext.Text(shown) {
				t.Errorf("a terminal obeys %q", shown)
			}
		})
	}
}

// echo answers everything with an error that holds what it was sent.
func echo(answerCluster func() string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/clusters/") && answerCluster != nil {
			_, _ = w.Write([]byte(answerCluster()))
			return
		}
		said := fmt.Sprintf("\x1b[2J\u202e you sent %v %v %v", r.URL, r.Header["Authorization"], r.Header)
		body := map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403, "__type": "AccessDeniedException",
			"message": said, "Error": map[string]string{"Code": "AccessDenied", "Message": said}}
		data, _ := json.Marshal(body)
		w.Header().Set("X-Amzn-Requestid", "x")
		w.Header().Set("X-Amzn-Errortype", "AccessDeniedException")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write(data)
	}
}

// STS, EKS and a cluster that send back what they were sent: the session's token
// and the cluster's are in no output, nor in the bundle.
func TestServersThatEcho(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	var server *httptest.Server
	cluster := func() string {
		data, _ := json.Marshal(map[string]any{"cluster": map[string]any{"name": "sandbox", "status": "ACTIVE", "version": "1.34", "endpoint": server.URL,
			"arn": "arn:aws:eks:us-east-1:123456789012:cluster/sandbox", "certificateAuthority": map[string]string{"data": base64.StdEncoding.EncodeToString(certificateOfServer(server))}}})
		return string(data)
	}
	server = httptest.NewTLSServer(echo(cluster))
	t.Cleanup(server.Close)
	silent := httptest.NewTLSServer(echo(nil))
	t.Cleanup(silent.Close)
	var bundle string
	for _, variable := range p.env {
		if path, ok := strings.CutPrefix(variable, "AWS_CA_BUNDLE="); ok {
			data, err := os.ReadFile(path)
			check(t, err)
			bundle = filepath.Join(p.dir, "bundle.pem")
			check(t, os.WriteFile(bundle, append(append(data, certificateOfServer(server)...), certificateOfServer(silent)...), 0o600))
		}
	}
	echoed := 0
	for _, row := range []struct {
		name, sts, eks string
		args           []string
	}{
		{"sts", server.URL, silent.URL, []string{"whoami"}},
		{"sts, warm", server.URL, silent.URL, []string{"whoami", "--output=json"}},
		{"eks", "", silent.URL, []string{"kubeconfig", "update", "--cluster-name=sandbox", "--kubeconfig=none"}},
		{"cluster", "", server.URL, []string{"whoami", "--cluster-name=sandbox"}},
		{"doctor", server.URL, server.URL, []string{"doctor", "--cluster-name=sandbox", "--bundle=report.txt"}},
		{"doctor, JSON", server.URL, silent.URL, []string{"doctor", "--cluster-name=sandbox", "--output=json"}},
	} {
		environ := []string{"AWS_CA_BUNDLE=" + bundle, "EKS_X509_DEBUG=true", "AWS_ENDPOINT_URL_EKS=" + row.eks}
		if row.sts != "" {
			environ = append(environ, "AWS_ENDPOINT_URL_STS="+row.sts)
		}
		ran, code := p.run(t, append(environ, row.args...)...)
		shown := ran.stdout.String() + ran.stderr.String()
		if data, err := os.ReadFile(filepath.Join(p.dir, "report.txt")); err == nil {
			shown += string(data)
		}
		if code == 0 || !strings.Contains(shown, "you sent") {
			t.Errorf("%s: exit code %d, nothing was echoed: %s", row.name, code, shown)
		}
		echoed += strings.Count(shown, safetext.Redacted)
		for _, secret := range p.Secrets() {
			if strings.Contains(shown, secret[:min(len(secret), 24)]) {
				t.Errorf("%s: a secret is shown: %s", row.name, shown)
			}
		}
		if strings.Contains(shown, "k8s-aws-v1.aHR0") {
			t.Errorf("%s: a token is shown: %s", row.name, shown)
		}
		if shown != safetext.Text(shown) {
			t.Errorf("%s: a terminal obeys %q", row.name, shown)
		}
	}
	if echoed < 6 {
		t.Errorf("only %d secrets were echoed", echoed)
	}
}

func certificateOfServer(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}
