package audit

import (
	"slices"
	"strings"
	"time"
)

const (
	// skew is how far the clocks of two logs may be apart.
	skew = 5 * time.Minute
	// tokenTail is how long a token that was made at a session's end is good for:
	// a presigned GetCallerIdentity lives 15 minutes, and the API server that
	// caches the answer does not ask again.
	tokenTail = 15 * time.Minute
)

// index finds the session of an action. It is complete before it is asked.
type index struct {
	sessions []*Session // by From
	// Each list is by From. Of those by an access key most have one session. Those without an access key have lists of
	// their own: an action whose access key is no session's may be of one of
	// them, and of no other.
	byKey, byARN, byName      map[string][]int
	keylessARNs, keylessNames map[string][]int
}

func newIndex(sessions []*Session) *index {
	x := &index{sessions, map[string][]int{}, map[string][]int{}, map[string][]int{}, map[string][]int{}, map[string][]int{}}
	for i, s := range sessions {
		add := func(m map[string][]int, key string) {
			if key != "" {
				m[key] = append(m[key], i)
			}
		}
		add(x.byARN, bySerialNumber(s.AssumedRoleARN))
		add(x.byName, bySerialNumber(s.Name))
		if s.AccessKeyID != "" {
			add(x.byKey, s.AccessKeyID)
			continue
		}
		add(x.keylessARNs, bySerialNumber(s.AssumedRoleARN))
		add(x.keylessNames, bySerialNumber(s.Name))
	}
	return x
}

// find returns the number of the action's session, -1 if it has none.
func (x *index) find(a *Action) (int, Joined) {
	if list := x.byKey[a.AccessKeyID]; len(list) > 0 {
		return latest(list, func(i int) time.Time { return x.sessions[i].From }, a.Time), ByAccessKey
	}
	arns, names := x.byARN, x.byName
	if a.AccessKeyID != "" {
		arns, names = x.keylessARNs, x.keylessNames
	}
	if a.ARN != "" {
		if i := x.at(arns[bySerialNumber(a.ARN)], a.Time); i >= 0 {
			return i, ByARN
		}
		return -1, ByNothing
	}
	if i := x.at(names[bySerialNumber(a.SessionName)], a.Time); i >= 0 {
		return i, ByName
	}
	return -1, ByNothing
}

// bySerialNumber is an ARN or a session name with one way to write a serial
// number: how Roles Anywhere writes zeros before it is not documented.
func bySerialNumber(arn string) string {
	name := nameOf(arn)
	if name == "" || name[0] != '0' || len(name) > 42 || strings.Trim(name, "0123456789abcdefABCDEF") != "" {
		return arn
	}
	return arn[:len(arn)-len(name)] + strings.TrimLeft(name, "0")
}

// at is the latest of the sessions that had begun by t and was good for what it
// was used for then; else the first to begin within the skew.
func (x *index) at(list []int, t time.Time) int {
	if len(list) == 0 {
		return -1
	}
	begun, _ := slices.BinarySearchFunc(list, t, func(i int, t time.Time) int {
		if x.sessions[i].From.After(t) {
			return 1
		}
		return -1
	})
	for n := begun - 1; n >= 0; n-- {
		s := x.sessions[list[n]]
		if t.Sub(s.From) > maxDuration+tokenTail+skew {
			break
		}
		if s.To.IsZero() || !t.After(s.To.Add(tokenTail+skew)) {
			return list[n]
		}
	}
	if begun < len(list) && !x.sessions[list[begun]].From.After(t.Add(skew)) {
		return list[begun]
	}
	return -1
}
