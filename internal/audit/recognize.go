package audit

import (
	"cmp"
	"strings"

	"github.com/valyala/fastjson"
)

// createsSession reports whether a certificate was presented. AWS documents the
// call, not its event, which was seen under both names. Other services have a
// CreateSession, too.
func createsSession(v *fastjson.Value, name string) bool {
	source := view(v, "eventSource")
	if strings.HasPrefix(source, rolesAnywhere) {
		return name == "CreateSession" || name == "AssumeRole"
	}
	return (source == "" || strings.HasPrefix(source, "sts.")) && (v.Exists("responseElements", "credentialSet") || v.Exists("requestParameters", "trustAnchorArn"))
}

// serviceLinked reports whether AWS assumed a role of its own, which no
// certificate can: IAM reserves the path for roles that only a service may assume.
func serviceLinked(v *fastjson.Value, s *Session) bool {
	const path = ":role/aws-service-role/"
	if strings.Contains(s.RoleARN, path) {
		return true
	}
	for _, resource := range v.GetArray("resources") {
		if strings.Contains(cmp.Or(view(resource, "ARN"), view(resource, "arn")), path) {
			return true
		}
	}
	// Without the request there is no path: an assumed role's ARN has none.
	return strings.HasPrefix(nameOf(s.RoleARN), "AWSServiceRoleFor")
}

// beginning names what a session without a certificate began with; empty: it is
// not known, as with a caller of another account.
func beginning(who *fastjson.Value, event string) string {
	switch kind := view(who, "type"); {
	case event != "AssumeRole": // AssumeRoleWithSAML, AssumeRoleWithWebIdentity, GetSessionToken, GetFederationToken
		return strings.ToValidUTF8(strings.Clone(event), "\ufffd")
	case kind == "AWSService":
		return cmp.Or(text(who, "invokedBy"), kind)
	case kind == "IAMUser", kind == "Root":
		return strings.Clone(kind)
	}
	return ""
}

// accessKey is empty for what stands in place of one that is hidden: words such
// as HIDDEN_DUE_TO_SECURITY_REASONS or ***, which all sessions share.
func accessKey(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return (r < '0' || r > '9') && (r < 'A' || r > 'Z') }) {
		return ""
	}
	if !strings.HasPrefix(s, "ASIA") && !strings.ContainsAny(s, "0123456789") || len(s) > 8 && strings.Trim(s[4:], "X") == "" {
		return ""
	}
	return s
}
