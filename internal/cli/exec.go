package cli

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/session"
)

// execVariable marks the environment of a child of exec.
const execVariable = "EKS_X509_EXEC"

func newExecCmd(a *app) *cobra.Command {
	var nested bool
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARG ...]",
		Short: "Run a command with session credentials in its environment",
		Long: `Run a command with session credentials in its environment, and nothing else of
AWS's that would win over them: AWS_PROFILE and other credential variables are
taken out. On Unix the command takes the place of this process; its exit status
and its signals are its own.

The credentials are those of one session and are not renewed: a command that runs
longer wants credential-process.`,
		Example: `  eks-x509 exec -- aws s3 ls
  eks-x509 exec --profile prod -- sh -c 'echo until $AWS_CREDENTIAL_EXPIRATION'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return misuse("no command given: eks-x509 exec [flags] -- COMMAND [ARG ...]")
			}
			if cmd.ArgsLenAtDash() != 0 {
				return misuse("unexpected argument %q before --: eks-x509 exec [flags] -- COMMAND [ARG ...]", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runExec(cmd.Context(), a, cmd, nested, args) },
	}
	cmd.Flags().BoolVar(&nested, "nested", false, "run inside another exec all the same")
	addSessionFlags(a, cmd)
	return cmd
}

func runExec(ctx context.Context, a *app, cmd *cobra.Command, nested bool, command []string) error {
	if outer := a.Getenv(execVariable); outer != "" && !nested {
		return &nestedError{outer}
	}
	c, err := a.config(cmd)
	if err != nil {
		return err
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return &notFoundError{command[0], err}
	}
	creds, err := session.Credentials(ctx, c, a.sessionOptions())
	if err != nil {
		return err
	}
	environ := append(slices.DeleteFunc(a.childEnviron(), winsOverCredentials),
		execVariable+"="+c.RoleARN+" until "+creds.Expires.UTC().Format(time.RFC3339))
	values := credentialValues(creds, c)
	for i, name := range variables() {
		environ = append(environ, name+"="+values[i])
	}
	for _, w := range a.warnings {
		a.say("warning", w)
	}
	a.warnings = nil
	return a.become(path, command, environ)
}

// winsOverCredentials: what the SDKs look at before, or beside, the credentials
// in the environment.
func winsOverCredentials(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return slices.Contains(variables(), name) || slices.Contains([]string{
		"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", execVariable,
	}, name)
}

// nestedError: a child of exec runs exec.
type nestedError struct{ outer string }

func (e *nestedError) Error() string { return "already inside eks-x509 exec, with " + e.outer }

// notFoundError is a command that can't be run; its exit code is the shell's.
type notFoundError struct {
	command string
	err     error
}

func (e *notFoundError) Error() string {
	return fmt.Sprintf("running %q: %s", e.command, strings.TrimPrefix(e.err.Error(), "exec: "))
}
func (e *notFoundError) Unwrap() error { return e.err }
