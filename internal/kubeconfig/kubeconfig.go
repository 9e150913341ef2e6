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
)

// Entry is a context with the cluster and the user that it names.
type Entry struct {
	Cluster, User, Context string // their names

	Server                   string
	CertificateAuthorityData []byte // PEM
	CertificateAuthority     string // or a file of it
	ProxyURL, TLSServerName  string
	Namespace                string

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

// Set puts the entry in. Of an entry that has its name it replaces the server, its
// certificate authority, proxy and name, and the exec plugin with all its
// arguments; it keeps the context's namespace if e has none, and fields that it
// does not know. A user with credentials of another kind is not replaced.
func Set(data []byte, e Entry, setCurrent bool) ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	d, err := parse(data)
	if err != nil {
		return nil, err
	}
	if d.root == nil {
		return d.create(e, setCurrent)
	}
	for _, part := range e.parts() {
		if err := d.put(part); err != nil {
			return nil, err
		}
	}
	if setCurrent {
		if err := d.setCurrent(e.Context); err != nil {
			return nil, err
		}
	}
	return d.bytes(), nil
}

// Remove takes out the contexts of ours that match, and what only they use: users
// that run our plugin, and clusters. A current context that goes is unset. It
// returns the names of the contexts.
func Remove(data []byte, match func(Item) bool) ([]byte, []string, error) {
	d, err := parse(data)
	if err != nil {
		return nil, nil, err
	}
	whole := d.isCreated()
	var removed []string
	for _, item := range d.items() {
		if !match(item) {
			continue
		}
		if err := d.take(item); err != nil {
			return nil, nil, err
		}
		removed = append(removed, item.Context)
	}
	if whole && len(d.items()) == 0 && text(d.root, currentContext) == "" && len(d.list(clusters))+len(d.list(users)) == 0 {
		for _, key := range []string{currentContext, "kind", "apiVersion"} {
			if d.key(key) < 0 {
				continue
			}
			if err := d.removeKey(key); err != nil {
				return nil, nil, err
			}
		}
	}
	return d.bytes(), removed, nil
}

// take removes one context, and its user and cluster if no other uses them.
func (d *document) take(item Item) error {
	if err := d.remove(contexts, item.Context); err != nil {
		return err
	}
	userUsed, clusterUsed := false, false
	for _, other := range d.list(contexts) {
		c := field(other, "context")
		userUsed = userUsed || text(c, "user") == item.User
		clusterUsed = clusterUsed || text(c, "cluster") == item.Cluster
	}
	if !userUsed {
		if err := d.remove(users, item.User); err != nil {
			return err
		}
	}
	if !clusterUsed {
		if err := d.remove(clusters, item.Cluster); err != nil {
			return err
		}
	}
	if item.Current {
		return d.unsetCurrent()
	}
	return nil
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
	setText(c, "certificate-authority-data", base64.StdEncoding.EncodeToString(e.CertificateAuthorityData))
	setText(c, "certificate-authority", e.CertificateAuthority)
	if len(e.CertificateAuthorityData) > 0 || e.CertificateAuthority != "" {
		setField(c, "insecure-skip-tls-verify", nil) // client-go refuses both
	}
	setText(c, "server", e.Server)
	setText(c, "proxy-url", e.ProxyURL)
	setText(c, "tls-server-name", e.TLSServerName)
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
	var args, env []*yaml.Node
	for _, a := range e.Exec.Args {
		args = append(args, scalar(a))
	}
	for _, v := range e.Exec.Env {
		variable := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		variable.Content = []*yaml.Node{scalar("name"), scalar(v.Name), scalar("value"), scalar(v.Value)}
		env = append(env, variable)
	}
	setField(x, "args", sequence(args))
	setText(x, "command", e.Exec.Command)
	setField(x, "env", sequence(env))
	setText(x, "installHint", e.Exec.InstallHint)
	setText(x, "interactiveMode", e.Exec.InteractiveMode)
	setField(x, "provideClusterInfo", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(e.Exec.ProvideClusterInfo)})
	return nil
}
