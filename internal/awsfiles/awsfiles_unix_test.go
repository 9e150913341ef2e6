//go:build unix

package awsfiles

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func mode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	check(t, err)
	if got := info.Mode() & (fs.ModePerm | fs.ModeSymlink); got != want {
		t.Errorf("%s: mode %v, want %v", filepath.Base(path), got, want)
	}
}

func TestUpdateKeepsModes(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	path, lockDir := filepath.Join(top, ".aws", "config"), filepath.Join(top, "locks")
	update := func(text string) {
		t.Helper()
		_, err := Update(t.Context(), path, lockDir, to(text))
		check(t, err)
	}
	update("1")
	mode(t, path, 0o600)
	mode(t, filepath.Dir(path), 0o700)
	check(t, os.Chmod(path, 0o644))
	check(t, os.Chmod(filepath.Dir(path), 0o755))
	update("2")
	mode(t, path, 0o644)
	mode(t, filepath.Dir(path), 0o755)
}

func TestUpdateFollowsLinks(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	lockDir := filepath.Join(top, "locks")
	check(t, os.Symlink("dotfiles", filepath.Join(top, ".aws")))
	check(t, os.Mkdir(filepath.Join(top, "dotfiles"), 0o700))
	check(t, os.Symlink("../other/real", filepath.Join(top, "dotfiles", "config")))
	path, target := filepath.Join(top, ".aws", "config"), filepath.Join(top, "other", "real")
	for _, text := range []string{"its target is not there yet", "it is there"} {
		_, err := Update(t.Context(), path, lockDir, to(text))
		check(t, err)
		content(t, target, text)
		mode(t, target, 0o600)
	}
	_, err := Update(t.Context(), target, lockDir, to("by its own name"))
	check(t, err)
	content(t, path, "by its own name")
	if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
	if got := names(t, lockDir); strings.Contains(got, " ") {
		t.Errorf("two locks for one file: %s", got)
	}
	check(t, os.Symlink("loop", filepath.Join(top, "loop")))
	if _, err := Update(t.Context(), filepath.Join(top, "loop"), lockDir, to("x")); err == nil || !strings.Contains(err.Error(), "too many symbolic links") {
		t.Errorf("a loop: %v", err)
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("a b", `'"\$(x)`+"`")
	f.Add("", "#;~*?[]{}&|<>!")
	f.Add("é\u00a0", "a=b %c")
	f.Fuzz(func(t *testing.T, a, b string) {
		line := Quote("linux", []string{"printf", `%s\000`, a, b})
		if _, _, err := SetCredentialProcess(nil, "x", line); err != nil {
			return // a newline, or a space at the end
		}
		out, err := exec.Command("sh", "-c", line).Output()
		if err != nil || string(out) != a+"\x00"+b+"\x00" {
			t.Errorf("%s: %q, %v", line, out, err)
		}
	})
}
