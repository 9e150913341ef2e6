package cli

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/doctor"
	"github.com/eks-x509/eks-x509/internal/kubeconfig"
	"github.com/eks-x509/eks-x509/internal/safefile"
	"github.com/eks-x509/eks-x509/internal/session"
	"github.com/eks-x509/eks-x509/internal/term"
	"github.com/eks-x509/eks-x509/pkg/ekstoken"
)

type doctorFlags struct {
	output, kubeconfig, bundle string
	offline                    bool
}

func newDoctorCmd(a *app) *cobra.Command {
	var flags doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check everything from the certificate to the cluster, and say what to mend",
		Long: `Check everything from the certificate to the cluster: configuration, key, clock,
network, the session, the token, the cluster's answer, kubectl's side. Every check
runs, and each says what it found, why it matters and what to do. Nothing is
changed. The exit code is that of the first failure.

The cluster is that of --cluster-name, else of the configuration, else of the
kubeconfig's current context.`,
		Example: `  eks-x509 doctor
  eks-x509 doctor --cluster-name my-cluster
  eks-x509 doctor --offline
  eks-x509 doctor --bundle report.txt`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd.Context(), a, cmd, flags) },
	}
	a.addClusterName(cmd)
	cmd.Flags().BoolVar(&flags.offline, "offline", false, "leave out what needs a network")
	cmd.Flags().StringVar(&flags.bundle, "bundle", "", "also write a report without secrets to `FILE`, to attach to a ticket")
	cmd.Flags().StringVar(&flags.kubeconfig, "kubeconfig", "", "`FILE` to look at; default: $KUBECONFIG, ~/.kube/config")
	addOutput(cmd, &flags.output)
	addSessionFlags(a, cmd)
	return cmd
}

func runDoctor(ctx context.Context, a *app, cmd *cobra.Command, flags doctorFlags) error {
	if err := checkOutput(flags.output); err != nil {
		return err
	}
	cluster, named := given(cmd)["cluster-name"]
	if named {
		if err := ekstoken.CheckClusterName(cluster); err != nil {
			return &usageError{err}
		}
	}
	c, configErr := a.config(cmd)
	if !named {
		cluster = c.ClusterName
	}
	report := doctor.Run(ctx, a.doctorInput(cmd, c, configErr, cluster, flags))
	if err := ctx.Err(); err != nil {
		return err
	}
	if flags.bundle != "" {
		extra := map[string]string{"version": fmt.Sprint(readBuild()), "system": runtime.GOOS + "/" + runtime.GOARCH}
		if values, err := config.Values(given(cmd), a.Getenv); err == nil {
			for _, v := range values {
				extra["setting "+v.Name] = v.Value + " (" + v.Origin + ")"
			}
		}
		if err := safefile.Write(flags.bundle, doctor.Bundle(report, extra)); err != nil {
			return fmt.Errorf("writing bundle: %w", err)
		}
	}
	a.warnings = nil // the report has them
	var err error
	if flags.output == "json" {
		err = writeJSON(a.Stdout, report)
	} else {
		_, err = a.Stdout.Write(a.renderReport(report))
	}
	if err != nil || report.Status != doctor.Failed {
		return err
	}
	return exitStatus(map[doctor.Class]int{
		doctor.Misuse: exitMisuse, doctor.KeyUnusable: exitKey, doctor.Refused: exitRefused, doctor.Unreachable: exitUnreachable, doctor.Other: exitFailed,
	}[report.Class])
}

func (a *app) doctorInput(cmd *cobra.Command, c config.Config, configErr error, cluster string, flags doctorFlags) doctor.Input {
	in := doctor.Input{
		Config: c, ConfigErr: configErr, ConfigFiles: config.Files(given(cmd), a.Getenv), Profile: c.Profile,
		Cluster: cluster, Offline: flags.offline, Getenv: a.Getenv, Now: a.Now, Session: a.sessionOptions(),
		Client:      func() (*http.Client, error) { return session.HTTPClient(c, a.log) },
		STSEndpoint: c.STSEndpoint, EKSEndpoint: c.EKSEndpoint, LookPath: exec.LookPath,
		RunCommand: func(ctx context.Context, name string, args ...string) ([]byte, error) {
			return exec.CommandContext(ctx, name, args...).Output()
		},
		Hint: func(err error) []string { return hints(err, cmd.CommandPath()) },
	}
	for _, variable := range a.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		in.Environ = append(in.Environ, name)
	}
	paths, err := kubeconfig.Paths(flags.kubeconfig, a.Getenv)
	in.Kubeconfig, in.KubeconfigErr = paths, err
	contexts, err := kubeContexts(paths)
	if in.KubeconfigErr == nil {
		in.KubeconfigErr = err
	}
	for _, k := range contexts {
		in.KubeContexts = append(in.KubeContexts, doctor.KubeContext{
			Name: k.Context, File: k.File, Server: k.Server, CertificateAuthority: k.CertificateAuthorityData, User: k.User,
			APIVersion: k.Exec.APIVersion, Command: k.Exec.Command, Args: k.Exec.Args, InteractiveMode: k.Exec.InteractiveMode,
			Cluster: clusterOf(k.Item), Profile: argument(k.Item, "--profile"), Ours: true, Current: k.Current,
		})
	}
	return in
}

// renderReport is the report for a person.
func (a *app) renderReport(r doctor.Report) []byte {
	colours := map[doctor.Status]string{doctor.OK: "32", doctor.Warning: "33", doctor.Failed: "31", doctor.Skipped: "2", doctor.Note: "36"}
	colour := a.colour()
	var b bytes.Buffer
	counts := map[doctor.Status]int{}
	for _, one := range r.Results {
		counts[one.Status]++
		word := fmt.Sprintf("%-8s", one.Status)
		if colour {
			word = "\x1b[" + colours[one.Status] + "m" + word + "\x1b[0m"
		}
		fmt.Fprintf(&b, "%s %s: %s\n", word, one.Name, printable(one.Found))
		if one.Status == doctor.Warning || one.Status == doctor.Failed {
			fmt.Fprintf(&b, "         why: %s\n", printable(one.Why))
		}
		if one.Remedy != "" {
			fmt.Fprintf(&b, "         do:  %s\n", printable(one.Remedy))
		}
	}
	var summary []string
	for _, s := range []doctor.Status{doctor.Failed, doctor.Warning, doctor.Note, doctor.Skipped, doctor.OK} {
		if counts[s] > 0 {
			summary = append(summary, fmt.Sprintf("%d %s", counts[s], s))
		}
	}
	fmt.Fprintf(&b, "\n%s\n", strings.Join(summary, ", "))
	return b.Bytes()
}

// width is the terminal's, 0 if stdout is none.
func (a *app) width() int {
	if f, ok := a.stdout.w.(*os.File); ok {
		return term.Width(f)
	}
	return 0
}

// colour: only on a terminal, and never against NO_COLOR (https://no-color.org).
func (a *app) colour() bool {
	f, ok := a.stdout.w.(*os.File)
	return ok && a.Getenv("NO_COLOR") == "" && a.Getenv("TERM") != "dumb" && term.IsTerminal(f)
}
