package cli

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/awsapi"
	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/kubeconfig"
	"github.com/eks-x509/eks-x509/internal/safefile"
	"github.com/eks-x509/eks-x509/internal/session"
)

func newKubeconfigCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "kubeconfig",
		Short:   "Put clusters into your kubeconfig, list them, take them out",
		Example: "  eks-x509 kubeconfig update --cluster-name my-cluster\n  eks-x509 kubeconfig list",
		Args:    cobra.ArbitraryArgs,
		RunE:    a.group,
	}
	cmd.AddCommand(newKubeconfigUpdateCmd(a), newKubeconfigListCmd(a), newKubeconfigRemoveCmd(a))
	return cmd
}

type updateFlags struct {
	name, kubeconfig, alias, userAlias, namespace, proxyURL string
	server, authority, apiVersion                           string
	tlsServerName                                           string
	env                                                     []string
	dryRun, noCurrent, absolutePath, selfContained, force   bool
}

func newKubeconfigUpdateCmd(a *app) *cobra.Command {
	var flags updateFlags
	cmd := &cobra.Command{
		Use:        "update --cluster-name NAME",
		SuggestFor: []string{"update-kubeconfig"}, // the AWS CLI's
		Short:      "Write cluster, user and context into the kubeconfig, so that kubectl works",
		Long: `Write cluster, user and context into the kubeconfig, so that kubectl works. The
cluster is asked of EKS (DescribeCluster) with the session, or given by --server
and --certificate-authority. Names and flags are those of aws eks
update-kubeconfig; the user is named after the profile or the role, so that a
second role for the same cluster stands beside the first.

Everything else in the file stays, comments too, and so does what you added to the
entry: variables of the exec plugin, proxy-url, tls-server-name, the namespace. The
file is that of --kubeconfig, else of the list in $KUBECONFIG the one that has the
cluster, else the first, else ~/.kube/config. The current context is set where kubectl
reads it: in the first file that has one.

What a configuration profile holds is not written: the entry names the profile.
What was given by flag or variable is; --self-contained writes it all.`,
		Example: `  eks-x509 kubeconfig update --cluster-name my-cluster
  eks-x509 kubeconfig update --cluster-name my-cluster --alias prod --namespace web --no-set-current
  eks-x509 kubeconfig update --cluster-name my-cluster --server https://… --certificate-authority ca.pem`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runKubeconfigUpdate(cmd.Context(), a, cmd, flags) },
	}
	f := cmd.Flags()
	a.addClusterName(cmd)
	f.StringVar(&flags.name, "name", "", "`NAME` of the cluster, as aws eks update-kubeconfig has it")
	fileVar(f, &flags.kubeconfig, "kubeconfig", "", "", "`FILE` to write; default: $KUBECONFIG, ~/.kube/config")
	f.StringVar(&flags.alias, "alias", "", "`NAME` of the context; default: the user's")
	f.StringVar(&flags.userAlias, "user-alias", "", "`NAME` of the user; default: the profile or role, @ and the cluster's ARN")
	f.StringVar(&flags.namespace, "namespace", "", "`NAMESPACE` of the context")
	f.StringVar(&flags.proxyURL, "proxy-url", "", "`URL` of the proxy that kubectl takes to the cluster")
	f.StringVar(&flags.tlsServerName, "tls-server-name", "", "`NAME` that kubectl expects in the server's certificate, if it is not the host's")
	f.StringArrayVar(&flags.env, "env", nil, "`NAME=VALUE` of an environment variable for the exec plugin; may be repeated")
	f.StringVar(&flags.server, "server", "", "`URL` of the API server: EKS is not asked")
	fileVar(f, &flags.authority, "certificate-authority", "", "", "`FILE` with the API server's CA, for --server")
	addExecVersion(cmd, &flags.apiVersion, "`VERSION` of the entry's exec plugin API: v1beta1, which every client knows, or v1")
	f.BoolVar(&flags.noCurrent, "no-set-current", false, "leave the current context as it is")
	f.BoolVar(&flags.absolutePath, "absolute-path", false, "write this program's whole path, for programs with another PATH (IDEs, GUIs)")
	f.BoolVar(&flags.selfContained, "self-contained", false, "write every setting into the entry, and no profile's name")
	f.BoolVar(&flags.force, "force", false, "replace a context or user of this name that belongs to another cluster, without asking")
	f.BoolVar(&flags.dryRun, "dry-run", false, "print the kubeconfig as it would be, and change nothing")
	addSessionFlags(a, cmd)
	return cmd
}

