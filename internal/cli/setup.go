package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/provision"
	"github.com/eks-x509/eks-x509/internal/safefile"
)

func newSetupCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Set up trust between your CA, AWS and clusters, and take it down",
		Long: `Set up what certificates need to reach clusters, as one CloudFormation stack:
trust anchor, role, Roles Anywhere profile, access entries and, if asked for, a
private CA. From a file, access.yaml, or from flags.

These commands use your own AWS credentials, found as every AWS tool finds them.`,
		Example: "  eks-x509 setup init --file team.yaml",
		Args:    cobra.ArbitraryArgs,
		RunE:    a.group,
	}
	if a.named("setup") {
		cmd.AddCommand(newSetupInitCmd(a), newSetupTemplateCmd(a), newSetupPlanCmd(a), newSetupApplyCmd(a), newSetupStatusCmd(a),
			newSetupProfileCmd(a), newSetupRemoveCmd(a), newSetupRBACCmd(a), newSetupMapRoleCmd(a))
	}
	return cmd
}

func newSetupInitCmd(a *app) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:     "init",
		Short:   "Write an access.yaml to start from",
		Example: "  eks-x509 setup init",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := writeNew(file, []byte(provision.Example), 0o644); err != nil {
				if errors.Is(err, os.ErrExist) {
					return absent(file)
				}
				return err
			}
			a.notice(fmt.Sprintf("wrote %s; edit it, then: eks-x509 setup plan --file %[1]s", shown(file)))
			return nil
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "access.yaml", "`FILE` to make")
	return cmd
}

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
	cmd.Flags().BoolVar(&f.sessionName, "session-name-from-cn", false, "let sessions be named after the certificate's common name, and after nothing else")
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

func (a *app) stack(ctx context.Context, admin adminFlags, name string) (provision.Stack, error) {
	client, err := a.adminClient(ctx, admin)
	return provision.Stack{Client: client, Name: name, Wait: wait}, err
}

func newSetupTemplateCmd(a *app) *cobra.Command {
	var flags specFlags
	cmd := &cobra.Command{
		Use:   "template",
		Short: "Print the CloudFormation template",
		Long: `Print the CloudFormation template, to review it or to take it into a pipeline of
your own. It holds no account and no region: StackSets can carry it to many.`,
		Example: `  eks-x509 setup template --new-ca 'Example CA' --cluster-name my-cluster --group viewers`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := flags.spec(cmd)
			if err != nil {
				return err
			}
			template, err := s.Template()
			if err != nil {
				return err
			}
			_, err = a.Stdout.Write(template)
			return err
		},
	}
	addSpec(cmd, &flags)
	cmd.Flags().SortFlags = false
	return cmd
}

func newSetupPlanCmd(a *app) *cobra.Command {
	var flags specFlags
	var admin adminFlags
	var output string
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what setup apply would change",
		Long: `Show what setup apply would change, by a change set of CloudFormation that is not
executed and leaves nothing behind.`,
		Example: `  eks-x509 setup plan --aws-profile administrator --new-ca 'Example CA' \
      --cluster-name my-cluster --group viewers`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			s, err := flags.spec(cmd)
			if err != nil {
				return err
			}
			template, err := s.Template()
			if err != nil {
				return err
			}
			stack, err := a.stack(cmd.Context(), admin, s.Stack)
			if err != nil {
				return err
			}
			changes, err := stack.Plan(cmd.Context(), template, s.Tags)
			if err != nil {
				return err
			}
			for _, line := range beforehand(s, changes) {
				a.notice(line)
			}
			if output == "json" {
				return writeJSON(a.Stdout, map[string]any{"schemaVersion": 1, "stack": s.Stack, "region": stack.Client.Region, "changes": append([]provision.Change{}, changes...)})
			}
			return a.writeChanges(s.Stack, stack.Client.Region, changes)
		},
	}
	addSpec(cmd, &flags)
	addAdmin(cmd, &admin)
	addOutput(cmd, &output)
	cmd.Flags().SortFlags = false
	return cmd
}

// beforehand are the costs and what can't be undone, said before it is done.
func beforehand(s provision.Spec, changes []provision.Change) []string {
	var lines []string
	for _, c := range changes {
		switch {
		case c.Type == "AWS::ACMPCA::CertificateAuthority" && c.Action == "Add":
			price := "about 400 US dollars a month"
			if s.CA.New != nil && s.CA.New.Mode == "SHORT_LIVED_CERTIFICATE" {
				price = "about 50 US dollars a month"
			}
			lines = append(lines, "AWS charges "+price+" for the private CA, from now until it is deleted, and for each certificate (https://aws.amazon.com/private-ca/pricing/)")
		case c.Action == "Modify" && c.Replacement != "False":
			lines = append(lines, fmt.Sprintf("%s is replaced, not changed: %s", c.LogicalID, replaced(c.Type)))
		case c.Action == "Remove":
			lines = append(lines, fmt.Sprintf("%s is removed: %s", c.LogicalID, replaced(c.Type)))
		}
	}
	return lines
}

// replaced says what it means that a thing of that type is another one.
func replaced(kind string) string {
	switch kind {
	case "AWS::ACMPCA::CertificateAuthority":
		return "certificates of the old CA are no longer trusted, and the old CA stays, and costs, until it is deleted"
	case "AWS::RolesAnywhere::TrustAnchor", "AWS::RolesAnywhere::Profile":
		return "its ARN is another one then, which every client must be told (setup profile)"
	case "AWS::IAM::Role":
		return "its ARN is another one then, which every client must be told, and other clusters must map it anew"
	case "AWS::EKS::AccessEntry":
		return "its users can't reach the cluster until it is there again"
	}
	return "what depends on it changes, too"
}

