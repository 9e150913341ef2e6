package sandbox

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// CloudFormation's query protocol, for the calls that eks-x509 setup makes.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/Welcome.html

const (
	cfnVersion   = "2010-05-15"
	cfnNamespace = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
)

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
		"ListChangeSets":                    c.listChangeSets,
		"ContinueUpdateRollback":            c.continueUpdateRollback,
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

// values are the members of a list.
func values(form url.Values, prefix string) []string {
	var found []string
	for i := 1; form.Has(prefix + strconv.Itoa(i)); i++ {
		found = append(found, form.Get(prefix+strconv.Itoa(i)))
	}
	return found
}

// continueUpdateRollback: to the template that was made whole last.
func (c *call) continueUpdateRollback(w *World, form url.Values) (any, error) {
	k := w.stackOf(form.Get("StackName"))
	if k == nil {
		return nil, noStack(form.Get("StackName"))
	}
	if k.Status != "UPDATE_ROLLBACK_FAILED" {
		return nil, fmt.Errorf("Stack:%s is in %s state and can not continue to rollback.", k.ID, k.Status) //nolint:staticcheck // AWS's words
	}
	k.begin("UPDATE_ROLLBACK", k.Template, "UPDATE_ROLLBACK_IN_PROGRESS", c.now)
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
