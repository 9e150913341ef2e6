package format

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// The apiVersions of ExecCredential that Kubernetes 1.24 and later accepts.
const (
	ExecV1      = execGroup + "v1"
	ExecV1Beta1 = execGroup + "v1beta1"

	execGroup = "client.authentication.k8s.io/"
)

const execKind = "ExecCredential"

// maxExecInfo is far over what fits into one environment variable on Linux (128 KiB).
const maxExecInfo = 1 << 20

// UnsupportedVersionError tells that the kubeconfig asks for an ExecCredential version other than ExecV1 and ExecV1Beta1.
type UnsupportedVersionError struct {
	APIVersion string
}

func (e *UnsupportedVersionError) Error() string {
	return fmt.Sprintf("unsupported apiVersion %q (supported: %s, %s)", e.APIVersion, ExecV1Beta1, ExecV1)
}

// ParseExecInfo reads from the value of KUBERNETES_EXEC_INFO the apiVersion that
// the reply must carry. An empty one, as when
// the command is typed by a person, stands for v1beta1, as with the AWS CLI.
func ParseExecInfo(env string) (apiVersion string, err error) {
	if env == "" {
		return ExecV1Beta1, nil
	}
	if len(env) > maxExecInfo {
		return "", fmt.Errorf("reading KUBERNETES_EXEC_INFO: malformed: longer than %d bytes", maxExecInfo)
	}
	// spec is left out: its cluster's config holds whatever the kubeconfig's
	// author put there, and must not matter. Kubernetes' own internal type
	// can't be decoded once it is set. No kind is what a client sends that leaves
	// it to the apiVersion: kube-rs writes null.
	var info struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
	}
	if err := json.Unmarshal([]byte(env), &info); err != nil {
		return "", fmt.Errorf("reading KUBERNETES_EXEC_INFO: malformed JSON: %w", err)
	}
	if info.Kind != "" && info.Kind != execKind {
		return "", fmt.Errorf("reading KUBERNETES_EXEC_INFO: unsupported kind %q (supported: %s)", info.Kind, execKind)
	}
	if err := checkExecVersion(info.APIVersion); err != nil {
		return "", fmt.Errorf("reading KUBERNETES_EXEC_INFO: %w", err)
	}
	return info.APIVersion, nil
}

// ExecVersion is the apiVersion of a --exec-api-version: its last word, or all of it.
func ExecVersion(value string) (string, error) {
	for _, version := range []string{ExecV1Beta1, ExecV1} {
		if value == version || value == strings.TrimPrefix(version, execGroup) {
			return version, nil
		}
	}
	return "", fmt.Errorf("unsupported version %q (supported: v1beta1, v1)", value)
}

// ExecCredential writes token as a plugin's reply. kubectl uses it until
// expires to the second and leaves no margin of its own.
func ExecCredential(w io.Writer, apiVersion, token string, expires time.Time) error {
	if err := checkExecVersion(apiVersion); err != nil {
		return fmt.Errorf("writing ExecCredential: %w", err)
	}
	if err := checkText(token); err != nil {
		return fmt.Errorf("writing ExecCredential: invalid token: %w", err)
	}
	if expires.IsZero() {
		return errors.New("writing ExecCredential: no expiry found")
	}
	// spec.interactive means nothing in a reply, but the Kubernetes types
	// always write it, so readers other than client-go may expect it.
	type spec struct {
		Interactive bool `json:"interactive"`
	}
	type status struct {
		ExpirationTimestamp string `json:"expirationTimestamp"`
		Token               string `json:"token"`
	}
	return writeJSON(w, struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
		Spec       spec   `json:"spec"`
		Status     status `json:"status"`
	}{execKind, apiVersion, spec{}, status{timestamp(expires), token}})
}

func checkExecVersion(v string) error {
	if v != ExecV1 && v != ExecV1Beta1 {
		return &UnsupportedVersionError{v}
	}
	return nil
}
