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

func isFailed(err error) bool {
	_, ok := errors.AsType[*Failed](err)
	return ok
}

// Unattended: CloudFormation goes on with the stack, and we no longer look.
type Unattended struct {
	Stack string
	Err   error
}

func (e *Unattended) Error() string { return fmt.Sprintf("following stack %q: %v", e.Stack, e.Err) }
func (e *Unattended) Unwrap() error { return e.Err }

// begun is the error of a call that sets CloudFormation to work: unless it was
// refused, nobody knows whether it did.
func (k Stack) begun(err error) error {
	if e, ok := errors.AsType[*awsapi.Error](err); ok && e.Kind == awsapi.Refused {
		return err
	}
	return &Unattended{k.Name, err}
}

// follow tells events after the one with that ID (none: of the operation that is
// going on) until CloudFormation rests.
func (k Stack) follow(ctx context.Context, id, after string, tell func(Event)) (State, error) {
	const patience = 8 // questions, while state and events do not agree
	var cause *Event
	told := "" // the stack's state, by the events
	for n := 0; ; n++ {
		// First the state, then the events: none of those that led to it is missed.
		state, err := k.Describe(ctx, id)
		if err != nil {
			return state, &Unattended{k.Name, err}
		}
		events, err := k.events(ctx, id, after)
		if err != nil {
			return state, &Unattended{k.Name, err}
		}
		for _, e := range events {
			if cause == nil && strings.HasSuffix(e.Status, "_FAILED") && !e.IsStack() && !strings.Contains(e.Reason, "cancelled") {
				cause = &e
			}
			if e.IsStack() {
				told = e.Status
			}
			tell(e)
			after, n = e.ID, 0
		}
		switch {
		case state.busy():
		case told != state.Status && state.Status != "DELETE_COMPLETE" && n < patience:
			// The state is still that from before, or the last event can't be seen yet.
		case slices.Contains([]string{"CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE", "IMPORT_COMPLETE"}, state.Status):
			return state, nil
		case state.Status == "" || state.Status == "REVIEW_IN_PROGRESS":
			return state, nil
		default:
			return state, &Failed{k.Name, state.Status, cause}
		}
		if err := k.Wait(ctx, interval(n)); err != nil {
			return state, &Unattended{k.Name, err}
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
	next, pages := "", awsapi.Pages{Most: awsapi.MostPages}
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
		if err := pages.Next("CloudFormation", "DescribeStackEvents", next); err != nil {
			return nil, err
		}
	}
}
