package sandbox

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CloudFormation's query protocol, for the calls that eks-x509 setup makes.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/Welcome.html

const (
	cfnVersion   = "2010-05-15"
	cfnNamespace = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
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

// cloudformation answers an action with the content of its …Result element.
func (c *call) cloudformation() *response {
	form, err := url.ParseQuery(string(c.wire.body))
	if err != nil {
		return c.cfnError(invalid("%v", err))
	}
	action := form.Get("Action")
	if refusal := c.administer("cloudformation", action); refusal != nil {
		return c.cfnError(refusal)
	}
	answer := map[string]func(*World, url.Values) (any, error){
		"CreateChangeSet":                   c.createChangeSet,
		"DescribeChangeSet":                 c.describeChangeSet,
		"ExecuteChangeSet":                  c.executeChangeSet,
		"DeleteChangeSet":                   c.deleteChangeSet,
		"DescribeStacks":                    c.describeStacks,
		"DescribeStackEvents":               c.describeStackEvents,
		"DescribeStackResources":            c.describeStackResources,
		"DeleteStack":                       c.deleteStack,
		"GetTemplate":                       c.getTemplate,
		"DetectStackDrift":                  c.detectDrift,
		"DescribeStackDriftDetectionStatus": c.driftStatus,
		"DescribeStackResourceDrifts":       c.describeDrifts,
	}[action]
	if answer == nil {
		return c.cfnError(refuse(http.StatusBadRequest, "InvalidAction", "Could not find operation "+action+" for version "+cfnVersion, "action %q", action))
	}
	var result any
	err = c.s.change(func(w *World) error {
		var err error
		result, err = answer(w, form)
		return err
	})
	var refusal *Refusal
	if err != nil && !errors.As(err, &refusal) {
		refusal = refuse(http.StatusBadRequest, "ValidationError", err.Error(), "%v", err)
	}
	if refusal != nil {
		return c.cfnError(refusal)
	}
	return xmlResponse(http.StatusOK, cfnAnswer{xml.Name{Space: cfnNamespace, Local: action + "Response"}, cfnResult{action + "Result", result}, stsMetadata{c.id}})
}

type cfnAnswer struct {
	XMLName  xml.Name
	Result   cfnResult
	Metadata stsMetadata `xml:"ResponseMetadata"`
}

// cfnResult is an element that is named after the action.
type cfnResult struct {
	name  string
	value any
}

func (r cfnResult) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	start.Name.Local = r.name
	if r.value == nil {
		r.value = struct{}{}
	}
	return e.EncodeElement(r.value, start)
}

// cfnError is STS's form in another namespace.
func (c *call) cfnError(r *Refusal) *response {
	c.refused(r)
	return xmlResponse(r.Status, struct {
		XMLName   xml.Name
		Error     stsErrorDetail
		RequestID string `xml:"RequestId"`
	}{xml.Name{Space: cfnNamespace, Local: "ErrorResponse"}, stsErrorDetail{"Sender", r.Code, r.Message}, c.id})
}

// stackOf finds by name, or by ID: only by that a stack that is deleted.
func (w *World) stackOf(nameOrID string) *Stack {
	return find(w.Stacks, func(k Stack) bool { return k.ID == nameOrID || k.Name == nameOrID && k.Status != "DELETE_COMPLETE" })
}

func noStack(name string) *Refusal {
	return refuse(http.StatusBadRequest, "ValidationError", "Stack with id "+name+" does not exist", "no stack %q", name)
}

var (
	stackName     = lazy(`^[A-Za-z][A-Za-z0-9-]{0,127}$`)
	changeSetName = lazy(`^[A-Za-z][A-Za-z0-9-]{0,127}$`)
)

