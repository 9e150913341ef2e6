package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// writeNew makes a file; one that is there is never overwritten.
func writeNew(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("making %q: %w", path, withoutPath(err))
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// absent is for before the work: writeNew is the one that makes sure.
func absent(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%q is there already, and is not overwritten", path)
	}
	return nil
}

// withoutPath is the cause alone, for a message that names the file.
func withoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
