//go:build unix

package cli

import "syscall"

// become makes this process the command: no process stands between it and its
// signals.
func (a *app) become(path string, command, environ []string) error {
	a.dumps.Restore()
	err := syscall.Exec(path, command, environ)
	return &notFoundError{command[0], err}
}
