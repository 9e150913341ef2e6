package provision

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// build is what a command makes of access.yaml and the files that it names.
func build(text string, bundle, policy []byte) ([]byte, error) {
	s, err := ParseSpec([]byte(text))
	if err != nil {
		return nil, err
	}
	if s.CA.Bundle != "" {
		s.CA.BundlePEM = bundle
	}
	if s.Profile.SessionPolicy != "" {
		s.Profile.SessionPolicyJSON = policy
	}
	if err := s.Complete(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		return nil, err
	}
	return s.Template()
}

const bundleSpec = "ca: {bundle: ca.pem}\nclusters: [{name: one, groups: [viewers]}]\n"

// CloudFormation would put a secret of the account into what anyone may read.
func TestNoDynamicReference(t *testing.T) {
	t.Parallel()
	const secret = "{{resolve:secretsmanager:db:SecretString}}"
	clusters := "\nclusters: [{name: one, groups: [viewers]}]\n"
	cases := map[string]string{
		"tag":              "tags: {team: '" + secret + "'}\n" + bundleSpec,
		"tag's key":        "tags: {'" + secret + "': platform}\n" + bundleSpec,
		"YAML escape":      `tags: {team: "\x7b\u007bresolve:ssm:x}}"}` + "\n" + bundleSpec,
		"YAML folds":       "tags:\n  team: >-\n    {{resolve:ssm:x}}\n" + bundleSpec,
		"anchor and alias": "tags: {a: &x '" + secret + "', b: *x}\n" + bundleSpec,
		"opening alone":    "tags: {team: 'a{{b'}\n" + bundleSpec,
		"JSON in a tag":    `tags: {team: '{"a":"\u007b\u007bresolve:ssm:x}}"}'}` + "\n" + bundleSpec,
		"placeholder":      "tags: {team: '{{SessionName}}'}\n" + bundleSpec,
		"subject":          "role: {subject: {CN: ['" + secret + "']}}\n" + bundleSpec,
		"san":              "role: {san: {URI: ['" + secret + "']}}\n" + bundleSpec,
		"issuer":           "role: {issuerCN: ['{{resolve:ssm:x}}']}\n" + bundleSpec,
		"new CA":           "ca: {new: {commonName: '{{resolve:ssm:x}}'}}" + clusters,
		"organization":     "ca: {new: {commonName: Lab, organization: '{{resolve:ssm:x}}'}}" + clusters,
		"country":          "ca: {new: {commonName: Lab, country: '{{resolve:ssm:x}}'}}" + clusters,
	}
	for i, name := range []string{secret, "x:{{SessionName}}{{resolve:ssm:x}}", "x:{{SessionName}}{{resolve:ssm:x", "x:{{{SessionName}}{resolve:ssm:x}}",
		"x:{{AccountID{{SessionName}}}}", "x:{{Account{{SessionName}}ID}}", "x:{{sessionname}}", "x:{{\\nresolve:ssm:x}}", "x:{{EC2PrivateDNSName}}"} {
		cases[fmt.Sprint("username ", i)] = fmt.Sprintf("ca: {bundle: ca.pem}\nclusters: [{name: one, username: \"%s\", groups: [viewers]}]\n", name)
		cases[fmt.Sprint("group ", i)] = fmt.Sprintf("ca: {bundle: ca.pem}\nclusters: [{name: one, groups: [\"%s\"]}]\n", name)
	}
	for name, text := range cases {
		if template, err := build(text, caPEM(t), nil); err == nil || !strings.HasPrefix(err.Error(), "invalid ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v\n%s", name, err, template)
		}
	}
	for name, policy := range map[string]string{
		"value":            `{"Version":"2012-10-17","Statement":[{"Sid":"{{resolve:ssm:x}}"}]}`,
		"escaped":          `{"Statement":[{"Sid":"\u007b\u007bresolve:ssm:x}}"}]}`,
		"half escaped":     `{"Statement":[{"Sid":"{\u007Bresolve:ssm:x}}"}]}`,
		"key":              `{"\u007b{resolve:ssm:x}}":1}`,
		"hidden by a copy": `{"Sid":"\u007b\u007bresolve:ssm:x}}","Sid":"a"}`,
		"JSON in it":       `{"Sid":"{\"a\":\"\\u007b\\u007bresolve:ssm:x}}\"}"}`,
	} {
		if template, err := build("profile: {sessionPolicy: p.json}\n"+bundleSpec, caPEM(t), []byte(policy)); err == nil || !strings.HasPrefix(err.Error(), "invalid profile.sessionPolicy: ") {
			t.Errorf("policy, %s: %v\n%s", name, err, template)
		}
	}
	comment := append([]byte("# {{resolve:ssm:x}}\n"), caPEM(t)...)
	if _, err := build(bundleSpec, comment, nil); err == nil || !strings.HasPrefix(err.Error(), "invalid ca.bundle: ") {
		t.Errorf("bundle: %v", err)
	}
	// What EKS replaces stays, and a policy's own braces and variables do.
	for _, text := range []string{
		"ca: {bundle: ca.pem}\nclusters: [{name: one, username: 'x:{{SessionName}}-{{AccountID}}', groups: ['g:{{SessionNameRaw}}', '{{AccessKeyID}}']}]\n",
		"tags: {team: 'a{b}} {c'}\nprofile: {sessionPolicy: p.json}\n" + bundleSpec,
	} {
		if _, err := build(text, caPEM(t), []byte(`{"Statement":[{"Condition":{"StringEquals":{"a":"${aws:username}"}}}]}`)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// The template's own texts are looked at, too, wherever they came from.
func TestRefuseReferences(t *testing.T) {
	t.Parallel()
	entry := func(property string, value any) *yaml.Node {
		return object("Resources", object("E", resource("AWS::EKS::AccessEntry", object(property, value))))
	}
	const name = "x:{{SessionName}}"
	for what, root := range map[string]*yaml.Node{
		"another property":       entry("ClusterName", name),
		"another type":           object("Resources", object("E", resource("AWS::IAM::Role", object("Username", name)))),
		"below the property":     entry("Username", object("Fn::Sub", name)),
		"an output":              object("Outputs", object("A", output("a", name))),
		"the description":        object("Description", name),
		"a key":                  entry(name, "a"),
		"more than the region":   entry("ClusterName", sub("${AWS::Region}${Secret}")),
		"joined in a Fn::Sub":    entry("ClusterName", sub("{${AWS::Region}{resolve:ssm:x}}")),
		"what Fn::Sub leaves as": entry("ClusterName", sub("${!Secret}")),
	} {
		if err := refuseReferences(root); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	for _, root := range []*yaml.Node{entry("Username", name), entry("KubernetesGroups", []string{"a", name}), entry("ClusterName", sub("${AWS::Partition}:${AWS::AccountId}"))} {
		if err := refuseReferences(root); err != nil {
			t.Error(err)
		}
	}
}

// FuzzSpec: no access.yaml makes a template that CloudFormation puts a secret
// into, or that says something else than the tree it was made of.
func FuzzSpec(f *testing.F) {
	for _, text := range combinations() {
		f.Add([]byte(text), []byte(`{"a":"b"}`))
	}
	f.Add([]byte("tags: {\"\\u007b{resolve:ssm:x}}\": '${a}'}\n"+bundleSpec), []byte(`{"a":"\u007b\u007b"}`))
	f.Add([]byte("role: {subject: {CN: ['{', '{resolve:ssm:x}}']}}\n"+bundleSpec), []byte(`"{\u007b"`))
	bundle := caPEM(f)
	f.Fuzz(func(t *testing.T, text, policy []byte) {
		data, err := build(string(text), bundle, policy)
		if err != nil {
			if len(err.Error()) > 10*len(text)+2000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		var root yaml.Node
		if err := yaml.Unmarshal(data, &root); err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		var leaf func(n *yaml.Node, names bool)
		leaf = func(n *yaml.Node, names bool) {
			if n.Kind == yaml.MappingNode {
				for i := 0; i < len(n.Content); i += 2 {
					leaf(n.Content[i], false)
					leaf(n.Content[i+1], names || n.Content[i].Value == "Username" || n.Content[i].Value == "KubernetesGroups")
				}
				return
			}
			for _, c := range n.Content {
				leaf(c, names)
			}
			value := n.Value
			if names {
				for _, p := range []string{"{{SessionName}}", "{{SessionNameRaw}}", "{{AccountID}}", "{{AccessKeyID}}"} {
					value = strings.ReplaceAll(value, p, "|")
				}
			}
			if strings.Contains(value, "{{") {
				t.Errorf("%q in\n%s", n.Value, data)
			}
			var inner yaml.Node // JSON is YAML
			if strings.Contains(value, `\`) && yaml.Unmarshal([]byte(value), &inner) == nil && len(inner.Content) > 0 && inner.Content[0].Kind != yaml.ScalarNode {
				leaf(&inner, false)
			}
		}
		leaf(&root, false)
		again, err := encode(&root)
		if err != nil {
			t.Fatal(err)
		}
		first, err1 := Decoded(data)
		second, err2 := Decoded(again)
		if err1 != nil || err2 != nil || fmt.Sprint(first) != fmt.Sprint(second) {
			t.Errorf("%v %v: written again it is\n%s\nnot\n%s", err1, err2, again, data)
		}
	})
}
