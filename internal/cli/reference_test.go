package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

var update = flag.Bool("update", false, "write docs/cli and docs/man anew")

// reference is the root command with every flag of every command.
func reference() *cobra.Command {
	a := &app{Env: Env{Getenv: func(string) string { return "" }}}
	root := newRootCmd(a)
	root.InitDefaultHelpCmd()
	root.DisableAutoGenTag = true
	return root
}

func eachCommand(cmd *cobra.Command, do func(*cobra.Command)) {
	do(cmd)
	for _, sub := range cmd.Commands() {
		eachCommand(sub, do)
	}
}

// docs/cli and docs/man are what the commands say of themselves. After a change:
// go test ./internal/cli -run TestReference -update
func TestReference(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(*cobra.Command, string) error{
		"cli": doc.GenMarkdownTree,
		"man": func(root *cobra.Command, dir string) error {
			day := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
			return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "eks-x509", Manual: "eks-x509", Date: &day}, dir)
		},
	} {
		kept := filepath.Join("../../docs", name)
		fresh := t.TempDir()
		if *update {
			if err := os.RemoveAll(kept); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(kept, 0o755); err != nil {
				t.Fatal(err)
			}
			fresh = kept
		}
		if err := write(reference(), fresh); err != nil {
			t.Fatal(err)
		}
		want, got := names(t, fresh), names(t, kept)
		if !slices.Equal(want, got) {
			t.Errorf("docs/%s has %v, and the commands are %v; go test ./internal/cli -run TestReference -update", name, got, want)
			continue
		}
		for _, file := range want {
			a, err := os.ReadFile(filepath.Join(fresh, file))
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(filepath.Join(kept, file))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(a, b) {
				t.Errorf("docs/%s/%s is not what the command says; go test ./internal/cli -run TestReference -update", name, file)
			}
		}
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		found = append(found, e.Name())
	}
	return found
}

// Every command has a line, an example that names it, and flags with a usage.
func TestEveryCommandExplainsItself(t *testing.T) {
	t.Parallel()
	eachCommand(reference(), func(cmd *cobra.Command) {
		if cmd.Name() == "help" || !cmd.HasParent() {
			return
		}
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: a short line without a full stop is needed: %q", cmd.CommandPath(), cmd.Short)
		}
		if !strings.Contains(cmd.Example, cmd.CommandPath()) && !strings.Contains(cmd.Example, cmd.Name()) {
			t.Errorf("%s has no example of itself: %q", cmd.CommandPath(), cmd.Example)
		}
	})
}
