package provision

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/sessiontag"
)

var (
	stackPattern     = lazy(`^[A-Za-z][A-Za-z0-9-]{0,127}$`)
	namePattern      = lazy(`^[A-Za-z0-9 _-]{1,255}$`) // Roles Anywhere: Name
	rolePattern      = lazy(`^[A-Za-z0-9+=,.@_-]{1,64}$`)
	clusterPattern   = lazy(`^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$`)
	pcaPattern       = lazy(`^arn:[a-z-]+:acm-pca:[a-z0-9-]+:[0-9]{12}:certificate-authority/[0-9a-f-]+$`)
	policyPattern    = lazy(`^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/[A-Za-z0-9+=,.@_/-]+$`)
	eksPolicy        = lazy(`^(arn:[a-z-]+:eks::aws:cluster-access-policy/)?Amazon[A-Za-z]+$`)
	specifierPattern = lazy(`^(\*|[A-Za-z]+|[0-9.]+|DNS|URI|Name/(\*|[A-Za-z]+|[0-9.]+))$`)
)

// AWS: Roles Anywhere CreateProfile; IAM CreateRole.
const minSession, maxSession, minRoleSession = 900, 43200, 3600

// DefaultStack is the name of a stack that nobody named.
const DefaultStack = "eks-x509"

// CheckStack says what is wrong with a stack's name (CloudFormation CreateStack).
func CheckStack(name string) error {
	if !stackPattern().MatchString(name) {
		return fmt.Errorf("%q: letters, digits and hyphens are taken, a letter first", name)
	}
	return nil
}

