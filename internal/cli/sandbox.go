package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

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
  eks-x509 sandbox --dir sandbox & … && . sandbox/env.sh && eks-x509 credential-process
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
	cmd.Flags().StringVar(&flags.dir, "dir", "", "`DIR` to write to, and to go on from; default: a temporary one")
	cmd.Flags().StringVar(&flags.listen, "listen", "127.0.0.1:0", "loopback `ADDRESS`; port 0 is any free one")
	cmd.Flags().StringArrayVar(&flags.faults, "fault", nil, "misbehave as `OPERATION:KIND[=VALUE][*COUNT]` says; may be repeated")
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
	dir := flags.dir
	if dir == "" {
		temp, err := os.MkdirTemp("", "eks-x509-sandbox-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temp)
		dir = temp
	}
	requests := a.Stderr
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

	serveCtx, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- s.Serve(serveCtx, ln) }()
	select {
	case err := <-served:
		return err
	case <-s.Ready():
	}
	if !flags.runFor {
		fmt.Fprintf(a.Stderr, "eks-x509: sandbox for tests and demos at %s; to use it: . %s/env.sh\n", s.URL(), dir)
		return <-served
	}
	err = a.runChild(ctx, command, s.Environ())
	stop()
	return errors.Join(err, <-served)
}

// runChild runs a command with more environment. Its exit status becomes ours.
func (a *app) runChild(ctx context.Context, command, environ []string) error {
	child := exec.CommandContext(ctx, command[0], command[1:]...)
	child.Stdin, child.Stdout, child.Stderr = a.Stdin, a.Stdout, a.Stderr
	child.Env = append(os.Environ(), environ...)
	child.Cancel = func() error { return child.Process.Signal(os.Interrupt) }
	err := child.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() >= 0 {
		return exitStatus(exit.ExitCode())
	}
	if err != nil {
		return fmt.Errorf("running %q: %w", command[0], err)
	}
	return nil
}
