package sandbox

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// snapshot is all that is in a directory, links not followed.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %v %d", e.Name(), info.Mode(), info.ModTime().UnixNano())
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, " %x", sha256.Sum256(data))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func open(dir string) error {
	_, err := New(Options{Dir: dir, Now: func() time.Time { return noon }})
	return err
}

// private is a directory for this user alone.
func private(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "box")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A file of the user's with a name that the sandbox uses is refused, with nothing
// changed, in a directory that is not a sandbox's.
func TestForeignFiles(t *testing.T) {
	t.Parallel()
	for _, name := range append(fileNames(), manifest) {
		for what, lay := range map[string]func(path string) error{
			"file": func(p string) error { return os.WriteFile(p, []byte("the user's"), 0o644) },
			"link": func(p string) error { return os.Symlink("elsewhere", p) },
			"pipe": mkfifo,
			"dir":  func(p string) error { return os.Mkdir(p, 0o700) },
		} {
			if runtime.GOOS == "windows" && what != "file" && what != "dir" {
				continue
			}
			dir := private(t)
			if err := lay(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, dir)
			if err := open(dir); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q was not made by a sandbox", filepath.Join(dir, name))) {
				t.Errorf("%s %s: %v", what, name, err)
			}
			if after := snapshot(t, dir); after != before {
				t.Errorf("%s %s: before %s after %s", what, name, before, after)
			}
		}
	}
	dir := private(t)
	if err := os.WriteFile(filepath.Join(dir, "README"), []byte("the user's"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := open(dir); err != nil {
		t.Errorf("beside another file: %v", err)
	}
}

// So it is in one that is, if the file takes the place of one that the sandbox
// would write anew.
func TestForeignFilesInASandbox(t *testing.T) {
	t.Parallel()
	write := func(name, text string) func(dir string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600) }
	}
	remove := func(names ...string) func(dir string) error {
		return func(dir string) (err error) {
			for _, name := range names {
				err = errors.Join(err, os.Remove(filepath.Join(dir, name)))
			}
			return err
		}
	}
	both := func(a, b func(string) error) func(string) error {
		return func(dir string) error { return errors.Join(a(dir), b(dir)) }
	}
	state := remove("root-ca.pem", "world.json", "arns.txt")
	for name, row := range map[string]struct {
		change func(dir string) error
		want   string // the file that is named; "": it goes on
	}{
		"credentials":                 {write("aws-credentials", "[default]\naws_access_key_id = AKIA\n"), "aws-credentials"},
		"environment":                 {write("env.sh", "export A=b\n"), "env.sh"},
		"names":                       {write("arns.txt", "mine\n"), "arns.txt"},
		"a file named ready":          {write("ready", "steady\n"), "ready"},
		"ready of a crash":            {write("ready", "https://127.0.0.1:1\n"), ""},
		"a key, and no CA":            {both(state, write("client.key", "the user's")), "client.key"},
		"a kubeconfig, and no CA":     {both(state, write("kubeconfig", "apiVersion: v1\n")), "kubeconfig"},
		"a run that was killed":       {state, ""},
		"a run that was killed early": {both(state, remove("root-ca.key", "client.key", "intermediate-ca.pem")), ""},
		"a broken manifest":           {write(manifest, "{}"), manifest},
		"a manifest of the user's":    {write(manifest, `{"version":1,"files":{}}`), manifest},
		"of an earlier version":       {remove(manifest), ""},
		"another CA, no manifest":     {both(remove(manifest), write("root-ca.pem", "the user's")), "root-ca.pem"},
		"a kubeconfig":                {write("kubeconfig", "apiVersion: v1\n"), ""},
		"a link":                      {both(remove("env.sh"), func(dir string) error { return os.Symlink("elsewhere", filepath.Join(dir, "env.sh")) }), "env.sh"},
		"a link as the log":           {func(dir string) error { return os.Symlink("elsewhere", filepath.Join(dir, "requests.jsonl")) }, "requests.jsonl"},
	} {
		if runtime.GOOS == "windows" && strings.HasPrefix(name, "a link") {
			continue
		}
		dir := newSandbox(t, Options{}).dir
		for file, text := range map[string]string{"env.sh": envHeader, "aws-credentials": credentialsHeader} {
			if err := write(file, text)(dir); err != nil {
				t.Fatal(err)
			}
		}
		if name == "a key, and no CA" || strings.Contains(name, "no CA") || strings.Contains(name, "killed") {
			if err := remove("env.sh", "aws-credentials")(dir); err != nil {
				t.Fatal(err)
			}
		}
		if err := row.change(dir); err != nil {
			t.Fatal(name, err)
		}
		before := snapshot(t, dir)
		err := open(dir)
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q was not made by a sandbox", filepath.Join(dir, row.want)))) {
			t.Errorf("%s: %v", name, err)
		}
		if after := snapshot(t, dir); row.want != "" && after != before {
			t.Errorf("%s: before %s after %s", name, before, after)
		}
	}
}

// A directory that is not of this user alone to write to is refused.
func TestForeignDirectories(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no modes and owners")
	}
	for name, row := range map[string]struct {
		lay  func(dir string) error
		want string
	}{
		"for all to write":       {func(dir string) error { return os.Chmod(dir, 0o777) }, "others can write to it"},
		"for all, sticky":        {func(dir string) error { return os.Chmod(dir, 0o777|os.ModeSticky) }, "others can write to it"},
		"for the group to write": {func(dir string) error { return os.Chmod(dir, 0o770) }, "others can write to it"},
		"for all to read":        {func(dir string) error { return os.Chmod(dir, 0o755) }, ""},
		"of another":             {func(dir string) error { return os.Chown(dir, 1, 1) }, "owned by user 1"},
		"a link":                 {func(dir string) error { return errors.Join(os.Rename(dir, dir+"2"), os.Symlink(dir+"2", dir)) }, "a symbolic link is not followed"},
		"a file":                 {func(dir string) error { return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)) }, "not a directory"},
	} {
		if name == "of another" && os.Geteuid() != 0 {
			continue
		}
		dir := private(t)
		if err := row.lay(dir); err != nil {
			t.Fatal(err)
		}
		err := open(dir)
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: %v", name, err)
		}
		if entries, _ := os.ReadDir(dir); row.want != "" && len(entries) > 0 {
			t.Errorf("%s: %v", name, entries)
		}
	}
}
