package keys

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
)

// Identity is who the files of a Source can sign as, seen without opening the key.
type Identity struct {
	// Lookup stands for the one identity that the files give, in hex: the SHA-256 of the end-entity certificate if there is
	// exactly one. Otherwise the key decides who signs, and Lookup is made of the contents of both files.
	Lookup string
	// Leaves are the end-entity certificates; nil if they are in a PKCS#12 file, which can't be read without its password.
	Leaves []*x509.Certificate
}

// Identify reads the certificate's file. It reads the key's file, but does not open it, only if the certificate's file does
// not say who signs. Errors are *Error.
func Identify(src Source) (id Identity, err error) {
	if src.Files == nil {
		src.Files = &Files{}
	}
	err = src.whole(func() (err error) {
		id, err = newOpener(context.Background(), src).identify(src)
		return err
	})
	return id, err
}

func (o *opener) identify(src Source) (Identity, error) {
	const doing = "opening certificate"
	file, err := o.load(doing, src.Certificate)
	if err != nil {
		return Identity{}, err
	}
	var id Identity
	if file.pkcs12 == nil {
		certs, err := o.certificates(doing, src.Certificate)
		if err != nil {
			return Identity{}, err
		}
		for _, c := range certs {
			if !c.IsCA && !slices.ContainsFunc(id.Leaves, c.Equal) {
				id.Leaves = append(id.Leaves, c)
			}
		}
	}
	if len(id.Leaves) == 1 && len(file.malformed) == 0 { // one that is malformed may be the one that the key is for
		id.Lookup = Hash(id.Leaves[0])
		return id, nil
	}
	both := sha256.New()
	for _, name := range []string{src.Certificate, src.keyFile()} {
		data, _, err := o.disk.get(name)
		if err != nil {
			return Identity{}, readError(openingKey, name, err)
		}
		sum := sha256.Sum256(data)
		both.Write(sum[:])
	}
	id.Lookup = hex.EncodeToString(both.Sum(nil))
	return id, nil
}

// Hashes are those of Leaves; nil if these are unknown.
func (id Identity) Hashes() []string {
	var all []string
	for _, c := range id.Leaves {
		all = append(all, Hash(c))
	}
	return all
}

// Leaf returns the certificate with that hash, nil if it is not among Leaves.
func (id Identity) Leaf(hash string) *x509.Certificate {
	if i := slices.Index(id.Hashes(), hash); i >= 0 {
		return id.Leaves[i]
	}
	return nil
}

// Hash is the SHA-256 of a certificate, in hex.
func Hash(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// keyFile is the file that holds the private key.
func (s Source) keyFile() string {
	if s.PrivateKey == "" {
		return s.Certificate
	}
	return s.PrivateKey
}
