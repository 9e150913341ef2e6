package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/safefile"
	"github.com/eks-x509/eks-x509/pkg/ekstoken"
)

func newConfigSetCmd(a *app) *cobra.Command {
	var create bool
	cmd := &cobra.Command{
		Use:   "set KEY VALUE",
		Short: "Set one value in a profile, or in the default",
		Long: `Set one value in a profile, or without --profile in the default, of the user's
configuration file. The value is checked first. Everything else in the file stays,
comments too. A profile that is not in the file is an error, unless --create is
given.`,
		Example: "  eks-x509 config set session-duration 3600\n  eks-x509 config set --profile prod cluster-name prod",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return misuse("a key and a value are needed, such as: config set region eu-west-1")
			}
			return nil
		},
		ValidArgsFunction: settingKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			key, value := args[0], args[1]
			if err := errors.Join(checkValue(key, value), passwordFile(key, value)); err != nil {
				return err
			}
			path, profile, err := a.target(cmd)
			if err != nil {
				return err
			}
			return a.editConfig(cmd.Context(), path, func(data []byte) ([]byte, error) {
				if err := mustExist(path, data, profile); err != nil && !create {
					return nil, fmt.Errorf("%w; --create makes it", err)
				}
				return config.Set(path, data, profile, key, absolute(key, value))
			})
		},
	}
	addSetting(cmd, "profile")
	a.complete(cmd, "profile", a.profileNames)
	addSetting(cmd, "config")
	cmd.Flags().BoolVar(&create, "create", false, "make the profile if it is not in the file")
	return cmd
}

// settingKeys completes the first argument.
func settingKeys(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var keys []string
	for _, s := range config.FileSettings() {
		keys = append(keys, s.Name+"\t"+s.Usage)
	}
	return keys, cobra.ShellCompDirectiveNoFileComp
}

// checkValue refuses a value that a command would refuse when it reads it.
func checkValue(key, value string) error {
	if err := config.CheckValue(key, value); err != nil {
		return err
	}
	if key == "cluster-name" {
		if err := ekstoken.CheckClusterName(value); err != nil {
			return &usageError{err}
		}
	}
	return nil
}

// mustExist is an error if the file has no such profile. The default needs no entry.
func mustExist(path string, data []byte, profile string) error {
	values, names, err := config.Section(path, data, profile)
	if err != nil || values != nil || profile == config.DefaultProfile {
		return err
	}
	if near := config.Nearest(profile, names); near != "" {
		return misuse("no profile %q found in %s (is it %q?)", profile, path, near)
	}
	return misuse("no profile %q found in %s", profile, path)
}

func newConfigUnsetCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unset KEY",
		Short: "Remove one value from a profile, or from the default",
		Long: `Remove one value from a profile, or without --profile from the default, of the
user's configuration file. Everything else in the file stays, comments too.`,
		Example: "  eks-x509 config unset session-duration\n  eks-x509 config unset --profile prod cluster-name",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return misuse("one key is needed, such as: config unset region")
			}
			return nil
		},
		ValidArgsFunction: settingKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, profile, err := a.target(cmd)
			if err != nil {
				return err
			}
			return a.editConfig(cmd.Context(), path, func(data []byte) ([]byte, error) {
				if err := mustExist(path, data, profile); err != nil {
					return nil, err
				}
				return config.Unset(path, data, profile, args[0])
			})
		},
	}
	addSetting(cmd, "profile")
	a.complete(cmd, "profile", a.profileNames)
	addSetting(cmd, "config")
	return cmd
}

func newConfigRemoveCmd(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "remove PROFILE",
		Short: "Remove a profile from the configuration file",
		Long: `Remove a profile, or the default, from the user's configuration file. What is
removed is shown, and asked about at the terminal unless --yes is given. Everything
else in the file stays, comments too.`,
		Example: "  eks-x509 config remove --yes prod",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return misuse("the name of one profile is needed, such as: config remove prod")
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return a.profileNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			path, _, err := a.target(cmd)
			if err != nil {
				return err
			}
			return a.removeProfile(cmd.Context(), path, args[0], yes)
		},
	}
	addSetting(cmd, "config")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (a *app) removeProfile(ctx context.Context, path, profile string, yes bool) error {
	shown := func(data []byte) (string, error) {
		values, _, err := config.Section(path, data, profile)
		if err == nil && values == nil {
			if err = mustExist(path, data, profile); err == nil {
				err = misuse("no profile %q found in %s", profile, path)
			}
		}
		return changes(path, profile, values, nil), err
	}
	return a.askedEdit(ctx, path, yes, "Remove profile "+profile+" from "+path+"?", shown, func(data []byte) ([]byte, error) {
		return config.RemoveProfile(path, data, profile)
	})
}

// writeProfile puts values into a profile, a new one or, if the person agrees, one
// that exists.
func (a *app) writeProfile(ctx context.Context, path, profile string, values map[string]string, yes bool) error {
	shown := func(data []byte) (string, error) {
		before, _, err := config.Section(path, data, profile)
		if err != nil || len(before) == 0 {
			return "", err
		}
		for key := range before {
			if _, ok := values[key]; !ok {
				delete(before, key) // it stays
			}
		}
		return changes(path, profile, before, values), nil
	}
	return a.askedEdit(ctx, path, yes, "Change profile "+profile+" in "+path+"?", shown, func(data []byte) ([]byte, error) {
		has, err := config.HasProfile(path, data, profile)
		if err != nil {
			return nil, err
		}
		if !has {
			return config.AddProfile(path, data, profile, values, true)
		}
		for _, s := range config.FileSettings() {
			if value, ok := values[s.Name]; ok {
				if data, err = config.Set(path, data, profile, s.Name, value); err != nil {
					return nil, err
				}
			}
		}
		return data, nil
	})
}

// askedEdit edits the configuration file once the person has agreed to what shown
// says of it; empty: there is nothing to agree to. What has changed since is an
// error.
func (a *app) askedEdit(ctx context.Context, path string, yes bool, question string, shown func([]byte) (string, error), edit func([]byte) ([]byte, error)) error {
	data, err := safefile.ReadWhole(path, config.MaxFile)
	if err != nil {
		return err
	}
	text, err := shown(data)
	if err != nil {
		return err
	}
	if text != "" && !yes {
		if err := a.confirm(ctx, text, question); err != nil {
			return err
		}
	}
	return a.editConfig(ctx, path, func(data []byte) ([]byte, error) {
		now, err := shown(data)
		if err != nil {
			return nil, err
		}
		if now != text && !yes {
			return nil, fmt.Errorf("%s has changed since the question: run this again", path)
		}
		return edit(data)
	})
}

// changes shows how a profile's settings change, "" if they do not.
func changes(path, profile string, before, after map[string]string) string {
	text := ""
	for _, s := range config.FileSettings() {
		old, had := before[s.Name]
		value, has := after[s.Name]
		if had && has && old == value {
			continue
		}
		if had {
			text += "-  " + s.Name + ": " + old + "\n"
		}
		if has {
			text += "+  " + s.Name + ": " + value + "\n"
		}
	}
	if text == "" && (len(before) > 0 || after != nil) {
		return ""
	}
	return "profile " + profile + " in " + path + ":\n" + text
}
