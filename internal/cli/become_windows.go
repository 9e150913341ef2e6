package cli

// become runs the command and passes its exit status on: Windows has no execve.
func (a *app) become(path string, command, environ []string) error {
	a.patient.Store(true)
	return a.runWith(append([]string{path}, command[1:]...), environ)
}
