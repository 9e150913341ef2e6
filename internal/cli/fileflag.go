package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/eks-x509/eks-x509/internal/config"
)

// fileFlag is a flag that takes a file's name, and refuses a file's content: it
// may be a private key, which must be shown and written nowhere.
type fileFlag struct {
	name  string
	value *string
}

// fileVar is StringVarP for the name of a file or a directory.
func fileVar(flags *pflag.FlagSet, p *string, name, shorthand, value, usage string) {
	*p = value
	flags.VarP(&fileFlag{name, p}, name, shorthand, usage)
}

func (f *fileFlag) Set(value string) error {
	*f.value = value
	return config.CheckPath("--"+f.name, value)
}
func (f *fileFlag) String() string { return *f.value }
func (f *fileFlag) Type() string   { return "string" }

// filesFlag is fileFlag for one that may be repeated.
type filesFlag struct {
	name   string
	values *[]string
}

func (f *filesFlag) Set(value string) error {
	*f.values = append(*f.values, value)
	return config.CheckPath("--"+f.name, value)
}
func (f *filesFlag) String() string { return "" }
func (f *filesFlag) Type() string   { return "stringArray" }

// contentError is a mistake in flags that is the content of a file in the place of
// its name: pflag's words quote it.
func contentError(cmd *cobra.Command, err error) error {
	if e, ok := errors.AsType[*config.Error](err); ok {
		return e
	}
	if _, ok := errors.AsType[*pflag.InvalidSyntaxError](err); !ok || !strings.Contains(err.Error(), "-----BEGIN") {
		return nil
	}
	// PEM begins as flags do: config set private-key "$(cat my.key)".
	name := "FILE"
	if args := cmd.Flags().Args(); len(args) > 0 && config.CheckSetting(args[len(args)-1], "", err.Error()) != nil {
		name = args[len(args)-1]
	}
	return config.CheckPath(name, err.Error())
}

// passwordFile refuses the name of a password file that is not there, before it is
// written anywhere: it may be the password.
func passwordFile(name, value string) error {
	if name != "key-password-file" {
		return nil
	}
	if _, err := os.Stat(value); err != nil || value == config.NoSuchFile {
		return &config.Error{Where: name, Err: fmt.Errorf("%s takes the name of a file that is there; this one is not shown, as it may be the password", name)}
	}
	return nil
}
