package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/eks-x509/eks-x509/internal/minica"
	"github.com/eks-x509/eks-x509/internal/sandbox"
)

const (
	clusterName = "my-cluster"
	// testerRole is mapped by the authenticator's own configuration; the walkthrough's role by the ConfigMap aws-auth.
	testerRole = "arn:aws:iam::123456789012:role/eks-x509-sandbox"
	// administratorARN is the sandbox's IAM user, as whoever made the cluster.
	administratorARN = "arn:aws:iam::123456789012:user/administrator"
)

// cluster is a Kubernetes control plane without nodes, and its token webhook.
type cluster struct {
	dir, server string
	ca          *minica.Pair
	processes   []*process
}

type process struct {
	*exec.Cmd
	log  string
	done chan struct{}
}

// startCluster returns what it has started even if it fails.
func startCluster(dir string, aws *testSandbox) (_ *cluster, err error) {
	c := &cluster{dir: dir}
	ports, err := freePorts(5)
	if err != nil {
		return c, err
	}
	etcd, peer, api, webhook, manager := ports[0], ports[1], ports[2], ports[3], ports[4]
	c.server = "https://127.0.0.1:" + api
	if err := c.writeFiles(webhook); err != nil {
		return c, err
	}

	if err := c.start("etcd", nil, "etcd", "--data-dir="+c.path("etcd"), "--unsafe-no-fsync",
		"--listen-client-urls=http://127.0.0.1:"+etcd, "--advertise-client-urls=http://127.0.0.1:"+etcd,
		"--listen-peer-urls=http://127.0.0.1:"+peer, "--initial-advertise-peer-urls=http://127.0.0.1:"+peer,
		"--initial-cluster=default=http://127.0.0.1:"+peer); err != nil {
		return c, err
	}
	// Tokens carry the name of the real STS, and that is whom it asks.
	if err := c.start("authenticator", []string{
		"HTTPS_PROXY=" + aws.proxy(), "NO_PROXY=127.0.0.1", "SSL_CERT_FILE=" + aws.ca(), "AWS_EC2_METADATA_DISABLED=true", "AWS_REGION=us-east-1",
	}, filepath.Join(shared.bin, "aws-iam-authenticator"), "server", "--config="+c.path("authenticator.yaml"), "--kubeconfig="+c.adminKubeconfig()); err != nil {
		return c, err
	}
	if err := c.wait("the authenticator's kubeconfig", func() error { _, err := os.Stat(c.path("webhook.kubeconfig")); return err }); err != nil {
		return c, err
	}
	if err := c.start("kube-apiserver", nil, filepath.Join(shared.bin, "kube-apiserver"), "--etcd-servers=http://127.0.0.1:"+etcd,
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port="+api, "--endpoint-reconciler-type=none",
		"--tls-cert-file="+c.path("server.pem"), "--tls-private-key-file="+c.path("server.key"), "--client-ca-file="+c.path("ca.pem"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-signing-key-file="+c.path("server.key"),
		"--service-account-key-file="+c.path("server.pem"), "--service-cluster-ip-range=10.0.0.0/24",
		"--authorization-mode=RBAC", "--authentication-token-webhook-config-file="+c.path("webhook.kubeconfig"),
		"--audit-policy-file="+c.path("audit-policy.yaml"), "--audit-log-path="+c.path("audit.log"), "--audit-log-mode=blocking"); err != nil {
		return c, err
	}
	if err := c.wait("the API server", c.ready); err != nil {
		return c, err
	}
	// It fills the ClusterRole view.
	if err := c.start("kube-controller-manager", nil, filepath.Join(shared.bin, "kube-controller-manager"), "--kubeconfig="+c.adminKubeconfig(),
		"--bind-address=127.0.0.1", "--secure-port="+manager, "--controllers=clusterrole-aggregation-controller,namespace-controller",
		"--leader-elect=false"); err != nil {
		return c, err
	}
	if err := c.wait("the ClusterRole view", func() error {
		out, err := c.admin("get", "clusterrole", "view", "-o", "jsonpath={.rules[*].resources}")
		if err == nil && !strings.Contains(out, "namespaces") {
			err = errors.New("no rules yet")
		}
		return err
	}); err != nil {
		return c, err
	}
	if out, err := c.admin("create", "clusterrolebinding", "testers", "--clusterrole=view", "--group=testers"); err != nil {
		return c, fmt.Errorf("%w: %s", err, out)
	}
	return c, aws.addCluster(c)
}

func (c *cluster) path(name string) string { return filepath.Join(c.dir, name) }

func (c *cluster) adminKubeconfig() string { return c.path("admin.kubeconfig") }

// freePorts are given back before they are used; nothing else here takes ports at random meanwhile.
func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		_, port, err := net.SplitHostPort(ln.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

func (c *cluster) writeFiles(webhookPort string) error {
	if err := os.MkdirAll(c.path("authenticator"), 0o700); err != nil {
		return err
	}
	root := minica.CA("e2e cluster")
	root.NotBefore, root.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	key, err := minica.GenerateKey("p256")
	if err != nil {
		return err
	}
	if c.ca, err = minica.NewRoot(root, key); err != nil {
		return err
	}
	if err := os.WriteFile(c.path("ca.pem"), minica.CertificatePEM(c.ca.Certificate), 0o600); err != nil {
		return err
	}
	server := minica.Leaf("kube-apiserver")
	server.IPAddresses, server.ExtKeyUsage = []net.IP{net.IPv4(127, 0, 0, 1)}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	admin := minica.Leaf("admin")
	admin.Subject = pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}
	admin.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	for name, template := range map[string]minica.Template{"server": server, "admin": admin} {
		pair, err := c.ca.Issue(template, nil)
		if err != nil {
			return err
		}
		if err := writePair(c.path(name), pair); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"admin.kubeconfig": `apiVersion: v1
kind: Config
current-context: admin
clusters: [{name: e2e, cluster: {server: "` + c.server + `", certificate-authority: ca.pem}}]
users: [{name: admin, user: {client-certificate: admin.pem, client-key: admin.key}}]
contexts: [{name: admin, context: {cluster: e2e, user: admin}}]
`,
		"audit-policy.yaml": `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
`,
		"authenticator.yaml": `clusterID: ` + clusterName + `
server:
  address: 127.0.0.1
  hostname: 127.0.0.1
  port: ` + webhookPort + `
  stateDir: ` + c.path("authenticator") + `
  generateKubeconfig: ` + c.path("webhook.kubeconfig") + `
  backendMode: [MountedFile, EKSConfigMap]
  mapRoles:
  - {roleARN: "` + testerRole + `", username: "tester:{{SessionName}}", groups: [testers]}
  mapUsers:
  - {userARN: "` + administratorARN + `", username: administrator, groups: ["system:masters"]}
`,
	} {
		if err := os.WriteFile(c.path(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// writePair writes base.pem, with the chain, and base.key.
func writePair(base string, pair *minica.Pair) error {
	key, err := minica.KeyPEM(pair.Key)
	if err != nil {
		return err
	}
	certificates := minica.CertificatePEM(append([]*x509.Certificate{pair.Certificate}, pair.Chain...)...)
	return errors.Join(os.WriteFile(base+".pem", certificates, 0o600), os.WriteFile(base+".key", key, 0o600))
}

func (c *cluster) start(name string, env []string, path string, args ...string) error {
	log, err := os.Create(c.path(name + ".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	p := &process{Cmd: exec.Command(path, args...), log: log.Name(), done: make(chan struct{})}
	p.Env = slices.Concat([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir}, env)
	p.Stdout, p.Stderr = log, log
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	go func() { _ = p.Wait(); close(p.done) }()
	c.processes = append(c.processes, p)
	return nil
}

// stop ends all, last started first.
func (c *cluster) stop() {
	for _, p := range slices.Backward(c.processes) {
		_ = p.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(time.Second): // the authenticator does not end by one SIGTERM, nor the API server while something watches
			_ = p.Process.Kill()
			<-p.done
		}
	}
}

// wait polls until ok, and tells the end of the logs if that does not come about.
func (c *cluster) wait(what string, ok func() error) error {
	err := until(time.Minute, func() error { return errors.Join(ok(), c.ended()) })
	if err == nil {
		return nil
	}
	for _, p := range c.processes {
		log, _ := os.ReadFile(p.log)
		err = fmt.Errorf("%w\n%s: …%s", err, p.Path, log[max(0, len(log)-2000):])
	}
	return fmt.Errorf("waiting for %s: %w", what, err)
}

func (c *cluster) ended() error {
	for _, p := range c.processes {
		select {
		case <-p.done:
			return fmt.Errorf("%s has ended", p.Path)
		default:
		}
	}
	return nil
}

// until polls, since these are other people's programs, which do not tell when they are ready.
func until(limit time.Duration, ok func() error) error {
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		err := ok()
		if err == nil || time.Since(start) > limit {
			return err
		}
	}
}

func (c *cluster) ready() error {
	certificate, err := tls.LoadX509KeyPair(c.path("admin.pem"), c.path("admin.key"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.ca.Certificate)
	client := http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
	}}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, c.server+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

// admin runs kubectl as the administrator, who has a client certificate.
func (c *cluster) admin(args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(shared.bin, "kubectl"), append([]string{"--kubeconfig=" + c.adminKubeconfig()}, args...)...)
	cmd.Env = []string{"HOME=" + c.dir}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// addCluster has DescribeCluster tell of the real one.
func (s *testSandbox) addCluster(c *cluster) error {
	world := s.World()
	world.Clusters = append(world.Clusters, sandbox.Cluster{
		Name: clusterName, Region: world.Region, Status: "ACTIVE", Version: "1.34", AuthenticationMode: "API_AND_CONFIG_MAP", Endpoint: c.server,
		CertificateAuthorityData: base64.StdEncoding.EncodeToString(minica.CertificatePEM(c.ca.Certificate)),
	})
	return s.SetWorld(world)
}
