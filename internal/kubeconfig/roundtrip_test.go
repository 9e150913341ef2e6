package kubeconfig

import (
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
)

// awkward are files that must come back byte for byte.
func awkward() map[string]string {
	const noCurrent = "apiVersion: v1\nkind: Config\n"
	return map[string]string{
		"plain":                        plain,
		"windows line breaks":          strings.ReplaceAll(plain, "\n", "\r\n"),
		"byte order mark":              "\uFEFF" + plain,
		"UTF-16":                       utf16Text(binary.LittleEndian, "\uFEFF"+noCurrent+"x: ü𝄞\n"),
		"UTF-16, big-endian":           utf16Text(binary.BigEndian, "\uFEFFclusters: [] # none\r\n"),
		"no last line break":           strings.TrimSuffix(plain, "\n"),
		"no last line break in a list": "users:\n- name: a\n  user: {}",
		"lists indented":               "clusters:\n  - name: a\n    cluster: {server: s}\n  # last\ncontexts:\n  -   name: a\n      context: {}\nusers:\n  - name: a\n",
		"all indented":                 "  clusters:\n  - name: a\n  users:\n  - name: a\n",
		"empty":                        "",
		"only a line break":            "\n",
		"only a comment":               "# nothing yet\n",
		"comment without line break":   "# nothing yet",
		"document markers":             "%YAML 1.1\n---\nusers: []\n...\n# after\n",
		"markers around nothing":       "---\n...\n",
		"only apiVersion and kind":     noCurrent,
		"client-go's empty one":        "apiVersion: v1\nclusters: null\ncontexts: null\ncurrent-context: \"\"\nkind: Config\nusers: null\n",
		"empty lists":                  noCurrent + "clusters: [ ]   # none\nusers: ~\ncontexts:\ncurrent-context: '' # none\n",
		"empty lists, no values":       "clusters:\nusers: # null\ncontexts: \ncurrent-context:",
		"empty list on its own line":   "clusters:\n  []\nusers: [\n]\n",
		"empty list with an anchor":    "clusters: &none []\nusers: &some\n- name: a\n",
		"flow lists":                   "clusters: [{name: a, cluster: {server: 'it''s, ]'}}] # x\nusers: [\n  {name: it's},\n  # y\n  {name: b}\n]\n",
		"braces":                       "{}",
		"braces with a space":          "{ }\n",
		"JSON":                         "{\n\t\"apiVersion\": \"v1\",\n\t\"clusters\": [\n\t\t{\"name\": \"a\", \"cluster\": {\"server\": \"}\\\"]\"}}\n\t],\n\t\"kind\": \"Config\", \"users\": []\n}\n",
		"anchors":                      "x: &c\n  server: https://a\nclusters:\n- name: a\n  cluster: *c\n- name: b\n  cluster: {<<: *c, proxy-url: p}\n",
		"quoted keys":                  "\"clusters\" : []\n'users': null\n",
		"block scalar at the end":      "clusters: []\nx: |+\n  a\n  # b\n\n\n",
		"dash alone":                   "clusters:\n-\n  name: a\n- # b\n  name: b\n",
		"wide characters":              "# ü\n\"ü\": \"日本\"\nclusters: [{name: 日本, x: [ü, \"日\"]}, {name: c}]\n",
		"odd line breaks":              "x: \"a\u2028b\"\nclusters: []\n",
		"values that are no strings":   "port: 010\nyes: 1_000\nusers: []\ntime: 12:30:45\n",
	}
}

func utf16Text(order binary.ByteOrder, text string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = append(b, 0, 0)
		order.PutUint16(b[len(b)-2:], unit)
	}
	return string(b)
}

func TestAddThenRemoveGivesTheBytesBack(t *testing.T) {
	t.Parallel()
	for name, before := range awkward() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one := set(t, before, entry("one"), !strings.Contains(before, "current-context: old"))
			if again := set(t, one, entry("one"), false); again != one {
				t.Errorf("set again changes:\n%s", cmp.Diff(one, again))
			}
			two := set(t, one, entry("two"), false)
			if strings.HasPrefix(before, "{\n") && !json.Valid([]byte(two)) {
				t.Errorf("no longer JSON:\n%s", two)
			}
			items, err := List([]byte(two))
			if err != nil || len(items) != 2 {
				t.Fatalf("%d items, %v\n%s", len(items), err, two)
			}
			for _, i := range items {
				if diff := cmp.Diff(entry(i.Context), i.Entry); diff != "" {
					t.Errorf("%s\n%s", diff, two)
				}
			}
			if back := removeNamed(t, two, "two"); back != one {
				t.Errorf("removing the second: %s", cmp.Diff(one, back))
			}
			if back := removeNamed(t, removeNamed(t, two, "one"), "two"); back != before {
				t.Errorf("removing the first, then the second: %s\n%s", cmp.Diff(before, back), two)
			}
		})
	}
}