// inProgress says whether CloudFormation would refuse to start anything.
func (k *Stack) inProgress() bool {
	return strings.HasSuffix(k.Status, "_IN_PROGRESS") && k.Status != "REVIEW_IN_PROGRESS"
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

// values are the members of a list.
func values(form url.Values, prefix string) []string {
	var found []string
	for i := 1; form.Has(prefix + strconv.Itoa(i)); i++ {
		found = append(found, form.Get(prefix+strconv.Itoa(i)))
	}
	return found
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

type stackView struct {
	StackName         string
	StackID           string `xml:"StackId"`
	Description       string `xml:",omitempty"`
	CreationTime      string
	StackStatus       string
	StackStatusReason string        `xml:",omitempty"`
	Outputs           []StackOutput `xml:"Outputs>member"`
	Tags              []StackTag    `xml:"Tags>member"`
}

func (c *call) describeStacks(w *World, form url.Values) (any, error) {
	name := form.Get("StackName")
	type stacks struct {
		Stacks []stackView `xml:"Stacks>member"`
	}
	var all stacks
	for _, k := range w.Stacks {
		if name == "" && k.Status != "DELETE_COMPLETE" || name == k.ID || name == k.Name && k.Status != "DELETE_COMPLETE" {
			all.Stacks = append(all.Stacks, stackView{k.Name, k.ID, k.Description, stamp(k.Created), k.Status, k.StatusReason, k.Outputs, k.Tags})
		}
	}
	if name != "" && len(all.Stacks) == 0 {
		return nil, noStack(name)
	}
	return all, nil
}

func (c *call) describeStackEvents(w *World, form url.Values) (any, error) {
	k := w.stackOf(form.Get("StackName"))
	if k == nil {
		return nil, refuse(http.StatusBadRequest, "ValidationError", "Stack ["+form.Get("StackName")+"] does not exist", "no stack %q", form.Get("StackName"))
	}
	newest := slices.Clone(k.Events)
	slices.Reverse(newest)
	const page = 20
	from, _ := strconv.Atoi(form.Get("NextToken"))
	from = min(max(from, 0), len(newest))
	to := min(from+page, len(newest))
	next := ""
	if to < len(newest) {
		next = strconv.Itoa(to)
	}
	return struct {
		Events    []StackEvent `xml:"StackEvents>member"`
		NextToken string       `xml:",omitempty"`
	}{newest[from:to], next}, nil
}

func (c *call) describeStackResources(w *World, form url.Values) (any, error) {
	k := w.stackOf(form.Get("StackName"))
	if k == nil {
		return nil, noStack(form.Get("StackName"))
	}
	type resource struct {
		LogicalID  string `xml:"LogicalResourceId"`
		PhysicalID string `xml:"PhysicalResourceId"`
		Type       string `xml:"ResourceType"`
		Status     string `xml:"ResourceStatus"`
		Changed    string `xml:"Timestamp"`
	}
	var all []resource
	for _, r := range k.Resources {
		all = append(all, resource{r.LogicalID, r.PhysicalID, r.Type, r.Status, stamp(r.Changed)})
	}
	return struct {
		Resources []resource `xml:"StackResources>member"`
	}{all}, nil
}

func (c *call) deleteStack(w *World, form url.Values) (any, error) {
	k := w.stackOf(form.Get("StackName"))
	if k == nil || k.Status == "DELETE_COMPLETE" {
		return nil, nil // as AWS: it is not there
	}
	if k.Operation == "DELETE" {
		return nil, nil
	}
	k.ChangeSets = nil
	k.begin("DELETE", "", "DELETE_IN_PROGRESS", c.now)
	return nil, nil
}

func (c *call) getTemplate(w *World, form url.Values) (any, error) {
	k := w.stackOf(form.Get("StackName"))
	if k == nil || k.Template == "" {
		return nil, noStack(form.Get("StackName"))
	}
	return struct{ TemplateBody string }{k.Template}, nil
}

func (c *call) detectDrift(w *World, form url.Values) (any, error) {
	k := w.stackOf(form.Get("StackName"))
	if k == nil {
		return nil, noStack(form.Get("StackName"))
	}
	if k.inProgress() {
		return nil, fmt.Errorf("Drift detection cannot be performed on stack [%s] in status %s", k.ID, k.Status) //nolint:staticcheck // AWS's words
	}
	return struct {
		ID string `xml:"StackDriftDetectionId"`
	}{k.ID[strings.LastIndex(k.ID, "/")+1:]}, nil
}

func (c *call) driftStatus(w *World, form url.Values) (any, error) {
	id := form.Get("StackDriftDetectionId")
	k := find(w.Stacks, func(k Stack) bool { return strings.HasSuffix(k.ID, "/"+id) })
	if k == nil || id == "" {
		return nil, fmt.Errorf("Drift detection with id %s does not exist", id) //nolint:staticcheck // AWS's words
	}
	drifted := 0
	for _, d := range k.drifts(w, c) {
		if d.Status != "IN_SYNC" && d.Status != "NOT_CHECKED" {
			drifted++
		}
	}
	return struct {
		StackID         string `xml:"StackId"`
		ID              string `xml:"StackDriftDetectionId"`
		Status          string `xml:"StackDriftStatus"`
		DetectionStatus string
		Drifted         int `xml:"DriftedStackResourceCount"`
		Timestamp       string
	}{k.ID, id, map[bool]string{true: "DRIFTED", false: "IN_SYNC"}[drifted > 0], "DETECTION_COMPLETE", drifted, stamp(c.now)}, nil
}

type driftView struct {
	LogicalID   string            `xml:"LogicalResourceId"`
	PhysicalID  string            `xml:"PhysicalResourceId"`
	Type        string            `xml:"ResourceType"`
	Status      string            `xml:"StackResourceDriftStatus"`
	Differences []driftDifference `xml:"PropertyDifferences>member"`
}

type driftDifference struct {
	Path     string `xml:"PropertyPath"`
	Expected string `xml:"ExpectedValue"`
	Actual   string `xml:"ActualValue"`
	Kind     string `xml:"DifferenceType"`
}

func (k *Stack) drifts(w *World, c *call) []driftView {
	m := &maker{w: w, stack: k, now: c.now, root: c.s.ca}
	var all []driftView
	for i := range k.Resources {
		r := &k.Resources[i]
		d := driftView{LogicalID: r.LogicalID, PhysicalID: r.PhysicalID, Type: r.Type, Status: "NOT_CHECKED"}
		if read := resourceTypes()[r.Type].read; read != nil {
			d.Status = "IN_SYNC"
			now := read(m, r)
			var expected map[string]json.RawMessage
			_ = json.Unmarshal(r.Properties, &expected)
			for _, name := range slices.Sorted(maps.Keys(now)) {
				actual, _ := json.Marshal(now[name])
				if want, ok := expected[name]; ok && !sameJSON(want, actual) {
					d.Status = "MODIFIED"
					d.Differences = append(d.Differences, driftDifference{"/" + name, string(canonicalJSON(want)), string(canonicalJSON(actual)), "NOT_EQUAL"})
				}
			}
			if now == nil {
				d.Status = "DELETED"
			}
		}
		all = append(all, d)
	}
	return all
}

func (c *call) describeDrifts(w *World, form url.Values) (any, error) {
	k := w.stackOf(form.Get("StackName"))
	if k == nil {
		return nil, noStack(form.Get("StackName"))
	}
	return struct {
		Drifts []driftView `xml:"StackResourceDrifts>member"`
	}{k.drifts(w, c)}, nil
}
