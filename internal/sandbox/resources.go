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

func (m *maker) createCA(r *StackResource) error {
	var p struct {
		KeyAlgorithm, SigningAlgorithm, Type, UsageMode string
		Subject                                         caSubject
		Tags                                            any
	}
	if err := strictJSON(r.Properties, &p); err != nil {
		return err
	}
	if p.Type != "ROOT" {
		return fmt.Errorf("the sandbox makes CAs of Type ROOT only, not %q", p.Type)
	}
	arn := m.arn("acm-pca", "certificate-authority/"+newUUID())
	ca, err := newCA(arn, p.Subject, p.KeyAlgorithm)
	if err != nil {
		return err
	}
	m.w.CertificateAuthorities = append(m.w.CertificateAuthorities, *ca)
	r.PhysicalID, r.Attributes = arn, map[string]string{"Arn": arn, "CertificateSigningRequest": "csr:" + arn}
	return nil
}

// removeCA is what CloudFormation does: the CA can be had back for 30 days.
func (m *maker) removeCA(r *StackResource) error {
	if ca := m.w.certificateAuthority(r.PhysicalID); ca != nil && ca.Status != "DELETED" {
		ca.Status, ca.DeletedFor = "DELETED", 30
	}
	return nil
}

func (m *maker) readCA(r *StackResource) map[string]any {
	if ca := m.w.certificateAuthority(r.PhysicalID); ca == nil || ca.Status == "DELETED" {
		return nil
	}
	return map[string]any{}
}

// createCACertificate signs the CA's own request.
func (m *maker) createCACertificate(r *StackResource) error {
	var p struct {
		CertificateAuthorityARN   string `json:"CertificateAuthorityArn"`
		CertificateSigningRequest string
		SigningAlgorithm          string
		TemplateARN               string `json:"TemplateArn"`
		Validity                  validity
	}
	if err := strictJSON(r.Properties, &p); err != nil {
		return err
	}
	ca := m.w.certificateAuthority(p.CertificateAuthorityARN)
	if ca == nil || p.CertificateSigningRequest != "csr:"+ca.ARN || !strings.HasSuffix(p.TemplateARN, ":template/RootCACertificate/V1") {
		return errors.New("the sandbox signs only the own request of a root CA, by RootCACertificate/V1")
	}
	until, err := p.Validity.from(m.now)
	if err != nil {
		return err
	}
	text, err := ca.sign(m.now, until)
	if err != nil {
		return err
	}
	r.PhysicalID, r.Attributes = ca.ARN+"/certificate/"+newUUID(), map[string]string{"Certificate": text, "Arn": ca.ARN}
	return nil
}

func (m *maker) activateCA(r *StackResource) error {
	var p struct {
		CertificateAuthorityARN               string `json:"CertificateAuthorityArn"`
		Certificate, CertificateChain, Status string
	}
	if err := strictJSON(r.Properties, &p); err != nil {
		return err
	}
	ca := m.w.certificateAuthority(p.CertificateAuthorityARN)
	if ca == nil {
		return fmt.Errorf("Could not find Certificate Authority %s", p.CertificateAuthorityARN) //nolint:staticcheck // AWS's words
	}
	ca.Certificate, ca.Status = p.Certificate, "ACTIVE"
	if p.Status == "DISABLED" {
		ca.Status = p.Status
	}
	r.PhysicalID, r.Attributes = ca.ARN, map[string]string{"CompleteCertificateChain": p.Certificate}
	return nil
}

