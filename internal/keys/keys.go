// Package keys reads a certificate, its private key and its intermediates from files: PEM, DER and PKCS#12.
//
// Open finds the certificate that belongs to the key, and puts the certificates above it in order. Check holds the
// result against what AWS IAM Roles Anywhere accepts ("Trust model", "Signature verification"), as far as that can be
// seen without the network. Only AWS knows the trust anchor, so nothing here says that a certificate is trusted.
//
// Formats: RFC 7468 (PEM), RFC 5958 and RFC 8018 (PKCS#8, plain and PBES2), RFC 8017 (PKCS#1), RFC 5915 (SEC 1),
// RFC 7292 (PKCS#12).
package keys

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eks-x509/eks-x509/internal/keys/pbe"
)

// Source says where a key and its certificates are.
type Source struct {
	// Certificate is the file that holds the certificate, and maybe others.
	Certificate string
	// PrivateKey is the file that holds the private key. It may be empty when the certificate's file holds the key, too.
	PrivateKey string
	// Intermediates is a file with more certificates. It may be empty.
	Intermediates string
	// Password is asked for the password of an encrypted file, once for each. Nil: there is none to be had.
	Password func(ctx context.Context, prompt string) ([]byte, error)
	// Now decides which of several certificates is used. Nil: time.Now.
	Now func() time.Time
	// Files is where the files are read through. Nil: they are read for this call.
	Files *Files
}

// Key is a private key with the certificate chain that vouches for it.
type Key struct {
	Signer crypto.Signer
	// Chain is the certificate of Signer and then those above it, each after the one that it issued.
	// Self-signed certificates are left out: they can only be trust anchors, and those are AWS's to hold.
	Chain []*x509.Certificate
	// Encrypted says whether the private key's file is encrypted.
	Encrypted bool
	// Warnings is what Open noticed. Check returns its own.
	Warnings []string

	// Identity is that of the files as they were opened.
	Identity Identity

	file string // of the leaf certificate, for the messages of Check
}

