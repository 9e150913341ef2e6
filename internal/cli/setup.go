package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/provision"
	"github.com/eks-x509/eks-x509/internal/safetext"
)

func newSetupCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Set up trust between your CA, AWS and clusters, and take it down",
		Long: `Set up what certificates need to reach clusters, as one CloudFormation stack:
trust anchor, role, Roles Anywhere profile, access entries and, if asked for, a
private CA. From a file, access.yaml, or from flags. In this order:

  init      writes access.yaml, to edit
  plan      shows what would be made, and apply makes it
  profile   writes down for a person or machine what was made; cert makes the
            certificates
  remove    takes it all down again

These commands use your own AWS credentials, found as every AWS tool finds them.
docs/setup.md goes through it, beside what one would do by hand.`,
		Example: "  eks-x509 setup init --file team.yaml\n" +
			"  eks-x509 setup plan --aws-profile administrator --new-ca 'Example CA' --cluster-name my-cluster --group viewers",
		Args: cobra.ArbitraryArgs,
		RunE: a.group,
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
				return err
			}
			a.notice(fmt.Sprintf("wrote %s; edit it, then: eks-x509 setup plan --file %[1]s", safetext.File(file)))
			return nil
		},
	}
	fileVar(cmd.Flags(), &file, "file", "f", "access.yaml", "`FILE` to make")
	return cmd
}

func (a *app) stack(ctx context.Context, admin adminFlags, name string) (provision.Stack, error) {
	client, err := a.adminClient(ctx, admin)
	return provision.Stack{Client: client, Name: name, Wait: wait}, err
}

// writeDocument writes YAML, or the same as JSON.
func (a *app) writeDocument(document []byte, output string) error {
	if output == "json" {
		value, err := provision.Decoded(document)
		if err != nil {
			return err
		}
		return a.out.json(value)
	}
	return a.out.document(document)
}

func newSetupTemplateCmd(a *app) *cobra.Command {
	var flags specFlags
	var output string
	cmd := &cobra.Command{
		Use:   "template",
		Short: "Print the CloudFormation template",
		Long: `Print the CloudFormation template, to review it or to take it into a pipeline of
your own. It holds no account and no region: StackSets can carry it to many.`,
		Example: `  eks-x509 setup template --new-ca 'Example CA' --cluster-name my-cluster --group viewers`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			s, err := flags.spec(cmd, a)
			if err != nil {
				return err
			}
			a.warnOfEveryone(s)
			made, err := template(s)
			if err != nil {
				return err
			}
			if err := provision.CheckTemplate(made); err != nil {
				a.warn(err.Error() + ": put it into S3 and give its URL (--template-url), or split the clusters among several stacks")
			}
			return a.writeDocument(made, output)
		},
	}
	addSpec(cmd, &flags)
	addOutput(cmd, &output)
	cmd.Flag("output").Usage = "text (YAML) or json"
	cmd.Flags().SortFlags = false
	return cmd
}

func newSetupRBACCmd(a *app) *cobra.Command {
	var name, role, output string
	var of bound
	cmd := &cobra.Command{
		Use:   "rbac",
		Short: "Print a ClusterRoleBinding for kubectl apply",
		Long: `Print the manifest that gives a user or a group of the set-up a ClusterRole of
the cluster, for: kubectl apply -f -

Without --user and --group it reads access.yaml: it binds the groups of the
cluster, or its username if it has no groups.`,
		Example: "  eks-x509 setup rbac --user viewk8\n  eks-x509 setup rbac --group viewers --cluster-role view --name viewers",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			if err := of.complete(cmd); err != nil {
				return err
			}
			manifest, err := provision.Binding(name, role, of.users, of.groups)
			if err != nil {
				return &usageError{err}
			}
			return a.writeDocument(manifest, output)
		},
	}
	cmd.Flags().StringVar(&name, "name", "cluster-view-role-binding", "`NAME` of the ClusterRoleBinding")
	cmd.Flags().StringVar(&role, "cluster-role", "view", "`NAME` of the ClusterRole")
	cmd.Flags().StringArrayVar(&of.users, "user", nil, "Kubernetes `NAME` of a user; may be repeated")
	cmd.Flags().StringArrayVar(&of.groups, "group", nil, "`NAME` of a group; may be repeated")
	fileVar(cmd.Flags(), &of.file, "file", "f", "", "`FILE` that says whom to bind, without --user and --group; default: access.yaml")
	cmd.Flags().StringVar(&of.cluster, "cluster-name", "", "`NAME` of the cluster in the file, if its clusters differ")
	addOutput(cmd, &output)
	cmd.Flag("output").Usage = "text (YAML) or json"
	cmd.Flags().SortFlags = false
	return cmd
}

// bound is whom a ClusterRoleBinding is for.
type bound struct {
	users, groups []string
	file, cluster string
}

// complete takes from the file what the flags do not say.
func (b *bound) complete(cmd *cobra.Command) error {
	if len(b.users)+len(b.groups) > 0 {
		if b.file != "" || b.cluster != "" {
			return misuse("--user and --group exclude --file and --cluster-name")
		}
		return nil
	}
	file := b.file
	if file == "" {
		file = defaultSpecFile
	}
	s, err := openSpec(file)
	if errors.Is(err, os.ErrNotExist) && b.file == "" {
		return misuse("no --user and no --group given, and no %s here", defaultSpecFile)
	}
	if err != nil {
		return err
	}
	if b.users, b.groups, err = s.Subjects(b.cluster); err != nil {
		return &specError{&usageError{fmt.Errorf("reading %q: %w", file, err)}, cmd.CommandPath() + " --user NAME or --group NAME binds one by its name"}
	}
	return nil
}
