package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// template is a CloudFormation template: resources and outputs, with Ref, Fn::GetAtt and Fn::Sub in their long forms. Anything else of
// the language is refused.
//
//	https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html
type template struct {
	Version     string                      `json:"AWSTemplateFormatVersion"`
	Description string                      `json:"Description"`
	Metadata    any                         `json:"Metadata"`
	Resources   map[string]templateResource `json:"Resources"`
	Outputs     map[string]templateOutput   `json:"Outputs"`
}

type templateResource struct {
	Type                string          `json:"Type"`
	Properties          json.RawMessage `json:"Properties"`
	DependsOn           oneOrMany       `json:"DependsOn"`
	DeletionPolicy      string          `json:"DeletionPolicy"`
	UpdateReplacePolicy string          `json:"UpdateReplacePolicy"`
	Metadata            any             `json:"Metadata"`
}

type templateOutput struct {
	Description string          `json:"Description"`
	Value       json.RawMessage `json:"Value"`
}

var logicalID = lazy(`^[A-Za-z0-9]{1,255}$`)

// parseTemplate takes YAML, of which JSON is a part.
func parseTemplate(text string) (*template, error) {
	const most = 51200 // bytes of a TemplateBody
	if len(text) > most {
		return nil, fmt.Errorf("template of %d bytes, at most %d", len(text), most)
	}
	var tree yaml.Node
	if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
		return nil, fmt.Errorf("template format error: %w", err)
	}
	if err := plainTags(&tree); err != nil {
		return nil, err
	}
	var plain any
	if err := tree.Decode(&plain); err != nil {
		return nil, fmt.Errorf("template format error: %w", err)
	}
	data, err := json.Marshal(plain)
	if err != nil {
		return nil, fmt.Errorf("template format error: %w", err)
	}
	t := new(template)
	if err := strictJSON(data, t); err != nil {
		return nil, fmt.Errorf("template format error: %w", err)
	}
	return t, t.check()
}

func plainTags(n *yaml.Node) error {
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		return fmt.Errorf("the sandbox does not know the short form %s: write it long", n.Tag)
	}
	for _, c := range n.Content {
		if err := plainTags(c); err != nil {
			return err
		}
	}
	return nil
}

func (t *template) check() error {
	if len(t.Resources) == 0 {
		return errors.New("template format error: At least one Resources member must be defined")
	}
	for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
		r := t.Resources[id]
		kind, ok := resourceTypes()[r.Type]
		if !ok {
			return fmt.Errorf("template format error: unrecognized resource type %q (the sandbox knows those of eks-x509's own templates)", r.Type)
		}
		if !logicalID().MatchString(id) {
			return fmt.Errorf("template format error: resource name %q is non alphanumeric", id)
		}
		switch r.DeletionPolicy {
		case "", "Delete", "Retain", "RetainExceptOnCreate":
		default:
			return fmt.Errorf("template format error: unrecognized DeletionPolicy %q", r.DeletionPolicy)
		}
		if err := noDynamicReference(r.Properties); err != nil {
			return err
		}
		var given map[string]json.RawMessage
		if err := json.Unmarshal(r.Properties, &given); err != nil {
			return fmt.Errorf("template format error: properties of %s are no object", id)
		}
		for name := range given {
			if !slices.Contains(kind.properties, name) {
				return fmt.Errorf("template error: encountered unsupported property %s of %s", name, id)
			}
		}
		for _, name := range kind.required {
			if _, ok := given[name]; !ok {
				return fmt.Errorf("template error: property %s of %s cannot be empty", name, id)
			}
		}
		for _, other := range t.needs(id) {
			if _, ok := t.Resources[other]; !ok {
				return fmt.Errorf("template error: instance of %s references undefined resource %s", id, other)
			}
		}
	}
	if len(t.order()) != len(t.Resources) {
		return errors.New("template error: circular dependency between resources")
	}
	return nil
}

var (
	refPattern = lazy(`"Ref":\s*"([A-Za-z0-9]+)"`)
	getPattern = lazy(`"Fn::GetAtt":\s*(?:\[\s*"([A-Za-z0-9]+)"|"([A-Za-z0-9]+)\.)`)
	subPattern = lazy(`\$\{([A-Za-z0-9]+)(?:\.[A-Za-z0-9.]+)?\}`)
)

