package query

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/audit"
	"github.com/eks-x509/eks-x509/internal/awsapi"
	"github.com/eks-x509/eks-x509/internal/safefile"
)

// lookupHistory is how far back CloudTrail's event history goes.
const lookupHistory = 90 * 24 * time.Hour

// lookupPace: "The rate of lookup requests is limited to two per second, per
// account, per Region."
const lookupPace = time.Second / 2

// Lookup fetches events from CloudTrail's event history: no trail is needed, and
// it is slow, 100 events a second at most.
type Lookup struct {
	Tools
	What
	// File gets the events, a line each. With how far it is, in File.state, it is
	// what an interrupted lookup goes on from.
	File string
}

// lookupState is how far it is.
type lookupState struct {
	Version int       `json:"version"`
	Region  string    `json:"region"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
	Events  []string  `json:"events"` // their names, looked up one after the other
	Done    int       `json:"done"`   // how many of these
	// End is where the present run of tokens began: they go from the latest event
	// back.
	End   time.Time `json:"end"`
	Token string    `json:"token,omitempty"`
	// Last is the time of the earliest event got so far, Seen are those of that
	// second: where to begin again if the token is no longer taken.
	Last time.Time `json:"last,omitzero"`
	Seen []string  `json:"seen,omitempty"`
	Size int64     `json:"size"` // of the file so far
	Kept int64     `json:"kept"`
	Bad  int64     `json:"malformed,omitempty"`
}

func (s *lookupState) complete() bool { return s.Done == len(s.Events) }

// Fetch gets what is not there yet.
func (l Lookup) Fetch(ctx context.Context) error {
	s, f, err := l.open()
	if err != nil {
		return fmt.Errorf("opening %q: %w", l.File, err)
	}
	defer f.Close()
	for requests := 1; !s.complete(); requests++ {
		started, name := l.Client.Now(), s.Events[s.Done]
		if err := l.page(ctx, s, f); err != nil {
			return fmt.Errorf("looking up %s events: %w", name, err)
		}
		if s.complete() {
			break
		}
		if requests%20 == 0 {
			l.Progress(fmt.Sprintf("%s: %d events so far, back to %s", name, s.Kept, stamp(s.reached())))
		}
		if err := l.Wait(ctx, max(0, lookupPace-l.Client.Now().Sub(started))); err != nil {
			return err
		}
	}
	if s.Bad > 0 {
		l.Warn(fmt.Sprintf("%d malformed events from CloudTrail's event history were left out", s.Bad))
	}
	l.Progress(fmt.Sprintf("CloudTrail's event history: %d events, %s to %s", s.Kept, stamp(s.Since), stamp(s.Until)))
	return f.Close()
}

func (s *lookupState) reached() time.Time {
	if s.Last.IsZero() {
		return s.End
	}
	return s.Last
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (l Lookup) stateFile() string { return l.File + ".state" }

func (l Lookup) events() []string {
	if l.Chained {
		return []string{"CreateSession", "AssumeRole"}
	}
	return []string{"CreateSession"}
}

const rolesAnywhere = "rolesanywhere.amazonaws.com"

// attribute is what LookupEvents is asked by. CreateSession is asked for by its
// source: its event was seen under the name AssumeRole, too, other services have a
// CreateSession, and Roles Anywhere has few other events.
func attribute(event string) (key, value string) {
	if event == "CreateSession" {
		return "EventSource", rolesAnywhere
	}
	return "EventName", event
}

// Text is what the AWS CLI would be asked.
func (l Lookup) Text() string {
	var b strings.Builder
	for _, name := range l.events() {
		key, value := attribute(name)
		fmt.Fprintf(&b, "aws cloudtrail lookup-events --output json --lookup-attributes AttributeKey=%s,AttributeValue=%s --start-time %s --end-time %s\n",
			key, value, stamp(l.sessionsSince()), stamp(l.Filter.Until))
	}
	return b.String()
}

// since is as early as is asked for and there are events.
func (l Lookup) since() time.Time {
	since := l.sessionsSince().Truncate(time.Second)
	if earliest := l.Client.Now().Add(-lookupHistory); l.Filter.Since.Before(earliest) {
		l.Warn(fmt.Sprintf("CloudTrail's event history has 90 days, from %s: earlier sessions are not in it; a trail and --engine athena have them", stamp(earliest)))
		return earliest.Truncate(time.Second)
	} else if since.Before(earliest) {
		return earliest.Truncate(time.Second)
	}
	return since
}

// open takes up an earlier run, or begins.
func (l Lookup) open() (*lookupState, *os.File, error) {
	since := l.since()
	const maxState = 8 << 20
	data, err := safefile.Read(l.stateFile(), maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return l.begin(since)
	}
	if err != nil {
		return nil, nil, err
	}
	s := new(lookupState)
	if json.Unmarshal(data, s) != nil || s.Version != 1 || s.Done < 0 || s.Done > len(s.Events) || s.Size < 0 {
		return nil, nil, fmt.Errorf("malformed state in %q", l.stateFile())
	}
	// A range that is told in days ago begins later each time.
	if s.Region != l.Client.Region || since.Before(s.Since) || slices.ContainsFunc(l.events(), func(name string) bool { return !slices.Contains(s.Events, name) }) {
		return nil, nil, fmt.Errorf("it is of another lookup: %s in %s since %s", strings.Join(s.Events, " and "), s.Region, stamp(s.Since))
	}
	if _, err := os.Lstat(l.File); err != nil {
		return nil, nil, err
	}
	f, err := safefile.Resume(l.File)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() < s.Size {
		err = fmt.Errorf("it is shorter than %q says", l.stateFile())
	}
	if err == nil {
		// What is beyond came with a page that was not finished, and comes again.
		err = f.Truncate(s.Size)
	}
	if err == nil {
		_, err = f.Seek(s.Size, io.SeekStart)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	if s.complete() {
		l.Progress("nothing to look up: " + l.File + " has all until " + stamp(s.Until) + "; remove it and " + l.stateFile() + " to look again")
	} else {
		l.Progress(fmt.Sprintf("going on from %s back, with %d events", stamp(s.reached()), s.Kept))
	}
	return s, f, nil
}

// begin makes the two files. An empty one is left of a run that was interrupted
// right here.
func (l Lookup) begin(since time.Time) (*lookupState, *os.File, error) {
	f, err := safefile.Resume(l.File)
	if err != nil {
		return nil, nil, err
	}
	until := l.Filter.Until.Truncate(time.Second).Add(time.Second)
	s := &lookupState{Version: 1, Region: l.Client.Region, Since: since, Until: until, End: until, Events: l.events()}
	info, err := f.Stat()
	if err == nil && info.Size() > 0 {
		err = errors.New("there is something in it, and no state beside it")
	}
	if err == nil {
		err = l.save(s)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return s, f, nil
}

func (l Lookup) save(s *lookupState) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return safefile.Write(l.stateFile(), data)
}

// lookupEvent is an event of LookupEvents; the whole one is in a string in it.
type lookupEvent struct {
	ID          string  `json:"EventId"`
	Time        float64 `json:"EventTime"` // seconds
	Source      string  `json:"EventSource"`
	Name        string  `json:"EventName"`
	AccessKeyID string  `json:"AccessKeyId"`
	Event       string  `json:"CloudTrailEvent"`
}

// ours: most AssumeRole calls are a service's own, without an access key.
func (e lookupEvent) ours() bool {
	return e.Source == rolesAnywhere && (e.Name == "" || e.Name == "CreateSession" || e.Name == "AssumeRole") ||
		e.Source == "sts.amazonaws.com" && (e.AccessKeyID != "" || strings.Contains(e.Event, rolesAnywhere))
}

// page asks for the next 50, and keeps events and state: first these, then that.
func (l Lookup) page(ctx context.Context, s *lookupState, f *os.File) error {
	key, value := attribute(s.Events[s.Done])
	in := map[string]any{
		"LookupAttributes": []any{map[string]string{"AttributeKey": key, "AttributeValue": value}},
		"StartTime":        s.Since.Unix(), "EndTime": s.End.Unix(), "MaxResults": 50,
	}
	if s.Token != "" {
		in["NextToken"] = s.Token
	}
	var out struct {
		Events    []lookupEvent
		NextToken string
	}
	err := l.ask(ctx, awsapi.JSONService{Name: "CloudTrail", Host: "cloudtrail", Target: "CloudTrail_20131101"}, "LookupEvents", in, &out)
	if code(err) == "InvalidNextTokenException" && s.Token != "" {
		// Tokens don't live for ever: begin again where we are.
		s.Token, s.End = "", s.reached()
		return l.save(s)
	}
	if err != nil {
		return err
	}
	var lines bytes.Buffer
	for _, e := range out.Events {
		if at := time.Unix(int64(math.Floor(e.Time)), 0).UTC(); !at.Equal(s.Last) {
			s.Last, s.Seen = at, nil
		}
		if slices.Contains(s.Seen, e.ID) {
			continue
		}
		s.Seen = append(s.Seen, e.ID)
		if !e.ours() {
			continue
		}
		event, whole := audit.Bare([]byte(e.Event))
		if !whole {
			s.Bad++
			continue
		}
		lines.Write(append(event, '\n'))
		s.Kept++
	}
	n, err := f.Write(lines.Bytes())
	if err == nil && n > 0 {
		err = f.Sync() // or a power cut leaves less than the state says
	}
	if err != nil {
		return err
	}
	s.Size += int64(n)
	if out.NextToken != "" && out.NextToken == s.Token {
		return awsapi.Endless("CloudTrail", "LookupEvents")
	}
	if s.Token = out.NextToken; s.Token == "" {
		s.Done, s.End, s.Last, s.Seen = s.Done+1, s.Until, time.Time{}, nil
	}
	return l.save(s)
}
