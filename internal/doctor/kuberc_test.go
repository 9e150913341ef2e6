package doctor

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// FuzzKuberc: no kuberc has doctor say that kubectl runs the plugin where kubectl
// would refuse it (client-go, plugin/pkg/client/auth/exec, and kubectl's
// conversion of kuberc).
func FuzzKuberc(f *testing.F) {
	const head = "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n"
	for _, text := range []string{
		"", "\x00", "- a", "a: &a [*a]", head, "apiVersion: kubectl.config.k8s.io/v1alpha1\ncredentialPluginPolicy: DenyAll\n---\n" + head + "credentialPluginPolicy: DenyAll\n",
		head + "credentialPluginPolicy: AllowAll\ncredentialPluginAllowlist: []\n", head + "credentialPluginPolicy: Allowlist\n", head + "credentialPluginPolicy: allowlist\n",
		head + "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n- name: eks-x509\n- command: /bin/eks-x509\n",
		head + "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n- {name: other, command: eks-x509}\n",
		head + "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n- {}\n- command: eks-x509\n", head + "credentialPluginPolicy: \"a\\nb\"\n",
	} {
		f.Add([]byte(text), "eks-x509")
		f.Add([]byte(text), "/bin/eks-x509")
	}
	find := func(name string) (string, error) { // as exec.LookPath, with one program on PATH
		if filepath.Base(name) == "eks-x509" && (name == "eks-x509" || name == "/bin/eks-x509") {
			return "/bin/eks-x509", nil
		}
		return "", errors.New("not found")
	}
	f.Fuzz(func(t *testing.T, data []byte, command string) {
		k, err := parseKuberc(data)
		if err != nil {
			if len(err.Error()) > 200 || strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Errorf("%q", err)
			}
			return
		}
		problem := (&facts{Input: Input{LookPath: find}}).blocked(k, command)
		if strings.ContainsFunc(problem, unicode.IsControl) {
			t.Errorf("%q", problem)
		}
		if allowed := kubectlRuns(k, command, find); problem == "" && !allowed {
			t.Errorf("doctor says that kubectl runs %q by %s", command, fmt.Sprintf("%+v", k))
		}
	})
}

// kubectlRuns is kubectl's own rule.
func kubectlRuns(k kuberc, command string, find func(string) (string, error)) bool {
	if k.Policy == "" || k.Policy == "AllowAll" {
		return k.Allowlist == nil
	}
	if k.Policy != "Allowlist" || len(k.Allowlist) == 0 || command == "" {
		return false
	}
	matched := false
	for _, e := range k.Allowlist {
		want := e.Command
		switch {
		case e.Name == "" && e.Command == "", e.Name != "" && e.Command != "" && e.Name != e.Command:
			return false
		case want == "":
			want = e.Name
		}
		a, errA := find(want)
		b, errB := find(command)
		matched = matched || want == command || errA == nil && errB == nil && a == b
	}
	return matched
}
