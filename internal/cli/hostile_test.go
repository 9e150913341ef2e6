package cli

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/eks-x509/eks-x509/internal/minica"
	"github.com/eks-x509/eks-x509/internal/safetext"
)

// hostileNames are of files, certificates and contexts as an attacker chooses them.
func hostileNames() []string {
	return []string{
		"$(touch pwned)", "`touch pwned`", "a b", "it's", `a"b`, "-rf", "--help", "a;touch pwned", "a&&touch pwned", "*", "~", "=a", "!a", "#a", `a\b`,
		"a\x1b[2Jb", "a\x1b]0;x\x07b", "a\u009b31mb", "gpj.\u202eexe", "a\u2066b", "a\u200bb", "a\u2028b", "tag\U000e0041", "a\tb", "a\rb", "東京 é",
	}
}

// words are what a shell makes of the rest of a line after a text, word by word.
func words(t *testing.T, dir, line, after string) []string {
	t.Helper()
	_, command, ok := strings.Cut(line, after)
	if !ok {
		t.Errorf("no %q in %q", after, line)
		return []string{""}
	}
	c := exec.Command("sh", "-c", `printf '%s\0' `+command)
	c.Dir = dir
	out, err := c.Output()
	check(t, err)
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// What the program proposes can be pasted: the file is the one that is meant, and
// nothing else runs.
func TestHintsOfHostileNames(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the shell is a POSIX one")
	}
	p := newProcesses(t)
	key, err := os.ReadFile(filepath.Join(p.dir, "sandbox", "client.key"))
	check(t, err)
	for i, name := range hostileNames() {
		if strings.Contains(name, "\r") {
			continue // no file's name here: see contents.txtar
		}
		dir := filepath.Join(p.dir, "d"+strings.Repeat("x", i))
		check(t, os.Mkdir(dir, 0o700))
		p := &processes{p.Sandbox, dir, p.env}
		same := func(got, file string) {
			t.Helper()
			if filepath.Clean(got) != filepath.Clean(file) {
				t.Errorf("%q became %q", file, got)
			}
		}
		last := func(r *process) string { return lineWith(r.stderr.String(), ": ") }

		csr, access := name+".csr", name+".yaml"
		// Of new files, those with such names are not made.
		refused := func(r *process) bool {
			return (safetext.Line(name) != name || name == "~") && strings.HasPrefix(last(r), "eks-x509: error: invalid ")
		}
		ran, _ := p.run(t, "cert", "new", "--private-key=k", "--csr="+csr, "--common-name=a")
		if !refused(ran) {
			got := words(t, dir, last(ran), "next: eks-x509 cert request ")
			same(got[len(got)-1], csr)
			if _, err := os.Stat(filepath.Join(dir, got[len(got)-1])); err != nil {
				t.Errorf("%q: %v", csr, err)
			}
		}
		if ran, _ = p.run(t, "setup", "init", "--file="+access); !refused(ran) {
			got := words(t, dir, last(ran), "then: eks-x509 setup plan ")
			same(got[len(got)-1], access)
		}

		open := filepath.Join(dir, name+".key")
		check(t, os.WriteFile(open, key, 0o644))
		ran, _ = p.run(t, "EKS_X509_PRIVATE_KEY="+open, "doctor", "--offline")
		got := words(t, dir, lineWith(ran.stdout.String(), "chmod 600"), "make it yours alone: chmod 600 ")
		same(got[0], open)

		for _, text := range []string{ran.stdout.String(), ran.stderr.String()} {
			if text != safetext.Text(text) {
				t.Errorf("a terminal obeys %q", text)
			}
		}
		if pwned, err := filepath.Glob(filepath.Join(dir, "pwned*")); err != nil || pwned != nil {
			t.Fatalf("%q: a command in the name ran", name)
		}
	}
}

func lineWith(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return strings.TrimSuffix(line, "\n")
		}
	}
	return ""
}

