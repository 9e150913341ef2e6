package kubeconfig

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

const arn = "arn:aws:eks:eu-central-1:123456789012:cluster/"

func entry(name string) Entry {
	return Entry{
		Cluster: arn + name, User: name + "-user", Context: name,
		Server: "https://" + name + ".example:443", CertificateAuthorityData: []byte("-----BEGIN CERTIFICATE-----\n"),
		Exec: Exec{
			APIVersion: "client.authentication.k8s.io/v1", Command: "eks-x509", Args: []string{"token", "--profile", "010"},
			Env: []EnvVar{{"EKS_X509_CONFIG", "yes"}}, InteractiveMode: "Never", InstallHint: "see \"docs\":\n # install",
		},
	}
}

func set(t *testing.T, data string, e Entry, current bool) string {
	t.Helper()
	out, err := Set([]byte(data), e, current)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return string(out)
}

func removeNamed(t *testing.T, data, name string) string {
	t.Helper()
	out, removed, err := Remove([]byte(data), func(i Item) bool { return i.Context == name })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{name}, removed); diff != "" {
		t.Fatal(diff)
	}
	return string(out)
}

// load reads what kubectl would.
func load(t *testing.T, data string) *api.Config {
	t.Helper()
	c, err := clientcmd.Load([]byte(data))
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return c
}

const plain = `# mine
apiVersion: v1
clusters:
# the old one
- cluster:
    server: https://old.example   # never down
    x-unknown: 010
  name: old
contexts:
- context: {cluster: old, user: "old"}
  name: 'old'
current-context: old
kind: Config

preferences: {}
users:
- name: old
  user:
    token: |+
      # abc

# the end
`

func TestSetAmidTheTextOfOthers(t *testing.T) {
	t.Parallel()
	e := entry("new")
	e.CertificateAuthorityData, e.Exec.Env, e.Exec.InstallHint = nil, nil, ""
	want := strings.NewReplacer(
		"  name: old\ncontexts:", "  name: old\n- cluster:\n    server: https://new.example:443\n  name: "+e.Cluster+"\ncontexts:",
		"'old'\n", "'old'\n- context:\n    cluster: "+e.Cluster+"\n    user: new-user\n  name: new\n",
		"current-context: old", "current-context: new",
		"# the end\n", `# the end
- name: new-user
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      args:
      - token
      - --profile
      - "010"
      command: eks-x509
      interactiveMode: Never
      provideClusterInfo: false
`).Replace(plain)
	if diff := cmp.Diff(want, set(t, plain, e, true)); diff != "" {
		t.Error(diff)
	}
}

// What kubectl reads is what was asked for.
func TestClientGoReadsIt(t *testing.T) {
	t.Parallel()
	e := entry("one")
	e.ProxyURL, e.TLSServerName, e.Namespace, e.Exec.ProvideClusterInfo = "http://proxy:3128", "tls.example", "010", true
	for _, before := range []string{"", plain, "{}", strings.ReplaceAll(plain, "\n", "\r\n"), `{"users": [], "kind": "Config", "apiVersion": "v1"}`} {
		c := load(t, set(t, before, e, true))
		want := api.NewConfig()
		if strings.HasPrefix(before, "#") {
			want = load(t, before)
		}
		cluster, user, context := api.NewCluster(), api.NewAuthInfo(), api.NewContext()
		cluster.Server, cluster.CertificateAuthorityData = e.Server, e.CertificateAuthorityData
		cluster.ProxyURL, cluster.TLSServerName = e.ProxyURL, e.TLSServerName
		context.Cluster, context.AuthInfo, context.Namespace = e.Cluster, e.User, e.Namespace
		user.Exec = &api.ExecConfig{
			Command: e.Exec.Command, Args: e.Exec.Args, Env: []api.ExecEnvVar{{Name: "EKS_X509_CONFIG", Value: "yes"}},
			APIVersion: e.Exec.APIVersion, InstallHint: e.Exec.InstallHint, InteractiveMode: "Never", ProvideClusterInfo: true,
		}
		want.Clusters[e.Cluster], want.AuthInfos[e.User], want.Contexts[e.Context] = cluster, user, context
		want.CurrentContext = e.Context
		if got, want := dump(t, c), dump(t, want); got != want {
			t.Errorf("%q:\n%s", before, cmp.Diff(want, got))
		}
	}
}

