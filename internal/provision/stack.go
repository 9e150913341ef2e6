package provision

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/awsapi"
)

// Stack is one of CloudFormation, in the region of the client.
type Stack struct {
	Client awsapi.Client
	Name   string
	// Wait waits between two questions.
	Wait func(context.Context, time.Duration) error
}

// State is how a stack is. The zero State: there is none.
type State struct {
	ID      string            `json:"stackId"`
	Status  string            `json:"status"`
	Reason  string            `json:"statusReason,omitempty"`
	Outputs map[string]string `json:"outputs"`
}

// Event is a line of a stack's history.
type Event struct {
	ID         string    `xml:"EventId" json:"-"`
	Time       time.Time `xml:"Timestamp" json:"time"`
	LogicalID  string    `xml:"LogicalResourceId" json:"resource"`
	PhysicalID string    `xml:"PhysicalResourceId" json:"physicalId,omitempty"`
	Type       string    `xml:"ResourceType" json:"type"`
	Status     string    `xml:"ResourceStatus" json:"status"`
	Reason     string    `xml:"ResourceStatusReason" json:"reason,omitempty"`
}

// IsStack says that the event is of the stack itself.
func (e Event) IsStack() bool { return e.Type == stackType }

const stackType = "AWS::CloudFormation::Stack"

// Change is what would become of a resource.
type Change struct {
	Action      string   `json:"action"` // Add, Modify, Remove
	LogicalID   string   `json:"resource"`
	PhysicalID  string   `json:"physicalId,omitempty"`
	Type        string   `json:"type"`
	Replacement string   `json:"replacement,omitempty"` // True, False, Conditional
	Properties  []string `json:"properties,omitempty"`  // that change
}

// Failed is a change that CloudFormation did not make, or took back.
type Failed struct {
	Stack, Status string
	Cause         *Event // the first that failed; nil if none says so
}

func (e *Failed) Error() string {
	why := "it does not say why"
	if e.Cause != nil {
		why = fmt.Sprintf("%s (%s): %s", e.Cause.LogicalID, e.Cause.Type, e.Cause.Reason)
	}
	return fmt.Sprintf("stack %q is %s: %s", e.Stack, e.Status, why)
}

// Describe asks how the stack is, by its name or ID.
func (k Stack) Describe(ctx context.Context, nameOrID string) (State, error) {
	var out struct {
		Stacks []struct {
			ID      string `xml:"StackId"`
			Status  string `xml:"StackStatus"`
			Reason  string `xml:"StackStatusReason"`
			Outputs []struct {
				Key   string `xml:"OutputKey"`
				Value string `xml:"OutputValue"`
			} `xml:"Outputs>member"`
		} `xml:"Stacks>member"`
	}
	err := k.Client.CloudFormation(ctx, "DescribeStacks", url.Values{"StackName": {nameOrID}}, &out)
	if e, ok := errors.AsType[*awsapi.Error](err); ok && e.Code == "ValidationError" && strings.Contains(e.Message, "does not exist") {
		return State{}, nil
	}
	if err != nil || len(out.Stacks) == 0 {
		return State{}, err
	}
	found := out.Stacks[0]
	s := State{found.ID, found.Status, found.Reason, map[string]string{}}
	for _, o := range found.Outputs {
		s.Outputs[o.Key] = o.Value
	}
	return s, nil
}

// busy says that CloudFormation is at work.
func (s State) busy() bool {
	return strings.HasSuffix(s.Status, "_IN_PROGRESS") && s.Status != "REVIEW_IN_PROGRESS"
}

// Exists says that there is more than a stack's name.
func (s State) Exists() bool { return s.ID != "" && s.Status != "REVIEW_IN_PROGRESS" }

// ruined says that the stack can only be deleted: its first creation failed.
func (s State) ruined() bool {
	return slices.Contains([]string{"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"}, s.Status)
}

// changeSet is one that was made.
type changeSet struct {
	id, stackID string
	changes     []Change
}

