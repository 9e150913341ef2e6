//go:build linux || darwin || freebsd

package safefile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// keepAttributes gives f the extended attributes of old, and no others. A POSIX
// access list is one of them on Linux.
func keepAttributes(f, old *os.File) error {
	want, err := attributes(old)
	if err != nil {
		return err
	}
	have, err := attributes(f)
	if err != nil {
		return err
	}
	for name := range have {
		if _, ok := want[name]; !ok {
			if err := unix.Fremovexattr(int(f.Fd()), name); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	for name, value := range want {
		if is, ok := have[name]; ok && bytes.Equal(is, value) {
			continue
		}
		if err := unix.Fsetxattr(int(f.Fd()), name, value, 0); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// sameAttributes looks whether what was set is there.
func sameAttributes(f, old *os.File) error {
	want, err := attributes(old)
	if err != nil {
		return err
	}
	have, err := attributes(f)
	if err != nil {
		return err
	}
	for name, value := range want {
		if is, ok := have[name]; !ok || !bytes.Equal(is, value) {
			return fmt.Errorf("%s: %w", name, errNotKept)
		}
	}
	for name := range have {
		if _, ok := want[name]; !ok {
			return fmt.Errorf("%s: %w", name, errNotKept)
		}
	}
	return nil
}

// ofStorage: attributes that tell where and how a file's content lies, or sign
// it; the system makes them for the new file. As in libattr's xattr.conf.
func ofStorage(name string) bool {
	return slices.ContainsFunc([]string{"security.evm", "security.ima", "afs.", "lustre.", "trusted.lov", "trusted.SGI_", "xfsroot.", "ceph."},
		func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

func attributes(f *os.File) (map[string][]byte, error) {
	list, err := grow(func(buffer []byte) (int, error) { return unix.Flistxattr(int(f.Fd()), buffer) })
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSYS) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for name := range strings.SplitSeq(string(list), "\x00") {
		if name == "" || ofStorage(name) {
			continue
		}
		value, err := grow(func(buffer []byte) (int, error) { return unix.Fgetxattr(int(f.Fd()), name, buffer) })
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all[name] = value
	}
	return all, nil
}

// grow calls read with a buffer that is large enough.
func grow(read func([]byte) (int, error)) ([]byte, error) {
	for size := 1 << 10; ; size *= 4 {
		buffer := make([]byte, size)
		n, err := read(buffer)
		if errors.Is(err, unix.ERANGE) && size < 1<<20 {
			continue
		}
		return buffer[:max(n, 0)], err
	}
}
