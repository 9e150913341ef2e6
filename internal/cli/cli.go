// Package cli is every command of eks-x509: flags in, one call, output. It
// alone knows cobra, writes to the streams, chooses exit codes and gives hints.
//
// One file for each command: newXCmd makes it, runX does it.
package cli

import (
	"context"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/confine"
	"github.com/eks-x509/eks-x509/internal/keys"
	"github.com/eks-x509/eks-x509/internal/session"
	"github.com/eks-x509/eks-x509/internal/term"
)

// Env is the world around the program.
type Env struct {
	Program        string   // as it was called
	Args           []string // without the program's name
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Environ        func() []string
	Now            func() time.Time
	Parent         int // pid of the process that runs us
	// OwnProcess: the process runs this command and nothing else, so that it may give up what the command does not need.
	OwnProcess bool
}

// OS is the real one. It takes our secrets out of the environment of the process:
// libraries start programs, too, such as the SDK a credential_process.
func OS() Env {
	secrets := map[string]string{}
	for _, name := range config.SecretVariables() {
		if value := os.Getenv(name); value != "" {
			secrets[name] = value
			_ = os.Unsetenv(name) // it fails for impossible names only
		}
	}
	getenv := func(name string) string {
		if value, ok := secrets[name]; ok {
			return value
		}
		return os.Getenv(name)
	}
	return Env{Program: os.Args[0], Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: getenv, Environ: os.Environ, Now: time.Now, Parent: os.Getppid(), OwnProcess: true}
}

// app is what the commands share: the world, and what they have to say about
// their run.
type app struct {
	Env
	log      *zap.Logger
	warnings []string
	out      *output // in place of the streams of Env
	// files are certificates and keys: all that is said and done in one run is about the same.
	files *keys.Files
	// patient: what runs ends by itself when it is interrupted (a child, a server).
	patient atomic.Bool
	dumps   confine.Dumps
}

// Run runs one command and returns its exit code.
func Run(ctx context.Context, env Env) int {
	a := &app{Env: env, log: zap.NewNop(), out: newOutput(env.Stdout, env.Stderr), files: &keys.Files{}}
	a.Stdout, a.Stderr = nil, nil
	if env.OwnProcess { // first of all: a password may be in the environment
		a.dumps = confine.NoDumps()
	}
	a.out.hide(config.Secrets(env.Getenv)...)
	a.out.hide(config.Contents(env.Args, env.Getenv)...)
	root := newRootCmd(a)
	root.InitDefaultHelpCmd()
	root.SetArgs(env.Args)
	root.SetIn(env.Stdin)
	root.SetOut(a.out.stream())
	root.SetErr(a.out.log())
	code := make(chan int, 1)
	go func() {
		cmd, err := mistypedCommand(root, env.Args)
		if err == nil {
			cmd, err = root.ExecuteContextC(ctx)
		}
		code <- a.finish(ctx, cmd.CommandPath(), err)
	}()
	select {
	case c := <-code:
		return c
	case <-ctx.Done():
	}
	// Opening a pipe, or reading from one, can't be interrupted.
	grace := time.NewTimer(interruptGrace)
	defer grace.Stop()
	for {
		select {
		case c := <-code:
			return c
		case <-grace.C:
			if !a.patient.Load() {
				a.say("error", "interrupted")
				if e := bySignal(ctx); e != nil {
					return e.exitCode()
				}
				return exitFailed
			}
		}
	}
}

// interruptGrace is how long an interrupted command may take to tidy up.
const interruptGrace = 3 * time.Second

