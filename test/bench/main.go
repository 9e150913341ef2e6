// Command bench measures eks-x509 beside the programs that do the same: AWS's
// aws_signing_helper, aws-iam-authenticator and, where there is one, the AWS
// CLI. It builds the programs, starts the sandbox, and prints Markdown tables.
//
// Each row is two commands that run in turn. A ratio is the median of the
// ratios of the pairs. A slow result is no failure: bench fails only if a
// command does.
package main

import (
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

type options struct {
	built                    string // set in the second of two processes, which measures
	aws                      string
	runs, slowRuns, manyRuns int
}

func main() {
	var o options
	flag.StringVar(&o.built, "built", "", "directory of the programs, if they are built and the sandbox is there; bench gives it to itself")
	flag.StringVar(&o.aws, "aws", "", "the AWS CLI; default: aws in PATH")
	flag.IntVar(&o.runs, "runs", 101, "how often a row runs")
	flag.IntVar(&o.slowRuns, "slow-runs", 11, "the same, for rows with the AWS CLI")
	flag.IntVar(&o.manyRuns, "many-runs", 21, "the same, for the row with many processes")
	flag.Parse()
	err := errors.New("at least one run is needed")
	if min(o.runs, o.slowRuns, o.manyRuns) > 0 {
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run builds the programs and has the sandbox run this program again: a process
// that is small, since Linux counts the parent's memory into its children's peak.
func run(o options) error {
	if o.built != "" {
		return measure(o, o.built)
	}
	dir, err := os.MkdirTemp("", "eks-x509-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := buildAll(dir); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := append([]string{"sandbox", "--dir", filepath.Join(dir, "sandbox"), "--for", self, "-built", dir}, os.Args[1:]...)
	cmd := exec.Command(filepath.Join(dir, "eks-x509"), args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// buildAll builds each program with its own module's dependencies.
func buildAll(dir string) error {
	for _, p := range []struct{ name, module, pkg, cgo string }{
		{"eks-x509", filepath.Join("..", ".."), "./cmd/eks-x509", "0"},
		{"empty", ".", "./empty", "0"},
		{"aws-iam-authenticator", "authenticator", "sigs.k8s.io/aws-iam-authenticator/cmd/aws-iam-authenticator", "0"},
		// Without a C compiler it does not build, for its PKCS#11 part.
		{"aws_signing_helper", filepath.Join("..", "peers", "awshelper"), "github.com/aws/rolesanywhere-credential-helper", "1"},
	} {
		fmt.Fprintln(os.Stderr, "bench: building", p.name)
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(dir, p.name), p.pkg)
		cmd.Dir, cmd.Env = p.module, append(os.Environ(), "CGO_ENABLED="+p.cgo)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", p.name, err, out)
		}
	}
	return nil
}

// awsCLI finds the AWS CLI: path, else aws in PATH, and what it says of its
// version. No path: there is none.
func awsCLI(path string) (found, version string, err error) {
	found, err = path, nil
	if path == "" {
		if found, err = exec.LookPath("aws"); err != nil {
			return "", "", nil
		}
	}
	// pyenv's aws is a shell script that looks for the real one, at a cost that is not the AWS CLI's.
	if filepath.Base(filepath.Dir(found)) == "shims" {
		if out, err := exec.Command("pyenv", "which", "aws").Output(); err == nil {
			found = strings.TrimSpace(string(out))
		}
	}
	out, err := exec.Command(found, "--version").CombinedOutput() // on stderr, with Python 2
	if err != nil {
		return "", "", fmt.Errorf("running %s --version: %w", found, err)
	}
	return found, strings.TrimSpace(string(out)), nil
}

// measure prints the whole report.
func measure(o options, dir string) error {
	aws, awsVersion, err := awsCLI(o.aws)
	if err != nil {
		return err
	}
	if aws == "" {
		awsVersion = "no AWS CLI in PATH: its rows are left out"
	}
	fmt.Printf("%s %s/%s, %d processors\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	for _, name := range []string{"aws_signing_helper", "aws-iam-authenticator"} {
		info, err := buildinfo.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		fmt.Println(name, info.Main.Version)
	}
	fmt.Println(awsVersion)

	b, err := newBench(dir, aws)
	if err != nil {
		return err
	}
	rows := b.rows(o)
	fmt.Println("\n| A | B | pairs | A wall | B wall | B/A | A CPU | B CPU | A peak | B peak |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|")
	measured := map[string]result{}
	for _, r := range rows {
		result, err := r.measure()
		if err != nil {
			return err
		}
		measured[r.id] = result
		fmt.Println(r.line(result))
	}
	fmt.Printf("\nMedians. Wall and CPU (user and system) in ms; peak resident memory in MB, of the largest process. "+
		"The measuring process has %.1f MB, below which a peak can't be seen.\n\n", megabytes(ownPeak()))
	fmt.Println("| program | MB |\n|---|--:|")
	for _, name := range []string{"eks-x509", "aws_signing_helper", "aws-iam-authenticator", "empty"} {
		size, err := b.size(name)
		if err != nil {
			return err
		}
		fmt.Printf("| %s | %.1f |\n", name, size)
	}
	size, err := b.size("eks-x509")
	if err != nil {
		return err
	}
	fmt.Println("\n| goal | measured | |\n|---|--:|---|")
	for _, g := range goals(measured, slices.Max(append(b.calls, 0)), size) {
		fmt.Println(g)
	}
	return nil
}
