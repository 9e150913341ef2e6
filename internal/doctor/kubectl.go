package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/safetext"
)

func kubectlChecks() []Check {
	return []Check{
		{Name: "kubectl", Why: "kubectl before 1.22 does not know client.authentication.k8s.io/v1, and since 1.24 none knows v1alpha1", run: checkKubectl},
		{Name: "kubeconfig", Why: "it tells kubectl where the cluster is and to run us for a token", After: []string{"cluster", "kubectl"}, run: checkKubeconfig},
		{Name: "kuberc", Why: "since kubectl 1.35 it can forbid credential plugins", After: []string{"kubectl"}, run: checkKuberc},
	}
}

func checkKubectl(ctx context.Context, f *facts) Result {
	path, err := f.LookPath("kubectl")
	if err != nil {
		return found(Note, "install it: https://kubernetes.io/docs/tasks/tools/", "no kubectl found on PATH")
	}
	ctx, cancel := context.WithTimeout(ctx, networkTimeout)
	defer cancel()
	out, err := f.RunCommand(ctx, path, "version", "--client", "-o", "json")
	var version string
	var minor int
	if err == nil {
		version, minor, err = KubectlVersion(out)
	}
	if err != nil {
		return found(Warning, "run kubectl version --client", "%s does not tell its version", path)
	}
	f.kubectlMinor = minor
	what := fmt.Sprintf("%s at %s", version, path)
	if minor < 24 {
		return found(Warning, "install a newer kubectl", "%s: it is years out of support", what)
	}
	return found(OK, "", "%s", what)
}

// KubectlVersion reads the output of kubectl version --client -o json.
func KubectlVersion(out []byte) (version string, minor int, err error) {
	var v struct {
		Client struct {
			Minor      string `json:"minor"` // "33", "33+"
			GitVersion string `json:"gitVersion"`
		} `json:"clientVersion"`
	}
	if err = json.Unmarshal(out, &v); err == nil {
		minor, err = strconv.Atoi(strings.TrimRight(v.Client.Minor, "+"))
	}
	return v.Client.GitVersion, minor, err
}

const execGroup = "client.authentication.k8s.io/"

func checkKubeconfig(_ context.Context, f *facts) Result {
	update := "eks-x509 kubeconfig update --cluster-name NAME"
	if f.Cluster != "" {
		update = safetext.Quote("eks-x509", "kubeconfig", "update", "--cluster-name", f.Cluster)
	}
	if f.KubeconfigErr != nil {
		return f.failed(f.KubeconfigErr, "mend the file: kubectl config view says where it is wrong")
	}
	var r Result
	for _, path := range f.Kubeconfig {
		if info, err := os.Stat(path); err == nil {
			if problem := access(path, info, 0o022); problem != "" {
				r.add(Warning, problem+": whoever writes it chooses what kubectl runs", fmt.Sprintf("chmod go-w %s", safetext.File(path)))
			}
		}
	}
	entries := slices.DeleteFunc(slices.Clone(f.KubeContexts), func(k KubeContext) bool {
		return !k.Ours || f.Cluster != "" && k.Cluster != "" && k.Cluster != f.Cluster
	})
	if len(entries) == 0 {
		r.add(Note, "no context that runs us in "+strings.Join(f.Kubeconfig, ", "), update)
		return r
	}
	for _, k := range entries {
		r.add(OK, fmt.Sprintf("context %q in %s", k.Name, k.File), "")
		for _, problem := range f.entryProblems(k) {
			r.add(Failed, fmt.Sprintf("context %q: %s", k.Name, problem), update)
		}
		if k.APIVersion == execGroup+"v1" && !answersV1(k.Args) {
			r.add(Note, fmt.Sprintf("context %q: clients that do not set KUBERNETES_EXEC_INFO get v1beta1, and the entry says v1", k.Name),
				update+" writes v1beta1; with --exec-api-version v1 it writes an entry whose answers are v1")
		}
	}
	if !slices.ContainsFunc(entries, func(k KubeContext) bool { return k.Current }) {
		r.add(Note, "the current context is another", "kubectl config use-context "+safetext.Quote(flagless(entries[0].Name)...))
	}
	return r
}

// answersV1 says whether a token command answers v1 without being asked.
func answersV1(args []string) bool {
	for i, arg := range args {
		value, joined := strings.CutPrefix(arg, "--exec-api-version=")
		if !joined && i > 0 && args[i-1] == "--exec-api-version" {
			value, joined = arg, true
		}
		if joined && strings.TrimPrefix(value, execGroup) == "v1" {
			return true
		}
	}
	return false
}

// flagless is a name as an argument that is not taken for a flag.
func flagless(name string) []string {
	if strings.HasPrefix(name, "-") {
		return []string{"--", name}
	}
	return []string{name}
}

