package certs

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/eks-x509/eks-x509/internal/safefile"
	"github.com/eks-x509/eks-x509/internal/safetext"
)

// Due says whether a certificate has less than before of its life left. A before
// of 0 is a third of its whole life.
func Due(c *x509.Certificate, now time.Time, before time.Duration) bool {
	if before == 0 {
		before = c.NotAfter.Sub(c.NotBefore) / 3
	}
	return c.NotAfter.Sub(now) < before
}

// CheckRenewal refuses a certificate that is no good replacement of old: for
// another subject, which a role's trust policy would not know, or one that ends
// before old does and before wanted, what was asked for, since the CA itself ends.
func CheckRenewal(old, renewed *x509.Certificate, wanted, now time.Time) error {
	if was, is := Name(old.RawSubject), Name(renewed.RawSubject); was != is {
		return fmt.Errorf("the CA issued it for another subject: %s, not %s", safetext.Line(is), safetext.Line(was))
	}
	const day = 24 * time.Hour // the CA's rounding, and its clock
	if end := renewed.NotAfter; now.Before(old.NotAfter) && end.Before(old.NotAfter) && end.Before(wanted.Add(-day)) {
		return fmt.Errorf("the new one would end before it, on %s: the CA ends then, or gives no more", end.UTC().Format(time.RFC3339))
	}
	return nil
}

// RenewalWarnings are what may matter to whoever lets old in.
func RenewalWarnings(old, renewed *x509.Certificate) []string {
	var found []string
	if was, is := Name(old.RawIssuer), Name(renewed.RawIssuer); was != is {
		found = append(found, fmt.Sprintf("the new certificate is of another issuer, %s instead of %s: the trust anchor and the role's trust policy must allow it", safetext.Line(is), safetext.Line(was)))
	}
	if !slices.Equal(old.DNSNames, renewed.DNSNames) || !slices.Equal(texts(old.URIs), texts(renewed.URIs)) {
		found = append(found, "the new certificate has other alternative names: the role's trust policy must allow them")
	}
	return found
}

// MaxFileSize is that of a certificate's or key's file.
const MaxFileSize = 1 << 20

// Install puts a renewed certificate in the place of the old one and, if key is
// not nil, the new key in the place of the old. Whoever reads both finds a pair
// that fits at every moment, also after we are killed: while the key changes,
// the certificate's file holds both certificates, and a reader takes the one of
// its key. old are the certificates that the old key needs, nil if there is none.
func Install(certificateFile, keyFile string, chain, old, key []byte) error {
	certificateFile, err := safefile.Target(certificateFile) // a link stays one
	if err != nil {
		return err
	}
	if keyFile == "" {
		keyFile = certificateFile
	} else if keyFile, err = safefile.Target(keyFile); err != nil {
		return err
	}
	if keyFile == certificateFile {
		return installOne(certificateFile, chain, key)
	}
	if key == nil {
		return safefile.Replace(certificateFile, chain, 0o644)
	}
	newKey, err := safefile.Prepare(keyFile, key, 0o600) // what refuses it does so before anything is changed
	if err != nil {
		return err
	}
	defer newKey.Discard()
	// The new one first: it is the one that a reader which does not look at keys should find afterwards.
	if err := safefile.Replace(certificateFile, append(append([]byte(nil), chain...), old...), 0o644); err != nil {
		return err
	}
	if err := newKey.Commit(); err != nil {
		return err
	}
	return safefile.Replace(certificateFile, chain, 0o644)
}

// installOne is for a file with the certificate and its key: it is replaced once.
func installOne(file string, chain, key []byte) error {
	if key == nil {
		old, err := safefile.ReadWhole(file, MaxFileSize)
		if err != nil {
			return err
		}
		key = privateKeys(old)
		if key == nil {
			return fmt.Errorf("replacing %q: no private key in PEM found in it", file)
		}
	}
	return safefile.Replace(file, append(append([]byte(nil), key...), chain...), 0o600)
}
