package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pki holds the fixtures; its README.md says what they are.
const (
	pki      = "../../testdata/pki/"
	password = "open-sesame"
)

var serials = regexp.MustCompile(`serial 0x[0-9a-f]+`)

// asker gives a password and counts how often it is asked.
type asker struct {
	answer  string
	prompts []string
}

func (a *asker) ask(_ context.Context, prompt string) ([]byte, error) {
	a.prompts = append(a.prompts, prompt)
	return []byte(a.answer), nil
}

func TestOpen(t *testing.T) {
	t.Parallel()
	var (
		alone    = []string{"CN=ec256,O=Example"}
		complete = []string{"CN=ec256,O=Example", "CN=issuing", "CN=middle"}
	)
	for _, test := range []struct {
		name                    string
		certificate, key, other string
		asked                   int
		chain                   []string
		warnings                []string
	}{
		{name: "RSA 2048 as PKCS#8", certificate: "rsa2048.pem", key: "rsa2048.pkcs8.key", chain: []string{"CN=rsa2048,O=Example"}},
		{name: "RSA 2048 as PKCS#1", certificate: "rsa2048.pem", key: "rsa2048.traditional.key", chain: []string{"CN=rsa2048,O=Example"}},
		{name: "RSA 3072 as PKCS#8", certificate: "rsa3072.pem", key: "rsa3072.pkcs8.key", chain: []string{"CN=rsa3072,O=Example"}},
		{name: "RSA 3072 as PKCS#1", certificate: "rsa3072.pem", key: "rsa3072.traditional.key", chain: []string{"CN=rsa3072,O=Example"}},
		{name: "RSA 4096 as PKCS#8", certificate: "rsa4096.pem", key: "rsa4096.pkcs8.key", chain: []string{"CN=rsa4096,O=Example"}},
		{name: "RSA 4096 as PKCS#1", certificate: "rsa4096.pem", key: "rsa4096.traditional.key", chain: []string{"CN=rsa4096,O=Example"}},
		{name: "P-256 as PKCS#8", certificate: "ec256.pem", key: "ec256.pkcs8.key", chain: alone},
		{name: "P-256 as SEC 1", certificate: "ec256.pem", key: "ec256.traditional.key", chain: alone},
		{name: "P-256 as SEC 1 with its parameters before", certificate: "ec256.pem", key: "ec256.ecparam.key", chain: alone},
		{name: "P-384 as PKCS#8", certificate: "ec384.pem", key: "ec384.pkcs8.key", chain: []string{"CN=ec384,O=Example"}},
		{name: "P-384 as SEC 1", certificate: "ec384.pem", key: "ec384.traditional.key", chain: []string{"CN=ec384,O=Example"}},
		{name: "P-521 as PKCS#8", certificate: "ec521.pem", key: "ec521.pkcs8.key", chain: []string{"CN=ec521,O=Example"}},
		{name: "P-521 as SEC 1", certificate: "ec521.pem", key: "ec521.traditional.key", chain: []string{"CN=ec521,O=Example"}},

		{name: "DER, PKCS#8", certificate: "ec256.der", key: "ec256.pkcs8.der", chain: alone},
		{name: "DER, SEC 1", certificate: "ec256.der", key: "ec256.sec1.der", chain: alone},
		{name: "DER, PKCS#1", certificate: "rsa2048.pem", key: "rsa2048.pkcs1.der", chain: []string{"CN=rsa2048,O=Example"}},
		{name: "DER, encrypted", certificate: "ec256.der", key: "ec256.enc.der", asked: 1, chain: alone},

		{name: "PBKDF2 with SHA-1", certificate: "ec256.pem", key: "ec256.sha1.enc.key", asked: 1, chain: alone},
		{name: "PBKDF2 with SHA-224", certificate: "ec256.pem", key: "ec256.sha224.enc.key", asked: 1, chain: alone},
		{name: "PBKDF2 with SHA-256", certificate: "ec256.pem", key: "ec256.sha256.enc.key", asked: 1, chain: alone},
		{name: "PBKDF2 with SHA-384", certificate: "ec256.pem", key: "ec256.sha384.enc.key", asked: 1, chain: alone},
		{name: "PBKDF2 with SHA-512", certificate: "ec256.pem", key: "ec256.sha512.enc.key", asked: 1, chain: alone},
		{name: "AES-128", certificate: "ec256.pem", key: "ec256.aes-128-cbc.enc.key", asked: 1, chain: alone},
		{name: "AES-192", certificate: "ec256.pem", key: "ec256.aes-192-cbc.enc.key", asked: 1, chain: alone},
		{name: "3DES", certificate: "ec256.pem", key: "ec256.des3.enc.key", asked: 1, chain: alone},
		{name: "scrypt", certificate: "ec256.pem", key: "ec256.scrypt.enc.key", asked: 1, chain: alone},
		{name: "PBES1 with PKCS#12's 3DES", certificate: "ec256.pem", key: "ec256.pbes1.enc.key", asked: 1, chain: alone},
		{name: "an encrypted RSA key", certificate: "rsa2048.pem", key: "rsa2048.enc.key", asked: 1, chain: []string{"CN=rsa2048,O=Example"}},

		{name: "PKCS#12", certificate: "ec256.p12", asked: 1, chain: alone},
		{name: "PKCS#12 with its chain", certificate: "ec256.chain.p12", asked: 1, chain: complete},
		{name: "PKCS#12 with an empty password", certificate: "ec256.empty-password.p12", chain: alone},
		{name: "PKCS#12 without encryption or MAC", certificate: "ec256.plain.p12", chain: alone},
		{name: "PKCS#12 with other algorithms", certificate: "ec256.sha512.p12", asked: 1, chain: alone},
		{name: "legacy PKCS#12", certificate: "ec256.legacy.p12", asked: 1, chain: alone},
		{name: "legacy PKCS#12 with its chain", certificate: "ec256.legacy-chain.p12", asked: 1, chain: complete},
		{name: "legacy PKCS#12 with an empty password", certificate: "ec256.legacy-empty-password.p12", chain: alone},
		{name: "PKCS#12 with an RSA key", certificate: "rsa2048.p12", asked: 1, chain: []string{"CN=rsa2048,O=Example"}},
		{name: "PKCS#12 named as both files is opened once", certificate: "ec256.p12", key: "ec256.p12", asked: 1, chain: alone},
		{name: "PKCS#12 for the key alone", certificate: "ec256.full-chain.pem", key: "ec256.p12", asked: 1, chain: complete},
		{name: "two encrypted files are asked for one by one", certificate: "ec256.p12", key: "ec256.sha256.enc.key", asked: 2, chain: alone},
		{name: "a key beside the certificate is not opened when another is named", certificate: "ec256.empty-password.p12", key: "ec256.pkcs8.key", chain: alone},

		{name: "full chain", certificate: "ec256.full-chain.pem", key: "ec256.pkcs8.key", chain: complete},
		{name: "intermediates in their own file", certificate: "ec256.pem", key: "ec256.pkcs8.key", other: "intermediates.pem", chain: complete},
		{name: "intermediates in both files", certificate: "ec256.full-chain.pem", key: "ec256.pkcs8.key", other: "ec256.full-chain.pem", chain: complete},
		{name: "intermediates from PKCS#12", certificate: "ec256.pem", key: "ec256.pkcs8.key", other: "ec256.chain.p12", asked: 1, chain: complete},
		{name: "CA first", certificate: "ec256.ca-first.pem", key: "ec256.pkcs8.key", chain: complete},
		{
			name: "out of order, with a stranger", certificate: "ec256.out-of-order.pem", key: "ec256.pkcs8.key", chain: complete,
			warnings: []string{`leaving out certificate CN=other,O=Example, serial SERIAL: it is not among the issuers of CN=ec256,O=Example, serial SERIAL`},
		},
		{name: "cross-signed", certificate: "ec256.cross-signed.pem", key: "ec256.pkcs8.key", chain: append(complete[:3:3], "CN=root")},
		{name: "an intermediate that was signed with SHA-1", certificate: "ec256.sha1-intermediate.pem", key: "ec256.pkcs8.key", chain: complete},
		{name: "five intermediates", certificate: "long-enough.pem", chain: []string{"CN=leaf", "CN=i5", "CN=i4", "CN=i3", "CN=i2", "CN=i1"},
			warnings: []string{`leaving out certificate CN=i6, serial SERIAL: it is not among the issuers of CN=leaf, serial SERIAL`}},
		{name: "the wrong intermediates", certificate: "ec256.pem", key: "ec256.pkcs8.key", other: "ec384.pem", chain: alone,
			warnings: []string{`leaving out certificate CN=ec384,O=Example, serial SERIAL: it is not among the issuers of CN=ec256,O=Example, serial SERIAL`}},
		{name: "renewed with the same key", certificate: "ec256.both.pem", key: "ec256.pkcs8.key", chain: alone,
			warnings: []string{`leaving out certificate CN=ec256,O=Example, serial SERIAL: it is not among the issuers of CN=ec256,O=Example, serial SERIAL`}},

		{name: "key and certificate in one file", certificate: "ec256.with-key.pem", chain: alone},
		{name: "what openssl pkcs12 writes", certificate: "ec256.bag-attributes.pem", chain: complete},
		{name: "what openssl x509 -text writes", certificate: "ec256.text.pem", key: "ec256.pkcs8.key", chain: alone},
		{name: "CRLF", certificate: "ec256.crlf.pem", key: "ec256.crlf.key", chain: complete},
		{name: "byte-order mark and no newline at the end", certificate: "ec256.bom.pem", key: "ec256.bom.key", chain: alone},
		{name: "UTF-16, little and big endian", certificate: "ec256.utf16.pem", key: "ec256.utf16.key", chain: alone},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			asked := &asker{answer: password}
			key, err := Open(t.Context(), source(test.certificate, test.key, test.other, asked))
			if err != nil {
				t.Fatal(err)
			}
			var chain []string
			for _, c := range key.Chain {
				chain = append(chain, c.Subject.String())
			}
			if diff := cmp.Diff(test.chain, chain); diff != "" {
				t.Errorf("chain (-want +got):\n%s", diff)
			}
			var warnings []string
			for _, w := range key.Warnings {
				if !strings.Contains(w, "(mode ") { // what git made of it
					warnings = append(warnings, serials.ReplaceAllString(w, "serial SERIAL"))
				}
			}
			if diff := cmp.Diff(test.warnings, warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if len(asked.prompts) != test.asked {
				t.Errorf("asked %q, want %d questions", asked.prompts, test.asked)
			}
			verify(t, key)
		})
	}
}

