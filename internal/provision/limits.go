package provision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// AWS's limits, in characters without white space, which IAM does not count, and in bytes.
//
//	https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
//	https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
const (
	maxTrustPolicy  = 2048
	maxInlinePolicy = 10240
	maxTemplate     = 51200   // in a request
	maxTemplateS3   = 1000000 // from S3
)

const splitHint = "split the clusters among several stacks: a file for each, with another stack and role.name"

// checkPolicySizes holds the role's policies against IAM's limits.
func (s *Spec) checkPolicySizes() error {
	for _, p := range []struct {
		key, what string
		policy    *yaml.Node
		most      int
		hint      string
	}{
		{"role", "its trust policy", s.trustPolicy(), maxTrustPolicy,
			`name fewer values in role.subject and role.san, match several by one pattern ("*.example.com") or by an OU, or make a stack for each group of people`},
		{"clusters", "the role's policy for them", s.rolePolicy(), maxInlinePolicy, splitHint},
	} {
		n, err := policySize(p.policy)
		if err != nil {
			return err
		}
		if n > p.most {
			return &Invalid{Key: p.key, Hint: p.hint, Err: fmt.Errorf("%s would be %d characters long without white space, and IAM accepts %d", p.what, n, p.most)}
		}
	}
	return nil
}

// policySize counts the characters of a policy as IAM does, with what CloudFormation puts in.
func policySize(policy *yaml.Node) (int, error) {
	var value any
	if err := policy.Decode(&value); err != nil {
		return 0, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(resolved(value)); err != nil {
		return 0, err
	}
	n := 0
	for _, r := range b.String() {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	return n, nil
}

// resolved puts examples of the usual length in the place of what CloudFormation resolves: the stack's region is not known here.
func resolved(value any) any {
	const region, account, uuid = "ap-southeast-1", "123456789012", "00000000-0000-4000-8000-000000000000"
	switch v := value.(type) {
	case []any:
		for i := range v {
			v[i] = resolved(v[i])
		}
	case map[string]any:
		if text, ok := v["Fn::Sub"].(string); ok {
			return strings.NewReplacer("${AWS::Partition}", "aws", "${AWS::Region}", region, "${AWS::AccountId}", account).Replace(text)
		}
		if v["Fn::GetAtt"] != nil { // of a policy: the trust anchor's ARN
			return "arn:aws:rolesanywhere:" + region + ":" + account + ":trust-anchor/" + uuid
		}
		for key := range v {
			v[key] = resolved(v[key])
		}
	}
	return value
}

// TooLong is a template that CloudFormation does not accept in a request.
type TooLong struct{ Size int }

func (e *TooLong) Error() string {
	return fmt.Sprintf("the template is %d bytes long, and CloudFormation accepts %d in a request", e.Size, maxTemplate)
}

// Hint says what to do.
func (e *TooLong) Hint() string {
	return splitHint + "; or write it to a file with setup template, and create the stack from a copy in S3 (aws cloudformation create-change-set --template-url)"
}

// CheckTemplate is for a template that is sent in a request.
func CheckTemplate(template []byte) error {
	if len(template) > maxTemplate {
		return &TooLong{len(template)}
	}
	return nil
}

// checkTemplateSize is for every template: CloudFormation accepts longer ones from S3.
func checkTemplateSize(template []byte) error {
	if len(template) > maxTemplateS3 {
		return &Invalid{Key: "clusters", Hint: splitHint, Err: fmt.Errorf("the template would be %d bytes long, and CloudFormation accepts %d, from S3", len(template), maxTemplateS3)}
	}
	return nil
}
