package audit

import (
	"cmp"
	"crypto/sha256"
	"strings"
	"time"

	"github.com/valyala/fastjson"
)

const (
	// defaultDuration is that of AssumeRole.
	defaultDuration = time.Hour
	// maxDuration is that of any role's session.
	maxDuration = 12 * time.Hour
	// rolesAnywhere begins the service's name, which ends as the partition's do.
	rolesAnywhere = "rolesanywhere."
	// maxOthers is how many sessions without a certificate are held. There are
	// very many in a trail, and few of them are used with a cluster.
	maxOthers = 100_000
)

// trailReader is a visitor.
type trailReader struct {
	to           *trail
	events       int64
	certificates map[[sha256.Size]byte]Certificate // parsed once
}

func (r *trailReader) flush() error {
	r.to.mu.Lock()
	defer r.to.mu.Unlock()
	r.to.events += r.events
	return nil
}

func (r *trailReader) event(v *fastjson.Value, _ string) (bool, error) {
	event := view(v, "eventName")
	if event == "" || !v.Exists("eventTime") && !v.Exists("eventSource") {
		return false, nil
	}
	r.events++
	var err error
	switch {
	case createsSession(v, event):
		err = r.createSession(v)
	case strings.HasPrefix(view(v, "eventSource"), "sts."):
		err = r.assumeRole(v, event)
	}
	return true, cmp.Or(err, r.to.held.err())
}

// base is what all events have.
func base(v *fastjson.Value) Session {
	return Session{EventID: text(v, "eventID"), From: date(v.Get("eventTime")), Region: text(v, "awsRegion"), SourceIP: text(v, "sourceIPAddress"), UserAgent: text(v, "userAgent")}
}

func (r *trailReader) createSession(v *fastjson.Value) error {
	params, made := v.Get("requestParameters"), v.GetArray("responseElements", "credentialSet")
	b := base(v)
	b.RoleARN, b.ProfileARN, b.TrustAnchorARN = text(params, "roleArn"), text(params, "profileArn"), text(params, "trustAnchorArn")
	b.Certificate = r.certificate(view(params, "cert"))
	if view(v, "errorCode") != "" || view(v, "errorMessage") != "" {
		return r.to.refuse(&b)
	}
	if !r.to.first(b.EventID) {
		return nil
	}
	if len(made) == 0 { // the answer is hidden, and no error says that it was a refusal
		made = []*fastjson.Value{nil}
	}
	for _, set := range made {
		s := b
		credentials(&s, set.Get("credentials"), params)
		s.AssumedRoleARN = text(set, "assumedRoleUser", "arn")
		s.SourceIdentity = text(set, "sourceIdentity")
		s.RoleARN = cmp.Or(text(set, "roleArn"), s.RoleARN, roleOf(s.AssumedRoleARN))
		s.Name = cmp.Or(nameOf(s.AssumedRoleARN), nameOf(text(set, "assumedRoleUser", "assumedRoleId")), text(params, "roleSessionName"))
		if s.Certificate == (Certificate{}) {
			s.Certificate = fromIdentity(s.SourceIdentity)
			if asked := params.Exists("roleSessionName"); s.Certificate.Serial == "" && !asked {
				s.Certificate.Serial = likeSerial(s.Name)
			}
		}
		// Roles Anywhere names a session by the serial number.
		s.Name = cmp.Or(s.Name, s.Certificate.Serial)
		s.AssumedRoleARN = cmp.Or(s.AssumedRoleARN, assumedRoleOf(s.RoleARN, s.Name))
		if err := r.to.add(&s, 0); err != nil {
			return err
		}
	}
	return nil
}

// assumeRole keeps what may be a session of a certificate: it was called with
// temporary credentials, or by Roles Anywhere itself. Of others it keeps how they
// began: a user of the cluster that has one of these has no certificate.
func (r *trailReader) assumeRole(v *fastjson.Value, event string) error {
	params, made, who := v.Get("requestParameters"), v.Get("responseElements"), v.Get("userIdentity")
	s := base(v)
	credentials(&s, made.Get("credentials"), params)
	if s.AccessKeyID == "" {
		return nil
	}
	s.AssumedRoleARN = text(made, "assumedRoleUser", "arn")
	s.RoleARN = cmp.Or(text(params, "roleArn"), roleOf(s.AssumedRoleARN))
	s.Name = cmp.Or(nameOf(s.AssumedRoleARN), text(params, "roleSessionName"))
	s.SourceIdentity = cmp.Or(text(made, "sourceIdentity"), text(params, "sourceIdentity"))
	if parent := accessKey(text(who, "accessKeyId")); strings.HasPrefix(parent, "ASIA") {
		if s.Parent = parent; r.to.first(s.EventID) {
			return r.to.add(&s, rowAssumed)
		}
		return nil
	}
	if event != "AssumeRole" || !strings.HasPrefix(view(who, "invokedBy"), rolesAnywhere) || serviceLinked(v, &s) {
		return r.to.other(&s, beginning(who, event))
	}
	if !r.to.first(s.EventID) {
		return nil
	}
	s.SourceIP, s.UserAgent = "", "" // the service's
	s.Certificate = fromIdentity(s.SourceIdentity)
	if s.Certificate.Serial == "" {
		s.Certificate.Serial = likeSerial(s.Name)
	}
	return r.to.add(&s, 0)
}

// credentials takes no more of them than the access key and when it ends. How
// long a session of Roles Anywhere lives is the profile's to say: its end is not
// known if the answer does not tell.
func credentials(s *Session, c, params *fastjson.Value) {
	s.AccessKeyID = accessKey(text(c, "accessKeyId"))
	if s.To = date(c.Get("expiration")); !s.To.IsZero() || s.From.IsZero() {
		return
	}
	if d := params.GetInt64("durationSeconds"); d > 0 && d <= 12*60*60 {
		s.To = s.From.Add(time.Duration(d) * time.Second)
	} else if s.ProfileARN == "" {
		s.To = s.From.Add(defaultDuration)
	}
}

func (r *trailReader) certificate(s string) Certificate {
	const longest = 64 << 10
	if s == "" || len(s) > longest {
		return Certificate{}
	}
	key := sha256.Sum256([]byte(s))
	c, known := r.certificates[key]
	if !known {
		if len(r.certificates) == maxCertificates {
			clear(r.certificates)
		}
		c, _ = parseCertificate(s)
		c.Subject, c.Issuer = cut(c.Subject), cut(c.Issuer)
		r.certificates[key] = c
	}
	return c
}

// roleOf turns the ARN of an assumed role into that of the role, without its path.
func roleOf(arn string) string {
	prefix, rest, ok := strings.Cut(arn, ":assumed-role/")
	if !ok {
		return ""
	}
	role, _, _ := strings.Cut(rest, "/")
	return strings.Replace(prefix, ":sts:", ":iam:", 1) + ":role/" + role
}

// assumedRoleOf is the ARN of a role's session, which is without the role's path.
func assumedRoleOf(role, name string) string {
	prefix, path, ok := strings.Cut(role, ":role/")
	if !ok || name == "" {
		return ""
	}
	return strings.Replace(prefix, ":iam:", ":sts:", 1) + ":assumed-role/" + nameOf(path) + "/" + name
}

// nameOf is the session name at the end of an assumed role's ARN or ID.
func nameOf(arn string) string { return arn[strings.LastIndexAny(arn, "/:")+1:] }