func source(certificate, key, intermediates string, a *asker) Source {
	in := func(name string) string {
		if name == "" || filepath.IsAbs(name) {
			return name
		}
		return pki + name
	}
	src := Source{Certificate: in(certificate), PrivateKey: in(key), Intermediates: in(intermediates)}
	if a != nil {
		src.Password = a.ask
	}
	return src
}

// verify signs with the key and verifies with the certificate.
func verify(t *testing.T, key *Key) {
	t.Helper()
	message := []byte("message")
	digest := sha256.Sum256(message)
	signature, err := crypto.SignMessage(key.Signer, rand.Reader, message, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	switch public := key.Chain[0].PublicKey.(type) {
	case *rsa.PublicKey:
		if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature); err != nil {
			t.Error(err)
		}
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(public, digest[:], signature) {
			t.Error("the signature does not verify")
		}
	default:
		t.Errorf("unexpected key %T", public)
	}
}

func TestOpenTakesTheCertificateThatLastsLongest(t *testing.T) {
	t.Parallel()
	want, err := Open(t.Context(), source("ec256.renewed.pem", "ec256.pkcs8.key", "", nil))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Open(t.Context(), source("ec256.both.pem", "ec256.pkcs8.key", "", nil))
	if err != nil {
		t.Fatal(err)
	}
	if !got.Chain[0].Equal(want.Chain[0]) {
		t.Errorf("got the certificate that ends %s, want the one that ends %s", got.Chain[0].NotAfter, want.Chain[0].NotAfter)
	}
}

