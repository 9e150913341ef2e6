package audit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A session's event is known by what it is, not by its name and caller.
func TestCreateSessionForms(t *testing.T) {
	t.Parallel()
	_, leaf := pair(t, "alice")
	number := serial(leaf.Certificate.SerialNumber)
	arn := "arn:aws:sts::123456789012:assumed-role/Dev/" + number
	base := func(change func(m)) m {
		return created("ASIA1", number, "alice", at(0), func(e m) {
			e["requestParameters"].(m)["cert"] = encodeCertificate(leaf)
			if change != nil {
				change(e)
			}
		})
	}
	set := func(e m) m { return e["responseElements"].(m)["credentialSet"].([]any)[0].(m) }
	service := m{"type": "AWSService", "invokedBy": "rolesanywhere.amazonaws.com"}
	for name, c := range map[string]struct {
		change func(m)
		joined Joined
	}{
		"as the sandbox had it":        {nil, ByAccessKey},
		"by the service":               {func(e m) { e["userIdentity"] = service }, ByAccessKey},
		"by nobody":                    {func(e m) { delete(e, "userIdentity") }, ByAccessKey},
		"AssumeRole":                   {func(e m) { e["userIdentity"], e["eventName"] = service, "AssumeRole" }, ByAccessKey},
		"AssumeRole of STS":            {func(e m) { e["eventSource"], e["eventName"] = "sts.amazonaws.com", "AssumeRole" }, ByAccessKey},
		"no error":                     {func(e m) { e["errorCode"], e["errorMessage"] = nil, "" }, ByAccessKey},
		"hidden key":                   {func(e m) { set(e)["credentials"] = m{"accessKeyId": "HIDDEN_DUE_TO_SECURITY_REASONS"} }, ByARN},
		"stars":                        {func(e m) { set(e)["credentials"].(m)["accessKeyId"] = "ASIA****************" }, ByARN},
		"a mask":                       {func(e m) { set(e)["credentials"].(m)["accessKeyId"] = "ASIAXXXXXXXXXXXXXXXX" }, ByARN},
		"no credentials":               {func(e m) { delete(set(e), "credentials") }, ByARN},
		"no key, no ARN":               {func(e m) { delete(set(e), "credentials"); delete(set(e), "assumedRoleUser") }, ByARN},
		"no answer":                    {func(e m) { e["responseElements"] = nil }, ByARN},
		"no answer, by the service":    {func(e m) { e["responseElements"], e["userIdentity"], e["eventName"] = nil, service, "AssumeRole" }, ByARN},
		"no answer, a name asked for":  {func(e m) { e["responseElements"] = nil; e["requestParameters"].(m)["roleSessionName"] = "chosen" }, ByARN},
		"an empty list of credentials": {func(e m) { e["responseElements"] = m{"credentialSet": []any{}} }, ByARN},
	} {
		did := did("1", "ASIA1", strings.ReplaceAll(arn, number, map[bool]string{true: "chosen", false: number}[strings.Contains(name, "asked")]), "", at(20), nil)
		r := audit(t, log(lines(t, base(c.change))), log(lines(t, did)), Options{})
		if len(sessionsOf(t, r)) != 1 || sessionsOf(t, r)[0].Certificate.Subject != "CN=alice" || sessionsOf(t, r)[0].Actions != 1 || len(subjectsOf(t, r)) != 1 || subjectsOf(t, r)[0].Refused != 0 {
			t.Errorf("%s: %s", name, told(t, r))
			continue
		}
		for a := range r.ByTime() {
			if a.JoinedBy != c.joined {
				t.Errorf("%s: joined by %s, want %s", name, a.JoinedBy, c.joined)
			}
		}
	}
	refused := base(func(e m) { e["responseElements"], e["errorCode"] = nil, "AccessDeniedException" })
	if r := audit(t, log(lines(t, refused)), nil, Options{}); len(sessionsOf(t, r)) != 0 || subjectsOf(t, r)[0].Refused != 1 {
		t.Errorf("refused: %s", told(t, r))
	}
	for name, change := range map[string]func(m){
		"s3express": func(e m) { e["eventSource"] = "s3express.amazonaws.com" }, "glue": func(e m) { e["eventSource"], e["errorCode"] = "glue.amazonaws.com", "AccessDenied" },
		"bedrock": func(e m) { e["eventSource"], e["responseElements"] = "bedrock.amazonaws.com", nil }, "another call": func(e m) { e["eventName"] = "CreateProfile" },
	} {
		r := audit(t, log(lines(t, base(change))), nil, Options{})
		if len(sessionsOf(t, r))+len(subjectsOf(t, r))+len(r.Damage) != 0 || r.Counts.CloudTrailEvents != 1 {
			t.Errorf("%s: %s", name, told(t, r))
		}
	}
}

