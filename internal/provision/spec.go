// Package provision is the administrator's side: from a short description of who
// is to reach which cluster, a CloudFormation template, and the stack's life.
//
// CloudFormation makes, changes, rolls back and deletes; here are the template
// and the words around it.
//
//	https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/
//	https://docs.aws.amazon.com/rolesanywhere/latest/userguide/trust-model.html
//	https://docs.aws.amazon.com/eks/latest/userguide/access-entries.html
package provision

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// lazy compiles a pattern when it is first used: it is linked into a program that kubectl starts on every call.
func lazy(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

// Spec is access.yaml: who may reach which clusters.
type Spec struct {
	Stack       string            `yaml:"stack"`
	CA          CA                `yaml:"ca"`
	TrustAnchor TrustAnchor       `yaml:"trustAnchor"`
	Role        Role              `yaml:"role"`
	Profile     Profile           `yaml:"profile"`
	Clusters    []Cluster         `yaml:"clusters"`
	Tags        map[string]string `yaml:"tags"`
}

// CA is who vouches for certificates: one of the three.
type CA struct {
	New       *NewCA `yaml:"new"`       // of AWS Private CA
	AcmPcaARN string `yaml:"acmPcaArn"` // of AWS Private CA, there already
	Bundle    string `yaml:"bundle"`    // file with PEM certificates of one's own CA, at most two
	// BundlePEM is what the file holds.
	BundlePEM []byte `yaml:"-"`
}

// NewCA is a root CA that AWS Private CA makes.
type NewCA struct {
	CommonName   string `yaml:"commonName"`
	Organization string `yaml:"organization"`
	Country      string `yaml:"country"`
	KeyAlgorithm string `yaml:"keyAlgorithm"` // default EC_prime256v1
	// Mode: GENERAL_PURPOSE (the default), or SHORT_LIVED_CERTIFICATE, which
	// costs an eighth and whose certificates last at most 7 days.
	Mode          string `yaml:"mode"`
	ValidityYears int    `yaml:"validityYears"` // default 10
}

// TrustAnchor is that of Roles Anywhere.
type TrustAnchor struct {
	Name string `yaml:"name"` // default: the stack's
}

// Role is what certificates become.
type Role struct {
	Name              string              `yaml:"name"`     // default: left to CloudFormation
	IssuerCN          []string            `yaml:"issuerCN"` // default: the CA's own
	Subject           map[string][]string `yaml:"subject"`  // CN, O, OU, C, ST, L; * and ? match
	SAN               map[string][]string `yaml:"san"`      // DNS, URI, Name/CN
	MaxSessionSeconds int                 `yaml:"maxSessionSeconds"`
	ManagedPolicies   []string            `yaml:"managedPolicies"`
}

// Profile is that of Roles Anywhere.
type Profile struct {
	Name              string              `yaml:"name"` // default: the stack's
	DurationSeconds   int                 `yaml:"durationSeconds"`
	SessionNameFromCN bool                `yaml:"sessionNameFromCN"`
	SessionPolicy     string              `yaml:"sessionPolicy"` // file with a policy in JSON
	ManagedPolicies   []string            `yaml:"managedPolicies"`
	AttributeMappings map[string][]string `yaml:"attributeMappings"` // subject, issuer, san
	// SessionPolicyJSON is what the file holds.
	SessionPolicyJSON []byte `yaml:"-"`
}

// Cluster is one that the role may reach.
type Cluster struct {
	Name     string         `yaml:"name"`
	Username string         `yaml:"username"` // default: EKS's own
	Groups   []string       `yaml:"groups"`
	Policies []AccessPolicy `yaml:"policies"`
	// AWSAuth: the cluster still has the ConfigMap aws-auth; setup map-role
	// writes it, and no access entry is made.
	AWSAuth bool `yaml:"awsAuth"`
}

// AccessPolicy is one of EKS's, in some namespaces or, without any, everywhere.
type AccessPolicy struct {
	Name       string   `yaml:"name"` // such as AmazonEKSViewPolicy, or its ARN
	Namespaces []string `yaml:"namespaces"`
}

// ParseSpec reads access.yaml; a key that it does not know is an error. Files
// that it names are not read yet.
func ParseSpec(data []byte) (Spec, error) {
	var s Spec
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&s); errors.Is(err, io.EOF) {
		return s, errors.New("it is empty")
	} else if err != nil {
		return s, fmt.Errorf("malformed YAML: %s", yamlProblem(err))
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return s, errors.New("malformed YAML: more than one document")
	}
	return s, nil
}

