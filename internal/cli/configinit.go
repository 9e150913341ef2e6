package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/safefile"
	"github.com/eks-x509/eks-x509/internal/safetext"
	"github.com/eks-x509/eks-x509/internal/session"
)

func newConfigInitCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a profile: asks at the terminal for what no flag gives",
		Long: `Make a profile, or without --profile the default, in the user's configuration
file, with a comment for each value. What no flag gives is asked for at the
terminal; an answer that is not accepted is asked for again. The ARNs are checked
against each other and the certificate against its key before anything is written.

A profile has from the default what it does not set. If nothing is given for it,
each value of the default is shown, and Enter keeps it.`,
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
	values, err := a.interview(ctx, profile, flags, getenv, held)
	if err != nil {
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

// interview is what is to be written: what was given, and the answers.
func (a *app) interview(ctx context.Context, profile string, flags map[string]string, getenv func(string) string, held []config.Value) (map[string]string, error) {
	i := interview{app: a, getenv: getenv, flags: maps.Clone(flags), has: map[string]bool{}, inherited: map[string]string{}, values: map[string]string{}}
	var names []string
	for _, v := range held {
		i.has[v.Name] = true
		switch {
		case v.Origin == "--"+v.Name || strings.HasPrefix(v.Origin, "EKS_X509_") && !strings.Contains(v.Name, "cache"):
			i.values[v.Name] = v.Value
		case strings.HasPrefix(v.Origin, v.Name+" ("): // of a file
			i.inherited[v.Name] = v.Value
			names = append(names, v.Name)
		}
	}
	if profile == config.DefaultProfile {
		i.inherited = nil
	} else if len(names) > 0 {
		a.notice(fmt.Sprintf("profile %s has from the default: %s; only what differs is written", profile, strings.Join(names, ", ")))
	}
	if len(i.values) > 0 {
		i.inherited = nil // what differs was given
	}
	inherits := len(i.inherited) > 0
	if err := i.run(ctx); err != nil {
		return nil, err
	}
	maps.DeleteFunc(i.values, func(name, value string) bool { return inherits && i.inherited[name] == value })
	if inherits && len(i.values) == 0 {
		return nil, misuse("nothing of profile %q would differ from the default: give at least one setting", profile)
	}
	return i.values, nil
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
