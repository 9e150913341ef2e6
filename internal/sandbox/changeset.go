package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// ChangeSet is what would become of a stack.
type ChangeSet struct {
	Name            string        `json:"name"`
	ID              string        `json:"id"`
	Kind            string        `json:"kind"` // CREATE or UPDATE
	Status          string        `json:"status"`
	StatusReason    string        `json:"statusReason,omitempty"`
	ExecutionStatus string        `json:"executionStatus"`
	Template        string        `json:"template"`
	Created         time.Time     `json:"created"`
	Changes         []StackChange `json:"changes,omitempty"`
}

// StackChange is one resource's.
type StackChange struct {
	Action      string         `json:"action" xml:"Action"` // Add, Modify, Remove
	LogicalID   string         `json:"logicalId" xml:"LogicalResourceId"`
	PhysicalID  string         `json:"physicalId,omitempty" xml:"PhysicalResourceId,omitempty"`
	Type        string         `json:"type" xml:"ResourceType"`
	Replacement string         `json:"replacement,omitempty" xml:"Replacement,omitempty"` // True, False, Conditional
	Scope       []string       `json:"scope,omitempty" xml:"Scope>member,omitempty"`
	Details     []ChangeDetail `json:"details,omitempty" xml:"Details>member,omitempty"`
}

// ChangeDetail names a property that changes.
type ChangeDetail struct {
	Target       changeTarget `json:"target" xml:"Target"`
	ChangeSource string       `json:"changeSource" xml:"ChangeSource"`
}

type changeTarget struct {
	Attribute          string `json:"attribute" xml:"Attribute"`
	Name               string `json:"name" xml:"Name"`
	RequiresRecreation string `json:"requiresRecreation" xml:"RequiresRecreation"`
}

func (c *call) createChangeSet(w *World, form url.Values) (any, error) {
	name, kind, set := form.Get("StackName"), form.Get("ChangeSetType"), form.Get("ChangeSetName")
	t, err := parseTemplate(form.Get("TemplateBody"))
	if err != nil {
		return nil, err
	}
	if err := t.capabilities(values(form, "Capabilities.member.")); err != nil {
		return nil, err
	}
	k := w.stackOf(name)
	switch {
	case !changeSetName().MatchString(set):
		return nil, fmt.Errorf("1 validation error detected: Value '%s' at 'changeSetName' failed to satisfy constraint", set)
	case kind == "CREATE" && k == nil:
		if !stackName().MatchString(name) {
			return nil, fmt.Errorf("1 validation error detected: Value '%s' at 'stackName' failed to satisfy constraint", name)
		}
		w.Stacks = append(w.Stacks, Stack{Name: name, ID: c.newARN("cloudformation", "stack/"+name+"/"+newUUID()), Created: c.now.UTC()})
		k = &w.Stacks[len(w.Stacks)-1]
		k.status("REVIEW_IN_PROGRESS", "User Initiated", c.now)
	case k == nil:
		return nil, refuse(http.StatusBadRequest, "ValidationError", "Stack ["+name+"] does not exist", "no stack %q", name)
	case kind == "CREATE" && k.Status != "REVIEW_IN_PROGRESS":
		return nil, fmt.Errorf("Stack [%s] already exists and cannot be created again with the changeSet [%s].", name, set) //nolint:staticcheck // AWS's words
	case kind == "UPDATE" && (k.inProgress() || slices.Contains([]string{"REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED", "CREATE_FAILED", "UPDATE_ROLLBACK_FAILED"}, k.Status)):
		return nil, fmt.Errorf("Stack:%s is in %s state and can not be updated.", k.ID, k.Status) //nolint:staticcheck // AWS's words
	case kind != "CREATE" && kind != "UPDATE":
		return nil, fmt.Errorf("ChangeSetType %q", kind)
	}
	if find(k.ChangeSets, func(s ChangeSet) bool { return s.Name == set }) != nil {
		return nil, refuse(http.StatusBadRequest, "AlreadyExistsException", "ChangeSet "+set+" cannot be created due to a mismatch with existing attribute", "change set %q is there", set)
	}
	k.Tags = nil
	for i := 1; form.Has("Tags.member." + strconv.Itoa(i) + ".Key"); i++ {
		prefix := "Tags.member." + strconv.Itoa(i)
		k.Tags = append(k.Tags, StackTag{form.Get(prefix + ".Key"), form.Get(prefix + ".Value")})
	}
	one := ChangeSet{Name: set, ID: c.newARN("cloudformation", "changeSet/"+set+"/"+newUUID()), Kind: kind, Status: "CREATE_COMPLETE", ExecutionStatus: "AVAILABLE",
		Template: form.Get("TemplateBody"), Created: c.now.UTC()}
	if one.Changes = k.changes(t); len(one.Changes) == 0 && k.Template != "" && !outputsDiffer(k.Template, t) {
		one.Status, one.ExecutionStatus = "FAILED", "UNAVAILABLE"
		one.StatusReason = "The submitted information didn't contain changes. Submit different information to create a change set."
	}
	k.ChangeSets = append(k.ChangeSets, one)
	return struct {
		ID      string `xml:"Id"`
		StackID string `xml:"StackId"`
	}{one.ID, k.ID}, nil
}

