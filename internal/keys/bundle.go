package keys

import (
	"crypto/x509"
	"fmt"
	"strings"
)

// Certificates are those in the contents of a file that holds nothing but certificates, in every form that [Open] reads: PEM with text
// around it, DER, with a byte-order mark, in UTF-16. Anything else in it is an error, a private key above all.
func Certificates(file string, data []byte) ([]*x509.Certificate, error) {
	const doing = "reading certificates"
	c, err := (&opener{}).parse(doing, file, data)
	if err != nil {
		return nil, err
	}
	if c.pkcs12 != nil {
		return nil, fail(NoCertificate, doing, file, "it is a PKCS#12 file, which may hold a private key; only certificates may go to AWS")
	}
	var found []*x509.Certificate
	for _, b := range c.blocks {
		switch {
		case b.isCertificate():
			one, err := x509.ParseCertificate(b.der)
			if err != nil {
				return nil, &Error{Reason: Malformed, Doing: doing, File: file, Err: fmt.Errorf("malformed certificate: %w", err)}
			}
			found = append(found, one)
		case strings.HasSuffix(b.label, "PRIVATE KEY"):
			return nil, fail(NoCertificate, doing, file, "it holds %s; only certificates may go to AWS", labelName(b.label))
		default:
			return nil, fail(NoCertificate, doing, file, "it holds %s, which is not a certificate in PEM or DER", labelName(b.label))
		}
	}
	return found, nil
}
