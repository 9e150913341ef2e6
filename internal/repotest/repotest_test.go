package repotest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/eks-x509/eks-x509/"
	root   = "../.."
)

// imports says which packages of this module each may import. It is read from
// the source, not by go list, whose answer the test cache would keep.
func imports() map[string][]string {
	return map[string][]string{
		"cmd/eks-x509": {"internal/cli"},
		"internal/cli": {"internal/audit", "internal/audit/page", "internal/audit/query", "internal/awsapi", "internal/awsfiles", "internal/cache", "internal/certs", "internal/config", "internal/confine", "internal/doctor", "internal/format", "internal/keys", "internal/kubeconfig",
			"internal/provision", "internal/safefile", "internal/safetext", "internal/sandbox", "internal/session", "internal/sessiontag", "internal/term", "pkg/ekstoken", "pkg/x509creds"},
		"internal/audit":       {"internal/safefile"},
		"internal/audit/page":  {"internal/audit", "internal/safetext"},
		"internal/audit/query": {"internal/audit", "internal/awsapi", "internal/safefile"},
		"internal/awsapi":      {"internal/safetext", "pkg/ekstoken"},
		"internal/awsfiles":    {"internal/safefile"},
		"internal/doctor":      {"internal/awsapi", "internal/awsfiles", "internal/cache", "internal/config", "internal/keys", "internal/safefile", "internal/safetext", "internal/session", "pkg/ekstoken", "pkg/x509creds"},
		"internal/kubeconfig":  {"internal/safefile"},
		"internal/cache":       {"internal/safefile"},
		"internal/certs":       {"internal/keys", "internal/minica", "internal/safefile", "internal/safetext", "internal/sessiontag"},
		"internal/confine":     {},
		"internal/config":      {"internal/safefile", "internal/safetext"},
		"internal/format":      {},
		"internal/keys":        {"internal/keys/pbe", "internal/keys/pkcs12", "internal/safefile"},
		"internal/keys/pbe":    {},
		"internal/keys/pkcs12": {"internal/keys/pbe"},
		"internal/minica":      {},
		"internal/provision":   {"internal/awsapi", "internal/config", "internal/sessiontag"},
		"internal/safefile":    {},
		"internal/safetext":    {},
		"internal/sandbox":     {"internal/minica", "internal/safefile"}, // nothing of pkg: it must not share the client's bugs
		"internal/sessiontag":  {},
		"internal/session":     {"internal/cache", "internal/config", "internal/keys", "internal/safetext", "pkg/x509creds"},
		"internal/term":        {"internal/safetext"},
		"pkg/ekstoken":         {},
		"pkg/sigv4x509":        {},
		"pkg/x509creds":        {"pkg/sigv4x509"},

		"internal/repotest": {},
	}
}

// outside says who may import what of other modules: a prefix, and the packages.
func outside() map[string][]string {
	return map[string][]string{
		"github.com/spf13/":     {"internal/cli"},
		"go.uber.org/zap":       {"internal/cli", "internal/session"},
		"k8s.io/":               {}, // its types cost every start; tests only
		"go.yaml.in/yaml/v3":    {"internal/audit", "internal/config", "internal/doctor", "internal/kubeconfig", "internal/provision", "internal/sandbox"},
		"golang.org/x/term":     {},
		"github.com/aws/":       {"internal/awsapi", "internal/cache", "internal/cli", "internal/config", "internal/doctor", "internal/session", "pkg/ekstoken", "pkg/x509creds"},
		"github.com/rogpeppe/":  {"internal/awsfiles", "internal/provision"}, // diff
		"github.com/youmark/":   {"internal/certs"},                          // encrypts PKCS#8
		"software.sslmate.com/": {},                                          // no bound on a password's cost; an oracle for tests
		"golang.org/x/crypto":   {"internal/keys/pbe"},
		"github.com/valyala/":   {"internal/audit"}, // fastjson
	}
}

