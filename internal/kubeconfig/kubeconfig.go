// Package kubeconfig puts a cluster, a user and a context of ours into a
// kubeconfig and takes them out again. All that it does not own stays as it was,
// byte for byte: comments, order, quoting, fields that it does not know.
//
// It edits text: the parsed tree says where, and every edit is parsed again and
// compared with what was wanted. Only where no edit of the text will do (lists
// behind an alias, unusual layout) is the file written anew from its tree.
// Taking out what was put in gives back the bytes that were there: text that an
// edit displaces stays behind it as a comment until then.
//
// It does not merge files, resolve paths or check what entries mean; kubectl does:
// https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
package kubeconfig

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// The lists of a kubeconfig, which are keys of its top level.
const (
	clusters = "clusters"
	contexts = "contexts"
	users    = "users"

	currentContext = "current-context"

	insecure = "insecure-skip-tls-verify"
)

// Entry is a context with the cluster and the user that it names.
type Entry struct {
	Cluster, User, Context string // their names

	Server                   string
	CertificateAuthorityData []byte // PEM
	CertificateAuthority     string // or a file of it
	ProxyURL, TLSServerName  string
	// Insecure: the server is not verified. Set keeps it, unless Verify is set.
	Insecure, Verify bool
	Namespace        string

	Exec Exec
}

// Exec is how kubectl runs the plugin. Environment variables are read as they
// stand in the file.
type Exec struct {
	APIVersion, Command string
	Args                []string
	Env                 []EnvVar
	InteractiveMode     string
	InstallHint         string
	ProvideClusterInfo  bool
}

// EnvVar is a variable that kubectl sets for the plugin.
type EnvVar struct{ Name, Value string }

// Parts says which parts of an entry are meant.
type Parts struct{ Cluster, User, Context, Current bool }

// Set puts the entry in. Of an entry that has its name it replaces the server, its
// certificate authority and name, and the exec plugin with all its arguments. All else
// that the entry has it keeps, unless e says otherwise: the context's namespace, the
// proxy, the TLS name, variables of the plugin, insecure-skip-tls-verify (then no
// certificate authority is written: kubectl refuses both), and fields that it does not
// know. A user with credentials of another kind is not replaced.
func Set(data []byte, e Entry, setCurrent bool) ([]byte, error) {
	return SetParts(data, e, Parts{Cluster: true, User: true, Context: true, Current: setCurrent})
}

// SetParts is Set for some parts of the entry.
func SetParts(data []byte, e Entry, which Parts) ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	d, err := parse(data)
	if err != nil {
		return nil, err
	}
	if d.root == nil && which.Cluster && which.User && which.Context {
		return d.create(e, which.Current)
	}
	for _, part := range e.parts() {
		if !map[string]bool{clusters: which.Cluster, contexts: which.Context, users: which.User}[part.list] {
			continue
		}
		if err := d.put(part); err != nil {
			return nil, err
		}
	}
	if which.Current {
		if err := d.setCurrent(e.Context); err != nil {
			return nil, err
		}
	}
	return d.bytes(), nil
}

// Remove takes out the contexts that run the plugin and match, and what only they
// use. A current context that goes is unset. It returns the names of the contexts.
func Remove(data []byte, match func(Item) bool) ([]byte, []string, error) {
	d, err := parse(data)
	if err != nil {
		return nil, nil, err
	}
	plan := Files{{doc: d}}.Removals(match)[0]
	after, err := plan.Apply(data)
	return after, plan.Contexts, err
}

func (e Entry) check() error {
	for _, f := range []struct{ what, value string }{
		{"cluster name", e.Cluster}, {"user name", e.User}, {"context name", e.Context}, {"server", e.Server},
		{"exec apiVersion", e.Exec.APIVersion}, {"exec command", e.Exec.Command},
		{"exec interactiveMode", e.Exec.InteractiveMode}, // v1 demands it
	} {
		if f.value == "" {
			return fmt.Errorf("invalid kubeconfig entry: no %s", f.what)
		}
	}
	if len(e.CertificateAuthorityData) > 0 && e.CertificateAuthority != "" {
		return errors.New("invalid kubeconfig entry: certificate authority both as data and as a file")
	}
	values := append([]string{e.Cluster, e.User, e.Context, e.Server, e.CertificateAuthority, e.ProxyURL, e.TLSServerName,
		e.Namespace, e.Exec.APIVersion, e.Exec.Command, e.Exec.InteractiveMode, e.Exec.InstallHint}, e.Exec.Args...)
	for _, v := range e.Exec.Env {
		values = append(values, v.Name, v.Value)
	}
	for _, v := range values {
		if !utf8.ValidString(v) {
			return fmt.Errorf("invalid kubeconfig entry: %q is not UTF-8", v)
		}
	}
	return nil
}

