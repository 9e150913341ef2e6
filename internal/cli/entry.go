package cli

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/awsapi"
	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/format"
	"github.com/eks-x509/eks-x509/internal/keys"
	"github.com/eks-x509/eks-x509/internal/kubeconfig"
	"github.com/eks-x509/eks-x509/internal/session"
	"github.com/eks-x509/eks-x509/pkg/ekstoken"
)

// kubeEntry is what is to be written.
func (a *app) kubeEntry(ctx context.Context, cmd *cobra.Command, c config.Config, cluster awsapi.Cluster, flags updateFlags) (kubeconfig.Entry, error) {
	command, err := a.programPath(flags.absolutePath)
	if err != nil {
		return kubeconfig.Entry{}, err
	}
	settings, err := a.settingsAsArgs(cmd, flags.selfContained)
	if err != nil {
		return kubeconfig.Entry{}, err
	}
	which := []string{"--cluster-name", cluster.Name}
	if cluster.ID != "" {
		which = []string{"--cluster-id", cluster.ID}
	}
	region := c.Region
	if parsed, err := arn.Parse(cluster.ARN); err == nil {
		region = parsed.Region
	}
	// The host of the token's STS, whatever AWS_REGION says when kubectl runs.
	args := append(append([]string{"token"}, which...), "--region", region)
	apiVersion, err := execVersion(flags.apiVersion)
	if err != nil {
		return kubeconfig.Entry{}, err
	}
	if apiVersion != format.ExecV1Beta1 {
		// For clients that compare the answer's version and do not set KUBERNETES_EXEC_INFO.
		args = append(args, "--exec-api-version", apiVersion[strings.LastIndexByte(apiVersion, '/')+1:])
	}
	env, err := flags.variables()
	if err != nil {
		return kubeconfig.Entry{}, err
	}
	entry := kubeconfig.Entry{
		Cluster: cluster.ARN, User: flags.userAlias, Context: flags.alias, Server: cluster.Endpoint,
		CertificateAuthorityData: cluster.CertificateAuthority, ProxyURL: flags.proxyURL, Namespace: flags.namespace,
		TLSServerName: flags.tlsServerName, Verify: flags.authority != "",
		Exec: kubeconfig.Exec{
			APIVersion: apiVersion, Command: command, Args: append(args, settings...), Env: env,
			InteractiveMode: a.interactiveMode(ctx, c),
			InstallHint:     "eks-x509 is needed to reach this cluster: install it and put it on your PATH",
		},
	}
	if entry.User == "" {
		who := c.Profile
		if who == "" {
			who = c.RoleARN[strings.LastIndexByte(c.RoleARN, '/')+1:]
		}
		entry.User = who + "@" + cluster.ARN
	}
	if entry.Context == "" {
		entry.Context = entry.User
	}
	return entry, ekstoken.CheckClusterName(which[1])
}

// interactiveMode is Never, unless the key's password may have to be asked for.
func (a *app) interactiveMode(ctx context.Context, c config.Config) string {
	c.Password.Inline = "" // a variable of this shell may not be there later
	o := a.sessionOptions()
	o.Warn = func(string) {}
	o.AskPassword = nil
	_, err := session.OpenKey(ctx, c, o)
	if e, ok := errors.AsType[*keys.Error](err); ok && e.Reason == keys.PasswordNeeded {
		return "IfAvailable"
	}
	return "Never"
}

// settingsAsArgs are the flags that give another run the settings of this one:
// the profile for what it holds, and a flag for each setting that comes from
// elsewhere; all of them as flags if selfContained. No secret is among them.
func (a *app) settingsAsArgs(cmd *cobra.Command, selfContained bool) ([]string, error) {
	values, err := config.Values(given(cmd), a.Getenv)
	if err != nil {
		return nil, err
	}
	flags := given(cmd)
	var args []string
	profile, fromFile := config.DefaultProfile, false
	for _, v := range values {
		if err := passwordFile(v.Name, v.Value); err != nil {
			return nil, err
		}
		switch fromEnv := strings.HasPrefix(v.Origin, "EKS_X509_") || strings.HasPrefix(v.Origin, "AWS_"); {
		case v.Name == "profile":
			profile = v.Value
		case v.Name == "cluster-name" || v.Name == "region":
		case v.Origin == "--"+v.Name, fromEnv && !strings.Contains(v.Name, "cache"), selfContained && !fromEnv:
			if v.Name == "no-cache" {
				args = append(args, "--no-cache="+v.Value)
				continue
			}
			args = append(args, "--"+v.Name, absolute(v.Name, v.Value))
		case !fromEnv:
			fromFile = true
		}
	}
	if fromFile {
		from := []string{"--profile", profile}
		if flags["config"] != "" || a.Getenv("EKS_X509_CONFIG") != "" {
			path, err := config.UserFile(flags, a.Getenv)
			if err == nil {
				path, err = filepath.Abs(path)
			}
			if err != nil {
				return nil, err
			}
			from = append(from, "--config", path)
		}
		args = append(from, args...)
	}
	return args, nil
}
