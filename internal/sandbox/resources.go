package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maker makes a stack's resources in a world.
type maker struct {
	w     *World
	stack *Stack
	now   time.Time
	root  *Authority
}

func (m *maker) arn(service, resource string) string {
	region := m.w.Region
	if service == "iam" {
		region = ""
	}
	return strings.Join([]string{"arn", partitionOf(m.w.Region).id, service, region, m.w.Account, resource}, ":")
}

// resourceType is how CloudFormation treats things of one type. The names are those of its published schemas.
type resourceType struct {
	properties []string // all that there are here
	required   []string
	createOnly []string // a change of these replaces
	// create sets PhysicalID and Attributes; update changes what there is; read gives the properties as they are now, nil if it is gone.
	create, update, remove func(*maker, *StackResource) error
	read                   func(*maker, *StackResource) map[string]any
}

func (t resourceType) replaces(old, new json.RawMessage) bool {
	var a, b map[string]json.RawMessage
	if json.Unmarshal(old, &a) != nil || json.Unmarshal(new, &b) != nil {
		return true
	}
	return slices.ContainsFunc(t.createOnly, func(name string) bool { return !sameJSON(a[name], b[name]) })
}

func resourceTypes() map[string]resourceType {
	return map[string]resourceType{
		"AWS::ACMPCA::CertificateAuthority": {
			properties: []string{"KeyAlgorithm", "SigningAlgorithm", "Subject", "Type", "UsageMode", "Tags"},
			required:   []string{"KeyAlgorithm", "SigningAlgorithm", "Subject", "Type"},
			createOnly: []string{"KeyAlgorithm", "SigningAlgorithm", "Subject", "Type", "UsageMode"},
			create:     (*maker).createCA, update: keepAsIs, remove: (*maker).removeCA, read: (*maker).readCA,
		},
		"AWS::ACMPCA::Certificate": {
			properties: []string{"CertificateAuthorityArn", "CertificateSigningRequest", "SigningAlgorithm", "TemplateArn", "Validity"},
			required:   []string{"CertificateAuthorityArn", "CertificateSigningRequest", "SigningAlgorithm", "Validity"},
			createOnly: []string{"CertificateAuthorityArn", "CertificateSigningRequest", "SigningAlgorithm", "TemplateArn", "Validity"},
			create:     (*maker).createCACertificate, update: keepAsIs, remove: keepAsIs,
		},
		"AWS::ACMPCA::CertificateAuthorityActivation": {
			properties: []string{"CertificateAuthorityArn", "Certificate", "CertificateChain", "Status"},
			required:   []string{"CertificateAuthorityArn", "Certificate"},
			createOnly: []string{"CertificateAuthorityArn"},
			create:     (*maker).activateCA, update: (*maker).activateCA, remove: (*maker).deactivateCA,
		},
		"AWS::RolesAnywhere::TrustAnchor": {
			properties: []string{"Enabled", "Name", "NotificationSettings", "Source", "Tags"},
			required:   []string{"Name", "Source"},
			create:     (*maker).createAnchor, update: (*maker).updateAnchor, remove: (*maker).removeAnchor, read: (*maker).readAnchor,
		},
		"AWS::RolesAnywhere::Profile": {
			properties: []string{"AcceptRoleSessionName", "AttributeMappings", "DurationSeconds", "Enabled", "ManagedPolicyArns", "Name", "RoleArns", "SessionPolicy", "Tags"},
			required:   []string{"Name", "RoleArns"},
			create:     (*maker).createProfile, update: (*maker).updateProfile, remove: (*maker).removeProfile, read: (*maker).readProfile,
		},
		"AWS::IAM::Role": {
			properties: []string{"AssumeRolePolicyDocument", "Description", "ManagedPolicyArns", "MaxSessionDuration", "Path", "PermissionsBoundary", "Policies", "RoleName", "Tags"},
			required:   []string{"AssumeRolePolicyDocument"},
			createOnly: []string{"Path", "RoleName"},
			create:     (*maker).createRole, update: (*maker).updateRole, remove: (*maker).removeRole, read: (*maker).readRole,
		},
		"AWS::EKS::AccessEntry": {
			properties: []string{"AccessPolicies", "ClusterName", "KubernetesGroups", "PrincipalArn", "Tags", "Type", "Username"},
			required:   []string{"ClusterName", "PrincipalArn"},
			createOnly: []string{"ClusterName", "PrincipalArn", "Type"},
			create:     (*maker).createEntry, update: (*maker).updateEntry, remove: (*maker).removeEntry, read: (*maker).readEntry,
		},
	}
}

func keepAsIs(*maker, *StackResource) error { return nil }

// drop takes the first that fits out of a list.
func drop[T any](all []T, is func(T) bool) []T {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return slices.Delete(all, i, i+1)
	}
	return all
}

type anchorProperties struct {
	Enabled              *bool
	Name                 string
	NotificationSettings any
	Tags                 any
	Source               struct {
		SourceType string
		SourceData struct {
			AcmPcaARN           string `json:"AcmPcaArn"`
			X509CertificateData string
		}
	}
}

