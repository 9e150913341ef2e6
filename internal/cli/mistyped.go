package cli

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/eks-x509/eks-x509/internal/config"
)

// mistypedCommand is the error of a word that stands where a command belongs and is none.
// cobra would parse the flags behind it first, as those of the command above.
func mistypedCommand(root *cobra.Command, args []string) (*cobra.Command, error) {
	cmd := root
	for _, word := range args {
		if !cmd.HasSubCommands() || strings.HasPrefix(word, "-") || strings.HasPrefix(word, "__") || cmd.Name() == "help" {
			break
		}
		sub := subcommand(cmd, word)
		if sub == nil {
			return cmd, unknownCommand(cmd, word)
		}
		cmd = sub
	}
	return cmd, nil
}

func subcommand(cmd *cobra.Command, name string) *cobra.Command {
	i := slices.IndexFunc(cmd.Commands(), func(sub *cobra.Command) bool { return sub.Name() == name || sub.HasAlias(name) })
	if i < 0 {
		return nil
	}
	return cmd.Commands()[i]
}

func unknownCommand(cmd *cobra.Command, name string) error {
	if near := nearestCommand(cmd, name); near != "" {
		return misuse("unknown command %q (is it %q?)", name, near)
	}
	return misuse("unknown command %q", name)
}

// nearestCommand is a command of the group that is written much like it, one of the AWS
// CLI for the same thing, or the only one of this name in another group.
func nearestCommand(cmd *cobra.Command, name string) string {
	var names, elsewhere []string
	for _, sub := range cmd.Commands() {
		if slices.Contains(sub.SuggestFor, name) {
			return sub.Name()
		}
		if !sub.Hidden {
			names = append(names, sub.Name())
		}
	}
	if near := config.Nearest(name, names); near != "" {
		return near
	}
	for _, group := range cmd.Root().Commands() {
		for _, sub := range group.Commands() {
			if sub.Name() == name || slices.Contains(sub.SuggestFor, name) {
				elsewhere = append(elsewhere, group.Name()+" "+sub.Name())
			}
		}
	}
	if len(elsewhere) == 1 {
		return elsewhere[0]
	}
	return ""
}

// unknownFlag names the flag that was probably meant.
func (a *app) unknownFlag(cmd *cobra.Command, err error) error {
	if e := contentError(cmd, err); e != nil {
		return e
	}
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return &usageError{err}
	}
	if isGroup(cmd) {
		if err := a.flagsBeforeCommand(cmd); err != nil {
			return err
		}
	}
	if near := a.nearestFlag(cmd.Flags(), unknown); near != "" {
		return misuse("%w (is it --%s?)", err, near)
	}
	return &usageError{err}
}

// isGroup says whether a command only has others below it, and no flags of its own.
func isGroup(cmd *cobra.Command) bool {
	own := false
	cmd.Flags().VisitAll(func(f *pflag.Flag) { own = own || f.Name != "help" && f.Name != "version" })
	return cmd.HasSubCommands() && !own
}

// flagsBeforeCommand is the error of flags that stand before the command that they are of:
// eks-x509 --profile prod token. A word behind a flag may be its value.
func (a *app) flagsBeforeCommand(cmd *cobra.Command) error {
	mistyped := ""
	for i, word := range a.Args {
		if strings.HasPrefix(word, "-") || word == cmd.Name() {
			continue
		}
		if sub := subcommand(cmd, word); sub != nil {
			return misuse("flags before the command: %q goes in front of them", sub.CommandPath())
		}
		maybeValue := i > 0 && strings.HasPrefix(a.Args[i-1], "-") && !strings.Contains(a.Args[i-1], "=")
		if mistyped == "" && (!maybeValue || nearestCommand(cmd, word) != "") {
			mistyped = word
		}
	}
	if mistyped != "" {
		return unknownCommand(cmd, mistyped)
	}
	return nil
}

// nearestFlag is the flag that was probably meant: --clustername, --cluster or -c for
// --cluster-name, --profle for --profile, -profile for --profile.
func (a *app) nearestFlag(flags *pflag.FlagSet, unknown *pflag.NotExistError) string {
	var names []string
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	short := unknown.GetSpecifiedShortnames()
	if short == "" {
		return nearestName(unknown.GetSpecifiedName(), names)
	}
	for _, arg := range a.Args { // pflag took it for shorthands
		word, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		if strings.HasPrefix(arg, "-") && !strings.HasPrefix(arg, "--") && len(word) > 1 && strings.HasSuffix(strings.TrimPrefix(arg, "-"), short) {
			return nearestName(word, names)
		}
	}
	for _, name := range names {
		if name[0] == short[0] {
			return name
		}
	}
	return ""
}

// nearestName tries the same letters, whole words of the name, its beginning, and what is
// written much like it.
func nearestName(name string, names []string) string {
	letters := func(s string) string { return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(s)) }
	name = strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	words := func(a, b string) bool { return strings.Contains("-"+a+"-", "-"+b+"-") }
	begins := func(a, b string) bool { return len(b) > 2 && strings.HasPrefix(letters(a), letters(b)) }
	for _, same := range []func(known string) bool{
		func(known string) bool { return letters(known) == letters(name) },
		func(known string) bool { return words(known, name) || words(name, known) },
	} {
		if i := slices.IndexFunc(names, same); i >= 0 {
			return names[i]
		}
	}
	shortest := ""
	for _, known := range names {
		if begins(known, name) && (shortest == "" || len(known) < len(shortest)) {
			shortest = known
		}
	}
	if shortest != "" {
		return shortest
	}
	return config.Nearest(name, names)
}

// newHelpCmd is cobra's, which shows the root's help for a command that does not exist.
func newHelpCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND ...]",
		Short:   "Show the help of a command",
		Example: "  eks-x509 help kubeconfig update",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, start string) ([]string, cobra.ShellCompDirective) {
			target, err := mistypedCommand(cmd.Root(), args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var found []string
			for _, sub := range target.Commands() {
				if sub.IsAvailableCommand() && strings.HasPrefix(sub.Name(), start) {
					found = append(found, sub.Name()+"\t"+sub.Short)
				}
			}
			return found, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			target := cmd.Root()
			for _, word := range args {
				sub := subcommand(target, word)
				if sub == nil {
					return unknownCommand(target, word)
				}
				target = sub
			}
			target.InitDefaultHelpFlag()
			return target.Help()
		},
	}
}
