package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/eks-x509/eks-x509/internal/safefile"
)

// Inputs are the files that paths name: a file, a folder with all that is below
// it, but for hidden ones, or - for stdin.
func Inputs(paths []string, stdin io.Reader) ([]Input, error) {
	var inputs []Input
	for _, path := range paths {
		if path == "-" {
			inputs = append(inputs, Input{Name: "-", Open: func() (io.ReadCloser, error) { return io.NopCloser(stdin), nil }})
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("looking for log %q: %w", path, errors.Unwrap(err))
		}
		if !info.IsDir() {
			inputs = append(inputs, file(path, safefile.OpenInput))
			continue
		}
		below, err := walk(path)
		if err != nil {
			return nil, fmt.Errorf("looking for logs in %q: %w", path, err)
		}
		if len(below) == 0 {
			return nil, fmt.Errorf("no files found in %q", path)
		}
		inputs = append(inputs, below...)
	}
	return inputs, nil
}

func file(path string, open func(string) (*os.File, error)) Input {
	return Input{Name: path, Open: func() (io.ReadCloser, error) { return open(path) }}
}

// walk finds the files below a folder, in the order of their names.
func walk(folder string) (inputs []Input, err error) {
	return inputs, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path != folder && strings.HasPrefix(d.Name(), ".") && d.IsDir():
			return filepath.SkipDir
		case d.IsDir() || strings.HasPrefix(d.Name(), "."):
			return nil
		}
		// Kubernetes mounts files as symbolic links.
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			inputs = append(inputs, file(path, safefile.OpenRegular))
		}
		return nil
	})
}
