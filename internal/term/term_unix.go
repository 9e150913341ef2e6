//go:build unix

package term

import (
	"os"

	"golang.org/x/sys/unix"
)

func openTerminal() (in, out *os.File, err error) {
	if in, err = os.OpenFile("/dev/tty", os.O_RDWR, 0); err != nil {
		return nil, nil, err
	}
	if out, err = os.OpenFile("/dev/tty", os.O_WRONLY, 0); err != nil {
		_ = in.Close()
		return nil, nil, err
	}
	return in, out, nil
}

// echoOff leaves the rest as it is: lines can be edited, and Ctrl-C is a signal.
func echoOff(f *os.File) (restore func(), err error) {
	raw, err := f.SyscallConn() // f.Fd would make reads of f impossible to cancel
	if err != nil {
		return nil, err
	}
	var before *unix.Termios
	ctlErr := raw.Control(func(fd uintptr) {
		if before, err = unix.IoctlGetTermios(int(fd), getTermios); err == nil {
			silent := *before
			silent.Lflag &^= unix.ECHO
			silent.Lflag |= unix.ICANON | unix.ISIG
			silent.Iflag |= unix.ICRNL
			// A shell that gets the terminal back on Ctrl-Z turns the echo on, and it would stay on after fg.
			silent.Cc[unix.VSUSP] = disabled
			err = unix.IoctlSetTermios(int(fd), setTermios, &silent)
		}
	})
	if ctlErr != nil {
		return nil, ctlErr
	}
	if err != nil {
		return nil, err
	}
	return func() {
		_ = raw.Control(func(fd uintptr) { _ = unix.IoctlSetTermios(int(fd), setTermios, before) })
	}, nil
}

// Width is how many columns the terminal f has; 0: f is none, or nobody knows.
func Width(f *os.File) int {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	width := 0
	_ = raw.Control(func(fd uintptr) {
		if size, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ); err == nil {
			width = int(size.Col)
		}
	})
	return width
}

// IsTerminal says whether what is written to f is seen by a person.
func IsTerminal(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	ok := false
	_ = raw.Control(func(fd uintptr) {
		_, err := unix.IoctlGetTermios(int(fd), getTermios)
		ok = err == nil
	})
	return ok
}
