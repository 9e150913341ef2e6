package sandbox

import (
	"strings"
	"testing"
)

func TestTrustPolicy(t *testing.T) {
	t.Parallel()
	context := map[string]string{
		"aws:sourcearn": "arn:aws:rolesanywhere:us-east-1:123456789012:trust-anchor/a", "aws:principaltag/x509issuer/cn": "Lab CA",
		"aws:principaltag/x509subject/cn": "alice", "sts:rolesessionname": "alice",
	}
	for _, row := range []struct {
		condition string
		want      bool
	}{
		{`{}`, true},
		{`{"StringEquals":{"aws:PrincipalTag/x509Issuer/CN":"Lab CA"}}`, true},
		{`{"StringEquals":{"aws:PrincipalTag/x509Issuer/CN":"lab ca"}}`, false},
		{`{"StringEquals":{"aws:principalTAG/X509issuer/cn":["Other","Lab CA"]}}`, true},
		{`{"StringEquals":{"aws:PrincipalTag/x509SAN/DNS":"a"}}`, false},
		{`{"StringEqualsIfExists":{"aws:PrincipalTag/x509SAN/DNS":"a"}}`, true},
		{`{"ForAnyValue:StringEquals":{"aws:PrincipalTag/x509Subject/CN":["bob","alice"]}}`, true},
		{`{"ForAnyValue:StringLike":{"aws:PrincipalTag/x509SAN/DNS":"*"}}`, false},
		{`{"ForAnyValue:StringLikeIfExists":{"aws:PrincipalTag/x509Subject/CN":"al?ce"}}`, true},
		{`{"StringLike":{"aws:PrincipalTag/x509Subject/CN":"a*e"}}`, true},
		{`{"StringLike":{"aws:PrincipalTag/x509Subject/CN":"a*b"}}`, false},
		{`{"StringEquals":{"aws:PrincipalTag/x509Subject/CN":"a*e"}}`, false},
		{`{"ArnEquals":{"aws:SourceArn":"arn:aws:rolesanywhere:us-east-1:123456789012:trust-anchor/a"}}`, true},
		{`{"ArnLike":{"aws:SourceArn":"arn:aws:rolesanywhere:*:123456789012:trust-anchor/*"}}`, true},
		{`{"ArnLike":{"aws:SourceArn":"arn:aws:*:trust-anchor/a"}}`, false},
		{`{"ArnEquals":{"aws:SourceArn":"arn:aws:rolesanywhere:us-east-1:123456789012:trust-anchor/b"}}`, false},
		{`{"StringEquals":{"sts:RoleSessionName":"${aws:PrincipalTag/x509Subject/CN}"}}`, true},
		{`{"StringEquals":{"sts:RoleSessionName":"${aws:PrincipalTag/x509Subject/OU}"}}`, false},
		{`{"StringLike":{"aws:PrincipalTag/x509Subject/CN":"a*e"},"StringEquals":{"aws:PrincipalTag/x509Issuer/CN":"x"}}`, false},
	} {
		p, err := parsePolicy([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"rolesanywhere.amazonaws.com"},
			"Action":["sts:AssumeRole"],"Condition":`+row.condition+`}}`), true)
		if err != nil {
			t.Fatalf("%s: %v", row.condition, err)
		}
		r := policyRequest{service: "rolesanywhere.amazonaws.com", action: "sts:AssumeRole", context: context}
		if got := p.allows(r); got != row.want {
			t.Errorf("%s: got %t", row.condition, got)
		}
		r.service = "ec2.amazonaws.com"
		if p.allows(r) {
			t.Errorf("%s: allowed to another service", row.condition)
		}
	}
}

func TestDenyWins(t *testing.T) {
	t.Parallel()
	p, err := parsePolicy([]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"eks:*","Resource":"*"},
		{"Effect":"Deny","Action":"eks:DescribeCluster","Resource":"arn:aws:eks:*:*:cluster/secret"}]}`), false)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"open": true, "secret": false} {
		if got := p.allows(policyRequest{action: "eks:DescribeCluster", resource: "arn:aws:eks:us-east-1:123456789012:cluster/" + name}); got != want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}

func TestPolicyRefused(t *testing.T) {
	t.Parallel()
	allow := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"x"},"Action":"sts:AssumeRole"%s}]}`
	for what, text := range map[string]string{
		"an unknown operator": strings.Replace(allow, "%s", `,"Condition":{"DateGreaterThan":{"aws:CurrentTime":"2026-01-01"}}`, 1),
		"a negated operator":  strings.Replace(allow, "%s", `,"Condition":{"StringNotEquals":{"a":"b"}}`, 1),
		"ForAllValues":        strings.Replace(allow, "%s", `,"Condition":{"ForAllValues:StringEquals":{"a":"b"}}`, 1),
		"NotAction":           strings.Replace(allow, "%s", `,"NotAction":"a"`, 1),
		"a resource":          strings.Replace(allow, "%s", `,"Resource":"*"`, 1),
		"an old version":      strings.Replace(strings.Replace(allow, "%s", "", 1), "2012-10-17", "2008-10-17", 1),
		"no JSON":             "no",
	} {
		if _, err := parsePolicy([]byte(text), true); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}
