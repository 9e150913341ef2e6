package audit

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
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

// refusal is a CreateSession that AWS refused.
type refusal struct {
	certificate Certificate
	role        string
	at          time.Time
}

// trail is what CloudTrail tells. Its readers share it.
type trail struct {
	mu       sync.Mutex
	sessions byKey // where the access key is missing, by the event
	// assumed are of AssumeRole by temporary credentials. Whether they are ours
	// is known at the end only: the parent's event may come later.
	assumed  byKey
	refusals []refusal
	seen     map[string]struct{} // event IDs: CloudTrail delivers at least once

	held               held
	others             int // sessions that are no certificate's
	events, duplicates int64
}

func newTrail() *trail {
	return &trail{sessions: byKey{}, assumed: byKey{}, seen: map[string]struct{}{}}
}

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
	switch {
	case createsSession(v, event):
		r.createSession(v)
	case strings.HasPrefix(view(v, "eventSource"), "sts."):
		r.assumeRole(v, event)
	}
	return true, r.to.held.err()
}

// base is what all events have.
func base(v *fastjson.Value) Session {
	return Session{EventID: text(v, "eventID"), From: date(v.Get("eventTime")), Region: text(v, "awsRegion"), SourceIP: text(v, "sourceIPAddress"), UserAgent: text(v, "userAgent")}
}

func (r *trailReader) createSession(v *fastjson.Value) {
	params, made := v.Get("requestParameters"), v.GetArray("responseElements", "credentialSet")
	b := base(v)
	b.RoleARN, b.ProfileARN, b.TrustAnchorARN = text(params, "roleArn"), text(params, "profileArn"), text(params, "trustAnchorArn")
	b.Certificate = r.certificate(view(params, "cert"))
	if view(v, "errorCode") != "" || view(v, "errorMessage") != "" {
		r.to.refuse(b)
		return
	}
	if !r.to.first(b.EventID) {
		return
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
		r.to.add(&s)
	}
}

// assumeRole keeps what may be a session of a certificate: it was called with
// temporary credentials, or by Roles Anywhere itself. Of others it keeps how they
// began: a user of the cluster that has one of these has no certificate.
func (r *trailReader) assumeRole(v *fastjson.Value, event string) {
	params, made, who := v.Get("requestParameters"), v.Get("responseElements"), v.Get("userIdentity")
	s := base(v)
	credentials(&s, made.Get("credentials"), params)
	if s.AccessKeyID == "" {
		return
	}
	s.AssumedRoleARN = text(made, "assumedRoleUser", "arn")
	s.RoleARN = cmp.Or(text(params, "roleArn"), roleOf(s.AssumedRoleARN))
	s.Name = cmp.Or(nameOf(s.AssumedRoleARN), text(params, "roleSessionName"))
	s.SourceIdentity = cmp.Or(text(made, "sourceIdentity"), text(params, "sourceIdentity"))
	if parent := accessKey(text(who, "accessKeyId")); strings.HasPrefix(parent, "ASIA") {
		if s.Parent = parent; r.to.first(s.EventID) {
			r.to.assume(&s)
		}
		return
	}
	if event != "AssumeRole" || !strings.HasPrefix(view(who, "invokedBy"), rolesAnywhere) || serviceLinked(v, &s) {
		r.to.other(&s, beginning(who, event))
		return
	}
	if !r.to.first(s.EventID) {
		return
	}
	s.SourceIP, s.UserAgent = "", "" // the service's
	s.Certificate = fromIdentity(s.SourceIdentity)
	if s.Certificate.Serial == "" {
		s.Certificate.Serial = likeSerial(s.Name)
	}
	r.to.add(&s)
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

// first says that an event is new. It must be asked once.
func (t *trail) first(eventID string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if eventID == "" {
		return true
	}
	_, again := t.seen[eventID]
	if again {
		t.duplicates++
		return false
	}
	t.held.take(seenCost + len(eventID))
	t.seen[eventID] = struct{}{}
	return true
}

func (t *trail) refuse(b Session) {
	if t.first(b.EventID) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.held.take(b.cost() - sessionCost/2)
		t.refusals = append(t.refusals, refusal{b.Certificate, b.RoleARN, b.From})
	}
}

func (t *trail) add(s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := s.AccessKeyID
	if key == "" {
		key = "event " + s.EventID + " " + s.AssumedRoleARN + " " + s.From.String()
	}
	t.held.take(s.cost())
	t.sessions.add(key, s)
}

// other takes a session that is no certificate's, and no more of it than is told
// of one. Beyond maxOthers their actions are "not in CloudTrail".
func (t *trail) other(s *Session, began string) {
	if began == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.others++; t.others <= maxOthers {
		t.held.take(s.cost())
		t.sessions.add(s.AccessKeyID, &Session{AccessKeyID: s.AccessKeyID, AssumedRoleARN: s.AssumedRoleARN, RoleARN: s.RoleARN, Name: s.Name, From: s.From, To: s.To, Began: began})
	}
}

