package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/cache"
	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/session"
)

func newCacheCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "cache",
		Short:   "List and clear the sessions that are kept between calls",
		Example: "  eks-x509 cache list\n  eks-x509 cache clear --all",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(newCacheListCmd(a), newCacheClearCmd(a))
	return cmd
}

func newCacheListCmd(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the sessions that are kept: who, which role, until when; no secrets",
		Example: "  eks-x509 cache list --output json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return misuse("unsupported --output %q (supported: text, json)", output)
			}
			dir, err := a.cacheDir(cmd)
			if err != nil {
				return err
			}
			list, err := cache.List(dir, a.Now())
			if err != nil {
				return err
			}
			if output == "json" {
				return a.out.json(append([]cache.Kept{}, list...))
			}
			return a.writeKept(list)
		},
	}
	for _, name := range []string{"cache-dir", "profile", "config"} {
		addSetting(cmd, name)
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	addChoices(cmd, "output", "text", "json")
	return cmd
}

func (a *app) writeKept(list []cache.Kept) error {
	if len(list) == 0 {
		a.notice("no session is kept")
		return nil
	}
	rows := [][]string{{"ACCESS KEY ID", "ROLE", "CERTIFICATE", "UNTIL", "FILE"}}
	for _, k := range list {
		rows = append(rows, []string{k.AccessKeyID, k.Key.RoleARN, fmt.Sprintf("%.16s", k.Leaf),
			k.Expires.Format(time.RFC3339) + " (" + relative(k.Expires.Sub(a.Now())) + ")", k.File})
	}
	return a.out.table(rows)
}

func newCacheClearCmd(a *app) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "clear",
		Short: "Remove the session of these settings, or with --all every one",
		Long: `Remove the session that is kept for these settings, or with --all every one in the
cache directory. Only files that eks-x509 itself has named are removed. AWS is
not told: a session that was given out lives until its end.`,
		Example: "  eks-x509 cache clear --all",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if all {
				dir, err := a.cacheDir(cmd)
				if err != nil {
					return err
				}
				n, err := cache.ClearAll(dir)
				if err != nil {
					return err
				}
				a.notice(fmt.Sprintf("%d removed", n))
				return nil
			}
			c, err := a.config(cmd)
			if err != nil {
				return err
			}
			removed, err := session.Forget(c, a.sessionOptions())
			if err != nil {
				return err
			}
			a.notice(map[bool]string{true: "1 removed", false: "0 removed"}[removed])
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "remove every session")
	addSessionFlags(a, cmd)
	return cmd
}

func (a *app) cacheDir(cmd *cobra.Command) (string, error) {
	dir, err := config.CacheDir(given(cmd), a.Getenv)
	if err != nil {
		return "", err
	}
	if dir == "" {
		return "", misuse("no --cache-dir given, and no home directory in the environment")
	}
	return dir, nil
}
