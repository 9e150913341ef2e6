package safefile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// NotKeptError is a replacement that was refused, with nothing changed: the new
// file would not have been as the old one was.
type NotKeptError struct {
	Path, What string
	Err        error
}

func (e *NotKeptError) Error() string {
	return fmt.Sprintf("replacing %q: its %s can't be kept: %v", e.Path, e.What, e.Err)
}

func (e *NotKeptError) Unwrap() error { return e.Err }

// Replace replaces the file by data, or leaves it as it was: written aside,
// flushed to the disk, renamed. It keeps owner, group, mode, access list and
// extended attributes; if it can't, the error is a *NotKeptError. A file that is
// not there is made with the given mode, less the umask. No link is followed.
func Replace(path string, data []byte, mode fs.FileMode) error {
	r, err := Prepare(path, data, mode)
	if err != nil {
		return err
	}
	defer r.Discard()
	return r.Commit()
}

// Replacement is a new file beside the old one, with all that it needs to take
// its place.
type Replacement struct {
	old  *original
	temp *os.File
	name string // of temp, in the directory; empty when it is gone
}

// Prepare is the part of Replace that may be refused. The rest is for Commit;
// Discard is to be called in any case.
func Prepare(path string, data []byte, mode fs.FileMode) (*Replacement, error) {
	old, err := openOld(filepath.Dir(path), filepath.Base(path))
	if err != nil {
		return nil, err
	}
	r, err := old.stage(data, mode)
	if err != nil {
		old.close()
		return nil, err
	}
	return r, nil
}

// original is a file that may be replaced, in a directory held by its handle:
// whoever renames or relinks the directory meanwhile changes nothing for us.
type original struct {
	dir  *os.Root
	name string
	file *os.File    // nil: there is none
	info fs.FileInfo // of file when it was opened
}

func (o *original) path() string { return filepath.Join(o.dir.Name(), o.name) }

func (o *original) close() {
	_ = o.dir.Close()
	if o.file != nil {
		_ = o.file.Close()
	}
}

func openOld(dir, name string) (*original, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	o := &original{dir: root, name: name}
	if o.file, o.info, err = openIn(root, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		o.close()
		return nil, err
	}
	return o, nil
}

// openIn opens a regular file in a directory. os.Root follows links that stay in
// it; here none is followed.
func openIn(dir *os.Root, name string) (*os.File, fs.FileInfo, error) {
	path := filepath.Join(dir.Name(), name)
	info, err := dir.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	// /dev/null is usual for "none"; it must not be replaced by a file.
	if !info.Mode().IsRegular() {
		return nil, nil, &fs.PathError{Op: "read", Path: path, Err: errNotRegular}
	}
	f, err := dir.OpenFile(name, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return nil, nil, &fs.PathError{Op: "open", Path: path, Err: cause(err)}
	}
	opened, err := f.Stat()
	if err == nil && !os.SameFile(info, opened) {
		err = &fs.PathError{Op: "read", Path: path, Err: errChanged}
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, opened, nil
}

var errChanged = errors.New("another program changed it meanwhile; run again")

func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// stageNew writes data aside in a directory, for a file that is made there, or that
// replaces whatever is there.
func stageNew(dir, name string, data []byte, mode fs.FileMode) (*Replacement, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	old := &original{dir: root, name: name}
	r, err := old.stage(data, mode)
	if err != nil {
		old.close()
	}
	return r, err
}

// stage writes data aside, for this user alone until it is as the old file is.
func (o *original) stage(data []byte, mode fs.FileMode) (*Replacement, error) {
	removeStale(o.dir, o.info, func(name string) bool { return name == o.name })
	if o.file != nil {
		mode = fileMode
	}
	r := &Replacement{old: o}
	err := r.makeTemp(mode)
	if err == nil {
		_, err = r.temp.Write(data)
	}
	if err == nil && o.file != nil {
		err = keep(r.temp, o.file, o.path())
	}
	if err == nil {
		err = r.temp.Sync()
	}
	if err != nil {
		r.removeTemp()
		return nil, err
	}
	return r, nil
}

const tempMark = ".eks-x509-"

// tempOf is the name of the file that a temporary one is for.
func tempOf(name string) (string, bool) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	i := strings.LastIndex(name, tempMark)
	if i < 2 || name[0] != '.' {
		return "", false
	}
	random := name[i+len(tempMark):]
	return name[1:i], len(random) == randomLen && strings.Trim(random, letters) == ""
}