// Complete checks the spec, at that time, and fills in what it leaves open.
func (s *Spec) Complete(now time.Time) error {
	if s.Stack == "" {
		s.Stack = DefaultStack
	}
	if err := CheckStack(s.Stack); err != nil {
		return &Invalid{Key: "stack", Err: err}
	}
	for _, check := range []func() error{func() error { return s.completeCA(now) }, s.completeNames, s.completeRole, s.completeProfile, s.completeClusters, s.checkReferences} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// Invalid is a value that the spec can't have; Key says where, as in
// role.subject.
type Invalid struct {
	Key  string
	Err  error
	Hint string // what to do, if there is more to it than another value
}

func (e *Invalid) Error() string { return "invalid " + e.Key + ": " + e.Err.Error() }
func (e *Invalid) Unwrap() error { return e.Err }

func invalid(key, format string, args ...any) error {
	return &Invalid{Key: key, Err: fmt.Errorf(format, args...)}
}

func (s *Spec) completeCA(now time.Time) error {
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
		return s.completeBundle(now)
	case !pcaPattern().MatchString(s.CA.AcmPcaARN):
		return invalid("ca.acmPcaArn", "%q is no ARN of a private CA", s.CA.AcmPcaARN)
	case len(s.Role.IssuerCN) == 0 && len(s.Role.Issuer) == 0 && !s.leavesIssuerOut():
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
	return s.defaultIssuerCN([]string{n.CommonName}, "choose another ca.new.commonName, of "+sessiontag.Allowed)
}

// signingAlgorithms are those of Private CA, by the CA's key.
func signingAlgorithms() map[string]string {
	return map[string]string{"RSA_2048": "SHA256WITHRSA", "RSA_4096": "SHA256WITHRSA", "EC_prime256v1": "SHA256WITHECDSA", "EC_secp384r1": "SHA384WITHECDSA"}
}

// completeBundle holds the certificates against what a trust anchor takes.
// https://docs.aws.amazon.com/rolesanywhere/latest/userguide/trust-model.html
func (s *Spec) completeBundle(now time.Time) error {
	if s.CA.Certificates == nil {
		if err := s.readBundle(); err != nil {
			return err
		}
	}
	all := slices.CompactFunc(slices.Clone(s.CA.Certificates), (*x509.Certificate).Equal)
	if len(all) < 1 || len(all) > 2 {
		return invalid("ca.bundle", "%q holds %d certificates, a trust anchor takes 1 or 2", s.CA.Bundle, len(all))
	}
	s.CA.Certificates = all
	var names []string
	for _, c := range all {
		switch {
		case !c.IsCA || c.KeyUsage&x509.KeyUsageCertSign == 0:
			return invalid("ca.bundle", "%q: %q is no CA (basicConstraints CA:TRUE and keyUsage keyCertSign are needed)", s.CA.Bundle, c.Subject)
		case now.After(c.NotAfter):
			return invalid("ca.bundle", "%q: the CA %q expired on %s, and no certificate of it would be accepted", s.CA.Bundle, c.Subject, c.NotAfter.UTC().Format(time.RFC3339))
		case slices.Contains([]x509.SignatureAlgorithm{x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1}, c.SignatureAlgorithm):
			return invalid("ca.bundle", "%q: the CA certificate %q is signed with %s, and Roles Anywhere accepts SHA-256 or better", s.CA.Bundle, c.Subject, c.SignatureAlgorithm)
		case c.Subject.CommonName == "" && len(s.Role.IssuerCN) == 0 && len(s.Role.Issuer) == 0 && !s.leavesIssuerOut():
			return &Invalid{Key: "role.issuerCN", Err: fmt.Errorf("none is given, and %q has no common name to take", c.Subject), Hint: bindOtherwise(all)}
		}
		if name := c.Subject.CommonName; name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return s.defaultIssuerCN(names, bindOtherwise(all))
}

// readBundle reads PEM, and nothing but certificates.
func (s *Spec) readBundle() error {
	for rest := s.CA.BundlePEM; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil
		}
		if block.Type != "CERTIFICATE" {
			return invalid("ca.bundle", "%q holds a PEM block %q; only certificates may go to AWS", s.CA.Bundle, block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return invalid("ca.bundle", "%q: malformed certificate: %w", s.CA.Bundle, err)
		}
		s.CA.Certificates = append(s.CA.Certificates, c)
	}
}

// defaultIssuerCN takes the CA's own common names, unless the file says otherwise what to compare; hint is for a name that can't be
// compared.
func (s *Spec) defaultIssuerCN(names []string, hint string) error {
	if len(s.Role.IssuerCN) > 0 || len(s.Role.Issuer) > 0 {
		return nil
	}
	for _, name := range names {
		if err := sessiontag.Check(name); err != nil && s.leavesIssuerOut() {
			return nil // by intent: the trust anchor alone decides
		} else if err != nil {
			return &Invalid{Key: "role.issuerCN", Err: err, Hint: hint}
		}
	}
	if !s.leavesIssuerOut() || len(names) > 0 {
		s.Role.IssuerCN = names
	}
	return nil
}

// leavesIssuerOut says that the attribute mappings make no tag of the issuer's common name.
func (s *Spec) leavesIssuerOut() bool {
	return s.Profile.AttributeMappings != nil && !s.Profile.maps("x509Issuer/CN")
}

// bindOtherwise says what else of these CAs a trust policy can compare.
func bindOtherwise(all []*x509.Certificate) string {
	values := func(c *x509.Certificate, key string) []string {
		n := c.Subject
		return map[string][]string{"O": n.Organization, "OU": n.OrganizationalUnit, "C": n.Country, "ST": n.Province, "L": n.Locality}[key]
	}
	for _, key := range []string{"O", "OU", "L", "ST", "C"} {
		var found []string
		for _, c := range all {
			value := strings.Join(values(c, key), "/") // as Roles Anywhere does
			if sessiontag.Check(value) != nil {
				found = nil
				break
			}
			if !slices.Contains(found, value) {
				found = append(found, value)
			}
		}
		if found != nil {
			return fmt.Sprintf("compare another name of the issuer, in access.yaml: role: {issuer: {%s: %q}}", key, found)
		}
	}
	return `trust every issuer below the trust anchor, by an attribute mapping that leaves the issuer out, in access.yaml: profile: {attributeMappings: {subject: ["*"], san: [DNS, URI, "Name/*"]}}`
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
	if err := checkValues("role.issuerCN", r.IssuerCN, sessiontag.Check); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(r.Issuer)) {
		if err := checkValues("role.issuer", r.Issuer[key], sessiontag.Check); err != nil {
			return err
		}
		if !slices.Contains([]string{"O", "OU", "C", "ST", "L"}, key) || len(r.Issuer[key]) == 0 {
			return invalid("role.issuer", "%q with %d values (supported: O, OU, C, ST, L; issuerCN is for the common name)", key, len(r.Issuer[key]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r.Subject)) {
		if err := checkValues("role.subject", r.Subject[key], checkCondition); err != nil {
			return err
		}
		if !slices.Contains([]string{"CN", "O", "OU", "C", "ST", "L"}, key) || len(r.Subject[key]) == 0 {
			return invalid("role.subject", "%q with %d values (supported: CN, O, OU, C, ST, L)", key, len(r.Subject[key]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r.SAN)) {
		if err := checkValues("role.san", r.SAN[key], checkCondition); err != nil {
			return err
		}
		if !slices.Contains([]string{"DNS", "URI", "Name/CN", "Name/O", "Name/OU"}, key) || len(r.SAN[key]) == 0 {
			return invalid("role.san", "%q with %d values (supported: DNS, URI, Name/CN, Name/O, Name/OU)", key, len(r.SAN[key]))
		}
	}
	return checkPolicies("role.managedPolicies", r.ManagedPolicies)
}

// checkValues: what a policy's condition compares must be a session tag, else it
// lets in nobody, and a pattern must not match every name.
func checkValues(key string, values []string, check func(string) error) error {
	for _, v := range values {
		if err := check(v); err != nil {
			return &Invalid{Key: key, Err: err, Hint: otherNameHint(key)}
		}
	}
	return nil
}

func otherNameHint(key string) string {
	if strings.HasPrefix(key, "role.issuer") {
		return "compare another name of the issuer (role.issuer: O, OU, C, ST, L), or leave the issuer out of profile.attributeMappings: the trust anchor alone decides then"
	}
	return "compare another name of the certificate (role.subject: CN, O, OU, C, ST, L; role.san: DNS, URI), or have certificates issued with names of " + sessiontag.Allowed
}

// checkCondition is for a value of role.subject or role.san, which may be a pattern.
func checkCondition(value string) error {
	if strings.ContainsAny(value, wildcards) {
		return sessiontag.CheckPattern(value)
	}
	return sessiontag.Check(value)
}

// wildcards make a value a pattern of the operator StringLike.
const wildcards = "*?"

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
	var tags []string
	if len(s.Role.IssuerCN) > 0 {
		tags = append(tags, "x509Issuer/CN")
	}
	for _, key := range slices.Sorted(maps.Keys(s.Role.Issuer)) {
		tags = append(tags, "x509Issuer/"+key)
	}
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
		case !c.AWSAuth && c.Username == "" && len(c.Groups) == 0 && len(c.Policies) == 0:
			return invalid(key, "neither groups nor policies are given, and no username: the role could do nothing in %q", c.Name)
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
	if err := checkPlaceholders(name); err != nil {
		return &Invalid{Key: key, Err: err}
	}
	return nil
}
