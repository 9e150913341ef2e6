package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// sample is what one run of a command took.
type sample struct {
	wall, cpu time.Duration
	peak      int64 // bytes, of the largest process
}

// then is both, one after the other.
func (s sample) then(next sample) sample {
	return sample{s.wall + next.wall, s.cpu + next.cpu, max(s.peak, next.peak)}
}

// program is a process to run. It gets no more of the environment than env.
type program struct {
	path string
	args []string
	env  []string
}

// run returns what the process printed, which must be something unless it is
// the empty one.
func (p program) run() (sample, []byte, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(p.path, p.args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = p.env, &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	if err != nil || stderr.Len() > 0 {
		return sample{}, nil, fmt.Errorf("running %s %v: %v: %s", filepath.Base(p.path), p.args, err, stderr.Bytes())
	}
	state := cmd.ProcessState
	return sample{wall, state.UserTime() + state.SystemTime(), peak(state.SysUsage().(*syscall.Rusage))}, stdout.Bytes(), nil
}

// peak is in kilobytes on Linux and the BSDs, in bytes on macOS.
func peak(r *syscall.Rusage) int64 {
	if runtime.GOOS == "darwin" {
		return int64(r.Maxrss)
	}
	return int64(r.Maxrss) * 1024
}

func ownPeak() int64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return peak(&r)
}

// command is one side of a row.
type command struct {
	name string
	run  func() (sample, error)
}

// row is two commands to compare.
type row struct {
	id        string // for the goals
	a, b      command
	warmUp, n int
}

// result is what the pairs of a row took.
type result struct{ a, b []sample }

func (r row) measure() (result, error) {
	var got result
	for i := range r.warmUp + r.n {
		a, err := r.a.run()
		if err != nil {
			return result{}, err
		}
		b, err := r.b.run()
		if err != nil {
			return result{}, err
		}
		if i >= r.warmUp {
			got.a, got.b = append(got.a, a), append(got.b, b)
		}
	}
	return got, nil
}

func (r row) line(got result) string {
	ms := func(s []sample, of func(sample) time.Duration) float64 {
		return median(s, func(s sample) float64 { return of(s).Seconds() * 1000 })
	}
	wall, cpu := func(s sample) time.Duration { return s.wall }, func(s sample) time.Duration { return s.cpu }
	return fmt.Sprintf("| %s | %s | %d | %.1f | %.1f | %.2f | %.1f | %.1f | %.1f | %.1f |", r.a.name, r.b.name, r.n,
		ms(got.a, wall), ms(got.b, wall), got.wallRatio(), ms(got.a, cpu), ms(got.b, cpu), got.peakA(), got.peakB())
}

// wallRatio is how many times as long as A B takes.
func (r result) wallRatio() float64 {
	ratios := make([]float64, len(r.a))
	for i := range r.a {
		ratios[i] = r.b[i].wall.Seconds() / r.a[i].wall.Seconds()
	}
	return median(ratios, func(f float64) float64 { return f })
}

func (r result) peakA() float64 {
	return median(r.a, func(s sample) float64 { return megabytes(s.peak) })
}
func (r result) peakB() float64 {
	return median(r.b, func(s sample) float64 { return megabytes(s.peak) })
}

func megabytes(n int64) float64 { return float64(n) / 1e6 }

func median[T any](list []T, of func(T) float64) float64 {
	values := make([]float64, len(list))
	for i, v := range list {
		values[i] = of(v)
	}
	slices.Sort(values)
	n := len(values)
	return (values[n/2] + values[(n-1)/2]) / 2
}