// anchor is what the properties describe.
func (m *maker) anchor(r *StackResource, arn string) (TrustAnchor, error) {
	var p anchorProperties
	a := TrustAnchor{ARN: arn}
	if err := strictJSON(r.Properties, &p); err != nil {
		return a, err
	}
	a.Name, a.Enabled = p.Name, p.Enabled == nil || *p.Enabled
	switch data := p.Source.SourceData; p.Source.SourceType {
	case "AWS_ACM_PCA":
		ca := m.w.certificateAuthority(data.AcmPcaARN)
		if ca == nil || ca.Status != "ACTIVE" {
			return a, fmt.Errorf("the private CA %q is not there or not ACTIVE", data.AcmPcaARN)
		}
		a.AcmPcaARN, a.Certificates = ca.ARN, []string{ca.Certificate}
	case "CERTIFICATE_BUNDLE":
		for _, block := range strings.SplitAfter(strings.TrimSpace(data.X509CertificateData), "-----END CERTIFICATE-----") {
			if block = strings.TrimSpace(block); block != "" {
				if !strings.HasPrefix(block, "-----BEGIN CERTIFICATE-----") {
					return a, errors.New("Invalid certificate data: text around the certificates") //nolint:staticcheck // as Roles Anywhere begins [?]
				}
				a.Certificates = append(a.Certificates, block+"\n")
			}
		}
	default:
		return a, fmt.Errorf("SourceType %q", p.Source.SourceType)
	}
	if len(a.Certificates) == 0 {
		return a, errors.New("no certificate in the trust anchor's source")
	}
	return a, a.validate()
}

func (m *maker) createAnchor(r *StackResource) error {
	id := newUUID()
	a, err := m.anchor(r, m.arn("rolesanywhere", "trust-anchor/"+id))
	if err != nil {
		return err
	}
	if slices.ContainsFunc(m.w.TrustAnchors, func(o TrustAnchor) bool { return o.Name == a.Name }) {
		return fmt.Errorf("a trust anchor named %q exists already", a.Name) // [?] whether AWS minds; two of one name confuse people
	}
	m.w.TrustAnchors = append(m.w.TrustAnchors, a)
	r.PhysicalID, r.Attributes = id, map[string]string{"TrustAnchorArn": a.ARN, "TrustAnchorId": id}
	return nil
}

func (m *maker) updateAnchor(r *StackResource) error {
	old := m.w.trustAnchor(r.Attributes["TrustAnchorArn"])
	if old == nil {
		return fmt.Errorf("trust anchor %q is gone", r.PhysicalID)
	}
	a, err := m.anchor(r, old.ARN)
	if err != nil {
		return err
	}
	a.CRLs = old.CRLs
	*old = a
	return nil
}

func (m *maker) removeAnchor(r *StackResource) error {
	m.w.TrustAnchors = drop(m.w.TrustAnchors, func(a TrustAnchor) bool { return a.ARN == r.Attributes["TrustAnchorArn"] })
	return nil
}

func (m *maker) readAnchor(r *StackResource) map[string]any {
	a := m.w.trustAnchor(r.Attributes["TrustAnchorArn"])
	if a == nil {
		return nil
	}
	return map[string]any{"Name": a.Name, "Enabled": a.Enabled}
}

type profileProperties struct {
	AcceptRoleSessionName bool
	AttributeMappings     []struct {
		CertificateField string
		MappingRules     []struct{ Specifier string }
	}
	DurationSeconds   *int
	Enabled           *bool
	ManagedPolicyARNs []string `json:"ManagedPolicyArns"`
	Name              string
	RoleARNs          []string `json:"RoleArns"`
	SessionPolicy     string
	Tags              any
}

func (m *maker) profile(r *StackResource, arn string) (Profile, error) {
	var in profileProperties
	p := Profile{ARN: arn, DurationSeconds: 3600}
	if err := strictJSON(r.Properties, &in); err != nil {
		return p, err
	}
	if in.DurationSeconds != nil {
		p.DurationSeconds = *in.DurationSeconds
	}
	p.Name, p.Enabled, p.RoleARNs, p.AcceptRoleSessionName = in.Name, in.Enabled == nil || *in.Enabled, in.RoleARNs, in.AcceptRoleSessionName
	p.SessionPolicy, p.ManagedPolicyARNs = in.SessionPolicy, in.ManagedPolicyARNs
	for _, a := range in.AttributeMappings {
		mapping := AttributeMapping{CertificateField: a.CertificateField}
		for _, rule := range a.MappingRules {
			mapping.Specifiers = append(mapping.Specifiers, rule.Specifier)
		}
		p.AttributeMappings = append(p.AttributeMappings, mapping)
	}
	for _, arn := range p.RoleARNs {
		if m.w.role(arn) == nil {
			return p, fmt.Errorf("role %q of the profile is not there", arn)
		}
	}
	return p, p.validate()
}

func (m *maker) createProfile(r *StackResource) error {
	id := newUUID()
	p, err := m.profile(r, m.arn("rolesanywhere", "profile/"+id))
	if err != nil {
		return err
	}
	m.w.Profiles = append(m.w.Profiles, p)
	r.PhysicalID, r.Attributes = id, map[string]string{"ProfileArn": p.ARN, "ProfileId": id}
	return nil
}

func (m *maker) updateProfile(r *StackResource) error {
	old := m.w.profile(r.Attributes["ProfileArn"])
	if old == nil {
		return fmt.Errorf("profile %q is gone", r.PhysicalID)
	}
	p, err := m.profile(r, old.ARN)
	if err == nil {
		*old = p
	}
	return err
}

func (m *maker) removeProfile(r *StackResource) error {
	m.w.Profiles = drop(m.w.Profiles, func(p Profile) bool { return p.ARN == r.Attributes["ProfileArn"] })
	return nil
}

func (m *maker) readProfile(r *StackResource) map[string]any {
	p := m.w.profile(r.Attributes["ProfileArn"])
	if p == nil {
		return nil
	}
	return map[string]any{"Name": p.Name, "Enabled": p.Enabled, "DurationSeconds": p.DurationSeconds, "AcceptRoleSessionName": p.AcceptRoleSessionName, "RoleArns": p.RoleARNs}
}
