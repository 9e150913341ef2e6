//go:build linux && !cgo

package confine

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Restrict takes from this process, for ever, all files and TCP ports but those
// of a, and says whether the kernel does so: Landlock is in Linux since 5.13, and
// for TCP since 6.7. Files that are open stay open. It is kernel.org's interface
// with no library between, whose one refused path would refuse all.
//
//	https://docs.kernel.org/userspace-api/landlock.html
//
// Programs with cgo are left as they are: the C library's threads are not Go's to
// restrict, and its resolver loads libraries.
func Restrict(a Access) bool {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 || abi < 1 {
		return false
	}
	handled := unix.LandlockRulesetAttr{Handled_access_fs: readFile | writeFiles | unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR |
		unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SYM}
	if abi >= 2 {
		handled.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if abi >= 3 {
		handled.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if abi >= 4 && len(a.Ports) > 0 {
		handled.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&handled)), unsafe.Sizeof(handled), 0)
	if errno != 0 {
		return false
	}
	r := ruleset{fd: int(fd), handled: handled.Handled_access_fs}
	defer unix.Close(r.fd)
	for _, path := range a.readable() {
		r.allow(path, readFile)
	}
	for _, path := range a.Write {
		r.allow(path, readFile|writeFiles|unix.LANDLOCK_ACCESS_FS_REFER|unix.LANDLOCK_ACCESS_FS_TRUNCATE)
	}
	for _, path := range []string{"/dev/tty", "/dev/null"} { // a password is asked for at the terminal
		r.allow(path, readFile|unix.LANDLOCK_ACCESS_FS_WRITE_FILE)
	}
	if handled.Handled_access_net != 0 {
		for _, port := range a.Ports {
			if !r.connect(port) {
				return false // rather no confinement than no connection
			}
		}
	}
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return false
	}
	_, _, errno = syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(r.fd), 0, 0)
	return errno == 0
}

// Folders may be listed: what is in them is no secret, and safefile opens them.
const (
	readFile   = unix.LANDLOCK_ACCESS_FS_READ_FILE
	writeFiles = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_DIR |
		unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR
	// ofFiles are the rights that a rule for a file may give.
	ofFiles = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
)

type ruleset struct {
	fd      int
	handled uint64
}

// allow leaves out what is not there, and pipes, which are open to whoever holds them.
func (r ruleset) allow(path string, access uint64) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if unix.Fstat(fd, &stat) == nil && stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		access &= ofFiles
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: access & r.handled, Parent_fd: int32(fd)} //nolint:gosec // a file descriptor
	_, _, _ = unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(r.fd), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
}

func (r ruleset) connect(port uint16) bool {
	const ruleNetPort = 2 // LANDLOCK_RULE_NET_PORT
	rule := struct{ access, port uint64 }{unix.LANDLOCK_ACCESS_NET_CONNECT_TCP, uint64(port)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(r.fd), ruleNetPort, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	return errno == 0
}
