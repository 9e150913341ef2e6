package doctor_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/eks-x509/eks-x509/internal/doctor"
	"github.com/eks-x509/eks-x509/internal/sandbox"
	"github.com/eks-x509/eks-x509/pkg/x509creds"
)

// mood is one thing that is wrong, and what the doctor says of it.
type mood struct {
	name, check   string
	spoil         func(*patient)
	status        doctor.Status
	class         doctor.Class
	found, remedy string // parts of them
}

const (
	ok, note, warning, failed = doctor.OK, doctor.Note, doctor.Warning, doctor.Failed
)

func localMoods() []mood {
	role := "arn:aws:iam::999999999999:role/other"
	return []mood{
		{"a role of another account", "configuration", func(p *patient) { p.env["EKS_X509_ROLE_ARN"] = role }, failed, doctor.Misuse,
			`its account is "999999999999"`, ""},
		{"an unknown key in the file", "configuration", func(p *patient) { p.configure("default:\n  certificat: x\n") }, failed, doctor.Misuse,
			"certificat", ""},
		{"a configuration that all may write", "configuration", func(p *patient) {
			p.configure("default:\n  region: us-east-1\n")
			p.chmod(p.env["EKS_X509_CONFIG"], 0o666)
		}, warning, "", "other users can write it (mode 0666)", "chmod go-w"},
		{"another region than the trust anchor's", "ARNs", func(p *patient) { p.env["AWS_REGION"] = "eu-west-1" }, note, "", "sessions are used in eu-west-1", ""},
		{"a certificate that is over", "certificate", func(p *patient) { p.leaf(ending(-48 * time.Hour)) }, failed, doctor.KeyUnusable, "expired 2 days ago", ""},
		{"a certificate with days left", "certificate", func(p *patient) { p.leaf(ending(20*24*time.Hour + time.Hour)) }, warning, "",
			"20 days left", "get a new certificate"},
		{"a certificate for servers", "certificate", func(p *patient) { p.leaf(serverAuth) }, note, "", "lacks clientAuth", "AWS documents no need"},
		{"a key of another certificate", "certificate", func(p *patient) { p.env["EKS_X509_PRIVATE_KEY"] = filepath.Join(p.dir, "root-ca.key") },
			failed, doctor.KeyUnusable, "opening certificate", ""},
		{"a key that all may read", "key file", func(p *patient) { p.chmod(p.env["EKS_X509_PRIVATE_KEY"], 0o644) }, warning, "",
			"readable by group or others (mode 0644)", "chmod 600"},
		{"a key in a folder that all may write", "key file", func(p *patient) { p.chmod(p.dir, 0o777) }, warning, "", "writable by group or others", "chmod go-w"},
		{"no key", "key file", func(p *patient) { p.env["EKS_X509_PRIVATE_KEY"] = p.home + "/none" }, failed, doctor.KeyUnusable, "no such file", "--private-key"},
		{"no cache", "cache", func(p *patient) { p.env["EKS_X509_NO_CACHE"] = "true" }, note, "", "not kept", "--no-cache"},
		{"a cache with torn and foreign files", "cache", func(p *patient) {
			dir := filepath.Dir(p.write("cache/"+strings.Repeat("a", 64)+".json", `{"half`))
			p.write("cache/notes.txt", "")
			p.chmod(dir, 0o700)
			p.env["EKS_X509_CACHE_DIR"] = dir
		}, warning, "", "1 malformed files; 1 files that are not ours", "eks-x509 cache clear"},
		{"a cache that all may read", "cache", func(p *patient) {
			dir := filepath.Dir(p.write("cache/notes.txt", ""))
			p.write(fmt.Sprintf("cache/eks-x509-%d/%064d.json", os.Geteuid(), 0), `{"half`)
			p.chmod(filepath.Join(dir, fmt.Sprintf("eks-x509-%d", os.Geteuid())), 0o700)
			p.chmod(dir, 0o755)
			p.env["EKS_X509_CACHE_DIR"] = dir
		}, warning, "", "they are in a directory of their own in it; 1 malformed files", "eks-x509 cache clear"},
		{"a cache that is a link", "cache", func(p *patient) {
			dir := filepath.Dir(p.write("cache/notes.txt", ""))
			p.env["EKS_X509_CACHE_DIR"] = dir + "-link"
			if err := os.Symlink(dir, dir+"-link"); err != nil {
				p.t.Fatal(err)
			}
		}, warning, "", "a symbolic link is not followed", "--cache-dir names another place"},
		{"a variable over a profile", "environment", func(p *patient) {
			p.configure("profiles:\n  work:\n    region: us-east-1\n")
			p.env["EKS_X509_PROFILE"] = "work"
		}, warning, "", `EKS_X509_CERTIFICATE overrides profile "work"`, "unset it"},
		{"keys in the environment", "environment", func(p *patient) { p.env["AWS_ACCESS_KEY_ID"] = "AKIA" }, note, "", "AWS_ACCESS_KEY_ID is set", "unset AWS_ACCESS_KEY_ID"},
		{"an AWS profile", "environment", func(p *patient) { p.env["AWS_PROFILE"] = "x" }, note, "", "AWS_PROFILE is set", "--profile"},
		{"an endpoint with a password", "environment", func(p *patient) { p.env["AWS_ENDPOINT_URL_STS"] = "https://me:pw@host.example/" }, note, "",
			"AWS_ENDPOINT_URL_STS leads to https://[redacted]@host.example/", "unset it"},
		{"no CA bundle", "environment", func(p *patient) { p.env["AWS_CA_BUNDLE"] = "/nowhere.pem" }, failed, doctor.Misuse, "AWS_CA_BUNDLE names a file that is not there", "unset AWS_CA_BUNDLE"},
		{"no SSL_CERT_FILE", "environment", func(p *patient) { p.env["SSL_CERT_FILE"] = "/nowhere.pem" }, warning, "", "SSL_CERT_FILE names a file", "unset SSL_CERT_FILE"},
		{"a part of KUBECONFIG is missing", "environment", func(p *patient) { p.env["KUBECONFIG"] = "/nowhere" }, note, "", "KUBECONFIG names a file", "take it out"},
		{"a ~ that kubectl does not expand", "environment", func(p *patient) { p.env["KUBECONFIG"] = "~/k" }, warning, "", `KUBECONFIG has "~/k", and kubectl does not expand`, "$HOME"},
		{"AWS's helper in a profile", "other helpers", func(p *patient) {
			p.write(".aws/config", "[profile x]\r\ncredential_process = \"/nowhere/aws_signing_helper\" credential-process\r\n")
		}, warning, "", `profile "x" in `, "eks-x509 config aws"},
		{"static keys beside our process", "AWS profiles", func(p *patient) {
			delete(p.env, "AWS_SHARED_CREDENTIALS_FILE")
			p.write(".aws/config", "[profile x509]\ncredential_process = "+p.self()+" credential-process\n")
			p.write(".aws/credentials", "[x509]\naws_access_key_id = a\naws_secret_access_key = hush\n")
		}, warning, "", `profile "x509" has aws_access_key_id in`, "config aws --name NAME"},
		{"a role beside our process", "AWS profiles", func(p *patient) {
			p.write(".aws/config", "[default]\ncredential_process = "+p.self()+" credential-process\nrole_arn = r\n")
		}, warning, "", `profile "default" has role_arn in`, "remove it"},
		{"a Windows path", "AWS profiles", func(p *patient) {
			p.write(".aws/config", "[profile x]\ncredential_process = C:\\Tools\\eks-x509.exe credential-process\n")
		}, warning, "", `credential_process of profile "x" in`, "write / in place"},
		{"our process where it was", "AWS profiles", func(p *patient) {
			p.write(".aws/config", "[profile x]\ncredential_process = /nowhere/Cellar/1.0.0/eks-x509 credential-process\n")
		}, warning, "", `runs "/nowhere/Cellar/1.0.0/eks-x509", which is not there`, "config aws"},
		{"our process, and all is well", "AWS profiles", func(p *patient) {
			p.write(".aws/config", "[profile x]\ncredential_process = "+p.self()+" credential-process\n[profile y]\naws_access_key_id = a\n")
		}, doctor.OK, "", `profiles of the AWS tools: "x"`, ""},
		{"a session in a file", "other helpers", func(p *patient) {
			delete(p.env, "AWS_SHARED_CREDENTIALS_FILE")
			p.write(".aws/credentials", "[default]\naws_session_token = hush\n")
		}, note, "", "[default] in ", "remove that section"},
		{"sessions of the authenticator", "other helpers", func(p *patient) { p.write(".kube/cache/aws-iam-authenticator/credentials.yaml", "") }, note, "",
			"aws-iam-authenticator kept", "remove it"},
	}
}

