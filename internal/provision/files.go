package provision

import (
	"fmt"
	"slices"
	"strings"
)

// Example is an access.yaml to start from.
const Example = `# Who may reach which clusters with a certificate: what "eks-x509 setup" makes.
# eks-x509 setup plan says what would change, setup apply does it.

stack: eks-x509            # the CloudFormation stack

ca:                        # who vouches for certificates: one of the three
  bundle: ca.pem           # your own CA's certificate, or its two, in PEM; costs nothing
  # acmPcaArn: arn:aws:acm-pca:REGION:ACCOUNT:certificate-authority/ID
  # new:                   # AWS Private CA makes one; AWS charges for it by the month
  #   commonName: Example Access CA
  #   organization: Example
  #   keyAlgorithm: EC_prime256v1    # RSA_2048, RSA_4096, EC_prime256v1, EC_secp384r1
  #   mode: GENERAL_PURPOSE          # or SHORT_LIVED_CERTIFICATE: cheaper, at most 7 days each
  #   validityYears: 10

role:                      # what a certificate becomes
  # name: eks-x509         # default: CloudFormation's choice
  # issuerCN: [Example Access CA]    # who issues the certificates; default: the CA above
  # subject:               # names that the certificate must have; * and ? match
  #   CN: ["alice", "ci-*"]
  #   OU: ["platform"]
  # san:
  #   DNS: ["*.example.org"]
  maxSessionSeconds: 3600

profile:
  durationSeconds: 3600
  # sessionNameFromCN: true          # sessions are named after the certificate's CN, by --role-session-name, and after nothing else
  # sessionPolicy: policy.json       # what every session is limited to
  # attributeMappings:               # fewer session tags, for shorter tokens
  #   subject: [CN]
  #   issuer: [CN]

clusters:
  - name: my-cluster
    username: "x509:{{SessionName}}"
    groups: [viewers]                # RBAC: eks-x509 setup rbac | kubectl apply -f -; without groups it binds the username
    # policies:                      # or EKS access policies
    #   - name: AmazonEKSViewPolicy
    #     namespaces: [default]
    # awsAuth: true                  # no access entry; eks-x509 setup map-role writes the ConfigMap

# tags:
#   team: platform
`

// Subjects are whom a ClusterRoleBinding names so that it is about the users of a cluster: its groups, or without any its
// username. An empty name is the only cluster, or any if all have the same.
func (s *Spec) Subjects(cluster string) (users, groups []string, err error) {
	var found []Cluster
	for _, c := range s.Clusters {
		if cluster == "" || c.Name == cluster {
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		return nil, nil, fmt.Errorf("no cluster %q found in it", cluster)
	}
	for _, c := range found {
		one, several := []string{c.Username}, c.Groups
		if len(c.Groups) > 0 || c.Username == "" {
			one = nil
		}
		if len(one)+len(several) == 0 {
			return nil, nil, fmt.Errorf("cluster %q has neither groups nor a username to bind", c.Name)
		}
		if err := checkBound(one); err != nil {
			return nil, nil, fmt.Errorf("cluster %q has no groups, and its username can't be bound: %w", c.Name, err)
		}
		if users == nil && groups == nil {
			users, groups = one, several
		} else if !slices.Equal(users, one) || !slices.Equal(groups, several) {
			return nil, nil, fmt.Errorf("clusters %q and %q have other users or groups: --cluster-name names one", found[0].Name, c.Name)
		}
	}
	return users, groups, nil
}

// checkBound: RBAC compares names as they are, and has no patterns.
func checkBound(names []string) error {
	for _, n := range names {
		if strings.Contains(n, opening) {
			return fmt.Errorf("%q is another name for each session, and RBAC has no placeholders", n)
		}
	}
	return nil
}

// Binding is the RBAC manifest that gives a user a ClusterRole, as the EKS
// tutorial does: kubectl apply -f -.
func Binding(name, clusterRole string, users, groups []string) ([]byte, error) {
	if err := checkBound(slices.Concat(users, groups)); err != nil {
		return nil, err
	}
	var subjects []any
	for _, s := range []struct {
		kind  string
		names []string
	}{{"User", users}, {"Group", groups}} {
		for _, n := range s.names {
			subjects = append(subjects, object("kind", s.kind, "name", n, "apiGroup", "rbac.authorization.k8s.io"))
		}
	}
	if len(subjects) == 0 {
		return nil, fmt.Errorf("no user and no group to bind to %q", clusterRole)
	}
	return encode(object(
		"apiVersion", "rbac.authorization.k8s.io/v1",
		"kind", "ClusterRoleBinding",
		"metadata", object("name", name),
		"subjects", list(subjects),
		"roleRef", object("kind", "ClusterRole", "name", clusterRole, "apiGroup", "rbac.authorization.k8s.io"),
	))
}