func outputsDiffer(old string, t *template) bool {
	before, err := parseTemplate(old)
	if err != nil {
		return true
	}
	a, _ := json.Marshal(before.Outputs)
	b, _ := json.Marshal(t.Outputs)
	return !sameJSON(a, b)
}

// capabilities: whoever makes roles must say that they know.
func (t *template) capabilities(given []string) error {
	need := ""
	for _, r := range t.Resources {
		if r.Type != "AWS::IAM::Role" {
			continue
		}
		var p roleProperties
		if json.Unmarshal(r.Properties, &p) == nil && p.RoleName == "" && need == "" {
			need = "CAPABILITY_IAM"
		} else {
			need = "CAPABILITY_NAMED_IAM"
		}
	}
	if need == "" || slices.Contains(given, need) || slices.Contains(given, "CAPABILITY_NAMED_IAM") {
		return nil
	}
	return refuse(http.StatusBadRequest, "InsufficientCapabilitiesException", "Requires capabilities : ["+need+"]", "given %v", given)
}

// changes are those from what the stack has to the template.
func (k *Stack) changes(t *template) []StackChange {
	old := new(template)
	if k.Template != "" {
		old, _ = parseTemplate(k.Template)
	}
	var all []StackChange
	replaced := map[string]bool{}
	for _, id := range t.order() {
		wanted, is := t.Resources[id], k.resource(id)
		if is == nil {
			all = append(all, StackChange{Action: "Add", LogicalID: id, Type: wanted.Type})
			continue
		}
		change := StackChange{Action: "Modify", LogicalID: id, PhysicalID: is.PhysicalID, Type: wanted.Type, Replacement: "False", Scope: []string{"Properties"}}
		var before, after map[string]json.RawMessage
		_ = json.Unmarshal(old.Resources[id].Properties, &before)
		_ = json.Unmarshal(wanted.Properties, &after)
		kind := resourceTypes()[wanted.Type]
		for _, name := range kind.properties {
			depends := slices.ContainsFunc(references(after[name]), func(n string) bool { return replaced[n] })
			if sameJSON(before[name], after[name]) && !depends {
				continue
			}
			d := ChangeDetail{changeTarget{"Properties", name, "Never"}, "DirectModification"}
			if slices.Contains(kind.createOnly, name) {
				d.Target.RequiresRecreation = "Always"
				if change.Replacement = "True"; depends {
					d.Target.RequiresRecreation, change.Replacement = "Conditionally", "Conditional"
				}
				replaced[id] = true
			}
			if depends {
				d.ChangeSource = "ResourceReference"
			}
			change.Details = append(change.Details, d)
		}
		if len(change.Details) > 0 {
			all = append(all, change)
		}
	}
	for _, r := range k.Resources {
		if _, ok := t.Resources[r.LogicalID]; !ok {
			all = append(all, StackChange{Action: "Remove", LogicalID: r.LogicalID, PhysicalID: r.PhysicalID, Type: r.Type})
		}
	}
	return all
}