// part is one entry of one list.
type part struct {
	list, name string
	fill       func(item *yaml.Node) error
}

// parts are in the order of the lists in a file that client-go writes.
func (e Entry) parts() []part {
	return []part{
		{clusters, e.Cluster, e.fillCluster},
		{contexts, e.Context, e.fillContext},
		{users, e.User, e.fillUser},
	}
}

func (e Entry) fillCluster(item *yaml.Node) error {
	c, err := inner(item, "cluster")
	if err != nil {
		return err
	}
	if e.Verify {
		setField(c, insecure, nil)
	}
	data, file := base64.StdEncoding.EncodeToString(e.CertificateAuthorityData), e.CertificateAuthority
	if text(c, insecure) == "true" {
		data, file = "", "" // client-go refuses both
	}
	setText(c, "certificate-authority-data", data)
	setText(c, "certificate-authority", file)
	setText(c, "server", e.Server)
	if e.ProxyURL != "" {
		setText(c, "proxy-url", e.ProxyURL)
	}
	if e.TLSServerName != "" {
		setText(c, "tls-server-name", e.TLSServerName)
	}
	setText(item, "name", e.Cluster)
	return nil
}

func (e Entry) fillContext(item *yaml.Node) error {
	c, err := inner(item, "context")
	if err != nil {
		return err
	}
	setText(c, "cluster", e.Cluster)
	if e.Namespace != "" {
		setText(c, "namespace", e.Namespace)
	}
	setText(c, "user", e.User)
	setText(item, "name", e.Context)
	return nil
}

func (e Entry) fillUser(item *yaml.Node) error {
	setText(item, "name", e.User)
	u, err := inner(item, "user")
	if err != nil {
		return err
	}
	for _, key := range []string{"client-certificate", "client-certificate-data", "client-key", "client-key-data",
		"token", "tokenFile", "username", "password", "auth-provider"} {
		if !isEmpty(field(u, key)) {
			return fmt.Errorf("invalid user name %q: the kubeconfig has a user of this name with other credentials (%s)", e.User, key)
		}
	}
	x, err := inner(u, "exec")
	if err != nil {
		return err
	}
	setText(x, "apiVersion", e.Exec.APIVersion)
	var args []*yaml.Node
	for _, a := range e.Exec.Args {
		args = append(args, scalar(a))
	}
	setField(x, "args", sequence(args))
	setText(x, "command", e.Exec.Command)
	if err := setVariables(x, e.Exec.Env); err != nil {
		return err
	}
	setText(x, "installHint", e.Exec.InstallHint)
	setText(x, "interactiveMode", e.Exec.InteractiveMode)
	if e.Exec.ProvideClusterInfo || isEmpty(field(x, "provideClusterInfo")) {
		setField(x, "provideClusterInfo", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(e.Exec.ProvideClusterInfo)})
	}
	return nil
}

// setVariables adds variables to those that the plugin has, or changes their values.
func setVariables(x *yaml.Node, vars []EnvVar) error {
	if len(vars) == 0 {
		return nil
	}
	i := find(x, "env")
	if i < 0 {
		x.Content = append(x.Content, scalar("env"), scalar(""))
		i = len(x.Content) - 2
	}
	if isEmpty(resolve(x.Content[i+1])) {
		x.Content[i+1] = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	}
	list := x.Content[i+1]
	if list.Kind == yaml.AliasNode {
		list = detach(list)
		x.Content[i+1] = list
	}
	if list == nil || list.Kind != yaml.SequenceNode {
		return fmt.Errorf("malformed kubeconfig: line %d: %q is not a list", x.Content[i].Line, "env")
	}
	for _, v := range vars {
		found := false
		for j, variable := range list.Content {
			if text(variable, "name") != v.Name {
				continue
			}
			if variable.Kind == yaml.AliasNode {
				variable = detach(variable)
				list.Content[j] = variable
			}
			found = true
			setField(variable, "value", scalar(v.Value))
		}
		if !found {
			variable := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
			variable.Content = []*yaml.Node{scalar("name"), scalar(v.Name), scalar("value"), scalar(v.Value)}
			list.Content = append(list.Content, variable)
		}
	}
	return nil
}