// yamlProblem is the decoder's message in the file's words.
func yamlProblem(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "unmarshal errors:\n", ""), "\n", ";")
	text = goType().ReplaceAllString(text, "here")
	return strings.Join(strings.Fields(text), " ")
}

var goType = lazy(`in type [A-Za-z.]+`)

var (
	stackPattern     = lazy(`^[A-Za-z][A-Za-z0-9-]{0,127}$`)
	namePattern      = lazy(`^[A-Za-z0-9 _-]{1,255}$`) // Roles Anywhere: Name
	rolePattern      = lazy(`^[A-Za-z0-9+=,.@_-]{1,64}$`)
	clusterPattern   = lazy(`^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$`)
	pcaPattern       = lazy(`^arn:[a-z-]+:acm-pca:[a-z0-9-]+:[0-9]{12}:certificate-authority/[0-9a-f-]+$`)
	policyPattern    = lazy(`^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/[A-Za-z0-9+=,.@_/-]+$`)
	eksPolicy        = lazy(`^(arn:[a-z-]+:eks::aws:cluster-access-policy/)?AmazonEKS[A-Za-z]+$`)
	specifierPattern = lazy(`^(\*|[A-Za-z]+|[0-9.]+|DNS|URI|Name/(\*|[A-Za-z]+|[0-9.]+))$`)
)

// AWS: Roles Anywhere CreateProfile; IAM CreateRole.
const minSession, maxSession, minRoleSession = 900, 43200, 3600

// Complete checks the spec and fills in what it leaves open.
func (s *Spec) Complete() error {
	if s.Stack == "" {
		s.Stack = "eks-x509"
	}
	if !stackPattern().MatchString(s.Stack) {
		return invalid("stack", "%q: letters, digits and hyphens are taken, a letter first", s.Stack)
	}
	for _, check := range []func() error{s.completeCA, s.completeNames, s.completeRole, s.completeProfile, s.completeClusters} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// Invalid is a value that the spec can't have; Key says where, as in
// role.subject.
type Invalid struct {
	Key string
	Err error
}

func (e *Invalid) Error() string { return "invalid " + e.Key + ": " + e.Err.Error() }
func (e *Invalid) Unwrap() error { return e.Err }

func invalid(key, format string, args ...any) error {
	return &Invalid{key, fmt.Errorf(format, args...)}
}

func (s *Spec) completeCA() error {
	given := 0
	for _, is := range []bool{s.CA.New != nil, s.CA.AcmPcaARN != "", s.CA.Bundle != ""} {
		if is {
			given++
		}
	}
	if given != 1 {
		return invalid("ca", "%d of new, acmPcaArn and bundle are given, one is needed", given)
	}
	switch {
	case s.CA.New != nil:
		return s.completeNewCA()
	case s.CA.Bundle != "":
		return s.completeBundle()
	case !pcaPattern().MatchString(s.CA.AcmPcaARN):
		return invalid("ca.acmPcaArn", "%q is no ARN of a private CA", s.CA.AcmPcaARN)
	case len(s.Role.IssuerCN) == 0:
		return invalid("role.issuerCN", "none is given: with ca.acmPcaArn it is needed, the common name of the CA that issues the certificates")
	}
	return nil
}

func (s *Spec) completeNewCA() error {
	n := s.CA.New
	if n.CommonName == "" || len(n.CommonName) > 64 {
		return invalid("ca.new.commonName", "%q: 1 to 64 characters are needed", n.CommonName)
	}
	if n.KeyAlgorithm == "" {
		n.KeyAlgorithm = "EC_prime256v1"
	}
	if _, ok := signingAlgorithms()[n.KeyAlgorithm]; !ok {
		return invalid("ca.new.keyAlgorithm", "unsupported %q (supported: %s)", n.KeyAlgorithm, strings.Join(slices.Sorted(maps.Keys(signingAlgorithms())), ", "))
	}
	if n.Mode == "" {
		n.Mode = "GENERAL_PURPOSE"
	}
	if n.Mode != "GENERAL_PURPOSE" && n.Mode != "SHORT_LIVED_CERTIFICATE" {
		return invalid("ca.new.mode", "unsupported %q (supported: GENERAL_PURPOSE, SHORT_LIVED_CERTIFICATE)", n.Mode)
	}
	if n.ValidityYears == 0 {
		n.ValidityYears = 10
	}
	if n.ValidityYears < 1 || n.ValidityYears > 30 {
		return invalid("ca.new.validityYears", "%d: 1 to 30 are taken", n.ValidityYears)
	}
	if len(s.Role.IssuerCN) == 0 {
		s.Role.IssuerCN = []string{n.CommonName}
	}
	return nil
}

// signingAlgorithms are those of Private CA, by the CA's key.
func signingAlgorithms() map[string]string {
	return map[string]string{"RSA_2048": "SHA256WITHRSA", "RSA_4096": "SHA256WITHRSA", "EC_prime256v1": "SHA256WITHECDSA", "EC_secp384r1": "SHA384WITHECDSA"}
}

// completeBundle holds the certificates against what a trust anchor takes.
func (s *Spec) completeBundle() error {
	var found []*x509.Certificate
	for rest := s.CA.BundlePEM; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return invalid("ca.bundle", "%q holds a PEM block %q; only certificates may go to AWS", s.CA.Bundle, block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return invalid("ca.bundle", "%q: malformed certificate: %w", s.CA.Bundle, err)
		}
		if !c.IsCA || c.KeyUsage&x509.KeyUsageCertSign == 0 {
			return invalid("ca.bundle", "%q: %q is no CA (basicConstraints CA:TRUE and keyUsage keyCertSign are needed)", s.CA.Bundle, c.Subject)
		}
		found = append(found, c)
	}
	if len(found) < 1 || len(found) > 2 {
		return invalid("ca.bundle", "%q holds %d certificates, a trust anchor takes 1 or 2", s.CA.Bundle, len(found))
	}
	if len(s.Role.IssuerCN) > 0 {
		return nil
	}
	for _, c := range found {
		if c.Subject.CommonName == "" {
			return invalid("role.issuerCN", "none is given, and %q has no common name to take", c.Subject)
		}
		if !slices.Contains(s.Role.IssuerCN, c.Subject.CommonName) {
			s.Role.IssuerCN = append(s.Role.IssuerCN, c.Subject.CommonName)
		}
	}
	return nil
}

