package sandbox

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// session is a set of credentials that CreateSession gave out. It lives in memory only.
type session struct {
	accessKeyID, secret, token string
	expires                    time.Time
	role                       Role
	name                       string
	policy                     string // session policy, or ""
}

func (s *session) account() string   { return strings.Split(s.role.ARN, ":")[4] }
func (s *session) partition() string { return strings.Split(s.role.ARN, ":")[1] }

// arn is that of the assumed role, which never carries the role's path.
func (s *session) arn() string {
	if s.isAdministrator() {
		return s.role.ARN
	}
	return "arn:" + s.partition() + ":sts::" + s.account() + ":assumed-role/" + path.Base(s.role.ARN) + "/" + s.name
}

func (s *session) userID() string {
	if s.isAdministrator() {
		return s.role.RoleID
	}
	return s.role.RoleID + ":" + s.name
}

func (s *Sandbox) issue(g *Grant, now time.Time) *session {
	// As AWS's clients print and read expiries, in whole seconds.
	expires := now.Add(g.Duration).Truncate(time.Second)
	new := &session{
		accessKeyID: "ASIA" + base32.StdEncoding.EncodeToString(random(10)),
		secret:      base64.StdEncoding.EncodeToString(random(30)),
		token:       base64.StdEncoding.EncodeToString(random(g.tokenLength))[:g.tokenLength],
		expires:     expires,
		role:        g.Role,
		name:        g.SessionName,
		policy:      g.sessionPolicy,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropSessions(now)
	s.sessions[new.accessKeyID] = new
	return new
}

// Secrets are the secret access keys and session tokens of the sessions that are
// known, for a test that looks for them where they must not be.
func (s *Sandbox) Secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, one := range s.sessions {
		all = append(all, one.secret)
		if one.token != "" {
			all = append(all, one.token)
		}
	}
	return all
}

// may says whether the session may do it: by its role's policies as they are now, and by its own.
func (s *session) may(world *World, action, resource string) bool {
	role := world.role(s.role.ARN)
	if s.isAdministrator() {
		return true
	}
	if role == nil {
		return false
	}
	r := policyRequest{action: action, resource: resource}
	allows := func(text []byte) bool {
		p, err := parsePolicy(text, false)
		return err == nil && p.allows(r)
	}
	if s.policy != "" && !allows([]byte(s.policy)) {
		return false
	}
	if role.Policies == nil {
		return !slices.Contains(role.DeniedActions, action)
	}
	for _, text := range role.Policies {
		if allows(text) {
			return true
		}
	}
	return false
}

func (s *Sandbox) session(accessKeyID string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[accessKeyID]
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: crypto/rand
	return b
}

