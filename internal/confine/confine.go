// Package confine takes from the process what it does not need while a key, a
// password or a session is in its memory: that memory can't be dumped, and other
// processes of the user can't read it.
package confine

import "os/exec"

// Start starts a command that has the limits of before, which are the person's.
func (d Dumps) Start(cmd *exec.Cmd) error {
	d.Restore()
	defer d.lower()
	return cmd.Start()
}
