package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkGetNamespaces is how long a person waits for kubectl get ns, who has a session already. The plugins take turns, so that
// whatever else the machine does meets them alike.
func BenchmarkGetNamespaces(b *testing.B) {
	const rounds = 15
	type row struct {
		name string
		p    *person
		took []time.Duration
	}
	var rows []*row
	for _, r := range []struct {
		name string
		args []string
	}{
		{"token", nil},
		{"eks-x509", nil},
		{"aws-iam-authenticator", []string{"aws-iam-authenticator", "token", "-i", clusterName}},
		{"aws-eks-get-token", []string{"aws", "eks", "get-token", "--cluster-name", clusterName}},
	} {
		p := newAWSPerson(b)
		if r.name == "token" {
			token := strings.TrimSpace(p.must(b, "eks-x509", "token", "--cluster-name", clusterName, "--token-only"))
			p.must(b, "kubectl", "config", "set-credentials", "other", "--token="+token)
			p.must(b, "kubectl", "config", "set-context", "--current", "--user=other")
		} else if r.args != nil {
			p.runsForTokens(b, r.args...)
		}
		p.seesNamespaces(b, "kubectl")
		rows = append(rows, &row{name: r.name, p: p})
	}
	for b.Loop() {
		for range rounds {
			for _, r := range rows {
				start := time.Now()
				r.p.must(b, "kubectl", "get", "ns")
				r.took = append(r.took, time.Since(start))
			}
		}
	}
	for _, r := range rows {
		slices.Sort(r.took)
		b.ReportMetric(float64(r.took[len(r.took)/2].Microseconds())/1000, "ms/"+r.name)
	}
	b.ReportMetric(0, "ns/op")
}
