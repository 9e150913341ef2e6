package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// kubernetesPrefix comes before a cluster's name: https://127.0.0.1:PORT/k8s/NAME is the server of a kubeconfig.
const kubernetesPrefix = "/k8s/"

// kubernetesCall is a call to the API server of a cluster: the small part of one by which people see who the cluster says they
// are, and what they may do.
type kubernetesCall struct {
	*call
	attributes
	served  *apiResource    // nil: no such resource
	cluster *Cluster        // nil: no such cluster
	user    *kubernetesUser // nil: not authenticated
}

// kubernetes finds the operation below a cluster's address.
func (c *call) kubernetes() (string, func() *response) {
	c.toKubernetes = true
	name, path, _ := strings.Cut(strings.TrimPrefix(c.wire.path, kubernetesPrefix), "/")
	c.entry.Cluster = name
	k := &kubernetesCall{call: c, attributes: readAttributes(c.wire, "/"+path)}
	k.cluster = find(c.world.Clusters, func(one Cluster) bool { return one.Name == name && one.Status != "CREATING" })
	if k.Version == "v1" {
		k.served = find(apiResources()[k.Group], func(r apiResource) bool { return r.Name == k.Resource })
	}
	switch {
	case k.isReview():
		return k.served.Kind, k.audited
	case k.served != nil && k.served.Kind == "Namespace" && k.Verb == "list":
		return "ListNamespaces", k.audited
	case k.isAWSAuth() && k.Verb != "delete":
		return strings.ToUpper(k.Verb[:1]) + k.Verb[1:] + "ConfigMap", k.audited
	case k.Path == "/version":
		return "Version", k.audited
	}
	return "KubernetesAPI", k.audited
}

func (k *kubernetesCall) isReview() bool {
	return k.served != nil && k.Verb == "create" && k.Name == "" && strings.HasSuffix(k.served.Kind, "Review")
}

func (k *kubernetesCall) answer() *response {
	if k.cluster == nil {
		return k.notFound()
	}
	public := slices.Contains([]string{"/version", "/healthz", "/livez", "/readyz"}, k.Path)
	if !public || k.wire.header.Get("Authorization") != "" {
		if refusal := k.authenticate(); refusal != nil {
			// The caller is not told why: the reason stays in the log.
			return k.kubernetesError(refuse(http.StatusUnauthorized, "Unauthorized", "Unauthorized", "%s", refusal.Reason), nil)
		}
		if allowed, _ := k.user.allowed(k.attributes); !allowed {
			return k.forbidden()
		}
	}
	if k.Path == "" {
		return k.answerResource()
	}
	found := discovery(k.Path)
	switch {
	case k.Verb != "get":
	case k.Path == "/version":
		return jsonResponse(http.StatusOK, k.cluster.kubernetesVersion())
	case public:
		return &response{status: http.StatusOK, contentType: "text/plain; charset=utf-8", body: []byte("ok")}
	case found != nil:
		return jsonResponse(http.StatusOK, found)
	}
	return k.notFound()
}

// authenticate asks the verifier behind POST /authenticate.
func (k *kubernetesCall) authenticate() *Refusal {
	token, ok := strings.CutPrefix(k.wire.header.Get("Authorization"), "Bearer ")
	if !ok {
		return refuse(http.StatusUnauthorized, "Unauthorized", "Unauthorized", "no bearer token")
	}
	user, refusal := k.call.user(token, k.cluster)
	if refusal != nil {
		return refusal
	}
	k.entry.Username = user.Username
	user.Groups = append(user.Groups, "system:authenticated") // the API server adds it, not the webhook
	k.user = user
	return nil
}

func (k *kubernetesCall) answerResource() *response {
	switch {
	case k.isReview():
		return k.review()
	case k.isAWSAuth() && slices.Contains([]string{"create", "update", "patch"}, k.Verb):
		return k.writeAWSAuth()
	case k.served == nil || k.Subresource != "":
		return k.notFound()
	case slices.Contains(k.served.Verbs, k.Verb) && k.Verb == "list":
		return jsonResponse(http.StatusOK, map[string]any{
			"kind": k.served.Kind + "List", "apiVersion": "v1", "metadata": map[string]string{"resourceVersion": "1"}, "items": k.objects(),
		})
	case slices.Contains(k.served.Verbs, k.Verb) && k.Verb == "get":
		if o := find(k.objects(), func(o object) bool { return o.Metadata["name"] == k.Name }); o != nil {
			return jsonResponse(http.StatusOK, o)
		}
		return k.noObject()
	}
	return k.kubernetesError(refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", "the server does not allow this method on the requested resource",
		"the sandbox can't %s %s", k.Verb, k.qualified()), k.details())
}

