package cli

import (
	"bytes"
	"slices"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/config"
)

func newCompletionCmd(a *app) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion {bash|zsh|fish|powershell}",
		Short: "Print the completion script for a shell",
		Long: `Print the completion script for a shell. To load it in every new session:

  bash        eks-x509 completion bash > /etc/bash_completion.d/eks-x509
  zsh         eks-x509 completion zsh > "${fpath[1]}/_eks-x509"
  fish        eks-x509 completion fish > ~/.config/fish/completions/eks-x509.fish
  PowerShell  eks-x509 completion powershell >> $PROFILE`,
		Example:   "  source <(eks-x509 completion bash)",
		ValidArgs: shells,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return misuse("one shell is needed: bash, zsh, fish or powershell")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var script bytes.Buffer
			var err error
			switch root := cmd.Root(); args[0] {
			case "bash":
				err = root.GenBashCompletionV2(&script, true)
			case "zsh":
				err = root.GenZshCompletion(&script)
			case "fish":
				err = root.GenFishCompletion(&script, true)
			case "powershell":
				err = root.GenPowerShellCompletionWithDesc(&script)
			default:
				err = misuse("unsupported shell %q (supported: bash, zsh, fish, powershell)", args[0])
			}
			if err != nil {
				return err
			}
			return a.out.document(script.Bytes())
		},
	}
}

// addChoices completes a flag that takes one of a few words.
func addChoices(cmd *cobra.Command, flag string, choices ...string) {
	// The error is a flag that does not exist.
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic("cli: internal error: " + err.Error())
	}
}

// complete completes a flag with what names finds when it is asked.
func (a *app) complete(cmd *cobra.Command, flag string, names func() []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return names(), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic("cli: internal error: " + err.Error())
	}
}

// profileNames are those of the configuration files.
func (a *app) profileNames() []string {
	profiles, err := config.Profiles(nil, a.Getenv)
	if err != nil {
		return nil
	}
	var names []string
	for _, p := range profiles {
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	return names
}

// clusterNames are those of our contexts in the kubeconfig.
func (a *app) clusterNames() []string {
	paths, _, err := a.kubeconfigs("")
	if err != nil {
		return nil
	}
	found, _ := kubeContexts(paths)
	var names []string
	for _, k := range found {
		if name := clusterOf(k.Item); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
