package provision

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/eks-x509/eks-x509/internal/minica"
)

var update = flag.Bool("update", false, "write the golden templates anew")

// caPEM is the certificate of a CA named Lab CA; it is the same in every run.
func caPEM(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/ca.pem")
	if err != nil && *update {
		key, keyErr := minica.GenerateKey("p256")
		if keyErr != nil {
			t.Fatal(keyErr)
		}
		template := minica.CA("Lab CA")
		template.NotBefore = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		template.NotAfter = template.NotBefore.AddDate(50, 0, 0)
		pair, keyErr := minica.NewRoot(template, key)
		if keyErr != nil {
			t.Fatal(keyErr)
		}
		data = minica.CertificatePEM(pair.Certificate)
		err = os.WriteFile("testdata/ca.pem", data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// choices are all that a spec can choose, each combined with each.
func choices() map[string][]string {
	return map[string][]string{
		"ca": {"ca: {bundle: ca.pem}", "ca: {acmPcaArn: 'arn:aws:acm-pca:us-east-1:123456789012:certificate-authority/00000000-0000-4000-8000-000000000001'}",
			"ca: {new: {commonName: Lab CA, organization: yes, country: CH, mode: SHORT_LIVED_CERTIFICATE}}"},
		"role": {"role: {issuerCN: [Lab CA]}", "role: {name: team, issuerCN: [Lab CA, Old CA], subject: {CN: [alice, 'ci-*'], OU: [platform]}, san: {DNS: ['*.example.org']}, " +
			"maxSessionSeconds: 43200, managedPolicies: ['arn:aws:iam::aws:policy/ReadOnlyAccess']}"},
		"profile": {"profile: {}", "profile: {name: people, durationSeconds: 3600, sessionNameFromCN: true, sessionPolicy: policy.json, " +
			"managedPolicies: ['arn:aws:iam::aws:policy/ReadOnlyAccess'], attributeMappings: {subject: [CN, OU], issuer: [CN], san: [DNS]}}"},
		"clusters": {"clusters: [{name: one, groups: [viewers]}]", "clusters: [{name: my-cluster, username: 'x509:{{SessionName}}', groups: [viewers], policies: [{name: AmazonEKSViewPolicy}, " +
			"{name: AmazonEKSEditPolicy, namespaces: [default, 'on']}]}, {name: my_cluster, groups: [a]}, {name: old, awsAuth: true, username: viewk8}]"},
		"tags": {"tags: {}", "tags: {team: platform, on: 'yes', cost: '012'}"},
	}
}

func combinations() map[string]string {
	all := map[string]string{"": ""}
	for _, key := range []string{"ca", "role", "profile", "clusters", "tags"} {
		next := map[string]string{}
		for name, text := range all {
			for i, choice := range choices()[key] {
				next[fmt.Sprintf("%s%d", name, i)] = text + choice + "\n"
			}
		}
		all = next
	}
	return all
}

func templateOf(t *testing.T, text string) []byte {
	t.Helper()
	s, err := ParseSpec([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	s.CA.BundlePEM = caPEM(t)
	if s.Profile.SessionPolicy != "" {
		s.Profile.SessionPolicyJSON = []byte(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "eks:*", "Resource": "*"}]}`)
	}
	if err := s.Complete(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	template, err := s.Template()
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return template
}

// Every template is one that CloudFormation's published resource types allow,
// and cfn-lint too where it is installed. The golden ones are there to be read.
func TestTemplates(t *testing.T) {
	t.Parallel()
	types := resourceTypes(t)
	dir := t.TempDir()
	golden := map[string]string{"00000": "small", "11111": "private-ca", "21110": "new-ca", "01011": "bundle"}
	for name, text := range combinations() {
		template := templateOf(t, text)
		if problems := checkTemplate(t, types, template); len(problems) > 0 {
			t.Errorf("%s\n%s", text, strings.Join(problems, "\n"))
		}
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), template, 0o600); err != nil {
			t.Fatal(err)
		}
		if as := golden[name]; as != "" {
			file := filepath.Join("testdata", as+".yaml")
			if *update {
				if err := os.WriteFile(file, template, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(template)); diff != "" {
				t.Errorf("%s (go test ./internal/provision -update writes it anew):\n%s", file, diff)
			}
		}
	}
	if lint, err := exec.LookPath("cfn-lint"); err == nil {
		if out, err := exec.Command(lint, filepath.Join(dir, "*.yaml")).CombinedOutput(); err != nil {
			t.Errorf("cfn-lint: %v\n%s", err, out)
		}
	}
}

// propertyType is what AWS publishes of a property, as the CDK's
// aws-service-spec 0.1.216 carries it.
type propertyType struct {
	Type          string                  `json:"type"`
	Required      bool                    `json:"required"`
	Replaces      string                  `json:"replaces"`
	AllowedValues []any                   `json:"allowedValues"`
	Properties    map[string]propertyType `json:"properties"`
	Items         *propertyType           `json:"items"`
	Of            []propertyType          `json:"of"`
}

type resourceSchema struct {
	Attributes []string                `json:"attributes"`
	Properties map[string]propertyType `json:"properties"`
}

func resourceTypes(t *testing.T) map[string]resourceSchema {
	t.Helper()
	data, err := os.ReadFile("testdata/cloudformation-types.json")
	if err != nil {
		t.Fatal(err)
	}
	var types map[string]resourceSchema
	if err := json.Unmarshal(data, &types); err != nil {
		t.Fatal(err)
	}
	return types
}

type checker struct {
	types     map[string]resourceSchema
	resources map[string]any
	problems  []string
}

func (c *checker) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

func checkTemplate(t *testing.T, types map[string]resourceSchema, data []byte) []string {
	t.Helper()
	var root map[string]any
	if err := yaml.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	resources, _ := root["Resources"].(map[string]any)
	c := &checker{types: types, resources: resources}
	if len(data) > 51200 {
		c.problem("%d bytes", len(data))
	}
	for id, v := range resources {
		r := v.(map[string]any)
		kind, _ := r["Type"].(string)
		schema, ok := types[kind]
		if !ok {
			c.problem("%s: type %q", id, kind)
			continue
		}
		c.object(id, r["Properties"], schema.Properties)
	}
	outputs, _ := root["Outputs"].(map[string]any)
	for id, v := range outputs {
		c.value(id, v.(map[string]any)["Value"], propertyType{Type: "string"})
	}
	return c.problems
}

func (c *checker) object(at string, v any, properties map[string]propertyType) {
	m, ok := v.(map[string]any)
	if !ok {
		c.problem("%s: a %T, no object", at, v)
		return
	}
	for name, value := range m {
		p, ok := properties[name]
		if !ok {
			c.problem("%s.%s: there is no such property", at, name)
			continue
		}
		c.value(at+"."+name, value, p)
	}
	for name, p := range properties {
		if _, ok := m[name]; p.Required && !ok {
			c.problem("%s.%s: is required", at, name)
		}
	}
}

func (c *checker) value(at string, v any, p propertyType) {
	if m, ok := v.(map[string]any); ok && len(m) == 1 && c.intrinsic(at, m, p) {
		return
	}
	ok := true
	switch p.Type {
	case "string":
		_, ok = v.(string)
	case "boolean":
		_, ok = v.(bool)
	case "number", "integer":
		_, ok = v.(int)
	case "array":
		var all []any
		if all, ok = v.([]any); ok {
			for i, one := range all {
				c.value(fmt.Sprintf("%s[%d]", at, i), one, *p.Items)
			}
		}
	case "object":
		c.object(at, v, p.Properties)
	case "union":
		ok = slices.ContainsFunc(p.Of, func(one propertyType) bool {
			try := &checker{types: c.types, resources: c.resources}
			try.value(at, v, one)
			return len(try.problems) == 0
		})
	case "json":
		_, ok = v.(map[string]any)
		c.references(at, v)
	}
	if !ok {
		c.problem("%s: %v is no %s", at, v, p.Type)
	}
	if len(p.AllowedValues) > 0 && !slices.Contains(p.AllowedValues, v) {
		c.problem("%s: %v is none of %v", at, v, p.AllowedValues)
	}
}

// intrinsic: what stands for a string refers to something that is there.
func (c *checker) intrinsic(at string, m map[string]any, p propertyType) bool {
	for name, of := range m {
		switch name {
		case "Ref":
			if c.resources[of.(string)] == nil {
				c.problem("%s: no resource %v", at, of)
			}
		case "Fn::GetAtt":
			pair := of.([]any)
			r, ok := c.resources[pair[0].(string)].(map[string]any)
			if !ok || !slices.Contains(c.types[r["Type"].(string)].Attributes, pair[1].(string)) {
				c.problem("%s: no attribute %v", at, of)
			}
		case "Fn::Sub":
		default:
			return false
		}
		if p.Type != "string" {
			c.problem("%s: %s for a %s", at, name, p.Type)
		}
	}
	return true
}

// references finds what a document refers to.
func (c *checker) references(at string, v any) {
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			c.references(at, one)
		}
	case map[string]any:
		if len(v) == 1 && c.intrinsic(at, v, propertyType{Type: "string"}) {
			return
		}
		for name, one := range v {
			c.references(at+"."+name, one)
		}
	}
}

func TestCheckTemplateFinds(t *testing.T) {
	t.Parallel()
	types := resourceTypes(t)
	good := string(templateOf(t, combinations()["00000"]))
	for what, edit := range map[string][2]string{
		"a property that is not there": {"Enabled: true", "Enabld: true"},
		"a missing one":                {"      RoleArns:\n        - Fn::GetAtt:\n            - Role\n            - Arn\n", ""},
		"a wrong type":                 {"DurationSeconds: 3600", "DurationSeconds: hour"},
		"a wrong attribute":            {"- TrustAnchorArn", "- Arn"},
	} {
		bad := strings.Replace(good, edit[0], edit[1], 1)
		if bad == good || len(checkTemplate(t, types, []byte(bad))) == 0 {
			t.Errorf("%s is not found", what)
		}
	}
}

func TestSpecRefused(t *testing.T) {
	t.Parallel()
	base := combinations()["00000"]
	for edit, want := range map[[2]string]string{
		{"ca: {bundle: ca.pem}", "ca: {}"}:                                                       "invalid ca: 0 of",
		{"ca: {bundle: ca.pem}", "ca: {bundle: ca.pem, new: {commonName: x}}"}:                   "invalid ca: 2 of",
		{"groups: [viewers]", "groups: ['system:masters']"}:                                      `begins with "system:"`,
		{"groups: [viewers]", ""}:                                                                "neither groups nor policies are given, and no username",
		{"groups: [viewers]", "groups: [a], username: 'a-{{SessionName}}'"}:                      "needs a colon",
		{"name: one", "name: -one"}:                                                              "is no name of a cluster",
		{"profile: {}", "profile: {durationSeconds: 60}"}:                                        "900 to 43200",
		{"profile: {}", "profile: {attributeMappings: {subject: [CN]}}"}:                         "x509Issuer/CN",
		{"profile: {}", "profile: {sessionNameFromCN: true, attributeMappings: {issuer: [CN]}}"}: "x509Subject/CN",
		{"role: {issuerCN: [Lab CA]}", "role: {maxSessionSeconds: 60}"}:                          "3600 to 43200",
		{"role: {issuerCN: [Lab CA]}", "role: {subject: {CN: ['${aws:username}']}}"}:             "has '$', which AWS leaves out of session tags",
		{"role: {issuerCN: [Lab CA]}", "role: {issuerCN: ['']}"}:                                 "it is empty",
		{"role: {issuerCN: [Lab CA]}", `role: {issuerCN: ["Acme, Inc."]}`}:                       "has ',', which AWS leaves out of session tags",
		{"role: {issuerCN: [Lab CA]}", `role: {issuerCN: ["Lab*"]}`}:                             "has '*', which AWS leaves out of session tags",
		{"role: {issuerCN: [Lab CA]}", `role: {subject: {CN: ["O'Brien"]}}`}:                     `has '\'', which AWS leaves out of session tags`,
		{"role: {issuerCN: [Lab CA]}", `role: {subject: {CN: ["a!"]}}`}:                          "has '!', which AWS leaves out of session tags",
		{"role: {issuerCN: [Lab CA]}", `role: {subject: {CN: ["alice", "*"]}}`}:                  "matches every name",
		{"role: {issuerCN: [Lab CA]}", `role: {subject: {OU: ["?*"]}}`}:                          "matches every name",
		{"role: {issuerCN: [Lab CA]}", `role: {san: {URI: ["spiffe://x/a#b"]}}`}:                 "has '#', which AWS leaves out of session tags",
		{"role: {issuerCN: [Lab CA]}", "role: {subject: {Email: [a]}}"}:                          "supported: CN",
	} {
		text := strings.Replace(base, edit[0], edit[1], 1)
		s, err := ParseSpec([]byte(text))
		if err == nil {
			s.CA.BundlePEM = caPEM(t)
			err = s.Complete(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC))
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", edit[1], err, want)
		}
	}
	for text, want := range map[string]string{"": "it is empty", "stak: x": "field stak not found", "a: b\n---\n": "malformed", "- x": "malformed YAML", "stack: x\n---\nstack: y\n": "more than one document"} {
		if _, err := ParseSpec([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	if s, err := ParseSpec([]byte(Example)); err != nil || len(s.Clusters) != 1 {
		t.Errorf("the example: %v", err)
	}
}
