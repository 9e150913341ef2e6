package kubeconfig

import (
	"encoding/base64"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Item is a context of ours as it stands in a file.
type Item struct {
	Entry
	Current bool
}

// List are the contexts whose user runs our plugin, in the file's order.
func List(data []byte) ([]Item, error) {
	d, err := parse(data)
	if err != nil {
		return nil, err
	}
	return d.items(), nil
}

// IsOurs says whether a kubeconfig's exec plugin is this program, also as a plugin
// of kubectl.
func IsOurs(command string, args []string) bool {
	base := command[strings.LastIndexAny(command, `/\`)+1:]
	if n := len(base) - len(".exe"); n > 0 && strings.EqualFold(base[n:], ".exe") {
		base = base[:n]
	}
	switch base {
	case "eks-x509", "kubectl-eks_x509", "kubectl-eks-x509":
		return true
	case "kubectl":
		return len(args) > 0 && (args[0] == "eks-x509" || args[0] == "eks_x509")
	}
	return false
}

// entry is the value of an entry's key, nil if there is no such entry.
func (d *document) entry(list, name, key string) *yaml.Node {
	if i := d.position(list, name); i >= 0 {
		return field(d.list(list)[i], key)
	}
	return nil
}

func (d *document) items() []Item { return d.itemsIn(d.entry) }

// itemsIn are the contexts of the document, with users and clusters of wherever named
// finds them.
func (d *document) itemsIn(named func(list, name, key string) *yaml.Node) []Item {
	current := text(d.root, currentContext)
	var items []Item
	for _, c := range d.list(contexts) {
		body := field(c, "context")
		item := Item{Entry: Entry{Context: text(c, "name"), Cluster: text(body, "cluster"), User: text(body, "user"), Namespace: text(body, "namespace")}}
		item.Exec = readExec(field(named(users, item.User, "user"), "exec"))
		if !IsOurs(item.Exec.Command, item.Exec.Args) {
			continue
		}
		cluster := named(clusters, item.Cluster, "cluster")
		item.Server = text(cluster, "server")
		// Bad base64 is kubectl's to complain of; here it is as no data.
		item.CertificateAuthorityData, _ = base64.StdEncoding.DecodeString(text(cluster, "certificate-authority-data"))
		item.CertificateAuthority = text(cluster, "certificate-authority")
		item.ProxyURL = text(cluster, "proxy-url")
		item.Insecure = text(cluster, insecure) == "true"
		item.TLSServerName = text(cluster, "tls-server-name")
		item.Current = item.Context == current && current != ""
		items = append(items, item)
	}
	return items
}

func readExec(n *yaml.Node) Exec {
	e := Exec{
		APIVersion: text(n, "apiVersion"), Command: text(n, "command"), InteractiveMode: text(n, "interactiveMode"),
		InstallHint: text(n, "installHint"), ProvideClusterInfo: text(n, "provideClusterInfo") == "true",
	}
	if args := field(n, "args"); args != nil && args.Kind == yaml.SequenceNode {
		for _, a := range args.Content {
			if a = resolve(a); a != nil {
				e.Args = append(e.Args, a.Value)
			}
		}
	}
	if env := field(n, "env"); env != nil && env.Kind == yaml.SequenceNode {
		for _, v := range env.Content {
			e.Env = append(e.Env, EnvVar{Name: text(v, "name"), Value: text(v, "value")})
		}
	}
	return e
}
