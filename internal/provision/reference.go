package provision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// CloudFormation replaces {{resolve:…}} with a secret or a parameter of the
// account, in whatever property it stands: a value of access.yaml, or a name in
// a certificate, could publish one as a tag. So no text may hold {{, except for
// the placeholders that EKS replaces in the names of an access entry.
//
//	https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html

const opening = "{{"

// placeholders are those of EKS and aws-iam-authenticator.
func placeholders() []string {
	return []string{"{{SessionName}}", "{{SessionNameRaw}}", "{{AccountID}}", "{{AccessKeyID}}"}
}

// withoutPlaceholders puts the text around them together: two halves of an
// opening must not pass because one stands between them.
func withoutPlaceholders(text string) string {
	var pairs []string
	for _, p := range placeholders() {
		pairs = append(pairs, p, "")
	}
	return strings.NewReplacer(pairs...).Replace(text) // once: what comes together is not replaced again
}

// checkReferences looks at all texts of the spec, by their keys in access.yaml.
func (s *Spec) checkReferences() error {
	var root yaml.Node
	if err := root.Encode(s); err != nil {
		return err
	}
	bundle := ""
	if bytes.Contains(s.CA.BundlePEM, []byte("-----BEGIN")) { // what is around the certificates goes nowhere; DER may hold anything
		bundle = string(s.CA.BundlePEM)
	}
	for _, file := range []struct{ key, text string }{{"ca.bundle", bundle}, {"profile.sessionPolicy", string(s.Profile.SessionPolicyJSON)}} {
		if hasReference(file.text) {
			return refuseReference(file.key)
		}
	}
	return eachText(&root, nil, func(path []string, text string) error {
		last := path[len(path)-1]
		if path[0] == "clusters" && (last == ".username" || slices.Contains(path, ".groups")) {
			text = withoutPlaceholders(text)
		}
		if hasReference(text) {
			return refuseReference(strings.Join(path, ""))
		}
		return nil
	})
}

// refuseReferences looks at all texts of a template, whatever they were made of.
func refuseReferences(root *yaml.Node) error {
	entries := map[string]bool{}
	_ = eachText(root, nil, func(path []string, text string) error {
		if len(path) == 3 && path[0] == "Resources" && path[2] == ".Type" && text == "AWS::EKS::AccessEntry" {
			entries[path[1]] = true
		}
		return nil
	})
	return eachText(root, nil, func(path []string, text string) error {
		if len(path) >= 4 && path[0] == "Resources" && entries[path[1]] && path[2] == ".Properties" &&
			(path[3] == ".Username" && len(path) == 4 || path[3] == ".KubernetesGroups" && len(path) == 5) {
			text = withoutPlaceholders(text)
		}
		if path[len(path)-1] == ".Fn::Sub" {
			for _, known := range []string{"${AWS::Partition}", "${AWS::Region}", "${AWS::AccountId}"} {
				text = strings.ReplaceAll(text, known, "")
			}
			if strings.Contains(text, "${") {
				return invalid("template", "%s would have CloudFormation replace more than the partition, region and account", strings.Join(path, ""))
			}
		}
		if hasReference(text) {
			return refuseReference(strings.Join(path, ""))
		}
		return nil
	})
}

func refuseReference(key string) error {
	return invalid(key, "it contains %q, which CloudFormation replaces (a dynamic reference, such as {{resolve:ssm:NAME}})", opening)
}

// hasReference tells whether CloudFormation, or whoever decodes the text as JSON
// after it, could find an opening.
func hasReference(text string) bool {
	if strings.Contains(text, opening) {
		return true
	}
	if !strings.Contains(text, `\`) {
		return false
	}
	// Tokens, because a decoded value has only the last of two keys with one name.
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		token, err := d.Token()
		if err != nil {
			return false
		}
		if s, ok := token.(string); ok && hasReference(s) {
			return true
		}
	}
}

// eachText calls do for each value, and for keys that hold a reference. A path is
// of .key and [index], the first key without the dot.
func eachText(n *yaml.Node, path []string, do func(path []string, text string) error) error {
	below := func(step string) []string { return append(slices.Clone(path), step) }
	switch n.Kind {
	case yaml.ScalarNode:
		return do(path, n.Value)
	case yaml.SequenceNode:
		for i, item := range n.Content {
			if err := eachText(item, below(fmt.Sprintf("[%d]", i)), do); err != nil {
				return err
			}
		}
	case yaml.MappingNode:
		for pair := range slices.Chunk(n.Content, 2) {
			key, step := pair[0].Value, "."+pair[0].Value
			if len(path) == 0 {
				step = key
			}
			if hasReference(key) {
				return do(below(" (a key)"), key)
			}
			if err := eachText(pair[1], below(step), do); err != nil {
				return err
			}
		}
	}
	return nil
}
