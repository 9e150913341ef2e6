package sandbox

import (
	"strings"
	"testing"
)

// AWS replaces a dynamic reference; one that the sandbox kept as it is would hide that from a test.
func TestDynamicReference(t *testing.T) {
	t.Parallel()
	template := func(username string) string {
		return `{"Resources":{"E":{"Type":"AWS::EKS::AccessEntry","Properties":{"ClusterName":"sandbox","PrincipalArn":"a","Username":"` + username + `"}}}}`
	}
	for _, username := range []string{"{{resolve:secretsmanager:x}}", `\u007b\u007bresolve:ssm:x}}`, "x{{resolve:ssm-secure:x:1}}"} {
		if _, err := parseTemplate(template(username)); err == nil || !strings.Contains(err.Error(), "dynamic reference") {
			t.Errorf("%s: %v", username, err)
		}
	}
	if _, err := parseTemplate(template("x:{{SessionName}}")); err != nil {
		t.Error(err)
	}
	m := &maker{w: &World{Region: "us-east-1"}}
	if v, err := m.resolve([]byte(`{"Fn::Sub":"{{res${!AWS}olve"}`)); err != nil {
		t.Errorf("%s %v", v, err)
	}
	if v, err := m.resolve([]byte(`[{"Fn::Sub":"{{resolve:${AWS::Region}"}]`)); err == nil {
		t.Errorf("%s", v)
	}
}
