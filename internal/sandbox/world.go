package sandbox

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// World is the account that the sandbox plays: what an administrator would have set up. It is world.json, and PUT /-/world.
type World struct {
	Account      string        `json:"account"`
	Region       string        `json:"region"`
	TrustAnchors []TrustAnchor `json:"trustAnchors"`
	Profiles     []Profile     `json:"profiles"`
	Roles        []Role        `json:"roles"`
	Clusters     []Cluster     `json:"clusters"`
	// What CloudFormation and Private CA have.
	CertificateAuthorities []CertificateAuthority `json:"certificateAuthorities,omitempty"`
	Stacks                 []Stack                `json:"stacks,omitempty"`
}

// TrustAnchor is a bundle of CA certificates (PEM). An anchor without certificates trusts the sandbox's own root.
type TrustAnchor struct {
	ARN          string   `json:"arn"`
	Name         string   `json:"name"`
	AliasName    string   `json:"aliasName,omitempty"` // CreateSession accepts it in place of the ID
	Enabled      bool     `json:"enabled"`
	Certificates []string `json:"certificates"`
	CRLs         []string `json:"crls,omitempty"`
	// AcmPcaARN is the private CA whose certificate this is, if it is one's.
	AcmPcaARN string `json:"acmPcaArn,omitempty"`
}

// Profile says which roles may be assumed, and for how long.
type Profile struct {
	ARN                   string   `json:"arn"`
	Name                  string   `json:"name"`
	AliasName             string   `json:"aliasName,omitempty"` // CreateSession accepts it in place of the ID
	Enabled               bool     `json:"enabled"`
	RoleARNs              []string `json:"roleArns"`
	DurationSeconds       int      `json:"durationSeconds"`
	AcceptRoleSessionName bool     `json:"acceptRoleSessionName"`
	// SessionTokenLength is the size of the session tokens, in characters; 0 is what is usual today.
	SessionTokenLength int `json:"sessionTokenLength,omitempty"`
	// SessionPolicy limits what a session may do. Managed policies are only recorded.
	SessionPolicy     string   `json:"sessionPolicy,omitempty"`
	ManagedPolicyARNs []string `json:"managedPolicyArns,omitempty"`
	// AttributeMappings say which session tags are set; none: those of a new profile.
	AttributeMappings []AttributeMapping `json:"attributeMappings,omitempty"`
}

// AttributeMapping lets through the attributes of a field of the certificate, x509Subject, x509Issuer or x509SAN. A specifier is such
// as CN, DNS, Name/CN or *.
type AttributeMapping struct {
	CertificateField string   `json:"certificateField"`
	Specifiers       []string `json:"specifiers"`
}

// Role is an IAM role; Trusted stands for a trust policy that lets all of Roles Anywhere in, and holds if TrustPolicy is empty.
type Role struct {
	ARN                string `json:"arn"`
	RoleID             string `json:"roleId"`
	MaxSessionDuration int    `json:"maxSessionDuration"`
	Trusted            bool   `json:"trusted"`
	// DeniedActions are what IAM does not let it do, of eks:DescribeCluster and eks:ListClusters.
	DeniedActions []string `json:"deniedActions,omitempty"`
	// TrustPolicy and Policies are IAM policies in JSON. A role that has Policies may do what one of them allows, and no more.
	TrustPolicy       json.RawMessage            `json:"trustPolicy,omitempty"`
	Policies          map[string]json.RawMessage `json:"policies,omitempty"`
	ManagedPolicyARNs []string                   `json:"managedPolicyArns,omitempty"`
}

// Cluster is an EKS cluster with its access entries.
type Cluster struct {
	Name     string    `json:"name"`
	Region   string    `json:"region"`
	Status   string    `json:"status"`
	Version  string    `json:"version"`
	Mappings []Mapping `json:"mappings,omitempty"`
	// AuthenticationMode is API (also if empty), API_AND_CONFIG_MAP or CONFIG_MAP: whether Mappings hold, AWSAuth, or first the one and
	// then the other.
	AuthenticationMode string     `json:"authenticationMode,omitempty"`
	AWSAuth            *ConfigMap `json:"awsAuth,omitempty"`
	// Endpoint and CertificateAuthorityData (base64 of PEM) are what DescribeCluster tells; empty is the sandbox's own API server.
	Endpoint                 string `json:"endpoint,omitempty"`
	CertificateAuthorityData string `json:"certificateAuthorityData,omitempty"`
}

