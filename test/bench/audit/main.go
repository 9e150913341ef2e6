// Command audit measures eks-x509 audit summary beside jq, which does the
// selection of the audit log's side alone: it has nothing to join, count or
// sort. It makes a seeded set of both logs, of a gibibyte and of a tenth of it,
// and keeps it for the next time.
//
// A slow result is no failure: the command fails only if a program does.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type options struct {
	dir, program, jq string
	seed             uint64
	bytes            int64
	sessions, runs   int
	generate         bool
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", filepath.Join(os.TempDir(), "eks-x509-bench-audit"), "where the logs are kept")
	flag.StringVar(&o.program, "eks-x509", "", "the program; default: it is built")
	flag.StringVar(&o.jq, "jq", "jq", "the program to compare with")
	flag.Uint64Var(&o.seed, "seed", 1, "another gives other logs")
	flag.Int64Var(&o.bytes, "bytes", 1<<30, "how long the audit log is")
	flag.IntVar(&o.sessions, "sessions", 10_000, "how many sessions CloudTrail has")
	flag.IntVar(&o.runs, "runs", 5, "how often each is run")
	flag.BoolVar(&o.generate, "generate", false, "only make the logs")
	flag.Parse()
	err := errors.New("at least one run, and a session, are needed")
	if o.runs > 0 && o.sessions > 0 {
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-audit:", err)
		os.Exit(1)
	}
}

// sets are the logs in full and a tenth of them.
func (o options) sets() []set {
	return []set{{o.seed, o.bytes, o.sessions}, {o.seed, o.bytes / 10, o.sessions}}
}

func (o options) folder(s set) string {
	return filepath.Join(o.dir, fmt.Sprintf("%d-%d-%d", s.seed, s.bytes, s.sessions))
}

// run measures, in a process that is small: Linux counts the parent's memory
// into its children's peak. Another makes the logs.
func run(o options) error {
	if o.generate {
		for _, s := range o.sets() {
			if err := s.generate(o.folder(s)); err != nil {
				return fmt.Errorf("making logs in %s: %w", o.folder(s), err)
			}
		}
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "bench-audit: the logs are in", o.dir)
	generate := exec.Command(self, append([]string{"-generate"}, os.Args[1:]...)...)
	generate.Stderr = os.Stderr
	if err := generate.Run(); err != nil {
		return err
	}
	if o.program == "" {
		dir, err := os.MkdirTemp("", "eks-x509-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.program = filepath.Join(dir, "eks-x509")
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", o.program, "./cmd/eks-x509")
		build.Dir, build.Env = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building eks-x509: %w\n%s", err, out)
		}
	}
	return measure(o)
}

// row is a program on some processors over a set.
type row struct {
	name    string
	set     set
	cores   int
	program []string
	paths   []string // of the logs it reads
	samples []sample
}

type sample struct {
	wall time.Duration
	peak int64 // bytes
}

func (r *row) run() error {
	args := r.program
	if r.cores < runtime.NumCPU() {
		args = append([]string{"taskset", "-c", "0-" + strconv.Itoa(r.cores-1)}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(r.cores))
	var stderr strings.Builder
	cmd.Stdout, cmd.Stderr = io.Discard, &stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("running %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	r.samples = append(r.samples, sample{time.Since(start), peak(cmd.ProcessState.SysUsage().(*syscall.Rusage))})
	return nil
}

// peak is in kilobytes on Linux and the BSDs, in bytes on macOS.
func peak(r *syscall.Rusage) int64 {
	if runtime.GOOS == "darwin" {
		return int64(r.Maxrss)
	}
	return int64(r.Maxrss) * 1024
}

// speed is of the audit log: jq does not read CloudTrail's.
func (r *row) speed(bytes int64) float64 {
	return float64(bytes) / 1e6 / median(r.samples, func(s sample) float64 { return s.wall.Seconds() })
}

func (r *row) peak() float64 {
	return median(r.samples, func(s sample) float64 { return float64(s.peak) / 1e6 })
}

func median(list []sample, of func(sample) float64) float64 {
	values := make([]float64, len(list))
	for i, v := range list {
		values[i] = of(v)
	}
	slices.Sort(values)
	n := len(values)
	return (values[n/2] + values[(n-1)/2]) / 2
}

func measure(o options) error {
	version, err := exec.Command(o.jq, "--version").Output()
	if err != nil {
		return fmt.Errorf("running %s --version: %w", o.jq, err)
	}
	full, tenth := o.sets()[0], o.sets()[1]
	sizes := map[set]int64{}
	for _, s := range o.sets() {
		// What is read once is in the page cache.
		if sizes[s], err = readAll(filepath.Join(o.folder(s), "kubernetes")); err != nil {
			return err
		}
		if _, err = readAll(filepath.Join(o.folder(s), "cloudtrail")); err != nil {
			return err
		}
	}
	summary := func(s set, cores int) *row {
		return &row{name: "eks-x509 audit summary", set: s, cores: cores, program: []string{o.program, "audit", "summary", "--output", "json",
			"--cloudtrail", filepath.Join(o.folder(s), "cloudtrail"), "--kubernetes", filepath.Join(o.folder(s), "kubernetes")}}
	}
	logs, err := filepath.Glob(filepath.Join(o.folder(full), "kubernetes", "*.log"))
	if err != nil {
		return err
	}
	one, two, small := summary(full, 1), summary(full, 2), summary(tenth, 1)
	jq := &row{name: strings.TrimSpace(string(version)) + " -c 'select(.user.extra.accessKeyId)'", set: full, cores: 1,
		program: append([]string{o.jq, "-c", "select(.user.extra.accessKeyId)"}, logs...)}
	rows := []*row{one, two, small, jq}
	for range o.runs {
		for _, r := range rows {
			if r.cores > runtime.NumCPU() {
				continue
			}
			if err := r.run(); err != nil {
				return err
			}
		}
	}
	fmt.Printf("%s %s/%s, %d processors; %d sessions in CloudTrail; medians of %d runs\n\n| program | audit log MB | cores | MB/s | peak MB |\n|---|--:|--:|--:|--:|\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), o.sessions, o.runs)
	for _, r := range rows {
		if len(r.samples) > 0 {
			fmt.Printf("| %s | %.0f | %d | %.0f | %.0f |\n", r.name, float64(sizes[r.set])/1e6, r.cores, r.speed(sizes[r.set]), r.peak())
		}
	}
	fmt.Println("\n| goal | measured | |\n|---|--:|---|")
	goal := func(text string, value float64, met bool) {
		fmt.Printf("| %s | %.2f | %s |\n", text, value, map[bool]string{true: "met", false: "**missed**"}[met])
	}
	times := one.speed(sizes[full]) / jq.speed(sizes[full])
	goal("at least 10 times as fast as jq on one core", times, times >= 10)
	if len(two.samples) > 0 {
		scale := two.speed(sizes[full]) / one.speed(sizes[full])
		goal("at least 1.5 times as fast on two cores", scale, scale >= 1.5)
		goal("a peak of at most 200 MB on two cores", two.peak(), two.peak() <= 200)
	}
	grown := one.peak() / small.peak()
	goal("a peak that does not follow the log when that is 10 times as long: at most 2 times", grown, grown <= 2)
	return nil
}

func readAll(dir string) (total int64, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		file, err := os.Open(filepath.Join(dir, f.Name()))
		if err != nil {
			return 0, err
		}
		n, err := io.Copy(io.Discard, file)
		file.Close()
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}
