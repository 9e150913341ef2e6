package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/provision"
	"github.com/eks-x509/eks-x509/internal/term"
)

func newSetupRemoveCmd(a *app) *cobra.Command {
	var flags specFlags
	var admin adminFlags
	var output string
	var yes, keepCA bool
	var days int
	cmd := &cobra.Command{
		Use:   "remove",
		Short: "Take the set-up down again",
		Long: `Show what goes, ask for the stack's name, and delete the stack. Its private CA is
disabled and deleted by AWS after some days, in which it can still be restored; a
CA that another trust anchor uses is kept. What the stack did not make is never
touched.`,
		Example: "  eks-x509 setup remove --aws-profile administrator --stack team-access --yes",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			if days < 7 || days > 30 {
				return misuse("invalid --ca-deletion-days %d: 7 to 30 are taken", days)
			}
			name, err := flags.stackName()
			if err != nil {
				return err
			}
			stack, err := a.stack(cmd.Context(), admin, name)
			if err != nil {
				return err
			}
			return a.setupRemove(cmd.Context(), stack, removal{output, yes, keepCA, days})
		},
	}
	addStack(cmd, &flags)
	addAdmin(cmd, &admin)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask for the stack's name")
	cmd.Flags().BoolVar(&keepCA, "keep-ca", false, "keep the stack's private CA, which goes on to cost")
	cmd.Flags().IntVar(&days, "ca-deletion-days", 7, "`DAYS` in which the private CA can be restored, 7 to 30")
	addOutput(cmd, &output)
	cmd.Flags().SortFlags = false
	return cmd
}

type removal struct {
	output      string
	yes, keepCA bool
	days        int
}

// fate is what becomes of a resource.
type fate struct {
	provision.Resource
	Fate string `json:"fate"`
}

func (a *app) setupRemove(ctx context.Context, stack provision.Stack, how removal) error {
	state, err := stack.Describe(ctx, stack.Name)
	if err != nil {
		return err
	}
	if err := stack.Own(ctx, state); err != nil {
		return err
	}
	// Until then it may make a CA that nobody here would know of.
	wasThere := state.ID != ""
	if state, err = stack.Rest(ctx, state, a.tellEvent); err != nil {
		return err
	}
	if state.ID == "" {
		if wasThere { // a removal that was interrupted has ended
			a.tellRemoved(stack)
		} else {
			a.notice(fmt.Sprintf("no stack %s in %s: there is nothing to remove", stack.Name, stack.Client.Region))
		}
		return a.writeRemoved(stack, how.output, nil)
	}
	resources, err := stack.Resources(ctx)
	if err != nil {
		return err
	}
	ca, fateOfCA, err := a.fateOfCA(ctx, stack, resources, how)
	if err != nil {
		return err
	}
	fates := fatesOf(resources, fateOfCA)
	a.progress("stack %s in %s will be deleted, with:", stack.Name, stack.Client.Region)
	for _, f := range fates {
		if f.Type != "AWS::ACMPCA::Certificate" && f.Type != "AWS::ACMPCA::CertificateAuthorityActivation" { // parts of the CA
			a.progress("  %s: %s (%s)", f.LogicalID, f.Fate, f.PhysicalID)
		}
	}
	if !how.yes {
		if err := a.confirmName(ctx, stack.Name); err != nil {
			return err
		}
	}
	// The CA first: once the stack is gone, nothing here would find it again.
	if ca != nil {
		if err := ca.Retire(ctx, how.days); err != nil {
			return err
		}
	}
	if err := stack.Delete(ctx, a.tellEvent); err != nil {
		return err
	}
	a.tellRemoved(stack)
	return a.writeRemoved(stack, how.output, fates)
}

func (a *app) tellRemoved(stack provision.Stack) {
	a.notice(fmt.Sprintf("removed stack %s; sessions that were given out last until they end", stack.Name))
}

func fatesOf(resources []provision.Resource, ofCA string) []fate {
	var all []fate
	for _, r := range resources {
		one := fate{r, "deleted"}
		if strings.HasPrefix(r.Type, "AWS::ACMPCA::") {
			one.Fate = ofCA
		}
		if r.Status != "DELETE_COMPLETE" { // when it was tried before
			all = append(all, one)
		}
	}
	return all
}

func (a *app) writeRemoved(stack provision.Stack, output string, fates []fate) error {
	if output != "json" {
		return nil
	}
	return a.out.json(map[string]any{"schemaVersion": 1, "stack": stack.Name, "region": stack.Client.Region, "resources": append([]fate{}, fates...)})
}

// confirmName asks for the stack's name, which nobody types by accident.
func (a *app) confirmName(ctx context.Context, name string) error {
	got, err := term.ReadLine(ctx, fmt.Sprintf("To go on, type the stack's name (%s): ", name))
	if errors.Is(err, term.ErrNoTerminal) {
		return misuse("no terminal to ask at: --yes goes on without asking")
	}
	if err == nil && strings.TrimSpace(got) != name {
		err = errors.New("nothing was changed")
	}
	return err
}

// fateOfCA is the stack's own private CA, nil if it is to be kept or there is
// none, and what becomes of it.
func (a *app) fateOfCA(ctx context.Context, stack provision.Stack, resources []provision.Resource, how removal) (*provision.PrivateCA, string, error) {
	arn := provision.CAOf(resources)
	if arn == "" {
		return nil, "", nil
	}
	if how.keepCA {
		return nil, "kept, and AWS goes on to charge for it", nil
	}
	ca := &provision.PrivateCA{Client: stack.Client, ARN: arn, Wait: wait}
	users, err := ca.Users(ctx, provision.AnchorOf(resources))
	if err != nil {
		return nil, "", err
	}
	if len(users) > 0 {
		return nil, "kept: " + strings.Join(users, " and ") + " uses it", nil
	}
	return ca, fmt.Sprintf("disabled now, and deleted for good in %d days", how.days), nil
}
