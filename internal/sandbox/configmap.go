package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ConfigMap is kube-system/aws-auth, the one that the sandbox's clusters can have.
type ConfigMap struct {
	ResourceVersion int               `json:"resourceVersion"` // another one after each change
	Data            map[string]string `json:"data,omitempty"`
}

// authenticationModes: https://docs.aws.amazon.com/eks/latest/userguide/setting-up-access-entries.html
const (
	modeAPI       = "API"
	modeBoth      = "API_AND_CONFIG_MAP"
	modeConfigMap = "CONFIG_MAP"
)

func (k *Cluster) authenticationMode() string {
	if k.AuthenticationMode == "" {
		return modeAPI
	}
	return k.AuthenticationMode
}

// mapping is whom the cluster takes a role for, access entries first; nil: for nobody.
func (k *Cluster) mapping(canonicalARN string) *Mapping {
	if k.authenticationMode() != modeConfigMap {
		// Access entries may name a role with its path, while STS never tells one.
		if m := find(k.Mappings, func(m Mapping) bool { return withoutPath(m.RoleARN) == canonicalARN }); m != nil {
			return m
		}
	}
	if k.authenticationMode() == modeAPI || k.AWSAuth == nil {
		return nil
	}
	return k.AWSAuth.mapping(canonicalARN)
}

// mapping reads mapRoles as aws-iam-authenticator does, pkg/mapper/configmap: through JSON, where the case of keys says nothing; the case
// of ARNs neither; the last entry of a role holds; a path fits nobody; an entry that can't be read spoils none before it. The ARN of a
// session is its role's (pkg/arn, Canonicalize).
func (m *ConfigMap) mapping(canonicalARN string) *Mapping {
	var value any
	if yaml.Unmarshal([]byte(m.Data["mapRoles"]), &value) != nil {
		return nil
	}
	data, err := json.Marshal(value)
	if err != nil {
		return nil
	}
	var entries []struct {
		RoleARN  string   `json:"rolearn"`
		Username string   `json:"username"`
		Groups   []string `json:"groups"`
	}
	_ = json.Unmarshal(data, &entries) // what could be read is there
	var found *Mapping
	for _, e := range entries {
		if strings.EqualFold(canonical(e.RoleARN), canonicalARN) {
			found = &Mapping{RoleARN: e.RoleARN, Username: e.Username, Groups: e.Groups}
		}
	}
	return found
}

// canonical is the ARN of the role of arn:P:sts::ACCOUNT:assumed-role/NAME/SESSION; every other ARN stays as it is.
func canonical(arn string) string {
	parts := strings.SplitN(strings.ToLower(arn), ":", 6)
	if len(parts) < 6 || parts[2] != "sts" {
		return arn
	}
	name, ok := strings.CutPrefix(parts[5], "assumed-role/")
	end := strings.LastIndexByte(name, '/')
	if !ok || end < 0 {
		return arn
	}
	return strings.Join([]string{parts[0], parts[1], "iam", parts[3], parts[4], "role/" + name[:end]}, ":")
}

const (
	awsAuthNamespace = "kube-system"
	awsAuthName      = "aws-auth"
)

func (m *ConfigMap) object() object {
	return object{"ConfigMap", "v1", map[string]any{
		"name": awsAuthName, "namespace": awsAuthNamespace, "resourceVersion": strconv.Itoa(m.ResourceVersion), "creationTimestamp": "2026-01-01T00:00:00Z",
	}, m.Data, nil}
}

// isAWSAuth: it is asked for; only that one can be written.
func (k *kubernetesCall) isAWSAuth() bool {
	return k.served != nil && k.served.Kind == "ConfigMap" && k.Subresource == "" && k.Namespace == awsAuthNamespace &&
		(k.Name == awsAuthName || k.Verb == "create" && k.Name == "")
}

