package sandbox

import (
	"encoding/base64"
	"fmt"
	"time"
)

// Event is a CreateSession as CloudTrail has it. No complete real one is published. userIdentity is that of published parts of some;
// the form of cert is a guess from AWS's "logging-using-cloudtrail" and the API's shapes.
type Event struct {
	EventVersion       string            `json:"eventVersion"`
	UserIdentity       map[string]string `json:"userIdentity"`
	EventTime          string            `json:"eventTime"`
	EventSource        string            `json:"eventSource"`
	EventName          string            `json:"eventName"`
	AWSRegion          string            `json:"awsRegion"`
	SourceIPAddress    string            `json:"sourceIPAddress"`
	UserAgent          string            `json:"userAgent"`
	ErrorCode          string            `json:"errorCode,omitempty"`
	ErrorMessage       string            `json:"errorMessage,omitempty"`
	RequestParameters  map[string]any    `json:"requestParameters"`
	ResponseElements   any               `json:"responseElements"`
	AdditionalData     map[string]any    `json:"additionalEventData,omitempty"`
	RequestID          string            `json:"requestID"`
	EventID            string            `json:"eventID"`
	ReadOnly           bool              `json:"readOnly"`
	EventType          string            `json:"eventType"`
	ManagementEvent    bool              `json:"managementEvent"`
	RecipientAccountID string            `json:"recipientAccountId"`
	EventCategory      string            `json:"eventCategory"`
}

const hidden = "HIDDEN_DUE_TO_SECURITY_REASONS"

// event describes a success (out) or a refusal.
func (c *call) event(g *Grant, out *createSessionOutput, refusal *Refusal) Event {
	e := Event{
		EventVersion: "1.09", UserIdentity: map[string]string{"type": "AWSService", "invokedBy": "rolesanywhere.amazonaws.com"},
		EventTime: c.now.UTC().Format(time.RFC3339), EventSource: "rolesanywhere.amazonaws.com", EventName: "CreateSession",
		AWSRegion: c.region, SourceIPAddress: c.remote, UserAgent: c.entry.UserAgent,
		RequestParameters: map[string]any{"profileArn": g.input.ProfileARN, "roleArn": g.input.RoleARN, "trustAnchorArn": g.input.TrustAnchorARN},
		RequestID:         c.id, EventID: newUUID(), EventType: "AwsApiCall", ManagementEvent: true,
		RecipientAccountID: c.world.Account, EventCategory: "Management",
	}
	if g.Certificate != nil {
		e.RequestParameters["cert"] = base64.StdEncoding.EncodeToString(g.Certificate.Raw)
	}
	if g.input.DurationSeconds != nil {
		e.RequestParameters["durationSeconds"] = *g.input.DurationSeconds
	}
	if g.input.RoleSessionName != nil {
		e.RequestParameters["roleSessionName"] = *g.input.RoleSessionName
	}
	if refusal != nil {
		e.ErrorCode, e.ErrorMessage = refusal.Code, refusal.Message
		return e
	}
	set := out.CredentialSet[0]
	set.Credentials.SecretAccessKey, set.Credentials.SessionToken = hidden, hidden
	e.ResponseElements = createSessionOutput{CredentialSet: []credentialSet{set}, SubjectARN: out.SubjectARN}
	e.AdditionalData = map[string]any{"principalTags": g.Tags}
	return e
}

func (s *Sandbox) addEvent(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line, err := encodeLine(e)
	if err == nil {
		s.events.add(e, len(line))
		err = appendTo(s.path("cloudtrail.jsonl"), line)
	}
	if err != nil && s.requests != nil {
		fmt.Fprintln(s.requests, "appending to cloudtrail.jsonl:", err)
	}
}

func newUUID() string {
	b := random(16)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // RFC 9562 §5.4, version 4
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
