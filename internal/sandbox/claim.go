package sandbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/eks-x509/eks-x509/internal/safefile"
)

const (
	maxPEM   = 1 << 20
	maxWorld = 64 << 20

	// manifest tells by its presence that a directory is a sandbox's, and by its content which files of the CA are.
	manifest = "sandbox.json"
	lastFile = "root-ca.pem"
	rootName = "eks-x509 sandbox root CA"

	envHeader         = "# the eks-x509 sandbox"
	credentialsHeader = "# of the eks-x509 sandbox"
)

// fileNames are all that the sandbox writes in its directory, and the commands that run in its environment.
func fileNames() []string {
	return append(authorityNames(),
		"world.json", "env.sh", "arns.txt", "aws-credentials", "ready", "requests.jsonl", "cloudtrail.jsonl", "audit.jsonl",
		"config.yaml", "kubeconfig", "aws-config")
}

func authorityNames() []string {
	return []string{"root-ca.pem", "root-ca.key", "intermediate-ca.pem", "intermediate-ca.key", "client.pem", "client.key", "client-chain.pem", "tls-ca.pem", "tls-ca.key"}
}

// openings are how the files begin that each start writes anew.
func openings() map[string]string {
	return map[string]string{"env.sh": envHeader, "aws-credentials": credentialsHeader, "arns.txt": "trust anchor ", "ready": "https://"}
}

type manifestFile struct {
	Version int               `json:"version"`
	Files   map[string]string `json:"files"` // name → SHA-256, hex
}

func writeManifest(dir string, files map[string][]byte) error {
	m := manifestFile{1, map[string]string{}}
	for name, data := range files {
		m.Files[name] = digest(data)
	}
	return writeJSON(filepath.Join(dir, manifest), m)
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// claim makes the directory, or looks whether one that is there may be used: it is of this user alone to write to, and what has a name
// that the sandbox uses was made by it. Nothing in it is changed before that is known.
func claim(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("no directory given")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := safefile.UserDir(dir); err != nil {
		return "", err
	}
	var there []string
	for _, name := range append(fileNames(), manifest) {
		info, err := os.Lstat(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		if !info.Mode().IsRegular() {
			return "", foreign(dir, name)
		}
		there = append(there, name)
	}
	return dir, known(dir, there)
}

func foreign(dir, name string) error {
	return fmt.Errorf("%q was not made by a sandbox; choose another directory", filepath.Join(dir, name))
}

// known looks whether the files that are there are a sandbox's.
func known(dir string, there []string) error {
	if len(there) == 0 {
		return nil
	}
	if !slices.Contains(there, manifest) {
		if err := adopt(dir, there[0]); err != nil {
			return err
		}
	}
	data, err := safefile.ReadExisting(filepath.Join(dir, manifest), maxPEM)
	if err != nil {
		return err
	}
	var m manifestFile
	if json.Unmarshal(data, &m) != nil || m.Version != 1 || m.Files[lastFile] == "" {
		return foreign(dir, manifest)
	}
	complete := slices.Contains(there, lastFile)
	for _, name := range there {
		if name == manifest {
			continue
		}
		want, begins := m.Files[name], openings()[name]
		if complete && begins == "" {
			continue // it is only read, or goes on
		}
		data, err := safefile.ReadExisting(filepath.Join(dir, name), maxWorld)
		if err != nil {
			return err
		}
		switch {
		case complete && !bytes.HasPrefix(data, []byte(begins)):
			return foreign(dir, name)
		case !complete && want != digest(data): // of a run that was killed
			return foreign(dir, name)
		}
	}
	return nil
}

// adopt takes the directory of an earlier version, which had no manifest, by its root.
func adopt(dir, first string) error {
	a, err := readAuthority(dir)
	if err != nil || a.Root.Certificate.Subject.CommonName != rootName {
		return foreign(dir, first)
	}
	files := map[string][]byte{}
	for _, name := range authorityNames() {
		if files[name], err = safefile.ReadExisting(filepath.Join(dir, name), maxPEM); err != nil {
			return err
		}
	}
	return writeManifest(dir, files)
}
