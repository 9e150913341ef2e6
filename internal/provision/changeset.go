package provision

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/awsapi"
)

// Change is what would become of a resource.
type Change struct {
	Action      string   `json:"action"` // Add, Modify, Remove
	LogicalID   string   `json:"resource"`
	PhysicalID  string   `json:"physicalId,omitempty"`
	Type        string   `json:"type"`
	Replacement string   `json:"replacement,omitempty"` // True, False, Conditional
	Properties  []string `json:"properties,omitempty"`  // that change
}

// changeSetPrefix tells our change sets from others'.
const changeSetPrefix = "eks-x509-"

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
	name := fmt.Sprintf("%s%d", changeSetPrefix, k.Client.Now().UnixNano())
	in := url.Values{
		"StackName": {k.Name}, "ChangeSetName": {name}, "ChangeSetType": {kind}, "TemplateBody": {string(template)},
		"ClientToken": {name}, "Description": {"eks-x509 setup"},
	}
	awsapi.List(in, "Capabilities", []string{"CAPABILITY_NAMED_IAM"})
	for i, key := range slices.Sorted(maps.Keys(tags)) {
		in.Set(fmt.Sprintf("Tags.member.%d.Key", i+1), key)
		in.Set(fmt.Sprintf("Tags.member.%d.Value", i+1), tags[key])
	}
	var made struct {
		ID      string `xml:"Id"`
		StackID string `xml:"StackId"`
	}
	if err := k.Client.CloudFormation(ctx, "CreateChangeSet", in, &made); err != nil {
		return nil, err
	}
	set := &changeSet{id: made.ID, stackID: made.StackID}
	changes, err := k.await(ctx, set)
	if err != nil || !changes {
		return nil, errors.Join(err, k.withdraw(ctx, state, set))
	}
	return set, nil
}

// await waits until the change set is made, and says whether it holds any change.
func (k Stack) await(ctx context.Context, set *changeSet) (bool, error) {
	var waited time.Duration
	for n := 0; ; n++ {
		status, reason, err := k.describeChangeSet(ctx, set)
		switch {
		case err != nil || status == "CREATE_COMPLETE":
			return true, err
		case status == "FAILED" && (strings.Contains(reason, "didn't contain changes") || strings.Contains(reason, "No updates are to be performed")):
			return false, nil
		case status == "FAILED":
			return false, &awsapi.Error{Service: "CloudFormation", Operation: "CreateChangeSet", Message: reason}
		}
		if waited += interval(n); waited > longestWait {
			return false, awsapi.Overdue("CloudFormation", "CreateChangeSet", longestWait)
		}
		if err := k.Wait(ctx, interval(n)); err != nil {
			return false, err
		}
	}
}

// longestWait is for what takes AWS a minute.
const longestWait = 10 * time.Minute

// interval between questions: CloudFormation takes some a second of an account.
func interval(n int) time.Duration {
	return min(time.Duration(n+1)*250*time.Millisecond, 3*time.Second)
}

func (k Stack) describeChangeSet(ctx context.Context, set *changeSet) (status, reason string, err error) {
	set.changes = nil
	next, pages := "", awsapi.Pages{Most: awsapi.MostPages}
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
		if err := pages.Next("CloudFormation", "DescribeChangeSet", next); err != nil {
			return "", "", err
		}
	}
}

// withdraw takes a change set back, after an interrupt, too, and with it the
// stack's name, if there was no such stack before.
func (k Stack) withdraw(ctx context.Context, before State, set *changeSet) error {
	ctx = context.WithoutCancel(ctx)
	if before.ID == "" {
		_, err := k.delete(ctx, State{ID: set.stackID}, func(Event) {})
		return err
	}
	return k.Client.CloudFormation(ctx, "DeleteChangeSet", url.Values{"ChangeSetName": {set.id}}, nil)
}

// changeSets are the names of those that wait for their execution.
func (k Stack) changeSets(ctx context.Context, stackID string) ([]string, error) {
	var names []string
	next, pages := "", awsapi.Pages{Most: awsapi.MostPages}
	for {
		in := url.Values{"StackName": {stackID}}
		if next != "" {
			in.Set("NextToken", next)
		}
		var out struct {
			Names     []string `xml:"Summaries>member>ChangeSetName"`
			NextToken string
		}
		if err := k.Client.CloudFormation(ctx, "ListChangeSets", in, &out); err != nil {
			return nil, err
		}
		names = append(names, out.Names...)
		if next = out.NextToken; next == "" {
			return names, nil
		}
		if err := pages.Next("CloudFormation", "ListChangeSets", next); err != nil {
			return nil, err
		}
	}
}

// Plan says what Apply would change, and leaves nothing behind.
func (k Stack) Plan(ctx context.Context, template []byte, tags map[string]string) ([]Change, error) {
	state, err := k.Describe(ctx, k.Name)
	if err != nil {
		return nil, err
	}
	if err := k.Own(ctx, state); err != nil {
		return nil, err
	}
	if state.busy() || state.ruined() || state.Status == "UPDATE_ROLLBACK_FAILED" {
		return nil, &Busy{k.Name, state.Status}
	}
	set, err := k.propose(ctx, state, template, tags)
	if err != nil || set == nil {
		return nil, err
	}
	return set.changes, k.withdraw(ctx, state, set)
}
