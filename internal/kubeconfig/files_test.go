package kubeconfig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// kubectlReads is what kubectl makes of a list of files.
func kubectlReads(t *testing.T, paths []string) *api.Config {
	t.Helper()
	rules := &clientcmd.ClientConfigLoadingRules{Precedence: paths}
	c, err := rules.Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// put writes an entry as the command does: each part where it belongs.
func put(t *testing.T, paths []string, e Entry, current bool) {
	t.Helper()
	places := Load(paths).Places(e)
	for _, path := range places.Paths(current) {
		_, err := Update(t.Context(), path, func(data []byte) ([]byte, error) { return SetParts(data, e, places.Parts(path, current)) })
		if err != nil {
			t.Fatal(err)
		}
	}
}

func takeOut(t *testing.T, paths []string, names ...string) {
	t.Helper()
	for _, r := range Load(paths).Removals(func(i Item) bool { return strings.Contains(strings.Join(names, " "), i.Context) }) {
		if _, err := os.Stat(r.File); err != nil {
			continue
		}
		if _, err := Update(t.Context(), r.File, r.Apply); err != nil {
			t.Fatal(err)
		}
	}
}

// The current context is set where kubectl reads it, whatever files there are, and
// removing the entry gives the files back, but for a current context that is unset.
func TestTheCurrentContextOfSeveralFiles(t *testing.T) {
	t.Parallel()
	kind := strings.ReplaceAll(plain, "old", "kind")
	bare := strings.ReplaceAll(strings.Replace(plain, "current-context: old\n", "", 1), "old", "bare")
	ours := set(t, "", entry("one"), false)
	tests := map[string]struct {
		list        []string // of files; one that is not a key of files does not exist
		files       map[string]string
		wantCurrent string // the file that sets it then
	}{
		"another's context, then ours":   {[]string{"a", "b"}, map[string]string{"a": kind, "b": ours}, "a"},
		"ours, then another's":           {[]string{"a", "b"}, map[string]string{"a": ours, "b": kind}, "b"},
		"only the third sets it":         {[]string{"a", "b", "c"}, map[string]string{"a": bare, "b": ours, "c": kind}, "c"},
		"none sets it":                   {[]string{"a", "b"}, map[string]string{"a": bare, "b": ours}, "a"},
		"the first does not exist":       {[]string{"a", "b"}, map[string]string{"b": kind}, "b"},
		"none exists":                    {[]string{"a", "b"}, nil, "a"},
		"the first is empty":             {[]string{"a", "b"}, map[string]string{"a": "", "b": kind}, "b"},
		"one file twice":                 {[]string{"a", "a", "./a", "b"}, map[string]string{"a": kind, "b": ours}, "a"},
		"an empty current context first": {[]string{"a", "b"}, map[string]string{"a": bare + "current-context: \"\"\n", "b": kind}, "b"},
		"two that set it":                {[]string{"a", "b"}, map[string]string{"a": kind, "b": plain}, "a"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var paths []string
			for _, name := range test.list {
				paths = append(paths, dir+"/"+name)
			}
			for name, data := range test.files {
				write(t, filepath.Join(dir, name), data)
			}
			before := kubectlReads(t, paths)
			e := entry("one")
			put(t, paths, e, true)
			c := kubectlReads(t, paths)
			if c.CurrentContext != "one" || c.Contexts["one"].Cluster != e.Cluster || c.Clusters[e.Cluster].Server != e.Server || c.AuthInfos[e.User].Exec == nil {
				t.Fatalf("kubectl's current context is %q", c.CurrentContext)
			}
			loaded := Load(paths)
			if name, file := loaded.Current(); name != "one" || filepath.Base(file) != test.wantCurrent {
				t.Error(name, file)
			}
			if items := loaded.Items(); len(items) != 1 || !items[0].Current || loaded.Problem(e, true) != "" {
				t.Error(items, loaded.Problem(e, true))
			}
			takeOut(t, paths, "one")
			c = kubectlReads(t, paths)
			if _, there := c.Contexts[c.CurrentContext]; c.CurrentContext != "" && !there {
				t.Errorf("the current context %q names nothing", c.CurrentContext)
			}
			delete(before.Contexts, "one")
			if len(Load(paths).Items()) != 0 || len(c.Contexts) != len(before.Contexts) {
				t.Errorf("left: %v", c.Contexts)
			}
		})
	}
}

