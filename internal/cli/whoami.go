package cli

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/awsapi"
	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/session"
	"github.com/eks-x509/eks-x509/pkg/ekstoken"
)

func newWhoamiCmd(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Show who AWS, the certificate and the cluster say you are",
		Long: `Show who AWS says the session is (STS GetCallerIdentity), what the certificate
says, and when both end. With --cluster-name, also who the cluster says you are
(SelfSubjectReview, asked of its API server with a token).`,
		Example: "  eks-x509 whoami\n  eks-x509 whoami --cluster-name my-cluster --output json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runWhoami(cmd.Context(), a, cmd, output) },
	}
	a.addClusterName(cmd)
	addOutput(cmd, &output)
	addSessionFlags(a, cmd)
	return cmd
}

// whoami is what the command prints as JSON.
type whoami struct {
	Identity    awsapi.Identity  `json:"identity"`
	RoleARN     string           `json:"roleArn"`
	AccessKeyID string           `json:"accessKeyId"`
	Expires     time.Time        `json:"expires"`
	Certificate certificateFacts `json:"certificate"`
	Kubernetes  *kubernetesFacts `json:"kubernetes,omitempty"`
}

type certificateFacts struct {
	Subject  string    `json:"subject"`
	Serial   string    `json:"serial"` // hex, as the session's default name has it
	Issuer   string    `json:"issuer"`
	NotAfter time.Time `json:"notAfter"`
}

type kubernetesFacts struct {
	Cluster string `json:"cluster"`
	Server  string `json:"server"`
	awsapi.User
}

func certificateOf(leaf *x509.Certificate) certificateFacts {
	return certificateFacts{Subject: leaf.Subject.String(), Serial: leaf.SerialNumber.Text(16), Issuer: leaf.Issuer.String(), NotAfter: leaf.NotAfter.UTC()}
}

func runWhoami(ctx context.Context, a *app, cmd *cobra.Command, output string) error {
	if err := checkOutput(output); err != nil {
		return err
	}
	c, err := a.config(cmd)
	if err != nil {
		return err
	}
	cluster, named := given(cmd)["cluster-name"]
	if named {
		if err := ekstoken.CheckClusterName(cluster); err != nil {
			return &usageError{err}
		}
	}
	s, err := session.Get(ctx, c, a.sessionOptions())
	if err != nil {
		return err
	}
	client, err := a.awsClient(c, s.Credentials)
	if err != nil {
		return err
	}
	me := whoami{RoleARN: c.RoleARN, AccessKeyID: s.AccessKeyID, Expires: s.Expires.UTC()}
	if me.Identity, err = client.CallerIdentity(ctx); err != nil {
		return err
	}
	leaf, err := s.Certificate(ctx)
	if err != nil {
		return err
	}
	me.Certificate = certificateOf(leaf)
	if named {
		if me.Kubernetes, err = a.askCluster(ctx, c, client, cluster); err != nil {
			return err
		}
	}
	if output == "json" {
		return a.out.json(me)
	}
	return a.writeWhoami(me)
}

// awsClient makes the calls that a session is good for.
func (a *app) awsClient(c config.Config, creds aws.Credentials) (awsapi.Client, error) {
	h, err := session.HTTPClient(c, a.files, a.log, a.notice)
	if err != nil {
		return awsapi.Client{}, err
	}
	return awsapi.Client{
		HTTP: h, Credentials: creds, Region: c.Region, UseFIPS: c.UseFIPS, UseDualStack: c.UseDualStack,
		STSEndpoint: c.STSEndpoint, EKSEndpoint: c.EKSEndpoint, UserAgent: userAgent(), Now: a.Now, Account: awsapi.AccountOf(c.RoleARN),
	}, nil
}

// askCluster asks the cluster's API server who its token makes us.
func (a *app) askCluster(ctx context.Context, c config.Config, client awsapi.Client, name string) (*kubernetesFacts, error) {
	cluster, api, err := a.clusterAPI(ctx, c, client, name)
	if err != nil {
		return nil, err
	}
	user, err := api.WhoAmI(ctx)
	if err != nil {
		return nil, err
	}
	return &kubernetesFacts{Cluster: cluster.Name, Server: cluster.Endpoint, User: user}, nil
}

// clusterAPI is the API server of a cluster, with a token of the client's
// credentials. Of c it takes the proxy.
func (a *app) clusterAPI(ctx context.Context, c config.Config, client awsapi.Client, name string) (awsapi.Cluster, awsapi.KubeAPI, error) {
	cluster, err := client.DescribeCluster(ctx, name)
	if err == nil {
		err = checkStatus(cluster)
	}
	if err != nil {
		return cluster, awsapi.KubeAPI{}, err
	}
	if cluster.ID != "" {
		name = cluster.ID
	}
	token, err := ekstoken.New(client.Credentials, ekstoken.Options{
		Cluster: name, Region: client.Region, UseFIPS: client.UseFIPS, UseDualStack: client.UseDualStack, SignedAt: a.Now(),
	})
	a.out.hide(token.Value)
	return cluster, awsapi.KubeAPI{
		Server: cluster.Endpoint, CA: cluster.CertificateAuthority, Token: token.Value, Proxy: c.Proxy, UserAgent: userAgent(), Now: a.Now,
		Watch: func(next http.RoundTripper) http.RoundTripper { return session.Watch(next, a.log, a.notice) },
	}, err
}

// checkStatus: a cluster that is being made or removed has no endpoint, or soon
// has none.
func checkStatus(c awsapi.Cluster) error {
	if c.Status != "ACTIVE" && c.Status != "UPDATING" {
		return fmt.Errorf("cluster %q is %s; ACTIVE or UPDATING is needed", c.Name, c.Status)
	}
	return nil
}

func (a *app) writeWhoami(me whoami) error {
	until := func(t time.Time) string { return t.Format(time.RFC3339) + " (" + relative(t.Sub(a.Now())) + ")" }
	rows := [][]string{
		{"arn", me.Identity.ARN},
		{"account", me.Identity.Account},
		{"user id", me.Identity.UserID},
		{"role", me.RoleARN},
		{"access key id", me.AccessKeyID},
		{"session until", until(me.Expires)},
		{"certificate", me.Certificate.Subject},
		{"serial", me.Certificate.Serial},
		{"issuer", me.Certificate.Issuer},
		{"valid until", until(me.Certificate.NotAfter)},
	}
	if k := me.Kubernetes; k != nil {
		rows = append(rows, []string{"cluster", k.Cluster}, []string{"server", k.Server},
			[]string{"kubernetes user", k.Username}, []string{"kubernetes groups", strings.Join(k.Groups, ", ")})
	}
	return a.out.table(rows)
}
