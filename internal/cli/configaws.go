package cli

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/awsfiles"
	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/safetext"
	"github.com/eks-x509/eks-x509/internal/term"
)

type configAWSFlags struct {
	name        string
	yes, dryRun bool
}

func newConfigAWSCmd(a *app) *cobra.Command {
	var flags configAWSFlags
	cmd := &cobra.Command{
		Use:   "aws",
		Short: "Add a profile to ~/.aws/config whose credential_process is eks-x509",
		Long: `Add a profile to ~/.aws/config (or $AWS_CONFIG_FILE) whose credential_process is
eks-x509 with these settings, and its region if it has none or --region is given. Only
these lines of that profile are changed. What would change is shown, and asked for at
the terminal unless --yes.`,
		Example: "  eks-x509 config aws --profile prod --name prod-x509\n  eks-x509 config aws --dry-run",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runConfigAWS(cmd.Context(), a, cmd, flags) },
	}
	cmd.Flags().StringVar(&flags.name, "name", "", "`NAME` of the profile in ~/.aws/config; default: that of --profile, else x509")
	cmd.Flags().BoolVar(&flags.yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "show what would change on stdout, and change nothing")
	addSessionFlags(a, cmd)
	return cmd
}

func runConfigAWS(ctx context.Context, a *app, cmd *cobra.Command, flags configAWSFlags) error {
	c, err := a.config(cmd)
	if err != nil {
		return err
	}
	name := flags.name
	if name == "" {
		name = c.Profile
	}
	if name == "" {
		name = "x509"
	}
	self, err := a.programPath(true)
	if err != nil {
		return err
	}
	args, err := a.settingsAsArgs(cmd, false)
	if err != nil {
		return err
	}
	command := awsfiles.Quote(runtime.GOOS, append([]string{self, "credential-process"}, args...))
	if err := config.CheckPath("AWS_CONFIG_FILE", a.Getenv("AWS_CONFIG_FILE")); err != nil {
		return err
	}
	path, err := config.AWSConfigFile(a.Getenv)
	if err != nil {
		return err
	}
	_, replace := given(cmd)["region"]
	edit := func(data []byte) ([]byte, error) {
		data, err := awsfiles.SetRegion(data, name, c.Region, replace)
		if err != nil {
			return nil, err
		}
		edited, warnings, err := awsfiles.SetCredentialProcess(data, name, command)
		for _, w := range warnings {
			a.warn(w)
		}
		return edited, err
	}
	before, err := awsfiles.Read(path)
	if err != nil {
		return err
	}
	after, err := edit(before)
	if err != nil {
		return err
	}
	if err := a.warnOfRivals(name); err != nil {
		return err
	}
	diff := awsfiles.Diff(before, after, path)
	switch {
	case bytes.Equal(before, after):
		a.notice("nothing to change in " + path)
		return nil
	case flags.dryRun:
		return a.out.lines(diff)
	case !flags.yes:
		if err := a.confirm(ctx, diff, "Change "+path+"?"); err != nil {
			return err
		}
	}
	a.warnings = nil
	lockDir, err := a.lockDir()
	if err != nil {
		return err
	}
	if _, err := awsfiles.Update(ctx, path, lockDir, edit, a.notice); err != nil {
		return err
	}
	a.notice("wrote " + path)
	a.notice("next: aws --profile " + safetext.Quote(name) + " sts get-caller-identity")
	return nil
}

// warnOfRivals says what of the credentials file the AWS tools use in place of
// credential_process; SetCredentialProcess says so of the config file.
func (a *app) warnOfRivals(profile string) error {
	credentialsPath, err := config.AWSCredentialsFile(a.Getenv)
	if err != nil {
		return err
	}
	credentials, err := awsfiles.Read(credentialsPath)
	if err != nil {
		a.say("warning", err.Error())
	}
	for _, rival := range awsfiles.Rivals(nil, credentials, "", credentialsPath, profile) {
		a.say("warning", rival+", which AWS tools use instead of credential_process: remove it, or choose another --name")
	}
	return nil
}

// confirm shows text and asks; anything but y or yes is an error.
func (a *app) confirm(ctx context.Context, text, question string) error {
	a.out.show(text)
	answer, err := term.ReadLine(ctx, question+" [y/N] ")
	if errors.Is(err, term.ErrNoTerminal) {
		return misuse("no terminal to ask at: --yes goes on without asking")
	}
	if err != nil {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}
