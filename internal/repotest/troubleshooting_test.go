package repotest

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// messageCalls are the functions whose text a person may read in an error, a
// warning or a notice: which argument is the text.
func messageCalls() map[string]int {
	return map[string]int{
		"fmt.Errorf": 0, "errors.New": 0, "misuse": 0, "invalid": 1, "malformed": 2, "warn": 0, "notice": 0, "Warn": 0, "Notice": 0, "say": 1, "fail": 3, "failf": 3, "refuse": 1, "Unsupported": 0,
	}
}

var verbRE = regexp.MustCompile(`%[-+# 0-9.\[\]]*[a-zA-Z]`)

// messages are the texts, with … for each verb, and where they stand.
func messages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	calls := messageCalls()
	add := func(name string, e ast.Expr) {
		ast.Inspect(e, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			text = verbRE.ReplaceAllString(text, "…")
			if slices.Contains([]string{"a PEM block …", "…, serial 0x…", "password for …: "}, text) {
				return true // never alone; the prompt
			}
			if len(strings.FieldsFunc(text, func(r rune) bool { return r < 'A' || r > 'z' })) > 1 {
				found[text] = name
			}
			return true
		})
	}
	for dir, files := range packages(t) {
		if slices.Contains([]string{"internal/sandbox", "internal/minica", "internal/repotest"}, dir) {
			continue // the far side, and tests
		}
		for name, file := range files {
			parts := slices.Contains([]string{"internal/keys", "internal/awsapi", "pkg/x509creds"}, dir) // these build errors of parts
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					called := calledName(n)
					if at, ok := calls[called]; ok && len(n.Args) > at {
						add(name, n.Args[at])
					}
					if parts && called == "fmt.Sprintf" {
						add(name, n.Args[0])
					}
				case *ast.AssignStmt:
					if id, ok := n.Lhs[0].(*ast.Ident); ok && parts && id.Name == "what" {
						add(name, n.Rhs[0])
					}
				case *ast.FuncDecl:
					if n.Recv != nil && n.Name.Name == "Error" {
						ast.Inspect(n.Body, func(n ast.Node) bool {
							if r, ok := n.(*ast.ReturnStmt); ok {
								for _, result := range r.Results {
									add(name, result)
								}
							}
							return true
						})
					}
				}
				return true
			})
		}
	}
	return found
}

func calledName(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if pkg, ok := f.X.(*ast.Ident); ok && (pkg.Name == "fmt" || pkg.Name == "errors") {
			return pkg.Name + "." + f.Sel.Name
		}
		return f.Sel.Name
	}
	return ""
}

var entryRE = regexp.MustCompile(`\*\*([^*]+)\*\*`)

// Every message of ours has an entry in docs/troubleshooting.md, found by its
// words: an entry's key is in bold, and … in it stands for anything. Every key
// is of some message, but below the headings about AWS's and kubectl's own words.
func TestTroubleshooting(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	ours, _, ok := strings.Cut(string(page), "\n## Not our words")
	if !ok {
		t.Fatal(`docs/troubleshooting.md has no heading "Not our words"`)
	}
	used := map[string]bool{}
	for _, key := range entryRE.FindAllStringSubmatch(ours, -1) {
		used[key[1]] = false
		if len(strings.Fields(strings.ReplaceAll(key[1], "…", " "))) < 2 {
			t.Errorf("the key %q is too short to be found", key[1])
		}
	}
	for text, where := range messages(t) {
		covered := false
		for key := range used {
			if covers(key, text) {
				used[key], covered = true, true
			}
		}
		if !covered {
			t.Errorf("%s: docs/troubleshooting.md has no entry for %q", where, text)
		}
	}
	for key, ok := range used {
		if !ok {
			t.Errorf("docs/troubleshooting.md: %q is no message of ours", key)
		}
	}
}

// covers says whether the pieces of the key stand in the text, in order.
func covers(key, text string) bool {
	for piece := range strings.SplitSeq(key, "…") {
		i := strings.Index(text, strings.TrimSpace(piece))
		if i < 0 {
			return false
		}
		text = text[i+len(strings.TrimSpace(piece)):]
	}
	return true
}
