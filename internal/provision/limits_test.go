package provision

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// ofTemplate is the JSON of a template's part, without white space and with what CloudFormation puts in, counted in another way.
func ofTemplate(t *testing.T, template []byte, path ...any) int {
	t.Helper()
	var value any
	if err := yaml.Unmarshal(template, &value); err != nil {
		t.Fatal(err)
	}
	for _, step := range path {
		switch step := step.(type) {
		case string:
			value = value.(map[string]any)[step]
		case int:
			value = value.([]any)[step]
		}
	}
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(
		`{"Fn::GetAtt":["TrustAnchor","TrustAnchorArn"]}`, `"arn:aws:rolesanywhere:ap-southeast-1:123456789012:trust-anchor/00000000-0000-4000-8000-000000000000"`,
	).Replace(string(data))
	return len([]rune(strings.Join(strings.Fields(text), "")))
}

func TestSizes(t *testing.T) {
	t.Parallel()
	people := func(n, last int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("user-%03d.engineering.example.com", i))
		}
		return "role: {subject: {CN: [" + strings.Join(append(all, strings.Repeat("x", last)), ", ") + "]}}\n" + bundleSpec
	}
	// The longest that fits, and one character more.
	template, err := build(people(40, 1), caPEM(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	left := maxTrustPolicy - ofTemplate(t, template, "Resources", "Role", "Properties", "AssumeRolePolicyDocument")
	if left < 0 || left > 255 {
		t.Fatalf("%d characters left", left)
	}
	if _, err := build(people(40, 1+left), caPEM(t), nil); err != nil {
		t.Error(err)
	}
	for _, more := range []string{people(40, 2+left), people(80, 1)} {
		_, err := build(more, caPEM(t), nil)
		if e, ok := errors.AsType[*Invalid](err); !ok || !strings.Contains(err.Error(), "IAM accepts 2048") || !strings.Contains(e.Hint, "role.subject") {
			t.Errorf("%v", err)
		}
	}
	// sessionNameFromCN has two statements; several SANs count as well.
	for _, text := range []string{
		"profile: {sessionNameFromCN: true}\n" + people(30, 1),
		strings.ReplaceAll(people(60, 1), "subject: {CN:", "san: {DNS:"),
		strings.ReplaceAll(strings.ReplaceAll(people(60, 1), "subject: {CN:", "issuerCN:"), "]}}", "]}"),
	} {
		if _, err := build(text, caPEM(t), nil); err == nil || !strings.Contains(err.Error(), "its trust policy would be") {
			t.Errorf("%v", err)
		}
	}
	clusters := func(n int) string {
		text := "ca: {bundle: ca.pem}\nclusters:\n"
		for i := range n {
			text += fmt.Sprintf("  - {name: cluster-%s-%03d, groups: [viewers]}\n", strings.Repeat("x", 80), i)
		}
		return text
	}
	if _, err := build(clusters(60), caPEM(t), nil); err != nil {
		t.Error(err)
	}
	if _, err := build(clusters(90), caPEM(t), nil); err == nil || !strings.Contains(err.Error(), "IAM accepts 10240") {
		t.Errorf("%v", err)
	}
	text := "tags: {a: '" + strings.Repeat("x", 300) + "'}\nca: {bundle: ca.pem}\nclusters:\n"
	for i := range 110 {
		text += fmt.Sprintf("  - {name: c%d, groups: [viewers]}\n", i)
	}
	if template, err = build(text, caPEM(t), nil); err != nil {
		t.Fatal(err)
	}
	if e, ok := errors.AsType[*TooLong](CheckTemplate(template)); !ok || !strings.Contains(e.Error(), "accepts 51200") || len(template) <= 51200 {
		t.Errorf("%d bytes, %v", len(template), e)
	}
	if CheckTemplate(template[:51200]) != nil || CheckTemplate(template[:51201]) == nil {
		t.Error("51200 bytes")
	}
}

// White space is not counted, nor is a character more than one.
func TestPolicySize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{`{"a": "b c"}`: 10, "{\"a\": [1,\n 2]}": 11, `{"é": "漢<&>"}`: 12, `{"Fn::Sub": "${AWS::Partition}"}`: 5} {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			t.Fatal(err)
		}
		if got, err := policySize(&n); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
	}
}