// The AssumeRole that Roles Anywhere makes for a CreateSession is no second session,
// and tells its access key.
func TestTwins(t *testing.T) {
	t.Parallel()
	hidden := func(id string, minute int) m {
		return created("ASIA1", "0a01", "alice", at(minute), func(e m) {
			e["responseElements"].(m)["credentialSet"].([]any)[0].(m)["credentials"], e["eventID"] = m{"accessKeyId": "***"}, id
		})
	}
	byService := func(key string, minute int) m {
		return m{"eventName": "AssumeRole", "eventSource": "sts.amazonaws.com", "eventTime": at(minute).Format("2006-01-02T15:04:05Z"), "eventID": "e" + key, "userIdentity": m{"type": "AWSService", "invokedBy": "rolesanywhere.amazonaws.com"},
			"requestParameters": m{"roleArn": "arn:aws:iam::123456789012:role/team/Dev", "roleSessionName": "0a01"},
			"responseElements":  m{"credentials": m{"accessKeyId": key}, "assumedRoleUser": m{"arn": devARN + "0a01"}}}
	}
	trail := lines(t, hidden("1", 0), byService("ASIA8", 0), byService("ASIA9", 30), hidden("2", 30), hidden("3", 50), assumed("ASIAC", "ASIA9", "ops", at(31)))
	r := audit(t, log(trail), log(lines(t, did("a", "ASIA8", "", "", at(1), nil), did("b", "ASIA9", "", "", at(31), nil), did("c", "ASIAC", "", "", at(32), nil))), Options{})
	var got []string
	for _, s := range sessionsOf(t, r) {
		got = append(got, fmt.Sprint(s.EventID, " ", s.AccessKeyID, " ", s.Actions, " ", s.ProfileARN != "", " ", s.Certificate.Subject))
	}
	equal(t, "sessions", got, []string{"1 ASIA8 1 true CN=alice", "2 ASIA9 1 true CN=alice", "e-ASIAC ASIAC 1 true CN=alice", "3  0 true CN=alice"})
}

// How Roles Anywhere writes a serial number with zeros before it is not known.
func TestZerosBeforeASerialNumber(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"c8a1", "00c8a1", "0c8a1"} {
		trail := created("ASIA1", "x", "alice", at(0), func(e m) {
			e["responseElements"] = nil
			e["requestParameters"].(m)["roleSessionName"] = "c8a1"
		})
		r := audit(t, log(lines(t, trail)), log(lines(t, did("1", "ASIA1", devARN+name, name, at(1), nil))), Options{})
		if len(sessionsOf(t, r)) != 1 || sessionsOf(t, r)[0].Actions != 1 || sessionsOf(t, r)[0].Unknown {
			t.Errorf("%s: %s", name, told(t, r))
		}
	}
}

// A session that CloudTrail tells the beginning of, and that is no certificate's.
func TestNoCertificate(t *testing.T) {
	t.Parallel()
	sts := func(key, event, role, name string, who m, change func(m)) m {
		e := m{"eventName": event, "eventSource": "sts.amazonaws.com", "eventTime": at(0).Format("2006-01-02T15:04:05Z"), "eventID": "e-" + key, "userIdentity": who,
			"requestParameters": m{"roleArn": role, "roleSessionName": name},
			"responseElements":  m{"credentials": m{"accessKeyId": key}, "assumedRoleUser": m{"arn": assumedRoleOf(role, name)}}}
		if change != nil {
			change(e)
		}
		return e
	}
	by := func(service string) m { return m{"type": "AWSService", "invokedBy": service} }
	const role, own = "arn:aws:iam::123456789012:role/Node", "arn:aws:iam::123456789012:role/aws-service-role/rolesanywhere.amazonaws.com/AWSServiceRoleForRolesAnywhere"
	for name, c := range map[string]struct {
		events []m
		began  string
	}{
		"EC2":                      {[]m{sts("ASIA1", "AssumeRole", role, "i-1", by("ec2.amazonaws.com"), nil)}, "ec2.amazonaws.com"},
		"pod identity":             {[]m{sts("ASIA1", "AssumeRole", role, "eks-x", by("pods.eks.amazonaws.com"), nil)}, "pods.eks.amazonaws.com"},
		"SAML":                     {[]m{sts("ASIA1", "AssumeRoleWithSAML", role, "a@b", m{"type": "SAMLUser"}, nil)}, "AssumeRoleWithSAML"},
		"web identity":             {[]m{sts("ASIA1", "AssumeRoleWithWebIdentity", role, "x", m{"type": "WebIdentityUser"}, nil)}, "AssumeRoleWithWebIdentity"},
		"an IAM user":              {[]m{sts("ASIA1", "AssumeRole", role, "x", m{"type": "IAMUser", "accessKeyId": "AKIA1"}, nil)}, "IAMUser"},
		"GetSessionToken":          {[]m{sts("ASIA1", "GetSessionToken", "", "", m{"type": "IAMUser", "accessKeyId": "AKIA1"}, nil)}, "GetSessionToken"},
		"chained":                  {[]m{sts("ASIA1", "AssumeRole", role, "x", m{"type": "AssumedRole", "accessKeyId": "ASIA0"}, nil), sts("ASIA0", "AssumeRoleWithSAML", role, "a@b", m{}, nil)}, "AssumeRoleWithSAML"},
		"a role of AWS":            {[]m{sts("ASIA1", "AssumeRole", own, "RolesAnywhereInternalSession", by("rolesanywhere.amazonaws.com"), nil)}, "rolesanywhere.amazonaws.com"},
		"a role of AWS, resources": {[]m{sts("ASIA1", "AssumeRole", role, "x", by("rolesanywhere.amazonaws.com"), func(e m) { e["resources"], e["requestParameters"] = []any{m{"ARN": own}}, nil })}, "rolesanywhere.amazonaws.com"},
		"a role of AWS, its name": {[]m{sts("ASIA1", "AssumeRole", "", "x", by("rolesanywhere.amazonaws.com"), func(e m) {
			e["requestParameters"], e["responseElements"].(m)["assumedRoleUser"] = nil, m{"arn": assumedRoleOf(own, "x")}
		})}, "rolesanywhere.amazonaws.com"},
		"another account":       {[]m{sts("ASIA1", "AssumeRole", role, "x", m{"type": "AWSAccount"}, nil)}, ""},
		"chained, of nobody":    {[]m{sts("ASIA1", "AssumeRole", role, "x", m{"type": "AssumedRole", "accessKeyId": "ASIA0"}, nil)}, ""},
		"another session's key": {[]m{sts("ASIA2", "AssumeRole", role, "x", by("ec2.amazonaws.com"), nil)}, ""},
	} {
		r := audit(t, log(lines(t, c.events...)), log(lines(t, did("1", "ASIA1", "", "x", at(1), nil))), Options{})
		if len(sessionsOf(t, r)) != 1 || sessionsOf(t, r)[0].Began != c.began || sessionsOf(t, r)[0].Unknown != (c.began == "") || sessionsOf(t, r)[0].Certificate != (Certificate{}) {
			t.Errorf("%s: %s", name, told(t, r))
		}
		// Without an action none is told of.
		if r := audit(t, log(lines(t, c.events...)), nil, Options{}); len(sessionsOf(t, r))+len(subjectsOf(t, r)) != 0 {
			t.Errorf("%s: without an action: %s", name, told(t, r))
		}
	}
	// What CloudTrail tells of a role that a certificate got is no other's.
	trail := sts("ASIA1", "AssumeRole", role, "0a01", by("rolesanywhere.amazonaws.com"), func(e m) { e["requestParameters"].(m)["sourceIdentity"] = "CN=alice" })
	if r := audit(t, log(lines(t, trail)), nil, Options{}); len(sessionsOf(t, r)) != 1 || sessionsOf(t, r)[0].Certificate != (Certificate{Subject: "CN=alice", Serial: "0a01"}) {
		t.Errorf("a certificate's: %s", told(t, r))
	}
}

