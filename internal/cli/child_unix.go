//go:build unix

package cli

import (
	"os"
	"syscall"
)

// childStatus is the exit status as a shell gives it: 128 and the signal's
// number for a child that a signal ended.
func childStatus(p *os.ProcessState) int {
	if status, ok := p.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return p.ExitCode()
}
