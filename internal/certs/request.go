// Package certs is a certificate's life before and after its use: the key and
// the request for it, a CA of files for labs, what IAM Roles Anywhere will make
// of it, and its renewal.
//
//	RFC 2986 (requests), RFC 5280 (certificates), RFC 5958 (PKCS#8)
//	https://docs.aws.amazon.com/rolesanywhere/latest/userguide/trust-model.html
package certs

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/youmark/pkcs8"

	"github.com/eks-x509/eks-x509/internal/keys"
	"github.com/eks-x509/eks-x509/internal/minica"
	"github.com/eks-x509/eks-x509/internal/safetext"
)

// lazy compiles a pattern when it is first used: it is linked into a program that kubectl starts on every call.
func lazy(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

// KeyTypes are the kinds of key that NewKey makes, of those that Roles Anywhere
// takes: RSA by its size in bits, ECDSA by its curve.
func KeyTypes() []string { return []string{"rsa2048", "rsa3072", "rsa4096", "p256", "p384"} }

// NewKey makes a key of one of KeyTypes.
func NewKey(kind string) (crypto.Signer, error) {
	if !slices.Contains(KeyTypes(), kind) {
		return nil, fmt.Errorf("unsupported key type %q (supported: %s)", kind, strings.Join(KeyTypes(), ", "))
	}
	return minica.GenerateKey(kind)
}

// EncodeKey is the PEM of a key as PKCS#8, encrypted (PBES2 with PBKDF2 and
// AES-256-CBC) if a password is given.
func EncodeKey(key crypto.Signer, password []byte) ([]byte, error) {
	if len(password) == 0 {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
	}
	der, err := pkcs8.MarshalPrivateKey(key, password, &pkcs8.Opts{
		Cipher: pkcs8.AES256CBC,
		// What every OpenSSL, and AWS's own helper, reads; the count is OWASP's for this hash.
		KDFOpts: pkcs8.PBKDF2Opts{SaltSize: 16, IterationCount: 600_000, HMACHash: crypto.SHA256},
	})
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}), err
}

// Request is what a certificate is asked for.
type Request struct {
	Subject        pkix.Name
	RawSubject     []byte // DER; wins over Subject
	DNSNames       []string
	URIs           []*url.URL
	EmailAddresses []string
	IPAddresses    []net.IP
}

// upperBounds are those of RFC 5280, appendix A.1.
func upperBounds(n pkix.Name) []bounded {
	return []bounded{
		{"common name", []string{n.CommonName}, 64}, {"organization", n.Organization, 64},
		{"organizational unit", n.OrganizationalUnit, 64}, {"state or province", n.Province, 128},
		{"locality", n.Locality, 128},
	}
}

type bounded struct {
	name   string
	values []string
	most   int
}

// NameError is a name with characters that don't show as what they are.
type NameError struct{ kind, value string }

func (e *NameError) Error() string {
	return fmt.Sprintf("invalid %s %s: it has a control character or an invisible one, or is not UTF-8", e.kind, strconv.QuoteToASCII(e.value))
}

