package safefile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// acl is a POSIX access list as the kernel takes it: a version, then a tag,
// permissions and an id for each entry (linux/posix_acl_xattr.h).
func acl(group, named, mask uint16) []byte {
	const userObj, user, groupObj, maskTag, other, none = 1, 2, 4, 0x10, 0x20, ^uint32(0)
	var b bytes.Buffer
	for _, v := range []any{
		uint32(2), uint16(userObj), uint16(6), none, uint16(user), named, uint32(4242), uint16(groupObj), group, none,
		uint16(maskTag), mask, none, uint16(other), uint16(0), none,
	} {
		_ = binary.Write(&b, binary.LittleEndian, v)
	}
	return b.Bytes()
}

const (
	accessList  = "system.posix_acl_access"
	defaultList = "system.posix_acl_default"
)

type fileState struct {
	uid, gid, mode uint32
	content        string
	attributes     string
	inode          uint64
}

func stateOf(t *testing.T, path string) fileState {
	t.Helper()
	f, err := os.Open(path)
	check(t, err)
	defer f.Close()
	s, err := stat(f)
	check(t, err)
	all, err := attributes(f)
	check(t, err)
	data, err := os.ReadFile(path)
	check(t, err)
	return fileState{s.Uid, s.Gid, s.Mode & 0o7777, string(data), fmt.Sprint(all), s.Ino}
}

// as runs this test binary as another user, who may not enter the directory that
// it lies in.
func as(uid, gid int, groups []uint32, what string, args ...string) *exec.Cmd {
	cmd := child(what, args...)
	cmd.Path = "/proc/self/exe"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: groups}}
	return cmd
}

// A replacement keeps what the old file was to others, or is refused with nothing
// changed: owner × group × mode × access list × attributes × directory, as root
// and as a user.
func TestMetadata(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can make the files of others")
	}
	const user, member, stranger = 1000, 42, 43
	lists := []struct {
		name string
		list []byte
	}{{"none", nil}, {"named r--, mask r--", acl(4, 4, 4)}, {"named rw-, mask rw-, group ---", acl(0, 6, 6)}, {"named rw-, mask ---", acl(4, 6, 0)}}
	rows := 0
	for _, runner := range []int{0, user} {
		for _, owner := range [][2]int{{0, 0}, {0, member}, {user, user}, {user, member}, {user, stranger}, {user + 1, user}, {65534, 65534}} {
			for _, mode := range []uint32{0o600, 0o640, 0o444, 0o606, 0o2644, 0o4755} {
				for _, list := range lists {
					for _, inherits := range []bool{false, true} {
						rows++
						name := fmt.Sprintf("by %d: %d:%d %04o, list %s, directory's list %t", runner, owner[0], owner[1], mode, list.name, inherits)
						path := lay(t, runner, owner, mode, list.list, inherits)
						if path == "" {
							t.Skip("this file system has no access lists")
						}
						before := stateOf(t, path)
						var err error
						if runner == 0 {
							err = childReplace([]string{path})
						} else if out, exit := as(runner, runner, []uint32{member}, "replace", path).CombinedOutput(); exit != nil {
							err = errors.New(string(out))
						}
						after := stateOf(t, path)
						wantKept := runner == 0 || owner[0] == user && owner[1] != stranger
						if readable := runner == 0 || before.mode&0o444 != 0; wantKept && err != nil && readable {
							t.Errorf("%s: %v", name, err)
						}
						if !wantKept && err == nil {
							t.Errorf("%s: replaced, %+v", name, after)
						}
						if err == nil {
							before.content, before.inode = "new", after.inode
						} else if strings.Count(err.Error(), "\n") > 1 {
							t.Errorf("%s: %v", name, err)
						}
						if before != after {
							t.Errorf("%s: %v\n before %+v\n after  %+v", name, err, before, after)
						}
						if got := names(t, filepath.Dir(path)); got != "file" {
							t.Errorf("%s: left in the directory: %s", name, got)
						}
						check(t, os.RemoveAll(filepath.Dir(path)))
					}
				}
			}
		}
	}
	if rows != 2*7*6*4*2 {
		t.Errorf("%d rows", rows)
	}
}

