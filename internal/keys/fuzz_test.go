package keys

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/eks-x509/eks-x509/internal/keys/pbe"
)

// FuzzParse gives foreign bytes to every reader. They must not panic, and with the costs of passwords kept low here,
// must not take long.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob(pki + "*.*")
	if err != nil || len(files) == 0 {
		f.Fatalf("no fixtures found: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ask := func(context.Context, string) ([]byte, error) { return []byte(password), nil }
		o := &opener{ctx: t.Context(), ask: ask, limits: pbe.Limits{Iterations: 20_000, ScryptCost: 1 << 17}, files: map[string]*contents{}, disk: &Files{}}
		c, err := o.parse("opening certificate", "x", data)
		if err != nil {
			return
		}
		if c.info, err = os.Stat("fuzz_test.go"); err != nil {
			t.Fatal(err)
		}
		o.files["x"] = c
		certs, certErr := o.certificates("opening certificate", "x")
		signer, keyErr := o.privateKey("x", certs)
		if (certErr == nil) != (len(certs) > 0) || (keyErr == nil) != (signer != nil) {
			t.Errorf("got %d certificates (%v) and key %T (%v)", len(certs), certErr, signer, keyErr)
		}
		if k, err := o.open(Source{Certificate: "x"}); err == nil {
			_, _ = k.Check(noon)
		}
	})
}
