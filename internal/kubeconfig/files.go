package kubeconfig

import (
	"fmt"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Files are kubeconfigs as kubectl merges them: of entries of one name the first
// file's counts, and the current context is the first that is set.
type Files []*loaded

type loaded struct {
	path string
	doc  *document // empty if the file is not there
	err  error     // why it can't be read
}

// FileItem is a context that runs the plugin, and the file it is in.
type FileItem struct {
	File string
	Item
}

// Load reads kubeconfigs. One that is named twice is read once.
func Load(paths []string) Files {
	var files Files
	var seen []string
	for _, path := range paths {
		same := path
		if resolved, err := filepath.EvalSymlinks(path); err == nil {
			same = resolved
		}
		if abs, err := filepath.Abs(same); err == nil {
			same = abs
		}
		if slices.Contains(seen, same) {
			continue
		}
		seen = append(seen, same)
		f := &loaded{path: path, doc: &document{}}
		data, err := Read(path)
		if err == nil {
			var doc *document
			if doc, err = parse(data); err != nil {
				err = fmt.Errorf("reading %q: %w", path, err)
			} else {
				f.doc = doc
			}
		}
		f.err = err
		files = append(files, f)
	}
	return files
}

// Err is why the first of the files that can't be read can't.
func (f Files) Err() error {
	for _, one := range f {
		if one.err != nil {
			return one.err
		}
	}
	return nil
}

// Unreadable is why files can't be read, but for those that are to be written.
func (f Files) Unreadable(written []string) []error {
	var all []error
	for _, one := range f {
		if one.err != nil && !slices.Contains(written, one.path) {
			all = append(all, one.err)
		}
	}
	return all
}

// Current is the current context and the file that sets it; empty if none does.
func (f Files) Current() (name, file string) {
	for _, one := range f {
		if name := text(one.doc.root, currentContext); name != "" {
			return name, one.path
		}
	}
	return "", ""
}

// Items are the contexts whose user runs the plugin, in the files' order.
func (f Files) Items() []FileItem {
	var items []FileItem
	current, _ := f.Current()
	for _, one := range f {
		for _, item := range one.doc.itemsIn(f.entry) {
			item.Current = current != "" && item.Context == current && f.holder(contexts, item.Context) == one
			items = append(items, FileItem{one.path, item})
		}
	}
	return items
}

// Has says whether there is a context of this name.
func (f Files) Has(context string) bool { return f.holder(contexts, context) != nil }

// holder is the file whose entry of this name counts, nil if there is none.
func (f Files) holder(list, name string) *loaded {
	for _, one := range f {
		if one.doc.position(list, name) >= 0 {
			return one
		}
	}
	return nil
}

// entry is the value of an entry's key, nil if there is no such entry.
func (f Files) entry(list, name, key string) *yaml.Node {
	if one := f.holder(list, name); one != nil {
		return one.doc.entry(list, name, key)
	}
	return nil
}

// Places are the files that the parts of an entry belong into.
type Places struct{ Cluster, User, Context, Current string }

// Places finds the files to write an entry into, so that kubectl uses it: each part
// where it stands already. What is new goes where the cluster is, else the user, else
// the context, else into the first file. The current context is set where it is set
// already, else in the first file that holds anything.
func (f Files) Places(e Entry) Places {
	if len(f) == 0 {
		return Places{}
	}
	p := Places{}
	base := ""
	for _, part := range []struct {
		place      *string
		list, name string
	}{{&p.Cluster, clusters, e.Cluster}, {&p.User, users, e.User}, {&p.Context, contexts, e.Context}} {
		if one := f.holder(part.list, part.name); one != nil {
			*part.place = one.path
			base = or(base, one.path)
		}
	}
	base = or(base, f[0].path)
	p.Cluster, p.User, p.Context = or(p.Cluster, base), or(p.User, base), or(p.Context, base)
	if _, p.Current = f.Current(); p.Current == "" {
		p.Current = base
		for _, one := range f {
			if one.doc.root != nil {
				p.Current = one.path
				break
			}
		}
	}
	return p
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Paths are the files to write, each once, the current context's last.
func (p Places) Paths(current bool) []string {
	var all []string
	for _, path := range []string{p.Cluster, p.User, p.Context, p.Current} {
		if !slices.Contains(all, path) {
			all = append(all, path)
		}
	}
	if !current && p.Parts(all[len(all)-1], false) == (Parts{}) {
		all = all[:len(all)-1]
	}
	return all
}

// Parts are those that belong into a file.
func (p Places) Parts(path string, current bool) Parts {
	return Parts{Cluster: p.Cluster == path, User: p.User == path, Context: p.Context == path, Current: current && p.Current == path}
}

// Conflicts says what else the names of an entry stand for: a context of another
// cluster, a user of a context of another cluster, a user that runs another program.
func (f Files) Conflicts(e Entry) []string {
	var all []string
	if c := f.entry(contexts, e.Context, "context"); c != nil && text(c, "cluster") != e.Cluster {
		all = append(all, fmt.Sprintf("context %q is of cluster %q", e.Context, text(c, "cluster")))
	}
	x := readExec(field(f.entry(users, e.User, "user"), "exec"))
	if x.Command != "" && !IsOurs(x.Command, x.Args) {
		return append(all, fmt.Sprintf("user %q runs %q", e.User, x.Command))
	}
	for _, one := range f {
		for _, c := range one.doc.list(contexts) {
			body := field(c, "context")
			if name := text(c, "name"); name != e.Context && text(body, "user") == e.User && text(body, "cluster") != e.Cluster {
				return append(all, fmt.Sprintf("user %q is that of context %q of cluster %q", e.User, name, text(body, "cluster")))
			}
		}
	}
	return all
}

// Problem says why kubectl, reading these files, would not use the entry; empty if it
// would. With current it must be the current context as well.
func (f Files) Problem(e Entry, current bool) string {
	if err := f.Err(); err != nil {
		return err.Error()
	}
	c := f.entry(contexts, e.Context, "context")
	x := readExec(field(f.entry(users, e.User, "user"), "exec"))
	switch name, file := f.Current(); {
	case c == nil || text(c, "cluster") != e.Cluster || text(c, "user") != e.User:
		return fmt.Sprintf("it finds no context %q of this cluster", e.Context)
	case text(f.entry(clusters, e.Cluster, "cluster"), "server") != e.Server || !slices.Equal(x.Args, e.Exec.Args) || x.Command != e.Exec.Command:
		return fmt.Sprintf("it finds another cluster or user for context %q", e.Context)
	case current && name == "":
		return "it finds no current context"
	case current && name != e.Context:
		return fmt.Sprintf("the current context is %q, set in %s", name, file)
	}
	return ""
}

// Removal is what is to be taken out of one file.
type Removal struct {
	File                      string
	Contexts, Users, Clusters []string
	UnsetCurrent              bool // if it is one of those that are removed, of any file
}

// Empty says that there is nothing to take out.
func (r Removal) Empty() bool {
	return len(r.Contexts)+len(r.Users)+len(r.Clusters) == 0 && !r.UnsetCurrent
}

// Removals are what is to be taken out so that the contexts that match are gone: they,
// the users and clusters that only they use, and the current context if it would name
// nothing.
func (f Files) Removals(match func(Item) bool) []Removal {
	plans := make([]Removal, len(f))
	removed := map[string]bool{}
	var gone []FileItem
	for _, item := range f.Items() {
		if !match(item.Item) {
			continue
		}
		gone, removed[item.Context] = append(gone, item), true
		p := &plans[f.index(item.File)]
		p.Contexts = append(p.Contexts, item.Context)
	}
	usedUsers, usedClusters, left := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i, one := range f {
		for _, c := range one.doc.list(contexts) {
			if name := text(c, "name"); !slices.Contains(plans[i].Contexts, name) {
				body := field(c, "context")
				usedUsers[text(body, "user")], usedClusters[text(body, "cluster")], left[name] = true, true, true
			}
		}
	}
	for _, item := range gone {
		if !usedUsers[item.User] {
			f.takeOut(plans, users, item.User, item.File)
		}
		if !usedClusters[item.Cluster] {
			f.takeOut(plans, clusters, item.Cluster, item.File)
		}
	}
	for i, one := range f {
		plans[i].File = one.path
		if name := text(one.doc.root, currentContext); removed[name] && !left[name] {
			plans[i].UnsetCurrent = true
		}
	}
	return plans
}

func (f Files) index(path string) int {
	return slices.IndexFunc(f, func(one *loaded) bool { return one.path == path })
}

// takeOut plans to take an entry out of the file that counts, and of the context's own.
func (f Files) takeOut(plans []Removal, list, name, file string) {
	for _, one := range []*loaded{f.holder(list, name), f[f.index(file)]} {
		if one == nil || one.doc.position(list, name) < 0 {
			continue
		}
		p := &plans[f.index(one.path)]
		names := map[string]*[]string{users: &p.Users, clusters: &p.Clusters}[list]
		if !slices.Contains(*names, name) {
			*names = append(*names, name)
		}
	}
}

// Apply takes out what is planned of a file's text. What another context of the file
// uses by now stays.
func (r Removal) Apply(data []byte) ([]byte, error) {
	d, err := parse(data)
	if err != nil {
		return nil, err
	}
	whole := d.isCreated()
	for _, name := range r.Contexts {
		if err := d.remove(contexts, name); err != nil {
			return nil, err
		}
	}
	for _, part := range []struct {
		list, key string
		names     []string
	}{{users, "user", r.Users}, {clusters, "cluster", r.Clusters}} {
		for _, name := range part.names {
			used := slices.ContainsFunc(d.list(contexts), func(c *yaml.Node) bool { return text(field(c, "context"), part.key) == name })
			if used {
				continue
			}
			if err := d.remove(part.list, name); err != nil {
				return nil, err
			}
		}
	}
	if current := text(d.root, currentContext); r.UnsetCurrent && current != "" && d.position(contexts, current) < 0 {
		if err := d.unsetCurrent(); err != nil {
			return nil, err
		}
	}
	if whole && len(d.list(contexts))+len(d.list(clusters))+len(d.list(users)) == 0 && text(d.root, currentContext) == "" {
		for _, key := range []string{currentContext, "kind", "apiVersion"} {
			if d.key(key) < 0 {
				continue
			}
			if err := d.removeKey(key); err != nil {
				return nil, err
			}
		}
	}
	return d.bytes(), nil
}
