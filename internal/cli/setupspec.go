package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/keys"
	"github.com/eks-x509/eks-x509/internal/provision"
	"github.com/eks-x509/eks-x509/internal/safefile"
	"github.com/eks-x509/eks-x509/internal/safetext"
)

// specFlags say what is wanted: a file, or the flags of a small set-up.
type specFlags struct {
	file, stack                string
	bundle, caARN, newCA       string
	roleName, username         string
	clusters, groups, policies []string
	issuerCNs, subjectCNs      []string
	duration                   days
	sessionName, awsAuth       bool
}

func addStack(cmd *cobra.Command, f *specFlags) {
	fileVar(cmd.Flags(), &f.file, "file", "f", "", "`FILE` that says what is wanted (setup init); default: access.yaml, if it is there and no flag says more")
	cmd.Flags().StringVar(&f.stack, "stack", "", "`NAME` of the CloudFormation stack; default: eks-x509")
}

func addSpec(cmd *cobra.Command, f *specFlags) {
	addStack(cmd, f)
	fileVar(cmd.Flags(), &f.bundle, "ca-bundle", "", "", "`FILE` with your own CA's certificate (PEM)")
	cmd.Flags().StringVar(&f.caARN, "ca-arn", "", "`ARN` of a private CA of AWS Private CA")
	cmd.Flags().StringVar(&f.newCA, "new-ca", "", "make a private CA of this common `NAME`")
	cmd.Flags().StringArrayVar(&f.issuerCNs, "issuer-cn", nil, "common `NAME` of the CA that issues the certificates; default: that of the CA; may be repeated")
	cmd.Flags().StringArrayVar(&f.subjectCNs, "subject-cn", nil, "common `NAME` that certificates must have, * and ? match; may be repeated")
	cmd.Flags().StringVar(&f.roleName, "role-name", "", "`NAME` of the role; default: CloudFormation's choice")
	cmd.Flags().Var(&f.duration, "session-duration", "length of sessions, `TIME` from 15m to 12h or in seconds; default: 1h")
	cmd.Flags().BoolVar(&f.sessionName, "session-name-from-cn", false, "sessions are named after the certificate's common name, by --role-session-name, and after nothing else")
	cmd.Flags().StringArrayVar(&f.clusters, "cluster-name", nil, "`NAME` of a cluster; may be repeated")
	cmd.Flags().StringVar(&f.username, "username", "", "Kubernetes `NAME` of the users; may hold {{SessionName}} after a colon")
	cmd.Flags().StringArrayVar(&f.groups, "group", nil, "Kubernetes `GROUP` of the users; may be repeated")
	cmd.Flags().StringArrayVar(&f.policies, "access-policy", nil, "EKS access policy by its `NAME`, such as AmazonEKSViewPolicy; may be repeated")
	// EKS User Guide, "Review access policy permissions": those for people.
	addChoices(cmd, "access-policy", "AmazonEKSAdminPolicy", "AmazonEKSAdminViewPolicy", "AmazonEKSClusterAdminPolicy", "AmazonEKSEditPolicy", "AmazonEKSViewPolicy")
	cmd.Flags().BoolVar(&f.awsAuth, "aws-auth", false, "make no access entries: the clusters have the ConfigMap aws-auth (setup map-role)")
}

// specError is one of access.yaml, whose keys no --help shows.
type specError struct {
	err  error
	hint string
}

func (e *specError) Error() string { return e.err.Error() }
func (e *specError) Unwrap() error { return e.err }

const keysHint = "docs/setup.md has the keys of access.yaml; eks-x509 setup init --file FILE writes an example of each"

// openSpec opens a file that says what is wanted.
func openSpec(file string) (provision.Spec, error) {
	data, err := safefile.ReadExisting(file, 1<<20)
	if errors.Is(err, os.ErrNotExist) {
		return provision.Spec{}, &specError{fmt.Errorf("opening %q: %w", file, withoutPath(err)), fmt.Sprintf("eks-x509 setup init --file %s writes one to start from", safetext.File(file))}
	}
	if err != nil {
		return provision.Spec{}, fmt.Errorf("opening %q: %w", file, withoutPath(err))
	}
	s, err := provision.ParseSpec(data)
	if err != nil {
		err = &specError{&usageError{fmt.Errorf("reading %q: %w", file, err)}, keysHint}
	}
	return s, err
}

const defaultSpecFile = "access.yaml"

