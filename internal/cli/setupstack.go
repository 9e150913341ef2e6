package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/provision"
)

// noStackError: there is none of that name.
type noStackError struct{ name, region string }

func (e *noStackError) Error() string {
	return fmt.Sprintf("no stack %q found in region %s", e.name, e.region)
}

func newSetupStatusCmd(a *app) *cobra.Command {
	var flags specFlags
	var admin adminFlags
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the stack's outputs, and what has drifted from it",
		Long: `Show the stack's state and outputs, and what somebody has changed or deleted beside
it (drift, as CloudFormation detects it).`,
		Example: "  eks-x509 setup status --aws-profile administrator --stack team-access",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			stack, state, err := a.existing(cmd.Context(), flags, admin)
			if err != nil {
				return err
			}
			return a.setupStatus(cmd.Context(), stack, state, output)
		},
	}
	addStack(cmd, &flags)
	addAdmin(cmd, &admin)
	addOutput(cmd, &output)
	cmd.Flags().SortFlags = false
	return cmd
}

// existing is the stack, which must be there.
func (a *app) existing(ctx context.Context, flags specFlags, admin adminFlags) (provision.Stack, provision.State, error) {
	name, err := flags.stackName()
	if err != nil {
		return provision.Stack{}, provision.State{}, err
	}
	stack, err := a.stack(ctx, admin, name)
	if err != nil {
		return stack, provision.State{}, err
	}
	state, err := stack.Describe(ctx, name)
	if err == nil && !state.Exists() {
		err = &noStackError{name, stack.Client.Region}
	}
	return stack, state, err
}

func (a *app) setupStatus(ctx context.Context, stack provision.Stack, state provision.State, output string) error {
	drifts, err := stack.Drifts(ctx, state)
	if err != nil {
		return err
	}
	if output == "json" {
		return a.out.json(map[string]any{"schemaVersion": 1, "stack": stack.Name, "region": stack.Client.Region, "status": state.Status,
			"statusReason": state.Reason, "outputs": state.Outputs, "drift": append([]provision.Drift{}, drifts...)})
	}
	err = a.out.print("stack %s in %s: %s\n", stack.Name, stack.Client.Region, state.Status)
	if err := errors.Join(err, a.writeOutputs(state)); err != nil {
		return err
	}
	drifted := 0
	for _, d := range drifts {
		if d.Status == "DELETED" || d.Status == "MODIFIED" {
			drifted++
			err = errors.Join(err, a.out.print("drift: %s (%s) is %s\n", d.LogicalID, d.Type, strings.ToLower(d.Status)))
		}
		for _, diff := range d.Differences {
			err = errors.Join(err, a.out.print("  %s is %s, was made as %s\n", diff.Path, diff.Actual, diff.Expected))
		}
	}
	if drifted == 0 && drifts != nil {
		err = errors.Join(err, a.out.print("no drift\n"))
	}
	return err
}

func newSetupProfileCmd(a *app) *cobra.Command {
	var flags specFlags
	var admin adminFlags
	var output string
	var yes bool
	cmd := &cobra.Command{
		Use:   "profile",
		Short: "Write the stack's outputs into the configuration, as a profile",
		Long: `Write the stack's outputs into the configuration file, as a profile: trust anchor,
Roles Anywhere profile, role, region, and the cluster if there is one. With
--certificate and --private-key the profile is complete; of a set-up with
sessionNameFromCN, --role-session-name is the certificate's common name. For
somebody else, --config FILE makes a file to hand over: it holds no secret.

If the profile exists, the settings that would change are shown, and asked about at
the terminal unless --yes is given.`,
		Example: "  eks-x509 setup profile --aws-profile administrator --stack team-access --profile team\n" +
			"  eks-x509 setup profile --aws-profile administrator --stack team-access --config for-alice.yaml",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			stack, state, err := a.existing(cmd.Context(), flags, admin)
			if err != nil {
				return err
			}
			return a.setupProfile(cmd, stack, state, output, yes)
		},
	}
	addStack(cmd, &flags)
	addAdmin(cmd, &admin)
	for _, name := range []string{"profile", "config", "certificate", "private-key", "role-session-name"} {
		addSetting(cmd, name)
	}
	a.complete(cmd, "profile", a.profileNames)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	addOutput(cmd, &output)
	cmd.Flags().SortFlags = false
	return cmd
}

func (a *app) setupProfile(cmd *cobra.Command, stack provision.Stack, state provision.State, output string, yes bool) error {
	values := map[string]string{"region": stack.Client.Region}
	for key, name := range map[string]string{provision.OutputTrustAnchor: "trust-anchor-arn", provision.OutputProfile: "profile-arn", provision.OutputRole: "role-arn"} {
		if state.Outputs[key] == "" {
			return fmt.Errorf("stack %q has no output %s (its status is %s)", stack.Name, key, state.Status)
		}
		values[name] = state.Outputs[key]
	}
	resources, err := stack.Resources(cmd.Context())
	if err != nil {
		return err
	}
	clusters := provision.ClustersOf(resources)
	if len(clusters) == 1 {
		values["cluster-name"] = clusters[0]
	}
	for _, name := range []string{"certificate", "private-key", "role-session-name"} {
		if value, ok := given(cmd)[name]; ok {
			values[name] = absolute(name, value)
		}
	}
	path, profile, err := a.target(cmd)
	if err != nil {
		return err
	}
	err = a.writeProfile(cmd.Context(), path, profile, values, yes)
	if err != nil {
		return err
	}
	if values["certificate"] != "" {
		a.notice("next: eks-x509 whoami" + profileOptions(cmd, profile))
	}
	if output == "json" {
		return a.out.json(map[string]any{"schemaVersion": 1, "stack": stack.Name, "region": stack.Client.Region, "file": path, "profile": profile, "settings": values})
	}
	return nil
}
