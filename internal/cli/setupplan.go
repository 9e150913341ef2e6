package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/awsapi"
	"github.com/eks-x509/eks-x509/internal/provision"
)

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
			s, err := flags.spec(cmd, a)
			if err != nil {
				return err
			}
			a.warnOfEveryone(s)
			template, err := templateToSend(s)
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
			for _, line := range beforehand(cmd.Context(), stack.Client, s, changes) {
				a.notice(line)
			}
			if output == "json" {
				return a.out.json(map[string]any{"schemaVersion": 1, "stack": s.Stack, "region": stack.Client.Region, "changes": append([]provision.Change{}, changes...)})
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

// beforehand is what is said before it is done: what would fail, what costs, and
// what can't be undone.
func beforehand(ctx context.Context, client awsapi.Client, s provision.Spec, changes []provision.Change) []string {
	var lines []string
	if slices.ContainsFunc(changes, func(c provision.Change) bool { return c.Type == "AWS::EKS::AccessEntry" && c.Action == "Add" }) {
		lines = wrongClusters(ctx, client, s)
	}
	return append(lines, consequences(s, changes)...)
}

// wrongClusters are those for which CloudFormation can't make an access entry, which
// it finds last, when a private CA is made. Who may not ask EKS is told nothing.
func wrongClusters(ctx context.Context, client awsapi.Client, s provision.Spec) []string {
	var lines []string
	for _, c := range s.Clusters {
		if c.AWSAuth {
			continue
		}
		cluster, err := client.DescribeCluster(ctx, c.Name)
		if refusal, ok := errors.AsType[*awsapi.Error](err); ok && refusal.Code == "ResourceNotFoundException" {
			lines = append(lines, fmt.Sprintf("no cluster %s found in %s: setup apply would fail, and roll everything back", c.Name, client.Region))
		}
		if cluster.AuthenticationMode == "CONFIG_MAP" {
			lines = append(lines, fmt.Sprintf("cluster %s is still on aws-auth, without access entries: setup apply would fail; awsAuth: true (--aws-auth) leaves it to setup map-role", c.Name))
		}
	}
	return lines
}

// consequences are the costs and what can't be undone.
func consequences(s provision.Spec, changes []provision.Change) []string {
	var lines []string
	for _, c := range changes {
		switch {
		case c.Type == "AWS::ACMPCA::CertificateAuthority" && c.Action == "Add":
			price := "about 400 US dollars a month"
			if s.CA.New != nil && s.CA.New.Mode == "SHORT_LIVED_CERTIFICATE" {
				price = "about 50 US dollars a month"
			}
			lines = append(lines, "AWS charges "+price+" for the private CA, from now until it is deleted, and for each certificate (https://aws.amazon.com/private-ca/pricing/)")
		case c.Action == "Modify" && c.Replacement == "Conditional":
			lines = append(lines, fmt.Sprintf("%s may be replaced, not changed: %s", c.LogicalID, replaced(c.Type)))
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
		return a.out.print("stack %s in %s: nothing to change\n", stack, region)
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
	if err := a.out.print("stack %s in %s: %s\n", stack, region, strings.Join(parts, ", ")); err != nil {
		return err
	}
	return a.out.table(rows)
}
