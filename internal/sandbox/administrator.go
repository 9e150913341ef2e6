package sandbox

import (
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/safefile"
)

// administratorName is the IAM user whose keys are in aws-credentials: the one that may call what the roles of the world may not, and the
// system:masters of every cluster, as whoever made a cluster is.
const administratorName = "administrator"

// newAdministrator gives out keys that last as long as the process.
func (s *Sandbox) newAdministrator() {
	w := s.world
	s.administrator = &session{
		accessKeyID: "AKIA" + base32.StdEncoding.EncodeToString(random(10)),
		secret:      base64.StdEncoding.EncodeToString(random(30)),
		expires:     s.now().AddDate(100, 0, 0),
		role:        Role{ARN: "arn:" + partitionOf(w.Region).id + ":iam::" + w.Account + ":user/" + administratorName, RoleID: "AIDASANDBOXADMINIST0"},
	}
	s.sessions[s.administrator.accessKeyID] = s.administrator
}

// writeCredentials makes the administrator a profile of the AWS SDKs.
func (s *Sandbox) writeCredentials() error {
	a := s.administrator
	return safefile.Write(s.path("aws-credentials"), fmt.Appendf(nil, credentialsHeader+", worth nothing elsewhere\n[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n",
		administratorName, a.accessKeyID, a.secret))
}

func (s *session) isAdministrator() bool { return strings.Contains(s.role.ARN, ":user/") }

// administer lets the administrator in, and nobody else.
func (c *call) administer(service, operation string) *Refusal {
	region := ""
	if c.endpoint != nil {
		region = c.region
	}
	s, a, refusal := c.verifyHMAC(c.wire, service, region)
	if refusal != nil {
		return refusal
	}
	c.entry.RoleARN, c.entry.SessionName = s.role.ARN, s.name
	if !s.isAdministrator() {
		return refuse(http.StatusForbidden, "AccessDenied", "User: "+s.arn()+" is not authorized to perform: "+service+":"+operation,
			"only the administrator may, whose credentials are in aws-credentials")
	}
	if a.region != c.world.Region {
		return refuse(http.StatusBadRequest, "ValidationError", "the sandbox sets up in "+c.world.Region+" only", "region %q", a.region)
	}
	return nil
}

// listTrustAnchors answers Roles Anywhere, GET /trustanchors.
func (c *call) listTrustAnchors() *response {
	if refusal := c.administer("rolesanywhere", "ListTrustAnchors"); refusal != nil {
		return c.restError(eksRefusal(refusal))
	}
	all := []any{}
	for _, a := range c.world.TrustAnchors {
		source := map[string]any{"sourceType": "CERTIFICATE_BUNDLE", "sourceData": map[string]string{"x509CertificateData": strings.Join(a.Certificates, "")}}
		if a.AcmPcaARN != "" {
			source = map[string]any{"sourceType": "AWS_ACM_PCA", "sourceData": map[string]string{"acmPcaArn": a.AcmPcaARN}}
		}
		all = append(all, map[string]any{"trustAnchorArn": a.ARN, "trustAnchorId": a.ARN[strings.LastIndex(a.ARN, "/")+1:], "name": a.Name, "enabled": a.Enabled, "source": source})
	}
	return jsonResponse(http.StatusOK, map[string]any{"trustAnchors": all})
}

// newARN names a thing that is made.
func (c *call) newARN(service, resource string) string {
	return strings.Join([]string{"arn", partitionOf(c.world.Region).id, service, c.world.Region, c.world.Account, resource}, ":")
}

// change replaces the world by what do makes of it, and rejects it whole if do fails.
func (s *Sandbox) change(do func(*World) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.world.clone()
	if err := do(w); err != nil || w.equal(s.world) {
		return err
	}
	return s.setWorld(w)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