func (k *kubernetesCall) noObject() *response {
	return k.kubernetesError(refuse(http.StatusNotFound, "NotFound", fmt.Sprintf("%s %q not found", k.qualified(), k.Name), "no such object"), k.details())
}

type object struct {
	Kind       string            `json:"kind"`
	APIVersion string            `json:"apiVersion"`
	Metadata   map[string]any    `json:"metadata"`
	Data       map[string]string `json:"data,omitempty"`
	Status     map[string]string `json:"status,omitempty"`
}

// objects of the resource asked for: a new cluster's namespaces, aws-auth, and nothing of any other kind.
func (k *kubernetesCall) objects() []object {
	all := []object{}
	if k.served.Kind == "ConfigMap" && k.cluster.AWSAuth != nil && (k.Namespace == "" || k.Namespace == awsAuthNamespace) {
		all = append(all, k.cluster.AWSAuth.object())
	}
	if k.served.Kind != "Namespace" {
		return all
	}
	for _, name := range []string{"default", "kube-node-lease", "kube-public", "kube-system"} {
		all = append(all, object{
			"Namespace", "v1",
			map[string]any{"name": name, "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"},
			nil, map[string]string{"phase": "Active"},
		})
	}
	return all
}

// kubernetesVersion is as EKS has it.
func (k *Cluster) kubernetesVersion() map[string]string {
	major, minor, _ := strings.Cut(k.Version, ".")
	return map[string]string{
		"major": major, "minor": minor, "gitVersion": "v" + k.Version + ".2-eks-5a9db0c", "gitTreeState": "clean", "compiler": "gc", "platform": "linux/amd64",
	}
}

func (k *kubernetesCall) notFound() *response {
	return k.kubernetesError(refuse(http.StatusNotFound, "NotFound", "the server could not find the requested resource",
		"nothing to %s at %q", k.Verb, k.wire.path), map[string]string{})
}

func (k *kubernetesCall) badRequest(message string) *response {
	return k.kubernetesError(refuse(http.StatusBadRequest, "BadRequest", message, "%s", message), nil)
}

func (k *kubernetesCall) forbidden() *response {
	message := fmt.Sprintf("forbidden: User %q cannot %s path %q", k.user.Username, k.Verb, k.Path)
	if k.Path == "" {
		what, where := k.qualified(), "at the cluster scope"
		if k.Name != "" {
			what += fmt.Sprintf(" %q", k.Name)
		}
		if k.Namespace != "" {
			where = fmt.Sprintf("in the namespace %q", k.Namespace)
		}
		message = fmt.Sprintf("%s is forbidden: User %q cannot %s resource %q in API group %q %s", what, k.user.Username, k.Verb, k.whole(), k.Group, where)
	}
	return k.kubernetesError(refuse(http.StatusForbidden, "Forbidden", message, "no group of the user may"), k.details())
}

// qualified is the resource as errors name it: deployments.apps.
func (k *kubernetesCall) qualified() string {
	return strings.TrimSuffix(k.Resource+"."+k.Group, ".")
}

func (k *kubernetesCall) details() map[string]string {
	d := map[string]string{"name": k.Name, "group": k.Group, "kind": k.Resource}
	for name, value := range d {
		if value == "" {
			delete(d, name)
		}
	}
	return d
}

// kubernetesError answers with a Status: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
func (c *call) kubernetesError(r *Refusal, details map[string]string) *response {
	c.refused(r)
	status := map[string]any{
		"kind": "Status", "apiVersion": "v1", "metadata": map[string]string{}, "status": "Failure", "message": r.Message, "reason": r.Code, "code": r.Status,
	}
	if details != nil {
		status["details"] = details
	}
	return jsonResponse(r.Status, status)
}

// kubernetesFault gives a fault the words of an API server.
func (c *call) kubernetesFault(r *Refusal) *response {
	switch r.Status {
	case http.StatusUnauthorized:
		r.Code, r.Message = "Unauthorized", "Unauthorized"
	case http.StatusTooManyRequests:
		r.Code, r.Message = "TooManyRequests", "the server has received too many requests and has asked us to try again later"
	case http.StatusServiceUnavailable:
		r.Code, r.Message = "ServiceUnavailable", "the server is currently unable to handle the request"
	case http.StatusForbidden:
		r.Code, r.Message = "Forbidden", "forbidden"
	default:
		r.Code, r.Message = "InternalError", "an error on the server has prevented the request from succeeding"
	}
	return c.kubernetesError(r, nil)
}
