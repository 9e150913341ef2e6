package sandbox

import (
	"slices"
	"strings"
)

// accessPolicies are those of EKS that the sandbox knows, as far as it has resources to look at. They are EKS's own, beside RBAC: the
// rules that a user can ask for do not show them.
//
//	https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html
func accessPolicies() map[string][]rule {
	var view []rule
	for _, g := range grants() {
		if g.role == "view" {
			view = g.rules
		}
	}
	edit := slices.Clone(view)
	for _, r := range view {
		edit = append(edit, rule{Verbs: strings.Fields("create delete deletecollection patch update"), APIGroups: r.APIGroups, Resources: r.Resources})
	}
	edit = append(edit, resourceRule("*", "", "secrets"))
	admin := append(slices.Clone(edit), resourceRule("*", "rbac.authorization.k8s.io", "roles rolebindings"))
	return map[string][]rule{
		"AmazonEKSViewPolicy":         view,
		"AmazonEKSEditPolicy":         edit,
		"AmazonEKSAdminPolicy":        admin,
		"AmazonEKSAdminViewPolicy":    {resourceRule("get list watch", "*", "*")},
		"AmazonEKSClusterAdminPolicy": {resourceRule("*", "*", "*"), {Verbs: []string{"*"}, NonResourceURLs: []string{"*"}}},
	}
}

// covers tells whether the policy allows it: in its namespaces only, if it names any.
func (p AccessPolicy) covers(a attributes) bool {
	if len(p.Namespaces) > 0 && !slices.Contains(p.Namespaces, a.Namespace) {
		return false
	}
	return slices.ContainsFunc(accessPolicies()[p.Name], func(r rule) bool { return r.covers(a) })
}
