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
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/eks-x509/eks-x509/internal/config"
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
	// BundlePEM is what the file holds. Certificates are those that were found in it; nil: it is PEM, and read here.
	BundlePEM    []byte              `yaml:"-"`
	Certificates []*x509.Certificate `yaml:"-"`
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
	IssuerCN          []string            `yaml:"issuerCN"` // default: the CA's own, without issuer
	Issuer            map[string][]string `yaml:"issuer"`   // O, OU, C, ST, L of the issuer, in place of issuerCN or with it
	Subject           map[string][]string `yaml:"subject"`  // CN, O, OU, C, ST, L; * and ? match
	SAN               map[string][]string `yaml:"san"`      // DNS, URI, Name/CN
	MaxSessionSeconds Seconds             `yaml:"maxSessionSeconds"`
	ManagedPolicies   []string            `yaml:"managedPolicies"`
}

// Profile is that of Roles Anywhere.
type Profile struct {
	Name              string              `yaml:"name"` // default: the stack's
	DurationSeconds   Seconds             `yaml:"durationSeconds"`
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

// Seconds is a length of time: 3600, or 1h.
type Seconds int

// UnmarshalYAML takes what the flags take.
func (s *Seconds) UnmarshalYAML(n *yaml.Node) error {
	d, err := config.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || d%time.Second != 0 {
		return fmt.Errorf("line %d: seconds are needed here, or a length of time such as 15m or 12h", n.Line)
	}
	*s = Seconds(d / time.Second)
	return nil
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
	text = unmarshal().ReplaceAllStringFunc(text, func(s string) string {
		m := unmarshal().FindStringSubmatch(s)
		found, wanted := strings.TrimSpace(m[2]), "keys and values are"
		switch into := m[3]; {
		case strings.HasPrefix(into, "[]"):
			wanted = "a list is"
		case into == "int":
			wanted = "a number is"
		case into == "bool":
			wanted = "true or false is"
		case into == "string":
			wanted = "one word is"
		}
		switch m[1] {
		case "seq":
			found = "a list"
		case "map":
			found = "keys and values"
		}
		return wanted + " needed here, not " + found
	})
	return strings.Join(strings.Fields(text), " ")
}

var (
	goType    = lazy(`in type [A-Za-z.]+`)
	unmarshal = lazy("cannot unmarshal !!([a-z]+) (`[^`]*` )?into ([^ ;]+)")
)
