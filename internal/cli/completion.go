package cli

import (
	"bytes"

	"github.com/spf13/cobra"
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
			_, err = a.Stdout.Write(script.Bytes())
			return err
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