// writeAWSAuth compares and changes in one step, whatever else is asked meanwhile.
func (k *kubernetesCall) writeAWSAuth() *response {
	var refusal *response
	var written object
	err := k.s.change(func(w *World) error {
		cluster := w.cluster(k.cluster.Name)
		if cluster == nil {
			refusal = k.notFound()
			return nil
		}
		old := cluster.AWSAuth
		var data map[string]string
		if data, refusal = k.newData(old); refusal != nil {
			return nil
		}
		if old == nil {
			cluster.AWSAuth = &ConfigMap{1, data}
		} else if !maps.Equal(old.Data, data) {
			cluster.AWSAuth = &ConfigMap{old.ResourceVersion + 1, data}
		}
		written = cluster.AWSAuth.object()
		return nil
	})
	switch {
	case refusal != nil:
		return refusal
	case err != nil:
		return k.kubernetesFault(refuse(http.StatusInternalServerError, "InternalError", "", "%v", err))
	case k.Verb == "create":
		return jsonResponse(http.StatusCreated, written)
	}
	return jsonResponse(http.StatusOK, written)
}

// newData is what the request makes of the old one.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-update
func (k *kubernetesCall) newData(old *ConfigMap) (map[string]string, *response) {
	if refusal := k.wrongType(); refusal != nil {
		return nil, refusal
	}
	switch {
	case k.Verb == "create" && old != nil:
		return nil, k.kubernetesError(refuse(http.StatusConflict, "AlreadyExists", fmt.Sprintf("configmaps %q already exists", awsAuthName), "it is there"), k.details())
	case k.Verb != "create" && old == nil:
		return nil, k.noObject()
	}
	var asked map[string]any
	if err := json.Unmarshal(k.wire.body, &asked); err != nil {
		return nil, k.badRequest("the body of the request is no JSON object")
	}
	if k.Verb == "patch" {
		asked, _ = mergePatch(asJSON(old.object()), asked).(map[string]any)
	}
	var o object
	text, err := json.Marshal(asked)
	if err != nil || json.Unmarshal(text, &o) != nil {
		return nil, k.badRequest("the object provided is unrecognized (must be of type ConfigMap)")
	}
	name, namespace := o.Metadata["name"], o.Metadata["namespace"]
	if name != awsAuthName || namespace != nil && namespace != awsAuthNamespace {
		return nil, k.badRequest("the sandbox has no other ConfigMap than " + awsAuthNamespace + "/" + awsAuthName)
	}
	if version := o.Metadata["resourceVersion"]; old != nil && version != nil && version != "" && version != strconv.Itoa(old.ResourceVersion) {
		return nil, k.kubernetesError(refuse(http.StatusConflict, "Conflict", fmt.Sprintf("Operation cannot be fulfilled on configmaps %q: "+
			"the object has been modified; please apply your changes to the latest version and try again", awsAuthName),
			"resourceVersion %v, which is %d now", version, old.ResourceVersion), k.details())
	}
	return o.Data, nil
}

// wrongType refuses what can't be read. For a ConfigMap, a strategic merge patch is a merge patch.
func (k *kubernetesCall) wrongType() *response {
	kind, _, _ := mime.ParseMediaType(k.wire.header.Get("Content-Type"))
	if k.Verb != "patch" && kind == "application/json" || k.Verb == "patch" && (kind == "application/merge-patch+json" || kind == "application/strategic-merge-patch+json") {
		return nil
	}
	return k.kubernetesError(refuse(http.StatusUnsupportedMediaType, "UnsupportedMediaType", "the body of the request was in an unknown format", "Content-Type %q", kind), k.details())
}

func asJSON(value any) (out any) {
	data, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		panic("sandbox: internal error: " + err.Error())
	}
	return out
}

// mergePatch is that of RFC 7386, section 2.
func mergePatch(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	out, ok := target.(map[string]any)
	if !ok {
		out = map[string]any{}
	}
	for name, value := range changes {
		if value == nil {
			delete(out, name)
		} else {
			out[name] = mergePatch(out[name], value)
		}
	}
	return out
}