func TestOpenWarnsOfKeysThatOthersCanRead(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes are of Unix")
	}
	pem, err := os.ReadFile(pki + "ec256.with-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		mode os.FileMode
		want string
	}{
		{0o600, ""},
		{0o400, ""},
		{0o640, "is readable by group or others (mode 0640)"},
		{0o604, "is readable by group or others (mode 0604)"},
		{0o620, "is writable by group or others (mode 0620)"},
		{0o666, "is readable and writable by group or others (mode 0666)"},
	} {
		t.Run(test.mode.String(), func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "both.pem")
			if err := os.WriteFile(file, pem, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, test.mode); err != nil {
				t.Fatal(err)
			}
			key, err := Open(t.Context(), source(file, "", "", nil))
			if err != nil {
				t.Fatal(err)
			}
			want := `private key "` + file + `" ` + test.want
			if got := strings.Join(key.Warnings, "\n"); test.want == "" && got != "" || test.want != "" && got != want {
				t.Errorf("got warning %q, want %q", got, test.want)
			}
		})
	}
}

func TestOpenPassesOnWhyThereIsNoPassword(t *testing.T) {
	t.Parallel()
	src := source("ec256.pem", "ec256.sha256.enc.key", "", nil)
	src.Password = func(context.Context, string) ([]byte, error) { return nil, context.Canceled }
	_, err := Open(t.Context(), src)
	if keyErr, ok := errors.AsType[*Error](err); !ok || keyErr.Reason != PasswordNeeded || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want an Error for %v", err, context.Canceled)
	}
}

func TestOpenAsksByName(t *testing.T) {
	t.Parallel()
	asked := &asker{answer: password}
	if _, err := Open(t.Context(), source("ec256.p12", "", "", asked)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`password for "../../testdata/pki/ec256.p12": `}, asked.prompts); diff != "" {
		t.Errorf("prompts (-want +got):\n%s", diff)
	}
}
