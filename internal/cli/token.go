package cli

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/format"
	"github.com/eks-x509/eks-x509/internal/session"
	"github.com/eks-x509/eks-x509/pkg/ekstoken"
)

// signingStep: tokens signed within one step are the same, and an API server
// that has seen one answers the next from its cache, without a call to STS. A
// token lives 15 minutes from its signing time, so at least 10 are left.
const signingStep = 5 * time.Minute

type tokenFlags struct {
	fresh      bool
	tokenOnly  bool
	apiVersion string
}

func newTokenCmd(a *app) *cobra.Command {
	var flags tokenFlags
	cmd := &cobra.Command{
		Use:        "token",
		SuggestFor: []string{"get-token"}, // the AWS CLI's
		Short:      "Print a token for an EKS cluster as kubectl's exec plugin",
		Long: `Print an ExecCredential with a bearer token for the cluster, as kubectl and every
other program built on client-go ask for it. The apiVersion is the one that
KUBERNETES_EXEC_INFO asks for (v1 or v1beta1). Some clients do not set this variable:
for them it is the one of --exec-api-version.

The signing time is rounded down to a step of 5 minutes, so that calls close
together give the same token while the session lasts.`,
		Example: `  eks-x509 token --cluster-name my-cluster
  eks-x509 token --cluster-name my-cluster | eks-x509 token inspect -`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runToken(cmd.Context(), a, cmd, flags) },
	}
	a.addClusterName(cmd)
	cmd.Flags().StringP("cluster-id", "i", "", "the same; for a local cluster on Outposts, its `ID`")
	cmd.Flags().BoolVar(&flags.fresh, "fresh", false, "sign with the present second, not a 5-minute step")
	cmd.Flags().BoolVar(&flags.tokenOnly, "token-only", false, "print the bare token, not an ExecCredential")
	addExecVersion(cmd, &flags.apiVersion, "`VERSION` of the ExecCredential if KUBERNETES_EXEC_INFO does not name it: v1beta1 or v1")
	addSessionFlags(a, cmd)
	cmd.AddCommand(newTokenInspectCmd(a))
	return cmd
}

// addExecVersion adds --exec-api-version.
func addExecVersion(cmd *cobra.Command, value *string, usage string) {
	cmd.Flags().StringVar(value, "exec-api-version", "v1beta1", usage)
	addChoices(cmd, "exec-api-version", "v1beta1", "v1")
}

// execVersion checks --exec-api-version.
func execVersion(value string) (string, error) {
	version, err := format.ExecVersion(value)
	if err != nil {
		return "", misuse("invalid --exec-api-version: %w", err)
	}
	return version, nil
}

func runToken(ctx context.Context, a *app, cmd *cobra.Command, flags tokenFlags) error {
	// First what costs nothing: under kubectl each mistake is paid five times.
	apiVersion, err := execVersion(flags.apiVersion)
	if err != nil {
		return err
	}
	if info := a.Getenv(config.ExecInfoVariable); info != "" {
		if apiVersion, err = format.ParseExecInfo(info); err != nil {
			return &config.Error{Where: config.ExecInfoVariable, Err: err}
		}
	}
	c, err := a.config(cmd)
	if err != nil {
		return err
	}
	cluster, err := clusterName(given(cmd), c)
	if err != nil {
		return err
	}
	if _, err := ekstoken.Host(c.Region, c.UseFIPS, c.UseDualStack); err != nil {
		return &usageError{err}
	}
	creds, err := session.Credentials(ctx, c, a.confinedOptions(c))
	if err != nil {
		return err
	}
	signedAt := a.Now()
	if !flags.fresh {
		signedAt = signedAt.Truncate(signingStep)
	}
	token, err := ekstoken.New(creds, ekstoken.Options{
		Cluster: cluster, Region: c.Region, UseFIPS: c.UseFIPS, UseDualStack: c.UseDualStack, SignedAt: signedAt,
	})
	if err != nil {
		return err
	}
	a.out.hide(token.Value)
	a.log.Debug("token", zap.String("cluster", cluster), zap.Int("length", len(token.Value)), zap.Time("expires", token.Expires))
	if flags.tokenOnly {
		_, err := io.WriteString(a.out.exact(), token.Value+"\n")
		return err
	}
	return format.ExecCredential(a.out.exact(), apiVersion, token.Value, token.Expires)
}

// clusterName is the cluster that a command needs.
func clusterName(given map[string]string, c config.Config) (string, error) {
	name := c.ClusterName
	id, identified := given["cluster-id"]
	_, named := given["cluster-name"]
	switch {
	case named && identified && name != id:
		return "", misuse("--cluster-name and --cluster-id name different clusters")
	case identified:
		name = id
	case !named && name == "":
		return "", misuse("no --cluster-name given (nor EKS_X509_CLUSTER_NAME in the environment, nor cluster-name in the configuration)")
	}
	if err := ekstoken.CheckClusterName(name); err != nil {
		return "", &usageError{err}
	}
	return name, nil
}
