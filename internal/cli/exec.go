package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
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
and its signals are its own. As in a shell, the exit code is 127 if the command is
not found and 126 if it can't be run.

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
	path, err := a.lookPath(command[0])
	if err != nil {
		return err
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
	if err := ctx.Err(); err != nil { // the command would never hear of the signal
		return err
	}
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

// exitCode tells, as a shell's, a command that is not there from one that can't be run.
func (e *notFoundError) exitCode() int {
	if errors.Is(e.err, exec.ErrNotFound) || errors.Is(e.err, fs.ErrNotExist) || errors.Is(e.err, syscall.ENOTDIR) {
		return exitNotFound
	}
	return exitNotRun
}

// lookPath finds a command as a shell does: a file on PATH that can't be executed is one
// that can't be run.
func (a *app) lookPath(command string) (string, error) {
	path, err := exec.LookPath(command)
	if err == nil {
		return path, nil
	}
	if errors.Is(err, exec.ErrNotFound) && command != "" && filepath.Base(command) == command {
		for _, dir := range filepath.SplitList(a.Getenv("PATH")) {
			if info, statErr := os.Stat(filepath.Join(dir, command)); statErr == nil && info.Mode().IsRegular() {
				err = &fs.PathError{Op: "exec", Path: filepath.Join(dir, command), Err: fs.ErrPermission}
				break
			}
		}
	}
	return "", &notFoundError{command, err}
}