func networkMoods() []mood {
	return []mood{
		{"nobody listens", "Roles Anywhere endpoint", func(p *patient) { p.env["EKS_X509_ENDPOINT"] = "https://127.0.0.1:1" }, failed, doctor.Unreachable,
			"127.0.0.1:1: TCP: dial tcp 127.0.0.1:1: connect: connection refused", "check the network"},
		{"no such host", "STS endpoint", func(p *patient) { p.in.STSEndpoint = "https://sts.invalid" }, failed, doctor.Unreachable, "sts.invalid: DNS: ", "check the network"},
		{"a server that is not trusted", "Roles Anywhere endpoint", func(p *patient) { p.env["AWS_CA_BUNDLE"] = filepath.Join(p.dir, "root-ca.pem") }, failed, doctor.Unreachable,
			"TLS: tls: failed to verify certificate: x509: certificate signed by unknown authority", ""},
		{"a proxy that refuses", "STS endpoint", func(p *patient) {
			p.env["HTTPS_PROXY"] = "http://me:pw@" + strings.TrimPrefix(p.s.URL(), "https://")
			p.in.STSEndpoint = "https://elsewhere.example"
		}, failed, doctor.Unreachable, "elsewhere.example through proxy 127.0.0.1:", ""},
		{"a clock a little behind", "clock", func(p *patient) { p.fault("*:clock=2m") }, warning, "", "behind AWS's", "NTP"},
		{"a clock far ahead", "clock", func(p *patient) { p.fault("*:clock=-10m") }, failed, doctor.Other, "ahead of AWS's", "NTP"},
		{"a disabled trust anchor", "session", func(p *patient) {
			p.world(func(w *sandbox.World) { w.TrustAnchors[0].Enabled = false })
		}, failed, doctor.Refused, "creating session: ", "the hint"},
		{"throttled", "session", func(p *patient) { p.fault("CreateSession:throttle") }, failed, doctor.Refused, "HTTP 429", "the hint"},
		{"a proxy's page", "session", func(p *patient) { p.fault("CreateSession:html") }, failed, doctor.Unreachable, "HTML page", "the hint"},
		{"less time than was asked for", "session duration", func(p *patient) { p.env["EKS_X509_SESSION_DURATION"] = "7200" }, note, "",
			"2h0m0s was asked for, 1h0m0s given", "raise the duration"},
		{"STS refuses", "identity", func(p *patient) { p.fault("GetCallerIdentity:status=403*1") }, failed, doctor.Refused, "STS refused: AccessDenied", "hint:"},
		{"a token that is too long", "token", func(p *patient) { p.world(func(w *sandbox.World) { w.Profiles[0].SessionTokenLength = 3900 }) }, failed, doctor.Other,
			"making token: ", ""},
		{"a long token", "token", func(p *patient) { p.world(func(w *sandbox.World) { w.Profiles[0].SessionTokenLength = 2400 }) }, warning, "", "of at most 4096", "attribute mappings"},
		{"a cluster that is not there", "cluster", func(p *patient) { p.in.Cluster = "x" }, failed, doctor.Refused, "No cluster found for name: x.", "hint:"},
		{"a cluster in the making", "cluster", func(p *patient) { p.in.Cluster = "creating" }, warning, "", "CREATING", "wait until it is ACTIVE"},
		{"not allowed to describe, and the kubeconfig knows", "cluster", func(p *patient) { p.fault("DescribeCluster:status=403") }, note, "", "AccessDeniedException", "eks:DescribeCluster"},
		{"a role that the cluster does not know", "access", func(p *patient) {
			p.world(func(w *sandbox.World) { w.Clusters[0].Mappings = nil })
		}, failed, doctor.Refused, "the cluster refused: Unauthorized (HTTP 401", "by access entries alone"},
		{"a role that is not in aws-auth", "access", func(p *patient) {
			p.world(func(w *sandbox.World) { w.Clusters[0].Mappings, w.Clusters[0].AuthenticationMode = nil, "CONFIG_MAP" })
		}, failed, doctor.Refused, "the cluster refused: Unauthorized (HTTP 401", "eks-x509 setup map-role"},
		{"a role that is in neither", "access", func(p *patient) {
			p.world(func(w *sandbox.World) {
				w.Clusters[0].Mappings, w.Clusters[0].AuthenticationMode = nil, "API_AND_CONFIG_MAP"
			})
		}, failed, doctor.Refused, "the cluster refused: Unauthorized (HTTP 401", "hint:"},
		{"a user without rights", "permissions", func(p *patient) {
			p.world(func(w *sandbox.World) { w.Clusters[0].Mappings[0].Groups = nil })
		}, warning, "", "may not get pods, list namespaces", "bind your groups"},
		{"a cluster made anew", "kubeconfig", func(p *patient) { p.in.KubeContexts[0].Server = "https://OLD.eks.example" }, failed, doctor.Other,
			"its server is https://OLD.eks.example", "eks-x509 kubeconfig update --cluster-name sandbox"},
		{"another certificate authority", "kubeconfig", func(p *patient) { p.in.KubeContexts[0].CertificateAuthority = []byte("old") }, failed, doctor.Other,
			"its certificate authority is not the cluster's", "eks-x509 kubeconfig update"},
	}
}

