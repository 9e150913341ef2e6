package provision

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The names of the stack's outputs.
const (
	OutputTrustAnchor = "TrustAnchorArn"
	OutputProfile     = "ProfileArn"
	OutputRole        = "RoleArn"
	OutputCA          = "CertificateAuthorityArn"
)

// mark ends the description of our templates. By it we know our stacks again.
const mark = "(eks-x509 setup)"

// The logical ids.
const (
	idCA         = "CertificateAuthority"
	idCACert     = "CertificateAuthorityCertificate"
	idActivation = "CertificateAuthorityActivation"
	idAnchor     = "TrustAnchor"
	idRole       = "Role"
	idProfile    = "Profile"
)

// Template is the CloudFormation template for a complete spec, in YAML. It holds
// no account and no region, so that StackSets can carry it to many.
func (s *Spec) Template() ([]byte, error) {
	resources := object()
	if s.CA.New != nil {
		s.addCA(resources)
	}
	put(resources, idAnchor, s.anchor())
	put(resources, idRole, s.role())
	profile, err := s.profile()
	if err != nil {
		return nil, err
	}
	put(resources, idProfile, profile)
	for _, c := range s.Clusters {
		if !c.AWSAuth {
			put(resources, entryID(c.Name), s.entry(c))
		}
	}
	outputs := object(
		OutputTrustAnchor, output("trust anchor", getAtt(idAnchor, "TrustAnchorArn")),
		OutputProfile, output("Roles Anywhere profile", getAtt(idProfile, "ProfileArn")),
		OutputRole, output("role of the certificates", getAtt(idRole, "Arn")),
	)
	switch {
	case s.CA.New != nil:
		put(outputs, OutputCA, output("private CA of this stack", getAtt(idCA, "Arn")))
	case s.CA.AcmPcaARN != "":
		put(outputs, OutputCA, output("private CA that was there", s.CA.AcmPcaARN))
	}
	root := object(
		"AWSTemplateFormatVersion", "2010-09-09",
		"Description", "X.509 certificates reach Amazon EKS by IAM Roles Anywhere "+mark,
		"Resources", resources,
		"Outputs", outputs,
	)
	if err := errors.Join(refuseReferences(root), s.checkPolicySizes()); err != nil {
		return nil, err
	}
	template, err := encode(root)
	if err == nil {
		err = checkTemplateSize(template)
	}
	return template, err
}

func encode(root *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	err := e.Encode(root)
	return b.Bytes(), err
}

// Decoded is a document that this package made, for who writes it as JSON.
func Decoded(document []byte) (value any, err error) {
	err = yaml.Unmarshal(document, &value)
	return value, err
}

// object is a YAML mapping of keys and values in their order.
func object(pairs ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	putAll(n, pairs)
	return n
}

func putAll(n *yaml.Node, pairs []any) {
	for pair := range slices.Chunk(pairs, 2) {
		put(n, pair[0].(string), pair[1])
	}
}

func put(n *yaml.Node, key string, value any) {
	n.Content = append(n.Content, text(key), node(value))
}

func list[T any](values []T) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	for _, v := range values {
		n.Content = append(n.Content, node(v))
	}
	return n
}

// text is a string that stays one: CloudFormation reads YAML 1.1, which takes
// yes, 012, 1:30 and 2012-10-17 for something else.
func text(s string) *yaml.Node {
	n := new(yaml.Node)
	n.SetString(s)
	if n.Style == 0 && (!plainText().MatchString(s) || slices.Contains(strings.Fields("y n yes no on off true false null"), strings.ToLower(s))) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

var plainText = lazy(`^[A-Za-z][A-Za-z0-9 /:.,_=@(){}$*-]*$`)

func node(v any) *yaml.Node {
	switch v := v.(type) {
	case *yaml.Node:
		return v
	case string:
		return text(v)
	case []string:
		return list(v)
	case int:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(v)}
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v)}
	}
	panic(fmt.Sprintf("provision: internal error: a template with a %T", v))
}

func ref(id string) *yaml.Node       { return object("Ref", id) }
func sub(text string) *yaml.Node     { return object("Fn::Sub", text) }
func getAtt(id, a string) *yaml.Node { return object("Fn::GetAtt", []string{id, a}) }

func output(about string, value any) *yaml.Node { return object("Description", about, "Value", value) }

func resource(kind string, properties *yaml.Node, more ...any) *yaml.Node {
	n := object("Type", kind)
	putAll(n, more)
	put(n, "Properties", properties)
	return n
}