// Mapping gives a role a Kubernetes name. Username and Groups may hold {{SessionName}}, {{SessionNameRaw}}, {{AccountID}} and
// {{AccessKeyID}}. In the cluster, the groups system:masters and view have the rights of a new cluster's ClusterRoles; others have none.
type Mapping struct {
	RoleARN  string   `json:"roleArn"`
	Username string   `json:"username"`
	Groups   []string `json:"groups"`
	// AccessEntry: made by CloudFormation.
	AccessEntry    bool           `json:"accessEntry,omitempty"`
	AccessPolicies []AccessPolicy `json:"accessPolicies,omitempty"`
}

// AccessPolicy gives a user the rights of an EKS access policy, such as AmazonEKSViewPolicy, in some namespaces or, without any, in the
// cluster.
type AccessPolicy struct {
	Name       string   `json:"name"`
	Namespaces []string `json:"namespaces,omitempty"`
}

const (
	defaultAccount = "123456789012"
	defaultRegion  = "us-east-1"
	anchorPrefix   = "arn:aws:rolesanywhere:" + defaultRegion + ":" + defaultAccount + ":trust-anchor/00000000-0000-4000-8000-0000000000"
	profilePrefix  = "arn:aws:rolesanywhere:" + defaultRegion + ":" + defaultAccount + ":profile/00000000-0000-4000-8000-0000000001"
	rolePrefix     = "arn:aws:iam::" + defaultAccount + ":role/"
)

// DefaultWorld holds one of everything that tests and demos need, with ARNs that never change.
func DefaultWorld() *World {
	mapped := []string{rolePrefix + "eks-x509-sandbox", rolePrefix + "path/to/eks-x509-path", rolePrefix + "short", rolePrefix + "no-describe"}
	roles := slices.Concat(mapped, []string{rolePrefix + "untrusted", rolePrefix + "unmapped"})
	profile := func(id, name string, duration int) Profile {
		return Profile{ARN: profilePrefix + id, Name: name, Enabled: true, RoleARNs: roles, DurationSeconds: duration}
	}
	named, disabled, large := profile("02", "named", 3600), profile("04", "disabled", 3600), profile("05", "large-token", 3600)
	named.AcceptRoleSessionName = true
	disabled.Enabled = false
	large.SessionTokenLength = 3900
	plain := profile("01", "sandbox", 3600)
	plain.AliasName = "sandbox"
	return &World{
		Account: defaultAccount,
		Region:  defaultRegion,
		TrustAnchors: []TrustAnchor{
			{ARN: anchorPrefix + "01", Name: "sandbox", AliasName: "sandbox", Enabled: true},
			{ARN: anchorPrefix + "02", Name: "disabled"},
		},
		Profiles: []Profile{plain, named, profile("03", "long", 43200), disabled, large},
		Roles: []Role{
			{ARN: mapped[0], RoleID: "AROASANDBOXAAAAAAAAA1", MaxSessionDuration: 43200, Trusted: true},
			{ARN: mapped[1], RoleID: "AROASANDBOXAAAAAAAAA2", MaxSessionDuration: 43200, Trusted: true},
			{ARN: mapped[2], RoleID: "AROASANDBOXAAAAAAAAA3", MaxSessionDuration: 3600, Trusted: true},
			{ARN: rolePrefix + "untrusted", RoleID: "AROASANDBOXAAAAAAAAA4", MaxSessionDuration: 43200},
			{ARN: rolePrefix + "unmapped", RoleID: "AROASANDBOXAAAAAAAAA5", MaxSessionDuration: 43200, Trusted: true},
			{ARN: rolePrefix + "no-profile", RoleID: "AROASANDBOXAAAAAAAAA6", MaxSessionDuration: 43200, Trusted: true},
			{
				ARN: mapped[3], RoleID: "AROASANDBOXAAAAAAAAA7", MaxSessionDuration: 43200, Trusted: true,
				DeniedActions: []string{"eks:DescribeCluster", "eks:ListClusters"},
			},
		},
		Clusters: []Cluster{
			{Name: "sandbox", Region: defaultRegion, Status: "ACTIVE", Version: "1.34", Mappings: []Mapping{
				{RoleARN: mapped[0], Username: "sandbox:{{SessionName}}", Groups: []string{"view"}},
				{RoleARN: mapped[1], Username: "path:{{SessionName}}", Groups: []string{"view"}},
				{RoleARN: mapped[2], Username: "short:{{SessionName}}", Groups: []string{"view"}},
				{RoleARN: mapped[3], Username: "no-describe:{{SessionName}}", Groups: []string{"view"}},
			}},
			{Name: "creating", Region: defaultRegion, Status: "CREATING", Version: "1.34"},
			{
				Name: "aws-auth", Region: defaultRegion, Status: "ACTIVE", Version: "1.34", AuthenticationMode: modeConfigMap,
				AWSAuth: &ConfigMap{1, map[string]string{"mapRoles": "# the nodes\n- rolearn: " + rolePrefix + "nodes\n  username: system:node:{{EC2PrivateDNSName}}\n" +
					"  groups: [system:bootstrappers, system:nodes]\n"}},
			},
		},
	}
}