const randomLen = 8

// makeTemp makes a file that is locked as long as this process has it open, so
// that others can tell it from one that was left behind.
func (r *Replacement) makeTemp(mode fs.FileMode) error {
	const mostTries = 100
	var err error
	for range mostTries {
		name := "." + r.old.name + tempMark + rand.Text()[:randomLen]
		var f *os.File
		f, err = r.old.dir.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|noFollow, mode.Perm())
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return &fs.PathError{Op: "create", Path: filepath.Join(r.old.dir.Name(), name), Err: cause(err)}
		}
		free, lockErr := tryLock(f) // where there are no locks, left-over files stay
		if lockErr == nil && (!free || !isAt(r.old.dir, name, f)) {
			_ = f.Close() // taken for left behind, before it was locked
			continue
		}
		r.temp, r.name = f, name
		return nil
	}
	return errors.Join(errors.New("no temporary file could be made"), err)
}

func isAt(dir *os.Root, name string, f *os.File) bool {
	there, err := dir.Lstat(name)
	if err != nil {
		return false
	}
	info, err := f.Stat()
	return err == nil && os.SameFile(there, info)
}

// Commit puts the new file in the place of the old one. What was changed since it
// was read, or made where there was nothing, is not overwritten.
func (r *Replacement) Commit() error {
	o := r.old
	if o.file == nil {
		return r.create()
	}
	now, err := o.file.Stat()
	if err != nil {
		return err
	}
	if !isAt(o.dir, o.name, o.file) || !now.ModTime().Equal(o.info.ModTime()) || now.Size() != o.info.Size() || now.Mode() != o.info.Mode() {
		return &fs.PathError{Op: "replace", Path: o.path(), Err: errChanged}
	}
	return r.rename()
}

// create gives the file its name unless that is taken. Only a link does so at
// once; where there are none, a moment is left between.
func (r *Replacement) create() error {
	o := r.old
	err := o.dir.Link(r.name, o.name)
	if err == nil {
		r.removeTemp()
		r.syncDir()
		return nil
	}
	if _, there := o.dir.Lstat(o.name); errors.Is(err, fs.ErrExist) || there == nil {
		return &fs.PathError{Op: "create", Path: o.path(), Err: fs.ErrExist}
	}
	return r.rename()
}

func (r *Replacement) rename() error {
	o := r.old
	if runtime.GOOS == "windows" { // what is open can't be renamed
		if err := r.temp.Close(); err != nil {
			return err
		}
	}
	if err := rename(o.dir, r.name, o.name); err != nil {
		return &fs.PathError{Op: "replace", Path: o.path(), Err: linkCause(err)}
	}
	r.name = ""
	r.syncDir()
	return nil
}

func linkCause(err error) error {
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}

// syncDir makes the rename last. Some file systems can't; the file is whole all
// the same.
func (r *Replacement) syncDir() {
	d, err := r.old.dir.Open(".")
	if err != nil {
		return
	}
	defer d.Close()
	_ = d.Sync()
}

// Discard removes what Commit has not used, and closes the files.
func (r *Replacement) Discard() {
	r.removeTemp()
	r.old.close()
}

func (r *Replacement) removeTemp() {
	if r.temp == nil {
		return
	}
	if runtime.GOOS == "windows" { // what is open can't be removed
		_ = r.temp.Close()
	}
	if r.name != "" {
		_ = r.old.dir.Remove(r.name)
		r.name = ""
	}
	_ = r.temp.Close()
}

// RemoveStale removes the temporary files in dir of processes that are gone, for
// the files that match.
func RemoveStale(dir string, match func(name string) bool) error {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	removeStale(root, nil, match)
	return nil
}

// removeStale: old is the file that they were to replace, whose owner they may
// have.
func removeStale(dir *os.Root, old fs.FileInfo, match func(name string) bool) {
	d, err := dir.Open(".")
	if err != nil {
		return
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	for _, name := range names {
		base, ok := tempOf(name)
		if !ok || !match(base) {
			continue
		}
		f, info, err := openIn(dir, name)
		if err != nil {
			continue
		}
		if checkOwner(info) == nil || old != nil && sameOwner(info, old) {
			if free, err := tryLock(f); err == nil && free && isAt(dir, name, f) {
				if runtime.GOOS == "windows" {
					_ = f.Close()
				}
				_ = dir.Remove(name)
			}
		}
		_ = f.Close()
	}
}