func (t *trail) assume(s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held.take(s.cost())
	t.assumed.add(s.AccessKeyID, s)
}

// byKey has the sessions of each access key. There is one of most: the IDs of
// temporary access keys are "unique only in combination with the secret access key
// and the session token".
//
//	https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
type byKey map[string][]*Session

func (k byKey) add(key string, s *Session) {
	if n := k.same(key, s); n >= 0 {
		k[key][n] = better(s, k[key][n])
		return
	}
	k[key] = append(k[key], s)
}

// same is the one that another event told of.
func (k byKey) same(key string, s *Session) int {
	// No access key has so many; without the bound each would be compared with all.
	first := max(0, len(k[key])-maxCompared)
	n := slices.IndexFunc(k[key][first:], func(other *Session) bool { return other.From.Sub(s.From).Abs() <= skew })
	if n < 0 {
		return -1
	}
	return first + n
}

// latest is whose access key it was: of the sessions by From, the latest that had
// begun, as far as clocks agree.
func latest[S any](list []S, from func(S) time.Time, t time.Time) (s S) {
	for n := len(list) - 1; n > 0; n-- {
		if !from(list[n]).After(t.Add(skew)) {
			return list[n]
		}
	}
	if len(list) > 0 {
		s = list[0]
	}
	return s
}

// better is the same of two whichever comes first. Of CreateSession and an
// AssumeRole by Roles Anywhere for it the first knows more.
func better(a, b *Session) *Session {
	own := func(s *Session) int { return min(1, len(s.ProfileARN)) }
	if cmp.Or(cmp.Compare(own(b), own(a)), a.From.Compare(b.From), cmp.Compare(a.EventID, b.EventID)) < 0 {
		return a
	}
	return b
}

// finish gives the sessions, chained ones too, by From.
func (t *trail) finish() []*Session {
	t.twins()
	var sessions []*Session
	for _, list := range t.sessions {
		sessions = append(sessions, sorted(list)...)
	}
	for _, list := range t.assumed {
		sorted(list)
	}
	known := map[*Session]*Session{}
	for key, list := range t.assumed {
		for _, child := range list {
			origin := t.origin(child, known)
			if origin == nil || t.sessions.same(key, child) >= 0 {
				continue
			}
			child.Certificate, child.Began = origin.Certificate, origin.Began
			child.TrustAnchorARN, child.ProfileARN = origin.TrustAnchorARN, origin.ProfileARN
			child.SourceIdentity = cmp.Or(child.SourceIdentity, origin.SourceIdentity)
			sessions = append(sessions, child)
		}
	}
	bySerial(sessions, t.refusals)
	return sorted(sessions)
}

// origin is the session of CreateSession at the root of a chain. The origins that
// are known by then spare long chains, and end those that are circles.
func (t *trail) origin(child *Session, known map[*Session]*Session) (found *Session) {
	from := func(s *Session) time.Time { return s.From }
	var path []*Session
	for s := child; s != nil && found == nil; s = latest(t.assumed[s.Parent], from, s.From) {
		var visited bool
		if found, visited = known[s]; visited {
			break
		}
		known[s] = nil
		path = append(path, s)
		found = latest(t.sessions[s.Parent], from, s.From)
	}
	for _, s := range path {
		known[s] = found
	}
	return found
}

// bySerial completes what is known of a certificate from another event that has
// it whole.
func bySerial(sessions []*Session, refusals []refusal) {
	whole := map[string]Certificate{}
	each := func(do func(*Certificate)) {
		for _, s := range sessions {
			do(&s.Certificate)
		}
		for i := range refusals {
			do(&refusals[i].certificate)
		}
	}
	each(func(c *Certificate) {
		if c.Issuer == "" {
			return
		}
		if known, ok := whole[c.Serial]; ok && known != *c {
			whole[c.Serial] = Certificate{} // two issuers
			return
		}
		whole[c.Serial] = *c
	})
	each(func(c *Certificate) {
		if known := whole[c.Serial]; c.Issuer == "" && c.Serial != "" && known.Issuer != "" {
			*c = known
		}
	})
}

// sorted are sessions by From, and then by what makes the order one.
func sorted(sessions []*Session) []*Session {
	slices.SortFunc(sessions, func(a, b *Session) int {
		return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.AccessKeyID, b.AccessKeyID), cmp.Compare(a.EventID, b.EventID), cmp.Compare(a.AssumedRoleARN, b.AssumedRoleARN))
	})
	return sessions
}
