package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const assumedTester = ":assumed-role/eks-x509-sandbox/"

// newAWSPerson has a profile x509 in ~/.aws/config by our command, and it is the one in use.
func newAWSPerson(t testing.TB) *person {
	t.Helper()
	p := newPerson(t)
	p.must(t, "eks-x509", "config", "aws", "--yes")
	p.setenv("AWS_PROFILE=x509", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1")
	return p
}

func TestCredentialProcess(t *testing.T) {
	for name, call := range map[string]func(*testing.T, *person) string{
		"AWS CLI": func(t *testing.T, p *person) string {
			return p.must(t, "aws", "sts", "get-caller-identity", "--query", "Arn", "--output", "text")
		},
		"boto3": func(t *testing.T, p *person) string {
			return p.must(t, "/usr/bin/python3", "-c", "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])")
		},
		"JavaScript SDK": func(t *testing.T, p *person) string {
			// It takes no proxy from the environment: it is led to the sandbox by the endpoint's variable.
			p.setenv("NODE_PATH="+filepath.Join(installJS(t), "node_modules"), "AWS_ENDPOINT_URL="+shared.aws.URL(), "NODE_EXTRA_CA_CERTS="+shared.aws.ca())
			return p.must(t, "node", "-e", `
const { STSClient, GetCallerIdentityCommand } = require("@aws-sdk/client-sts");
new STSClient({}).send(new GetCallerIdentityCommand({})).then((r) => console.log(r.Arn), (e) => { console.error(e); process.exit(1); });`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			if out := call(t, newAWSPerson(t)); !strings.Contains(out, assumedTester) {
				t.Errorf("printed %q", out)
			}
		})
	}
}

// installJS installs what js/package-lock.json says, by its hashes, from the registry that npm is set up for. No script of a
// package runs.
func installJS(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(shared.bin, "js")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	same := true
	for _, name := range []string{"package.json", "package-lock.json"} {
		want, err := os.ReadFile(filepath.Join("js", name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if have, err := os.ReadFile(path); err != nil || string(have) != string(want) {
			same = false
		}
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules/@aws-sdk/client-sts")); err == nil && same {
		return dir
	}
	npm := newHome(t).command(t, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", dir)
	npm.Env = os.Environ()
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm: %v\n%s", err, out)
	}
	return dir
}

// The tokens of the AWS CLI and of aws-iam-authenticator, with our credentials, are taken by the same cluster.
func TestOtherTokens(t *testing.T) {
	for name, args := range map[string][]string{
		"aws eks get-token":           {"aws", "eks", "get-token", "--cluster-name", clusterName},
		"aws-iam-authenticator token": {"aws-iam-authenticator", "token", "-i", clusterName},
	} {
		t.Run(name, func(t *testing.T) {
			p := newAWSPerson(t)
			p.runsForTokens(t, args...)
			p.seesNamespaces(t, "kubectl")
		})
	}
}

// runsForTokens has kubectl run another program for the current context.
func (p *person) runsForTokens(t testing.TB, args ...string) {
	t.Helper()
	set := []string{"config", "set-credentials", "other", "--exec-api-version=client.authentication.k8s.io/v1beta1",
		"--exec-interactive-mode=Never", "--exec-command=" + args[0]}
	for _, a := range args[1:] {
		set = append(set, "--exec-arg="+a)
	}
	p.must(t, "kubectl", set...)
	p.must(t, "kubectl", "config", "set-context", "--current", "--user=other")
}

func TestShells(t *testing.T) {
	const after = "aws sts get-caller-identity --query Arn --output text"
	for shell, script := range map[string]string{
		"sh":   `eval "$(eks-x509 env)"; ` + after,
		"bash": `eval "$(eks-x509 env --shell bash)"; ` + after,
		"zsh":  `eval "$(eks-x509 env --shell zsh)"; ` + after,
		"fish": `eks-x509 env --shell fish | source; ` + after,
	} {
		t.Run(shell, func(t *testing.T) {
			p := newPerson(t)
			if _, err := os.Stat(filepath.Join("/usr/bin", shell)); err != nil {
				t.Skip(err)
			}
			if out := p.must(t, shell, "-c", script); !strings.Contains(out, assumedTester) {
				t.Errorf("printed %q", out)
			}
		})
	}
}

// kuberc, since kubectl 1.35, may say which plugins run.
func TestKubercAllowlist(t *testing.T) {
	const head = "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\ncredentialPluginPolicy: "
	for name, tt := range map[string]struct{ kuberc, refused string }{
		"by name":   {head + "Allowlist\ncredentialPluginAllowlist:\n- command: eks-x509\n", ""},
		"by path":   {head + "Allowlist\ncredentialPluginAllowlist:\n- command: " + filepath.Join(shared.bin, "eks-x509") + "\n", ""},
		"another's": {head + "Allowlist\ncredentialPluginAllowlist:\n- command: /usr/bin/aws\n", "is not permitted by the credential plugin allowlist"},
		"none":      {head + "DenyAll\n", `not allowed: policy set to "DenyAll"`},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPerson(t)
			if err := os.WriteFile(p.path(".kube/kuberc"), []byte(tt.kuberc), 0o600); err != nil {
				t.Fatal(err)
			}
			r, d := p.run(t, "kubectl", "get", "ns"), p.run(t, "eks-x509", "doctor")
			if (r.code == 0) != (tt.refused == "") || !strings.Contains(r.stderr, tt.refused) {
				t.Errorf("exit code %d: %s", r.code, r.stderr)
			}
			if (d.code == 0) != (tt.refused == "") {
				t.Errorf("the doctor does not say so: exit code %d\n%s", d.code, d.stdout)
			}
		})
	}
}