func newRootCmd(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "eks-x509",
		Short: "Reach Amazon EKS and AWS with an X.509 certificate",
		Long: `eks-x509 trades a signature made with your certificate's key for AWS session
credentials (IAM Roles Anywhere) and gives them to whoever asks: kubectl as an
exec plugin, the AWS SDKs and CLI as a credential_process, your shell.`,
		SilenceErrors:      true,
		SilenceUsage:       true,
		DisableSuggestions: true, // cobra's spread the error over lines; unknownCommand makes one

		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.expandHome(cmd) },

		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch version, _ := cmd.Flags().GetBool("version"); {
			case len(args) > 0:
				return unknownCommand(cmd, args[0])
			case version:
				return a.out.print("%s\n", readBuild().String())
			}
			return cmd.Help()
		},
	}
	root.Flags().Bool("version", false, "print the version")
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(a.unknownFlag)
	root.SetHelpCommand(newHelpCmd())
	for _, group := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"person", "For you:", []*cobra.Command{newConfigCmd(a), newKubeconfigCmd(a), newWhoamiCmd(a), newDoctorCmd(a), newExecCmd(a)}},
		{"program", "For kubectl, the AWS SDKs and your shell:", []*cobra.Command{newTokenCmd(a), newCredentialProcessCmd(a), newEnvCmd(a)}},
		{"administrator", "For administrators:", []*cobra.Command{newSetupCmd(a), newCertCmd(a), newAuditCmd(a)}},
		{"more", "More:", []*cobra.Command{newCacheCmd(a), newSandboxCmd(a), newCompletionCmd(a), newVersionCmd(a)}},
	} {
		root.AddGroup(&cobra.Group{ID: group.id, Title: group.title})
		for _, cmd := range group.commands {
			cmd.GroupID = group.id
			root.AddCommand(cmd)
		}
	}
	root.SetHelpCommandGroupID("more")
	return root
}

// addSessionFlags gives a command the flags that every session shares, unless
// the command line is another command's: five commands have them, and making a
// hundred flags is a twentieth of a warm start.
func addSessionFlags(a *app, cmd *cobra.Command) {
	if len(a.Args) > 0 && !slices.Contains(a.Args, cmd.Name()) {
		return
	}
	for _, s := range config.Settings() {
		if s.Name != "" && s.Name != "cluster-name" {
			addFlag(cmd, s)
		}
	}
	cmd.Flags().SortFlags = false
	a.complete(cmd, "profile", a.profileNames)
}

// addSetting gives a command one of them.
func addSetting(cmd *cobra.Command, name string) {
	for _, s := range config.Settings() {
		if s.Name == name {
			addFlag(cmd, s)
		}
	}
}

// addClusterName gives a command --cluster-name.
func (a *app) addClusterName(cmd *cobra.Command) {
	addSetting(cmd, "cluster-name")
	a.complete(cmd, "cluster-name", a.clusterNames)
}

func addFlag(cmd *cobra.Command, s config.Setting) {
	usage := s.Usage + " ($" + s.Env + ")"
	if s.Bool {
		cmd.Flags().BoolP(s.Name, shorthand(s.Name), false, usage)
		return
	}
	cmd.Flags().Var(&text{name: s.Name, kind: s.Value}, s.Name, usage)
}

// text is a flag's value that help calls by what it is: FILE, ARN, …
type text struct{ name, value, kind string }

func (t *text) Set(s string) error {
	t.value = s
	return config.CheckSetting(t.name, "--"+t.name, s)
}
func (t *text) String() string { return t.value }
func (t *text) Type() string   { return t.kind }

func shorthand(name string) string {
	if name == "debug" {
		return "v"
	}
	return ""
}

// given returns the flags that were given, by name.
func given(cmd *cobra.Command) map[string]string {
	flags := map[string]string{}
	cmd.Flags().Visit(func(f *pflag.Flag) { flags[f.Name] = f.Value.String() })
	return flags
}

// config loads the configuration and turns on the log if it says so.
func (a *app) config(cmd *cobra.Command) (config.Config, error) {
	flags := given(cmd)
	debug, err := config.Debug(flags, a.Getenv)
	if err != nil {
		return config.Config{}, err
	}
	if debug {
		a.log = a.out.newLogger()
	}
	c, err := config.Load(flags, a.Getenv)
	if err != nil {
		return config.Config{}, err
	}
	a.warnUntrusted(c)
	if c.TLS.NoVerify {
		a.warn("--no-verify-ssl: the server's certificate is not verified, any server is accepted, and no session is cached")
	}
	a.log.Debug("configuration", zap.String("trust_anchor", c.TrustAnchorARN), zap.String("profile", c.ProfileARN),
		zap.String("role", c.RoleARN), zap.String("region", c.Region), zap.String("endpoint", c.Endpoint))
	return c, nil
}

func (a *app) warnUntrusted(c config.Config) {
	for _, u := range c.Untrusted {
		a.warn(u.Error() + ": its settings are still used, except for those that say where secrets go")
	}
}

// sessionOptions are the same for every command.
func (a *app) sessionOptions() session.Options {
	o := session.Options{AskPassword: term.ReadPassword, Warn: a.warn, Notice: a.notice, Secret: a.out.hide, Log: a.log, Now: a.Now, UserAgent: userAgent, Files: a.files}
	if a.underKubectl() {
		o.Kubectl = a.Parent
	}
	return o
}