// references are the resources that a value refers to.
func references(value json.RawMessage) []string {
	t := template{Resources: map[string]templateResource{"x": {Properties: value}}}
	return t.needs("x")
}

// changeSet finds one by its name or ID.
func (w *World) changeSet(form url.Values) (*Stack, *ChangeSet, error) {
	name := form.Get("ChangeSetName")
	for i := range w.Stacks {
		k := &w.Stacks[i]
		if want := form.Get("StackName"); want != "" && want != k.Name && want != k.ID || k.Status == "DELETE_COMPLETE" {
			continue
		}
		if s := find(k.ChangeSets, func(s ChangeSet) bool { return s.Name == name || s.ID == name }); s != nil {
			return k, s, nil
		}
	}
	return nil, nil, refuse(http.StatusNotFound, "ChangeSetNotFound", "ChangeSet ["+name+"] does not exist", "no change set %q", name)
}

func (c *call) describeChangeSet(w *World, form url.Values) (any, error) {
	k, s, err := w.changeSet(form)
	if err != nil {
		return nil, err
	}
	type change struct {
		Type           string
		ResourceChange StackChange
	}
	var all []change
	for _, one := range s.Changes {
		all = append(all, change{"Resource", one})
	}
	return struct {
		ChangeSetName   string
		ChangeSetID     string `xml:"ChangeSetId"`
		StackName       string
		StackID         string `xml:"StackId"`
		Status          string
		StatusReason    string `xml:",omitempty"`
		ExecutionStatus string
		CreationTime    string
		Changes         []change `xml:"Changes>member"`
	}{s.Name, s.ID, k.Name, k.ID, s.Status, s.StatusReason, s.ExecutionStatus, stamp(s.Created), all}, nil
}

func (c *call) executeChangeSet(w *World, form url.Values) (any, error) {
	k, s, err := w.changeSet(form)
	if err != nil {
		return nil, err
	}
	if s.ExecutionStatus != "AVAILABLE" || k.inProgress() {
		return nil, refuse(http.StatusBadRequest, "InvalidChangeSetStatus", "ChangeSet ["+s.ID+"] cannot be executed in its current status of ["+s.Status+"]", "execution status %s", s.ExecutionStatus)
	}
	target, kind := s.Template, s.Kind
	k.ChangeSets = nil // "deletes all other change sets associated with the stack"; the executed one is of no more use here
	k.begin(kind, target, kind+"_IN_PROGRESS", c.now)
	return nil, nil
}

func (c *call) deleteChangeSet(w *World, form url.Values) (any, error) {
	k, s, err := w.changeSet(form)
	if err != nil {
		if w.stackOf(form.Get("StackName")) != nil {
			return nil, nil // "if the call successfully completes, CloudFormation successfully deleted the change set"
		}
		return nil, err
	}
	id := s.ID
	k.ChangeSets = drop(k.ChangeSets, func(o ChangeSet) bool { return o.ID == id })
	return nil, nil
}

func (c *call) listChangeSets(w *World, form url.Values) (any, error) {
	k := w.stackOf(form.Get("StackName"))
	if k == nil {
		return nil, noStack(form.Get("StackName"))
	}
	type summary struct {
		ChangeSetName   string
		ChangeSetID     string `xml:"ChangeSetId"`
		Status          string
		ExecutionStatus string
	}
	var all []summary
	for _, s := range k.ChangeSets {
		all = append(all, summary{s.Name, s.ID, s.Status, s.ExecutionStatus})
	}
	return struct {
		Summaries []summary `xml:"Summaries>member"`
	}{all}, nil
}
