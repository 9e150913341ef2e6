package sandbox

import "testing"

func TestAccessPolicies(t *testing.T) {
	t.Parallel()
	pods := func(verb, namespace string) attributes {
		return attributes{Verb: verb, Resource: "pods", Namespace: namespace}
	}
	for _, row := range []struct {
		policies []AccessPolicy
		a        attributes
		want     bool
	}{
		{nil, pods("list", "default"), false},
		{[]AccessPolicy{{Name: "AmazonEKSViewPolicy"}}, pods("list", "default"), true},
		{[]AccessPolicy{{Name: "AmazonEKSViewPolicy"}}, pods("list", ""), true},
		{[]AccessPolicy{{Name: "AmazonEKSViewPolicy"}}, pods("create", "default"), false},
		{[]AccessPolicy{{Name: "AmazonEKSViewPolicy"}}, attributes{Verb: "list", Resource: "secrets", Namespace: "default"}, false},
		{[]AccessPolicy{{"AmazonEKSEditPolicy", []string{"default"}}}, pods("create", "default"), true},
		{[]AccessPolicy{{"AmazonEKSEditPolicy", []string{"default"}}}, pods("create", "kube-system"), false},
		{[]AccessPolicy{{"AmazonEKSEditPolicy", []string{"default"}}}, pods("list", ""), false},
		{[]AccessPolicy{{"AmazonEKSEditPolicy", []string{"default"}}, {Name: "AmazonEKSViewPolicy"}}, pods("list", "kube-system"), true},
		{[]AccessPolicy{{Name: "AmazonEKSAdminViewPolicy"}}, attributes{Verb: "get", Resource: "secrets"}, true},
		{[]AccessPolicy{{Name: "AmazonEKSAdminViewPolicy"}}, attributes{Verb: "delete", Resource: "secrets"}, false},
		{[]AccessPolicy{{Name: "AmazonEKSAdminPolicy"}}, attributes{Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "rolebindings"}, true},
		{[]AccessPolicy{{Name: "AmazonEKSClusterAdminPolicy"}}, attributes{Verb: "get", Path: "/metrics"}, true},
		{[]AccessPolicy{{"AmazonEKSClusterAdminPolicy", []string{"default"}}}, attributes{Verb: "get", Path: "/metrics"}, false},
	} {
		u := &kubernetesUser{Groups: []string{"system:authenticated"}, Policies: row.policies}
		if got, _ := u.allowed(row.a); got != row.want {
			t.Errorf("%v: %+v: got %t", row.policies, row.a, got)
		}
	}
}
