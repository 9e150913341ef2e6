package sandbox

import "strings"

// apiResource is a metav1.APIResource.
type apiResource struct {
	Name         string   `json:"name"`
	SingularName string   `json:"singularName"`
	Namespaced   bool     `json:"namespaced"`
	Kind         string   `json:"kind"`
	Verbs        []string `json:"verbs"`
	ShortNames   []string `json:"shortNames,omitempty"`
}

// apiResources are what the sandbox's clusters serve, by group; all of version v1.
func apiResources() map[string][]apiResource {
	listed := func(name, kind string, namespaced bool, short ...string) apiResource {
		return apiResource{name, strings.ToLower(kind), namespaced, kind, []string{"get", "list"}, short}
	}
	review := func(kind string) apiResource {
		return apiResource{strings.ToLower(kind) + "s", strings.ToLower(kind), false, kind, []string{"create"}, nil}
	}
	return map[string][]apiResource{
		"": {
			{"configmaps", "configmap", true, "ConfigMap", []string{"create", "get", "list", "patch", "update"}, []string{"cm"}},
			listed("namespaces", "Namespace", false, "ns"), listed("nodes", "Node", false, "no"),
			listed("pods", "Pod", true, "po"), listed("secrets", "Secret", true), listed("services", "Service", true, "svc"),
		},
		"authentication.k8s.io": {review("SelfSubjectReview")},
		"authorization.k8s.io":  {review("SelfSubjectAccessReview"), review("SelfSubjectRulesReview")},
	}
}

// discovery answers a path below which resources are, in the unaggregated form that every client reads; nil if there is none.
// https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
func discovery(path string) any {
	group := func(name string) map[string]any {
		version := map[string]string{"groupVersion": name + "/v1", "version": "v1"}
		return map[string]any{"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": []any{version}, "preferredVersion": version}
	}
	resources := func(groupVersion string, all []apiResource) any {
		return map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": groupVersion, "resources": all}
	}
	switch path {
	case "/api":
		return map[string]any{"kind": "APIVersions", "versions": []string{"v1"}, "serverAddressByClientCIDRs": []any{}}
	case "/apis":
		return map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": []any{group("authentication.k8s.io"), group("authorization.k8s.io")}}
	case "/api/v1":
		return resources("v1", apiResources()[""])
	}
	name, ok := strings.CutPrefix(path, "/apis/")
	if !ok {
		return nil
	}
	name, versioned := strings.CutSuffix(name, "/v1")
	switch all := apiResources()[name]; {
	case name == "" || all == nil:
		return nil
	case versioned:
		return resources(name+"/v1", all)
	}
	return group(name)
}
