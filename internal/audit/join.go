package audit

import (
	"cmp"
	"sort"
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
	places []place // by From
	// Each list is by From. Of those by an access key most have one session. Those without an access key have lists of
	// their own: an action whose access key is no session's may be of one of
	// them, and of no other.
	byKey, byARN, byName      *hashIndex
	keylessARNs, keylessNames *hashIndex
}

// place is what of a session an action is compared with.
type place struct {
	key, arn, name hash
	from, to       int64 // in nanoseconds
	passes         bool  // the filter
}

func placeOf(s *Session, passes bool) place {
	return place{hashOf(s.AccessKeyID), hashOf(bySerialNumber(s.AssumedRoleARN)), hashOf(bySerialNumber(s.Name)), nanos(s.From), nanos(s.To), passes}
}

func newIndex(places []place) *index {
	by := func(of func(*place) hash, keyless bool) *hashIndex {
		return newHashIndex(int32(len(places)), func(i int32) hash { //nolint:gosec // held is far below
			if p := &places[i]; !keyless || p.key == (hash{}) {
				return of(p)
			}
			return hash{}
		}, cmp.Compare[int32])
	}
	key, arn, name := func(p *place) hash { return p.key }, func(p *place) hash { return p.arn }, func(p *place) hash { return p.name }
	return &index{places, by(key, false), by(arn, false), by(name, false), by(arn, true), by(name, true)}
}

// find returns the number of the action's session, -1 if it has none.
func (x *index) find(a *Action) (int, Joined) {
	if list := x.byKey.find(hashOf(a.AccessKeyID)); len(list) > 0 {
		return int(latest(list, func(i int32) int64 { return x.places[i].from }, nanos(a.Time))), ByAccessKey
	}
	arns, names := x.byARN, x.byName
	if a.AccessKeyID != "" {
		arns, names = x.keylessARNs, x.keylessNames
	}
	if a.ARN != "" {
		if i := x.at(arns.find(hashOf(bySerialNumber(a.ARN))), nanos(a.Time)); i >= 0 {
			return i, ByARN
		}
		return -1, ByNothing
	}
	if i := x.at(names.find(hashOf(bySerialNumber(a.SessionName))), nanos(a.Time)); i >= 0 {
		return i, ByName
	}
	return -1, ByNothing
}

// latest is whose access key it was: of the sessions by From, the latest that had
// begun by t, as far as clocks agree; else the first. -1: there is none.
func latest(list []int32, from func(int32) int64, t int64) int32 {
	if len(list) == 0 {
		return -1
	}
	return list[max(0, firstAfter(list, from, t+int64(skew))-1)]
}

// firstAfter is the place of the first that begins after t.
func firstAfter(list []int32, from func(int32) int64, t int64) int {
	return sort.Search(len(list), func(i int) bool { return from(list[i]) > t })
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
func (x *index) at(list []int32, t int64) int {
	begun := firstAfter(list, func(i int32) int64 { return x.places[i].from }, t)
	for n := begun - 1; n >= 0; n-- {
		p := &x.places[list[n]]
		if t-p.from > int64(maxDuration+tokenTail+skew) {
			break
		}
		if p.to == noTime || t <= p.to+int64(tokenTail+skew) {
			return int(list[n])
		}
	}
	if begun < len(list) && x.places[list[begun]].from <= t+int64(skew) {
		return int(list[begun])
	}
	return -1
}