// places says where a call that reads or touches the process's world may stand.
func places() map[string][]string {
	return map[string][]string{
		"os.Getenv":    {"internal/cli/cli.go"},
		"os.LookupEnv": {},
		"os.Environ":   {"internal/cli/cli.go"}, // for a child
		"os.Unsetenv":  {"internal/cli/cli.go"},
		"os.Setenv":    {},
		"os.Exit":      {"cmd/eks-x509/main.go"},

		// A child gets none of our secrets.
		"exec.Command":         {},
		"exec.CommandContext":  {"internal/cli/child.go"},
		"exec.Cmd":             {"internal/cli/child.go", "internal/cli/output.go"},
		"os.StartProcess":      {},
		"syscall.Exec":         {"internal/cli/become_unix.go"},
		"syscall.ForkExec":     {},
		"syscall.StartProcess": {},

		"log.Fatal":   {},
		"log.Print":   {},
		"log.Printf":  {},
		"log.Println": {},
		"log.Default": {},
		"fmt.Print":   {},
		"fmt.Printf":  {},
		"fmt.Println": {},
		"time.Sleep":  {},
		"zap.L":       {},
		"os.Stdout":   {"internal/cli/cli.go"},
		"os.Stderr":   {"internal/cli/cli.go"},
		"os.Stdin":    {"internal/cli/cli.go"},
		"os.Args":     {"internal/cli/cli.go"},
	}
}

// packages parses the Go files of this module that aren't tests, by folder.
func packages(t *testing.T) map[string]map[string]*ast.File {
	t.Helper()
	found := map[string]map[string]*ast.File{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(path, root+string(filepath.Separator)))
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || rel == "test" || rel == "tools" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(rel))
		if found[dir] == nil {
			found[dir] = map[string]*ast.File{}
		}
		found[dir][rel] = file
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 10 {
		t.Fatalf("only %d packages found", len(found))
	}
	return found
}

func TestImports(t *testing.T) {
	t.Parallel()
	allowed := imports()
	used := map[string]map[string]bool{}
	for dir, files := range packages(t) {
		if _, known := allowed[dir]; !known {
			t.Errorf("package %s is not in the table of imports", dir)
		}
		used[dir] = map[string]bool{}
		for name, file := range files {
			for _, spec := range file.Imports {
				path, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				if own, ok := strings.CutPrefix(path, module); ok {
					used[dir][own] = true
					if !slices.Contains(allowed[dir], own) {
						t.Errorf("%s imports %s, which the table does not allow", name, own)
					}
				}
				for prefix, who := range outside() {
					if strings.HasPrefix(path, prefix) && !slices.Contains(who, dir) {
						t.Errorf("%s imports %s, which is for %v only", name, path, who)
					}
				}
				if path == "C" && !strings.HasPrefix(dir, "internal/keys/") {
					t.Errorf("%s uses cgo", name)
				}
			}
		}
	}
	for dir, may := range allowed {
		for _, own := range may {
			if !used[dir][own] {
				t.Errorf("the table lets %s import %s, and it does not", dir, own)
			}
		}
	}
}

func TestOnePackageDocEach(t *testing.T) {
	t.Parallel()
	for dir, files := range packages(t) {
		var docs []string
		for name, file := range files {
			if file.Doc != nil {
				docs = append(docs, name)
				if lines := strings.Count(file.Doc.Text(), "\n"); lines > 20 {
					t.Errorf("%s: a package doc of %d lines", name, lines)
				}
			}
		}
		if len(docs) != 1 {
			t.Errorf("package %s has %d package docs: %v", dir, len(docs), docs)
		}
	}
}

func TestStrayCalls(t *testing.T) {
	t.Parallel()
	allowed := places()
	for _, files := range packages(t) {
		for name, file := range files {
			ast.Inspect(file, func(n ast.Node) bool {
				selector, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if pkg, ok := selector.X.(*ast.Ident); ok && pkg.Obj == nil {
					call := pkg.Name + "." + selector.Sel.Name
					if where, watched := allowed[call]; watched && !slices.Contains(where, name) {
						t.Errorf("%s uses %s (allowed in %v)", name, call, where)
					}
				}
				return true
			})
			for _, decl := range file.Decls {
				if f, ok := decl.(*ast.FuncDecl); ok && f.Name.Name == "init" && f.Recv == nil {
					t.Errorf("%s has an init function", name)
				}
			}
		}
	}
}

