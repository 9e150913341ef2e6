package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"
	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/awsapi"
	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/safetext"
	"github.com/eks-x509/eks-x509/internal/session"
)

// adminFlags are those of the commands that use the administrator's own AWS
// credentials.
type adminFlags struct{ profile, region string }

func addAdmin(cmd *cobra.Command, f *adminFlags) {
	cmd.Flags().StringVar(&f.profile, "aws-profile", "", "`NAME` of the profile of ~/.aws with the administrator's credentials; default: the SDK's normal chain")
	cmd.Flags().StringVar(&f.region, "region", "", "`REGION` to work in; default: the profile's, or AWS_REGION")
}

// options are those that make another command use the same credentials and region.
func (f adminFlags) options() string {
	options := ""
	if f.profile != "" {
		options += " --aws-profile " + safetext.Quote(f.profile)
	}
	if f.region != "" {
		options += " --region " + safetext.Quote(f.region)
	}
	return options
}

// credentialsError: there are none, or they can't be had.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string {
	if e, ok := errors.AsType[awsconfig.SharedConfigProfileNotExistError](e.err); ok {
		return fmt.Sprintf("finding AWS credentials: no profile %q found in ~/.aws", e.Profile)
	}
	cause := strings.TrimPrefix(e.err.Error(), "failed to refresh cached credentials, ")
	// The last place where the SDK looks is the one that it names.
	if strings.Contains(cause, "no EC2 IMDS role found") {
		cause = "none found in the environment, in ~/.aws or as this machine's role"
	}
	return "finding AWS credentials: " + cause
}
func (e *credentialsError) Unwrap() error { return e.err }

// credentialsTimeout is for all that the SDK asks on the way, whose calls have no deadline of their own. A credential_process,
// which may ask a person, has a minute.
const credentialsTimeout = 90 * time.Second

// credentialsFailed tells the deadline in place of what it broke off.
func credentialsFailed(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = context.Cause(ctx)
	}
	return &credentialsError{err}
}

// adminClient takes credentials as every AWS tool does: environment, ~/.aws,
// SSO, the machine's own role.
func (a *app) adminClient(ctx context.Context, f adminFlags) (awsapi.Client, error) {
	network, err := config.LoadNetwork(a.Getenv)
	if err != nil {
		return awsapi.Client{}, err
	}
	client, err := session.HTTPClient(network, a.files, a.log, a.notice)
	if err != nil {
		return awsapi.Client{}, err
	}
	options := []func(*awsconfig.LoadOptions) error{awsconfig.WithLogger(logging.Nop{})} // its warnings would go to stderr
	if f.profile != "" {
		options = append(options, awsconfig.WithSharedConfigProfile(f.profile))
	}
	if f.region != "" {
		options = append(options, awsconfig.WithRegion(f.region))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, credentialsTimeout, fmt.Errorf("none within %s: %w", credentialsTimeout, context.DeadlineExceeded))
	defer cancel()
	soon := time.AfterFunc(2*time.Second, func() { a.notice("waiting for AWS credentials (~/.aws, SSO, or this machine's role)") })
	defer soon.Stop()
	sdk, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return awsapi.Client{}, credentialsFailed(ctx, err)
	}
	if sdk.Region == "" {
		return awsapi.Client{}, misuse("no --region given (nor AWS_REGION in the environment, nor region in the AWS profile)")
	}
	creds, err := sdk.Credentials.Retrieve(ctx)
	if err != nil {
		return awsapi.Client{}, credentialsFailed(ctx, err)
	}
	a.out.hide(creds.SecretAccessKey, creds.SessionToken)
	return awsapi.Client{
		HTTP: client, Credentials: creds, Region: sdk.Region, UseFIPS: network.UseFIPS, UseDualStack: network.UseDualStack,
		STSEndpoint: network.Endpoints["sts"], EKSEndpoint: network.Endpoints["eks"], Endpoint: func(service string) string { return network.Endpoints[service] },
		Waits: a.notice, UserAgent: userAgent(), Now: a.Now,
	}, nil
}

// wait is a pause that an interrupt ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