func kubectlMoods() []mood {
	kuberc := func(text string) func(*patient) {
		return func(p *patient) {
			p.write(".kube/kuberc", "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n"+text)
		}
	}
	return []mood{
		{"no kubectl", "kubectl", func(p *patient) { delete(p.path, "kubectl") }, note, "", "no kubectl found", "install it"},
		{"an old kubectl", "kubectl", func(p *patient) { p.in.RunCommand = kubectlVersion(21) }, warning, "", "v1.21.0", "install a newer"},
		{"no context of ours", "kubeconfig", func(p *patient) { p.in.KubeContexts = nil }, note, "", "no context that runs us", "eks-x509 kubeconfig update --cluster-name sandbox"},
		{"a kubeconfig that can't be read", "kubeconfig", func(p *patient) { p.in.KubeconfigErr = errors.New("malformed YAML") }, failed, doctor.Other, "malformed YAML", "kubectl config view"},
		{"v1alpha1", "kubeconfig", func(p *patient) { p.in.KubeContexts[0].APIVersion = "client.authentication.k8s.io/v1alpha1" }, failed, doctor.Other, "unsupported apiVersion", "kubeconfig update"},
		{"v1 for clients that do not ask", "kubeconfig", func(p *patient) { p.in.KubeContexts[0].APIVersion = "client.authentication.k8s.io/v1" }, note, "",
			"get v1beta1, and the entry says v1", "writes v1beta1"},
		{"v1 without interactiveMode", "kubeconfig", func(p *patient) {
			p.in.KubeContexts[0].APIVersion, p.in.KubeContexts[0].InteractiveMode = "client.authentication.k8s.io/v1", ""
		}, failed, doctor.Other, "no interactiveMode", "kubeconfig update"},
		{"v1 for an old kubectl", "kubeconfig", func(p *patient) {
			p.in.KubeContexts[0].APIVersion, p.in.RunCommand = "client.authentication.k8s.io/v1", kubectlVersion(21)
		}, failed, doctor.Other, "kubectl 1.21 does not know apiVersion v1", ""},
		{"a command that is not there", "kubeconfig", func(p *patient) { p.in.KubeContexts[0].Command = "/nowhere/eks-x509" }, failed, doctor.Other, `"/nowhere/eks-x509" is not there`, ""},
		{"another context is current", "kubeconfig", func(p *patient) { p.in.KubeContexts[0].Current = false }, note, "", "the current context is another", `use-context sandbox`},
		{"a kubeconfig that all may write", "kubeconfig", func(p *patient) { p.chmod(p.in.Kubeconfig[0], 0o666) }, warning, "", "writable by group or others", "chmod go-w"},
		{"plugins denied", "kuberc", kuberc("credentialPluginPolicy: DenyAll\n"), failed, doctor.Other, "DenyAll", "--allowlist-entry command=eks-x509"},
		{"an allowlist without us", "kuberc", kuberc("credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n- command: aws\n"), failed, doctor.Other, `does not have "eks-x509"`, ""},
		{"an allowlist with us", "kuberc", kuberc("credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n- name: eks-x509\n"), ok, "", "allows us", ""},
		{"an allowlist with our path", "kuberc", func(p *patient) {
			kuberc("credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n- command: " + p.path["eks-x509"] + "\n")(p)
		}, ok, "", "allows us", ""},
		{"a list without a policy", "kuberc", kuberc("credentialPluginAllowlist:\n- command: aws\n"), failed, doctor.Other, "there is an allowlist", ""},
		{"a policy that nobody knows", "kuberc", kuberc("credentialPluginPolicy: Nope\n"), failed, doctor.Other, `unknown plugin policy "Nope"`, ""},
		{"a policy in an old version", "kuberc", func(p *patient) {
			p.write(".kube/kuberc", "apiVersion: kubectl.config.k8s.io/v1alpha1\nkind: Preference\ncredentialPluginPolicy: DenyAll\n")
		}, ok, "", "allows us", ""},
		{"a policy for an old kubectl", "kuberc", func(p *patient) {
			kuberc("credentialPluginPolicy: DenyAll\n")(p)
			p.in.RunCommand = kubectlVersion(34)
		}, ok, "", "heeds no policy", ""},
		{"a kuberc that is no YAML", "kuberc", func(p *patient) { p.write(".kube/kuberc", "a: [") }, warning, "", "malformed YAML", "mend it"},
		{"kuberc turned off", "kuberc", func(p *patient) { p.env["KUBERC"] = "off" }, ok, "", "turned off", ""},
	}
}

