package keys

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unicode/utf16"

	"github.com/eks-x509/eks-x509/internal/keys/pkcs12"
)

// maxFileSize is far above any certificate bundle for a client, and keeps a wrong path from filling the memory.
const maxFileSize = 1 << 20

// contents is what a file holds, not yet parsed further than its use asks for.
type contents struct {
	file   string
	info   fs.FileInfo
	blocks []block
	pem    bool // the blocks are copies of what is in the file

	encrypted bool // the private key that was read

	// Once they are asked for.
	certs     []*x509.Certificate
	malformed []malformed

	// Of a PKCS#12 file, which is encrypted as a whole.
	pkcs12  []byte
	signers []namedSigner
}

// block is a PEM block, or the whole of a DER file.
type block struct {
	label           string // as in PEM
	der             []byte
	legacyEncrypted bool
}

// encrypted says whether a private key is, by what it holds: some tools write "PRIVATE KEY" above every PKCS#8.
func (b block) encrypted() bool {
	return b.legacyEncrypted || classify(b.der) == "ENCRYPTED PRIVATE KEY"
}

func (b block) isCertificate() bool { return b.label == "CERTIFICATE" || b.label == "X509 CERTIFICATE" }

// load reads a file once and takes it apart.
func (o *opener) load(doing, file string) (*contents, error) {
	if c := o.files[file]; c != nil {
		return c, nil
	}
	data, info, err := o.disk.get(file)
	if err != nil {
		return nil, readError(doing, file, err)
	}
	c, err := o.parse(doing, file, data)
	if err != nil {
		return nil, err
	}
	if c.pem {
		clear(data) // a copy for this call; the blocks are others
	}
	c.info = info
	o.files[file] = c
	return c, nil
}

func readError(doing, file string, err error) *Error {
	reason := Unreadable
	switch {
	case errors.Is(err, fs.ErrNotExist):
		reason = NotFound
	case errors.Is(err, fs.ErrPermission):
		reason = Permission
	}
	return &Error{Reason: reason, Doing: doing, File: file, Err: err}
}