// addCA: the CA, its own certificate, and the two brought together. A CA and what it issued outlive the stack: setup remove ends it,
// with days to think better of it, and CloudFormation's own deletion would leave them no choice of days.
func (s *Spec) addCA(resources *yaml.Node) {
	n := s.CA.New
	algorithm := signingAlgorithms()[n.KeyAlgorithm]
	keep := []any{"DeletionPolicy", "RetainExceptOnCreate", "UpdateReplacePolicy", "Retain"}
	subject := object("CommonName", n.CommonName)
	if n.Organization != "" {
		put(subject, "Organization", n.Organization)
	}
	if n.Country != "" {
		put(subject, "Country", n.Country)
	}
	ca := object("Type", "ROOT", "KeyAlgorithm", n.KeyAlgorithm, "SigningAlgorithm", algorithm, "UsageMode", n.Mode, "Subject", subject)
	s.addTags(ca)
	put(resources, idCA, resource("AWS::ACMPCA::CertificateAuthority", ca, keep...))
	put(resources, idCACert, resource("AWS::ACMPCA::Certificate", object(
		"CertificateAuthorityArn", ref(idCA),
		"CertificateSigningRequest", getAtt(idCA, "CertificateSigningRequest"),
		"SigningAlgorithm", algorithm,
		"TemplateArn", sub("arn:${AWS::Partition}:acm-pca:::template/RootCACertificate/V1"),
		"Validity", object("Type", "YEARS", "Value", n.ValidityYears),
	), keep...))
	put(resources, idActivation, resource("AWS::ACMPCA::CertificateAuthorityActivation", object(
		"CertificateAuthorityArn", ref(idCA),
		"Certificate", getAtt(idCACert, "Certificate"),
		"Status", "ACTIVE",
	), keep...))
}

func (s *Spec) addTags(properties *yaml.Node) {
	if len(s.Tags) == 0 {
		return
	}
	tags := list[any](nil)
	for _, key := range slices.Sorted(maps.Keys(s.Tags)) {
		tags.Content = append(tags.Content, object("Key", key, "Value", s.Tags[key]))
	}
	put(properties, "Tags", tags)
}