func TestMoods(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the rows speak of modes, and in Unix's paths and words")
	}
	for group, moods := range map[string][]mood{"local": localMoods(), "network": networkMoods(), "kubectl": kubectlMoods()} {
		for _, m := range moods {
			t.Run(group+"/"+m.name, func(t *testing.T) {
				t.Parallel()
				p := newPatient(t)
				p.in.Offline = group != "network"
				p.in.Hint = func(err error) []string {
					e, ok := errors.AsType[*x509creds.Error](err)
					if ok && e.Error() != "creating session: "+e.Err.Error() {
						return []string{"the hint"}
					}
					return hinted(err)
				}
				m.spoil(p)
				r := p.run()
				got := result(t, r, m.check)
				if got.Status != m.status || got.Class != m.class || !strings.Contains(got.Found, m.found) || !strings.Contains(got.Remedy, m.remedy) {
					t.Errorf("%+v", got)
				}
				if m.status == failed && r.Status != failed || strings.Contains(got.Found, "\n") || strings.Contains(got.Found, "pw@") || strings.Contains(got.Found, "hush") {
					t.Errorf("report %s: %+v", r.Status, got)
				}
				if _, err := json.Marshal(r); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestAccessWithoutDescribe: who may not describe the cluster can still use it.
func TestAccessWithoutDescribe(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	p.fault("DescribeCluster:status=403")
	ca, err := os.ReadFile(filepath.Join(p.dir, "tls-ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	p.in.KubeContexts[0].CertificateAuthority = ca
	if got := result(t, p.run(), "access"); got.Status != ok || !strings.Contains(got.Found, `"sandbox:`) {
		t.Errorf("%+v", got)
	}
}
