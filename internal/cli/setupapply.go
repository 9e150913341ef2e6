package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/provision"
	"github.com/eks-x509/eks-x509/internal/safetext"
)

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
			s, err := flags.spec(cmd, a)
			if err != nil {
				return err
			}
			a.warnOfEveryone(s)
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
	template, err := templateToSend(s)
	if err != nil {
		return err
	}
	stack, err := a.stack(ctx, admin, s.Stack)
	if err != nil {
		return err
	}
	ask := func(lines []string) error {
		for _, line := range lines {
			a.notice(line)
		}
		if len(lines) == 0 || yes {
			return nil
		}
		return a.confirm(ctx, "", "Go on?")
	}
	state, changes, err := stack.Apply(ctx, template, s.Tags, provision.Dialog{
		Tell: a.tellEvent,
		Clear: func(state provision.State) error {
			return ask([]string{fmt.Sprintf("stack %s is %s: what is left of it is deleted, but for a private CA, and it is made anew", s.Stack, state.Status)})
		},
		Confirm: func(changes []provision.Change) error { return ask(beforehand(ctx, stack.Client, s, changes)) },
	})
	if err != nil {
		return err
	}
	if output == "json" {
		return a.out.json(map[string]any{"schemaVersion": 1, "stack": s.Stack, "region": stack.Client.Region, "status": state.Status,
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
	a.notice("next: eks-x509 setup profile" + admin.options() + " --stack " + safetext.Quote(s.Stack) + " --profile " + safetext.Quote(profileOf(s.Stack)) +
		" writes this down for a person or machine")
	return nil
}

// profileOf is a profile's name for a stack: never the default, which may be in use.
func profileOf(stack string) string {
	if stack == config.DefaultProfile {
		return "stack-" + stack
	}
	return stack[:min(len(stack), 64)]
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
	return a.out.table(rows)
}