// ParseWorld reads world.json; a key that it does not know is an error.
func ParseWorld(data []byte) (*World, error) {
	w := new(World)
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(w); err != nil {
		return nil, fmt.Errorf("malformed world: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("malformed world: more than one JSON value")
	}
	return w, nil
}

func (w *World) clone() *World {
	c := new(World)
	if err := json.Unmarshal(w.json(), c); err != nil {
		panic("sandbox: internal error: " + err.Error())
	}
	return c
}

func (w *World) equal(other *World) bool { return bytes.Equal(w.json(), other.json()) }

func (w *World) json() []byte {
	data, err := json.Marshal(w)
	if err != nil {
		panic("sandbox: internal error: " + err.Error()) // only a RawMessage of a test's that is no JSON
	}
	return data
}

var accountPattern = lazy(`^\d{12}$`)

// validate applies the rules that AWS applies when such things are made.
func (w *World) validate() error {
	if !accountPattern().MatchString(w.Account) {
		return fmt.Errorf("invalid world: account %q", w.Account)
	}
	if partitionOf(w.Region) == nil {
		return fmt.Errorf("invalid world: unsupported region %q", w.Region)
	}
	for _, a := range w.TrustAnchors {
		if err := a.validate(); err != nil {
			return fmt.Errorf("invalid world: trust anchor %q: %w", a.ARN, err)
		}
	}
	for _, p := range w.Profiles {
		if _, err := parseARN(p.ARN, "rolesanywhere", "profile/"); err != nil {
			return fmt.Errorf("invalid world: %w", err)
		}
		if p.DurationSeconds < minDuration || p.DurationSeconds > maxDuration {
			return fmt.Errorf("invalid world: profile %q: durationSeconds %d", p.ARN, p.DurationSeconds)
		}
		if err := p.validate(); err != nil {
			return fmt.Errorf("invalid world: profile %q: %w", p.ARN, err)
		}
	}
	for _, r := range w.Roles {
		if _, err := parseARN(r.ARN, "iam", "role/"); err != nil {
			return fmt.Errorf("invalid world: %w", err)
		}
		if err := r.validate(); err != nil {
			return fmt.Errorf("invalid world: role %q: %w", r.ARN, err)
		}
		for _, action := range r.DeniedActions {
			if action != "eks:DescribeCluster" && action != "eks:ListClusters" {
				return fmt.Errorf("invalid world: role %q: unsupported denied action %q", r.ARN, action)
			}
		}
	}
	for _, c := range w.Clusters {
		if c.Name == "" || partitionOf(c.Region) == nil {
			return fmt.Errorf("invalid world: cluster %q in region %q", c.Name, c.Region)
		}
		if mode := c.authenticationMode(); mode != modeAPI && mode != modeBoth && mode != modeConfigMap || mode == modeConfigMap && len(c.Mappings) > 0 {
			return fmt.Errorf("invalid world: cluster %q: authenticationMode %q with %d mappings", c.Name, mode, len(c.Mappings))
		}
	}
	if err := w.validateAliases(); err != nil {
		return fmt.Errorf("invalid world: %w", err)
	}
	return nil
}

// AWS: Roles Anywhere, aliases. A name is 1 to 256 characters.
var aliasPattern = lazy(`^[A-Za-z]([A-Za-z0-9_/-]*[A-Za-z0-9_-])?$`)

func validAlias(name string) bool {
	return len(name) <= 256 && aliasPattern().MatchString(name) && !strings.HasPrefix(name, "aws/")
}

// validateAliases: an alias names one trust anchor, or one profile, of a region.
func (w *World) validateAliases() error {
	seen := map[string]bool{}
	check := func(arn, name string) error {
		alias := aliasARN(arn, name)
		if name != "" && (!validAlias(name) || seen[alias]) {
			return fmt.Errorf("alias %q of %q is malformed or not the only one", name, arn)
		}
		seen[alias] = true
		return nil
	}
	for _, a := range w.TrustAnchors {
		if err := check(a.ARN, a.AliasName); err != nil {
			return err
		}
	}
	for _, p := range w.Profiles {
		if err := check(p.ARN, p.AliasName); err != nil {
			return err
		}
	}
	return nil
}

// aliasARN is the ARN of the alias of what has this ARN, or "".
func aliasARN(arn, name string) string {
	at := strings.LastIndexByte(arn, ':')
	kind, _, ok := strings.Cut(arn[at+1:], "/")
	if name == "" || !ok {
		return ""
	}
	return arn[:at+1] + aliasPrefix + kind + "/" + name
}

const aliasPrefix = "alias/"

func (p *Profile) validate() error {
	if p.SessionPolicy != "" {
		if _, err := parsePolicy([]byte(p.SessionPolicy), false); err != nil {
			return err
		}
	}
	for _, m := range p.AttributeMappings {
		if !slices.Contains([]string{"x509Subject", "x509Issuer", "x509SAN"}, m.CertificateField) || len(m.Specifiers) == 0 {
			return fmt.Errorf("attribute mapping of %q with %d specifiers", m.CertificateField, len(m.Specifiers))
		}
	}
	return nil
}

func (r *Role) validate() error {
	if len(r.TrustPolicy) > 0 {
		if _, err := parsePolicy(r.TrustPolicy, true); err != nil {
			return err
		}
	}
	for name, text := range r.Policies {
		if _, err := parsePolicy(text, false); err != nil {
			return fmt.Errorf("policy %q: %w", name, err)
		}
	}
	return nil
}

func (a *TrustAnchor) validate() error {
	if _, err := parseARN(a.ARN, "rolesanywhere", "trust-anchor/"); err != nil {
		return err
	}
	certificates, err := a.certificates()
	if err != nil {
		return err
	}
	lists, err := a.revocationLists()
	if err != nil {
		return err
	}
	// AWS: Roles Anywhere quotas, both fixed.
	if len(certificates) > 2 || len(lists) > 2 {
		return fmt.Errorf("%d certificates and %d CRLs, at most 2 of each", len(certificates), len(lists))
	}
	for _, c := range certificates {
		if !c.IsCA || !c.BasicConstraintsValid || c.KeyUsage&x509.KeyUsageCertSign == 0 || weakSignature(c.SignatureAlgorithm) {
			return fmt.Errorf("incorrect basic constraints, key usage or signature for CA certificate %q", c.Subject)
		}
	}
	return nil
}

func (a *TrustAnchor) certificates() ([]*x509.Certificate, error) {
	return parsePEM(a.Certificates, "CERTIFICATE", x509.ParseCertificate)
}

func (a *TrustAnchor) revocationLists() ([]*x509.RevocationList, error) {
	return parsePEM(a.CRLs, "X509 CRL", x509.ParseRevocationList)
}

func parsePEM[T any](texts []string, kind string, parse func([]byte) (T, error)) ([]T, error) {
	var all []T
	for _, text := range texts {
		block, rest := pem.Decode([]byte(text))
		if block == nil || block.Type != kind || len(bytes.TrimSpace(rest)) > 0 {
			return nil, fmt.Errorf("not one PEM block %q", kind)
		}
		one, err := parse(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func (w *World) trustAnchor(arn string) *TrustAnchor {
	return find(w.TrustAnchors, func(a TrustAnchor) bool { return a.ARN == arn || arn != "" && aliasARN(a.ARN, a.AliasName) == arn })
}

func (w *World) profile(arn string) *Profile {
	return find(w.Profiles, func(p Profile) bool { return p.ARN == arn || arn != "" && aliasARN(p.ARN, p.AliasName) == arn })
}

func (w *World) role(arn string) *Role {
	return find(w.Roles, func(r Role) bool { return r.ARN == arn })
}

// cluster finds by name, or the first active one if the name is empty.
func (w *World) cluster(name string) *Cluster {
	return find(w.Clusters, func(c Cluster) bool { return c.Name == name || name == "" && c.Status == "ACTIVE" })
}

func find[T any](all []T, is func(T) bool) *T {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return &all[i]
	}
	return nil
}

// arn is arn:Partition:service:Region:Account:Resource.
type arn struct{ Partition, Region, Account, Resource string }

// parseARN wants the service and the beginning of the resource, after which there must be a name.
func parseARN(s, service, resource string) (arn, error) {
	parts := strings.SplitN(s, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != service || !strings.HasPrefix(parts[5], resource) || parts[5] == resource {
		return arn{}, fmt.Errorf("malformed ARN %q (want arn:PARTITION:%s:…:%s…)", s, service, resource)
	}
	return arn{parts[1], parts[3], parts[4], parts[5]}, nil
}