// outlets says where the ways out of the program may be used: the streams, what
// writes to any stream, and the bytes that only a program reads. All else is
// written by internal/cli/output.go, which makes it safe to show.
func outlets() map[string][]string {
	cli := func(names ...string) []string {
		for i, name := range names {
			names[i] = "internal/cli/" + name
		}
		return names
	}
	return map[string][]string{
		".Stdout":        cli("cli.go", "output.go", "askprogram.go"), // the last: a child's
		".Stderr":        cli("cli.go", "output.go"),
		".exact":         cli("output.go", "credentialprocess.go", "env.go", "token.go"),
		"fmt.Fprint":     cli("output.go"),
		"fmt.Fprintf":    cli("output.go"),
		"fmt.Fprintln":   cli("output.go"),
		"io.WriteString": cli("output.go", "token.go"),
	}
}

func TestOutlets(t *testing.T) {
	t.Parallel()
	allowed := outlets()
	used := map[string]bool{}
	for dir, files := range packages(t) {
		for name, file := range files {
			ast.Inspect(file, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					if f, ok := call.Fun.(*ast.Ident); ok && (f.Name == "print" || f.Name == "println") {
						t.Errorf("%s uses %s, which writes to stderr", name, f.Name)
					}
				}
				selector, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				outlet := "." + selector.Sel.Name
				if pkg, ok := selector.X.(*ast.Ident); ok && pkg.Obj == nil && (pkg.Name == "fmt" || pkg.Name == "io") {
					if dir != "internal/cli" {
						return true // elsewhere there is no stream to write to
					}
					outlet = pkg.Name + outlet
				}
				where, watched := allowed[outlet]
				used[outlet+" "+name] = true
				if watched && !slices.Contains(where, name) {
					t.Errorf("%s uses %s (allowed in %v)", name, outlet, where)
				}
				return true
			})
		}
	}
	for outlet, where := range allowed {
		if outlet[0] == '.' && !slices.ContainsFunc(where, func(name string) bool { return used[outlet+" "+name] }) {
			t.Errorf("nothing uses %s: is it another name now?", outlet)
		}
	}
}

var variableValueRE = regexp.MustCompile(`^(errors\.New|lazy|fmt\.Errorf)\(`)

// Package variables are errors and regular expressions compiled on first use:
// nothing that a test or a second caller could change under another, and nothing
// that every start pays for.
func TestPackageVariables(t *testing.T) {
	t.Parallel()
	for _, files := range packages(t) {
		for name, file := range files {
			source, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range file.Decls {
				group, ok := decl.(*ast.GenDecl)
				if !ok || group.Tok != token.VAR || group.Doc != nil && strings.HasPrefix(group.Doc.List[0].Text, "//go:embed ") {
					continue // a file's content is in the binary, and costs nothing
				}
				for _, spec := range group.Specs {
					v := spec.(*ast.ValueSpec)
					if v.Names[0].Name == "_" {
						continue
					}
					for i, value := range v.Values {
						text := string(source[value.Pos()-file.FileStart : value.End()-file.FileStart])
						if !variableValueRE.MatchString(text) {
							t.Errorf("%s has the package variable %s", name, v.Names[i].Name)
						}
					}
					if len(v.Values) == 0 {
						t.Errorf("%s has the package variable %s", name, v.Names[0].Name)
					}
				}
			}
		}
	}
}

func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(readme), "\n"); n > 200 {
		t.Errorf("README.md has %d lines, more than 200", n)
	}
}

var linkRE = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)

// Links between our own pages lead somewhere.
func TestLinks(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	reference, err := filepath.Glob(filepath.Join(root, "docs", "cli", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, reference...)
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range linkRE.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), link[1])); err != nil {
				t.Errorf("%s: link to %s: %v", page, link[1], err)
			}
		}
	}
}

// docs/layout.md names every package, so that it stays true.
func TestLayoutNamesEveryPackage(t *testing.T) {
	t.Parallel()
	layout, err := os.ReadFile(filepath.Join(root, "docs", "layout.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range slices.Sorted(maps.Keys(imports())) {
		if !strings.Contains(string(layout), filepath.Base(dir)+"/") {
			t.Errorf("docs/layout.md does not name %s/", filepath.Base(dir))
		}
	}
}