// propose makes a change set and waits until it is there. Nil: there is nothing
// to change.
func (k Stack) propose(ctx context.Context, state State, template []byte, tags map[string]string) (*changeSet, error) {
	kind := "UPDATE"
	if !state.Exists() {
		kind = "CREATE"
	}
	name := fmt.Sprintf("eks-x509-%d", k.Client.Now().UnixNano())
	in := url.Values{
		"StackName": {k.Name}, "ChangeSetName": {name}, "ChangeSetType": {kind}, "TemplateBody": {string(template)},
		"ClientToken": {name}, "Description": {"eks-x509 setup"},
	}
	awsapi.List(in, "Capabilities", []string{"CAPABILITY_NAMED_IAM"})
	i := 0
	for _, key := range sortedKeys(tags) {
		i++
		in.Set(fmt.Sprintf("Tags.member.%d.Key", i), key)
		in.Set(fmt.Sprintf("Tags.member.%d.Value", i), tags[key])
	}
	var made struct {
		ID      string `xml:"Id"`
		StackID string `xml:"StackId"`
	}
	if err := k.Client.CloudFormation(ctx, "CreateChangeSet", in, &made); err != nil {
		return nil, err
	}
	set := &changeSet{id: made.ID, stackID: made.StackID}
	for n := 0; ; n++ {
		status, reason, err := k.describeChangeSet(ctx, set)
		switch {
		case err != nil:
			return nil, err
		case status == "CREATE_COMPLETE":
			return set, nil
		case status == "FAILED" && (strings.Contains(reason, "didn't contain changes") || strings.Contains(reason, "No updates are to be performed")):
			return nil, k.discard(ctx, set)
		case status == "FAILED":
			return nil, errors.Join(fmt.Errorf("planning stack %q: CloudFormation says: %s", k.Name, reason), k.discard(ctx, set))
		}
		if err := k.Wait(ctx, interval(n)); err != nil {
			return nil, err
		}
	}
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// interval between questions: CloudFormation takes some a second of an account.
func interval(n int) time.Duration {
	return min(time.Duration(n+1)*250*time.Millisecond, 3*time.Second)
}

func (k Stack) describeChangeSet(ctx context.Context, set *changeSet) (status, reason string, err error) {
	set.changes = nil
	next := ""
	for {
		var out struct {
			Status       string
			StatusReason string
			Changes      []struct {
				Change struct {
					Action      string
					LogicalID   string `xml:"LogicalResourceId"`
					PhysicalID  string `xml:"PhysicalResourceId"`
					Type        string `xml:"ResourceType"`
					Replacement string
					Details     []struct {
						Name string `xml:"Target>Name"`
					} `xml:"Details>member"`
				} `xml:"ResourceChange"`
			} `xml:"Changes>member"`
			NextToken string
		}
		in := url.Values{"ChangeSetName": {set.id}}
		if next != "" {
			in.Set("NextToken", next)
		}
		if err := k.Client.CloudFormation(ctx, "DescribeChangeSet", in, &out); err != nil {
			return "", "", err
		}
		for _, c := range out.Changes {
			one := Change{Action: c.Change.Action, LogicalID: c.Change.LogicalID, PhysicalID: c.Change.PhysicalID, Type: c.Change.Type, Replacement: c.Change.Replacement}
			for _, d := range c.Change.Details {
				if d.Name != "" && !slices.Contains(one.Properties, d.Name) {
					one.Properties = append(one.Properties, d.Name)
				}
			}
			set.changes = append(set.changes, one)
		}
		if next = out.NextToken; next == "" {
			return out.Status, out.StatusReason, nil
		}
	}
}

func (k Stack) discard(ctx context.Context, set *changeSet) error {
	return k.Client.CloudFormation(ctx, "DeleteChangeSet", url.Values{"ChangeSetName": {set.id}}, nil)
}

// Plan says what Apply would change, and leaves nothing behind.
func (k Stack) Plan(ctx context.Context, template []byte, tags map[string]string) ([]Change, error) {
	state, err := k.Describe(ctx, k.Name)
	if err != nil {
		return nil, err
	}
	if state.busy() || state.ruined() {
		return nil, &Busy{k.Name, state.Status}
	}
	set, err := k.propose(ctx, state, template, tags)
	if err != nil || set == nil {
		return nil, err
	}
	if !state.Exists() {
		// The change set of a new stack has made its name; both go.
		_, err := k.delete(ctx, State{ID: set.stackID}, func(Event) {})
		return set.changes, err
	}
	return set.changes, k.discard(ctx, set)
}

// Busy is a stack that can't be planned now.
type Busy struct{ Stack, Status string }

func (e *Busy) Error() string { return fmt.Sprintf("stack %q is %s", e.Stack, e.Status) }

// Apply makes the stack what the template says, or goes on with what was begun,
// and tells each event. It returns the state reached, and the changes made.
func (k Stack) Apply(ctx context.Context, template []byte, tags map[string]string, tell func(Event), confirm func([]Change) error) (State, []Change, error) {
	state, err := k.Describe(ctx, k.Name)
	if err != nil {
		return state, nil, err
	}
	if state.busy() {
		// What it comes to is no matter: a creation that failed is what we begin anew from.
		if state, err = k.follow(ctx, state.ID, "", tell); err != nil && !isFailed(err) {
			return state, nil, err
		}
		if state.Status == "DELETE_COMPLETE" {
			state = State{}
		}
	}
	if state.ruined() {
		if state, err = k.delete(ctx, state, tell); err != nil {
			return state, nil, err
		}
	}
	set, err := k.propose(ctx, state, template, tags)
	if err != nil {
		return state, nil, err
	}
	if set == nil {
		state, err = k.Describe(ctx, k.Name)
		return state, nil, err
	}
	if err := confirm(set.changes); err != nil {
		return state, nil, errors.Join(err, k.discard(context.WithoutCancel(ctx), set))
	}
	last, err := k.lastEvent(ctx, set.stackID)
	if err != nil {
		return state, nil, err
	}
	if err := k.Client.CloudFormation(ctx, "ExecuteChangeSet", url.Values{"ChangeSetName": {set.id}, "ClientRequestToken": {set.id[strings.LastIndex(set.id, "/")+1:]}}, nil); err != nil {
		return state, nil, err
	}
	state, err = k.follow(ctx, set.stackID, last, tell)
	return state, set.changes, err
}

// delete deletes a stack and waits for it.
func (k Stack) delete(ctx context.Context, state State, tell func(Event)) (State, error) {
	last, err := k.lastEvent(ctx, state.ID)
	if err != nil {
		return state, err
	}
	if err := k.Client.CloudFormation(ctx, "DeleteStack", url.Values{"StackName": {state.ID}}, nil); err != nil {
		return state, err
	}
	if state, err = k.follow(ctx, state.ID, last, tell); err != nil || state.Status != "DELETE_COMPLETE" {
		return state, err
	}
	return State{}, nil
}

// Delete deletes the stack, if there is one, and waits for it.
func (k Stack) Delete(ctx context.Context, tell func(Event)) error {
	state, err := k.Describe(ctx, k.Name)
	if err != nil || state.ID == "" {
		return err
	}
	if state.busy() && state.Status != "DELETE_IN_PROGRESS" {
		if state, err = k.follow(ctx, state.ID, "", tell); err != nil && !isFailed(err) {
			return err
		}
	}
	_, err = k.delete(ctx, state, tell)
	return err
}

func isFailed(err error) bool {
	_, ok := errors.AsType[*Failed](err)
	return ok
}

// follow tells events after the one with that ID (none: of the operation that is
// going on) until CloudFormation rests.
func (k Stack) follow(ctx context.Context, id, after string, tell func(Event)) (State, error) {
	var cause *Event
	for n := 0; ; n++ {
		// First the state, then the events: none of those that led to it is missed.
		state, err := k.Describe(ctx, id)
		if err != nil {
			return state, err
		}
		events, err := k.events(ctx, id, after)
		if err != nil {
			return state, err
		}
		for _, e := range events {
			if cause == nil && strings.HasSuffix(e.Status, "_FAILED") && !e.IsStack() && !strings.Contains(e.Reason, "cancelled") {
				cause = &e
			}
			tell(e)
			after, n = e.ID, 0
		}
		switch {
		case state.busy():
		case slices.Contains([]string{"CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE", "IMPORT_COMPLETE"}, state.Status):
			return state, nil
		case state.Status == "" || state.Status == "REVIEW_IN_PROGRESS":
			return state, nil
		default:
			return state, &Failed{k.Name, state.Status, cause}
		}
		if err := k.Wait(ctx, interval(n)); err != nil {
			return state, err
		}
	}
}

func (k Stack) lastEvent(ctx context.Context, id string) (string, error) {
	page, _, err := k.eventPage(ctx, id, "")
	if err != nil || len(page) == 0 {
		return "", err
	}
	return page[0].ID, nil
}

func (k Stack) eventPage(ctx context.Context, id, next string) ([]Event, string, error) {
	in := url.Values{"StackName": {id}}
	if next != "" {
		in.Set("NextToken", next)
	}
	var out struct {
		Events    []Event `xml:"StackEvents>member"`
		NextToken string
	}
	err := k.Client.CloudFormation(ctx, "DescribeStackEvents", in, &out)
	return out.Events, out.NextToken, err
}

// events are those after one, the oldest first; after none, those since the
// last operation began.
func (k Stack) events(ctx context.Context, id, after string) ([]Event, error) {
	var found []Event
	next := ""
	for {
		page, more, err := k.eventPage(ctx, id, next)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			if e.ID == after {
				slices.Reverse(found)
				return found, nil
			}
			found = append(found, e)
			if after == "" && e.IsStack() && slices.Contains([]string{"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS"}, e.Status) {
				slices.Reverse(found)
				return found, nil
			}
		}
		if next = more; next == "" {
			slices.Reverse(found)
			return found, nil
		}
	}
}

