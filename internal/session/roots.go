package session

import (
	"crypto/x509"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/keys"
)

// rootsOf identifies the roots that a client trusts, without reading them: a
// session that was learned from a server that others vouch for is another one.
func rootsOf(t config.TLS) string {
	if t.CABundle == "" {
		return systemRoots(t)
	}
	info, err := os.Stat(t.CABundle)
	if err != nil {
		info = nil
	}
	return bundleRoots(t.CABundle, info)
}

// systemRoots: Go reads SSL_CERT_FILE and SSL_CERT_DIR in place of the system's
// files on Unix, but for macOS.
func systemRoots(t config.TLS) string {
	id := "system"
	for _, path := range append([]string{t.SystemFile}, filepath.SplitList(t.SystemDirs)...) {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		id += "; " + describeFile(path, info)
	}
	return id
}

func bundleRoots(path string, info fs.FileInfo) string { return "bundle " + describeFile(path, info) }

// describeFile is a path with what tells one file there from the next; nil: there
// is none.
func describeFile(path string, info fs.FileInfo) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	if info == nil {
		return fmt.Sprintf("%q, not found", path)
	}
	return fmt.Sprintf("%q, %d bytes, %d, inode %s", path, info.Size(), info.ModTime().UnixNano(), inode(info))
}

// loadRoots reads AWS_CA_BUNDLE, which takes the place of the system's roots, as
// in the SDKs. A nil pool: the system's.
func loadRoots(t config.TLS, files *keys.Files) (*x509.CertPool, string, error) {
	path := t.CABundle
	if path == "" {
		return nil, systemRoots(t), nil
	}
	where := func(err error) error { return &config.Error{Where: "AWS_CA_BUNDLE", Err: err} }
	const limit = 16 << 20 // a system's bundle is a quarter of a megabyte
	data, info, err := files.Read(path, limit)
	if err != nil {
		return nil, "", where(fmt.Errorf("reading AWS_CA_BUNDLE: %w", err))
	}
	pool, err := CertPool(data)
	if err != nil {
		return nil, "", where(fmt.Errorf("reading AWS_CA_BUNDLE: %w in %s", err, path))
	}
	return pool, bundleRoots(path, info), nil
}
