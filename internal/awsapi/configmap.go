package awsapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
)

// ConfigMap is a Kubernetes ConfigMap, as far as the AWS side of a cluster is
// kept in one.
type ConfigMap struct {
	// ResourceVersion is the API server's name for this state of it; empty: it
	// is not there.
	ResourceVersion string
	Data            map[string]string
}

type wireConfigMap struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]any    `json:"metadata"`
	Data       map[string]string `json:"data,omitempty"`
}

func configMapPath(namespace string) string {
	return "/api/v1/namespaces/" + url.PathEscape(namespace) + "/configmaps"
}

// ConfigMap gets one; one that is not there is an empty one.
func (k KubeAPI) ConfigMap(ctx context.Context, namespace, name string) (ConfigMap, error) {
	q, err := k.query("GetConfigMap", http.MethodGet, configMapPath(namespace)+"/"+url.PathEscape(name), nil)
	if err != nil {
		return ConfigMap{}, err
	}
	a, err := q.do(ctx)
	if e, ok := errors.AsType[*Error](err); ok && e.StatusCode == http.StatusNotFound {
		return ConfigMap{}, nil
	}
	if err != nil {
		return ConfigMap{}, err
	}
	var out wireConfigMap
	err = json.Unmarshal(a.body, &out)
	version, _ := out.Metadata["resourceVersion"].(string)
	if err != nil || version == "" {
		return ConfigMap{}, q.malformed(a, "no ConfigMap in the answer")
	}
	return ConfigMap{version, out.Data}, nil
}

// WriteConfigMap sets the keys of data, or makes the ConfigMap with them. If it
// is no longer that of resourceVersion, nothing is changed and the error's
// status code is 409.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
func (k KubeAPI) WriteConfigMap(ctx context.Context, namespace, name, resourceVersion string, data map[string]string) error {
	body := wireConfigMap{"v1", "ConfigMap", map[string]any{"name": name, "namespace": namespace}, data}
	operation, method, path := "CreateConfigMap", http.MethodPost, configMapPath(namespace)
	if resourceVersion != "" {
		// A merge patch leaves alone what this program knows nothing of.
		body.Metadata["resourceVersion"] = resourceVersion
		operation, method, path = "PatchConfigMap", http.MethodPatch, path+"/"+url.PathEscape(name)
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	q, err := k.query(operation, method, path+"?fieldManager=eks-x509", encoded)
	if err != nil {
		return err
	}
	_, err = q.do(ctx)
	return err
}
