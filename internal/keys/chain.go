package keys

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxIntermediates is AWS: "authentication-sign-process", X-Amz-X509-Chain: a maximum depth of 5 certificates.
const maxIntermediates = 5

// findLeaf finds the certificate of a key. If several are, which happens when a certificate was renewed with its old
// key and the file keeps both, it is one that is valid now, and of these the one that lasts longest.
func findLeaf(certs []*x509.Certificate, public crypto.PublicKey, now time.Time) (*x509.Certificate, error) {
	var leaf *x509.Certificate
	for _, c := range certs {
		if samePublicKey(public, c.PublicKey) && (leaf == nil || preferred(c, leaf, now)) {
			leaf = c
		}
	}
	if leaf != nil {
		return leaf, nil
	}
	const most = 5
	var names []string
	for _, c := range certs[:min(len(certs), most)] {
		names = append(names, fmt.Sprintf("%s (%s)", subject(c), KeyName(c.PublicKey)))
	}
	if more := len(certs) - most; more > 0 {
		names = append(names, "and "+strconv.Itoa(more)+" more")
	}
	return nil, fmt.Errorf("no certificate for the private key (%s) found: the file holds %s", KeyName(public), strings.Join(names, ", "))
}

// preferred says which of two certificates for one key is used.
func preferred(a, b *x509.Certificate, now time.Time) bool {
	switch {
	case a.IsCA != b.IsCA:
		return b.IsCA
	case isValid(a, now) != isValid(b, now):
		return isValid(a, now)
	}
	return a.NotAfter.After(b.NotAfter)
}

func isValid(c *x509.Certificate, now time.Time) bool { return validity(c, now) == "" }

func tooMany(doing, file string, n int) *Error {
	return fail(Unsupported, doing, file, "unsupported number of certificates: %d (supported: up to %d)", n, maxCertificates)
}
