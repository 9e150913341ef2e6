package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/kubeconfig"
	"github.com/eks-x509/eks-x509/internal/safetext"
)

// kubeContextJSON is how it is listed.
type kubeContextJSON struct {
	File      string   `json:"file"`
	Context   string   `json:"context"`
	Cluster   string   `json:"cluster"`
	User      string   `json:"user"`
	Namespace string   `json:"namespace,omitempty"`
	Server    string   `json:"server"`
	Command   []string `json:"command"`
	Current   bool     `json:"current"`
}

func newKubeconfigListCmd(a *app) *cobra.Command {
	var output, path string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the contexts that eks-x509 serves",
		Example: "  eks-x509 kubeconfig list",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			paths, _, err := a.kubeconfigs(path)
			if err != nil {
				return err
			}
			found, err := kubeContexts(paths)
			if err != nil {
				return err
			}
			for i, k := range found {
				a.out.hide(argument(k.Item, "--pkcs8-password"))
				found[i].Server = safetext.Scrub(k.Server)
			}
			if output == "json" {
				list := make([]kubeContextJSON, len(found))
				for i, k := range found {
					list[i] = kubeContextJSON{k.File, k.Context, k.Cluster, k.User, k.Namespace, k.Server, append([]string{k.Exec.Command}, k.Exec.Args...), k.Current}
				}
				return a.out.json(list)
			}
			if len(found) == 0 {
				a.notice("no context of eks-x509 in " + strings.Join(paths, ", ") + "; eks-x509 kubeconfig update --cluster-name NAME makes one")
				return nil
			}
			rows := [][]string{{"CURRENT", "CONTEXT", "SERVER", "NAMESPACE", "COMMAND", "FILE"}}
			for _, k := range found {
				current := map[bool]string{true: "*"}[k.Current]
				rows = append(rows, []string{current, k.Context, k.Server, k.Namespace, k.Exec.Command + " " + strings.Join(k.Exec.Args, " "), k.File})
			}
			return a.out.table(rows)
		},
	}
	fileVar(cmd.Flags(), &path, "kubeconfig", "", "", "`FILE` to read; default: $KUBECONFIG, ~/.kube/config")
	addOutput(cmd, &output)
	return cmd
}

// kubeContexts are ours, of all files that are there.
func kubeContexts(paths []string) ([]kubeconfig.FileItem, error) {
	files := kubeconfig.Load(paths)
	return files.Items(), files.Err()
}

func newKubeconfigRemoveCmd(a *app) *cobra.Command {
	var path, cluster string
	var all bool
	cmd := &cobra.Command{
		Use:   "remove {CONTEXT | --cluster-name NAME | --all}",
		Short: "Take contexts of eks-x509 out of the kubeconfig, with what only they use",
		Long: `Take contexts of eks-x509 out of the kubeconfig, with the users and clusters that
only they use. Contexts of other programs are never touched.`,
		Example: "  eks-x509 kubeconfig remove --cluster-name my-cluster",
		Args: func(_ *cobra.Command, args []string) error {
			ways := len(args)
			for _, given := range []bool{cluster != "", all} {
				if given {
					ways++
				}
			}
			if ways != 1 {
				return misuse("one of these is needed: a context, --cluster-name or --all")
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return a.contextNames(path), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			paths, _, err := a.kubeconfigs(path)
			if err != nil {
				return err
			}
			match := func(item kubeconfig.Item) bool {
				return all || len(args) > 0 && item.Context == args[0] || cluster != "" && clusterOf(item) == cluster
			}
			return a.removeContexts(cmd.Context(), paths, match)
		},
	}
	fileVar(cmd.Flags(), &path, "kubeconfig", "", "", "`FILE` to edit; default: $KUBECONFIG, ~/.kube/config")
	cmd.Flags().StringVar(&cluster, "cluster-name", "", "remove every context of this cluster (`NAME`)")
	cmd.Flags().BoolVar(&all, "all", false, "remove every context of eks-x509")
	return cmd
}

func (a *app) removeContexts(ctx context.Context, paths []string, match func(kubeconfig.Item) bool) error {
	files := kubeconfig.Load(paths)
	if err := files.Err(); err != nil {
		return err
	}
	before, _ := files.Current()
	count := 0
	for _, removal := range files.Removals(match) {
		if removal.Empty() {
			continue
		}
		if _, err := kubeconfig.Update(ctx, removal.File, removal.Apply, a.notice); err != nil {
			return err
		}
		for _, name := range removal.Contexts {
			count++
			if err := a.out.print("Removed context %s from %s\n", name, removal.File); err != nil {
				return err
			}
		}
	}
	if count == 0 {
		return &noContextError{strings.Join(paths, ", ")}
	}
	if after, file := kubeconfig.Load(paths).Current(); after != before && after != "" {
		a.notice(fmt.Sprintf("the current context is now %q, which %s sets", after, file))
	}
	return nil
}

// noContextError: nothing of ours is there to remove.
type noContextError struct{ where string }

func (e *noContextError) Error() string { return "no such context of eks-x509 found in " + e.where }

// contextNames completes contexts of ours.
func (a *app) contextNames(path string) []string {
	paths, _, err := a.kubeconfigs(path)
	if err != nil {
		return nil
	}
	found, _ := kubeContexts(paths)
	var names []string
	for _, k := range found {
		names = append(names, k.Context)
	}
	return names
}

// clusterOf is the EKS cluster whose token the entry asks for.
func clusterOf(item kubeconfig.Item) string {
	return argument(item, "--cluster-name", "--cluster-id", "-i")
}

// argument is the value of a flag, under any of its names, in the command that the entry runs.
func argument(item kubeconfig.Item, names ...string) string {
	for i, arg := range item.Exec.Args {
		switch name, value, joined := strings.Cut(arg, "="); {
		case !slices.Contains(names, name):
		case joined:
			return value
		case i+1 < len(item.Exec.Args):
			return item.Exec.Args[i+1]
		}
	}
	return ""
}