// checkText returns a *NameError for names that Roles Anywhere does not take, or that do not show as what they are: they end up in
// logs, policies, ARNs and on terminals, and two that look the same must be the same.
func (r Request) checkText() error {
	named := func(a pkix.AttributeTypeAndValue) bool { return a.Value != "" }
	if !slices.ContainsFunc(slices.Concat(r.Subject.ToRDNSequence()...), named) && !slices.ContainsFunc(r.Subject.Names, named) {
		return errors.New("no subject given: Roles Anywhere takes no certificate without one")
	}
	check := func(name string, values ...string) error {
		for _, v := range values {
			if safetext.Line(v) != v || strings.ContainsRune(v, '\uFFFD') {
				return &NameError{name, v}
			}
		}
		return nil
	}
	var errs []error
	for _, b := range upperBounds(r.Subject) {
		errs = append(errs, check(b.name, b.values...))
	}
	for _, set := range append(r.Subject.ToRDNSequence(), r.Subject.Names) {
		for _, a := range set {
			if v, ok := a.Value.(string); ok {
				errs = append(errs, check("attribute "+a.Type.String()+" of the subject", v))
			}
		}
	}
	errs = append(errs, check("DNS name", r.DNSNames...), check("e-mail address", r.EmailAddresses...), check("URI", texts(r.URIs)...))
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Check says what no CA would put into a certificate, or Roles Anywhere not take.
func (r Request) Check() error {
	if err := r.checkText(); err != nil {
		return err
	}
	for _, b := range upperBounds(r.Subject) {
		for _, v := range b.values {
			if n := len([]rune(v)); n > b.most {
				return fmt.Errorf("invalid %s: %d characters, at most %d are taken", b.name, n, b.most)
			}
		}
	}
	for _, c := range r.Subject.Country {
		if !countryPattern().MatchString(c) {
			return fmt.Errorf("invalid country %q: two letters are needed, as in CH", c)
		}
	}
	for _, d := range r.DNSNames {
		if !dnsPattern().MatchString(d) || len(d) > 253 {
			return fmt.Errorf("invalid DNS name %q", d)
		}
	}
	for _, u := range r.URIs {
		// RFC 5280 §4.2.1.6: a scheme and, if it has an authority, one that is a name.
		if u.Scheme == "" || u.Host == "" && u.Opaque == "" || strings.ContainsFunc(u.String(), func(c rune) bool { return c > '~' }) {
			return fmt.Errorf("invalid URI %q: a scheme and a host are needed, as in spiffe://example.org/host", u)
		}
	}
	for _, e := range r.EmailAddresses {
		if a, err := mail.ParseAddress(e); err != nil || a.Address != e || strings.ContainsFunc(e, func(c rune) bool { return c > '~' }) {
			return fmt.Errorf("invalid e-mail address %q", e)
		}
	}
	return nil
}

var (
	countryPattern = lazy(`^[A-Za-z]{2}$`)
	dnsPattern     = lazy(`^(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
)

// subject is the DER of the name: one attribute in each RDN, the widest first.
// pkix would put all units into one RDN, a set, which has no order.
func (r Request) subject() ([]byte, error) {
	if r.RawSubject != nil {
		return r.RawSubject, nil
	}
	n := r.Subject
	var rdns pkix.RDNSequence
	for _, name := range []string{"C", "ST", "L", "O", "OU", "CN"} {
		values := map[string][]string{"C": n.Country, "ST": n.Province, "L": n.Locality, "O": n.Organization, "OU": n.OrganizationalUnit, "CN": {n.CommonName}}[name]
		for _, a := range attributes() {
			for _, v := range values {
				if a.name == name && v != "" {
					rdns = append(rdns, pkix.RelativeDistinguishedNameSET{{Type: a.oid, Value: v}})
				}
			}
		}
	}
	return asn1.Marshal(rdns)
}

// CSR is the PEM of a certificate request, signed by key. It asks for keyUsage
// digitalSignature, which Roles Anywhere wants, and extKeyUsage clientAuth.
func (r Request) CSR(key crypto.Signer) ([]byte, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	subject, err := r.subject()
	if err != nil {
		return nil, err
	}
	usage, err := asn1.Marshal(asn1.BitString{Bytes: []byte{0x80}, BitLength: 1}) // RFC 5280 §4.2.1.3: bit 0
	if err != nil {
		return nil, err
	}
	clientAuth, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 2}}) // §4.2.1.12
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		RawSubject: subject, DNSNames: r.DNSNames, URIs: r.URIs, EmailAddresses: r.EmailAddresses, IPAddresses: r.IPAddresses,
		ExtraExtensions: []pkix.Extension{
			{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: usage},
			{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: clientAuth},
		},
	}, key)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), err
}

// ParseCSR reads one certificate request, PEM or DER, and checks that its key can
// sign for Roles Anywhere (else the error is a *keys.Error, about file), that the
// request is signed by it, and that its names show as what they are.
func ParseCSR(file string, data []byte) (*x509.CertificateRequest, error) {
	if block, _ := pem.Decode(data); block != nil {
		if block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
			return nil, fmt.Errorf("no certificate request found (found %q)", block.Type)
		}
		data = block.Bytes
	}
	csr, err := x509.ParseCertificateRequest(data)
	if err != nil {
		return nil, fmt.Errorf("malformed certificate request: %w", err)
	}
	if err := keys.CheckRequest(file, csr); err != nil {
		return nil, err
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("invalid certificate request: %w", err)
	}
	return csr, OfRequest(csr).checkText()
}

// OfCertificate asks for the same names again.
func OfCertificate(c *x509.Certificate) Request {
	return Request{c.Subject, c.RawSubject, c.DNSNames, c.URIs, c.EmailAddresses, c.IPAddresses}
}

// OfRequest is what a request asks for.
func OfRequest(csr *x509.CertificateRequest) Request {
	return Request{csr.Subject, csr.RawSubject, csr.DNSNames, csr.URIs, csr.EmailAddresses, csr.IPAddresses}
}

// CSRPEM is a request as it was written, in PEM.
func CSRPEM(csr *x509.CertificateRequest) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr.Raw})
}
