//go:build unix && !(darwin || dragonfly || freebsd || netbsd || openbsd)

package term

import "golang.org/x/sys/unix"

const (
	getTermios = unix.TCGETS
	setTermios = unix.TCSETS
	disabled   = 0 // _POSIX_VDISABLE
)
