package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// The part of IAM's policy language that trust policies for Roles Anywhere, and the policies of their roles, are written in. Whatever
// else a policy holds is an error: to ignore it would be to grant what AWS would not.
//
//	https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
//	https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html

type policy struct {
	Version    string     `json:"Version"`
	ID         string     `json:"Id"`
	Statements statements `json:"Statement"`
}

type statements []statement

type statement struct {
	SID       string                          `json:"Sid"`
	Effect    string                          `json:"Effect"`
	Principal map[string]oneOrMany            `json:"Principal"`
	Action    oneOrMany                       `json:"Action"`
	Resource  oneOrMany                       `json:"Resource"`
	Condition map[string]map[string]oneOrMany `json:"Condition"`
}

// oneOrMany is a string or a list of strings.
type oneOrMany []string

func (o *oneOrMany) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*o = oneOrMany{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(o))
}

func (s *statements) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		*s = make(statements, 1)
		return strictJSON(data, &(*s)[0])
	}
	return strictJSON(data, (*[]statement)(s))
}

// strictJSON wants one value, and no key that v does not have.
func strictJSON(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

// parsePolicy reads a trust policy, whose statements have principals, or another one, whose statements have resources.
func parsePolicy(data []byte, trust bool) (*policy, error) {
	p := new(policy)
	if err := strictJSON(data, p); err != nil {
		return nil, fmt.Errorf("malformed policy: %w", err)
	}
	if p.Version != "2012-10-17" || len(p.Statements) == 0 {
		return nil, fmt.Errorf("malformed policy: version %q, %d statements", p.Version, len(p.Statements))
	}
	for i, s := range p.Statements {
		if err := s.check(trust); err != nil {
			return nil, fmt.Errorf("malformed policy: statement %d: %w", i+1, err)
		}
	}
	return p, nil
}

func (s *statement) check(trust bool) error {
	switch {
	case s.Effect != "Allow" && s.Effect != "Deny":
		return fmt.Errorf("effect %q", s.Effect)
	case len(s.Action) == 0:
		return errors.New("no action")
	case trust && (len(s.Principal) == 0 || len(s.Resource) > 0), !trust && (len(s.Principal) > 0 || len(s.Resource) == 0):
		return errors.New("a trust policy has principals, any other policy has resources")
	}
	for operator, keys := range s.Condition {
		if _, err := parseOperator(operator); err != nil {
			return err
		}
		for key, values := range keys {
			if len(values) == 0 {
				return fmt.Errorf("no value for %s of %q", operator, key)
			}
		}
	}
	return nil
}

// request is what a policy is asked about. Keys of the context are in lower case, as they are compared.
type policyRequest struct {
	service, action, resource string
	context                   map[string]string
}

// allows says whether the policy allows it. A Deny wins over every Allow.
func (p *policy) allows(r policyRequest) bool {
	allowed := false
	for _, s := range p.Statements {
		if !s.applies(r) {
			continue
		}
		if s.Effect == "Deny" {
			return false
		}
		allowed = true
	}
	return allowed
}

func (s *statement) applies(r policyRequest) bool {
	if s.Principal != nil && !slices.Contains(s.Principal["Service"], r.service) {
		return false
	}
	if !slices.ContainsFunc(s.Action, func(a string) bool { return wildcard(strings.ToLower(a), strings.ToLower(r.action)) }) {
		return false
	}
	if s.Resource != nil && !slices.ContainsFunc(s.Resource, func(a string) bool { return wildcard(a, r.resource) }) {
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(s.Condition)) {
		o, err := parseOperator(name)
		if err != nil {
			return false // check has refused it
		}
		for key, values := range s.Condition[name] {
			if !o.holds(key, values, r.context) {
				return false
			}
		}
	}
	return true
}

// operator of a condition.
type operator struct {
	arn, like, ifExists, anyValue bool
}

func parseOperator(name string) (o operator, err error) {
	rest := name
	rest, o.anyValue = strings.CutPrefix(rest, "ForAnyValue:")
	rest, o.ifExists = strings.CutSuffix(rest, "IfExists")
	switch rest {
	case "StringEquals":
	case "StringLike":
		o.like = true
	case "ArnEquals", "ArnLike": // "behave identically"
		o.arn = true
	default:
		return o, fmt.Errorf("the sandbox does not know the condition operator %q", name)
	}
	return o, nil
}

// holds compares the request's value of a key with any of those in the policy.
func (o operator) holds(key string, values []string, context map[string]string) bool {
	got, ok := context[strings.ToLower(key)]
	if !ok {
		return o.ifExists && !o.anyValue // "ForAnyValue: … if there are no keys, returns false"
	}
	return slices.ContainsFunc(values, func(want string) bool {
		want, ok := expand(want, context)
		switch {
		case !ok:
			return false
		case o.arn:
			return arnLike(want, got)
		case o.like:
			return wildcard(want, got)
		}
		return want == got
	})
}

// expand puts in what ${key} stands for; a key that the request does not have lets nothing match.
func expand(value string, context map[string]string) (string, bool) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(value, "${")
		b.WriteString(before)
		if !ok {
			return b.String(), true
		}
		key, after, ok := strings.Cut(rest, "}")
		if !ok {
			return "", false
		}
		found, known := context[strings.ToLower(key)]
		if !known {
			return "", false
		}
		b.WriteString(found)
		value = after
	}
}

// arnLike compares the six parts of an ARN each by itself: a * does not go over a colon.
func arnLike(pattern, value string) bool {
	p, v := strings.SplitN(pattern, ":", 6), strings.SplitN(value, ":", 6)
	if len(p) != 6 || len(v) != 6 {
		return false
	}
	for i := range p {
		if !wildcard(p[i], v[i]) {
			return false
		}
	}
	return true
}

// wildcard matches * with any characters and ? with one.
func wildcard(pattern, value string) bool {
	p, v := []rune(pattern), []rune(value)
	star, mark, i, j := -1, 0, 0, 0
	for j < len(v) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == v[j]):
			i++
			j++
		case star >= 0: // let the last * take one more
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}
