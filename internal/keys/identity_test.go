package keys

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/eks-x509/eks-x509/internal/keys/pbe"
)

// place writes a pair of the fixtures into a directory of its own.
func place(t *testing.T, dir, name, certificate, key string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
		t.Fatal(err)
	}
	for file, from := range map[string]string{"cert.pem": certificate, "key.pem": key} {
		data, err := os.ReadFile(pki + from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, file), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func lead(t *testing.T, dir, to string) {
	t.Helper()
	aside := filepath.Join(dir, "new")
	if err := os.Symlink(to, aside); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(aside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
}

// The certificate of one pair and the key of the next are never used together,
// whether they fit or not.
func TestPairIsReadAsOne(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("links are for the privileged")
	}
	dir := t.TempDir()
	place(t, dir, "old", "ec256.pem", "ec256.pkcs8.key")
	place(t, dir, "renewed", "ec256.renewed.pem", "ec256.pkcs8.key") // the key fits both
	place(t, dir, "both", "ec256.both.pem", "ec256.pkcs8.key")
	place(t, dir, "other", "rsa2048.pem", "rsa2048.pkcs8.key")
	at := func(name string) Source {
		return Source{Certificate: filepath.Join(dir, name, "cert.pem"), PrivateKey: filepath.Join(dir, name, "key.pem")}
	}
	for _, first := range []string{"old", "renewed", "both", "other"} {
		for _, second := range []string{"old", "renewed", "both", "other"} {
			want, err := Open(t.Context(), at(second))
			if err != nil {
				t.Fatal(err)
			}
			for name, look := range map[string]func(Source) (Identity, error){
				"Identify": Identify,
				"Open":     func(src Source) (Identity, error) { k, err := Open(t.Context(), src); return k.Identity, err },
			} {
				src := at("link")
				src.Files = &Files{}
				lead(t, dir, first)
				if _, _, err := src.Files.get(src.Certificate); err != nil {
					t.Fatal(err)
				}
				lead(t, dir, second)
				got, err := look(src)
				if err != nil || got.Lookup != want.Identity.Lookup {
					t.Errorf("%s, certificate of %q, then %q: %s, %v", name, first, second, got.Lookup, err)
				}
				k, err := Open(t.Context(), src)
				if err != nil || k.Identity.Lookup != want.Identity.Lookup || Hash(k.Chain[0]) != Hash(want.Chain[0]) {
					t.Errorf("%s and Open, certificate of %q, then %q: %v", name, first, second, err)
				}
			}
		}
	}
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	lookup := func(certificate, key string) string {
		t.Helper()
		id, err := Identify(source(certificate, key, "", nil))
		if err != nil || len(id.Lookup) != 64 || id.Leaves != nil && len(id.Leaves) == 0 {
			t.Fatalf("%s, %s: %+v, %v", certificate, key, id, err)
		}
		return id.Lookup
	}
	same := func(want bool, a, b [2]string) {
		t.Helper()
		if got := lookup(a[0], a[1]) == lookup(b[0], b[1]); got != want {
			t.Errorf("%v and %v: one identity: %t", a, b, got)
		}
	}
	// One certificate is one identity, in whatever form and with whatever chain; the key is not looked at.
	same(true, [2]string{"ec256.pem", "ec256.pkcs8.key"}, [2]string{"ec256.der", "none.key"})
	same(true, [2]string{"ec256.pem", ""}, [2]string{"ec256.full-chain.pem", ""})
	same(true, [2]string{"ec256.pem", ""}, [2]string{"ec256.ca-first.pem", ""})
	same(true, [2]string{"ec256.pem", ""}, [2]string{"ec256.with-key.pem", ""})
	same(false, [2]string{"ec256.pem", ""}, [2]string{"ec256.renewed.pem", ""})
	// Of several, the key decides, by what it holds.
	same(true, [2]string{"ec256.both.pem", "ec256.pkcs8.key"}, [2]string{"ec256.both.pem", "ec256.pkcs8.key"})
	same(false, [2]string{"ec256.both.pem", "ec256.pkcs8.key"}, [2]string{"ec256.both.pem", "rsa2048.pkcs8.key"})
	same(false, [2]string{"ec256.both.pem", "ec256.pkcs8.key"}, [2]string{"ec256.both.pem", ""})
	// So it does where the certificate can't be seen.
	same(false, [2]string{"ec256.p12", ""}, [2]string{"ec256.p12", "ec256.pkcs8.key"})
	same(false, [2]string{"ec256.p12", "rsa2048.pkcs8.key"}, [2]string{"ec256.p12", "ec256.pkcs8.key"})
	same(false, [2]string{"ec256.p12", ""}, [2]string{"rsa2048.p12", ""})
	for _, key := range []string{"none.key", "."} {
		if _, err := Identify(source("ec256.both.pem", key, "", nil)); err == nil {
			t.Errorf("%s: no error", key)
		}
		if _, err := Identify(source("ec256.p12", key, "", nil)); err == nil {
			t.Errorf("%s: no error", key)
		}
	}
}

// FuzzIdentity goes from a file to its leaf to the key of the cache: who can sign is among those that were identified, and
// two who sign with one file are not looked up as one.
func FuzzIdentity(f *testing.F) {
	read := func(name string) []byte {
		data, err := os.ReadFile(pki + name)
		if err != nil {
			f.Fatal(err)
		}
		return data
	}
	files, err := filepath.Glob(pki + "*.*")
	if err != nil || len(files) == 0 {
		f.Fatalf("no fixtures found: %v", err)
	}
	for _, file := range files {
		f.Add(read(filepath.Base(file)))
	}
	f.Add(slices.Concat(read("ec256.pem"), read("rsa2048.pem")))
	f.Add(slices.Concat(read("ec256.pem"), read("rsa2048.pem"), read("rsa2048.pkcs8.key"), read("ec256.pkcs8.key")))
	f.Add(slices.Concat(read("ec256.pem"), read("ec256.pem"), read("ec256.pem")))
	pipe, end, err := os.Pipe()
	if err != nil {
		f.Fatal(err)
	}
	defer pipe.Close()
	defer end.Close()
	info, err := pipe.Stat() // not a file: it is not looked for again
	if err != nil {
		f.Fatal(err)
	}
	keyFiles := map[string]*fileData{"ec": {read("ec256.pkcs8.key"), info}, "rsa": {read("rsa2048.pkcs8.key"), info}}
	f.Fuzz(func(t *testing.T, data []byte) {
		type signer struct{ lookup, leaf string }
		var all []signer
		for _, key := range []string{"", "ec", "rsa"} {
			disk := &Files{read: map[string]*fileData{"c": {bytes.Clone(data), info}, "ec": keyFiles["ec"], "rsa": keyFiles["rsa"]}}
			newOpener := func() *opener {
				ask := func(context.Context, string) ([]byte, error) { return []byte(password), nil }
				return &opener{ctx: t.Context(), ask: ask, limits: pbe.Limits{Iterations: 20_000, ScryptCost: 1 << 17}, files: map[string]*contents{}, disk: disk}
			}
			src := Source{Certificate: "c", PrivateKey: key, Files: disk}
			id, idErr := newOpener().identify(src)
			k, err := newOpener().open(src)
			if err != nil {
				continue
			}
			leaf := k.Chain[0]
			if idErr != nil || len(id.Lookup) != 64 {
				t.Fatalf("opened, but not identified: %v", idErr)
			}
			if leaf.IsCA {
				continue // Check refuses it
			}
			if id.Leaves != nil && id.Leaf(Hash(leaf)) == nil {
				t.Errorf("%s signs and is not among those identified", describe(leaf))
			}
			if len(id.Leaves) == 1 && id.Lookup != Hash(leaf) {
				t.Errorf("%s is looked up as another", describe(leaf))
			}
			all = append(all, signer{id.Lookup, Hash(leaf)})
		}
		for _, a := range all {
			for _, b := range all {
				if a.lookup == b.lookup && a.leaf != b.leaf {
					t.Errorf("%s and %s are both looked up as %s", a.leaf, b.leaf, a.lookup)
				}
			}
		}
	})
}