// Parts of one entry in several files, as kubectl config leaves them: each is changed
// where it is, and removed where it is.
func TestPartsInSeveralFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := entry("one")
	whole := set(t, "", e, false)
	part := func(name, list string) string {
		c := load(t, whole)
		for key, drop := range map[string]func(){
			clusters: func() { c.Clusters = nil }, contexts: func() { c.Contexts = nil }, users: func() { c.AuthInfos = nil },
		} {
			if key != list {
				drop()
			}
		}
		data, err := clientcmd.Write(*c)
		if err != nil {
			t.Fatal(err)
		}
		return write(t, filepath.Join(dir, name), string(data))
	}
	paths := []string{part("a", contexts), part("b", users), part("c", clusters), filepath.Join(dir, "d")}
	e.Server, e.Namespace, e.Exec.Args = "https://new.example", "web", []string{"token", "--new"}
	put(t, paths, e, true)
	c := kubectlReads(t, paths)
	if c.CurrentContext != "one" || c.Contexts["one"].Namespace != "web" || c.Clusters[e.Cluster].Server != e.Server || len(c.AuthInfos[e.User].Exec.Args) != 2 {
		t.Errorf("%+v", c)
	}
	if _, err := os.Stat(paths[3]); err == nil {
		t.Error("a file was made")
	}
	takeOut(t, paths, "one")
	c = kubectlReads(t, paths)
	if diff := cmp.Diff([]int{0, 0, 0}, []int{len(c.Contexts), len(c.Clusters), len(c.AuthInfos)}); diff != "" || c.CurrentContext != "" {
		t.Error(diff, c.CurrentContext)
	}
}

// A user or a cluster that a context of another file uses stays.
func TestRemovalKeepsWhatAnotherFileUses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := entry("one")
	a := write(t, filepath.Join(dir, "a"), "contexts:\n- name: mine\n  context: {cluster: "+e.Cluster+", user: one-user}\ncurrent-context: one\n")
	b := write(t, filepath.Join(dir, "b"), set(t, "", e, true))
	takeOut(t, []string{a, b}, "one")
	c := kubectlReads(t, []string{a, b})
	if c.AuthInfos["one-user"] == nil || c.Clusters[e.Cluster] == nil || c.Contexts["one"] != nil || c.CurrentContext != "" {
		t.Errorf("%+v", c)
	}
	// Of a name that another program has, too, the current context stays.
	other := write(t, filepath.Join(dir, "other"), strings.ReplaceAll(plain, "old", "one"))
	b = write(t, filepath.Join(dir, "b"), set(t, "", e, true))
	takeOut(t, []string{b, other}, "one")
	if c := kubectlReads(t, []string{b, other}); c.CurrentContext != "one" || c.Contexts["one"].Cluster != "one" {
		t.Errorf("%+v", c)
	}
}

func TestConflicts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := entry("other")
	aws := entry("aws")
	aws.Exec.Command = "aws"
	a := write(t, filepath.Join(dir, "a"), set(t, set(t, "", other, true), aws, false))
	b := write(t, filepath.Join(dir, "b"), set(t, "", entry("one"), true))
	tests := map[string]struct {
		change func(*Entry)
		want   []string
	}{
		"itself":                     {func(*Entry) {}, nil},
		"a new name":                 {func(e *Entry) { e.Context, e.User = "new", "new" }, nil},
		"another cluster's context":  {func(e *Entry) { e.Context = "other" }, []string{`context "other" is of cluster "` + other.Cluster + `"`}},
		"another cluster's user":     {func(e *Entry) { e.User = "other-user" }, []string{`user "other-user" is that of context "other" of cluster "` + other.Cluster + `"`}},
		"another program's user":     {func(e *Entry) { e.User = "aws-user" }, []string{`user "aws-user" runs "aws"`}},
		"a context of no cluster":    {func(e *Entry) { e.Context = "old" }, nil},
		"a second role's user stays": {func(e *Entry) { e.User, e.Context = "second", "second" }, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := entry("one")
			test.change(&e)
			if diff := cmp.Diff(test.want, Load([]string{b, a}).Conflicts(e)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A file that can't be read is named, and the others are used.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := entry("one")
	with, bad := write(t, filepath.Join(dir, "with"), set(t, "", e, false)), write(t, filepath.Join(dir, "bad"), "secret: [")
	files := Load([]string{bad, dir, with})
	places := files.Places(e)
	if places.Cluster != with || places.User != with || places.Context != with || len(files.Items()) != 1 {
		t.Errorf("%+v", places)
	}
	for _, err := range files.Unreadable(places.Paths(true)) {
		if !strings.HasPrefix(err.Error(), "reading ") || strings.Contains(err.Error(), "secret") {
			t.Error(err)
		}
	}
	if len(files.Unreadable(nil)) != 2 || len(files.Unreadable([]string{bad})) != 1 || files.Err() == nil {
		t.Error(files.Err())
	}
}

func TestProblem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := entry("one")
	with := write(t, filepath.Join(dir, "with"), set(t, "", e, true))
	moved := entry("one")
	moved.Server = "https://moved.example"
	tests := map[string]struct {
		paths []string
		want  string
	}{
		"none":               {[]string{with}, ""},
		"not there":          {[]string{filepath.Join(dir, "missing")}, `it finds no context "one" of this cluster`},
		"shadowed":           {[]string{write(t, filepath.Join(dir, "moved"), set(t, "", moved, false)), with}, `it finds another cluster or user for context "one"`},
		"another is current": {[]string{write(t, filepath.Join(dir, "plain"), plain), with}, `the current context is "old", set in ` + filepath.Join(dir, "plain")},
		"malformed":          {[]string{with, write(t, filepath.Join(dir, "bad"), "secret: [")}, `reading "` + filepath.Join(dir, "bad") + `": malformed kubeconfig: line 1: did not find expected node content`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, Load(test.paths).Problem(e, true)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
