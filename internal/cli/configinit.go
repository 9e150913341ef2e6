package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/safefile"
	"github.com/eks-x509/eks-x509/internal/safetext"
	"github.com/eks-x509/eks-x509/internal/session"
	"github.com/eks-x509/eks-x509/internal/term"
)

func newConfigInitCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a profile: asks at the terminal for what no flag gives",
		Long: `Make a profile, or without --profile the default, in the user's configuration
file, with a comment for each value. What no flag gives is asked for at the
terminal. The ARNs are checked against each other and the certificate against its
key before anything is written.`,
		Example: `  eks-x509 config init
  eks-x509 config init --profile prod --certificate me.pem --private-key me.key \
    --trust-anchor-arn … --profile-arn … --role-arn … --cluster-name prod`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runConfigInit(cmd.Context(), a, cmd) },
	}
	addSessionFlags(a, cmd)
	a.addClusterName(cmd)
	return cmd
}

func runConfigInit(ctx context.Context, a *app, cmd *cobra.Command) error {
	path, profile, err := a.target(cmd)
	if err != nil {
		return err
	}
	// Before the questions: a person should not answer for nothing.
	data, err := safefile.ReadWhole(path, config.MaxFile)
	if err != nil {
		return err
	}
	if err := notYet(path, data, profile); err != nil {
		return err
	}
	flags := given(cmd)
	for _, name := range []string{"no-verify-ssl", "pkcs8-password"} {
		if _, ok := flags[name]; ok {
			return misuse("--%s is not written to a file", name)
		}
	}
	// What holds already: the file's default is not asked for again.
	getenv := a.variablesBut("EKS_X509_CONFIG", "EKS_X509_PROFILE")
	delete(flags, "profile")
	if len(data) == 0 {
		delete(flags, "config")
		getenv = a.variablesBut("EKS_X509_CONFIG", "EKS_X509_PROFILE", "XDG_CONFIG_HOME", "HOME", "AppData")
	} else {
		flags["config"] = path
	}
	held, err := config.Values(flags, getenv)
	if err != nil {
		return err
	}
	values := map[string]string{} // what is to be written
	has := map[string]bool{}
	for _, v := range held {
		has[v.Name] = true
		if v.Origin == "--"+v.Name || strings.HasPrefix(v.Origin, "EKS_X509_") && !strings.Contains(v.Name, "cache") {
			values[v.Name] = v.Value
		}
	}
	if err := a.askMissing(ctx, has, values); err != nil {
		return err
	}
	for name, value := range values {
		if path, err := config.ExpandHome(value, a.Getenv); err == nil && config.IsPath(name) {
			value = path // getenv may have no home
		}
		if err := passwordFile(name, value); err != nil {
			return err
		}
		values[name] = absolute(name, value)
		flags[name] = values[name]
	}
	c, err := config.Load(flags, getenv)
	if err != nil {
		return err
	}
	key, err := session.OpenKey(ctx, c, a.sessionOptions())
	if err != nil {
		return err
	}
	err = a.editConfig(ctx, path, func(data []byte) ([]byte, error) {
		if err := notYet(path, data, profile); err != nil {
			return nil, err
		}
		if len(data) == 0 {
			data = []byte("# eks-x509: a flag wins over the profile of --profile, that over variables, they over the profile of EKS_X509_PROFILE and the default.\n" +
				"# Paths may begin with ~ or be relative to this file. docs/profiles.md has it all.\n\n")
		}
		return config.AddProfile(path, data, profile, values, true)
	})
	if err != nil {
		return err
	}
	a.notice(fmt.Sprintf("certificate of %s, valid until %s; sessions are made in %s, account %s",
		key.Chain[0].Subject, key.Chain[0].NotAfter.Format("2006-01-02"), c.SessionRegion, strings.Split(c.RoleARN, ":")[4]))
	a.notice("next: eks-x509 whoami" + profileOptions(cmd, profile))
	return nil
}

// profileOptions make a command use the profile that was just written.
func profileOptions(cmd *cobra.Command, profile string) string {
	options := ""
	if profile != config.DefaultProfile {
		options = " --profile " + safetext.Quote(profile)
	}
	if named := given(cmd)["config"]; named != "" {
		options += " --config " + safetext.Quote(named)
	}
	return options
}

func notYet(path string, data []byte, profile string) error {
	there, err := config.HasProfile(path, data, profile)
	if err == nil && there {
		return &profileExistsError{profile, path}
	}
	return err
}

// profileExistsError: init makes profiles; it does not change them.
type profileExistsError struct{ profile, path string }

func (e *profileExistsError) Error() string {
	return fmt.Sprintf("profile %q is already in %s", e.profile, e.path)
}

// askMissing asks at the terminal for what a session needs and nothing gives yet.
func (a *app) askMissing(ctx context.Context, has map[string]bool, values map[string]string) error {
	certificate, asked := has["certificate"], false
	for _, question := range []struct {
		name, text string
		optional   bool
	}{
		{"certificate", "Certificate file (PEM, DER or PKCS#12)", false},
		{"private-key", "Private key file (empty: it is in the certificate's file)", true},
		{"trust-anchor-arn", "Trust anchor ARN", false},
		{"profile-arn", "Roles Anywhere profile ARN", false},
		{"role-arn", "Role ARN", false},
		{"cluster-name", "EKS cluster name (empty: none)", true},
	} {
		if has[question.name] || question.name == "private-key" && certificate || question.name == "cluster-name" && !asked {
			continue
		}
		answer, err := term.ReadLine(ctx, question.text+": ")
		if errors.Is(err, term.ErrNoTerminal) {
			return misuse("no --%s given, and no terminal to ask at", question.name)
		}
		if err != nil {
			return err
		}
		asked = true
		if err := config.CheckSetting(question.name, question.name, answer); err != nil {
			return err
		}
		if answer = strings.TrimSpace(answer); answer != "" {
			values[question.name] = answer
		} else if !question.optional {
			return misuse("no --%s given", question.name)
		}
	}
	return nil
}

// variablesBut is the environment without some variables, HOME maybe: paths are expanded.
func (a *app) variablesBut(names ...string) func(string) string {
	return func(name string) string {
		if slices.Contains(names, name) {
			return ""
		}
		value := a.Getenv(name)
		isPath := slices.ContainsFunc(config.Settings(), func(s config.Setting) bool { return s.Env == name && s.IsPath() })
		if path, err := config.ExpandHome(value, a.Getenv); err == nil && isPath {
			return path
		}
		return value
	}
}
