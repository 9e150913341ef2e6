package cli

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/format"
	"github.com/eks-x509/eks-x509/internal/session"
)

type envFlags struct {
	shell string
	unset bool
}

func newEnvCmd(a *app) *cobra.Command {
	var flags envFlags
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print session credentials as lines for a shell to evaluate",
		Long: `Print session credentials as environment variables, quoted for the shell:

  sh, bash, zsh, ksh, dash   eval "$(eks-x509 env)"
  fish                       eks-x509 env --shell fish | source
  PowerShell                 eks-x509 env --shell powershell | Invoke-Expression
  nushell                    eks-x509 env --shell nushell | from json | load-env
  cmd                        for /f "delims=" %i in ('eks-x509 env --shell cmd') do @%i

Without --shell the environment decides which; in scripts, name it. dotenv and
json are for programs. --unset takes back AWS_REGION and AWS_DEFAULT_REGION, too;
for nushell it is hide-env -i ...(eks-x509 env --unset --shell nushell | from json).

On failure nothing is printed on stdout, so that the shell is left with what it had.`,
		Example: `  eval "$(eks-x509 env)" && aws sts get-caller-identity
  eval "$(eks-x509 env --unset)"`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runEnv(cmd.Context(), a, cmd, flags) },
	}
	cmd.Flags().StringVar(&flags.shell, "shell", "", "`SHELL` to write for: sh, bash, zsh, fish, powershell, cmd, nushell, dotenv or json; default: found from the environment")
	addChoices(cmd, "shell", "sh", "bash", "zsh", "fish", "powershell", "cmd", "nushell", "dotenv", "json")
	cmd.Flags().BoolVar(&flags.unset, "unset", false, "take the variables back")
	addSessionFlags(a, cmd)
	return cmd
}

// variables are what env sets and takes back.
func variables() []string {
	return []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CREDENTIAL_EXPIRATION", "AWS_REGION", "AWS_DEFAULT_REGION"}
}

func runEnv(ctx context.Context, a *app, cmd *cobra.Command, flags envFlags) error {
	shell := format.DetectShell(a.Getenv, runtime.GOOS)
	if flags.shell != "" {
		var err error
		if shell, err = format.ParseShell(flags.shell); err != nil {
			return &usageError{err}
		}
	}
	if flags.unset {
		err := format.Unset(a.out.exact(), shell, variables())
		if errors.Is(err, format.ErrNoUnset) {
			return &usageError{err}
		}
		return err
	}
	c, err := a.config(cmd)
	if err != nil {
		return err
	}
	creds, err := session.Credentials(ctx, c, a.confinedOptions(c))
	if err != nil {
		return err
	}
	values := credentialValues(creds, c)
	vars := make([]format.Var, len(values))
	for i, name := range variables() {
		vars[i] = format.Var{Name: name, Value: values[i]}
	}
	return format.Export(a.out.exact(), shell, vars)
}

// credentialValues are the values of variables, in order.
func credentialValues(creds aws.Credentials, c config.Config) []string {
	return []string{creds.AccessKeyID, creds.SecretAccessKey, creds.SessionToken, creds.Expires.UTC().Format(time.RFC3339), c.Region, c.Region}
}
