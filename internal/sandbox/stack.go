package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Stack is one of CloudFormation. It goes on by itself: whatever request comes, the steps that are due by then are done first.
type Stack struct {
	Name         string          `json:"name"`
	ID           string          `json:"id"`
	Description  string          `json:"description,omitempty"`
	Status       string          `json:"status"`
	StatusReason string          `json:"statusReason,omitempty"`
	Created      time.Time       `json:"created"`
	Template     string          `json:"template,omitempty"` // the last that was made whole
	Target       string          `json:"target,omitempty"`   // what is being made
	Operation    string          `json:"operation,omitempty"`
	NextAt       time.Time       `json:"nextAt"`
	Resources    []StackResource `json:"resources,omitempty"`
	Garbage      []StackResource `json:"garbage,omitempty"` // was replaced; goes when the rest is done
	Outputs      []StackOutput   `json:"outputs,omitempty"`
	Events       []StackEvent    `json:"events,omitempty"`
	ChangeSets   []ChangeSet     `json:"changeSets,omitempty"`
	Tags         []StackTag      `json:"tags,omitempty"`
}

// StackResource is a thing that a stack has made.
type StackResource struct {
	LogicalID  string            `json:"logicalId"`
	PhysicalID string            `json:"physicalId"`
	Type       string            `json:"type"`
	Status     string            `json:"status"`
	Reason     string            `json:"reason,omitempty"`
	Changed    time.Time         `json:"changed"`
	Properties json.RawMessage   `json:"properties"` // as they were when it was made, without references
	Attributes map[string]string `json:"attributes,omitempty"`
	Retain     bool              `json:"retain,omitempty"`
}

// StackOutput is a named result.
type StackOutput struct {
	Key   string `json:"key" xml:"OutputKey"`
	Value string `json:"value" xml:"OutputValue"`
	About string `json:"about,omitempty" xml:"Description,omitempty"`
}

// StackTag is a tag of the stack.
type StackTag struct {
	Key   string `json:"key" xml:"Key"`
	Value string `json:"value" xml:"Value"`
}

// StackEvent is a line of a stack's history.
type StackEvent struct {
	ID         string    `json:"id" xml:"EventId"`
	StackID    string    `json:"stackId" xml:"StackId"`
	StackName  string    `json:"stackName" xml:"StackName"`
	LogicalID  string    `json:"logicalId" xml:"LogicalResourceId"`
	PhysicalID string    `json:"physicalId" xml:"PhysicalResourceId"`
	Type       string    `json:"type" xml:"ResourceType"`
	Status     string    `json:"status" xml:"ResourceStatus"`
	Reason     string    `json:"reason,omitempty" xml:"ResourceStatusReason,omitempty"`
	Time       time.Time `json:"time" xml:"Timestamp"`
}

// stepTime is how long CloudFormation takes for one resource here.
const stepTime = 50 * time.Millisecond

// progress does what is due by now in every stack.
func (s *Sandbox) progress(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := func(k Stack) bool { return k.Operation != "" && !k.NextAt.After(now) }
	if !slices.ContainsFunc(s.world.Stacks, due) {
		return
	}
	w := s.world.clone()
	for i := range w.Stacks {
		for due(w.Stacks[i]) {
			k := &w.Stacks[i]
			at := k.NextAt
			k.NextAt = at.Add(stepTime)
			k.step(w, s, at)
		}
	}
	if err := s.setWorld(w); err != nil && s.requests != nil {
		fmt.Fprintln(s.requests, "writing world.json:", err) // and once more at the next request
	}
}

func (k *Stack) begin(operation, target, status string, now time.Time) {
	if t, err := parseTemplate(target); err == nil { // what a deletion has is none
		k.Description = t.Description
	}
	k.Operation, k.Target, k.NextAt = operation, target, now.Add(stepTime)
	k.status(status, "", now)
}

func (k *Stack) status(status, reason string, at time.Time) {
	k.Status, k.StatusReason = status, reason
	k.event(StackResource{LogicalID: k.Name, PhysicalID: k.ID, Type: "AWS::CloudFormation::Stack"}, status, reason, at)
}

func (k *Stack) event(r StackResource, status, reason string, at time.Time) {
	k.Events = append(k.Events, StackEvent{newUUID(), k.ID, k.Name, r.LogicalID, r.PhysicalID, r.Type, status, reason, at.UTC()})
}

func (k *Stack) resource(id string) *StackResource {
	return find(k.Resources, func(r StackResource) bool { return r.LogicalID == id })
}

