package pkcs12

import (
	"bytes"
	"encoding/asn1"
	"os"
	"path/filepath"
	"testing"

	"github.com/eks-x509/eks-x509/internal/keys/pbe"
)

func fuzzed(file []byte) (*Contents, error) {
	limits := pbe.Limits{Iterations: 20_000, ScryptCost: 1 << 12}
	return Open(file, func() ([]byte, error) { return []byte(password), nil }, limits.Budget())
}

// FuzzOpen gives foreign bytes to the reader as a file.
func FuzzOpen(f *testing.F) {
	files, err := filepath.Glob("../../../testdata/pki/*.p12")
	if err != nil || len(files) == 0 {
		f.Fatalf("no fixtures: %v", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := fuzzed(data); (c == nil) == (err == nil) {
			t.Errorf("got %v, %v", c, err)
		}
	})
}

// FuzzInnerLayers puts foreign bytes where a file has them behind a MAC and encryption that are right: as the parts, as the
// bags of a part, and as an encrypted part's bags.
func FuzzInnerLayers(f *testing.F) {
	f.Add(seq(bag(6, seq(bag(1, seq())))))
	f.Add(seq(shrouded(pbes2(pbkdf2Of(must(salt), 1)), make([]byte, 16))))
	f.Add(seq(shrouded(pbes2(scryptOf(16, 8, 1)), make([]byte, 16))))
	f.Add(seq(shrouded(algorithm(id3DES, seq(must(salt), must(1))), make([]byte, 16))))
	f.Add(seq(bag(3, seq(must(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}), tag0(must([]byte("certificate")))))))
	f.Add(encrypted(pbes2(pbkdf2Of(must(salt), 1)), make([]byte, 16)))
	f.Add(indefinite(seq(bag(6, seq(bag(1, seq()))))))
	cheap := pbes2(pbkdf2Of(must(salt), 1))
	f.Fuzz(func(t *testing.T, inner []byte) {
		for _, part := range [][]byte{inner, data(inner), encrypted(cheap, encrypt(t, inner, []byte(password)))} {
			if c, err := fuzzed(file(macOf(t, []byte(password), part), part)); (c == nil) == (err == nil) {
				t.Errorf("got %v, %v", c, err)
			}
		}
	})
}

// FuzzToDER: what comes out is DER, and converts to itself.
func FuzzToDER(f *testing.F) {
	f.Add([]byte{0x30, 0x80, 0x24, 0x80, 4, 1, 'a', 4, 1, 'b', 0, 0, 2, 1, 3, 0, 0})
	f.Add(longLengths(seq(must(1), seq(must("a")))))
	f.Fuzz(func(t *testing.T, ber []byte) {
		der, err := ToDER(ber)
		if err != nil {
			return
		}
		if len(der) > len(ber)+len(ber)/2+8 {
			t.Errorf("%d bytes became %d", len(ber), len(der))
		}
		if again, err := ToDER(der); err != nil || !bytes.Equal(again, der) {
			t.Errorf("%x converts to %x, %v", der, again, err)
		}
	})
}
