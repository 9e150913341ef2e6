package awsfiles

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	check(t, err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func content(t *testing.T, path, want string) {
	t.Helper()
	data, err := Read(path)
	check(t, err)
	if string(data) != want {
		t.Errorf("%q, want %q", data, want)
	}
}

func to(text string) func([]byte) ([]byte, error) {
	return func([]byte) ([]byte, error) { return []byte(text), nil }
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir, lockDir := filepath.Join(top, "home", ".aws"), filepath.Join(top, "locks")
	path := filepath.Join(dir, "config")
	update := func(edit func([]byte) ([]byte, error)) (bool, error) {
		return Update(t.Context(), path, lockDir, edit)
	}
	content(t, path, "")
	if changed, err := update(to("")); changed || err != nil {
		t.Errorf("nothing to write: %t, %v", changed, err)
	}
	if got := names(t, dir); got != "" {
		t.Errorf("written all the same: %s", got)
	}
	if changed, err := update(to("new")); !changed || err != nil {
		t.Errorf("a new file: %t, %v", changed, err)
	}
	content(t, path, "new")
	before, err := os.Stat(path)
	check(t, err)
	if changed, err := update(func(old []byte) ([]byte, error) { return old, nil }); changed || err != nil {
		t.Errorf("no change: %t, %v", changed, err)
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("no change, and it is another file: %v", err)
	}
	cause := errors.New("cause")
	_, err = update(func(old []byte) ([]byte, error) { old[0] = 'x'; return old, cause })
	if want := fmt.Sprintf("editing the AWS config file %q: cause", path); !errors.Is(err, cause) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	content(t, path, "new")
	if got := names(t, dir); got != "config" {
		t.Errorf("left beside the file: %s", got)
	}
}

func TestUpdateOfWhatIsNoFile(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	path := filepath.Join(top, "config")
	check(t, os.Mkdir(path, 0o700))
	_, err := Update(t.Context(), path, filepath.Join(top, "locks"), to("x"))
	if err == nil || !strings.HasSuffix(err.Error(), `: not a regular file`) {
		t.Error(err)
	}
	_, err = Update(t.Context(), filepath.Join(os.DevNull), filepath.Join(top, "locks"), to("x"))
	if err == nil || !strings.HasSuffix(err.Error(), ": not a regular file") && runtime.GOOS != "windows" {
		t.Error(err)
	}
}

func TestUpdateWaitsItsTurn(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	path, lockDir := filepath.Join(top, "config"), filepath.Join(top, "locks")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Update(t.Context(), path, lockDir, func([]byte) ([]byte, error) {
		cancel()
		_, err := Update(ctx, path, lockDir, to("x"))
		return nil, err
	})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), fmt.Sprintf("locking %q: ", path)) {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestUpdateLosesNothing(t *testing.T) {
	t.Parallel()
	const writers = 12
	top := t.TempDir()
	path, lockDir := filepath.Join(top, ".aws", "config"), filepath.Join(top, "locks")
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			_, err := Update(t.Context(), path, lockDir, func(old []byte) ([]byte, error) {
				data, _, err := SetCredentialProcess(old, fmt.Sprintf("p%02d", i), "cmd")
				return data, err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	data, err := Read(path)
	check(t, err)
	for i := range writers {
		if want := fmt.Sprintf("[profile p%02d]\ncredential_process = cmd\n", i); !strings.Contains(string(data), want) {
			t.Errorf("%q is lost", want)
		}
	}
	if got := names(t, filepath.Dir(path)); got != "config" {
		t.Errorf("left beside the file: %s", got)
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	if got := Diff([]byte("a\n"), []byte("a\n"), "config"); got != "" {
		t.Errorf("no change: %q", got)
	}
	const secret = "wJalrXUtnFEMI"
	old := "[default]\nregion = r\n\naws_secret_access_key = " + secret + "\nAWS_SESSION_TOKEN:" + secret + "\r\n"
	want := `--- config
+++ config
@@ -3,3 +3,6 @@
 
 aws_secret_access_key = ********
 AWS_SESSION_TOKEN:********` + "\r" + `
+
+[profile x]
+credential_process = cmd
`
	if diff := cmp.Diff(want, Diff([]byte(old), []byte(old+"\n[profile x]\ncredential_process = cmd\n"), "config")); diff != "" {
		t.Error(diff)
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, goos string
		args       []string
		want       string
	}{
		{"plain", "linux", []string{"/usr/bin/eks-x509", "credential-process", "--name", "a.b@c:d,e+f=1%"}, "/usr/bin/eks-x509 credential-process --name a.b@c:d,e+f=1%"},
		{"spaces", "darwin", []string{"/Users/me/My Apps/é", "a b"}, `/Users/me/My\ Apps/é a\ b`},
		{"what shells read", "linux", []string{"$(x)", "`y`", `a'b"c\`, "~", "#", "; *"}, `\$\(x\) \` + "`y\\`" + ` a\'b\"c\\ \~ \# \;\ \*`},
		{"empty", "linux", []string{"a", ""}, "a ''"},
		{"plain on Windows", "windows", []string{`C:\bin\eks-x509.exe`, "--name", "x"}, `C:\bin\eks-x509.exe --name x`},
		{"spaces on Windows", "windows", []string{`C:\Program Files\x.exe`, `a b\`, "", "x"}, `"C:\Program Files\x.exe" "a b\\" "" x`},
		{"quotes and operators on Windows", "windows", []string{"x", `a"b\"c`, "d&e"}, `x "a\"b\\\"c" "d&e"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := Quote(row.goos, row.args); got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
}
