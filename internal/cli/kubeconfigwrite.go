package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/eks-x509/eks-x509/internal/kubeconfig"
	"github.com/eks-x509/eks-x509/internal/safetext"
	"github.com/eks-x509/eks-x509/internal/term"
)

// conflictError is a name that stands for something else already, and nobody to ask.
type conflictError struct{ conflict string }

func (e *conflictError) Error() string { return e.conflict + ", and there is no terminal to ask at" }

// writeKubeconfig writes the entry where kubectl will find it, and says so if it does.
func (a *app) writeKubeconfig(ctx context.Context, paths []string, unread string, entry kubeconfig.Entry, flags updateFlags) error {
	files := kubeconfig.Load(paths)
	places := files.Places(entry)
	targets := places.Paths(!flags.noCurrent)
	for _, err := range files.Unreadable(targets) {
		a.warn("passed over: " + err.Error())
	}
	edit := func(path string) func([]byte) ([]byte, error) {
		return func(data []byte) ([]byte, error) {
			return kubeconfig.SetParts(data, entry, places.Parts(path, !flags.noCurrent))
		}
	}
	if flags.dryRun {
		return a.showKubeconfig(targets, edit)
	}
	if err := a.allowReplacing(ctx, files.Conflicts(entry), flags.force); err != nil {
		return err
	}
	for _, path := range targets {
		if _, err := kubeconfig.Update(ctx, path, edit(path), a.notice); err != nil {
			return err
		}
	}
	after := kubeconfig.Load(paths)
	problem := after.Problem(entry, !flags.noCurrent)
	if unread != "" {
		problem = fmt.Sprintf("KUBECONFIG has %q, and kubectl does not expand ~ there", unread)
	}
	return a.reportKubeconfig(after, places, entry, report{files.Has(entry.Context), !flags.noCurrent, problem})
}

// showKubeconfig prints the files as they would be.
func (a *app) showKubeconfig(paths []string, edit func(string) func([]byte) ([]byte, error)) error {
	var out []byte
	for i, path := range paths {
		data, err := kubeconfig.Read(path)
		if err != nil {
			return err
		}
		after, err := edit(path)(data)
		if err != nil {
			return fmt.Errorf("editing %s: %w", path, err)
		}
		if i > 0 {
			out = append(out, "---\n"...)
		}
		out = append(out, after...)
	}
	return a.out.document(out)
}

// allowReplacing asks before a name gets another meaning.
func (a *app) allowReplacing(ctx context.Context, conflicts []string, force bool) error {
	if len(conflicts) == 0 || force {
		return nil
	}
	what := strings.Join(conflicts, ", and ")
	answer, err := term.ReadLine(ctx, safetext.Line(what)+". Replace it? [y/N] ")
	if errors.Is(err, term.ErrNoTerminal) {
		return &usageError{&conflictError{what}}
	}
	if err != nil {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}

// report is what happened to an entry.
type report struct {
	known   bool   // there was a context of this name
	current bool   // it was made the current one
	problem string // why kubectl would not use it
}

// reportKubeconfig says what was done, as kubectl sees it.
func (a *app) reportKubeconfig(files kubeconfig.Files, places kubeconfig.Places, entry kubeconfig.Entry, r report) error {
	for _, item := range files.Items() {
		if item.Context == entry.Context && item.Insecure {
			setting := "clusters." + entry.Cluster + ".insecure-skip-tls-verify"
			a.warn(fmt.Sprintf("cluster %q has insecure-skip-tls-verify, which was kept: kubectl does not verify %s; "+
				"kubectl config unset %s, then run this again", entry.Cluster, entry.Server, safetext.Quote(setting)))
			break
		}
	}
	place := places.Context
	if abs, err := filepath.Abs(place); err == nil {
		place = abs
	}
	done := map[bool]string{false: "Added new context %s to %s\n", true: "Updated context %s in %s\n"}[r.known]
	if r.problem != "" {
		a.warn("kubectl does not use this context: " + r.problem)
		done = "Wrote context %s to %s\n"
	} else if r.current && places.Current != places.Context {
		a.notice("the current context is set in " + places.Current)
	}
	return a.out.print(done, entry.Context, place)
}
