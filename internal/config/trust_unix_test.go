//go:build unix

package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file that another user can change does not say where secrets go; a flag or a
// variable still does.
func TestUntrustedFile(t *testing.T) {
	t.Parallel()
	type files struct{ dir, path string }
	chmod := func(of func(files) string, mode os.FileMode) func(testing.TB, files) string {
		return func(t testing.TB, f files) string {
			t.Helper()
			if err := os.Chmod(of(f), mode); err != nil {
				t.Fatal(err)
			}
			return f.path
		}
	}
	file, dir := func(f files) string { return f.path }, func(f files) string { return f.dir }
	chown := func(of func(files) string) func(testing.TB, files) string {
		return func(t testing.TB, f files) string {
			t.Helper()
			if os.Chown(of(f), 12345, -1) != nil {
				t.Skip("only root gives a file away")
			}
			return f.path
		}
	}
	link := func(t testing.TB, f files) string {
		t.Helper()
		to := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.Symlink(f.path, to); err != nil {
			t.Fatal(err)
		}
		return to
	}
	for name, c := range map[string]struct {
		change func(testing.TB, files) string
		bad    bool
	}{
		"0600":                           {chmod(file, 0o600), false},
		"0640":                           {chmod(file, 0o640), false},
		"0644":                           {chmod(file, 0o644), false},
		"0444":                           {chmod(file, 0o444), false},
		"0620":                           {chmod(file, 0o620), true},
		"0664":                           {chmod(file, 0o664), true},
		"0602":                           {chmod(file, 0o602), true},
		"0666":                           {chmod(file, 0o666), true},
		"0777":                           {chmod(file, 0o777), true},
		"directory 0755":                 {chmod(dir, 0o755), false},
		"directory 0775":                 {chmod(dir, 0o775), false}, // a group of its own for each user
		"directory 0777":                 {chmod(dir, 0o777), true},
		"directory 0777, sticky":         {chmod(dir, 0o777|os.ModeSticky), false},
		"another owner":                  {chown(file), true},
		"a directory of another's":       {chown(dir), true},
		"a link":                         {link, false},
		"a link to a file of all":        {func(t testing.TB, f files) string { chmod(file, 0o666)(t, f); return link(t, f) }, true},
		"a link into a directory of all": {func(t testing.TB, f files) string { chmod(dir, 0o777)(t, f); return link(t, f) }, true},
		"a link in a directory of all": {func(t testing.TB, f files) string {
			to := link(t, f)
			if err := os.Chmod(filepath.Dir(to), 0o777); err != nil {
				t.Fatal(err)
			}
			return to
		}, true},
		"a link of another's": {func(t testing.TB, f files) string {
			to := link(t, f)
			if os.Lchown(to, 12345, -1) != nil {
				t.Skip("only root gives a link away")
			}
			return to
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := files{dir: filepath.Join(t.TempDir(), "d")}
			f.path = filepath.Join(f.dir, "config.yaml")
			text := "default: {certificate: c.pem, trust-anchor-arn: '" + anchor + "', profile-arn: '" + profile + "', role-arn: '" + role + "'}\n" +
				"profiles: {bad: {endpoint: 'https://evil.example'}, cache: {cache-dir: /tmp/evil}, good: {region: eu-west-1}}\n"
			if err := errors.Join(os.Mkdir(f.dir, 0o700), os.WriteFile(f.path, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
			path := c.change(t, f)
			load := func(pairs ...string) (Config, error) {
				flags := map[string]string{"config": path}
				for i := 0; i < len(pairs); i += 2 {
					flags[pairs[i]] = pairs[i+1]
				}
				return Load(flags, env())
			}
			for _, profile := range []string{"bad", "cache"} {
				_, err := load("profile", profile)
				u, refused := errors.AsType[*Untrusted](err)
				if refused != c.bad || !c.bad && err != nil {
					t.Errorf("profile %s: %v", profile, err)
				}
				if e, ok := errors.AsType[*Error](err); refused && (!ok || u.Path != path || !strings.HasPrefix(e.Where, u.Setting+" (") || strings.Contains(err.Error(), "evil")) {
					t.Errorf("profile %s: %v", profile, err)
				}
			}
			got, err := load("profile", "bad", "endpoint", "https://mine.example")
			if err != nil || got.Endpoint != "https://mine.example" {
				t.Errorf("by a flag: %q %v", got.Endpoint, err)
			}
			if got, err = load("profile", "good"); err != nil || got.Region != "eu-west-1" || len(got.Untrusted) > 0 != c.bad {
				t.Errorf("warnings %v, %v", got.Untrusted, err)
			}
		})
	}
}

// A ConfigMap of Kubernetes lies in a directory that says it is everyone's.
func TestReadOnlyMount(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"/sys", "/proc/sys", "/sys/fs/cgroup"} {
		if readOnly(dir) {
			return
		}
	}
	if readOnly(t.TempDir()) {
		t.Error("a directory that was written to is on a read-only mount")
	}
}
