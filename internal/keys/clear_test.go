package keys

import (
	"bytes"
	"context"
	"io/fs"
	"testing"
	"time"

	"github.com/eks-x509/eks-x509/internal/keys/pbe"
)

// When a key is open, neither its bytes nor a password are left where they were
// read to.
func TestCleared(t *testing.T) {
	t.Parallel()
	const pki = "../../testdata/pki/"
	for _, name := range []string{"ec256.pkcs8.key", "ec256.sec1.der", "ec256.enc.der", "rsa2048.enc.key", "ec256.scrypt.enc.key"} {
		o := &opener{ctx: t.Context(), limits: pbe.DefaultLimits(), files: map[string]*contents{}, disk: &Files{}}
		o.ask = func(context.Context, string) ([]byte, error) { return []byte("password"), nil }
		_, _ = o.privateKey(pki+name, nil)
		c := o.files[pki+name]
		if c == nil || len(c.blocks) == 0 {
			t.Fatalf("%s: not read", name)
		}
		for _, b := range c.blocks {
			if bytes.Count(b.der, []byte{0}) != len(b.der) {
				t.Errorf("%s: a block of %d bytes is still there", name, len(b.der))
			}
		}
		if data, _, err := o.disk.get(pki + name); err != nil || bytes.Count(data, []byte{0}) == len(data) {
			t.Errorf("%s: the file is gone: %v", name, err)
		}
	}

	typed := []byte("secret")
	ask := func(context.Context, string) ([]byte, error) { return typed, nil }
	_, err := Open(t.Context(), Source{Certificate: pki + "rsa2048.pem", PrivateKey: pki + "rsa2048.enc.key", Password: ask})
	if bytes.Count(typed, []byte{0}) != len(typed) {
		t.Errorf("the password is still there after Open (%v)", err)
	}
	// One that is asked for once, and used twice, is still there for the second use.
	typed = []byte("secret")
	once := AskOnce(ask)
	first, _ := once(t.Context(), "?")
	clear(first)
	if second, _ := once(t.Context(), "?"); string(second) != "secret" {
		t.Errorf("the second time %q", second)
	}
}

// A pipe can't be read again, and so stays.
func TestWipe(t *testing.T) {
	t.Parallel()
	const file = "../../testdata/pki/ec256.pkcs8.key"
	var files Files
	if _, _, err := files.get(file); err != nil {
		t.Fatal(err)
	}
	data, pipe := files.read[file].data, &fileData{[]byte("key"), fakeInfo{fs.ModeNamedPipe}}
	files.read["pipe"] = pipe
	files.Wipe()
	if bytes.Count(data, []byte{0}) != len(data) {
		t.Error("the file's bytes are still there")
	}
	if again, _, err := files.get(file); err != nil || !bytes.Contains(again, []byte("PRIVATE KEY")) {
		t.Errorf("read again: %q, %v", again, err)
	}
	if again, _, err := files.get("pipe"); err != nil || string(again) != "key" {
		t.Errorf("the pipe: %q, %v", again, err)
	}
}

// fakeInfo is what stat says of a pipe.
type fakeInfo struct{ mode fs.FileMode }

func (fakeInfo) Name() string        { return "" }
func (fakeInfo) Size() int64         { return 0 }
func (i fakeInfo) Mode() fs.FileMode { return i.mode }
func (fakeInfo) ModTime() time.Time  { return time.Time{} }
func (fakeInfo) IsDir() bool         { return false }
func (fakeInfo) Sys() any            { return nil }
