package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Every flag of cert and setup is used by a script of testdata/script.
func TestFlagsAreUsed(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("../../testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, file := range scripts {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			lines = append(lines, strings.TrimSpace(line)+" ")
		}
	}
	used := func(command string, f *pflag.Flag) bool {
		for _, line := range lines {
			if !strings.Contains(line, command+" ") {
				continue
			}
			if strings.Contains(line, " --"+f.Name+" ") || strings.Contains(line, " --"+f.Name+"=") || f.Shorthand != "" && strings.Contains(line, " -"+f.Shorthand+" ") {
				return true
			}
		}
		return false
	}
	eachCommand(reference(), func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if !strings.HasPrefix(path, "eks-x509 cert ") && !strings.HasPrefix(path, "eks-x509 setup ") {
			return
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && !used(path, f) {
				t.Errorf("no script uses %s --%s", path, f.Name)
			}
		})
	})
}
