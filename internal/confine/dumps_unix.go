//go:build unix

package confine

import "syscall"

// Dumps is what the process gave up by [NoDumps]; the zero value is nothing.
type Dumps struct {
	before  syscall.Rlimit
	changed bool
}

// NoDumps keeps the memory of this process from core files. On Linux no process
// without privileges can attach to it, or read its memory or its environment,
// either. What can't be had is left out.
func NoDumps() Dumps {
	undumpable()
	var d Dumps
	d.changed = syscall.Getrlimit(syscall.RLIMIT_CORE, &d.before) == nil && d.before.Cur != 0
	d.lower()
	return d
}

func (d Dumps) lower() {
	if d.changed {
		now := d.before
		now.Cur = 0 // the soft limit alone, which can be raised again
		_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &now)
	}
}

// Restore gives the limit back, for the program that takes the place of this one.
// On Linux this one still leaves no core.
func (d Dumps) Restore() {
	if d.changed {
		_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &d.before)
	}
}