// A summary has all that was done; nodes and EKS components are one number each.
func TestFold(t *testing.T) {
	t.Parallel()
	node := func(id, key, user string) m {
		return did(id, key, "arn:aws:sts::1:assumed-role/Node/i-"+key, "", at(3), func(e m) { e["user"].(m)["username"] = user })
	}
	trail := lines(t, created("ASIA1", "0a01", "alice", at(0), nil), m{"eventName": "AssumeRole", "eventSource": "sts.amazonaws.com", "eventTime": at(0).Format("2006-01-02T15:04:05Z"),
		"userIdentity": m{"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}, "responseElements": m{"credentials": m{"accessKeyId": "ASIA2"}}})
	cluster := lines(t, did("a", "ASIA1", "", "", at(1), nil), node("n1", "ASIA2", "system:node:a"), node("n2", "ASIA2", "system:node:a"), node("n3", "ASIA3", "system:node:b"),
		node("e1", "ASIA4", "eks:addon-manager"), node("u1", "ASIA5", "bob"), node("u2", "ASIA6", "system:node:c"), node("u3", "ASIA6", "mallory"),
		did("k", "ASIA1", "", "", at(2), func(e m) { e["user"].(m)["username"] = "system:node:x" }))
	r := audit(t, log(trail), log(cluster), Options{Fold: true})
	equal(t, "folded", r.Folded, Folded{NoCertificate: Fold{1, 2, 0}, Unknown: Fold{2, 2, 0}})
	if got := sortedIDs(t, r); got != "a k u1 u2 u3" { // a certificate's is shown whatever its user is called
		t.Errorf("shown: %s", got)
	}
	var rows []string
	for _, s := range subjectsOf(t, r) {
		rows = append(rows, fmt.Sprint(s.Certificate.Subject, " ", s.NoCertificate, s.Unknown, s.Sessions, s.Actions))
	}
	equal(t, "summary", rows, []string{"CN=alice false false 1 2", " true false 1 2", " false true 4 5"})
	shown := 0
	for _, row := range timeline(t, r) {
		shown += len(row.Actions)
	}
	if shown != 5 {
		t.Errorf("the timeline has %d actions", shown)
	}
	all := audit(t, log(trail), log(cluster), Options{})
	equal(t, "all", sortedIDs(t, all), "a e1 k n1 n2 n3 u1 u2 u3")
	equal(t, "all: folded", all.Folded, Folded{})
}

func sortedIDs(t *testing.T, r *Result) string {
	list := strings.Fields(ids(t, r))
	slices.Sort(list)
	return strings.Join(list, " ")
}
