package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/provision"
	"github.com/eks-x509/eks-x509/internal/safefile"
)

// specFlags say what is wanted: a file, or the flags of a small set-up.
type specFlags struct {
	file, stack                string
	bundle, caARN, newCA       string
	roleName, username         string
	clusters, groups, policies []string
	issuerCNs, subjectCNs      []string
	duration                   int
	sessionName, awsAuth       bool
}

func addStack(cmd *cobra.Command, f *specFlags) {
	cmd.Flags().StringVarP(&f.file, "file", "f", "", "`FILE` that says what is wanted (setup init); default: access.yaml, if it is there and no flag says more")
	cmd.Flags().StringVar(&f.stack, "stack", "", "`NAME` of the CloudFormation stack; default: eks-x509")
}

func addSpec(cmd *cobra.Command, f *specFlags) {
	addStack(cmd, f)
	cmd.Flags().StringVar(&f.bundle, "ca-bundle", "", "`FILE` with your own CA's certificate (PEM)")
	cmd.Flags().StringVar(&f.caARN, "ca-arn", "", "`ARN` of a private CA of AWS Private CA")
	cmd.Flags().StringVar(&f.newCA, "new-ca", "", "make a private CA of this common `NAME`")
	cmd.Flags().StringArrayVar(&f.issuerCNs, "issuer-cn", nil, "common `NAME` of the CA that issues the certificates; default: that of the CA; may be repeated")
	cmd.Flags().StringArrayVar(&f.subjectCNs, "subject-cn", nil, "common `NAME` that certificates must have, * and ? match; may be repeated")
	cmd.Flags().StringVar(&f.roleName, "role-name", "", "`NAME` of the role; default: CloudFormation's choice")
	cmd.Flags().IntVar(&f.duration, "session-duration", 0, "length of sessions in `SECONDS`, 900 to 43200; default: 3600")
	cmd.Flags().BoolVar(&f.sessionName, "session-name-from-cn", false, "sessions are named after the certificate's common name, by --role-session-name, and after nothing else")
	cmd.Flags().StringArrayVar(&f.clusters, "cluster-name", nil, "`NAME` of a cluster; may be repeated")
	cmd.Flags().StringVar(&f.username, "username", "", "Kubernetes `NAME` of the users; may hold {{SessionName}} after a colon")
	cmd.Flags().StringArrayVar(&f.groups, "group", nil, "Kubernetes `GROUP` of the users; may be repeated")
	cmd.Flags().StringArrayVar(&f.policies, "access-policy", nil, "EKS access policy by its `NAME`, such as AmazonEKSViewPolicy; may be repeated")
	cmd.Flags().BoolVar(&f.awsAuth, "aws-auth", false, "make no access entries: the clusters have the ConfigMap aws-auth (setup map-role)")
}

const defaultSpecFile = "access.yaml"

// spec is what the file or the flags say, complete.
func (f *specFlags) spec(cmd *cobra.Command) (provision.Spec, error) {
	var s provision.Spec
	var byFlags []string
	for name := range given(cmd) {
		if slices.Contains([]string{"ca-bundle", "ca-arn", "new-ca", "issuer-cn", "subject-cn", "role-name", "session-duration", "session-name-from-cn", "cluster-name", "username", "group", "access-policy", "aws-auth"}, name) {
			byFlags = append(byFlags, "--"+name)
		}
	}
	slices.Sort(byFlags)
	file := f.file
	if file == "" && len(byFlags) == 0 {
		file = defaultSpecFile
	}
	where := "flags"
	if file != "" {
		if len(byFlags) > 0 {
			return s, misuse("both --file and %s are given: the file says it all", byFlags[0])
		}
		data, err := safefile.ReadExisting(file, 1<<20)
		if errors.Is(err, os.ErrNotExist) && f.file == "" {
			return s, misuse("no %s here, and no flag says what is wanted", defaultSpecFile)
		}
		if err != nil {
			return s, fmt.Errorf("opening %q: %w", file, err)
		}
		if s, err = provision.ParseSpec(data); err != nil {
			return s, &usageError{fmt.Errorf("reading %q: %w", file, err)}
		}
		where = fmt.Sprintf("%q", file)
	} else {
		s = f.fromFlags()
	}
	if f.stack != "" {
		s.Stack = f.stack
	}
	var err error
	base := filepath.Dir(file)
	read := func(path string) ([]byte, error) {
		if path == "" {
			return nil, nil
		}
		if !filepath.IsAbs(path) && file != "" {
			path = filepath.Join(base, path) // as the file says it
		}
		return safefile.ReadExisting(path, 1<<20)
	}
	if s.CA.BundlePEM, err = read(s.CA.Bundle); err != nil {
		return s, fmt.Errorf("opening CA bundle: %w", err)
	}
	if s.Profile.SessionPolicyJSON, err = read(s.Profile.SessionPolicy); err != nil {
		return s, fmt.Errorf("opening session policy: %w", err)
	}
	if err := s.Complete(); err != nil {
		return s, &usageError{fmt.Errorf("reading %s: %w", where, err)}
	}
	return s, nil
}

func (f *specFlags) fromFlags() provision.Spec {
	s := provision.Spec{CA: provision.CA{AcmPcaARN: f.caARN, Bundle: f.bundle}}
	if f.newCA != "" {
		s.CA.New = &provision.NewCA{CommonName: f.newCA}
	}
	s.Role.Name, s.Role.IssuerCN = f.roleName, f.issuerCNs
	if len(f.subjectCNs) > 0 {
		s.Role.Subject = map[string][]string{"CN": f.subjectCNs}
	}
	s.Profile.DurationSeconds, s.Profile.SessionNameFromCN = f.duration, f.sessionName
	var policies []provision.AccessPolicy
	for _, p := range f.policies {
		policies = append(policies, provision.AccessPolicy{Name: p})
	}
	for _, name := range f.clusters {
		s.Clusters = append(s.Clusters, provision.Cluster{Name: name, Username: f.username, Groups: f.groups, Policies: policies, AWSAuth: f.awsAuth})
	}
	return s
}

// stackName is the stack's, for commands that need no more of the spec.
func (f *specFlags) stackName() (string, error) {
	if f.stack != "" {
		return f.stack, nil
	}
	file := f.file
	if file == "" {
		file = defaultSpecFile
	}
	data, err := safefile.ReadExisting(file, 1<<20)
	if errors.Is(err, os.ErrNotExist) && f.file == "" {
		return "eks-x509", nil
	}
	if err != nil {
		return "", fmt.Errorf("opening %q: %w", file, err)
	}
	s, err := provision.ParseSpec(data)
	if err != nil {
		return "", &usageError{fmt.Errorf("reading %q: %w", file, err)}
	}
	if s.Stack == "" {
		s.Stack = "eks-x509"
	}
	return s.Stack, nil
}