// Open reads what src names. Every failure is an *Error.
//
// Certificate and key are read as a pair: if one of the files was replaced before all were read, all are read again.
func Open(ctx context.Context, src Source) (*Key, error) {
	var forget func()
	src.Password, forget = askOnce(src.Password)
	defer forget()
	if src.Files == nil {
		src.Files = &Files{}
	}
	var k *Key
	err := src.whole(func() (err error) {
		o := newOpener(ctx, src)
		if k, err = o.open(src); err == nil {
			k.Identity, err = o.identify(src)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

// whole has read do its work with files that belong together, again if they were replaced meanwhile; for a while, since a
// program that replaces them all the time is a program that will stop.
func (src Source) whole(read func() error) error {
	const enoughTries, mostTries, patience = 6, 1000, 2 * time.Second
	tries := 0
	for start := time.Now(); tries < enoughTries || tries < mostTries && time.Since(start) < patience; tries++ {
		err := read()
		e, ok := errors.AsType[*Error](err)
		if mismatch := ok && e.Reason == KeyMismatch; err != nil && !mismatch || !mismatch && !src.Files.torn() || !src.Files.Refresh() {
			return err
		}
	}
	return fail(KeyMismatch, "opening certificate", src.Certificate, "certificate and key were replaced %d times while they were read", tries)
}

// OpenCertificate is Open without the private key: the Key has no Signer, and the certificate is the first that is no CA's,
// or the first of all.
func OpenCertificate(ctx context.Context, src Source) (*Key, error) {
	return newOpener(ctx, src).openCertificate(src)
}

func newOpener(ctx context.Context, src Source) *opener {
	o := &opener{ctx: ctx, ask: src.Password, limits: pbe.DefaultLimits(), files: map[string]*contents{}, disk: src.Files}
	if src.Now == nil {
		src.Now = time.Now
	}
	o.now = src.Now()
	if o.disk == nil {
		o.disk = &Files{}
	}
	return o
}

// AskOnce asks for each password once, and again only if there was none. What it answers is the caller's to clear.
func AskOnce(ask func(context.Context, string) ([]byte, error)) func(context.Context, string) ([]byte, error) {
	if ask == nil {
		return nil
	}
	shared, _ := askOnce(ask)
	return func(ctx context.Context, prompt string) ([]byte, error) {
		p, err := shared(ctx, prompt)
		return bytes.Clone(p), err
	}
}

// askOnce answers with the same bytes each time, which forget clears.
func askOnce(ask func(context.Context, string) ([]byte, error)) (once func(context.Context, string) ([]byte, error), forget func()) {
	if ask == nil {
		return nil, func() {}
	}
	known := map[string][]byte{}
	once = func(ctx context.Context, prompt string) ([]byte, error) {
		if p, ok := known[prompt]; ok {
			return p, nil
		}
		p, err := ask(ctx, prompt)
		if err == nil {
			known[prompt] = p
		}
		return p, err
	}
	return once, func() {
		for _, p := range known {
			clear(p)
		}
	}
}

// opener is one call of Open.
type opener struct {
	ctx    context.Context
	ask    func(ctx context.Context, prompt string) ([]byte, error)
	limits pbe.Limits
	files  map[string]*contents // by path, so that no password is asked for twice
	disk   *Files
	now    time.Time
}

// allCertificates reads those of the certificate's own file, and the others.
func (o *opener) allCertificates(src Source) (own, others []*x509.Certificate, err error) {
	if own, err = o.certificates("opening certificate", src.Certificate); err == nil && src.Intermediates != "" {
		others, err = o.certificates("opening intermediates", src.Intermediates)
	}
	return own, others, err
}

func (o *opener) openCertificate(src Source) (*Key, error) {
	own, others, err := o.allCertificates(src)
	if err != nil {
		return nil, err
	}
	leaf := own[max(0, slices.IndexFunc(own, func(c *x509.Certificate) bool { return !c.IsCA }))]
	if bad := o.files[src.Certificate].malformed; leaf.IsCA && len(bad) > 0 {
		return nil, bad[0].fail("opening certificate", src.Certificate)
	}
	if same, err := findLeaf(own, leaf.PublicKey, o.now); err == nil {
		leaf = same
	}
	k, err := withChain("opening certificate", src.Certificate, leaf, slices.Concat(own, others), o.now)
	if err != nil {
		return nil, err
	}
	k.warnMalformed(o.files[src.Certificate], o.files[src.Intermediates])
	return k, nil
}

// withChain makes a Key of a certificate and those that may be its issuers.
func withChain(doing, file string, leaf *x509.Certificate, pool []*x509.Certificate, now time.Time) (*Key, error) {
	path, unused, err := orderChain(leaf, pool, now)
	if errors.Is(err, errChainTooLong) {
		return nil, &Error{Reason: ChainTooLong, Doing: doing, File: file, Err: err}
	}
	if err != nil {
		return nil, &Error{Reason: ChainTooLong, Doing: doing, File: file, Certificate: leaf, Err: err}
	}
	k := &Key{Chain: append([]*x509.Certificate{leaf}, path...), file: file}
	const most = 3 // that get a warning each
	if n := len(unused); n > most {
		k.Warnings = append(k.Warnings, fmt.Sprintf("leaving out %d certificates, such as %s: they are not among the issuers of %s", n, describe(unused[0]), describe(leaf)))
		return k, nil
	}
	for _, c := range unused {
		k.Warnings = append(k.Warnings, "leaving out certificate "+describe(c)+": it is not among the issuers of "+describe(leaf))
	}
	return k, nil
}

// Issued makes a Key, without its Signer, of what a CA answered to a request of the key public: the certificate, and those
// above it. It returns what Check says of it at the time now, too, so that a certificate that Roles Anywhere would refuse is
// never written. file is where it is to be written.
func Issued(file string, answer []*x509.Certificate, public crypto.PublicKey, now time.Time) (*Key, error) {
	const doing = "checking certificate"
	if len(answer) == 0 {
		return nil, fail(NoCertificate, doing, file, "no certificate found")
	}
	if !samePublicKey(public, answer[0].PublicKey) {
		return nil, fail(KeyMismatch, doing, file, "the CA's certificate is for another key than the request")
	}
	k, err := withChain(doing, file, answer[0], answer[1:], now)
	if err != nil {
		return nil, err
	}
	warnings, err := k.Check(now)
	k.Warnings = append(k.Warnings, warnings...)
	return k, err
}

func (o *opener) open(src Source) (*Key, error) {
	own, others, err := o.allCertificates(src)
	if err != nil {
		return nil, err
	}

	keyFile := src.keyFile()
	signer, err := o.privateKey(keyFile, own)
	if err != nil {
		return nil, err
	}

	leaf, err := findLeaf(own, signer.Public(), o.now)
	if err != nil {
		for _, bad := range o.files[src.Certificate].malformed {
			if bad.isFor(signer.Public()) {
				return nil, bad.fail("opening certificate", src.Certificate)
			}
		}
		return nil, &Error{Reason: KeyMismatch, Doing: "opening certificate", File: src.Certificate, Err: err}
	}
	k, err := withChain("opening certificate", src.Certificate, leaf, slices.Concat(own, others), o.now)
	if err != nil {
		return nil, err
	}
	k.warnMalformed(o.files[src.Certificate], o.files[src.Intermediates])
	k.Signer, k.Encrypted = signer, o.files[keyFile].encrypted
	if w := o.files[keyFile].modeWarning(); w != "" {
		k.Warnings = append(k.Warnings, w)
	}
	return k, nil
}
