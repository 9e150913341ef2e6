package sandbox

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/minica"
)

// Authority is every certificate of a sandbox with its key: the root that trust anchors trust, the intermediate that issued the
// client's certificate, and the CA of the HTTPS side.
type Authority struct {
	Root, Intermediate, Client, TLS *minica.Pair
}

func (a *Authority) rootPEM() string { return string(minica.CertificatePEM(a.Root.Certificate)) }

func makeDir(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("opening sandbox: no directory given")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o700)
}

func (s *Sandbox) path(name string) string { return filepath.Join(s.dir, name) }

// openAuthority reads the certificates of an earlier run, or makes new ones; never a mixture.
func openAuthority(dir string, now time.Time) (*Authority, error) {
	a := new(Authority)
	pairs := map[string]**minica.Pair{"root-ca": &a.Root, "intermediate-ca": &a.Intermediate, "client": &a.Client, "tls-ca": &a.TLS}
	if _, err := os.Stat(filepath.Join(dir, "root-ca.pem")); errors.Is(err, fs.ErrNotExist) {
		return a, a.create(dir, now)
	}
	for name, pair := range pairs {
		certificate, err := os.ReadFile(filepath.Join(dir, name+".pem"))
		if err != nil {
			return nil, err
		}
		key, err := os.ReadFile(filepath.Join(dir, name+".key"))
		if err != nil {
			return nil, err
		}
		if *pair, err = minica.Parse(certificate, key); err != nil {
			return nil, fmt.Errorf("reading %q: %w", filepath.Join(dir, name+".pem"), err)
		}
	}
	a.Client.Chain = []*x509.Certificate{a.Intermediate.Certificate}
	return a, nil
}

func (a *Authority) create(dir string, now time.Time) error {
	template := minica.CA("eks-x509 sandbox root CA")
	template.NotBefore, template.NotAfter = now.Add(-time.Hour), now.AddDate(10, 0, 0)
	key, err := minica.GenerateKey("p256")
	if err != nil {
		return err
	}
	if a.Root, err = minica.NewRoot(template, key); err != nil {
		return err
	}
	if a.Intermediate, err = a.Root.Issue(minica.CA("eks-x509 sandbox intermediate CA"), nil); err != nil {
		return err
	}
	leaf := minica.Leaf("sandbox-client")
	leaf.Subject = pkix.Name{CommonName: "sandbox-client", Organization: []string{"eks-x509"}, OrganizationalUnit: []string{"sandbox"}}
	leaf.NotAfter = now.AddDate(1, 0, 0)
	if key, err = minica.GenerateKey("rsa2048"); err != nil {
		return err
	}
	if a.Client, err = a.Intermediate.Issue(leaf, key); err != nil {
		return err
	}
	// Clients check the HTTPS side by their own clock, not by one that a test has set here.
	template = minica.CA("eks-x509 sandbox TLS CA")
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(10, 0, 0)
	if key, err = minica.GenerateKey("p256"); err != nil {
		return err
	}
	if a.TLS, err = minica.NewRoot(template, key); err != nil {
		return err
	}
	return a.write(dir)
}

// write leaves root-ca.pem, by which openAuthority knows a complete set, to the last.
func (a *Authority) write(dir string) error {
	chain := minica.CertificatePEM(a.Client.Certificate, a.Intermediate.Certificate)
	if err := writeFile(filepath.Join(dir, "client-chain.pem"), chain, 0o644); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		pair *minica.Pair
	}{{"tls-ca", a.TLS}, {"client", a.Client}, {"intermediate-ca", a.Intermediate}, {"root-ca", a.Root}} {
		key, err := minica.KeyPEM(f.pair.Key)
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, f.name+".key"), key, 0o600); err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, f.name+".pem"), minica.CertificatePEM(f.pair.Certificate), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func readWorld(path string) (*World, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return DefaultWorld(), nil
	}
	if err != nil {
		return nil, err
	}
	w, err := ParseWorld(data)
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", path, err)
	}
	return w, nil
}

// writeEnv writes env.sh, to be sourced by any POSIX shell.
func (s *Sandbox) writeEnv() error {
	var b strings.Builder
	b.WriteString("# the eks-x509 sandbox: for tests and demos only\n")
	// What the shell has of ours, of AWS's and of proxies would lead elsewhere.
	b.WriteString(`for v in $(env | sed -n -e 's/^\(EKS_X509_[A-Z0-9_]*\)=.*/\1/p' -e 's/^\(AWS_[A-Z0-9_]*\)=.*/\1/p'); do unset "$v"; done
unset HTTPS_PROXY HTTP_PROXY ALL_PROXY https_proxy http_proxy all_proxy
`)
	for _, pair := range s.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		fmt.Fprintf(&b, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	if _, err := os.Stat(s.path("config.yaml")); errors.Is(err, fs.ErrNotExist) {
		if err := writeFile(s.path("config.yaml"), []byte("# the sandbox's configuration file, in place of yours\n"), 0o600); err != nil {
			return err
		}
	}
	if err := s.writeCredentials(); err != nil {
		return err
	}
	return writeFile(s.path("env.sh"), []byte(b.String()), 0o644)
}

// writeARNs is for a person to copy from.
func (s *Sandbox) writeARNs(w *World) error {
	var b strings.Builder
	for _, a := range w.TrustAnchors {
		fmt.Fprintf(&b, "trust anchor %-20s %s\n", a.Name, a.ARN)
	}
	for _, p := range w.Profiles {
		fmt.Fprintf(&b, "profile      %-20s %s\n", p.Name, p.ARN)
	}
	for _, r := range w.Roles {
		fmt.Fprintf(&b, "role         %-20s %s\n", r.ARN[strings.LastIndex(r.ARN, "/")+1:], r.ARN)
	}
	for _, c := range w.Clusters {
		fmt.Fprintf(&b, "cluster      %-20s %s\n", c.Name, c.Status)
	}
	return writeFile(s.path("arns.txt"), []byte(b.String()), 0o644)
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(data, '\n'), 0o600) // the keys of private CAs are in it
}

// writeFile writes whole or not at all.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// appendLine adds one line of JSON.
func encodeLine(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}
