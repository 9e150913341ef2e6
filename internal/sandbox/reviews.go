package sandbox

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
)

// reviewSpec is as much as a client's question may hold, of all kinds.
type reviewSpec struct {
	Namespace             string      `json:"namespace,omitempty"`
	ResourceAttributes    *attributes `json:"resourceAttributes,omitempty"`
	NonResourceAttributes *attributes `json:"nonResourceAttributes,omitempty"`
}

func readReview(w *wireRequest, kind string) (reviewSpec, error) {
	if w.header.Get("Content-Type") == "application/vnd.kubernetes.protobuf" { // kubectl, from 1.33
		return readProtobufReview(w.body, kind)
	}
	var asked struct {
		Spec reviewSpec `json:"spec"`
	}
	err := json.Unmarshal(w.body, &asked)
	return asked.Spec, err
}

// review answers a client's question about itself.
func (k *kubernetesCall) review() *response {
	out := map[string]any{
		"kind": k.served.Kind, "apiVersion": k.Group + "/v1", "metadata": map[string]string{"creationTimestamp": k.now.UTC().Format("2006-01-02T15:04:05Z")},
	}
	if k.served.Kind == "SelfSubjectReview" { // there is nothing to ask with
		out["status"] = map[string]any{"userInfo": k.user}
		return jsonResponse(http.StatusCreated, out)
	}
	spec, err := readReview(k.wire, k.served.Kind)
	if err != nil {
		return k.badRequest("the object provided is unrecognized (must be of type " + k.served.Kind + ")")
	}
	if k.served.Kind == "SelfSubjectRulesReview" {
		if spec.Namespace == "" {
			return k.badRequest("no namespace on request")
		}
		resources, nonResources := k.user.rules()
		out["spec"] = struct{}{}
		out["status"] = map[string]any{"resourceRules": resources, "nonResourceRules": nonResources, "incomplete": false}
		return jsonResponse(http.StatusCreated, out)
	}
	about := spec.ResourceAttributes
	if about == nil {
		about = spec.NonResourceAttributes
	}
	if about == nil || spec.ResourceAttributes != nil && spec.NonResourceAttributes != nil {
		return k.badRequest("exactly one of nonResourceAttributes or resourceAttributes must be specified")
	}
	allowed, reason := k.user.allowed(*about)
	out["spec"], out["status"] = spec, accessStatus{allowed, reason}
	return jsonResponse(http.StatusCreated, out)
}

type accessStatus struct {
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason,omitempty"`
}

// readProtobufReview reads a review as client-go sends it: four bytes, runtime.Unknown, and in that the object. The numbers of the
// fields are those of generated.proto in k8s.io/apimachinery/pkg/runtime and k8s.io/api/authorization/v1.
func readProtobufReview(body []byte, kind string) (spec reviewSpec, err error) {
	message, ok := bytes.CutPrefix(body, []byte("k8s\x00"))
	if !ok {
		return spec, errors.New("malformed protobuf: unexpected prefix")
	}
	var fields map[uint64][]byte
	for range 3 { // Unknown.raw, then the object's spec, are both field 2
		if fields, err = protobufFields(message); err != nil {
			return spec, err
		}
		message = fields[2]
	}
	if kind == "SelfSubjectRulesReview" {
		spec.Namespace = string(fields[1])
		return spec, nil
	}
	if resource, ok := fields[1]; ok {
		f, err := protobufFields(resource)
		if err != nil {
			return spec, err
		}
		spec.ResourceAttributes = &attributes{
			Namespace: string(f[1]), Verb: string(f[2]), Group: string(f[3]), Version: string(f[4]), Resource: string(f[5]), Subresource: string(f[6]), Name: string(f[7]),
		}
	}
	if path, ok := fields[2]; ok {
		f, err := protobufFields(path)
		if err != nil {
			return spec, err
		}
		spec.NonResourceAttributes = &attributes{Path: string(f[1]), Verb: string(f[2])}
	}
	return spec, nil
}

// protobufFields are the strings and messages in a message, by number: https://protobuf.dev/programming-guides/encoding/
func protobufFields(message []byte) (map[uint64][]byte, error) {
	fields := map[uint64][]byte{}
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 || tag&7 != 2 { // client-go sends nothing else in a review
			return nil, errors.New("malformed protobuf: unexpected tag")
		}
		message = message[n:]
		length, n := binary.Uvarint(message)
		if n <= 0 || length > uint64(len(message)-n) { //nolint:gosec // n is not more than len
			return nil, errors.New("malformed protobuf: unexpected end")
		}
		end := n + int(length) //nolint:gosec // not more than is there
		fields[tag>>3], message = message[n:end], message[end:]
	}
	return fields, nil
}