func runKubeconfigUpdate(ctx context.Context, a *app, cmd *cobra.Command, flags updateFlags) error {
	c, err := a.config(cmd)
	if err != nil {
		return err
	}
	if flags.name != "" {
		if named, ok := given(cmd)["cluster-name"]; ok && named != flags.name {
			return misuse("--cluster-name and --name name different clusters")
		}
		c.ClusterName = flags.name
	}
	name, err := clusterName(given(cmd), c)
	if err != nil {
		return err
	}
	if err := flags.check(cmd); err != nil {
		return err
	}
	paths, unread, err := a.kubeconfigs(flags.kubeconfig)
	if err != nil {
		return err
	}
	cluster, err := a.findCluster(ctx, c, name, flags)
	if err != nil {
		return err
	}
	entry, err := a.kubeEntry(ctx, cmd, c, cluster, flags)
	if err != nil {
		return err
	}
	return a.writeKubeconfig(ctx, paths, unread, entry, flags)
}

func (f updateFlags) check(cmd *cobra.Command) error {
	if (f.server == "") != (f.authority == "") {
		return misuse("--server and --certificate-authority go together")
	}
	if f.server != "" {
		if err := awsapi.CheckServer(f.server); err != nil {
			return misuse("invalid --server: %w", err)
		}
	}
	if f.proxyURL != "" {
		parsed, err := url.Parse(f.proxyURL)
		if err != nil || parsed.Host == "" || parsed.Scheme != "https" && parsed.Scheme != "http" && parsed.Scheme != "socks5" {
			return misuse("invalid --proxy-url: a URL such as https://host is needed")
		}
	}
	if _, err := execVersion(f.apiVersion); err != nil {
		return err
	}
	if f.namespace != "" && !isNamespace(f.namespace) {
		return misuse("invalid --namespace %q: at most 63 lower-case letters, digits and hyphens are taken, the first and the last no hyphen", f.namespace)
	}
	if strings.ContainsFunc(f.tlsServerName, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' }) {
		return misuse("invalid --tls-server-name: a host name is needed")
	}
	if _, err := f.variables(); err != nil {
		return err
	}
	flags := given(cmd)
	for _, name := range []string{"kubeconfig", "alias", "user-alias", "namespace", "name", "proxy-url", "tls-server-name"} {
		if value, ok := flags[name]; ok && value == "" {
			return misuse("invalid --%s: it is empty", name)
		}
	}
	return nil
}

// variables are those of --env.
func (f updateFlags) variables() ([]kubeconfig.EnvVar, error) {
	var all []kubeconfig.EnvVar
	for _, v := range f.env {
		name, value, ok := strings.Cut(v, "=")
		switch {
		case !ok || name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }) || strings.ContainsRune(value, 0):
			return nil, misuse("invalid --env: NAME=VALUE is needed")
		case name == "EKS_X509_KEY_PASSWORD" || name == "EKS_X509_PKCS8_PASSWORD":
			return nil, misuse("invalid --env: a password is not written to a kubeconfig; --key-password-file names a file that holds it")
		}
		all = append(all, kubeconfig.EnvVar{Name: name, Value: value})
	}
	return all, nil
}

// isNamespace: an RFC 1123 label, as Kubernetes names namespaces.
func isNamespace(s string) bool {
	const longest = 63
	return len(s) <= longest && s[0] != '-' && s[len(s)-1] != '-' &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// findCluster asks EKS, unless the flags say it all.
func (a *app) findCluster(ctx context.Context, c config.Config, name string, flags updateFlags) (awsapi.Cluster, error) {
	if flags.server != "" {
		const maxAuthority = 1 << 20
		pem, _, err := safefile.ReadInput(flags.authority, maxAuthority)
		if err != nil {
			return awsapi.Cluster{}, misuse("reading --certificate-authority: %w", err)
		}
		if pem, err = awsapi.ParseAuthority(pem); err != nil {
			return awsapi.Cluster{}, misuse("invalid --certificate-authority %q: %w", flags.authority, err)
		}
		role, err := arn.Parse(c.RoleARN)
		if err != nil {
			return awsapi.Cluster{}, err
		}
		id := arn.ARN{Partition: role.Partition, Service: "eks", Region: c.Region, AccountID: role.AccountID, Resource: "cluster/" + name}
		return awsapi.Cluster{Name: name, ARN: id.String(), Endpoint: flags.server, CertificateAuthority: pem}, nil
	}
	if c.TLS.NoVerify { // the entry would lead kubectl, and its tokens, there permanently
		return awsapi.Cluster{}, &usageError{&unverifiedError{name}}
	}
	creds, err := session.Credentials(ctx, c, a.sessionOptions())
	if err != nil {
		return awsapi.Cluster{}, err
	}
	client, err := a.awsClient(c, creds)
	if err != nil {
		return awsapi.Cluster{}, err
	}
	cluster, err := client.DescribeCluster(ctx, name)
	if err != nil {
		return awsapi.Cluster{}, err
	}
	return cluster, checkStatus(cluster)
}

// unverifiedError: what is to be written would come from whoever answers.
type unverifiedError struct{ cluster string }

func (e *unverifiedError) Error() string {
	return fmt.Sprintf("--no-verify-ssl: the address and CA of cluster %q would come from a server that is not verified", e.cluster)
}
