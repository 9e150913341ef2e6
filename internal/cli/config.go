package cli

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/safefile"
)

func newConfigCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Write settings down once, as profiles of a configuration file",
		Long: `Write settings down once, as profiles of a configuration file. Its keys are the
flags' names. A flag wins over the profile that --profile names, with what that
has from the default. Then come variables, then the profile of EKS_X509_PROFILE
and the default.`,
		Example: "  eks-x509 config init\n  eks-x509 config show --origin",
		Args:    cobra.ArbitraryArgs,
		RunE:    a.group,
	}
	cmd.AddCommand(newConfigInitCmd(a), newConfigListCmd(a), newConfigShowCmd(a), newConfigSetCmd(a), newConfigUnsetCmd(a), newConfigRemoveCmd(a), newConfigAWSCmd(a))
	return cmd
}

// group runs a command that only has others below it.
func (a *app) group(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	return cmd.Help()
}

func addOutput(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "text", "text or json")
	addChoices(cmd, "output", "text", "json")
}

func checkOutput(output string) error {
	if output != "text" && output != "json" {
		return misuse("unsupported --output %q (supported: text, json)", output)
	}
	return nil
}

func newConfigListCmd(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the profiles",
		Long: `List the profiles. "(default)" stands behind a value that the profile has from the
default.`,
		Example: "  eks-x509 config list",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			profiles, err := config.Profiles(given(cmd), a.Getenv)
			if err != nil {
				return err
			}
			if output == "json" {
				return a.out.json(append([]config.Profile{}, profiles...))
			}
			if len(profiles) == 0 {
				a.notice("there are no profiles; eks-x509 config init makes one")
				return nil
			}
			rows := [][]string{{"PROFILE", "ROLE", "CLUSTER", "FILE"}}
			for _, p := range profiles {
				rows = append(rows, []string{p.Name, listed(p, "role-arn"), listed(p, "cluster-name"), p.File})
			}
			return a.out.table(rows)
		},
	}
	addSetting(cmd, "config")
	addOutput(cmd, &output)
	return cmd
}

// listed is a value of a profile, and whether it has it from the default.
func listed(p config.Profile, key string) string {
	if value := p.Inherited[key]; value != "" {
		return value + " (default)"
	}
	return p.Values[key]
}

func newConfigShowCmd(a *app) *cobra.Command {
	var output string
	var origin bool
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Show the settings that hold, and with --origin where each came from",
		Example: "  eks-x509 config show --profile prod --origin",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			values, err := config.Values(given(cmd), a.Getenv)
			if err != nil {
				return err
			}
			if output == "json" {
				return a.out.json(append([]config.Value{}, values...))
			}
			if len(values) == 0 {
				a.notice("nothing is set; eks-x509 config init asks for what is needed")
				return nil
			}
			var rows [][]string
			for _, v := range values {
				row := []string{v.Name, v.Value}
				if origin {
					row = append(row, originOf(v))
				}
				rows = append(rows, row)
			}
			return a.out.table(rows)
		},
	}
	cmd.Flags().BoolVar(&origin, "origin", false, "show where each value came from")
	addOutput(cmd, &output)
	addSessionFlags(a, cmd)
	a.addClusterName(cmd)
	return cmd
}

// originOf is where a value came from, and the variables that it wins over.
func originOf(v config.Value) string {
	if len(v.Ignored) == 0 {
		return v.Origin
	}
	return v.Origin + "; ignored: " + strings.Join(v.Ignored, ", ")
}

// absolute makes a path that was typed here one that means the same in the file.
func absolute(key, value string) string {
	for _, s := range config.FileSettings() {
		if s.Name == key && s.IsPath() && value != "" && value[0] != '~' {
			if path, err := filepath.Abs(value); err == nil {
				return path
			}
		}
	}
	return value
}

// target is the file and the profile that are to be edited.
func (a *app) target(cmd *cobra.Command) (path, profile string, err error) {
	flags := given(cmd)
	path, err = config.UserFile(flags, a.Getenv)
	if err != nil {
		return "", "", err
	}
	profile = flags["profile"]
	if _, ok := flags["profile"]; !ok {
		profile = a.Getenv("EKS_X509_PROFILE")
	}
	if profile == "" {
		profile = config.DefaultProfile
	}
	return path, profile, nil
}

// editConfig replaces the configuration file by what edit makes of it.
func (a *app) editConfig(ctx context.Context, path string, edit func([]byte) ([]byte, error)) error {
	lockDir, err := a.lockDir()
	if err != nil {
		return err
	}
	changed, err := safefile.Edit(ctx, path, lockDir, config.MaxFile, edit, a.notice)
	if err != nil {
		return err
	}
	a.notice(map[bool]string{true: "wrote ", false: "nothing to change in "}[changed] + path)
	return nil
}

// lockDir is where the locks for editing the user's files are.
func (a *app) lockDir() (string, error) {
	dir, err := config.CacheDir(map[string]string{}, func(name string) string {
		if name == "EKS_X509_CONFIG" || name == "EKS_X509_PROFILE" {
			return "" // they may name what is about to be made
		}
		return a.Getenv(name)
	})
	if err == nil && dir == "" {
		err = misuse("no home directory in the environment, and no EKS_X509_CACHE_DIR for the lock")
	}
	return dir, err
}
