//go:build unix && !linux

package confine

func undumpable() {}
