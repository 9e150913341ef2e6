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
	"github.com/eks-x509/eks-x509/internal/safefile"
)

// Authority is every certificate of a sandbox with its key: the root that trust anchors trust, the intermediate that issued the
// client's certificate, and the CA of the HTTPS side.
type Authority struct {
	Root, Intermediate, Client, TLS *minica.Pair
}

func (a *Authority) rootPEM() string { return string(minica.CertificatePEM(a.Root.Certificate)) }

func (s *Sandbox) path(name string) string { return filepath.Join(s.dir, name) }

// openAuthority reads the certificates of an earlier run, or makes new ones; never a mixture.
func openAuthority(dir string, now time.Time) (*Authority, error) {
	if _, err := os.Lstat(filepath.Join(dir, lastFile)); errors.Is(err, fs.ErrNotExist) {
		a := new(Authority)
		return a, a.create(dir, now)
	}
	return readAuthority(dir)
}

func readAuthority(dir string) (*Authority, error) {
	a := new(Authority)
	for name, pair := range map[string]**minica.Pair{"root-ca": &a.Root, "intermediate-ca": &a.Intermediate, "client": &a.Client, "tls-ca": &a.TLS} {
		certificate, err := safefile.ReadExisting(filepath.Join(dir, name+".pem"), maxPEM)
		if err != nil {
			return nil, err
		}
		key, err := safefile.ReadExisting(filepath.Join(dir, name+".key"), maxPEM)
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
	template := minica.CA(rootName)
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

// write leaves root-ca.pem, by which openAuthority knows a complete set, to the last. Before the first it writes down what it is about
// to write, so that after a crash it knows its own files.
func (a *Authority) write(dir string) error {
	files := map[string][]byte{"client-chain.pem": minica.CertificatePEM(a.Client.Certificate, a.Intermediate.Certificate)}
	order := []string{"client-chain.pem"}
	for _, f := range []struct {
		name string
		pair *minica.Pair
	}{{"tls-ca", a.TLS}, {"client", a.Client}, {"intermediate-ca", a.Intermediate}, {"root-ca", a.Root}} {
		key, err := minica.KeyPEM(f.pair.Key)
		if err != nil {
			return err
		}
		files[f.name+".key"], files[f.name+".pem"] = key, minica.CertificatePEM(f.pair.Certificate)
		order = append(order, f.name+".key", f.name+".pem")
	}
	if err := writeManifest(dir, files); err != nil {
		return err
	}
	for _, name := range order {
		if err := safefile.Write(filepath.Join(dir, name), files[name]); err != nil {
			return err
		}
	}
	return nil
}

func readWorld(path string) (*World, error) {
	data, err := safefile.Read(path, maxWorld)
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
	b.WriteString(envHeader + ": for tests and demos only\n")
	// What the shell has of ours, of AWS's and of proxies would lead elsewhere.
	b.WriteString(`for v in $(env | sed -n -e 's/^\(EKS_X509_[A-Z0-9_]*\)=.*/\1/p' -e 's/^\(AWS_[A-Z0-9_]*\)=.*/\1/p'); do unset "$v"; done
unset HTTPS_PROXY HTTP_PROXY ALL_PROXY https_proxy http_proxy all_proxy
`)
	for _, pair := range s.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		fmt.Fprintf(&b, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	err := safefile.Create(s.path("config.yaml"), []byte("# the sandbox's configuration file, in place of yours\n"), 0o600)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := s.writeCredentials(); err != nil {
		return err
	}
	return safefile.Write(s.path("env.sh"), []byte(b.String()))
}

// writeARNs is for a person to copy from.
func (s *Sandbox) writeARNs(w *World) error {
	var b strings.Builder
	for _, a := range w.TrustAnchors {
		fmt.Fprintf(&b, "trust anchor %-20s %s\n", a.Name, a.ARN)
		if a.AliasName != "" {
			fmt.Fprintf(&b, "  its alias  %-20s %s\n", a.AliasName, aliasARN(a.ARN, a.AliasName))
		}
	}
	for _, p := range w.Profiles {
		fmt.Fprintf(&b, "profile      %-20s %s\n", p.Name, p.ARN)
		if p.AliasName != "" {
			fmt.Fprintf(&b, "  its alias  %-20s %s\n", p.AliasName, aliasARN(p.ARN, p.AliasName))
		}
	}
	for _, r := range w.Roles {
		fmt.Fprintf(&b, "role         %-20s %s\n", r.ARN[strings.LastIndex(r.ARN, "/")+1:], r.ARN)
	}
	for _, c := range w.Clusters {
		fmt.Fprintf(&b, "cluster      %-20s %s\n", c.Name, c.Status)
	}
	return safefile.Write(s.path("arns.txt"), []byte(b.String()))
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return safefile.Write(path, append(data, '\n'))
}

// appendLine adds one line of JSON.
func encodeLine(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}
