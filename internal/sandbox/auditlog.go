package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// auditEvent is one of audit.k8s.io/v1, as an API server behind EKS's authenticator writes it at the level Metadata.
// https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
type auditEvent struct {
	Kind             string            `json:"kind"`
	APIVersion       string            `json:"apiVersion"`
	Level            string            `json:"level"`
	AuditID          string            `json:"auditID"`
	Stage            string            `json:"stage"`
	RequestURI       string            `json:"requestURI"`
	Verb             string            `json:"verb"`
	User             any               `json:"user"`
	SourceIPs        []string          `json:"sourceIPs"`
	UserAgent        string            `json:"userAgent,omitempty"`
	ObjectRef        *objectRef        `json:"objectRef,omitempty"`
	ResponseStatus   auditStatus       `json:"responseStatus"`
	RequestReceived  string            `json:"requestReceivedTimestamp"`
	StageTimestamp   string            `json:"stageTimestamp"`
	AuditAnnotations map[string]string `json:"annotations,omitempty"`
}

type objectRef struct {
	Resource    string `json:"resource,omitempty"`
	Namespace   string `json:"namespace,omitempty"`
	Name        string `json:"name,omitempty"`
	APIGroup    string `json:"apiGroup,omitempty"`
	APIVersion  string `json:"apiVersion,omitempty"`
	Subresource string `json:"subresource,omitempty"`
}

type auditStatus struct {
	Metadata struct{}        `json:"metadata"`
	Status   string          `json:"status,omitempty"`
	Message  string          `json:"message,omitempty"`
	Reason   string          `json:"reason,omitempty"`
	Details  json.RawMessage `json:"details,omitempty"`
	Code     int             `json:"code"`
}

// auditRecord is an event with what CloudWatch Logs knows of it.
type auditRecord struct {
	cluster string
	at      time.Time
	message string
}

// audited answers, and writes what was done into the cluster's audit log.
func (k *kubernetesCall) audited() *response {
	out := k.answer()
	// EKS's policy logs neither /version nor the health checks.
	if k.cluster != nil && k.Path != "/version" && k.Path != "/healthz" && k.Path != "/livez" && k.Path != "/readyz" {
		k.s.addAudit(k.cluster.Name, k.now, k.auditEvent(out))
	}
	return out
}

func (k *kubernetesCall) auditEvent(out *response) auditEvent {
	const micro = "2006-01-02T15:04:05.000000Z" // metav1.MicroTime
	e := auditEvent{
		Kind: "Event", APIVersion: "audit.k8s.io/v1", Level: "Metadata", AuditID: k.id, Stage: "ResponseComplete",
		RequestURI: strings.TrimPrefix(k.wire.path, kubernetesPrefix+k.cluster.Name), Verb: k.Verb, User: struct{}{},
		SourceIPs: []string{k.remote}, UserAgent: k.entry.UserAgent, RequestReceived: k.now.UTC().Format(micro), StageTimestamp: k.s.now().UTC().Format(micro),
	}
	if k.wire.query != "" {
		e.RequestURI += "?" + k.wire.query
	}
	if k.Resource != "" {
		e.ObjectRef = &objectRef{Resource: k.Resource, Namespace: k.Namespace, Name: k.Name, APIGroup: k.Group, APIVersion: k.Version, Subresource: k.Subresource}
	}
	if out.status >= http.StatusBadRequest {
		_ = json.Unmarshal(out.body, &e.ResponseStatus) // our own
	}
	e.ResponseStatus.Code = out.status
	if k.user == nil { // so a real one tells a failed authentication
		e.Stage = "ResponseStarted"
		return e
	}
	e.User = k.user
	decision := "allow"
	allowed, reason := k.user.allowed(k.attributes)
	if !allowed {
		decision = "forbid"
	}
	e.AuditAnnotations = map[string]string{"authorization.k8s.io/decision": decision, "authorization.k8s.io/reason": reason}
	return e
}

// addAudit keeps an event for Logs Insights and Athena; audit.jsonl has all.
func (s *Sandbox) addAudit(cluster string, at time.Time, e auditEvent) {
	line, err := encodeLine(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.audit.add(auditRecord{cluster, at.UTC(), strings.TrimSuffix(string(line), "\n")}, len(line))
		err = appendTo(s.path("audit.jsonl"), line)
	}
	if err != nil && s.requests != nil {
		fmt.Fprintln(s.requests, "appending to audit.jsonl:", err)
	}
}
