package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bucket lets a number of requests through a second. It has a second's worth when it is full.
type bucket struct {
	tokens float64
	at     time.Time
}

func (b *bucket) take(now time.Time, aSecond float64) bool {
	b.tokens, b.at = min(aSecond, b.tokens+aSecond*max(0, now.Sub(b.at)).Seconds()), now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// cloudtrail answers CloudTrail: its event history.
// https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
func (c *call) cloudtrail() map[string]func() (any, error) {
	return map[string]func() (any, error){"LookupEvents": c.lookupEvents}
}

type lookupInput struct {
	LookupAttributes   []struct{ AttributeKey, AttributeValue string }
	StartTime, EndTime *float64
	MaxResults         *int
	NextToken          string
}

const lookupHistory = 90 * 24 * time.Hour

func (c *call) lookupEvents() (any, error) {
	c.s.mu.Lock()
	ok := c.s.lookups.take(c.s.now(), 2)
	c.s.mu.Unlock()
	if !ok {
		return nil, refuse(http.StatusBadRequest, "ThrottlingException", "Rate exceeded", "more than 2 requests a second")
	}
	var in lookupInput
	if err := c.readJSON(&in); err != nil {
		return nil, err
	}
	size := 50
	if in.MaxResults != nil {
		size = *in.MaxResults
	}
	if size < 1 || size > 50 {
		return nil, badRequest("InvalidMaxResultsException", "MaxResults %d is not in 1 to 50", size)
	}
	from, to := c.now.Add(-lookupHistory), c.now
	if in.StartTime != nil && seconds(*in.StartTime).After(from) {
		from = seconds(*in.StartTime)
	}
	if in.EndTime != nil {
		to = seconds(*in.EndTime)
	}
	if to.Before(from) {
		return nil, badRequest("InvalidTimeRangeException", "the end %s is before the start %s", stamp(to), stamp(from))
	}
	found, err := c.matching(in, from, to)
	if err != nil {
		return nil, err
	}
	if found, err = in.after(found); err != nil {
		return nil, err
	}
	out := map[string]any{}
	if len(found) > size {
		found = found[:size]
		out["NextToken"] = in.token(found[size-1].EventID)
	}
	events := []any{}
	for _, e := range found {
		event, err := e.lookup()
		if err != nil {
			return nil, err
		}
		events = append(events, event)
	}
	out["Events"] = events
	return out, nil
}

func seconds(s float64) time.Time { return time.Unix(0, int64(s*float64(time.Second))) }

// matching are the events asked for, the latest first.
func (c *call) matching(in lookupInput, from, to time.Time) ([]Event, error) {
	if len(in.LookupAttributes) > 1 {
		return nil, badRequest("InvalidLookupAttributesException", "more than one lookup attribute")
	}
	for _, a := range in.LookupAttributes {
		if !slices.Contains([]string{"EventId", "EventName", "EventSource", "ReadOnly", "AccessKeyId"}, a.AttributeKey) {
			return nil, badRequest("InvalidLookupAttributesException", "the sandbox does not know the lookup attribute %q", a.AttributeKey)
		}
	}
	var found []Event
	for _, e := range c.s.Events() {
		at, err := time.Parse(time.RFC3339, e.EventTime)
		if err != nil || at.Before(from) || at.After(to) {
			continue
		}
		if len(in.LookupAttributes) == 0 || e.attribute(in.LookupAttributes[0].AttributeKey) == in.LookupAttributes[0].AttributeValue {
			found = append(found, e)
		}
	}
	slices.Reverse(found)
	slices.SortStableFunc(found, func(a, b Event) int { return strings.Compare(b.EventTime, a.EventTime) })
	return found, nil
}

func (e Event) attribute(key string) string {
	return map[string]string{"EventId": e.EventID, "EventName": e.EventName, "EventSource": e.EventSource,
		"ReadOnly": strconv.FormatBool(e.ReadOnly), "AccessKeyId": e.UserIdentity["accessKeyId"]}[key]
}

func (e Event) lookup() (any, error) {
	whole, err := encodeLine(e)
	if err != nil {
		return nil, err
	}
	at, err := time.Parse(time.RFC3339, e.EventTime)
	if err != nil {
		return nil, err
	}
	out := map[string]any{
		"EventId": e.EventID, "EventName": e.EventName, "EventSource": e.EventSource, "EventTime": at.Unix(), "ReadOnly": strconv.FormatBool(e.ReadOnly),
		"Resources": []any{}, "CloudTrailEvent": strings.TrimSuffix(string(whole), "\n"),
	}
	if key := e.UserIdentity["accessKeyId"]; key != "" {
		out["AccessKeyId"] = key
	}
	return out, nil
}

// lookupToken is for the same question only: "This token must be passed in with the same parameters that were specified in the
// original call."
type lookupToken struct{ Of, After string }

func (in lookupInput) fingerprint() string {
	in.NextToken = ""
	text, _ := json.Marshal(in) // numbers and strings
	return hexSHA256(text)
}

func (in lookupInput) token(after string) string {
	text, _ := json.Marshal(lookupToken{in.fingerprint(), after})
	return base64.StdEncoding.EncodeToString(text)
}

// after leaves out what was told before.
func (in lookupInput) after(events []Event) ([]Event, error) {
	if in.NextToken == "" {
		return events, nil
	}
	var t lookupToken
	text, err := base64.StdEncoding.DecodeString(in.NextToken)
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	at := slices.IndexFunc(events, func(e Event) bool { return e.EventID == t.After })
	if err != nil || t.Of != in.fingerprint() || at < 0 {
		return nil, badRequest("InvalidNextTokenException", "the token is not of this question")
	}
	return events[at+1:], nil
}
