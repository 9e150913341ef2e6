package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/eks-x509/eks-x509/internal/awsapi"
	"github.com/eks-x509/eks-x509/internal/safetext"
	"github.com/eks-x509/eks-x509/internal/session"
)

func clusterChecks() []Check {
	return []Check{
		{Name: "cluster", Why: "EKS knows the cluster's address, its certificate authority and whether it is up", Needs: []string{"session"}, Network: true, run: checkCluster},
		{Name: "cluster endpoint", Why: "kubectl talks to it", After: []string{"cluster"}, Network: true, run: reachCluster},
		{Name: "access", Why: "the cluster must know the role: by an access entry or the aws-auth ConfigMap",
			Needs: []string{"token", "cluster endpoint"}, Network: true, run: checkAccess},
		{Name: "permissions", Why: "a user whom the cluster knows may still be allowed nothing", Needs: []string{"access"}, Network: true, run: checkPermissions},
	}
}

func checkCluster(ctx context.Context, f *facts) Result {
	if f.Cluster == "" && f.otherProfile != "" {
		return found(Skipped, fmt.Sprintf("eks-x509 doctor --profile %s", safetext.Quote(f.otherProfile)), "no cluster named; the current context is of profile %q", f.otherProfile)
	}
	if f.Cluster == "" {
		return found(Skipped, "", "no cluster named (--cluster-name)")
	}
	client, err := f.awsClient()
	if err != nil {
		return f.failed(err, "")
	}
	c, err := client.DescribeCluster(ctx, f.Cluster)
	if e, ok := errors.AsType[*awsapi.Error](err); ok && strings.HasPrefix(e.Code, "AccessDenied") {
		return found(Note, "only needed to write a kubeconfig: allow eks:DescribeCluster, or eks-x509 kubeconfig update --cluster-name NAME --server URL --certificate-authority FILE", "%v", err)
	}
	if err != nil {
		return f.failed(err, "")
	}
	f.cluster = &c
	what := fmt.Sprintf("%s, Kubernetes %s, %s", c.ARN, c.Version, c.Status)
	switch c.Status {
	case "ACTIVE", "UPDATING":
		return found(OK, "", "%s", what)
	}
	return found(Warning, "wait until it is ACTIVE", "%s", what)
}

func reachCluster(ctx context.Context, f *facts) Result {
	api := awsapi.KubeAPI{Proxy: f.Config.Proxy, UserAgent: f.Session.UserAgent(), Now: f.Now}
	api.Watch = func(next http.RoundTripper) http.RoundTripper {
		return session.Watch(next, f.Session.Log, f.Session.Notice)
	}
	switch {
	case f.cluster != nil:
		api.Server, api.CA = f.cluster.Endpoint, f.cluster.CertificateAuthority
	case f.entry != nil:
		api.Server, api.CA = f.entry.Server, f.entry.CertificateAuthority
	}
	if api.Server == "" {
		return found(Skipped, "", "no address of a cluster known")
	}
	if err := awsapi.CheckServer(api.Server); err != nil {
		return found(Failed, safetext.Quote("eks-x509", "kubeconfig", "update", "--cluster-name", f.Cluster), "invalid server in the kubeconfig: %v", err)
	}
	client, err := api.Client()
	if err != nil {
		return f.failed(err, "")
	}
	defer client.CloseIdleConnections()
	f.api = &api
	// Anyone may ask for the version.
	r, _ := f.reach(ctx, client, api.Proxy, strings.TrimSuffix(api.Server, "/")+"/version")
	if r.Status == Failed {
		r.Remedy = "a private endpoint is reached from its VPC or a VPN; a public one may let in only some addresses; behind a proxy, set HTTPS_PROXY"
		if strings.Contains(r.Found, ": TLS: ") {
			r.Remedy = "something on the way ends TLS, or the cluster was made anew: eks-x509 kubeconfig update --cluster-name " + safetext.Quote(f.Cluster)
		}
	}
	return r
}

func checkAccess(ctx context.Context, f *facts) Result {
	if f.Cluster == "" {
		return found(Skipped, "", "no cluster named (--cluster-name)")
	}
	f.api.Token = f.token
	user, err := f.api.WhoAmI(ctx)
	if err != nil {
		r := f.failed(err, "")
		if e, ok := errors.AsType[*awsapi.Error](err); ok && e.StatusCode == http.StatusUnauthorized && f.cluster != nil {
			r.Remedy = cmp.Or(unknownRole(f.cluster), r.Remedy)
		}
		return r
	}
	return found(OK, "", "%q, groups %s", user.Username, strings.Join(user.Groups, ", "))
}

// unknownRole is the remedy where there is one way only for a cluster to know a
// role; the cluster itself does not say why it refuses.
func unknownRole(c *awsapi.Cluster) string {
	switch c.AuthenticationMode {
	case "API":
		return "is it the right cluster? it knows roles by access entries alone (authentication mode API): aws eks create-access-entry"
	case "CONFIG_MAP":
		return "is it the right cluster? it knows roles by aws-auth alone (authentication mode CONFIG_MAP): eks-x509 setup map-role writes that"
	}
	return ""
}

func checkPermissions(ctx context.Context, f *facts) Result {
	const namespace = "default"
	rules, err := f.api.Rules(ctx, namespace)
	if err != nil {
		return f.failed(err, "")
	}
	var yes, no []string
	for _, ask := range []struct{ verb, resource, namespace string }{{"get", "pods", namespace}, {"list", "namespaces", ""}} {
		allowed, err := f.api.Can(ctx, ask.verb, "", ask.resource, ask.namespace)
		if err != nil {
			return f.failed(err, "")
		}
		if allowed {
			yes = append(yes, ask.verb+" "+ask.resource)
		} else {
			no = append(no, ask.verb+" "+ask.resource)
		}
	}
	r := found(OK, "", "%d rules in namespace %q", len(rules.Resource), namespace)
	if len(yes) > 0 {
		r.add(OK, "may "+strings.Join(yes, ", "), "")
	}
	if len(no) > 0 {
		s, remedy := Note, ""
		if len(yes) == 0 {
			s, remedy = Warning, "bind your groups to a ClusterRole such as view, or associate an access policy with the access entry; kubectl auth can-i --list shows more"
		}
		r.add(s, "may not "+strings.Join(no, ", "), remedy)
	}
	if rules.Incomplete {
		r.add(OK, "the list of rules is incomplete: EKS's access policies are not in it", "")
	}
	return r
}