// Certificates and kubeconfigs may hold any name: no output has what a terminal
// obeys or an eye does not see, and JSON gives the name back.
func TestHostileNamesInOutput(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	for _, name := range append(hostileNames(), "a\nPROBLEM  none") {
		if safetext.Line(name) == name {
			continue
		}
		privateKey, err := minica.GenerateKey("p256")
		check(t, err)
		pair, err := p.Authority().Intermediate.Issue(minica.Leaf(name), privateKey)
		check(t, err)
		keyPEM, err := minica.KeyPEM(pair.Key)
		check(t, err)
		check(t, os.WriteFile(filepath.Join(p.dir, "n.pem"), append(minica.CertificatePEM(pair.Certificate), minica.CertificatePEM(pair.Chain...)...), 0o600))
		check(t, os.WriteFile(filepath.Join(p.dir, "n.key"), keyPEM, 0o600))
		data, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Config", "current-context": name,
			"contexts": []any{map[string]any{"name": name, "context": map[string]string{"cluster": name, "user": name, "namespace": name}}},
			"clusters": []any{map[string]any{"name": name, "cluster": map[string]string{"server": "https://u:planted-pass@" + "host.example"}}},
			"users": []any{map[string]any{"name": name, "user": map[string]any{"exec": map[string]any{"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "eks-x509",
				"args": []string{"token", "--cluster-name", name, "--pkcs8-password", "planted-pass"}}}}}})
		check(t, err)
		check(t, os.WriteFile(filepath.Join(p.dir, "kc"), data, 0o600))

		for _, args := range [][]string{
			{"cert", "show", "n.pem"}, {"cert", "show", "n.pem", "--output=json"}, {"cert", "needs-renewal", "n.pem"},
			{"doctor", "--offline", "--kubeconfig=kc", "--bundle=REPORT"}, {"doctor", "--offline", "--kubeconfig=kc", "--output=json"},
			{"kubeconfig", "list", "--kubeconfig=kc"}, {"kubeconfig", "list", "--kubeconfig=kc", "--output=json"},
			{"kubeconfig", "remove", "--kubeconfig=kc", "--", name + "x"},
			{"credential-process", "--debug", "--no-cache", "--role-session-name=" + name}, {"whoami", "--profile=" + name}, {"config", "show", "--role-arn=" + name}, {"config", name},
			{"token", "--cluster-name=" + name}, {"exec", "--", "./" + name}, {"setup", "plan", "--file=" + name}, {"audit", "who", "--cloudtrail=" + name}, {"cert", "show", "--", name},
		} {
			report := filepath.Join(p.dir, "report.txt")
			_ = os.Remove(report)
			for i := range args {
				args[i] = strings.Replace(args[i], "REPORT", report, 1)
			}
			ran, code := p.run(t, append([]string{"EKS_X509_CERTIFICATE=n.pem", "EKS_X509_PRIVATE_KEY=n.key"}, args...)...)
			out := ran.stdout.String()
			if args[0] == "credential-process" {
				out = ""
			}
			bundle, _ := os.ReadFile(report) // not every command writes one
			shown := out + ran.stderr.String() + string(bundle)
			if shown != safetext.Text(shown) || strings.Contains(shown, "\t\x1b") || strings.Contains(shown, "\nPROBLEM") {
				t.Errorf("%q: a terminal obeys %q", args, shown)
			}
			if strings.Contains(shown, "planted-pass") {
				t.Errorf("%q shows a password: %s", args, shown)
			}
			if code == 0 && args[0] == "kubeconfig" && args[len(args)-1] == "--output=json" {
				var list []struct{ Context string }
				if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 || list[0].Context != name {
					t.Errorf("%q is %q in JSON (%v)", name, out, err)
				}
			}
		}
	}
}

// Two names that differ in what is not seen look different.
func TestNamesStayApart(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	seen := map[string]string{}
	for _, name := range []string{"prod", "prod\u200b", "\u200bprod", "prod\u202e", `prod\u202e`, "prod\x1b", `prod\x1b`, "prod\ufeff", "prod\u3164", "prod\ufe0f"} {
		data, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Config",
			"contexts": []any{map[string]any{"name": name, "context": map[string]string{"cluster": "c", "user": "u"}}},
			"clusters": []any{map[string]any{"name": "c", "cluster": map[string]string{"server": "https://host.example"}}},
			"users":    []any{map[string]any{"name": "u", "user": map[string]any{"exec": map[string]any{"apiVersion": "client.authentication.k8s.io/v1", "command": "eks-x509"}}}}})
		check(t, err)
		check(t, os.WriteFile(filepath.Join(p.dir, "kc"), data, 0o600))
		ran, _ := p.run(t, "kubeconfig", "list", "--kubeconfig=kc")
		shown := regexp.MustCompile(`(?m)^ +(prod\S*|\S+prod) `).FindString(ran.stdout.String())
		if before, ok := seen[shown]; ok || shown == "" {
			t.Errorf("%q and %q are both shown as %q in %q", before, name, shown, ran.stdout.String())
		}
		seen[shown] = name
	}
}
