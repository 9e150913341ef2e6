package keys

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"

	"github.com/eks-x509/eks-x509/internal/keys/pbe"
)

// Fingerprint identifies the certificate in a file without its key: the SHA-256
// of the one end-entity certificate in it, in hex. Where the file holds several,
// or is encrypted (PKCS#12), it is the SHA-256 of the file.
func Fingerprint(file string) (string, error) {
	const doing = "opening certificate"
	o := &opener{ctx: context.Background(), limits: pbe.DefaultLimits(), files: map[string]*contents{}}
	c, err := o.load(doing, file)
	if err != nil {
		return "", err
	}
	whole := sha256.New()
	whole.Write(c.pkcs12)
	var leaf []byte
	leaves := 0
	for _, b := range c.blocks {
		whole.Write(b.der)
		if b.label != "CERTIFICATE" && b.label != "X509 CERTIFICATE" {
			continue
		}
		if cert, err := x509.ParseCertificate(b.der); err == nil && !cert.IsCA {
			leaf = b.der
			leaves++
		}
	}
	if leaves == 1 {
		sum := sha256.Sum256(leaf)
		return hex.EncodeToString(sum[:]), nil
	}
	return hex.EncodeToString(whole.Sum(nil)), nil
}
