package cli

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/format"
	"github.com/eks-x509/eks-x509/internal/session"
)

func newCredentialProcessCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "credential-process",
		Short: "Print session credentials as an AWS credential_process",
		Long: `Print session credentials as the JSON that the AWS SDKs and the AWS CLI read from
the credential_process of a profile in ~/.aws/config. The flags are those of
aws_signing_helper credential-process.`,
		Example: `  # ~/.aws/config
  [profile x509]
  credential_process = eks-x509 credential-process --certificate … --trust-anchor-arn … --profile-arn … --role-arn …`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.config(cmd)
			if err != nil {
				return err
			}
			return runCredentialProcess(cmd.Context(), a, c)
		},
	}
	addSessionFlags(a, cmd)
	return cmd
}

func runCredentialProcess(ctx context.Context, a *app, c config.Config) error {
	creds, err := session.Credentials(ctx, c, a.confinedOptions(c))
	if err != nil {
		return err
	}
	return format.CredentialProcess(a.out.exact(), formatted(creds))
}

func formatted(c aws.Credentials) format.Credentials {
	return format.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken, Expires: c.Expires}
}
