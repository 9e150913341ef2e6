package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

// The examples of every command's help are run in a sandbox, but for lines that
// name what nobody has ("…") or start another program. Each command has one that
// runs.
func TestExamplesRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	eachCommand(reference(), func(cmd *cobra.Command) {
		var script strings.Builder
		for _, line := range strings.Split(strings.ReplaceAll(cmd.Example, "\\\n", ""), "\n") {
			line, _, _ = strings.Cut(strings.TrimSpace(line), "  #")
			if !strings.Contains(line, "eks-x509") || strings.ContainsAny(line, "…[=") || needsMore(line) {
				continue
			}
			line = strings.NewReplacer("my-cluster", "sandbox", "old-cluster", "aws-auth", "'", "''").Replace(line)
			fmt.Fprintf(&script, "exec bash -c '%s'\n", line)
		}
		if script.Len() == 0 {
			if cmd.Runnable() && cmd.Name() != "help" && !slices.Contains([]string{"eks-x509", "credential-process"}, cmd.Name()) {
				t.Errorf("%s has no example that runs", cmd.CommandPath())
			}
			return
		}
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "_") + ".txtar"
		text := "[!exec:bash] skip\nenv KUBECONFIG=$WORK/kube\nexec eks-x509 config init --profile prod\n"
		if cmd.Name() == "remove" {
			text += "exec eks-x509 kubeconfig update --cluster-name sandbox\n"
		}
		if strings.HasPrefix(cmd.CommandPath(), "eks-x509 cert re") {
			text += "exec eks-x509 cert ca --certificate lab-ca.pem --private-key lab-ca.key --common-name Lab\n" +
				"exec eks-x509 cert new --private-key alice.key --csr alice.csr --common-name alice\n"
		}
		if strings.HasPrefix(cmd.CommandPath(), "eks-x509 audit") {
			text += "symlink cloudtrail -> $LOGS/cloudtrail\nsymlink cluster.log -> $LOGS/cluster.log\n"
		}
		if slices.Contains([]string{"eks-x509 setup status", "eks-x509 setup profile", "eks-x509 setup remove"}, cmd.CommandPath()) {
			text += "exec eks-x509 setup apply --aws-profile administrator --yes --stack team-access --new-ca Example --cluster-name sandbox --group view\n"
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+script.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	testscript.Run(t, testscript.Params{Dir: dir, Setup: func(env *testscript.Env) error { return startSandbox(env, new(spiedCounts)) }})
}

// needsMore: a terminal, another program, another shell.
func needsMore(line string) bool {
	return line == "eks-x509 config aws --profile prod --name prod-x509" || strings.Contains(line, "aws ") && !strings.Contains(line, "config aws") ||
		strings.Contains(line, "--dir box")
}