// needs are the resources that one refers to.
func (t *template) needs(id string) []string {
	r := t.Resources[id]
	found := slices.Clone([]string(r.DependsOn))
	add := func(p *regexp.Regexp) {
		for _, m := range p.FindAllStringSubmatch(string(r.Properties), -1) {
			found = append(found, strings.Join(m[1:], ""))
		}
	}
	add(refPattern())
	add(getPattern())
	if strings.Contains(string(r.Properties), `"Fn::Sub"`) {
		add(subPattern())
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// order is the resources, each after those that it needs; those of a circle are left out.
func (t *template) order() []string {
	var done []string
	for {
		before := len(done)
		for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
			ready := !slices.ContainsFunc(t.needs(id), func(n string) bool { return !slices.Contains(done, n) })
			if ready && !slices.Contains(done, id) {
				done = append(done, id)
			}
		}
		if len(done) == before {
			return done
		}
	}
}

// resolve puts in what Ref, Fn::GetAtt and Fn::Sub stand for.
func (m *maker) resolve(data json.RawMessage) (json.RawMessage, error) {
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, err
	}
	v, err := m.value(v)
	if err != nil {
		return nil, err
	}
	resolved, err := json.Marshal(v)
	if err == nil {
		err = noDynamicReference(resolved)
	}
	return resolved, err
}

// noDynamicReference refuses what AWS would replace by a secret or a parameter, of which the sandbox has none. JSON as Marshal writes it
// leaves braces as they are.
//
//	https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html
func noDynamicReference(properties []byte) error {
	if _, after, found := strings.Cut(string(properties), "{{resolve:"); found {
		service, _, _ := strings.Cut(after, ":")
		return fmt.Errorf("template error: dynamic reference to %q: the sandbox has no secrets and no parameters", service[:min(len(service), 20)])
	}
	return nil
}

func (m *maker) value(v any) (any, error) {
	switch v := v.(type) {
	case []any:
		for i := range v {
			var err error
			if v[i], err = m.value(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for key, of := range v {
			if key != "Ref" && !strings.HasPrefix(key, "Fn::") {
				continue
			}
			if len(v) != 1 {
				return nil, fmt.Errorf("template error: %s beside other keys", key)
			}
			return m.intrinsic(key, of)
		}
		for key := range v {
			var err error
			if v[key], err = m.value(v[key]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func (m *maker) intrinsic(name string, of any) (any, error) {
	switch of := of.(type) {
	case string:
		switch name {
		case "Ref":
			return m.ref(of)
		case "Fn::GetAtt":
			return m.ref(of)
		case "Fn::Sub":
			var failed error
			text := regexp.MustCompile(`\$\{(!?[^}]+)\}`).ReplaceAllStringFunc(of, func(s string) string {
				inner := s[2 : len(s)-1]
				if literal, ok := strings.CutPrefix(inner, "!"); ok { // ${!x} is ${x} as it stands
					return "${" + literal + "}"
				}
				value, err := m.ref(inner)
				if err != nil {
					failed = err
				}
				return value
			})
			return text, failed
		}
	case []any:
		if len(of) == 2 && name == "Fn::GetAtt" {
			return m.ref(fmt.Sprint(of[0], ".", of[1]))
		}
	}
	return nil, fmt.Errorf("template error: the sandbox does not know this %s", name)
}

// ref is a pseudo parameter, a resource's own reference, or with a dot one of its attributes.
func (m *maker) ref(name string) (string, error) {
	switch name {
	case "AWS::Partition":
		return partitionOf(m.w.Region).id, nil
	case "AWS::Region":
		return m.w.Region, nil
	case "AWS::AccountId":
		return m.w.Account, nil
	case "AWS::StackName":
		return m.stack.Name, nil
	case "AWS::StackId":
		return m.stack.ID, nil
	case "AWS::URLSuffix":
		return partitionOf(m.w.Region).dns, nil
	}
	id, attribute, dotted := strings.Cut(name, ".")
	r := m.stack.resource(id)
	if r == nil {
		return "", fmt.Errorf("template error: %s is not there", id)
	}
	if !dotted {
		return r.PhysicalID, nil
	}
	value, ok := r.Attributes[attribute]
	if !ok {
		return "", fmt.Errorf("template error: resource %s does not support attribute type %s", id, attribute)
	}
	return value, nil
}