func dump(t *testing.T, c *api.Config) string {
	t.Helper()
	out, err := clientcmd.Write(*c)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestSetKeepsWhatItDoesNotOwn(t *testing.T) {
	t.Parallel()
	before := `clusters:
# above
- cluster: # of the cluster
    server: https://moved # soon
    insecure-skip-tls-verify: true
    extensions:
    - name: x
      extension: {a: 010}
    disable-compression: true
  name: ` + arn + `one
  # within
  x-own: 1
# below
- {name: other}
contexts:
- name: one
  context:
    namespace: web # mine
    cluster: elsewhere
    user: me
users:
- name: one-user
  user:
    as: someone
    exec:
      command: aws
      apiVersion: client.authentication.k8s.io/v1beta1
      env: null
      x-new: true
      args: [eks, get-token] # old
`
	e := entry("one")
	e.Exec.Env, e.Exec.InstallHint, e.Exec.Args = nil, "", []string{"token"}
	want := strings.NewReplacer(
		"https://moved # soon", "https://one.example:443 # soon",
		"elsewhere", e.Cluster, "user: me", "user: one-user", "command: aws", "command: eks-x509", "v1beta1", "v1",
		"args: [eks, get-token] # old\n", "args: [token] # old\n      interactiveMode: Never\n      provideClusterInfo: false\n",
	).Replace(before)
	after := set(t, before, e, false)
	if diff := cmp.Diff(want, after); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(after, set(t, after, e, false)); diff != "" {
		t.Error(diff)
	}
	load(t, after)
	e.Verify = true
	verified := load(t, set(t, after, e, false)).Clusters[e.Cluster]
	if verified.InsecureSkipTLSVerify || string(verified.CertificateAuthorityData) != string(e.CertificateAuthorityData) {
		t.Errorf("%+v", verified)
	}
}

// What a person added to an entry stays, and what is given wins over it.
func TestSetKeepsWhatAPersonAdded(t *testing.T) {
	t.Parallel()
	e := entry("one")
	e.Exec.Env = nil
	first := set(t, "", e, true)
	c := load(t, first)
	cluster, user := c.Clusters[e.Cluster], c.AuthInfos[e.User]
	cluster.ProxyURL, cluster.TLSServerName, cluster.DisableCompression = "socks5://proxy:1080", "tls.example", true
	user.Exec.Env = []api.ExecEnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: ""}}
	user.Exec.ProvideClusterInfo, user.Impersonate = true, "someone"
	c.Contexts["one"].Namespace = "web"
	edited, err := clientcmd.Write(*c)
	if err != nil {
		t.Fatal(err)
	}
	after := load(t, set(t, string(edited), e, true))
	if diff := cmp.Diff(c, after, cmpopts.IgnoreFields(api.Cluster{}, "LocationOfOrigin"), cmpopts.IgnoreUnexported(api.ExecConfig{})); diff != "" {
		t.Error(diff)
	}
	e.ProxyURL, e.TLSServerName, e.Namespace = "http://other:1", "other.example", "db"
	e.Exec.Env = []EnvVar{{"B", "2"}, {"C", "3"}}
	after = load(t, set(t, string(edited), e, true))
	cluster, user = after.Clusters[e.Cluster], after.AuthInfos[e.User]
	if cluster.ProxyURL != e.ProxyURL || cluster.TLSServerName != e.TLSServerName || after.Contexts["one"].Namespace != "db" {
		t.Errorf("%+v", cluster)
	}
	if diff := cmp.Diff([]api.ExecEnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}, {Name: "C", Value: "3"}}, user.Exec.Env); diff != "" {
		t.Error(diff)
	}
	for _, env := range []string{"env: []", "env: null", "env: &e []", "env: *shared"} {
		before := "x: &shared [&b {name: B, value: \"1\"}, *b, {name: A, value: \"1\"}]\nusers:\n- name: one-user\n  user:\n    exec:\n      " + env + "\n"
		if got := load(t, set(t, before, e, true)).AuthInfos["one-user"].Exec.Env; len(got) < 2 || got[0] != (api.ExecEnvVar{Name: "B", Value: "2"}) {
			t.Errorf("%s: %v", env, got)
		}
	}
	if _, err := Set([]byte("users:\n- name: one-user\n  user: {exec: {env: x}}\n"), e, true); err == nil || !strings.Contains(err.Error(), `"env" is not a list`) {
		t.Error(err)
	}
}