// These can't come back: there is no place to keep what was there.
func TestWhatDoesNotComeBack(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		before, after string
		current       bool
	}{
		"null in braces comes back as an empty list": {`{"users": null}`, `{"users": []}`, false},
		"the current context that was replaced is gone": {
			"current-context: old\nusers: []\n", "users: []\n", true},
		"a list behind an alias is written out": {
			"x: &l\n- name: a\nusers: *l\n", "x: &l\n- name: a\nusers:\n- name: a\n", false},
		"a null on the next line moves up": {"users:\n  null # no\nx: 1\n", "x: 1\n", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			added := set(t, test.before, entry("one"), test.current)
			if diff := cmp.Diff(test.after, removeNamed(t, added, "one")); diff != "" {
				t.Errorf("%s\n%s", diff, added)
			}
		})
	}
}

// What is added is taken out without a trace, from any file that can be edited.
// The trace in bytes is looked for with plain names: of odd ones in odd files the
// whole is written anew from its tree.
func FuzzAddThenRemove(f *testing.F) {
	for _, data := range awkward() {
		f.Add([]byte(data), "one", false)
		f.Add([]byte(data), "one: two\n# x", true)
	}
	f.Fuzz(func(t *testing.T, data []byte, name string, current bool) {
		d, err := parse(data)
		if err != nil {
			return
		}
		if text(d.root, currentContext) != "" {
			current = false
		}
		e := entry("fuzz")
		e.Context, e.User, e.Exec.InstallHint = "fuzz "+name, "fuzz "+name, name
		plain := entry("fuzz")
		if clash(d, e) || clash(d, plain) {
			return
		}
		if added, err := Set(data, plain, current); err == nil && within(data, added) && (canonical(t, data) || !canonical(t, added)) {
			if back := removeNamed(t, string(added), plain.Context); back != string(data) {
				t.Errorf("%q\n%q\n%q", data, added, back)
			}
		}
		added, err := Set(data, e, current)
		if err != nil {
			return
		}
		if c, err := clientcmd.Load(added); err == nil {
			if u := c.AuthInfos[e.User]; u == nil || u.Exec == nil || u.Exec.InstallHint != name || c.Contexts[e.Context].AuthInfo != e.User {
				t.Errorf("client-go does not read it:\n%s", added)
			}
		}
		if again, err := Set(added, e, current); err != nil || string(again) != string(added) {
			t.Errorf("set again changes it: %v\n%s\n---\n%s", err, added, again)
		}
		back, removed, err := Remove(added, func(i Item) bool { return i.Context == e.Context })
		if err != nil || len(removed) != 1 {
			t.Fatalf("%v %v\n%s", removed, err, added)
		}
		if before, err := clientcmd.Load(data); err == nil {
			after, err := clientcmd.Load(back)
			if err != nil || dump(t, after) != dump(t, before) {
				t.Errorf("not the same to client-go: %v\n%s\n---\n%s", err, data, back)
			}
		}
	})
}

// clash says whether the file has something of the entry's names already.
func clash(d *document, e Entry) bool {
	if d.position(contexts, e.Context) >= 0 || d.position(users, e.User) >= 0 || d.position(clusters, e.Cluster) >= 0 || text(d.root, currentContext) == e.Context {
		return true
	}
	for _, c := range d.list(contexts) {
		if b := field(c, "context"); text(b, "user") == e.User || text(b, "cluster") == e.Cluster {
			return true
		}
	}
	return false
}

// canonical says whether a file may have been written from its tree.
func canonical(t *testing.T, data []byte) bool {
	t.Helper()
	d, err := parse(data)
	if err != nil || d.top == nil {
		return false
	}
	out, err := encode(d.top)
	return err == nil && string(out) == string(data)
}

// within says whether an edit only put text in. One that wrote the file anew from
// its tree, or took a null's place in braces, did more.
func within(data, edited []byte) bool {
	for _, c := range edited {
		if len(data) > 0 && c == data[0] {
			data = data[1:]
		}
	}
	return len(data) == 0
}
