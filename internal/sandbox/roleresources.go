package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

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
	if policySize(in.AssumeRolePolicyDocument) > 2048 {
		return role, errors.New("Cannot exceed quota for ACLSizePerRole: 2048") //nolint:staticcheck // IAM's words
	}
	inline := 0
	for _, p := range in.Policies {
		role.Policies[p.PolicyName] = p.PolicyDocument
		inline += policySize(p.PolicyDocument)
	}
	if inline > 10240 {
		return role, fmt.Errorf("Maximum policy size of 10240 bytes exceeded for role %s", in.RoleName) //nolint:staticcheck // IAM's words
	}
	return role, role.validate()
}

// policySize is in characters without white space, as IAM counts.
func policySize(document json.RawMessage) int {
	var value any
	if json.Unmarshal(document, &value) != nil {
		return 0 // refused elsewhere
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(value) // what was JSON is JSON
	return utf8.RuneCountInString(strings.Join(strings.Fields(b.String()), ""))
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

// removeRole takes away what it has put there: IAM does not delete a role that
// somebody else has given a policy.
func (m *maker) removeRole(r *StackResource) error {
	var made roleProperties
	if err := strictJSON(r.Properties, &made); err != nil {
		return err
	}
	if old := m.w.role(r.Attributes["Arn"]); old != nil && (len(old.Policies) > len(made.Policies) || len(old.ManagedPolicyARNs) > len(made.ManagedPolicyARNs)) {
		return errors.New("Cannot delete entity, must detach all policies first.") //nolint:staticcheck // IAM's words
	}
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
		if accessPolicies()[name] == nil {
			return nil, e, fmt.Errorf("the sandbox does not know access policy %q", name)
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
