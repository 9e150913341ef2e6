package provision

import (
	"fmt"
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
    groups: [viewers]                # RBAC: eks-x509 setup rbac --group viewers | kubectl apply -f -
    # policies:                      # or EKS access policies
    #   - name: AmazonEKSViewPolicy
    #     namespaces: [default]
    # awsAuth: true                  # no access entry; eks-x509 setup map-role writes the ConfigMap

# tags:
#   team: platform
`

// Binding is the RBAC manifest that gives a user a ClusterRole, as the EKS
// tutorial does: kubectl apply -f -.
func Binding(name, clusterRole string, users, groups []string) ([]byte, error) {
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
