package audit

import (
	"bytes"
	"strings"

	"github.com/valyala/fastjson"
)

// kubernetesReader is a visitor. It turns the events of AWS's identities into
// actions, and counts the others.
type kubernetesReader struct {
	index  *index
	filter *filter
	sorter *sorter
	whole  bool // whether the actions are kept for a person
	events int64
	others int64
}

func (r *kubernetesReader) flush() error { return r.sorter.flush() }

func (r *kubernetesReader) event(v *fastjson.Value, cluster string) (bool, error) {
	if !v.Exists("auditID") {
		return false, nil
	}
	r.events++
	user := v.Get("user")
	extra := user.Get("extra")
	// The strings are gone with the event: the sorter copies what it takes.
	a := Action{AccessKeyID: accessKey(first(extra, "accessKeyId")), ARN: first(extra, "arn"), SessionName: first(extra, "sessionName")}
	if a.AccessKeyID == "" && a.ARN == "" && a.SessionName == "" {
		r.others++
		return true, nil
	}
	stage := stageOf(v.GetStringBytes("stage"))
	if stage == stageReceived {
		return true, nil // it says what is asked, the next stage what became of it
	}
	if a.Time = date(v.Get("requestReceivedTimestamp")); a.Time.IsZero() {
		if a.Time = date(v.Get("stageTimestamp")); a.Time.IsZero() {
			return true, errNoTime
		}
	}
	number, joined := r.index.find(&a)
	a.JoinedBy = joined
	if number >= 0 && !r.index.places[number].passes || number < 0 && !r.filter.session(unknown(&a)) {
		return true, nil
	}
	r.read(&a, v, cluster)
	if !r.filter.action(&a) {
		return true, nil
	}
	key := actionKey(&a, stage)
	if !r.whole {
		a = Action{Code: a.Code, Decision: a.Decision, User: a.User, SourceIP: a.SourceIP, AccessKeyID: a.AccessKeyID, ARN: a.ARN, SessionName: a.SessionName}
		if number >= 0 {
			a.AccessKeyID, a.ARN, a.SessionName = "", "", ""
		}
	}
	return true, r.sorter.add(key, &a, number)
}

// read takes the rest of the action.
func (r *kubernetesReader) read(a *Action, v *fastjson.Value, cluster string) {
	object := v.Get("objectRef")
	a.ID, a.Verb = view(v, "auditID"), view(v, "verb")
	a.Group, a.Resource, a.Namespace, a.Name = view(object, "apiGroup"), view(object, "resource"), view(object, "namespace"), view(object, "name")
	if sub := view(object, "subresource"); sub != "" {
		a.Resource += "/" + sub
	}
	if a.Resource == "" {
		// What follows the ? may be a token.
		a.URI, _, _ = strings.Cut(view(v, "requestURI"), "?")
	}
	a.Code = v.GetInt("responseStatus", "code")
	a.Decision = view(v, "annotations", "authorization.k8s.io/decision")
	a.Reason = view(v, "annotations", "authorization.k8s.io/reason")
	a.User, a.Impersonated = view(v, "user", "username"), view(v, "impersonatedUser", "username")
	// The first address is the client's as a proxy tells it in X-Forwarded-For, and
	// so may be invented; without that header it is whence the API server was asked.
	a.SourceIP, a.UserAgent, a.Cluster = first(v, "sourceIPs"), view(v, "userAgent"), cluster
}

// The stages of an event, the one that counts first.
//
//	https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/
const (
	stagePanic byte = iota
	stageComplete
	stageStarted
	stageReceived
)

func stageOf(s []byte) byte {
	switch {
	case bytes.Equal(s, []byte("RequestReceived")):
		return stageReceived
	case bytes.Equal(s, []byte("ResponseStarted")):
		return stageStarted
	case bytes.Equal(s, []byte("Panic")):
		return stagePanic
	}
	return stageComplete
}

// unknown is the session of an action for which CloudTrail has no event.
func unknown(a *Action) *Session {
	s := &Session{AccessKeyID: a.AccessKeyID, AssumedRoleARN: a.ARN, RoleARN: roleOf(a.ARN), Name: a.SessionName, Unknown: true}
	if s.Name == "" {
		s.Name = nameOf(a.ARN)
	}
	return s
}
