package sandbox

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	minDuration, maxDuration  = 900, 43200 // CreateSession, durationSeconds
	defaultSessionTokenLength = 1004
)

// Verifier checks CreateSession requests without a listener, at a clock and under a host name of the caller's choice.
type Verifier struct {
	World *World
	Now   time.Time
	Host  string // what the Host header must be
}

// CreateSession tells what a request, read from the wire or about to be sent, would be granted. The error is a *Refusal.
func (v Verifier) CreateSession(r *http.Request) (*Grant, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, invalid("reading body: %v", err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	w, err := newWireRequest(r, body)
	if err != nil {
		return nil, invalid("%v", err)
	}
	if w.host != v.Host {
		return nil, denied(invalidSignature, "Host %q (want %q)", w.host, v.Host)
	}
	if w.method != http.MethodPost || w.path != "/sessions" {
		return nil, unknownOperation(w)
	}
	g := new(Grant)
	if refusal := g.decide(v.World, w, v.World.Region, v.Now); refusal != nil {
		return nil, refusal
	}
	return g, nil
}

func unknownOperation(w *wireRequest) *Refusal {
	return refuse(http.StatusNotFound, "UnknownOperationException", "Unknown operation", "no operation %s %q", w.method, w.path)
}

// Grant is a CreateSession request that was, or would be, allowed.
type Grant struct {
	Certificate                *x509.Certificate
	TrustAnchorARN, ProfileARN string
	Role                       Role
	SessionName                string
	SourceIdentity             string
	Duration                   time.Duration
	Tags                       map[string]string

	input         createSessionInput
	tokenLength   int
	sessionPolicy string
}

type createSessionInput struct {
	TrustAnchorARN     string            `json:"trustAnchorArn"`
	ProfileARN         string            `json:"profileArn"`
	RoleARN            string            `json:"roleArn"`
	DurationSeconds    *int              `json:"durationSeconds,omitempty"`
	RoleSessionName    *string           `json:"roleSessionName,omitempty"`
	SessionName        string            `json:"sessionName,omitempty"` // deprecated, ignored
	InstanceProperties map[string]string `json:"instanceProperties,omitempty"`
}

// decide fills g as far as it gets, so that a refusal can be logged with what is known.
func (g *Grant) decide(world *World, w *wireRequest, region string, now time.Time) *Refusal {
	if kind, _, err := mime.ParseMediaType(w.header.Get("Content-Type")); err != nil || kind != "application/json" || len(w.header.Values("Content-Type")) != 1 {
		return invalid("Content-Type must be application/json")
	}
	by, refusal := verifyX509(w, region, now)
	if refusal != nil {
		return refusal
	}
	g.Certificate = by.leaf
	if g.input, refusal = readInput(by.query, w.body); refusal != nil {
		return refusal
	}
	g.TrustAnchorARN, g.ProfileARN, g.Role.ARN = g.input.TrustAnchorARN, g.input.ProfileARN, g.input.RoleARN
	if refusal = checkLeaf(by.leaf, now); refusal != nil {
		return refusal
	}
	if refusal = g.input.check(world, region); refusal != nil {
		return refusal
	}
	anchor := world.trustAnchor(g.input.TrustAnchorARN)
	if anchor == nil {
		return refuse(http.StatusNotFound, "ResourceNotFoundException", "Trust anchor not found", "no trust anchor %q", g.TrustAnchorARN)
	}
	g.TrustAnchorARN = anchor.ARN // an alias is not in aws:SourceArn
	if !anchor.Enabled {
		return denied("Trust anchor is not enabled", "trust anchor %q is disabled", anchor.Name)
	}
	if refusal = by.checkChain(anchor, now); refusal != nil {
		return refusal
	}
	return g.assumeRole(world)
}

// assumeRole applies profile and role, and settles name and duration.
func (g *Grant) assumeRole(world *World) *Refusal {
	profile := world.profile(g.ProfileARN)
	if profile == nil {
		return refuse(http.StatusNotFound, "ResourceNotFoundException", "Profile not found", "no profile %q", g.ProfileARN)
	}
	g.ProfileARN = profile.ARN
	if !profile.Enabled {
		return denied("Profile is not enabled", "profile %q is disabled", profile.Name)
	}
	g.SessionName = hex.EncodeToString(g.Certificate.SerialNumber.Bytes())
	if name := g.input.RoleSessionName; name != nil {
		if !profile.AcceptRoleSessionName {
			return denied("Not authorized to set roleSessionName", "profile %q has acceptRoleSessionName false", profile.Name)
		}
		g.SessionName = *name
	}
	unable := "Unable to assume role for " + g.Role.ARN
	if !slices.Contains(profile.RoleARNs, g.Role.ARN) {
		return denied(unable, "role %q is not in profile %q", g.Role.ARN, profile.Name)
	}
	role := world.role(g.Role.ARN)
	if role == nil {
		return denied(unable, "no role %q", g.Role.ARN)
	}
	tags, unmapped := sessionTags(g.Certificate)
	g.SourceIdentity, g.Tags = sourceIdentity(g.Certificate), profile.mapped(tags)
	if reason := g.distrusted(role, world.Account); reason != "" {
		return denied(unable+profile.notMapped(unmapped), "%s", reason)
	}
	seconds := profile.DurationSeconds
	if d := g.input.DurationSeconds; d != nil {
		seconds = min(seconds, *d)
	}
	if seconds > role.MaxSessionDuration {
		return denied(unable+". The requested DurationSeconds exceeds the MaxSessionDuration set for this role",
			"%d s is more than the %d s of role %q", seconds, role.MaxSessionDuration, role.ARN)
	}
	g.Role, g.Duration = *role, time.Duration(seconds)*time.Second
	g.sessionPolicy, g.tokenLength = profile.SessionPolicy, profile.SessionTokenLength
	if g.tokenLength == 0 {
		g.tokenLength = defaultSessionTokenLength
	}
	return nil
}

// distrusted says why the role does not trust the certificate, or "". Each of the three actions must be allowed.
func (g *Grant) distrusted(role *Role, account string) string {
	if len(role.TrustPolicy) == 0 {
		if role.Trusted {
			return ""
		}
		return fmt.Sprintf("the trust policy of role %q does not name rolesanywhere.amazonaws.com", role.ARN)
	}
	p, err := parsePolicy(role.TrustPolicy, true)
	if err != nil {
		return err.Error()
	}
	context := map[string]string{"aws:sourcearn": g.TrustAnchorARN, "aws:sourceaccount": account}
	for key, value := range g.Tags {
		context["aws:principaltag/"+strings.ToLower(key)] = value
	}
	for _, action := range []string{"sts:TagSession", "sts:SetSourceIdentity", "sts:AssumeRole"} {
		switch action {
		case "sts:SetSourceIdentity":
			context["sts:sourceidentity"] = g.SourceIdentity
		case "sts:AssumeRole":
			context["sts:rolesessionname"] = g.SessionName // a key of this action only
		}
		if !p.allows(policyRequest{service: "rolesanywhere.amazonaws.com", action: action, context: context}) {
			return fmt.Sprintf("the trust policy of role %q does not allow %s to trust anchor %q with tags %v", role.ARN, action, g.TrustAnchorARN, g.Tags)
		}
	}
	return ""
}

// mapped leaves the tags that the profile's attribute mappings let through.
func (p *Profile) mapped(tags map[string]string) map[string]string {
	if p.AttributeMappings == nil {
		return tags
	}
	kept := map[string]string{}
	for key, value := range tags {
		field, attribute, _ := strings.Cut(key, "/")
		for _, m := range p.AttributeMappings {
			if m.CertificateField == field && slices.ContainsFunc(m.Specifiers, func(s string) bool { return wildcard(s, attribute) }) {
				kept[key] = value
			}
		}
	}
	return kept
}

// readInput takes each member from the query or from the JSON body. What AWS does with one in both places, or with members it does
// not know, is not documented; here it is refused.
func readInput(query []parameter, body []byte) (in createSessionInput, refusal *Refusal) {
	members := map[string]json.RawMessage{}
	if len(body) > 0 {
		var err error
		if members, err = strictObject(body); err != nil {
			return in, invalid("malformed body: %v", err)
		}
	}
	for _, p := range query {
		if _, ok := members[p.name]; ok {
			return in, invalid("parameter %q is given twice", p.name)
		}
		members[p.name] = json.RawMessage(p.value)
		if p.name != "durationSeconds" {
			members[p.name], _ = json.Marshal(p.value)
		}
	}
	fields := map[string]any{
		"trustAnchorArn": &in.TrustAnchorARN, "profileArn": &in.ProfileARN, "roleArn": &in.RoleARN,
		"durationSeconds": &in.DurationSeconds, "roleSessionName": &in.RoleSessionName,
		"sessionName": &in.SessionName, "instanceProperties": &in.InstanceProperties,
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		field, ok := fields[name]
		if !ok {
			return in, invalid("unknown parameter %q", name)
		}
		if err := json.Unmarshal(members[name], field); err != nil {
			return in, invalid("malformed parameter %q: %v", name, err)
		}
	}
	return in, nil
}

// strictObject wants one JSON object without repeated names.
func strictObject(data []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	members := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string)
		if _, ok := members[name]; ok {
			return nil, fmt.Errorf("member %q is there twice", name)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		members[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return members, nil
}

// AWS: AssumeRole, RoleSessionName.
var sessionNamePattern = lazy(`^[A-Za-z0-9_+=,.@-]{2,64}$`)

// check is about form: "all resources must be in the same account and region", and they are this account and this region.
func (in *createSessionInput) check(world *World, region string) *Refusal {
	for _, row := range []struct{ name, arn, service, resource, region string }{
		{"trustAnchorArn", in.TrustAnchorARN, "rolesanywhere", "trust-anchor/", region},
		{"profileArn", in.ProfileARN, "rolesanywhere", "profile/", region},
		{"roleArn", in.RoleARN, "iam", "role/", ""},
	} {
		if row.arn == "" {
			return invalid("%s is required", row.name)
		}
		a, err := parseARN(row.arn, row.service, row.resource)
		if err != nil && row.service == "rolesanywhere" {
			a, err = parseARN(row.arn, row.service, aliasPrefix+row.resource)
		}
		if err != nil {
			return invalid("%s: %v", row.name, err)
		}
		if a.Region != row.region || a.Account != world.Account || a.Partition != partitionOf(region).id {
			return invalid("%s %q is not of partition %s, region %q and account %s", row.name, row.arn, partitionOf(region).id, row.region, world.Account)
		}
	}
	if d := in.DurationSeconds; d != nil && (*d < minDuration || *d > maxDuration) {
		return invalid("durationSeconds %d is not between %d and %d", *d, minDuration, maxDuration)
	}
	if n := in.RoleSessionName; n != nil && !sessionNamePattern().MatchString(*n) {
		return invalid("roleSessionName %q does not match %s", *n, sessionNamePattern())
	}
	return nil
}

// sourceIdentity fits STS's 64 characters: "CN=…", the bare name if only that fits, or the serial if there is no name.
func sourceIdentity(c *x509.Certificate) string {
	switch n := len(c.Subject.CommonName); {
	case n == 0 || n > 64:
		return "ID=" + hex.EncodeToString(c.SerialNumber.Bytes())
	case n > 61:
		return c.Subject.CommonName
	}
	return "CN=" + c.Subject.CommonName
}

// notMapped is what Roles Anywhere adds when a role can't be assumed and some names that the profile maps are no tags.
// https://github.com/aws/rolesanywhere-credential-helper/issues/77
func (p *Profile) notMapped(values map[string]string) string {
	found := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(p.mapped(values))) {
		field, attribute, _ := strings.Cut(key, "/")
		found[field] = append(found[field], attribute)
	}
	if len(found) == 0 {
		return ""
	}
	list := func(field string) string { return "[ " + strings.Join(found[field], ", ") + " ]" }
	return ". Some attributes failed to be mapped into session tags. Issuer: " + list("x509Issuer") + "; Subject: " + list("x509Subject") + "; SAN: " + list("x509SAN")
}

// sessionTags are the default attribute mappings, and the values that STS does not take as tags, which AWS drops. It names those only if
// the role can't be assumed.
func sessionTags(c *x509.Certificate) (tags, unmapped map[string]string) {
	tags, unmapped = map[string]string{}, map[string]string{}
	add := func(key string, values ...string) {
		switch value := strings.Join(values, "/"); {
		case value == "":
		case tagPattern().MatchString(value):
			tags[key] = value
		default:
			unmapped[key] = value
		}
	}
	addName := func(prefix string, n pkix.Name) {
		add(prefix+"CN", n.CommonName)
		add(prefix+"O", n.Organization...)
		add(prefix+"OU", n.OrganizationalUnit...)
		add(prefix+"C", n.Country...)
		add(prefix+"ST", n.Province...)
		add(prefix+"L", n.Locality...)
	}
	addName("x509Subject/", c.Subject)
	addName("x509Issuer/", c.Issuer)
	if len(c.DNSNames) > 0 {
		add("x509SAN/DNS", c.DNSNames[0])
	}
	if len(c.URIs) > 0 {
		add("x509SAN/URI", c.URIs[0].String())
	}
	if n := directoryName(c); n != nil {
		addName("x509SAN/Name/", *n)
	}
	return tags, unmapped
}

// directoryName is the first directoryName [4] among the alternative names, RFC 5280 §4.2.1.6.
func directoryName(c *x509.Certificate) *pkix.Name {
	for _, e := range c.Extensions {
		if e.Id.String() != "2.5.29.17" {
			continue
		}
		rest := e.Value
		var names asn1.RawValue
		if _, err := asn1.Unmarshal(rest, &names); err != nil {
			return nil
		}
		for rest = names.Bytes; len(rest) > 0; {
			var one asn1.RawValue
			var err error
			if rest, err = asn1.Unmarshal(rest, &one); err != nil {
				return nil
			}
			var rdns pkix.RDNSequence
			if one.Tag == 4 && one.Class == asn1.ClassContextSpecific {
				if _, err := asn1.Unmarshal(one.Bytes, &rdns); err != nil {
					return nil
				}
				n := new(pkix.Name)
				n.FillFromRDNSequence(&rdns)
				return n
			}
		}
	}
	return nil
}

var tagPattern = lazy(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,256}$`)

// createSession answers POST /sessions.
func (c *call) createSession() *response {
	g := new(Grant)
	var refusal *Refusal
	if c.wire.method != http.MethodPost || c.wire.path != "/sessions" {
		refusal = unknownOperation(c.wire)
	} else {
		refusal = g.decide(c.world, c.wire, c.region, c.now)
	}
	c.logGrant(g)
	if refusal != nil {
		c.s.addEvent(c.event(g, nil, refusal))
		return c.restError(refusal)
	}
	if c.ends > 0 {
		g.Duration = c.ends
	}
	s := c.s.issue(g, c.now)
	c.entry.AccessKeyID, c.entry.SessionName = s.accessKeyID, s.name
	out := createSessionOutput{SubjectARN: subjectARN(c.world, c.region, g.Certificate)}
	out.CredentialSet = []credentialSet{{
		AssumedRoleUser:  assumedRoleUser{s.arn(), s.userID()},
		Credentials:      credentials{s.accessKeyID, s.expires.UTC().Format(time.RFC3339), s.secret, s.token},
		PackedPolicySize: packedPolicySize(g.Tags),
		RoleARN:          g.Role.ARN,
		SourceIdentity:   g.SourceIdentity,
	}}
	c.s.addEvent(c.event(g, &out, nil))
	return jsonResponse(http.StatusCreated, out)
}

type createSessionOutput struct {
	CredentialSet []credentialSet `json:"credentialSet"`
	SubjectARN    string          `json:"subjectArn"`
}

type credentialSet struct {
	AssumedRoleUser  assumedRoleUser `json:"assumedRoleUser"`
	Credentials      credentials     `json:"credentials"`
	PackedPolicySize int             `json:"packedPolicySize"`
	RoleARN          string          `json:"roleArn"`
	SourceIdentity   string          `json:"sourceIdentity"`
}

type assumedRoleUser struct {
	ARN           string `json:"arn"`
	AssumedRoleID string `json:"assumedRoleId"`
}

type credentials struct {
	AccessKeyID     string `json:"accessKeyId"`
	Expiration      string `json:"expiration"`
	SecretAccessKey string `json:"secretAccessKey"`
	SessionToken    string `json:"sessionToken"`
}

// packedPolicySize is a percentage; how AWS packs is not public, so this is only of the right kind.
func packedPolicySize(tags map[string]string) int {
	size := 0
	for k, v := range tags {
		size += len(k) + len(v)
	}
	return min(100, size*100/4096+1)
}

func subjectARN(w *World, region string, c *x509.Certificate) string {
	id := sha256.Sum256(append(slices.Clone(c.RawIssuer), c.RawSubject...))
	return fmt.Sprintf("arn:%s:rolesanywhere:%s:%s:subject/%x-%x-%x-%x-%x", partitionOf(region).id, region, w.Account,
		id[:4], id[4:6], id[6:8], id[8:10], id[10:16])
}

func (c *call) logGrant(g *Grant) {
	c.entry.TrustAnchorARN, c.entry.ProfileARN, c.entry.RoleARN = g.input.TrustAnchorARN, g.input.ProfileARN, g.Role.ARN
	if g.Certificate != nil {
		c.entry.Serial = g.Certificate.SerialNumber.String()
		c.entry.CertificateSHA256 = hexSHA256(g.Certificate.Raw)
	}
}