// entryProblems are why kubectl would not run us, or would ask another cluster.
func (f *facts) entryProblems(k KubeContext) []string {
	var all []string
	version := strings.TrimPrefix(k.APIVersion, execGroup)
	switch {
	case version != "v1" && version != "v1beta1":
		all = append(all, fmt.Sprintf("unsupported apiVersion %q (supported: v1, v1beta1)", k.APIVersion))
	case version == "v1" && k.InteractiveMode == "":
		all = append(all, "no interactiveMode, which apiVersion v1 requires")
	case version == "v1" && f.kubectlMinor > 0 && f.kubectlMinor < 22:
		all = append(all, fmt.Sprintf("kubectl 1.%d does not know apiVersion v1", f.kubectlMinor))
	}
	if _, err := f.LookPath(f.commandOf(k)); err != nil {
		all = append(all, fmt.Sprintf("its command %q is not there", k.Command))
	}
	if f.cluster != nil && f.cluster.Endpoint != "" && f.Cluster == k.Cluster {
		if !strings.EqualFold(strings.TrimSuffix(k.Server, "/"), strings.TrimSuffix(f.cluster.Endpoint, "/")) {
			all = append(all, fmt.Sprintf("its server is %s, and the cluster's is %s: the cluster was made anew, or the entry names another cluster", k.Server, f.cluster.Endpoint))
		} else if len(k.CertificateAuthority) > 0 && !bytes.Equal(bytes.TrimSpace(k.CertificateAuthority), bytes.TrimSpace(f.cluster.CertificateAuthority)) {
			all = append(all, "its certificate authority is not the cluster's")
		}
	}
	return all
}

// commandOf resolves a relative command with a slash as client-go does: from the
// kubeconfig's folder.
func (f *facts) commandOf(k KubeContext) string {
	if strings.ContainsRune(k.Command, filepath.Separator) && !filepath.IsAbs(k.Command) {
		return filepath.Join(filepath.Dir(k.File), k.Command)
	}
	return k.Command
}

// kuberc is kubectl.config.k8s.io/v1beta1 Preference, as far as plugins go.
// kubernetes.io/blog/2026/01/09/kubernetes-v1-35-kuberc-credential-plugin-allowlist
type kuberc struct {
	APIVersion string         `yaml:"apiVersion"`
	Policy     string         `yaml:"credentialPluginPolicy"`
	Allowlist  []allowedEntry `yaml:"credentialPluginAllowlist"`
}

type allowedEntry struct {
	Name    string `yaml:"name"`    // kubectl 1.35
	Command string `yaml:"command"` // kubectl 1.36
}

func checkKuberc(_ context.Context, f *facts) Result {
	path := f.Getenv("KUBERC")
	switch {
	case path == "off":
		return found(OK, "", "turned off by KUBERC=off")
	case path == "" && f.home() == "":
		return found(OK, "", "no home directory in the environment to look in")
	case path == "":
		path = filepath.Join(f.home(), ".kube", "kuberc")
	}
	if err := config.CheckPath("KUBERC", path); err != nil {
		return found(Warning, "name a file", "%v", err)
	}
	data, err := readSmall(path)
	if errors.Is(err, fs.ErrNotExist) {
		return found(OK, "", "%s is not there: every plugin is allowed", path)
	}
	if err != nil {
		return found(Warning, "make it readable", "%v", err)
	}
	k, err := parseKuberc(data)
	if err != nil {
		return found(Warning, "mend it", "%s: %v", path, err)
	}
	if f.kubectlMinor > 0 && f.kubectlMinor < 35 {
		return found(OK, "", "%s: kubectl 1.%d heeds no policy for plugins", path, f.kubectlMinor)
	}
	commands := []string{"eks-x509"}
	for _, c := range f.KubeContexts {
		if c.Ours && !slices.Contains(commands, f.commandOf(c)) {
			commands = append(commands, f.commandOf(c))
		}
	}
	if len(commands) > 1 {
		commands = commands[1:] // what kubectl is told to run, and not a guess
	}
	for _, command := range commands {
		if problem := f.blocked(k, command); problem != "" {
			return found(Failed, "kubectl kuberc set --section credentialplugin --policy Allowlist --allowlist-entry "+safetext.Quote("command="+command)+
				", with an entry for each other plugin that you use", "%s: %s", path, problem)
		}
	}
	return found(OK, "", "%s allows us", path)
}

// parseKuberc finds the first document that kubectl heeds; in v1alpha1 there is
// no policy.
func parseKuberc(data []byte) (kuberc, error) {
	for d := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var k kuberc
		if err := d.Decode(&k); err != nil {
			if errors.Is(err, io.EOF) {
				return kuberc{}, nil
			}
			return kuberc{}, errors.New("malformed YAML")
		}
		if k.APIVersion == "kubectl.config.k8s.io/v1beta1" {
			return k, nil
		}
	}
}

// blocked says why kubectl would not run the command, or "".
func (f *facts) blocked(k kuberc, command string) string {
	switch k.Policy {
	case "", "AllowAll":
		if k.Allowlist != nil {
			return fmt.Sprintf("its plugin policy is %q and yet there is an allowlist, which kubectl refuses", k.Policy)
		}
		return ""
	case "DenyAll":
		return "its plugin policy is DenyAll"
	case "Allowlist":
	default:
		return fmt.Sprintf("unknown plugin policy %q", k.Policy)
	}
	resolved, err := f.LookPath(command)
	if err != nil {
		resolved = command
	}
	for _, e := range k.Allowlist { // kubectl refuses the whole list
		if e.Name == "" && e.Command == "" || e.Name != "" && e.Command != "" && e.Name != e.Command {
			return "an entry of its allowlist has no command, or a name and another command, which kubectl refuses"
		}
	}
	for _, e := range k.Allowlist {
		allowed := e.Command
		if allowed == "" {
			allowed = e.Name
		}
		if allowed == command {
			return ""
		}
		if at, err := f.LookPath(allowed); err == nil && at == resolved {
			return ""
		}
	}
	return fmt.Sprintf("its allowlist does not have %q", command)
}
