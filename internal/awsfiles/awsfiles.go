// Package awsfiles edits the AWS config file: one key of one profile, every
// other byte as it was, whole or not at all. It judges no credentials and does
// not read ~/.aws/credentials.
//
// The format: AWS SDKs and Tools Reference Guide, "Shared config and credentials
// files". It is defined by its readers; where this package must choose it follows
// botocore (Python's configparser) and aws-sdk-go-v2's internal/ini.
package awsfiles

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/eks-x509/eks-x509/internal/safefile"
)

// Path is where the AWS config file is: $AWS_CONFIG_FILE, or .aws/config in the
// home directory.
func Path(getenv func(string) string) (string, error) {
	path := getenv("AWS_CONFIG_FILE")
	if path == "" {
		path = "~/.aws/config"
	}
	rest, inHome := strings.CutPrefix(filepath.ToSlash(path), "~/")
	if !inHome {
		return path, nil
	}
	variable := "HOME"
	if runtime.GOOS == "windows" {
		variable = "USERPROFILE"
	}
	home := getenv(variable)
	if home == "" {
		return "", fmt.Errorf("finding the AWS config file: no home directory found (%s is not set)", variable)
	}
	return filepath.Join(home, filepath.FromSlash(rest)), nil
}

// maxFile bounds what is read as a config file, in bytes.
const maxFile = 16 << 20

// Read returns what the file holds, nothing if there is none. Links are
// followed.
func Read(path string) ([]byte, error) {
	data, err := safefile.ReadWhole(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("reading the AWS config file: %w", err)
	}
	return data, nil
}

// Update replaces the file by what edit makes of it, unless that is the same or
// an error. Those who update at the same time take turns, by a lock in lockDir.
func Update(ctx context.Context, path, lockDir string, edit func([]byte) ([]byte, error)) (changed bool, err error) {
	changed, err = safefile.Edit(ctx, path, lockDir, maxFile, edit)
	if err != nil {
		return false, fmt.Errorf("editing the AWS config file %q: %w", path, err)
	}
	return changed, nil
}
