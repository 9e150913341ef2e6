// Command audit measures eks-x509 audit summary beside jq, which does the
// selection of the audit log's side alone: it has nothing to join, count or
// sort. It makes a seeded set of both logs, and keeps it for the next time.
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

func (o options) set() set { return set{o.seed, o.bytes, o.sessions} }

func (o options) folder(log string) string {
	return filepath.Join(o.dir, fmt.Sprintf("%d-%d-%d", o.seed, o.bytes, o.sessions), log)
}

// run measures, in a process that is small: Linux counts the parent's memory
// into its children's peak. Another makes the logs.
func run(o options) error {
	if o.generate {
		if err := o.set().generate(o.folder("")); err != nil {
			return fmt.Errorf("making logs in %s: %w", o.folder(""), err)
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

// row is a program on some processors, that reads so many bytes of audit log.
type row struct {
	name    string
	bytes   int64
	cores   int
	runs    int
	program []string
	samples []sample
}

type sample struct {
	wall, cpu time.Duration
	peak      int64 // bytes
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
	state := cmd.ProcessState
	r.samples = append(r.samples, sample{time.Since(start), state.UserTime() + state.SystemTime(), peak(state.SysUsage().(*syscall.Rusage))})
	return nil
}

// peak is in kilobytes on Linux and the BSDs, in bytes on macOS.
func peak(r *syscall.Rusage) int64 {
	if runtime.GOOS == "darwin" {
		return int64(r.Maxrss)
	}
	return int64(r.Maxrss) * 1024
}

// wall is MB of audit log a second, since jq does not read CloudTrail's.
func (r *row) wall() float64 {
	return float64(r.bytes) / 1e6 / median(r.samples, func(s sample) float64 { return s.wall.Seconds() })
}

// cpu is the same of the processors' time.
func (r *row) cpu() float64 {
	return float64(r.bytes) / 1e6 / median(r.samples, func(s sample) float64 { return s.cpu.Seconds() })
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
	// What is read once is in the page cache.
	size, err := readAll(o.folder("kubernetes"))
	if err != nil {
		return err
	}
	if _, err = readAll(o.folder("cloudtrail")); err != nil {
		return err
	}
	summary := func(cores, times, runs int) *row {
		args := []string{o.program, "audit", "summary", "--output", "json", "--cloudtrail", o.folder("cloudtrail")}
		for range times {
			args = append(args, "--kubernetes", o.folder("kubernetes"))
		}
		return &row{name: "eks-x509 audit summary", bytes: int64(times) * size, cores: cores, runs: runs, program: args}
	}
	logs, err := filepath.Glob(filepath.Join(o.folder("kubernetes"), "*.log"))
	if err != nil {
		return err
	}
	cores := min(2, runtime.NumCPU())
	one, two, ten := summary(1, 1, o.runs), summary(cores, 1, o.runs), summary(cores, 10, 1)
	ten.name += ", the log ten times"
	jq := &row{name: strings.TrimSpace(string(version)) + " -c 'select(.user.extra.accessKeyId)'", bytes: size, cores: 1, runs: o.runs,
		program: append([]string{o.jq, "-c", "select(.user.extra.accessKeyId)"}, logs...)}
	rows := []*row{one, two, jq, ten}
	for i := range o.runs {
		for _, r := range rows {
			if i >= r.runs {
				continue
			}
			if err := r.run(); err != nil {
				return err
			}
		}
	}
	fmt.Printf("%s %s/%s, %d processors; %d sessions in CloudTrail; medians of %d runs\n\n| program | audit log MB | cores | MB/s | MB/s of processor time | peak MB |\n|---|--:|--:|--:|--:|--:|\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), o.sessions, o.runs)
	for _, r := range rows {
		fmt.Printf("| %s | %.0f | %d | %.0f | %.0f | %.0f |\n", r.name, float64(r.bytes)/1e6, r.cores, r.wall(), r.cpu(), r.peak())
	}
	fmt.Println("\n| goal | measured | |\n|---|--:|---|")
	goal := func(text string, value float64, met bool) {
		fmt.Printf("| %s | %.2f | %s |\n", text, value, map[bool]string{true: "met", false: "**missed**"}[met])
	}
	// Other work on the machine takes wall time from either, but not processor time.
	times := one.cpu() / jq.cpu()
	goal("on one core at least 10 times jq's speed, by processor time", times, times >= 10)
	if cores > 1 {
		scale := two.wall() / one.wall()
		goal("on two cores at least 1.5 times the speed of one", scale, scale >= 1.5)
	}
	goal("a peak of at most 200 MB", max(one.peak(), two.peak(), ten.peak()), max(one.peak(), two.peak(), ten.peak()) <= 200)
	grown := ten.peak() / two.peak()
	goal("a peak that is flat: ten times the log, at most 1.25 times the peak", grown, grown <= 1.25)
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