// spec is what the file or the flags say, complete.
func (f *specFlags) spec(cmd *cobra.Command, a *app) (provision.Spec, error) {
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
		var err error
		if s, err = openSpec(file); errors.Is(err, os.ErrNotExist) && f.file == "" {
			return s, &specError{misuse("no %s here, and no flag says what is wanted", defaultSpecFile), "eks-x509 setup init writes one to start from; or by flags: " + cmd.CommandPath() + " --help"}
		} else if err != nil {
			return s, err
		}
		where = fmt.Sprintf("%q", file)
	} else {
		s = f.fromFlags()
	}
	if f.stack != "" {
		if err := checkStackFlag(f.stack); err != nil {
			return s, err
		}
		s.Stack = f.stack
	}
	var err error
	base := filepath.Dir(file)
	read := func(path *string) ([]byte, error) {
		if *path == "" {
			return nil, nil
		}
		var err error
		if *path, err = config.ExpandHome(*path, a.Getenv); err != nil {
			return nil, err
		}
		if !filepath.IsAbs(*path) && file != "" {
			*path = filepath.Join(base, *path) // as the file says it
		}
		data, err := safefile.ReadExisting(*path, 1<<20)
		return data, withoutPath(err)
	}
	if err := errors.Join(config.CheckPath("ca.bundle", s.CA.Bundle), config.CheckPath("profile.sessionPolicy", s.Profile.SessionPolicy)); err != nil {
		return s, err
	}
	if s.CA.BundlePEM, err = read(&s.CA.Bundle); err == nil && s.CA.Bundle != "" {
		s.CA.Certificates, err = keys.Certificates(s.CA.Bundle, s.CA.BundlePEM)
	}
	if e, ok := errors.AsType[*keys.Error](err); ok {
		return s, &specError{&usageError{fmt.Errorf("reading %s: invalid ca.bundle: %w", where, e)}, "ca.bundle (--ca-bundle) is the file with your CA's certificate, in PEM or DER, and nothing else"}
	}
	if err != nil {
		return s, &specError{fmt.Errorf("opening CA bundle %q: %w", s.CA.Bundle, err), "ca.bundle (--ca-bundle) is the file with your CA's certificate; ca.acmPcaArn (--ca-arn) names a private CA, ca.new (--new-ca) makes one"}
	}
	if s.Profile.SessionPolicyJSON, err = read(&s.Profile.SessionPolicy); err != nil {
		return s, fmt.Errorf("opening session policy %q: %w", s.Profile.SessionPolicy, err)
	}
	if err := s.Complete(a.Now()); err != nil {
		return s, explained(&usageError{fmt.Errorf("reading %s: %w", where, err)}, file != "")
	}
	return s, nil
}

// explained gives an error of the spec the hint that it has, or else the one for access.yaml.
func explained(err error, ofFile bool) error {
	invalid, ok := errors.AsType[*provision.Invalid](err)
	switch {
	case ok && invalid.Hint != "":
		return &specError{err, invalid.Hint}
	case ok && ofFile:
		return &specError{err, keysHint}
	}
	return err
}

// template is the spec's; what AWS would not take of it is a misuse.
func template(s provision.Spec) ([]byte, error) {
	made, err := s.Template()
	if is[*provision.Invalid](err) {
		err = explained(&usageError{err}, false)
	}
	return made, err
}

// templateToSend is one that fits in a request.
func templateToSend(s provision.Spec) ([]byte, error) {
	made, err := template(s)
	if err == nil {
		err = provision.CheckTemplate(made)
	}
	if e, ok := errors.AsType[*provision.TooLong](err); ok {
		err = &specError{&usageError{err}, e.Hint()}
	}
	return made, err
}

// warnOfEveryone warns of a role that no name keeps anybody from.
func (a *app) warnOfEveryone(s provision.Spec) {
	if len(s.Role.Subject) == 0 && len(s.Role.SAN) == 0 {
		a.warn("the role lets in every certificate that the CA issues: role.subject (--subject-cn) or role.san names those that it is for")
	}
	if len(s.Role.IssuerCN) == 0 && len(s.Role.Issuer) == 0 {
		a.warn("the role trusts every issuer below the trust anchor: profile.attributeMappings leaves the issuer out")
	}
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
	s.Profile.DurationSeconds, s.Profile.SessionNameFromCN = provision.Seconds(time.Duration(f.duration)/time.Second), f.sessionName
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
		return f.stack, checkStackFlag(f.stack)
	}
	file := f.file
	if file == "" {
		file = defaultSpecFile
	}
	s, err := openSpec(file)
	if errors.Is(err, os.ErrNotExist) && f.file == "" {
		return provision.DefaultStack, nil
	}
	if err != nil {
		return "", err
	}
	if s.Stack == "" {
		return provision.DefaultStack, nil
	}
	return s.Stack, nil
}

func checkStackFlag(name string) error {
	if err := provision.CheckStack(name); err != nil {
		return misuse("invalid --stack %w", err)
	}
	return nil
}