// withoutPath takes out the path, which the caller's message has already.
func withoutPath(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

func (c *contents) modeWarning() string {
	mode := c.info.Mode()
	if runtime.GOOS == "windows" || !mode.IsRegular() { // pipes and Windows have no such modes
		return ""
	}
	var open []string
	if mode&0o044 != 0 {
		open = append(open, "readable")
	}
	if mode&0o022 != 0 {
		open = append(open, "writable")
	}
	if open == nil {
		return ""
	}
	return fmt.Sprintf("private key %q is %s by group or others (mode %04o)", c.file, strings.Join(open, " and "), mode.Perm())
}

// parse takes a file apart by what it holds; its name says nothing.
func (o *opener) parse(doing, file string, data []byte) (*contents, error) {
	c := &contents{file: file}
	label := classify(data)
	if label == "" && bytes.HasPrefix(data, []byte{0x30}) { // which is "0" in text: it may be neither
		if der, err := pkcs12.ToDER(data); err == nil {
			data, label = der, classify(der)
		} else if cert := withoutTrust(data); len(cert) < len(data) {
			data, label = cert, classify(cert)
		} else if bytes.HasPrefix(data, []byte{0x30, 0x80}) {
			return nil, &Error{Reason: Malformed, Doing: doing, File: file, Err: err}
		}
	}
	switch {
	case label == labelPKCS12:
		c.pkcs12 = data
	case label != "":
		c.blocks = block{label: label, der: data}.normal()
	default:
		c.pem = true
		blocks, err := splitPEM(data)
		if err != nil {
			return nil, &Error{Reason: Malformed, Doing: doing, File: file, Err: err}
		}
		for _, b := range blocks {
			c.blocks = append(c.blocks, b.normal()...)
		}
	}
	if len(c.blocks) == 0 && c.pkcs12 == nil {
		reason, wanted := NoCertificate, "certificate"
		if doing == openingKey {
			reason, wanted = NoPrivateKey, "private key"
		}
		if len(data) == 0 {
			return nil, fail(reason, doing, file, "no %s found (the file is empty)", wanted)
		}
		return nil, fail(reason, doing, file, "no %s found (the file is not PEM, DER, PKCS#7 or PKCS#12)", wanted)
	}
	return c, nil
}

// Compiled on first use: every start of the program would pay for it.
var beginLine = lazy(`(?m)^[ \t]*-----BEGIN ([^\r\n]*?)-----`)

func lazy(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

func splitPEM(data []byte) ([]block, error) {
	text := DecodeText(data)
	blocks, err := decodePEM(text)
	if begun := bytes.Count(text, []byte("-----BEGIN ")); begun > len(blocks) || err != nil {
		restored := restoreLines(text)
		defer clear(restored)
		if again, err := decodePEM(restored); err == nil && len(again) > len(blocks) {
			return again, nil
		}
		if begun > 0 && len(blocks) == 0 && err == nil {
			err = errors.New("malformed PEM: its line breaks are lost")
		}
	}
	return blocks, err
}

func decodePEM(text []byte) ([]block, error) {
	var blocks []block
	for rest := text; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		blocks = append(blocks, block{
			label:           b.Type,
			der:             b.Bytes,
			legacyEncrypted: strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED"), // RFC 1421 §4.6.1.1
		})
	}
	// pem.Decode passes over a broken block as if it were a comment, and then the wrong certificate may be found.
	for i, m := range beginLine().FindAllSubmatchIndex(text, -1) {
		label := string(text[m[2]:m[3]])
		if i < len(blocks) && blocks[i].label == label {
			continue
		}
		problem := ""
		if line, _, _ := bytes.Cut(text[m[1]:], []byte("\n")); len(bytes.TrimSpace(line)) > 0 {
			problem = ": its line breaks are lost"
		}
		return blocks, fmt.Errorf("malformed PEM block %q (number %d in the file)%s", label, i+1, problem)
	}
	return blocks, nil
}

// DecodeText takes out byte-order marks, and undoes the UTF-16 that "openssl … > file" writes in Windows PowerShell.
func DecodeText(data []byte) []byte {
	little := bytes.HasPrefix(data, []byte{0xFF, 0xFE})
	if little || bytes.HasPrefix(data, []byte{0xFE, 0xFF}) {
		units := make([]uint16, 0, len(data)/2)
		for pair := range slices.Chunk(data[:len(data)&^1], 2) {
			if little {
				units = append(units, uint16(pair[1])<<8|uint16(pair[0]))
			} else {
				units = append(units, uint16(pair[0])<<8|uint16(pair[1]))
			}
		}
		data = []byte(string(utf16.Decode(units)))
	}
	// Anywhere, since files are joined with cat.
	return bytes.ReplaceAll(data, []byte("\uFEFF"), nil)
}

// labelPKCS12 is no PEM label, since PKCS#12 has no PEM form.
const labelPKCS12 = "PKCS12"

// classify says by its outermost ASN.1 what a DER file is, as a PEM label; "" if it is none.
func classify(der []byte) string {
	var outer asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &outer); err != nil || len(rest) > 0 || outer.Tag != asn1.TagSequence || !outer.IsCompound {
		return ""
	}
	var elements []int
	for rest := outer.Bytes; len(rest) > 0 && len(elements) < 3; {
		var e asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &e); err != nil {
			return ""
		}
		elements = append(elements, e.Tag)
	}
	starts := func(tags ...int) bool {
		return len(elements) >= len(tags) && slices.Equal(elements[:len(tags)], tags)
	}
	switch {
	case starts(asn1.TagSequence, asn1.TagSequence, asn1.TagBitString):
		if _, err := x509.ParseCertificateRequest(der); err == nil {
			return "CERTIFICATE REQUEST"
		}
		if _, err := x509.ParseRevocationList(der); err == nil {
			return "X509 CRL"
		}
		return "CERTIFICATE"
	case starts(asn1.TagSequence, asn1.TagOctetString):
		return "ENCRYPTED PRIVATE KEY"
	case starts(asn1.TagSequence, asn1.TagBitString):
		return "PUBLIC KEY"
	case starts(asn1.TagInteger, asn1.TagSequence, asn1.TagOctetString):
		return "PRIVATE KEY"
	case starts(asn1.TagInteger, asn1.TagSequence):
		return labelPKCS12
	case starts(asn1.TagInteger, asn1.TagOctetString):
		return "EC PRIVATE KEY"
	case starts(asn1.TagInteger, asn1.TagInteger, asn1.TagInteger):
		return "RSA PRIVATE KEY"
	case starts(asn1.TagInteger, asn1.TagInteger):
		return "RSA PUBLIC KEY"
	case starts(asn1.TagOID):
		return "PKCS7"
	}
	return ""
}

// HoldsPrivateKey says whether a file may hold a private key, in any form.
func HoldsPrivateKey(data []byte) bool {
	c, err := (&opener{}).parse(openingKey, "", data)
	return err == nil && (c.pkcs12 != nil || slices.ContainsFunc(c.blocks, func(b block) bool { return strings.HasSuffix(b.label, "PRIVATE KEY") }))
}

// found says what a file holds, for the message that it does not hold what was looked for.
func (c *contents) found() string {
	var names []string
	for _, b := range c.blocks {
		if name := labelName(b.label); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

func labelName(label string) string {
	switch label {
	case "CERTIFICATE", "X509 CERTIFICATE":
		return "a certificate"
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
		return "a private key"
	case "ENCRYPTED PRIVATE KEY":
		return "an encrypted private key"
	case "PUBLIC KEY", "RSA PUBLIC KEY":
		return "a public key"
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		return "a certificate request"
	case "X509 CRL":
		return "a revocation list"
	case "PKCS7", "CMS":
		return "a PKCS#7 bundle"
	case "OPENSSH PRIVATE KEY":
		return "an OpenSSH private key"
	case "TSS2 PRIVATE KEY":
		return "a TPM private key"
	case "EC PARAMETERS":
		return "elliptic curve parameters"
	}
	return fmt.Sprintf("a PEM block %q", label)
}