func (a *app) writeChanges(stack, region string, changes []provision.Change) error {
	if len(changes) == 0 {
		_, err := fmt.Fprintf(a.Stdout, "stack %s in %s: nothing to change\n", stack, region)
		return err
	}
	words := map[string]string{"Add": "add", "Modify": "change", "Remove": "remove"}
	var rows [][]string
	counts := map[string]int{}
	for _, c := range changes {
		word := words[c.Action]
		switch {
		case word == "":
			word = strings.ToLower(c.Action)
		case c.Action == "Modify" && c.Replacement == "True":
			word = "replace"
		case c.Action == "Modify" && c.Replacement == "Conditional":
			word = "maybe replace"
		}
		counts[word]++
		rows = append(rows, []string{word, c.LogicalID, c.Type, strings.Join(c.Properties, ", ")})
	}
	var parts []string
	for _, word := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d to %s", counts[word], word))
	}
	fmt.Fprintf(a.Stdout, "stack %s in %s: %s\n", stack, region, strings.Join(parts, ", "))
	return a.writeTable(rows)
}

func newSetupApplyCmd(a *app) *cobra.Command {
	var flags specFlags
	var admin adminFlags
	var output string
	var yes bool
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Make it so: create or change the stack",
		Long: `Create or change the stack, with a line for each resource. If it fails, everything
is rolled back, and the first cause is said in AWS's words. When it was interrupted,
run it again: it goes on where the stack is.

What costs money or can't be undone is said first and asked about, unless --yes
is given.`,
		Example: `  eks-x509 setup apply --aws-profile administrator --yes --new-ca 'Example CA' \
      --cluster-name my-cluster --group viewers`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			s, err := flags.spec(cmd)
			if err != nil {
				return err
			}
			return a.setupApply(cmd.Context(), s, admin, output, yes)
		},
	}
	addSpec(cmd, &flags)
	addAdmin(cmd, &admin)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	addOutput(cmd, &output)
	cmd.Flags().SortFlags = false
	return cmd
}

func (a *app) setupApply(ctx context.Context, s provision.Spec, admin adminFlags, output string, yes bool) error {
	template, err := s.Template()
	if err != nil {
		return err
	}
	stack, err := a.stack(ctx, admin, s.Stack)
	if err != nil {
		return err
	}
	confirm := func(changes []provision.Change) error {
		lines := beforehand(s, changes)
		for _, line := range lines {
			a.notice(line)
		}
		if len(lines) == 0 || yes {
			return nil
		}
		return a.confirm(ctx, "", "Go on?")
	}
	state, changes, err := stack.Apply(ctx, template, s.Tags, a.tellEvent, confirm)
	if err != nil {
		return err
	}
	if output == "json" {
		return writeJSON(a.Stdout, map[string]any{"schemaVersion": 1, "stack": s.Stack, "region": stack.Client.Region, "status": state.Status,
			"changes": append([]provision.Change{}, changes...), "outputs": state.Outputs})
	}
	if len(changes) == 0 {
		a.notice(fmt.Sprintf("nothing to change in stack %s", s.Stack))
	}
	if err := a.writeOutputs(state); err != nil {
		return err
	}
	if slices.ContainsFunc(s.Clusters, func(c provision.Cluster) bool { return c.AWSAuth }) {
		a.notice("next: eks-x509 setup map-role writes the role into the clusters' aws-auth")
	}
	a.notice(fmt.Sprintf("next: eks-x509 setup profile --stack %s writes this down for a person or machine", s.Stack))
	return nil
}

// tellEvent is one line for each.
func (a *app) tellEvent(e provision.Event) {
	name := e.LogicalID
	if e.IsStack() {
		name = "stack " + name
	}
	line := fmt.Sprintf("%s  %-28s %s", e.Time.Local().Format("15:04:05"), e.Status, name)
	if e.Reason != "" && e.Reason != "User Initiated" {
		line += ": " + e.Reason
	}
	a.progress("%s", line)
}

func (a *app) writeOutputs(state provision.State) error {
	var rows [][]string
	for _, key := range slices.Sorted(maps.Keys(state.Outputs)) {
		rows = append(rows, []string{key, state.Outputs[key]})
	}
	return a.writeTable(rows)
}

func newSetupRBACCmd(a *app) *cobra.Command {
	var name, role string
	var users, groups []string
	cmd := &cobra.Command{
		Use:   "rbac",
		Short: "Print a ClusterRoleBinding for kubectl apply",
		Long: `Print the manifest that gives a user or a group of the set-up a ClusterRole of
the cluster, for: kubectl apply -f -`,
		Example: "  eks-x509 setup rbac --user viewk8\n  eks-x509 setup rbac --group viewers --cluster-role view --name viewers",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			if len(users)+len(groups) == 0 {
				return misuse("no --user and no --group given")
			}
			manifest, err := provision.Binding(name, role, users, groups)
			if err != nil {
				return err
			}
			_, err = a.Stdout.Write(manifest)
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "cluster-view-role-binding", "`NAME` of the ClusterRoleBinding")
	cmd.Flags().StringVar(&role, "cluster-role", "view", "`NAME` of the ClusterRole")
	cmd.Flags().StringArrayVar(&users, "user", nil, "Kubernetes `NAME` of a user; may be repeated")
	cmd.Flags().StringArrayVar(&groups, "group", nil, "`NAME` of a group; may be repeated")
	cmd.Flags().SortFlags = false
	return cmd
}
