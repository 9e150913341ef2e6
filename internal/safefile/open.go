package safefile

import (
	"errors"
	"io/fs"
	"os"
)

// ReadWhole returns what a regular file of the user's holds, at most limit bytes;
// nothing if there is none. Links are followed.
func ReadWhole(path string, limit int64) ([]byte, error) {
	data, err := ReadExisting(path, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// ReadExisting is ReadWhole for a file that must be there.
func ReadExisting(path string, limit int64) ([]byte, error) {
	f, err := OpenRegular(path)
	if err != nil && isNull(path) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, path, limit)
}

// isNull: the system's file that is always empty, which many name for "none".
func isNull(path string) bool {
	info, err := os.Stat(path)
	null, errNull := os.Stat(os.DevNull)
	return err == nil && errNull == nil && os.SameFile(info, null)
}

// OpenRegular opens a regular file of the user's for reading. Links are followed;
// what else is there is not even opened: a pipe would wait, a device may act.
func OpenRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: cause(err)}
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errNotRegular}
	}
	f, err := os.OpenFile(path, os.O_RDONLY|noWait, 0)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() { // put there since
		err = &fs.PathError{Op: "read", Path: path, Err: errNotRegular}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// ReadInput is ReadExisting for what may also come through a pipe or from a
// character device: <(…) of a shell, /dev/stdin. It also tells what the file is.
func ReadInput(path string, limit int64) ([]byte, fs.FileInfo, error) {
	f, err := OpenInput(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	data, err := readAll(f, path, limit)
	return data, info, err
}

// OpenInput opens a regular file, a pipe or a character device of the user's for
// reading. Opening a pipe waits for its writer.
func OpenInput(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: cause(err)}
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return nil, &fs.PathError{Op: "read", Path: path, Err: errDirectory}
	case mode&fs.ModeNamedPipe != 0 || mode&fs.ModeCharDevice != 0:
		return os.OpenFile(path, os.O_RDONLY, 0)
	}
	return OpenRegular(path)
}

var errDirectory = errors.New("it is a directory")

// Create makes a file of the user's with all of data, or none: what is there
// already, be it a link, stays, and the error is fs.ErrExist. The umask applies.
func Create(path string, data []byte, mode fs.FileMode) error {
	dir, name, err := split(path)
	if err != nil {
		return err
	}
	r, err := stageNew(dir, name, data, mode)
	if err != nil {
		return err
	}
	defer r.Discard()
	return r.Commit()
}

// CreateFile makes an empty file to be written to, which must not be there. No
// link is followed.
func CreateFile(path string, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
}

// Resume opens a private file to go on with, or makes it. It must be a regular
// one of this user; no link is followed.
func Resume(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|noFollow, fileMode)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err == nil {
		err = checkOwner(info)
	}
	if err != nil {
		return nil, errors.Join(&fs.PathError{Op: "open", Path: path, Err: err}, f.Close())
	}
	return f, nil
}

// Scratch makes a file in dir, the system's place for such if it is empty, that
// nobody else can open. Its name is gone at once, so that nothing is left however
// the process ends, but on Windows, which keeps the name of a file that is open:
// there it is named, to be removed after it is closed.
func Scratch(dir string) (f *os.File, named string, err error) {
	if f, err = os.CreateTemp(dir, "eks-x509-"); err != nil {
		return nil, "", err
	}
	if os.Remove(f.Name()) != nil {
		named = f.Name()
	}
	return f, named, nil
}

// Remove removes a file, not what a link leads to.
func Remove(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return &fs.PathError{Op: "remove", Path: path, Err: errDirectory}
	}
	return os.Remove(path)
}
