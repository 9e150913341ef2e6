//go:build unix

package cli

import (
	"fmt"
	"syscall"
)

// become makes this process the command: no process stands between it and its
// signals.
func (a *app) become(path string, command, environ []string) error {
	err := syscall.Exec(path, command, environ) //nolint:gosec // the person's own command
	return &notFoundError{command[0], fmt.Errorf("%w", err)}
}
