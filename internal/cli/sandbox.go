package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/safefile"
	"github.com/eks-x509/eks-x509/internal/safetext"
	"github.com/eks-x509/eks-x509/internal/sandbox"
)

type sandboxFlags struct {
	dir, listen string
	faults      []string
	runFor      bool
}

func newSandboxCmd(a *app) *cobra.Command {
	var flags sandboxFlags
	cmd := &cobra.Command{
		Use:   "sandbox [--for COMMAND [ARG ...]]",
		Short: "Play AWS's side on loopback, for tests and demos",
		Long: `Play AWS's side in this process, for tests and demos: Roles Anywhere, STS, EKS and
the webhook that checks a cluster's tokens. It listens on loopback only, makes
its own CA, and writes what a client needs into a directory: certificates, keys,
ARNs, and env.sh to source. It is as strict as AWS, and nothing it gives out is
worth anything.

With --for it runs the command with that environment and ends with it.
docs/sandbox.md tells the files, the control routes and the faults.`,
		Example: `  eks-x509 sandbox --for eks-x509 token --cluster-name sandbox
  eks-x509 sandbox --dir box          # and in another shell: . box/env.sh
  eks-x509 sandbox --fault 'CreateSession:throttle*2' --for eks-x509 credential-process`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case flags.runFor && len(args) == 0:
				return misuse("no command given after --for")
			case !flags.runFor && len(args) > 0:
				return misuse("unexpected argument %q (a command goes after --for)", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runSandbox(cmd.Context(), a, flags, args) },
	}
	fileVar(cmd.Flags(), &flags.dir, "dir", "", "", "`DIR` to write to, and to go on from; default: a temporary one")
	cmd.Flags().StringVar(&flags.listen, "listen", "127.0.0.1:0", "loopback `ADDRESS`; port 0 is any free one")
	cmd.Flags().StringArrayVar(&flags.faults, "fault", nil, "misbehave as `OPERATION:KIND[=VALUE][*COUNT][@AFTER]` says; may be repeated")
	cmd.Flags().BoolVar(&flags.runFor, "for", false, "run the command that follows, and end with it")
	cmd.Flags().SetInterspersed(false) // the command's flags are its own
	return cmd
}

func runSandbox(ctx context.Context, a *app, flags sandboxFlags, command []string) error {
	faults := make([]sandbox.Fault, len(flags.faults))
	for i, spec := range flags.faults {
		var err error
		if faults[i], err = sandbox.ParseFault(spec); err != nil {
			return &usageError{err}
		}
	}
	if err := checkLoopback(flags.listen); err != nil {
		return err
	}
	dir := flags.dir
	if dir == "" {
		temp, remove, err := safefile.TempDir("eks-x509-sandbox-")
		if err != nil {
			return err
		}
		defer remove()
		dir = temp
	}
	requests := a.out.log()
	if flags.runFor {
		requests = io.Discard // stderr is the command's; DIR/requests.jsonl has them
	}
	s, err := sandbox.New(sandbox.Options{Dir: dir, Now: a.Now, Requests: requests})
	if err != nil {
		return err
	}
	s.SetFaults(faults)
	ln, err := net.Listen("tcp", flags.listen)
	if err != nil {
		return fmt.Errorf("opening sandbox: %w", err)
	}
	a.patient.Store(true)
	if flags.runFor {
		return a.serveFor(ctx, s, ln, command)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	select {
	case err := <-served:
		return err
	case <-s.Ready():
	}
	a.progress("eks-x509: sandbox for tests and demos at %s; to use it: . %s", s.URL(), safetext.File(s.EnvFile()))
	return <-served
}

func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return misuse("invalid --listen %q: an address such as 127.0.0.1:0 is needed", address)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return misuse("invalid --listen %q: the sandbox listens on loopback only", address)
	}
	return nil
}

// serveFor serves until the command has ended: an interrupt is the command's
// affair, which may need the sandbox to tidy up.
func (a *app) serveFor(ctx context.Context, s *sandbox.Sandbox, ln net.Listener, command []string) error {
	serveCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	served := make(chan error, 1)
	go func() { served <- s.Serve(serveCtx, ln) }()
	select {
	case err := <-served:
		return err
	case <-s.Ready():
	}
	err := a.runChild(command, s.Environ())
	stop()
	return errors.Join(err, <-served)
}

// runChild runs a command in the sandbox's environment and nothing else of ours
// or AWS's: a variable of the user's must not lead it to the real one. Its exit
// status becomes ours.
func (a *app) runChild(command, environ []string) error {
	return a.runWith(command, append(slices.DeleteFunc(a.childEnviron(), leadsElsewhere), environ...))
}

// runWith runs a command in an environment and passes signals to it.
func (a *app) runWith(command, environ []string) error {
	if _, err := a.lookPath(command[0]); err != nil {
		return err
	}
	child := a.command(context.Background(), command[0], command[1:]...) // an interrupt is the command's affair
	child.Stdin = a.Stdin
	a.out.give(child)
	child.Env = environ

	// The terminal sends Ctrl-C to the child itself; what is sent to us alone goes on to it.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := a.dumps.ForChild(child.Start); err != nil {
		return &notFoundError{command[0], err}
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case s := <-signals:
				_ = child.Process.Signal(s)
			case <-done:
				return
			}
		}
	}()
	err := child.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return exitStatus(childStatus(child.ProcessState))
	}
	if err != nil {
		return fmt.Errorf("running %q: %w", command[0], err)
	}
	return nil
}

// leadsElsewhere: our own settings, the AWS SDKs' and proxies.
func leadsElsewhere(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return strings.HasPrefix(name, "EKS_X509_") || strings.HasPrefix(name, "AWS_") ||
		slices.Contains([]string{"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"}, strings.ToUpper(name))
}
