package cli

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/pflag"
)

// proposal is a command of eks-x509 that a text of the program proposes.
type proposal struct {
	args  []string // without the program's name; a placeholder is replaced
	whole bool     // nothing was replaced: it can be run as it is printed
	where string
}

var (
	proposedRE    = regexp.MustCompile(`eks-x509 ([a-z].*)`)
	placeholderRE = regexp.MustCompile(`^(%[a-z]|%\[[0-9]\][a-z]|\[.*|[A-Z][A-Z0-9=_.-]*)$`)
)

// Commands that an error, a hint, a notice or doctor proposes are commands, and their
// flags and arguments are right; those without a placeholder are run as printed.
func TestProposedCommandsRun(t *testing.T) {
	t.Parallel()
	var all []proposal
	for _, dir := range []string{".", "../doctor", "../provision", "../certs"} {
		for text, where := range literals(t, dir) {
			for _, m := range proposedRE.FindAllStringSubmatch(text, -1) {
				if p, ok := propose(t, m[1]); ok {
					p.where = where
					all = append(all, p)
				}
			}
		}
	}
	if len(all) < 20 {
		t.Errorf("%d commands found", len(all))
	}
	runs := map[string]bool{}
	for _, p := range all {
		if err := accepted(p.args); err != nil {
			t.Errorf("%s: eks-x509 %s: %v", p.where, strings.Join(p.args, " "), err)
		} else if p.whole && !slices.Equal(p.args, []string{"exec"}) { // "already inside eks-x509 exec"
			runs[strings.Join(p.args, " ")] = true
		}
	}
	dir := t.TempDir()
	for i, line := range slices.Sorted(maps.Keys(runs)) {
		// What asks at the terminal says that there is none; all else is no misuse.
		text := "env KUBECONFIG=$WORK/kube AWS_PROFILE=administrator\nexec eks-x509 config init --profile prod\nexec eks-x509 kubeconfig update --cluster-name sandbox\n" +
			"exec eks-x509 setup init\nproposed " + line + "\n"
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d.txtar", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, testscript.Params{Dir: dir, Setup: func(env *testscript.Env) error { return startSandbox(env, new(spiedCounts)) }, Cmds: map[string]func(*testscript.TestScript, bool, []string){
		"proposed": func(ts *testscript.TestScript, _ bool, args []string) {
			if ts.Exec("eks-x509", args...) == nil {
				return
			}
			if said := ts.ReadFile("stderr"); !strings.Contains(said, "no terminal to ask at") && strings.Contains(said, "--help shows what is taken") {
				ts.Fatalf("eks-x509 %s: %s", strings.Join(args, " "), said)
			}
		},
	}})
}

// literals are the texts of a package's program files, and where they are; the examples
// and long help of commands are TestExamplesRun's.
func literals(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			if pair, ok := n.(*ast.KeyValueExpr); ok {
				if key, ok := pair.Key.(*ast.Ident); ok && slices.Contains([]string{"Example", "Long", "Short"}, key.Name) {
					return false
				}
			}
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil && strings.Contains(text, "eks-x509 ") {
					found[text] = fset.Position(lit.Pos()).String()
				}
			}
			return true
		})
	}
	return found
}

// propose reads a command up to the words of the sentence that follow it.
func propose(t *testing.T, text string) (proposal, bool) {
	t.Helper()
	p := proposal{whole: true}
	cmd := reference()
	value := false // that the last flag takes
	for _, raw := range strings.Fields(text) {
		word := strings.TrimRight(raw, ",;:.)?")
		sub := subcommand(cmd, word)
		switch {
		case cmd.Name() == "sandbox" && word == "eks-x509": // of --for
			_, rest, _ := strings.Cut(text, "--for ")
			p.args = append(p.args, strings.Fields(rest)...)
			return p, true
		case placeholderRE.MatchString(word):
			p.whole = false
			word = "sandbox"
		case sub != nil && !value:
			cmd = sub
		case strings.HasPrefix(word, "--"):
			flag := cmd.Flags().Lookup(strings.TrimPrefix(word, "--"))
			value = flag != nil && flag.NoOptDefVal == ""
			p.args = append(p.args, word)
			if raw != word {
				return p, !value
			}
			continue
		case !value:
			return p, len(p.args) > 0
		}
		value = false
		p.args = append(p.args, word)
		if raw != word {
			break
		}
	}
	if value { // the literal ends here, and the value is a variable of the program
		p.args, p.whole = append(p.args, "sandbox"), false
	}
	return p, len(p.args) > 0
}

// accepted says whether the command takes these flags and arguments.
func accepted(args []string) error {
	root := reference()
	if _, err := mistypedCommand(root, args); err != nil {
		return err
	}
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); !errors.Is(err, pflag.ErrHelp) {
		return err
	}
	return nil
}