// Drift is what of a resource is no longer as the stack made it.
type Drift struct {
	LogicalID   string       `xml:"LogicalResourceId" json:"resource"`
	PhysicalID  string       `xml:"PhysicalResourceId" json:"physicalId"`
	Type        string       `xml:"ResourceType" json:"type"`
	Status      string       `xml:"StackResourceDriftStatus" json:"status"` // IN_SYNC, MODIFIED, DELETED, NOT_CHECKED
	Differences []Difference `xml:"PropertyDifferences>member" json:"differences,omitempty"`
}

// Difference is one property's.
type Difference struct {
	Path     string `xml:"PropertyPath" json:"path"`
	Expected string `xml:"ExpectedValue" json:"expected"`
	Actual   string `xml:"ActualValue" json:"actual"`
}

// Drifts has CloudFormation look at every resource.
func (k Stack) Drifts(ctx context.Context) ([]Drift, error) {
	var begun struct {
		ID string `xml:"StackDriftDetectionId"`
	}
	if err := k.Client.CloudFormation(ctx, "DetectStackDrift", url.Values{"StackName": {k.Name}}, &begun); err != nil {
		return nil, err
	}
	for n := 0; ; n++ {
		var out struct {
			Status string `xml:"DetectionStatus"`
			Reason string `xml:"DetectionStatusReason"`
		}
		if err := k.Client.CloudFormation(ctx, "DescribeStackDriftDetectionStatus", url.Values{"StackDriftDetectionId": {begun.ID}}, &out); err != nil {
			return nil, err
		}
		if out.Status == "DETECTION_FAILED" {
			return nil, fmt.Errorf("detecting drift of stack %q: CloudFormation says: %s", k.Name, out.Reason)
		}
		if out.Status == "DETECTION_COMPLETE" {
			break
		}
		if err := k.Wait(ctx, interval(n)); err != nil {
			return nil, err
		}
	}
	var all []Drift
	next := ""
	for {
		in := url.Values{"StackName": {k.Name}}
		if next != "" {
			in.Set("NextToken", next)
		}
		var out struct {
			Drifts    []Drift `xml:"StackResourceDrifts>member"`
			NextToken string
		}
		if err := k.Client.CloudFormation(ctx, "DescribeStackResourceDrifts", in, &out); err != nil {
			return nil, err
		}
		all = append(all, out.Drifts...)
		if next = out.NextToken; next == "" {
			return all, nil
		}
	}
}

