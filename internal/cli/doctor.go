package cli

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/doctor"
	"github.com/eks-x509/eks-x509/internal/session"
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
	fileVar(cmd.Flags(), &flags.bundle, "bundle", "", "", "also write a report without secrets to a new `FILE`, to attach to a ticket")
	fileVar(cmd.Flags(), &flags.kubeconfig, "kubeconfig", "", "", "`FILE` to look at; default: $KUBECONFIG, ~/.kube/config")
	addOutput(cmd, &flags.output)
	addSessionFlags(a, cmd)
	return cmd
}

func runDoctor(ctx context.Context, a *app, cmd *cobra.Command, flags doctorFlags) error {
	if err := checkOutput(flags.output); err != nil {
		return err
	}
	if flags.bundle != "" { // a person should not wait for nothing
		if err := absent(flags.bundle); err != nil {
			return fmt.Errorf("writing bundle: %w", err)
		}
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
				extra["setting "+v.Name] = v.Value + " (" + originOf(v) + ")"
			}
		}
		if err := writeNew(flags.bundle, []byte(a.out.clean(string(doctor.Bundle(report, extra)))), 0o600); err != nil {
			return fmt.Errorf("writing bundle: %w", err)
		}
	}
	a.warnings = nil // the report has them
	var err error
	if flags.output == "json" {
		err = a.out.json(report)
	} else {
		err = a.writeReport(report)
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
		Client:      func() (*http.Client, error) { return session.HTTPClient(c, a.files, a.log, a.notice) },
		STSEndpoint: c.STSEndpoint, EKSEndpoint: c.EKSEndpoint, LookPath: exec.LookPath,
		RunCommand: a.askProgram,
		Hint:       func(err error) []string { return hints(err, cmd.CommandPath()) },
	}
	if values, err := config.Values(given(cmd), a.Getenv); err == nil {
		in.Settings, in.ProfileGiven = values, given(cmd)["profile"] != ""
	}
	for _, variable := range a.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		in.Environ = append(in.Environ, name)
	}
	for _, name := range config.SecretVariables() { // which OS took out of the environment
		if a.Getenv(name) != "" && !slices.Contains(in.Environ, name) {
			in.Environ = append(in.Environ, name)
		}
	}
	paths, _, err := a.kubeconfigs(flags.kubeconfig)
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

// writeReport is the report for a person.
func (a *app) writeReport(r doctor.Report) error {
	colours := map[doctor.Status]string{doctor.OK: "32", doctor.Warning: "33", doctor.Failed: "31", doctor.Skipped: "2", doctor.Note: "36"}
	var lines []statusLine
	counts := map[doctor.Status]int{}
	for _, one := range r.Results {
		counts[one.Status]++
		lines = append(lines, statusLine{colours[one.Status], fmt.Sprintf("%-8s", one.Status), " " + one.Name + ": " + one.Found})
		if one.Status == doctor.Warning || one.Status == doctor.Failed {
			lines = append(lines, statusLine{text: "         why: " + one.Why})
		}
		if one.Remedy != "" {
			lines = append(lines, statusLine{text: "         do:  " + one.Remedy})
		}
	}
	var summary []string
	for _, s := range []doctor.Status{doctor.Failed, doctor.Warning, doctor.Note, doctor.Skipped, doctor.OK} {
		if counts[s] > 0 {
			summary = append(summary, fmt.Sprintf("%d %s", counts[s], s))
		}
	}
	lines = append(lines, statusLine{}, statusLine{text: strings.Join(summary, ", ")})
	// Colour only on a terminal, and never against NO_COLOR (https://no-color.org).
	return a.out.statuses(lines, a.out.isTerminal() && a.Getenv("NO_COLOR") == "" && a.Getenv("TERM") != "dumb")
}