// verifyHMAC checks AWS4-HMAC-SHA256, by Authorization header or presigned, made with a session of this sandbox. An empty region
// means any; what was signed for is in the authorization returned. Its codes are those of STS.
func (c *call) verifyHMAC(w *wireRequest, service, region string) (*session, *authorization, *Refusal) {
	signed, refusal := readSigned(w)
	if refusal != nil {
		return nil, nil, refusal
	}
	a := signed.authorization
	c.entry.AccessKeyID = a.keyID
	mismatch := func(reason string, args ...any) *Refusal {
		return refuse(http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. "+
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.", reason, args...)
	}
	s := c.s.session(a.keyID)
	if s == nil || !hmac.Equal([]byte(s.token), []byte(signed.token)) {
		return nil, nil, refuse(http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid.",
			"no session with access key id %q and this session token", a.keyID)
	}
	if !c.now.Before(s.expires) {
		return nil, nil, refuse(http.StatusForbidden, "ExpiredToken", "The security token included in the request is expired",
			"the session ended at %s", s.expires.UTC().Format(time.RFC3339))
	}
	if a.algorithm != "AWS4-HMAC-SHA256" {
		return nil, nil, mismatch("unsupported algorithm %q", a.algorithm)
	}
	if p := partitionOf(a.region); p == nil || p.id != s.partition() || a.service != service || region != "" && a.region != region || !strings.HasPrefix(signed.amzDate, a.date+"T") {
		r := mismatch("scope %q does not fit service %s, region %q and X-Amz-Date %q", a.scope(), service, region, signed.amzDate)
		r.Message = "Credential should be scoped to a valid region, service and date."
		return nil, nil, r
	}
	if refusal := signed.checkAge(c.now); refusal != nil {
		return nil, nil, refusal
	}
	if err := a.checkSignedHeaders(w, signed.required...); err != nil {
		return nil, nil, mismatch("%v", err)
	}
	hash := hexSHA256(w.body)
	if h := w.header.Get("X-Amz-Content-Sha256"); h != "" && h != hash {
		return nil, nil, mismatch("X-Amz-Content-Sha256 is not the hash of the body")
	}
	message, err := a.stringToSign(w, signed.amzDate, signed.query, hash)
	if err != nil {
		return nil, nil, mismatch("%v", err)
	}
	if !hmac.Equal([]byte(a.sign(s.secret, message)), []byte(a.signature)) {
		return nil, nil, mismatch("another signature was expected for this request and session")
	}
	return s, a, nil
}

// signed is what either form of signing says.
type signed struct {
	*authorization
	amzDate, token string
	query          []parameter // as signed
	required       []string    // headers that must be signed
	presigned      bool
}

func readSigned(w *wireRequest) (*signed, *Refusal) {
	incomplete := func(reason string, args ...any) *Refusal {
		return refuse(http.StatusBadRequest, "IncompleteSignature", "The request signature does not conform to AWS standards.", reason, args...)
	}
	query, err := parseQuery(w.query)
	if err != nil {
		return nil, incomplete("%v", err)
	}
	presigned := find(query, func(p parameter) bool { return strings.HasPrefix(p.name, "X-Amz-") }) != nil
	switch count := len(w.header.Values("Authorization")); {
	case count == 0 && !presigned:
		return nil, refuse(http.StatusForbidden, "MissingAuthenticationToken", "Request is missing Authentication Token", "neither Authorization nor X-Amz-Signature")
	case count > 0 && presigned:
		return nil, incomplete("signed both in Authorization and in the query")
	case presigned:
		s, err := readPresigned(query)
		if err != nil {
			return nil, incomplete("%v", err)
		}
		return s, nil
	}
	header, err := w.one("Authorization")
	if err != nil {
		return nil, incomplete("%v", err)
	}
	s := &signed{query: query, required: []string{"host", "x-amz-date"}, token: w.header.Get("X-Amz-Security-Token")}
	if s.authorization, err = parseAuthorization(header); err != nil {
		return nil, incomplete("%v", err)
	}
	if s.amzDate, err = w.one("X-Amz-Date"); err != nil {
		return nil, incomplete("%v", err)
	}
	return s, nil
}

var digits = lazy(`^[0-9]{1,6}$`)

// readPresigned puts the query's parts together as an Authorization header and has that parsed.
func readPresigned(query []parameter) (*signed, error) {
	s := &signed{required: []string{"host"}, presigned: true}
	values := map[string]string{}
	for _, p := range query {
		if _, ok := values[p.name]; ok {
			return nil, fmt.Errorf("parameter %q is given twice", p.name)
		}
		values[p.name] = p.value
		if p.name != "X-Amz-Signature" {
			s.query = append(s.query, p)
		}
	}
	if !digits().MatchString(values["X-Amz-Expires"]) {
		return nil, fmt.Errorf("malformed X-Amz-Expires %q", values["X-Amz-Expires"])
	}
	var err error
	s.authorization, err = parseAuthorization(values["X-Amz-Algorithm"] + " Credential=" + values["X-Amz-Credential"] +
		", SignedHeaders=" + values["X-Amz-SignedHeaders"] + ", Signature=" + values["X-Amz-Signature"])
	if err != nil {
		return nil, fmt.Errorf("malformed X-Amz-Algorithm, -Credential, -SignedHeaders or -Signature")
	}
	s.amzDate, s.token = values["X-Amz-Date"], values["X-Amz-Security-Token"]
	return s, nil
}

func (s *signed) checkAge(now time.Time) *Refusal {
	code, maxAge := "SignatureDoesNotMatch", maxSkew
	if s.presigned {
		code, maxAge = "RequestExpired", maxPresignedAge
	}
	date, err := parseAMZDate(s.amzDate)
	if err != nil {
		return refuse(http.StatusBadRequest, "IncompleteSignature", "Date must be in ISO-8601 'basic format'.", "%v", err)
	}
	if problem := ageProblem(date, now, maxAge); problem != "" {
		return refuse(http.StatusForbidden, code, problem, "%s", problem)
	}
	return nil
}
