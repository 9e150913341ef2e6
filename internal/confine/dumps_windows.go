package confine

// Dumps is nothing on Windows, where error reporting is the machine's to set.
type Dumps struct{}

// NoDumps does nothing.
func NoDumps() Dumps { return Dumps{} }

func (Dumps) lower() {}

// Restore does nothing.
func (Dumps) Restore() {}
