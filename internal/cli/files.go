package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/eks-x509/eks-x509/internal/safefile"
	"github.com/eks-x509/eks-x509/internal/safetext"
)

// writeNew makes a file; one that is there is never overwritten.
func writeNew(path string, data []byte, mode fs.FileMode) error {
	err := safefile.Create(path, data, mode)
	if errors.Is(err, fs.ErrExist) {
		return notOverwritten(path)
	}
	if err != nil {
		return fmt.Errorf("making %q: %w", path, withoutPath(err))
	}
	return nil
}

// absent is for before the work: writeNew is the one that makes sure.
func absent(path string) error {
	if safetext.Line(path) != path {
		return misuse("invalid file name %q: it has a control character or an invisible one, or is not UTF-8", path)
	}
	if _, err := os.Lstat(path); err == nil {
		return notOverwritten(path)
	}
	return nil
}

func notOverwritten(path string) error {
	return fmt.Errorf("%q is there already, and is not overwritten", path)
}

// withoutPath is the cause alone, for a message that names the file.
func withoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
