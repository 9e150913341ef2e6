package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// attributes are what a request to an API server is authorized by: a resource or a path, and the verb.
type attributes struct {
	Verb        string `json:"verb,omitempty"`
	Group       string `json:"group,omitempty"`
	Version     string `json:"version,omitempty"`
	Resource    string `json:"resource,omitempty"`
	Subresource string `json:"subresource,omitempty"`
	Namespace   string `json:"namespace,omitempty"`
	Name        string `json:"name,omitempty"`
	Path        string `json:"path,omitempty"` // "" for a resource
}

// whole is the resource with its subresource, as rules name it: pods/log.
func (a *attributes) whole() string {
	return strings.TrimSuffix(a.Resource+"/"+a.Subresource, "/")
}

// readAttributes takes a path apart as the API server does: /api/VERSION/… or /apis/GROUP/VERSION/…, [namespaces/NAMESPACE/],
// RESOURCE[/NAME[/SUBRESOURCE]].
// https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb
func readAttributes(w *wireRequest, path string) attributes {
	other := attributes{Verb: strings.ToLower(w.method), Path: path}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	var a attributes
	switch {
	case parts[0] == "api" && len(parts) > 2:
		a.Version, parts = parts[1], parts[2:]
	case parts[0] == "apis" && len(parts) > 3:
		a.Group, a.Version, parts = parts[1], parts[2], parts[3:]
	default:
		return other
	}
	if parts[0] == "namespaces" && len(parts) > 1 {
		a.Namespace = parts[1]
		if len(parts) > 2 && parts[2] != "status" && parts[2] != "finalize" {
			parts = parts[2:]
		}
	}
	a.Resource = parts[0]
	if len(parts) > 1 {
		a.Name = parts[1]
	}
	if len(parts) > 2 {
		a.Subresource = parts[2]
	}
	a.Verb = a.verb(w)
	return a
}

func (a *attributes) verb(w *wireRequest) string {
	many := a.Name == ""
	switch w.method {
	case http.MethodGet, http.MethodHead:
		if !many {
			return "get"
		}
		if slices.ContainsFunc(strings.Split(w.query, "&"), func(p string) bool { return p == "watch=true" || p == "watch=1" }) {
			return "watch"
		}
		return "list"
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodDelete:
		if many {
			return "deletecollection"
		}
	}
	return strings.ToLower(w.method)
}

// rule is a PolicyRule of RBAC, without names of objects.
type rule struct {
	Verbs           []string `json:"verbs"`
	APIGroups       []string `json:"apiGroups,omitempty"`
	Resources       []string `json:"resources,omitempty"`
	NonResourceURLs []string `json:"nonResourceURLs,omitempty"`
}

func resourceRule(verbs, group, resources string) rule {
	return rule{Verbs: strings.Fields(verbs), APIGroups: []string{group}, Resources: strings.Fields(resources)}
}

// grant is a ClusterRoleBinding of a group to a ClusterRole.
type grant struct {
	group, role string
	rules       []rule
}

// grants are those of a new cluster, as far as a user of the sandbox can have them. EKS binds no group to view by itself: that
// binding is what an administrator adds.
// https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings
func grants() []grant {
	const read = "get list watch"
	return []grant{
		{"system:masters", "", []rule{resourceRule("*", "*", "*"), {Verbs: []string{"*"}, NonResourceURLs: []string{"*"}}}},
		{"system:authenticated", "system:basic-user", []rule{
			resourceRule("create", "authentication.k8s.io", "selfsubjectreviews"),
			resourceRule("create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
		}},
		{"system:authenticated", "system:discovery", []rule{{Verbs: []string{"get"}, NonResourceURLs: strings.Fields(
			"/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/")}}},
		{"view", "view", []rule{
			resourceRule(read, "", "bindings configmaps endpoints events limitranges namespaces namespaces/status persistentvolumeclaims "+
				"persistentvolumeclaims/status pods pods/log pods/status replicationcontrollers replicationcontrollers/scale "+
				"replicationcontrollers/status resourcequotas resourcequotas/status serviceaccounts services services/status"),
			resourceRule(read, "apps", "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status "+
				"replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status"),
			resourceRule(read, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
			resourceRule(read, "batch", "cronjobs cronjobs/status jobs jobs/status"),
			resourceRule(read, "discovery.k8s.io", "endpointslices"),
			resourceRule(read, "networking.k8s.io", "ingresses ingresses/status networkpolicies"),
			resourceRule(read, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
		}},
	}
}

// allowed tells whether the user's groups or access policies may, and why, in the words of the API server.
func (u *kubernetesUser) allowed(a attributes) (ok bool, reason string) {
	for _, g := range grants() {
		if !slices.Contains(u.Groups, g.group) || !slices.ContainsFunc(g.rules, func(r rule) bool { return r.covers(a) }) {
			continue
		}
		if g.role == "" { // system:masters is let through before RBAC is asked
			return true, ""
		}
		return true, fmt.Sprintf("RBAC: allowed by ClusterRoleBinding %q of ClusterRole %q to Group %q", g.role, g.role, g.group)
	}
	return slices.ContainsFunc(u.Policies, func(p AccessPolicy) bool { return p.covers(a) }), ""
}

func (r rule) covers(a attributes) bool {
	has := func(all []string, one string) bool { return slices.Contains(all, "*") || slices.Contains(all, one) }
	if !has(r.Verbs, a.Verb) {
		return false
	}
	if a.Path != "" {
		return has(r.NonResourceURLs, a.Path) || slices.ContainsFunc(r.NonResourceURLs, func(url string) bool {
			prefix, ok := strings.CutSuffix(url, "*")
			return ok && strings.HasPrefix(a.Path, prefix)
		})
	}
	return has(r.APIGroups, a.Group) && has(r.Resources, a.whole())
}

// rules are all that the user's groups give, apart by kind.
func (u *kubernetesUser) rules() (resources, nonResources []rule) {
	resources, nonResources = []rule{}, []rule{}
	for _, g := range grants() {
		if !slices.Contains(u.Groups, g.group) {
			continue
		}
		for _, r := range g.rules {
			if r.NonResourceURLs != nil {
				nonResources = append(nonResources, r)
			} else {
				resources = append(resources, r)
			}
		}
	}
	return resources, nonResources
}
