package cli

import "os"

// childStatus is the exit status.
func childStatus(p *os.ProcessState) int { return p.ExitCode() }
