package cli

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// No secret in any output but the one that was asked for: every command, cold,
// warm and refused, with and without --debug and kubectl.
func TestNoSecretInAnyOutput(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	const password = "correct-horse-battery"
	keyFile := filepath.Join(p.dir, "sandbox", "client.key")
	plain, err := os.ReadFile(keyFile)
	check(t, err)
	if _, err := exec.LookPath("openssl"); err == nil {
		secret := filepath.Join(p.dir, "secret.key")
		check(t, exec.Command("openssl", "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", keyFile, "-out", secret, "-passout", "pass:"+password).Run())
		keyFile = secret
	}
	const none, variable, flag, wrong = "X=", "EKS_X509_KEY_PASSWORD=" + password, "--pkcs8-password=" + password, "--pkcs8-password=wrong-" + password
	key := "EKS_X509_PRIVATE_KEY=" + keyFile
	untrusted := "--role-arn=arn:aws:iam::123456789012:role/untrusted"
	type run struct {
		gives bool // stdout is what was asked for
		fault string
		args  []string
	}
	runs := []run{
		{true, "", []string{"credential-process", flag}},
		{true, "", []string{"credential-process"}},
		{true, "", []string{"credential-process", "--no-cache", flag}},
		{true, "", []string{"token", "--cluster-name=sandbox"}},
		{true, "", []string{"token", "--cluster-name=sandbox", "--token-only", "--fresh"}},
		{true, "", []string{"env", "--shell=sh"}},
		{true, "", []string{"env", "--shell=powershell"}},
		{false, "", []string{"cache", "list"}},
		{false, "", []string{"cache", "list", "--output=json"}},
		{false, "", []string{"credential-process", untrusted, flag}},
		{false, "", []string{"credential-process", untrusted, flag}},
		{false, "", []string{"token", "--cluster-name=-x"}},
		{false, "", []string{"env", "--shell=sh", "--unset"}},
		{false, "", []string{"env", flag, "--key-password-file=x"}},
		{false, "", []string{"credential-process", "--no-such-flag", flag}},
		{false, "", []string{"credential-process", "--no-cache", wrong, "--private-key=none"}},
	}
	for _, fault := range []string{"throttle", "status=503", "drop", "malformed", "empty", "html", "clock=10m"} {
		runs = append(runs, run{false, "CreateSession:" + fault, []string{"env", "--session-duration=900", flag, "--no-cache"}})
	}
	runs = append(runs, run{false, "", []string{"cache", "clear"}}, run{true, "", []string{"env", "--shell=json", flag}}, run{false, "", []string{"cache", "clear", "--all"}})

	secrets := secretsOf(string(plain))
	secrets[password] = "password"
	var quiet []*process
	debugged := 0
	for _, around := range [][]string{{none}, {variable}, {kubectl, "EKS_X509_DEBUG=true"}, {variable, "EKS_X509_DEBUG=true"}} {
		for _, r := range runs {
			p.faults(t, r.fault)
			ran, code := p.run(t, append(append([]string{key}, around...), r.args...)...)
			if r.gives != (code == 0 && r.args[0] != "cache" && !strings.Contains(strings.Join(r.args, " "), "--unset")) {
				t.Errorf("%q: exit code %d: %s", r.args, code, ran.stderr.String())
			}
			debugged += strings.Count(ran.stderr.String(), "\tDEBUG\t")
			if r.gives {
				for secret, what := range secretsOf(ran.stdout.String()) {
					secrets[secret] = what
				}
				ran.stdout = stream{}
			}
			quiet = append(quiet, ran)
		}
	}
	kinds := map[string]int{}
	for secret, what := range secrets {
		kinds[what]++
		for _, r := range quiet {
			if out := r.stdout.String() + r.stderr.String(); strings.Contains(out, secret) {
				t.Errorf("%q shows a %s: %s", r.cmd.Args, what, out)
			}
		}
	}
	if debugged == 0 || kinds["secret access key"] < 4 || kinds["session token"] < 4 || kinds["token"] < 4 || kinds["private key"] == 0 {
		t.Errorf("too little to look for: %d lines of debug, %v", debugged, kinds)
	}
}

// secretsOf finds what must be shown nowhere else in a key file or the output of
// a command.
func secretsOf(text string) map[string]string {
	found := map[string]string{}
	if strings.Contains(text, "PRIVATE KEY") {
		for _, line := range strings.Split(text, "\n") {
			if _, err := base64.StdEncoding.DecodeString(line); err == nil && len(line) > 16 {
				found[line] = "private key"
			}
		}
		return found
	}
	var out struct {
		SecretAccessKey, SessionToken string
		EnvSecret                     string `json:"AWS_SECRET_ACCESS_KEY"`
		EnvToken                      string `json:"AWS_SESSION_TOKEN"`
		Status                        struct{ Token string }
	}
	if json.Unmarshal([]byte(text), &out) == nil {
		found[out.SecretAccessKey+out.EnvSecret] = "secret access key"
		found[out.SessionToken+out.EnvToken] = "session token"
		found[out.Status.Token] = "token"
	} else if strings.HasPrefix(text, "k8s-aws-v1.") {
		found[strings.TrimSpace(text)] = "token"
	}
	delete(found, "")
	return found
}
