// Package confine takes from the process what it does not need while a key, a
// password or a session is in its memory: that memory can't be dumped, and other
// processes of the user can't read it.
package confine

// ForChild starts another program by start, with the limit of before, which is the person's.
func (d Dumps) ForChild(start func() error) error {
	d.Restore()
	defer d.lower()
	return start()
}