// publicDir is a temporary directory that other users can enter.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "safefile-test-") //nolint:usetesting // t.TempDir's is below one of mode 0700
	check(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	check(t, os.Chmod(dir, 0o755))
	return dir
}

// lay makes a file in a directory of its own that the runner may write to; "" if
// there are no access lists.
func lay(t *testing.T, runner int, owner [2]int, mode uint32, list []byte, inherits bool) string {
	t.Helper()
	dir := publicDir(t)
	path := filepath.Join(dir, "file")
	check(t, os.WriteFile(path, []byte("old"), 0o600))
	check(t, unix.Setxattr(path, "user.note", []byte("of the user's"), 0))
	check(t, os.Chown(path, owner[0], owner[1]))
	if list != nil {
		if err := unix.Setxattr(path, accessList, list, 0); errors.Is(err, unix.ENOTSUP) {
			return ""
		} else if err != nil {
			t.Fatal(err)
		}
	} else {
		check(t, unix.Chmod(path, mode))
	}
	if list != nil && mode&0o7000 != 0 {
		info := stateOf(t, path)
		check(t, unix.Chmod(path, info.mode|mode&0o7000))
	}
	if inherits {
		if err := unix.Setxattr(dir, defaultList, acl(6, 6, 6), 0); errors.Is(err, unix.ENOTSUP) {
			return ""
		} else if err != nil {
			t.Fatal(err)
		}
	}
	check(t, os.Chown(dir, runner, runner))
	return path
}

// Attributes that only root can set are kept by root, and refused to others.
func TestAttributes(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can set attributes of all kinds")
	}
	for _, row := range []struct {
		name   string
		value  []byte
		kept   bool // by root
		byUser bool
	}{
		{"user.a", []byte("x"), true, true},
		{"user.empty", nil, true, true},
		{"user.long", bytes.Repeat([]byte("y"), 3000), true, true},
		{"trusted.note", []byte("z"), true, true}, // a user does not see it
		{"security.note", []byte("label"), true, false},
	} {
		for _, runner := range []int{0, 1000} {
			dir := publicDir(t)
			path := filepath.Join(dir, "file")
			check(t, os.WriteFile(path, []byte("old"), 0o600))
			if err := unix.Setxattr(path, row.name, row.value, 0); errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) {
				t.Logf("%s: %v", row.name, err)
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			check(t, os.Chown(path, runner, runner))
			check(t, os.Chown(dir, runner, runner))
			before := stateOf(t, path)
			var err error
			if runner == 0 {
				err = childReplace([]string{path})
			} else if out, exit := as(runner, runner, nil, "replace", path).CombinedOutput(); exit != nil {
				err = errors.New(string(out))
			}
			want := row.kept
			if runner != 0 {
				want = row.byUser
			}
			if (err == nil) != want {
				t.Errorf("%s by %d: %v", row.name, runner, err)
			}
			after := stateOf(t, path)
			before.inode = after.inode
			if err == nil {
				before.content = "new"
			}
			if runner != 0 && strings.HasPrefix(row.name, "trusted.") {
				continue // as any program that writes a new file
			}
			if before != after {
				t.Errorf("%s by %d: %v\n before %+v\n after  %+v", row.name, runner, err, before, after)
			}
		}
	}
}

// In a directory with the setgid bit, or of another owner, a file stays as it is.
func TestMetadataOfTheDirectory(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can make the files of others")
	}
	dir := filepath.Join(t.TempDir(), "dir")
	check(t, os.Mkdir(dir, 0o700))
	check(t, os.Chown(dir, 1000, 42))
	check(t, unix.Chmod(dir, 0o2775))
	path := filepath.Join(dir, "file")
	check(t, os.WriteFile(path, []byte("old"), 0o600))
	check(t, os.Chown(path, 1000, 1000))
	check(t, unix.Chmod(path, 0o640))
	want := stateOf(t, path)
	check(t, childReplace([]string{path})) // as sudo does
	if got := stateOf(t, path); got.uid != want.uid || got.gid != want.gid || got.mode != want.mode || got.content != "new" {
		t.Errorf("%+v, want as %+v", got, want)
	}
}
