// Package awsfiles edits the AWS config file: keys of one profile, every other
// byte as it was, whole or not at all. Of the credentials file it finds which
// settings win over those, and no value.
//
// The format: AWS SDKs and Tools Reference Guide, "Shared config and credentials
// files". It is defined by its readers; where this package must choose it follows
// botocore (Python's configparser) and aws-sdk-go-v2's internal/ini.
package awsfiles

import (
	"context"
	"fmt"

	"github.com/eks-x509/eks-x509/internal/safefile"
)

// maxFile bounds what is read as a config file, in bytes.
const maxFile = 16 << 20

// Read returns what the file holds, nothing if there is none. Links are
// followed.
func Read(path string) ([]byte, error) {
	data, err := safefile.ReadWhole(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", path, err)
	}
	return data, nil
}

// Update replaces the file by what edit makes of it, unless that is the same or
// an error. Those who update at the same time take turns, by a lock in lockDir.
func Update(ctx context.Context, path, lockDir string, edit func([]byte) ([]byte, error), inPlace ...func(string)) (changed bool, err error) {
	changed, err = safefile.Edit(ctx, path, lockDir, maxFile, edit, inPlace...)
	if err != nil {
		return false, fmt.Errorf("editing the AWS config file %q: %w", path, err)
	}
	return changed, nil
}