func (s *Spec) completeNames() error {
	for _, n := range []struct {
		key  string
		name *string
	}{{"trustAnchor.name", &s.TrustAnchor.Name}, {"profile.name", &s.Profile.Name}} {
		if *n.name == "" {
			*n.name = s.Stack
		}
		if !namePattern().MatchString(*n.name) {
			return invalid(n.key, "%q: letters, digits, spaces, _ and - are taken", *n.name)
		}
	}
	return nil
}

func (s *Spec) completeRole() error {
	r := &s.Role
	if r.Name != "" && !rolePattern().MatchString(r.Name) {
		return invalid("role.name", "%q: up to 64 letters, digits and +=,.@_- are taken", r.Name)
	}
	if r.MaxSessionSeconds == 0 {
		r.MaxSessionSeconds = max(minRoleSession, s.Profile.DurationSeconds)
	}
	if r.MaxSessionSeconds < minRoleSession || r.MaxSessionSeconds > maxSession {
		return invalid("role.maxSessionSeconds", "%d: 3600 to 43200 are taken", r.MaxSessionSeconds)
	}
	for _, key := range slices.Sorted(maps.Keys(r.Subject)) {
		if !slices.Contains([]string{"CN", "O", "OU", "C", "ST", "L"}, key) || len(r.Subject[key]) == 0 {
			return invalid("role.subject", "%q with %d values (supported: CN, O, OU, C, ST, L)", key, len(r.Subject[key]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r.SAN)) {
		if !slices.Contains([]string{"DNS", "URI", "Name/CN", "Name/O", "Name/OU"}, key) || len(r.SAN[key]) == 0 {
			return invalid("role.san", "%q with %d values (supported: DNS, URI, Name/CN, Name/O, Name/OU)", key, len(r.SAN[key]))
		}
	}
	return checkPolicies("role.managedPolicies", r.ManagedPolicies)
}

func checkPolicies(key string, arns []string) error {
	const most = 10
	for _, arn := range arns {
		if !policyPattern().MatchString(arn) {
			return invalid(key, "%q is no ARN of an IAM policy", arn)
		}
	}
	if len(arns) > most {
		return invalid(key, "%d policies, at most %d are taken", len(arns), most)
	}
	return nil
}

func (s *Spec) completeProfile() error {
	p := &s.Profile
	if p.DurationSeconds == 0 {
		p.DurationSeconds = 3600
	}
	switch {
	case p.DurationSeconds < minSession || p.DurationSeconds > maxSession:
		return invalid("profile.durationSeconds", "%d: 900 to 43200 are taken", p.DurationSeconds)
	case p.DurationSeconds > s.Role.MaxSessionSeconds:
		return invalid("profile.durationSeconds", "%d is more than the role's maxSessionSeconds, %d", p.DurationSeconds, s.Role.MaxSessionSeconds)
	}
	for _, field := range slices.Sorted(maps.Keys(p.AttributeMappings)) {
		if mappedFields()[field] == "" {
			return invalid("profile.attributeMappings", "unsupported field %q (supported: issuer, san, subject)", field)
		}
		for _, specifier := range p.AttributeMappings[field] {
			if !specifierPattern().MatchString(specifier) {
				return invalid("profile.attributeMappings", "%s: %q is no attribute such as CN, DNS or *", field, specifier)
			}
		}
	}
	if p.AttributeMappings != nil {
		// A condition on a tag that is not set never holds: nobody would get in, and nothing would say why.
		for _, tag := range s.conditionTags() {
			if !p.maps(tag) {
				return invalid("profile.attributeMappings", "the role's conditions need the tag %s, which they leave out", tag)
			}
		}
	}
	return checkPolicies("profile.managedPolicies", p.ManagedPolicies)
}

func mappedFields() map[string]string {
	return map[string]string{"subject": "x509Subject", "issuer": "x509Issuer", "san": "x509SAN"}
}

// maps says whether the attribute mappings set a tag such as x509Subject/CN.
func (p *Profile) maps(tag string) bool {
	field, attribute, _ := strings.Cut(tag, "/")
	for key, name := range mappedFields() {
		if name != field {
			continue
		}
		prefix, _, _ := strings.Cut(attribute, "/")
		return slices.ContainsFunc(p.AttributeMappings[key], func(s string) bool { return s == "*" || s == attribute || s == prefix+"/*" })
	}
	return false
}

// conditionTags are the session tags that the trust policy compares.
func (s *Spec) conditionTags() []string {
	tags := []string{"x509Issuer/CN"}
	for _, key := range slices.Sorted(maps.Keys(s.Role.Subject)) {
		tags = append(tags, "x509Subject/"+key)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Role.SAN)) {
		tags = append(tags, "x509SAN/"+key)
	}
	if s.Profile.SessionNameFromCN {
		tags = append(tags, "x509Subject/CN")
	}
	return tags
}

func (s *Spec) completeClusters() error {
	if len(s.Clusters) == 0 {
		return invalid("clusters", "none is given")
	}
	seen := map[string]bool{}
	for i := range s.Clusters {
		c := &s.Clusters[i]
		key := fmt.Sprintf("clusters[%d]", i)
		switch {
		case !clusterPattern().MatchString(c.Name):
			return invalid(key+".name", "%q is no name of a cluster", c.Name)
		case seen[c.Name]:
			return invalid(key+".name", "%q is there twice", c.Name)
		case c.AWSAuth && len(c.Policies) > 0:
			return invalid(key+".policies", "access policies need access entries, which awsAuth does without")
		case !c.AWSAuth && len(c.Groups) == 0 && len(c.Policies) == 0:
			return invalid(key, "neither groups nor policies are given: the role could do nothing in %q", c.Name)
		}
		seen[c.Name] = true
		if err := checkUsername(key+".username", c.Username); err != nil {
			return err
		}
		for _, g := range c.Groups {
			if p := reserved(g); p != "" && !c.AWSAuth {
				return invalid(key+".groups", "%q begins with %q, which EKS keeps for itself", g, p)
			}
		}
		for _, p := range c.Policies {
			if !eksPolicy().MatchString(p.Name) {
				return invalid(key+".policies", "%q is no access policy of EKS, such as AmazonEKSViewPolicy", p.Name)
			}
		}
	}
	return nil
}

// reserved is the beginning of a name that EKS does not give away, or "".
func reserved(name string) string {
	for _, prefix := range []string{"system:", "eks:", "aws:", "amazon:", "iam:"} {
		if strings.HasPrefix(name, prefix) {
			return prefix
		}
	}
	return ""
}

// checkUsername: EKS's guide, "Create access entries", username.
func checkUsername(key, name string) error {
	if p := reserved(name); p != "" {
		return invalid(key, "%q begins with %q, which EKS keeps for itself", name, p)
	}
	if before, _, ok := strings.Cut(name, "{{SessionName}}"); ok && !strings.Contains(before, ":") {
		return invalid(key, "%q needs a colon before {{SessionName}}", name)
	}
	return nil
}