// Resources are what the stack holds, by logical id: type and physical id.
func (k Stack) Resources(ctx context.Context) ([]Resource, error) {
	var out struct {
		Resources []Resource `xml:"StackResources>member"`
	}
	err := k.Client.CloudFormation(ctx, "DescribeStackResources", url.Values{"StackName": {k.Name}}, &out)
	return out.Resources, err
}

// Resource is a thing that a stack has made.
type Resource struct {
	LogicalID  string `xml:"LogicalResourceId" json:"resource"`
	PhysicalID string `xml:"PhysicalResourceId" json:"physicalId"`
	Type       string `xml:"ResourceType" json:"type"`
	Status     string `xml:"ResourceStatus" json:"status"`
}

// CAOf is the private CA among what a stack holds, or "".
func CAOf(resources []Resource) string {
	for _, r := range resources {
		if r.Type == "AWS::ACMPCA::CertificateAuthority" {
			return r.PhysicalID
		}
	}
	return ""
}

// ClustersOf are those for which a stack has access entries, whose physical id is
// ROLE-ARN|CLUSTER.
func ClustersOf(resources []Resource) []string {
	var found []string
	for _, r := range resources {
		if _, cluster, ok := strings.Cut(r.PhysicalID, "|"); ok && r.Type == "AWS::EKS::AccessEntry" {
			found = append(found, cluster)
		}
	}
	return found
}
