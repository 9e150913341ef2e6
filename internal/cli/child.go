package cli

import (
	"context"
	"os/exec"
	"slices"
	"strings"

	"github.com/eks-x509/eks-x509/internal/config"
)

// command is another program to run. All are made here (repotest keeps that), so
// that none gets a secret of ours.
func (a *app) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = a.childEnviron()
	return cmd
}

// childEnviron is the environment for other programs: without passwords, and
// without a key that somebody gave in the place of its file's name.
func (a *app) childEnviron() []string {
	return slices.DeleteFunc(slices.Clone(a.Environ()), func(variable string) bool {
		name, value, _ := strings.Cut(variable, "=")
		return slices.ContainsFunc(config.SecretVariables(), func(secret string) bool { return strings.EqualFold(secret, name) }) ||
			strings.HasPrefix(name, "EKS_X509_") && config.CheckPath(name, value) != nil
	})
}
