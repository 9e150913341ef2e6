package kubeconfig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

func TestPaths(t *testing.T) {
	t.Parallel()
	list := func(paths ...string) string { return strings.Join(paths, string(os.PathListSeparator)) }
	tests := map[string]struct {
		flag string
		env  map[string]string
		want []string
	}{
		"the flag wins":                  {"f", map[string]string{"KUBECONFIG": "a", "HOME": "h"}, []string{"f"}},
		"KUBECONFIG, without empty ones": {"", map[string]string{"KUBECONFIG": list("", "a", "", "b"), "HOME": "h"}, []string{"a", "b"}},
		"an empty list is none":          {"", map[string]string{"KUBECONFIG": list("", ""), "HOME": "h"}, []string{filepath.Join("h", ".kube", "config")}},
		"the profile of Windows":         {"", map[string]string{"USERPROFILE": "u"}, []string{filepath.Join("u", ".kube", "config")}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Paths(test.flag, func(k string) string { return test.env[k] })
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Error(diff, err)
			}
		})
	}
	_, err := Paths("", func(string) string { return "" })
	if want := "finding the kubeconfig: no home directory found, and KUBECONFIG is not set"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func write(t *testing.T, path, data string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func add(e Entry) func([]byte) ([]byte, error) {
	return func(data []byte) ([]byte, error) { return Set(data, e, false) }
}

func update(t *testing.T, path string, e Entry) bool {
	t.Helper()
	changed, err := Update(t.Context(), path, add(e))
	if err != nil {
		t.Error(err)
	}
	return changed
}

func TestUpdateKeepsModesAndLinks(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes and links of Unix")
	}
	dir := t.TempDir()
	fresh := filepath.Join(dir, "made", "config")
	if !update(t, fresh, entry("one")) || update(t, fresh, entry("one")) {
		t.Error("not changed, or changed again")
	}
	shared := write(t, filepath.Join(dir, "shared"), plain)
	if err := os.Chmod(shared, 0o644); err != nil {
		t.Fatal(err)
	}
	link, dangling, loop := filepath.Join(dir, "link"), filepath.Join(dir, "dangling"), filepath.Join(dir, "loop")
	for name, to := range map[string]string{link: "shared", dangling: filepath.Join(dir, "new", "config"), loop: "loop"} {
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
	}
	update(t, link, entry("one"))
	update(t, dangling, entry("one"))
	for path, want := range map[string]os.FileMode{
		filepath.Dir(fresh): 0o700 | os.ModeDir, fresh: 0o600, shared: 0o644, filepath.Join(dir, "new", "config"): 0o600,
		link: 0o777 | os.ModeSymlink, dangling: 0o777 | os.ModeSymlink,
	} {
		if info, err := os.Lstat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, want %v (%v)", path, info.Mode(), want, err)
		}
	}
	if diff := cmp.Diff(set(t, plain, entry("one"), false), read(t, shared)); diff != "" {
		t.Error(diff)
	}
	if _, err := Update(t.Context(), loop, add(entry("one"))); err == nil || !strings.HasPrefix(err.Error(), "finding kubeconfig: ") {
		t.Error(err)
	}
	if locks, _ := filepath.Glob(filepath.Join(dir, "*", "*.lock")); locks != nil {
		t.Error("left behind:", locks)
	}
}

func TestUpdateLeavesTheFileAloneOnErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "config"), "a: b\nsecret: {\n")
	_, err := Update(t.Context(), path, add(entry("one")))
	if want := fmt.Sprintf("changing %q: malformed kubeconfig: line 2: did not find expected node content", path); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if read(t, path) != "a: b\nsecret: {\n" {
		t.Error("changed")
	}
	if _, err = Update(t.Context(), dir, add(entry("one"))); err == nil || !strings.HasSuffix(err.Error(), "not a regular file") {
		t.Error(err)
	}
	if _, err = Read(dir); err == nil || !strings.HasSuffix(err.Error(), "not a regular file") {
		t.Error(err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Error(names)
	}
}

func TestALockThatStaysIsNamed(t *testing.T) {
	t.Parallel()
	path := write(t, filepath.Join(t.TempDir(), "config"), plain)
	write(t, path+".lock", "")
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := Update(t.Context(), path, add(entry("one")))
		locked, ok := errors.AsType[*LockedError](err)
		if !ok || filepath.Base(locked.Path) != "config.lock" || time.Since(start) != lockWait || !strings.Contains(err.Error(), "remove it") {
			t.Error(err, time.Since(start))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Update(ctx, path, add(entry("one"))); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	if _, err := os.Stat(path + ".lock"); err != nil || read(t, path) != plain {
		t.Error("touched what another holds", err)
	}
}

// Twelve at once, by two names, leave a file with all twelve.
func TestTwelveAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "config"), plain)
	names := []string{path, path}
	if runtime.GOOS != "windows" { // where links need a privilege
		names[1] = filepath.Join(dir, "link")
		if err := os.Symlink("config", names[1]); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() { update(t, names[i%2], entry(fmt.Sprint("c", i))) })
	}
	wg.Wait()
	c := load(t, read(t, path))
	if len(c.Contexts) != 13 || len(c.Clusters) != 13 || len(c.AuthInfos) != 13 {
		t.Errorf("%d contexts", len(c.Contexts))
	}
	for i := range 12 {
		data := removeNamed(t, read(t, path), fmt.Sprint("c", i))
		write(t, path, data)
	}
	if diff := cmp.Diff(plain, read(t, path)); diff != "" {
		t.Error(diff)
	}
}

// kubectl config and we exclude each other. kubectl does not wait for the lock, and
// reads the file before it takes it: of what it did the test asks only that it is
// there if kubectl said so, and of ours that it survives in whole or not at all.
func TestBesideKubectlConfig(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("a file that kubectl is reading cannot be replaced")
	}
	path := write(t, filepath.Join(t.TempDir(), "config"), plain)
	options := clientcmd.NewDefaultPathOptions()
	options.LoadingRules.ExplicitPath = path
	var wg sync.WaitGroup
	var done []string
	wg.Go(func() {
		for i := range 8 {
			update(t, path, entry(fmt.Sprint("ours", i)))
		}
	})
	wg.Go(func() {
		for i := 0; len(done) < 8; i++ {
			start, err := options.GetStartingConfig()
			if err != nil {
				t.Error("kubectl saw half a file:", err)
				return
			}
			name := fmt.Sprint("kubectl", i)
			start.Contexts[name] = &api.Context{Cluster: "old", AuthInfo: "old"}
			if clientcmd.ModifyConfig(options, *start, false) == nil {
				done = append(done, name)
			}
		}
	})
	wg.Wait()
	c := load(t, read(t, path))
	for _, name := range done {
		if c.Contexts[name] == nil {
			t.Errorf("%s is lost", name)
		}
	}
	for i := range 8 {
		if e := entry(fmt.Sprint("ours", i)); c.Contexts[e.Context] == nil {
			// kubectl read before we wrote, and took what it did not know for deleted.
			t.Logf("kubectl deleted %s", e.Context)
		} else if c.Clusters[e.Cluster] == nil || c.AuthInfos[e.User] == nil {
			t.Errorf("half of %s", e.Context)
		}
	}
}
