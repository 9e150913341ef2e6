//go:build unix && !linux && !darwin && !freebsd

package safefile

import "os"

func keepAttributes(f, old *os.File) error { return nil }

func sameAttributes(f, old *os.File) error { return nil }
