//go:build unix

package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

const (
	// noWait: a pipe in the file's place must not hang us.
	noWait   = syscall.O_NONBLOCK
	noFollow = syscall.O_NOFOLLOW | noWait
)

func openNoFollow(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDONLY|noFollow, 0) }

func owner(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

func checkOwner(info fs.FileInfo) error {
	if uid := os.Geteuid(); owner(info) != uid {
		return fmt.Errorf("owned by user %d, not by the current user (%d)", owner(info), uid)
	}
	return nil
}

func sameOwner(a, b fs.FileInfo) bool { return owner(a) == owner(b) }

// loose also tells of an access list: its mask stands where the group's bits are.
func loose(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }

// writable by others; their access lists count as in loose.
func writable(info fs.FileInfo) bool { return info.Mode().Perm()&0o022 != 0 }

// ownName is that of a private directory in one that is not.
func ownName() string { return "eks-x509-" + strconv.Itoa(os.Geteuid()) }

// checkShared says whether this user may have a directory in one that others can
// enter. Where they can write as well and the sticky bit is missing, as in a
// Kubernetes emptyDir, they can take that directory away: so its owner and mode
// are checked again each time it is written to.
func checkShared(info fs.FileInfo) error {
	if uid := owner(info); uid != 0 && uid != os.Geteuid() {
		return checkOwner(info)
	}
	return nil
}

// checkLink is the rule of fs.protected_symlinks, which the kernel does not apply
// to a link that is read and not followed.
// https://docs.kernel.org/admin-guide/sysctl/fs.html#protected-symlinks
func checkLink(dir, link string) error {
	in, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	info, err := os.Lstat(link)
	if err != nil {
		return err
	}
	if in.Mode().Perm()&0o002 != 0 && owner(info) != os.Geteuid() && !sameOwner(info, in) {
		return fmt.Errorf("a symbolic link of user %d, in a directory that everyone can write to", owner(info))
	}
	return nil
}

func rename(dir *os.Root, from, to string) error { return dir.Rename(from, to) }

// tryLock locks an open file until it is closed.
func tryLock(f *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case err != nil:
			return false, &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
		default:
			return true, nil
		}
	}
}

// keep makes a new file as the old one is, but for its content and its times, and
// looks whether it is.
func keep(f, old *os.File, path string) error {
	info, err := old.Stat()
	if err != nil {
		return err
	}
	was, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return &NotKeptError{Path: path, What: "owner", Err: errors.ErrUnsupported}
	}
	if links := uint64(was.Nlink); links > 1 { //nolint:unconvert // of another type on each system
		return &fs.PathError{Op: "replace", Path: path, Err: fmt.Errorf("it has %d hard links, and the others would keep the old content", links)}
	}
	refused := func(what string, err error) error { return &NotKeptError{path, what, err} }
	is, err := stat(f)
	if err != nil {
		return err
	}
	who := fmt.Sprintf("owner and group (%d:%d)", was.Uid, was.Gid)
	if is.Uid != was.Uid || is.Gid != was.Gid {
		if err := f.Chown(int(was.Uid), int(was.Gid)); err != nil {
			return refused(who, cause(err))
		}
	}
	// The mode goes last: with the access list that a file inherits from its
	// directory, group bits would be that list's mask.
	if err := keepAttributes(f, old); err != nil {
		return refused("extended attributes", err)
	}
	if err := f.Chmod(info.Mode()); err != nil {
		return refused("mode", cause(err))
	}
	if is, err = stat(f); err != nil {
		return err
	}
	if is.Uid != was.Uid || is.Gid != was.Gid {
		return refused(who, errNotKept)
	}
	if is.Mode != was.Mode {
		return refused(fmt.Sprintf("mode (%04o)", was.Mode&0o7777), errNotKept)
	}
	if err := sameAttributes(f, old); err != nil {
		return refused("extended attributes", err)
	}
	return nil
}

var errNotKept = errors.New("the file system changes it")

func stat(f *os.File) (*syscall.Stat_t, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return s, nil
}