func (m *maker) deactivateCA(r *StackResource) error {
	if ca := m.w.certificateAuthority(r.PhysicalID); ca != nil && ca.Status == "ACTIVE" {
		ca.Status = "DISABLED"
	}
	return nil
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

type roleProperties struct {
	AssumeRolePolicyDocument json.RawMessage
	Description              string
	ManagedPolicyARNs        []string `json:"ManagedPolicyArns"`
	MaxSessionDuration       *int
	Path                     string
	PermissionsBoundary      string
	Policies                 []struct {
		PolicyName     string
		PolicyDocument json.RawMessage
	}
	RoleName string
	Tags     any
}

func (m *maker) role(r *StackResource) (Role, error) {
	var in roleProperties
	role := Role{MaxSessionDuration: 3600, Policies: map[string]json.RawMessage{}}
	if err := strictJSON(r.Properties, &in); err != nil {
		return role, err
	}
	if in.MaxSessionDuration != nil {
		role.MaxSessionDuration = *in.MaxSessionDuration
	}
	if in.RoleName == "" {
		in.RoleName = m.stack.Name + "-" + r.LogicalID + "-" + strings.ToUpper(newUUID()[:8])
	}
	role.ARN = m.arn("iam", "role"+"/"+strings.TrimPrefix(in.Path, "/")+in.RoleName)
	role.TrustPolicy, role.ManagedPolicyARNs = in.AssumeRolePolicyDocument, in.ManagedPolicyARNs
	for _, p := range in.Policies {
		role.Policies[p.PolicyName] = p.PolicyDocument
	}
	return role, role.validate()
}

func roleName(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }

func (m *maker) createRole(r *StackResource) error {
	role, err := m.role(r)
	if err != nil {
		return err
	}
	name := roleName(role.ARN)
	if slices.ContainsFunc(m.w.Roles, func(o Role) bool { return roleName(o.ARN) == name }) {
		return fmt.Errorf("Role with name %s already exists.", name) //nolint:staticcheck // IAM's words
	}
	role.RoleID = "AROA" + strings.ToUpper(strings.ReplaceAll(newUUID(), "-", ""))[:17]
	m.w.Roles = append(m.w.Roles, role)
	r.PhysicalID, r.Attributes = name, map[string]string{"Arn": role.ARN, "RoleId": role.RoleID}
	return nil
}

func (m *maker) updateRole(r *StackResource) error {
	old := m.w.role(r.Attributes["Arn"])
	if old == nil {
		return fmt.Errorf("The role with name %s cannot be found.", r.PhysicalID) //nolint:staticcheck // IAM's words
	}
	role, err := m.role(r)
	if err == nil {
		role.ARN, role.RoleID = old.ARN, old.RoleID
		*old = role
	}
	return err
}

func (m *maker) removeRole(r *StackResource) error {
	m.w.Roles = drop(m.w.Roles, func(o Role) bool { return o.ARN == r.Attributes["Arn"] })
	return nil
}

func (m *maker) readRole(r *StackResource) map[string]any {
	role := m.w.role(r.Attributes["Arn"])
	if role == nil {
		return nil
	}
	return map[string]any{"MaxSessionDuration": role.MaxSessionDuration, "AssumeRolePolicyDocument": role.TrustPolicy}
}

type entryProperties struct {
	AccessPolicies []struct {
		PolicyARN   string `json:"PolicyArn"`
		AccessScope struct {
			Type       string
			Namespaces []string
		}
	}
	ClusterName      string
	KubernetesGroups []string
	PrincipalARN     string `json:"PrincipalArn"`
	Tags             any
	Type             string
	Username         string
}

// entry is the mapping that the properties describe, by the rules of EKS's guide, "Create access entries".
func (m *maker) entry(r *StackResource) (*Cluster, Mapping, error) {
	var p entryProperties
	if err := strictJSON(r.Properties, &p); err != nil {
		return nil, Mapping{}, err
	}
	e := Mapping{RoleARN: p.PrincipalARN, Username: p.Username, Groups: p.KubernetesGroups, AccessEntry: true}
	for _, a := range p.AccessPolicies {
		_, name, ok := strings.Cut(a.PolicyARN, ":eks::aws:cluster-access-policy/")
		if !ok || a.AccessScope.Type != "cluster" && a.AccessScope.Type != "namespace" || (a.AccessScope.Type == "namespace") != (len(a.AccessScope.Namespaces) > 0) {
			return nil, e, fmt.Errorf("access policy %q of scope %q", a.PolicyARN, a.AccessScope.Type)
		}
		e.AccessPolicies = append(e.AccessPolicies, AccessPolicy{Name: name, Namespaces: a.AccessScope.Namespaces})
	}
	k := find(m.w.Clusters, func(k Cluster) bool { return k.Name == p.ClusterName && k.Region == m.w.Region })
	if k == nil {
		return nil, e, fmt.Errorf("No cluster found for name: %s.", p.ClusterName) //nolint:staticcheck // EKS's words
	}
	if k.authenticationMode() == modeConfigMap {
		return nil, e, errors.New("The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this operation.") //nolint:staticcheck // EKS's words
	}
	role := m.w.role(p.PrincipalARN)
	if role == nil {
		return nil, e, fmt.Errorf("The specified principalArn is invalid: invalid principal %q", p.PrincipalARN) //nolint:staticcheck // EKS's words
	}
	if e.Username == "" {
		e.Username = "arn:" + partitionOf(m.w.Region).id + ":sts::" + m.w.Account + ":assumed-role/" + roleName(role.ARN) + "/{{SessionName}}"
	}
	for _, prefix := range []string{"system:", "eks:", "aws:", "amazon:", "iam:"} {
		if strings.HasPrefix(e.Username, prefix) {
			return nil, e, fmt.Errorf("The username %q begins with %q, which is reserved", e.Username, prefix) //nolint:staticcheck // as EKS begins
		}
		if slices.ContainsFunc(e.Groups, func(g string) bool { return strings.HasPrefix(g, prefix) }) {
			return nil, e, fmt.Errorf("The kubernetes group name is invalid: it must not begin with %q", prefix) //nolint:staticcheck // as EKS begins
		}
	}
	if before, _, ok := strings.Cut(e.Username, "{{SessionName}}"); ok && !strings.Contains(before, ":") {
		return nil, e, fmt.Errorf("The username %q needs a colon before {{SessionName}}", e.Username) //nolint:staticcheck // as EKS begins
	}
	return k, e, nil
}

func (m *maker) createEntry(r *StackResource) error {
	k, e, err := m.entry(r)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(k.Mappings, func(o Mapping) bool { return o.RoleARN == e.RoleARN }) {
		return errors.New("The specified access entry resource is already in use on this cluster.") //nolint:staticcheck // EKS's words
	}
	k.Mappings = append(k.Mappings, e)
	r.PhysicalID = e.RoleARN + "|" + k.Name
	r.Attributes = map[string]string{"AccessEntryArn": m.arn("eks", "access-entry/"+k.Name+"/role/"+m.w.Account+"/"+roleName(e.RoleARN)+"/"+newUUID())}
	return nil
}

func (m *maker) stackEntry(r *StackResource) (*Cluster, *Mapping) {
	role, cluster, _ := strings.Cut(r.PhysicalID, "|")
	k := find(m.w.Clusters, func(k Cluster) bool { return k.Name == cluster && k.Region == m.w.Region })
	if k == nil {
		return nil, nil
	}
	return k, find(k.Mappings, func(o Mapping) bool { return o.RoleARN == role })
}

func (m *maker) updateEntry(r *StackResource) error {
	_, old := m.stackEntry(r)
	if old == nil {
		return fmt.Errorf("access entry %q is gone", r.PhysicalID)
	}
	_, e, err := m.entry(r)
	if err == nil {
		*old = e
	}
	return err
}

func (m *maker) removeEntry(r *StackResource) error {
	if k, old := m.stackEntry(r); old != nil {
		k.Mappings = drop(k.Mappings, func(o Mapping) bool { return o.RoleARN == old.RoleARN })
	}
	return nil
}

func (m *maker) readEntry(r *StackResource) map[string]any {
	_, e := m.stackEntry(r)
	if e == nil {
		return nil
	}
	return map[string]any{"Username": e.Username, "KubernetesGroups": e.Groups}
}
