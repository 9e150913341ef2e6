package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/kubeconfig"
)

// expandHome expands a ~ in each flag that was given and takes a path, which a shell
// leaves in --flag=~/x; openLogs does so for its own.
func (a *app) expandHome(cmd *cobra.Command) error {
	var failed error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		kind, _ := pflag.UnquoteUsage(f)
		if failed != nil || !slices.Contains([]string{"FILE", "DIR"}, kind) {
			return
		}
		if list, ok := f.Value.(*filesFlag); ok {
			for i, path := range *list.values {
				if path, failed = config.ExpandHome(path, a.Getenv); failed != nil {
					failed = misuse("invalid --%s: %w", f.Name, failed)
					return
				}
				(*list.values)[i] = path
			}
			return
		}
		path, err := config.ExpandHome(f.Value.String(), a.Getenv)
		if err != nil {
			failed = misuse("invalid --%s: %w", f.Name, err)
			return
		}
		failed = f.Value.Set(path)
	})
	return failed
}

// kubeconfigs are the files of --kubeconfig, KUBECONFIG or the home directory. kubectl
// expands no ~ in KUBECONFIG; unread is such an element, which it looks for elsewhere.
func (a *app) kubeconfigs(flag string) (paths []string, unread string, err error) {
	if err := config.CheckPathList("KUBECONFIG", a.Getenv("KUBECONFIG")); err != nil {
		return nil, "", err
	}
	paths, err = kubeconfig.Paths(flag, a.Getenv)
	if err != nil {
		return nil, "", &usageError{err}
	}
	for i, path := range paths {
		if paths[i], err = config.ExpandHome(path, a.Getenv); err != nil {
			return nil, "", misuse("invalid KUBECONFIG: %w", err)
		}
		if flag == "" && strings.HasPrefix(path, "~") {
			unread = path
		}
	}
	return paths, unread, nil
}
