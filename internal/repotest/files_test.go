package repotest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// fileCalls are the functions of other packages that open, change or list files:
// internal/safefile calls them for all others. What only looks (os.Stat) is for
// everyone. The same stands in .golangci.yml, as far as os goes.
func fileCalls() map[string][]string {
	return map[string][]string{
		"os": {
			"Chdir", "Chmod", "Chown", "Chtimes", "CopyFS", "Create", "CreateTemp", "DirFS", "Lchown", "Link", "Mkdir", "MkdirAll", "MkdirTemp", "NewFile",
			"Open", "OpenFile", "OpenInRoot", "OpenRoot", "ReadDir", "ReadFile", "Remove", "RemoveAll", "Rename", "Symlink", "Truncate", "WriteFile",
		},
		"io/ioutil":     {"ReadAll", "ReadDir", "ReadFile", "TempDir", "TempFile", "WriteFile"},
		"path/filepath": {"Glob", "Walk", "WalkDir"},
		"io/fs":         {"ReadDir", "ReadFile"},
		"syscall":       {"Chmod", "Chown", "Creat", "Fchmodat", "Ftruncate", "Link", "Mkdir", "Mkfifo", "Mknod", "Open", "Openat", "Rename", "Rmdir", "Symlink", "Truncate", "Unlink"},
		"golang.org/x/sys/unix": {"Chmod", "Chown", "Creat", "Fchmodat", "Fchownat", "Ftruncate", "Link", "Linkat", "Mkdir", "Mkdirat", "Mkfifo", "Mknod", "Mknodat", "Open", "Openat", "Openat2",
			"Rename", "Renameat", "Renameat2", "Rmdir", "Symlink", "Symlinkat", "Truncate", "Unlink", "Unlinkat"},
		"golang.org/x/sys/windows": {"CreateFile", "DeleteFile", "MoveFile", "MoveFileEx", "Open", "Rename", "Unlink"},
		"crypto/tls":               {"LoadX509KeyPair"},
		"net/http":                 {"Dir", "FileServer", "ServeFile"},
		"html/template":            {"ParseFiles", "ParseGlob"},
		"text/template":            {"ParseFiles", "ParseGlob"},
	}
}

// besides: the terminal is no file, folders with logs are walked through, and a
// rule of Landlock names what it allows by a handle that can't be read (O_PATH).
func besides() map[string][]string {
	return map[string][]string{
		"os.OpenFile":           {"internal/term/term_unix.go", "internal/term/term_windows.go"},
		"path/filepath.WalkDir": {"internal/audit/input.go"},

		"golang.org/x/sys/unix.Open": {"internal/confine/landlock_linux.go"},
	}
}

// fileCallsIn are the forbidden calls, and uses as a value, in a file.
func fileCallsIn(file *ast.File) []string {
	packages := map[string]string{} // by the name that they have in the file
	var found []string
	calls := fileCalls()
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil || calls[imported] == nil {
			continue
		}
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if name == "." {
			found = append(found, imported+".*")
		}
		packages[name] = imported
	}
	ast.Inspect(file, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if name, ok := selector.X.(*ast.Ident); ok && name.Obj == nil && slices.Contains(calls[packages[name.Name]], selector.Sel.Name) {
			found = append(found, packages[name.Name]+"."+selector.Sel.Name)
		}
		return true
	})
	return found
}

func TestFilesGoThroughSafefile(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for dir, files := range packages(t) {
		if dir == "internal/safefile" || dir == "internal/repotest" {
			continue
		}
		for name, file := range files {
			for _, call := range fileCallsIn(file) {
				used[call+" "+name] = true
				if !slices.Contains(besides()[call], name) {
					t.Errorf("%s uses %s: internal/safefile is the way to files", name, call)
				}
			}
		}
	}
	for call, where := range besides() {
		for _, name := range where {
			if !used[call+" "+name] {
				t.Errorf("%s may use %s, and does not", name, call)
			}
		}
	}
}

// The test above finds what it looks for.
func TestFileCallsAreFound(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`import "os"; var _, _ = os.ReadFile("x")`:                          "os.ReadFile",
		`import o "os"; var open = o.Open`:                                  "os.Open",
		`import . "os"; var _, _ = ReadFile("x")`:                           "os.*",
		`import "golang.org/x/sys/unix"; var f = unix.Renameat2`:            "golang.org/x/sys/unix.Renameat2",
		`import "os"; func f() { os := struct{ Open int }{}; _ = os.Open }`: "",
		`import "os"; var _, _ = os.Stat("x")`:                              "",
		`import os "strings"; var _ = os.Fields("x")`:                       "",
	} {
		if got := strings.Join(fileCallsIn(parse(t, "package p; "+source)), " "); got != want {
			t.Errorf("%s: %q, want %q", source, got, want)
		}
	}
}

func parse(t *testing.T, source string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
