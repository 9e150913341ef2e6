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
	ID, Status, Reason string
	Description        string // of the template
	Outputs            map[string]string
}

// Describe asks how the stack is, by its name or ID.
func (k Stack) Describe(ctx context.Context, nameOrID string) (State, error) {
	var out struct {
		Stacks []struct {
			ID          string `xml:"StackId"`
			Status      string `xml:"StackStatus"`
			Reason      string `xml:"StackStatusReason"`
			Description string
			Outputs     []struct {
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
	s := State{found.ID, found.Status, found.Reason, found.Description, map[string]string{}}
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

// ruined says that the stack can only be deleted.
func (s State) ruined() bool {
	return slices.Contains([]string{"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"}, s.Status)
}

// Foreign is a stack that setup did not make, and so neither changes nor deletes.
type Foreign struct{ Stack string }

func (e *Foreign) Error() string {
	return fmt.Sprintf("stack %q was not made by eks-x509 setup, and is left alone", e.Stack)
}

// Own makes sure that the stack is one of ours, by its template's description.
func (k Stack) Own(ctx context.Context, s State) error {
	if s.ID == "" || strings.Contains(s.Description, mark) {
		return nil
	}
	if s.Status == "REVIEW_IN_PROGRESS" { // a name with change sets, and nothing more
		names, err := k.changeSets(ctx, s.ID)
		if err != nil || !slices.ContainsFunc(names, func(name string) bool { return !strings.HasPrefix(name, changeSetPrefix) }) {
			return err
		}
	}
	return &Foreign{k.Name}
}

// Busy is a stack that can't be planned now.
type Busy struct{ Stack, Status string }

func (e *Busy) Error() string { return fmt.Sprintf("stack %q is %s", e.Stack, e.Status) }

// Dialog is with the person at whose wish a stack changes.
type Dialog struct {
	Tell    func(Event)
	Clear   func(State) error    // may what is left of a failed stack be deleted?
	Confirm func([]Change) error // may this be done?
}

// Apply makes the stack what the template says, or goes on with what was begun.
// It returns the state reached, and the changes made.
func (k Stack) Apply(ctx context.Context, template []byte, tags map[string]string, with Dialog) (State, []Change, error) {
	state, err := k.settle(ctx, with)
	if err != nil {
		return state, nil, err
	}
	set, err := k.propose(ctx, state, template, tags)
	if err != nil {
		return state, nil, err
	}
	if set == nil {
		state, err = k.Describe(ctx, k.Name)
		return state, nil, err
	}
	if err := with.Confirm(set.changes); err != nil {
		return state, nil, errors.Join(err, k.withdraw(ctx, state, set))
	}
	last, err := k.lastEvent(ctx, set.stackID)
	if err != nil {
		return state, nil, err
	}
	in := url.Values{"ChangeSetName": {set.id}, "ClientRequestToken": {set.id[strings.LastIndex(set.id, "/")+1:]}}
	if err := k.Client.CloudFormation(ctx, "ExecuteChangeSet", in, nil); err != nil {
		return state, nil, k.begun(err)
	}
	state, err = k.follow(ctx, set.stackID, last, with.Tell)
	return state, set.changes, err
}

// settle brings the stack to where it takes a change set: it waits for what goes
// on, and clears away what failed.
func (k Stack) settle(ctx context.Context, with Dialog) (State, error) {
	state, err := k.Describe(ctx, k.Name)
	if err != nil {
		return state, err
	}
	if err := k.Own(ctx, state); err != nil {
		return state, err
	}
	if state, err = k.Rest(ctx, state, with.Tell); err != nil {
		return state, err
	}
	switch {
	case state.Status == "UPDATE_ROLLBACK_FAILED": // takes no update before this
		state, err = k.do(ctx, "ContinueUpdateRollback", state, with.Tell)
		if state.Status == "UPDATE_ROLLBACK_COMPLETE" {
			err = nil
		}
		return state, err
	case state.Status == "ROLLBACK_COMPLETE": // holds nothing
		return k.delete(ctx, state, with.Tell)
	case state.ruined():
		if err := with.Clear(state); err != nil {
			return state, err
		}
		return k.delete(ctx, state, with.Tell)
	}
	return state, nil
}

// Rest waits until CloudFormation is no longer at work on the stack. What that
// comes to is no matter: a change that failed is what the next begins from.
func (k Stack) Rest(ctx context.Context, state State, tell func(Event)) (State, error) {
	if !state.busy() {
		return state, nil
	}
	state, err := k.follow(ctx, state.ID, "", tell)
	if err != nil && !isFailed(err) {
		return state, err
	}
	if state.Status == "DELETE_COMPLETE" {
		state = State{}
	}
	return state, nil
}

// do does something to the whole stack and waits for it.
func (k Stack) do(ctx context.Context, action string, state State, tell func(Event)) (State, error) {
	last, err := k.lastEvent(ctx, state.ID)
	if err != nil {
		return state, err
	}
	in := url.Values{"StackName": {state.ID}, "ClientRequestToken": {fmt.Sprintf("%s%d", changeSetPrefix, k.Client.Now().UnixNano())}}
	if err := k.Client.CloudFormation(ctx, action, in, nil); err != nil {
		return state, k.begun(err)
	}
	return k.follow(ctx, state.ID, last, tell)
}

func (k Stack) delete(ctx context.Context, state State, tell func(Event)) (State, error) {
	state, err := k.do(ctx, "DeleteStack", state, tell)
	if err == nil && state.Status == "DELETE_COMPLETE" {
		state = State{}
	}
	return state, err
}

// Delete deletes the stack, if there is one and it is ours, and waits for it.
func (k Stack) Delete(ctx context.Context, tell func(Event)) error {
	state, err := k.Describe(ctx, k.Name)
	if err != nil {
		return err
	}
	if err := k.Own(ctx, state); err != nil {
		return err
	}
	if state, err = k.Rest(ctx, state, tell); err != nil || state.ID == "" {
		return err
	}
	_, err = k.delete(ctx, state, tell)
	return err
}
