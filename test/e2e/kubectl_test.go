package e2e

import (
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eks-x509/eks-x509/internal/minica"
)

func TestEveryKeyType(t *testing.T) {
	for _, kind := range []string{"rsa2048", "rsa3072", "rsa4096", "p256", "p384", "p521"} {
		for name, issuer := range map[string]*minica.Pair{"root": shared.aws.Authority().Root, "intermediate": shared.aws.Authority().Intermediate} {
			t.Run(kind+" issued by "+name, func(t *testing.T) {
				key, err := minica.GenerateKey(kind)
				if err != nil {
					t.Fatal(err)
				}
				pair, err := issuer.Issue(minica.Leaf("tester"), key)
				if err != nil {
					t.Fatal(err)
				}
				p := newHome(t)
				p.take(t, pair)
				p.seesNamespaces(t, "kubectl")
			})
		}
	}
}

// What kubectl tells of the cluster in KUBERNETES_EXEC_INFO, an extension included, does not disturb us.
func TestExecInfo(t *testing.T) {
	for _, kubectl := range []string{"kubectl", "kubectl-oldest"} {
		for _, version := range []string{"v1", "v1beta1"} {
			t.Run(kubectl+" "+version, func(t *testing.T) {
				p := newPerson(t)
				data, err := os.ReadFile(p.kubeconfig())
				if err != nil {
					t.Fatal(err)
				}
				const api, server = "client.authentication.k8s.io/", "server: "
				text := string(data)
				i := strings.Index(text, api)
				if i < 0 || !strings.Contains(text, server) {
					t.Fatalf("the kubeconfig is %s", text)
				}
				end := i + strings.IndexByte(text[i:], '\n')
				lineStart := strings.LastIndexByte(text[:i], '\n') + 1
				indent := text[lineStart : lineStart+len(text[lineStart:i])-len(strings.TrimLeft(text[lineStart:i], " "))]
				text = text[:i] + api + version + "\n" + indent + "provideClusterInfo: true" + text[end:]
				at := strings.Index(text, server)
				lineStart = strings.LastIndexByte(text[:at], '\n') + 1
				indent = text[lineStart:at]
				text = text[:lineStart] + indent + "extensions:\n" + indent + "- name: " + api + "exec\n" + indent + "  extension: {clusterName: other}\n" + text[lineStart:]
				if err := os.WriteFile(p.kubeconfig(), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				p.seesNamespaces(t, kubectl)
			})
		}
	}
}

func TestTwentyAtOnce(t *testing.T) {
	p := newPerson(t)
	p.must(t, "eks-x509", "cache", "clear", "--all")
	start := time.Now()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if r := p.run(t, "kubectl", "get", "ns"); r.code != 0 {
				t.Error(r.stderr)
			}
		})
	}
	all.Wait()
	if n := len(shared.aws.since(start, "CreateSession")); n != 1 {
		t.Errorf("%d CreateSession calls", n)
	}
}

// The API server keeps what its webhook said about a token, so a token that stays the same spares calls of STS.
func TestFiveInARow(t *testing.T) {
	start := time.Now()
	p := newPerson(t)
	tokens := map[string]bool{}
	for range 5 {
		p.seesNamespaces(t, "kubectl")
		tokens[p.must(t, "eks-x509", "token", "--cluster-name", clusterName, "--token-only")] = true
	}
	if len(tokens) != 1 {
		t.Errorf("%d tokens", len(tokens))
	}
	if n := len(shared.aws.since(start, "GetCallerIdentity")); n != 1 {
		t.Errorf("%d calls of STS", n)
	}
	if n := len(shared.aws.since(start, "CreateSession")); n != 1 {
		t.Errorf("%d CreateSession calls", n)
	}
}
