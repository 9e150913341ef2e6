package keys

import (
	"bytes"
	"encoding/pem"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/eks-x509/eks-x509/internal/minica"
)

// Only certificates come out, whatever they are written in, and nothing at all where something else is among them.
func TestCertificates(t *testing.T) {
	t.Parallel()
	key, err := minica.GenerateKey("p256")
	if err != nil {
		t.Fatal(err)
	}
	ca, err := minica.NewRoot(minica.CA("Lab CA"), key)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, err := minica.KeyPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	text := minica.CertificatePEM(ca.Certificate)
	wide := func(s string, mark ...byte) []byte {
		for _, u := range utf16.Encode([]rune(s)) {
			mark = append(mark, byte(u), byte(u>>8))
		}
		return mark
	}
	for name, data := range map[string][]byte{
		"PEM":               text,
		"text around":       []byte("Bag Attributes\n    friendlyName: Lab CA\nsubject=CN = Lab CA\n\n" + string(text) + "trailing {{resolve:ssm:x}}\n"),
		"openssl -text":     []byte("Certificate:\n    Data:\n        Version: 3 (0x2)\n" + string(text)),
		"DER":               ca.Certificate.Raw,
		"byte-order mark":   append([]byte("\xef\xbb\xbf"), text...),
		"UTF-16":            wide(string(text), 0xFF, 0xFE),
		"CRLF":              bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")),
		"X509 CERTIFICATE":  pem.EncodeToMemory(&pem.Block{Type: "X509 CERTIFICATE", Bytes: ca.Certificate.Raw}),
		"headers in a part": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Headers: map[string]string{"Comment": "x"}, Bytes: ca.Certificate.Raw}),
	} {
		found, err := Certificates("ca.pem", data)
		if err != nil || len(found) != 1 || !found[0].Equal(ca.Certificate) {
			t.Errorf("%s: %d certificates, %v", name, len(found), err)
		}
	}
	block, _ := pem.Decode(keyPEM)
	for name, data := range map[string][]byte{
		"a private key after it":  append(bytes.Clone(text), keyPEM...),
		"a private key before it": append(bytes.Clone(keyPEM), text...),
		"a private key in UTF-16": wide(string(text)+string(keyPEM), 0xFF, 0xFE),
		"a private key alone":     keyPEM,
		"a private key in DER":    block.Bytes,
		"another label":           append(bytes.Clone(text), pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}})...),
		"nothing":                 nil,
		"text":                    []byte("hello"),
		"a broken block":          []byte(strings.Replace(string(text), "-----END", "-----EN", 1)),
		"no certificate":          pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{0x30, 0x00}}),
	} {
		if found, err := Certificates("ca.pem", data); err == nil {
			t.Errorf("%s: %d certificates", name, len(found))
		} else if strings.ContainsAny(err.Error(), "\n") || strings.Contains(err.Error(), "MIG") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