func TestSetThroughAliases(t *testing.T) {
	t.Parallel()
	before := "base: &b {server: https://b, x: 1}\nclusters:\n- name: keep\n  cluster: *b\n- name: " + arn + "one\n  cluster: *b\nusers: &u\n- name: one-user\n  user: {}\n"
	after := set(t, before, entry("one"), false)
	c := load(t, after)
	if c.Clusters["keep"].Server != "https://b" || c.Clusters[arn+"one"].Server != "https://one.example:443" {
		t.Error(after)
	}
}

func TestSetRefuses(t *testing.T) {
	t.Parallel()
	const bad = "invalid kubeconfig entry: "
	const layout = "unsupported kubeconfig: its aliases or its layout cannot be edited"
	without := func(change func(*Entry)) Entry { e := entry("one"); change(&e); return e }
	tests := map[string]struct {
		data  string
		entry Entry
		want  string
	}{
		"malformed YAML":              {"a: b\nclusters: [\n", entry("one"), "malformed kubeconfig: line 2: did not find expected node content"},
		"an unknown anchor":           {"a: *secret\n", entry("one"), "malformed kubeconfig: unknown anchor"},
		"a tab":                       {"a:\n\tb: c\n", entry("one"), "malformed kubeconfig: line 2: found character that cannot start any token"},
		"a list at the top":           {"- a\n", entry("one"), "malformed kubeconfig: line 1: not a mapping"},
		"a word at the top":           {"\nsecret\n", entry("one"), "malformed kubeconfig: line 2: not a mapping"},
		"null at the top":             {"null\n", entry("one"), "malformed kubeconfig: line 1: not a mapping"},
		"clusters is a mapping":       {"clusters:\n  a: b\n", entry("one"), `malformed kubeconfig: line 2: "clusters" is not a list`},
		"a user is a word":            {"users:\n- secret\n", entry("one"), `malformed kubeconfig: line 2: an entry of "users" is not a mapping`},
		"a user without a name":       {"users:\n- user: {}\n", entry("one"), `malformed kubeconfig: line 2: an entry of "users" without a name`},
		"the same name twice":         {"users:\n- name: a\n- name: a\n", entry("one"), `malformed kubeconfig: line 3: an entry of "users" with the name of the one in line 2`},
		"the same key twice":          {"users: []\nusers: []\n", entry("one"), "malformed kubeconfig: line 2: the key of line 1 again"},
		"a merge at the top":          {"a: &a {}\n<<: *a\n", entry("one"), "unsupported kubeconfig: line 2: a merge at the top level"},
		"two documents":               {"a: b\n---\nc: d\n", entry("one"), "malformed kubeconfig: line 2: a second document"},
		"not UTF-8":                   {"a: \xff", entry("one"), "malformed kubeconfig: not UTF-8"},
		"UTF-16 without a mark":       {"a\x00:\x00", entry("one"), "malformed kubeconfig: UTF-16 without a byte order mark, which kubectl does not read (convert it: iconv -f UTF-16LE -t UTF-8)"},
		"half a UTF-16 character":     {"\xff\xfea\x00b", entry("one"), "malformed kubeconfig: UTF-16 with an odd number of bytes"},
		"half a surrogate pair":       {"\xfe\xff\xd8\x00", entry("one"), "malformed kubeconfig: not UTF-16"},
		"too large":                   {strings.Repeat("#", largest+1), entry("one"), "malformed kubeconfig: larger than 16777216 bytes"},
		"a current context is a list": {"current-context: []\n", entry("one"), `malformed kubeconfig: line 1: "current-context" is not a string`},
		"the cluster is a word":       {"clusters:\n- name: " + arn + "one\n  cluster: secret\n", entry("one"), `malformed kubeconfig: line 3: "cluster" is not a mapping`},
		"a user with a token": {"users:\n- name: one-user\n  user: {token: secret}\n", entry("one"),
			`invalid user name "one-user": the kubeconfig has a user of this name with other credentials (token)`},
		"a list with an alias elsewhere": {"clusters: &c\n- name: a\nx: *c\n", entry("one"), layout},
		"an empty list with an alias":    {"clusters: &c []\nx: *c\n", entry("one"), layout},
		"a cluster that another shares":  {"clusters:\n- name: " + arn + "one\n  cluster: &c {server: a}\n- name: b\n  cluster: *c\n", entry("one"), layout},
		"no server":                      {"", without(func(e *Entry) { e.Server = "" }), bad + "no server"},
		"no mode":                        {"", without(func(e *Entry) { e.Exec.InteractiveMode = "" }), bad + "no exec interactiveMode"},
		"both authorities":               {"", without(func(e *Entry) { e.CertificateAuthority = "f" }), bad + "certificate authority both as data and as a file"},
		"an argument in bytes":           {"", without(func(e *Entry) { e.Exec.Args[0] = "\xff" }), bad + `"\xff" is not UTF-8`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := Set([]byte(test.data), test.entry, true)
			if err == nil || err.Error() != test.want || out != nil {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	data := set(t, plain, entry("one"), true)
	second := entry("one") // a second role for the same cluster
	second.Context, second.User = "one-admin", "admin"
	third := second
	third.Context, third.Namespace = "one-admin-web", "web"
	data = set(t, set(t, data, second, false), third, false)

	c := load(t, removeNamed(t, data, "one"))
	if len(c.Clusters) != 2 || len(c.AuthInfos) != 2 || len(c.Contexts) != 3 || c.CurrentContext != "" {
		t.Error(dump(t, c))
	}
	c = load(t, removeNamed(t, data, "one-admin"))
	if len(c.Clusters) != 2 || len(c.AuthInfos) != 3 || len(c.Contexts) != 3 || c.CurrentContext != "one" {
		t.Error(dump(t, c))
	}
	out, removed, err := Remove([]byte(data), func(Item) bool { return true })
	if err != nil || len(removed) != 3 {
		t.Fatal(removed, err)
	}
	want := strings.Replace(plain, "current-context: old\n", "", 1)
	if diff := cmp.Diff(want, string(out)); diff != "" {
		t.Error(diff)
	}
	if out, removed, err = Remove([]byte(plain), func(Item) bool { return true }); err != nil || removed != nil || string(out) != plain {
		t.Error("what is not ours was removed", removed, err)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	e := entry("one")
	e.Namespace = "web"
	data := []byte(set(t, plain, e, true))
	items, err := List(data)
	if diff := cmp.Diff([]Item{{Entry: e, Current: true}}, items); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if _, err := List([]byte("[")); err == nil || !strings.HasPrefix(err.Error(), "malformed kubeconfig: ") {
		t.Error(err)
	}
}

func TestIsOurs(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]bool{
		"eks-x509": true, "/usr/bin/eks-x509": true, `C:\bin\eks-x509.EXE`: true, "kubectl-eks_x509": true, "kubectl eks-x509": true,
		"aws": false, "": false, ".exe": false, "eks-x509-old": false, "kubectl oidc-login": false, "kubectl": false, "/eks-x509/aws": false,
	} {
		name, arg, _ := strings.Cut(command, " ")
		if got := IsOurs(name, []string{arg}); got != want {
			t.Errorf("%q: %t", command, got)
		}
	}
}