// step makes one resource what the target says, or takes one away, or ends the operation.
func (k *Stack) step(w *World, s *Sandbox, at time.Time) {
	m := &maker{w: w, stack: k, now: at, root: s.ca}
	t := new(template)
	if k.Target != "" {
		t, _ = parseTemplate(k.Target) // it was parsed before it became the target
	}
	verb := map[string]string{"CREATE": "CREATE", "UPDATE": "UPDATE", "UPDATE_ROLLBACK": "UPDATE"}[k.Operation]
	for _, id := range t.order() {
		properties, err := m.resolve(t.Resources[id].Properties)
		current := k.resource(id)
		if err == nil && current != nil && sameJSON(current.Properties, properties) {
			continue
		}
		if err == nil {
			err = m.put(id, t.Resources[id], current, properties, at)
		}
		if err != nil {
			k.failed(id, t.Resources[id].Type, verb, err, at)
		}
		return
	}
	if last := len(k.Garbage) - 1; last >= 0 {
		_ = k.drop(m, &k.Garbage[last], at) // CloudFormation lets it lie as well
		k.Garbage = k.Garbage[:last]
		return
	}
	for i := len(k.Resources) - 1; i >= 0; i-- {
		r := &k.Resources[i]
		if _, wanted := t.Resources[r.LogicalID]; wanted {
			continue
		}
		if err := k.drop(m, r, at); err != nil {
			status := map[string]string{"DELETE": "DELETE_FAILED", "ROLLBACK": "ROLLBACK_FAILED", "UPDATE": "UPDATE_ROLLBACK_FAILED", "UPDATE_ROLLBACK": "UPDATE_ROLLBACK_FAILED"}
			k.status(status[k.Operation], "The following resource(s) failed to delete: ["+r.LogicalID+"]. ", at)
			k.Operation = ""
			return
		}
		k.Resources = slices.Delete(k.Resources, i, i+1)
		return
	}
	k.finish(m, t, at)
}

func (k *Stack) finish(m *maker, t *template, at time.Time) {
	operation := k.Operation
	k.Operation, k.Outputs = "", nil
	for _, name := range slices.Sorted(maps.Keys(t.Outputs)) {
		value, err := m.resolve(t.Outputs[name].Value)
		var text string
		if err == nil && json.Unmarshal(value, &text) == nil {
			k.Outputs = append(k.Outputs, StackOutput{name, text, t.Outputs[name].Description})
		}
	}
	if operation == "CREATE" || operation == "UPDATE" {
		k.Template = k.Target
	}
	k.status(operation+"_COMPLETE", "", at)
}

// put makes or changes a resource.
func (m *maker) put(id string, wanted templateResource, current *StackResource, properties json.RawMessage, at time.Time) error {
	kind := resourceTypes()[wanted.Type]
	k := m.stack
	r := StackResource{LogicalID: id, Type: wanted.Type, Properties: properties, Retain: wanted.DeletionPolicy != "" && wanted.DeletionPolicy != "Delete", Changed: at.UTC()}
	verb := "CREATE"
	if current != nil {
		verb, r.PhysicalID, r.Attributes = "UPDATE", current.PhysicalID, current.Attributes
	}
	k.event(r, verb+"_IN_PROGRESS", "", at)
	replaces := current != nil && kind.replaces(current.Properties, properties)
	var err error
	if current != nil && !replaces {
		err = kind.update(m, &r)
	} else {
		err = kind.create(m, &r)
	}
	if err == nil {
		err = m.w.validate()
	}
	if err != nil {
		return err
	}
	if r.Status = verb + "_COMPLETE"; replaces {
		k.Garbage = append(k.Garbage, *current)
	}
	if current != nil {
		*current = r
	} else {
		k.Resources = append(k.Resources, r)
	}
	k.event(r, r.Status, "", at)
	return nil
}

// drop takes a resource away, unless its policy keeps it. One made by an operation that is rolled back is not kept: our templates say
// RetainExceptOnCreate.
func (k *Stack) drop(m *maker, r *StackResource, at time.Time) error {
	if r.Retain && k.Operation != "ROLLBACK" {
		k.event(*r, "DELETE_SKIPPED", "", at)
		return nil
	}
	k.event(*r, "DELETE_IN_PROGRESS", "", at)
	if err := resourceTypes()[r.Type].remove(m, r); err != nil {
		k.event(*r, "DELETE_FAILED", err.Error(), at)
		return err
	}
	k.event(*r, "DELETE_COMPLETE", "", at)
	return nil
}

// failed notes the cause and turns back.
func (k *Stack) failed(id, kind, verb string, err error, at time.Time) {
	reason := fmt.Sprintf("Resource handler returned message: %q (RequestToken: %s, HandlerErrorCode: InvalidRequest)", err.Error(), newUUID())
	r := StackResource{LogicalID: id, Type: kind}
	if current := k.resource(id); current != nil {
		r.PhysicalID = current.PhysicalID
	} else {
		verb = "CREATE"
	}
	k.event(r, verb+"_FAILED", reason, at)
	why := fmt.Sprintf("The following resource(s) failed to %s: [%s]. ", strings.ToLower(verb), id)
	switch k.Operation {
	case "CREATE":
		k.begin("ROLLBACK", "", "ROLLBACK_IN_PROGRESS", at)
		k.StatusReason = why + "Rollback requested by user."
	case "UPDATE":
		k.begin("UPDATE_ROLLBACK", k.Template, "UPDATE_ROLLBACK_IN_PROGRESS", at)
		k.StatusReason = why
	default:
		operation := k.Operation
		k.Operation = ""
		k.status(operation+"_FAILED", why, at)
	}
	k.Events[len(k.Events)-1].Reason = k.StatusReason
}

// sameJSON compares values, not bytes.
func sameJSON(a, b json.RawMessage) bool {
	return bytes.Equal(canonicalJSON(a), canonicalJSON(b))
}

func canonicalJSON(data json.RawMessage) []byte {
	var v any
	if len(data) == 0 || json.Unmarshal(data, &v) != nil {
		return data
	}
	out, err := json.Marshal(v) // sorts the keys
	if err != nil {
		return data
	}
	return out
}