func (s *Spec) anchor() *yaml.Node {
	source := object("SourceType", "AWS_ACM_PCA", "SourceData", object("AcmPcaArn", s.CA.AcmPcaARN))
	var more []any
	switch {
	case s.CA.New != nil:
		source = object("SourceType", "AWS_ACM_PCA", "SourceData", object("AcmPcaArn", ref(idCA)))
		more = []any{"DependsOn", idActivation} // a CA without a certificate vouches for nobody
	case s.CA.Bundle != "":
		var bundle []byte // the certificates alone, whatever stands around them in the file
		for _, c := range s.CA.Certificates {
			bundle = append(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
		data := text(string(bundle))
		data.Style = yaml.LiteralStyle
		source = object("SourceType", "CERTIFICATE_BUNDLE", "SourceData", object("X509CertificateData", data))
	}
	properties := object("Name", s.TrustAnchor.Name, "Enabled", true, "Source", source)
	s.addTags(properties)
	return resource("AWS::RolesAnywhere::TrustAnchor", properties, more...)
}

// trustPolicy lets in only what came by this trust anchor, from this issuer and, if
// asked for, under these names.
func (s *Spec) trustPolicy() *yaml.Node {
	r := &s.Role
	equals, like := object(), object()
	add := func(tag string, values []string) {
		to := equals
		if slices.ContainsFunc(values, func(v string) bool { return strings.ContainsAny(v, wildcards) }) {
			to = like
		}
		put(to, "aws:PrincipalTag/"+tag, oneOrList(values))
	}
	if len(r.IssuerCN) > 0 {
		put(equals, "aws:PrincipalTag/x509Issuer/CN", oneOrList(r.IssuerCN)) // never a pattern
	}
	for _, key := range slices.Sorted(maps.Keys(r.Issuer)) {
		put(equals, "aws:PrincipalTag/x509Issuer/"+key, oneOrList(r.Issuer[key]))
	}
	for _, key := range slices.Sorted(maps.Keys(r.Subject)) {
		add("x509Subject/"+key, r.Subject[key])
	}
	for _, key := range slices.Sorted(maps.Keys(r.SAN)) {
		add("x509SAN/"+key, r.SAN[key])
	}
	condition := func(more ...any) *yaml.Node {
		strict := object()
		strict.Content = append(append(strict.Content, equals.Content...), object(more...).Content...)
		n := object("ArnEquals", object("aws:SourceArn", getAtt(idAnchor, "TrustAnchorArn")))
		if len(strict.Content) > 0 {
			put(n, "StringEquals", strict)
		}
		if len(like.Content) > 0 {
			put(n, "StringLike", like)
		}
		return n
	}
	allow := func(actions any, condition *yaml.Node) *yaml.Node {
		return object("Effect", "Allow", "Principal", object("Service", "rolesanywhere.amazonaws.com"), "Action", actions, "Condition", condition)
	}
	statements := []*yaml.Node{allow([]string{"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"}, condition())}
	if s.Profile.SessionNameFromCN {
		// sts:RoleSessionName is a key of AssumeRole alone. AWS's recipe for hybrid nodes.
		statements = []*yaml.Node{
			allow([]string{"sts:TagSession", "sts:SetSourceIdentity"}, condition()),
			allow("sts:AssumeRole", condition("sts:RoleSessionName", "${aws:PrincipalTag/x509Subject/CN}")),
		}
	}
	return object("Version", "2012-10-17", "Statement", list(statements))
}

func (s *Spec) role() *yaml.Node {
	r := &s.Role
	properties := object()
	if r.Name != "" {
		put(properties, "RoleName", r.Name)
	}
	put(properties, "MaxSessionDuration", int(r.MaxSessionSeconds))
	put(properties, "AssumeRolePolicyDocument", s.trustPolicy())
	put(properties, "Policies", list([]*yaml.Node{object("PolicyName", "eks-x509", "PolicyDocument", s.rolePolicy())}))
	if len(r.ManagedPolicies) > 0 {
		put(properties, "ManagedPolicyArns", r.ManagedPolicies)
	}
	s.addTags(properties)
	return resource("AWS::IAM::Role", properties)
}

// rolePolicy is all that kubeconfig, whoami and doctor ask of EKS.
func (s *Spec) rolePolicy() *yaml.Node {
	var clusters []*yaml.Node
	for _, c := range s.Clusters {
		clusters = append(clusters, sub("arn:${AWS::Partition}:eks:${AWS::Region}:${AWS::AccountId}:cluster/"+c.Name))
	}
	return object("Version", "2012-10-17", "Statement", list([]*yaml.Node{
		object("Effect", "Allow", "Action", "eks:DescribeCluster", "Resource", list(clusters)),
		object("Effect", "Allow", "Action", "eks:ListClusters", "Resource", "*"),
	}))
}

func oneOrList(values []string) any {
	if len(values) == 1 {
		return values[0]
	}
	return values
}

func (s *Spec) profile() (*yaml.Node, error) {
	p := &s.Profile
	n := object("Name", p.Name, "Enabled", true, "DurationSeconds", int(p.DurationSeconds), "RoleArns", list([]*yaml.Node{getAtt(idRole, "Arn")}))
	if p.SessionNameFromCN {
		put(n, "AcceptRoleSessionName", true)
	}
	if len(p.AttributeMappings) > 0 {
		mappings := list[any](nil)
		for _, field := range []string{"subject", "issuer", "san"} {
			var rules []*yaml.Node
			for _, specifier := range p.AttributeMappings[field] {
				rules = append(rules, object("Specifier", specifier))
			}
			if len(rules) > 0 {
				mappings.Content = append(mappings.Content, object("CertificateField", mappedFields()[field], "MappingRules", list(rules)))
			}
		}
		put(n, "AttributeMappings", mappings)
	}
	if len(p.SessionPolicyJSON) > 0 {
		var compact bytes.Buffer
		if err := json.Compact(&compact, p.SessionPolicyJSON); err != nil {
			return nil, invalid("profile.sessionPolicy", "%q is no JSON: %w", p.SessionPolicy, err)
		}
		put(n, "SessionPolicy", compact.String())
	}
	if len(p.ManagedPolicies) > 0 {
		put(n, "ManagedPolicyArns", p.ManagedPolicies)
	}
	s.addTags(n)
	return resource("AWS::RolesAnywhere::Profile", n), nil
}

// entryID is the cluster's, and no other's: logical ids have letters and digits
// only, and must not change when clusters are added.
func entryID(cluster string) string {
	plain := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' {
			return -1
		}
		return r
	}, cluster)
	return fmt.Sprintf("AccessEntry%s%x", plain, sha256.Sum256([]byte(cluster)))[:len("AccessEntry")+len(plain)+6]
}

func (s *Spec) entry(c Cluster) *yaml.Node {
	n := object("ClusterName", c.Name, "PrincipalArn", getAtt(idRole, "Arn"), "Type", "STANDARD")
	if c.Username != "" {
		put(n, "Username", c.Username)
	}
	if len(c.Groups) > 0 {
		put(n, "KubernetesGroups", c.Groups)
	}
	var policies []*yaml.Node
	for _, p := range c.Policies {
		scope := object("Type", "cluster")
		if len(p.Namespaces) > 0 {
			scope = object("Type", "namespace", "Namespaces", p.Namespaces)
		}
		var arn any = p.Name
		if !strings.HasPrefix(p.Name, "arn:") {
			arn = sub("arn:${AWS::Partition}:eks::aws:cluster-access-policy/" + p.Name)
		}
		policies = append(policies, object("PolicyArn", arn, "AccessScope", scope))
	}
	if len(policies) > 0 {
		put(n, "AccessPolicies", list(policies))
	}
	s.addTags(n)
	return resource("AWS::EKS::AccessEntry", n)
}
