package sandbox

import (
	"encoding/json"
	"encoding/xml"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

const (
	stsVersion   = "2011-06-15"
	stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"
)

// stsAction is what a request to / asks for, by its query or its form. ok is false if it does not look like the query protocol.
func stsAction(w *wireRequest) (action, version string, ok bool) {
	raw := w.query
	if w.method == http.MethodPost {
		kind, _, _ := mime.ParseMediaType(w.header.Get("Content-Type"))
		if kind != "application/x-www-form-urlencoded" {
			return "", "", false
		}
		raw = string(w.body)
	}
	values, err := url.ParseQuery(raw)
	if err != nil || len(values["Action"]) != 1 || len(values["Version"]) != 1 {
		return "", "", false
	}
	return values.Get("Action"), values.Get("Version"), true
}

type callerIdentity struct {
	ARN     string `xml:"Arn" json:"Arn"`
	UserID  string `xml:"UserId" json:"UserId"`
	Account string `xml:"Account" json:"Account"`
}

type stsMetadata struct {
	RequestID string `xml:"RequestId" json:"RequestId"`
}

// getCallerIdentity answers STS, at the path / of any endpoint.
func (c *call) getCallerIdentity() *response {
	action, version, ok := stsAction(c.wire)
	if !ok || action != "GetCallerIdentity" || version != stsVersion || c.wire.method != http.MethodGet && c.wire.method != http.MethodPost {
		return c.stsError(refuse(http.StatusBadRequest, "InvalidAction", "Could not find operation "+action+" for version "+version,
			"action %q, version %q by %s", action, version, c.wire.method))
	}
	s, _, refusal := c.verifyHMAC(c.wire, "sts", c.region)
	if refusal != nil {
		return c.stsError(refusal)
	}
	c.entry.RoleARN, c.entry.SessionName = s.role.ARN, s.name
	identity := callerIdentity{s.arn(), s.userID(), s.account()}
	if !c.wantsJSON() {
		return xmlResponse(http.StatusOK, struct {
			XMLName  xml.Name
			Result   callerIdentity `xml:"GetCallerIdentityResult"`
			Metadata stsMetadata    `xml:"ResponseMetadata"`
		}{xml.Name{Space: stsNamespace, Local: "GetCallerIdentityResponse"}, identity, stsMetadata{c.id}})
	}
	type body struct {
		Result   callerIdentity `json:"GetCallerIdentityResult"`
		Metadata stsMetadata    `json:"ResponseMetadata"`
	}
	return jsonResponse(http.StatusOK, map[string]body{"GetCallerIdentityResponse": {identity, stsMetadata{c.id}}})
}

func (c *call) wantsJSON() bool {
	return strings.HasPrefix(c.wire.header.Get("Accept"), "application/json")
}

type stsErrorDetail struct {
	Type    string `xml:"Type" json:"Type"`
	Code    string `xml:"Code" json:"Code"`
	Message string `xml:"Message" json:"Message"`
}

func (c *call) stsError(r *Refusal) *response {
	c.refused(r)
	detail := stsErrorDetail{"Sender", r.Code, r.Message}
	if r.Status >= 500 {
		detail.Type = "Receiver"
	}
	if c.wantsJSON() {
		return jsonResponse(r.Status, struct {
			Error     stsErrorDetail
			RequestID string `json:"RequestId"`
		}{detail, c.id})
	}
	return xmlResponse(r.Status, struct {
		XMLName   xml.Name
		Error     stsErrorDetail
		RequestID string `xml:"RequestId"`
	}{xml.Name{Space: stsNamespace, Local: "ErrorResponse"}, detail, c.id})
}

func jsonResponse(status int, body any) *response {
	data, err := json.Marshal(body)
	if err != nil {
		panic("sandbox: internal error: " + err.Error())
	}
	return &response{status: status, contentType: "application/json", body: data}
}

func xmlResponse(status int, body any) *response {
	data, err := xml.MarshalIndent(body, "", "  ")
	if err != nil {
		panic("sandbox: internal error: " + err.Error())
	}
	return &response{status: status, contentType: "text/xml", body: data}
}
