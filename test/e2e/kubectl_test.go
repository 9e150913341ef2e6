package e2e

import (
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
				p.edit(t, p.kubeconfig(), "client.authentication.k8s.io/v1beta1\n", "client.authentication.k8s.io/"+version+"\n")
				p.edit(t, p.kubeconfig(), "provideClusterInfo: false", "provideClusterInfo: true")
				p.edit(t, p.kubeconfig(), "    server: ", `    extensions:
    - name: client.authentication.k8s.io/exec
      extension: {clusterName: other}
    server: `)
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
