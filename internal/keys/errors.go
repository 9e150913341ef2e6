package keys

import (
	"crypto/x509"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Reason is what kind of failure an Error is, for a program that has advice to give.
type Reason int

// The reasons.
const (
	Unreadable         Reason = iota + 1 // a directory, too large, an I/O error
	NotFound                             // there is no such file
	Permission                           // the file may not be read
	NoCertificate                        // the file holds something else
	NoPrivateKey                         // the file holds something else
	Malformed                            // the bytes are not what they say they are
	Unsupported                          // a kind of key, file or encryption that is not handled
	LegacyEncryption                     // a PEM private key encrypted in the traditional way ("Proc-Type: 4,ENCRYPTED")
	PasswordNeeded                       // encrypted, and there was no password to be had
	WrongPassword                        // encrypted, and the password does not open it
	KeyMismatch                          // no certificate is for the private key
	ChainTooLong                         // more intermediates than AWS accepts
	Expired                              // the certificate was valid
	NotYetValid                          // the certificate will be valid
	NotVersion3                          // an X.509 version 1 or 2 certificate
	IsCA                                 // a certificate authority's certificate
	NoDigitalSignature                   // the certificate's keyUsage does not allow signing
	EmptySubject                         // the certificate names nobody
	WeakSignature                        // the certificate is signed with a hash below SHA-256
	UnsupportedKey                       // the certificate is for a key that does not sign for Roles Anywhere
	SeveralKeys                          // a PKCS#12 file has several private keys, and it can't be told which to use
)

// Error is a key or certificate that can't be used.
type Error struct {
	Reason Reason
	Doing  string // such as "opening private key"
	File   string
	// Certificate is the certificate that the error is about, or nil.
	Certificate *x509.Certificate
	// Encryption says that it is the encryption of a PKCS#8 file which is not supported.
	Encryption bool
	Err        error
}

func (e *Error) Error() string {
	if e.Certificate != nil {
		return fmt.Sprintf("%s %q (%s): %v", e.Doing, e.File, describe(e.Certificate), e.Err)
	}
	return fmt.Sprintf("%s %q: %v", e.Doing, e.File, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

func fail(reason Reason, doing, file, format string, args ...any) *Error {
	return &Error{Reason: reason, Doing: doing, File: file, Err: fmt.Errorf(format, args...)}
}

// describe names a certificate as openssl and CloudTrail do: its subject, and its serial number in hexadecimal.
func describe(c *x509.Certificate) string {
	return fmt.Sprintf("%s, serial 0x%x", subject(c), c.SerialNumber)
}

func subject(c *x509.Certificate) string {
	s := c.Subject.String()
	if s == "" {
		return "no subject"
	}
	return printable(s)
}

// printable is a name from a certificate: a terminal obeys control characters.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
