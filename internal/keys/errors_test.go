package keys

import (
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/eks-x509/eks-x509/internal/keys/pbe"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	const (
		noPassword = "<none>"
		supported  = "(supported: RSA of 2048 to 4096 bits with an exponent of 65537 or more, ECDSA on P-256, P-384 and P-521)"
	)
	for _, test := range []struct {
		name                    string
		certificate, key, other string
		password                string // "" is the right one
		reason                  Reason
		want                    string
	}{
		{name: "no such certificate", certificate: "absent.pem", reason: NotFound,
			want: `opening certificate "absent.pem": no such file or directory`},
		{name: "no such key", certificate: "ec256.pem", key: "absent.key", reason: NotFound,
			want: `opening private key "absent.key": no such file or directory`},
		{name: "no such intermediates", certificate: "ec256.pem", key: "ec256.pkcs8.key", other: "absent.pem", reason: NotFound,
			want: `opening intermediates "absent.pem": no such file or directory`},
		{name: "a directory", certificate: ".", reason: Unreadable, want: `opening certificate ".": it is a directory`},

		{name: "a key as the certificate", certificate: "ec256.pkcs8.key", reason: NoCertificate,
			want: `opening certificate "ec256.pkcs8.key": no certificate found (found a private key)`},
		{name: "an encrypted key as the certificate", certificate: "ec256.sha256.enc.key", reason: NoCertificate,
			want: `opening certificate "ec256.sha256.enc.key": no certificate found (found an encrypted private key)`},
		{name: "a DER key as the certificate", certificate: "ec256.sec1.der", reason: NoCertificate,
			want: `opening certificate "ec256.sec1.der": no certificate found (found a private key)`},
		{name: "a request as the certificate", certificate: "request.pem", reason: NoCertificate,
			want: `opening certificate "request.pem": no certificate found (found a certificate request)`},
		{name: "a DER request as the certificate", certificate: "request.der", reason: NoCertificate,
			want: `opening certificate "request.der": no certificate found (found a certificate request)`},
		{name: "a PKCS#7 bundle alone", certificate: "bundle.pem", reason: NoPrivateKey,
			want: `opening private key "bundle.pem": no private key found (found a certificate)`},
		{name: "a key as the intermediates", certificate: "ec256.pem", key: "ec256.pkcs8.key", other: "ec256.ecparam.key", reason: NoCertificate,
			want: `opening intermediates "ec256.ecparam.key": no certificate found (found elliptic curve parameters, a private key)`},
		{name: "a certificate as the key", certificate: "ec256.pem", key: "ec256.full-chain.pem", reason: NoPrivateKey,
			want: `opening private key "ec256.full-chain.pem": no private key found (found a certificate)`},
		{name: "a DER certificate as the key", certificate: "ec256.pem", key: "ec256.der", reason: NoPrivateKey,
			want: `opening private key "ec256.der": no private key found (found a certificate)`},
		{name: "a public key as the key", certificate: "ec256.pem", key: "public.pem", reason: NoPrivateKey,
			want: `opening private key "public.pem": no private key found (found a public key)`},
		{name: "no key named, and none beside the certificate", certificate: "ec256.pem", reason: NoPrivateKey,
			want: `opening private key "ec256.pem": no private key found (found a certificate)`},
		{name: "neither PEM nor DER as the key", certificate: "ec256.pem", key: "README.md", reason: NoPrivateKey,
			want: `opening private key "README.md": no private key found (the file is not PEM, DER, PKCS#7 or PKCS#12)`},
		{name: "neither PEM nor DER as the certificate", certificate: "README.md", reason: NoCertificate,
			want: `opening certificate "README.md": no certificate found (the file is not PEM, DER, PKCS#7 or PKCS#12)`},

		{name: "the key of another", certificate: "ec256.full-chain.pem", key: "rsa2048.pkcs8.key", reason: KeyMismatch,
			want: `opening certificate "ec256.full-chain.pem": no certificate for the private key (RSA 2048) found: the file holds ` +
				`CN=ec256,O=Example (ECDSA P-256), CN=issuing (ECDSA P-256), CN=middle (ECDSA P-256), CN=root (ECDSA P-256)`},
		{name: "the key of another, of the same kind", certificate: "other.pem", key: "ec256.pkcs8.key", reason: KeyMismatch,
			want: `opening certificate "other.pem": no certificate for the private key (ECDSA P-256) found: the file holds CN=other,O=Example (ECDSA P-256)`},
		{name: "six intermediates", certificate: "too-long.pem", reason: ChainTooLong,
			want: `opening certificate "too-long.pem": 6 or more certificates above it found, at most 5 are accepted`},

		{name: "RSA 1024", certificate: "rsa2048.pem", key: "rsa1024.key", reason: Unsupported,
			want: `opening private key "rsa1024.key": unsupported RSA 1024 key ` + supported},
		{name: "RSA-PSS", certificate: "rsa2048.pem", key: "rsa-pss.key", reason: Unsupported,
			want: `opening private key "rsa-pss.key": unsupported RSA key for PSS alone: AWS takes PKCS#1 v1.5 signatures ` + supported},
		{name: "Ed25519", certificate: "ec256.pem", key: "ed25519.key", reason: Unsupported,
			want: `opening private key "ed25519.key": unsupported EdDSA key ` + supported},
		{name: "P-224", certificate: "ec256.pem", key: "ec224.key", reason: Unsupported,
			want: `opening private key "ec224.key": unsupported elliptic curve P-224 ` + supported},
		{name: "P-224 as SEC 1", certificate: "ec256.pem", key: "ec224.traditional.key", reason: Unsupported,
			want: `opening private key "ec224.traditional.key": unsupported elliptic curve P-224 ` + supported},
		{name: "a Bitcoin curve", certificate: "ec256.pem", key: "secp256k1.key", reason: Unsupported,
			want: `opening private key "secp256k1.key": unsupported elliptic curve 1.3.132.0.10 ` + supported},
		{name: "a curve with explicit parameters", certificate: "ec256.pem", key: "ec256.explicit.key", reason: Unsupported,
			want: `opening private key "ec256.explicit.key": unsupported elliptic curve that is not named ` + supported},

		{name: "no password for PKCS#8", certificate: "ec256.pem", key: "ec256.sha256.enc.key", password: noPassword, reason: PasswordNeeded,
			want: `opening private key "ec256.sha256.enc.key": it is encrypted, and no password is given`},
		{name: "no password for PKCS#12", certificate: "ec256.p12", password: noPassword, reason: PasswordNeeded,
			want: `opening certificate "ec256.p12": it is encrypted, and no password is given`},
		{name: "wrong password for PKCS#8", certificate: "ec256.pem", key: "ec256.sha256.enc.key", password: "open-barley", reason: WrongPassword,
			want: `opening private key "ec256.sha256.enc.key": wrong password`},
		{name: "wrong password for scrypt", certificate: "ec256.pem", key: "ec256.scrypt.enc.key", password: "open-barley", reason: WrongPassword,
			want: `opening private key "ec256.scrypt.enc.key": wrong password`},
		{name: "wrong password for PKCS#12", certificate: "ec256.p12", password: "open-barley", reason: WrongPassword,
			want: `opening certificate "ec256.p12": wrong password`},
		{name: "wrong password for legacy PKCS#12", certificate: "ec256.pem", key: "ec256.legacy.p12", password: "open-barley", reason: WrongPassword,
			want: `opening private key "ec256.legacy.p12": wrong password`},
		{name: "wrong password with a character above U+FFFF", certificate: "ec256.p12", password: "open-\U0001F511", reason: WrongPassword,
			want: `opening certificate "ec256.p12": wrong password`},
		{name: "traditional PEM encryption", certificate: "ec256.pem", key: "ec256.traditional.enc.key", reason: LegacyEncryption,
			want: `opening private key "ec256.traditional.enc.key": unsupported traditional PEM encryption (supported: PKCS#8, which begins with "-----BEGIN ENCRYPTED PRIVATE KEY-----")`},
		{name: "Camellia", certificate: "ec256.pem", key: "ec256.camellia.enc.key", reason: Unsupported,
			want: `opening private key "ec256.camellia.enc.key": unsupported cipher 1.2.392.200011.61.1.1.1.4 (supported: PBES2 with PBKDF2 or scrypt and AES-CBC or 3DES-CBC, and PKCS#12's with 3DES or RC2)`},
		{name: "costly PKCS#8", certificate: "ec256.pem", key: "ec256.costly.enc.key", reason: Unsupported,
			want: `opening private key "ec256.costly.enc.key": unsupported encryption with 10000001 iterations (supported: up to 10000000)`},
		{name: "costly PKCS#12", certificate: "ec256.costly.p12", reason: Unsupported,
			want: `opening certificate "ec256.costly.p12": unsupported encryption with 10000001 iterations (supported: up to 10000000)`},
		{name: "PKCS#12 with a costly MAC", certificate: "ec256.costly-mac.p12", reason: Unsupported,
			want: `opening certificate "ec256.costly-mac.p12": unsupported encryption with 10000001 iterations (supported: up to 10000000)`},
		{name: "PKCS#12 without a key", certificate: "no-key.p12", reason: Unsupported,
			want: `opening certificate "no-key.p12": unsupported PKCS#12 file without a private key (supported: private keys with their certificates, and a MAC if they are encrypted)`},
		{name: "PKCS#12 without a certificate", certificate: "no-certificate.p12", reason: Unsupported,
			want: `opening certificate "no-certificate.p12": unsupported PKCS#12 file without a certificate (supported: private keys with their certificates, and a MAC if they are encrypted)`},
		{name: "encrypted PKCS#12 without a MAC", certificate: "ec256.no-mac.p12", reason: Unsupported,
			want: `opening certificate "ec256.no-mac.p12": unsupported PKCS#12 file that is encrypted without a MAC (supported: with a MAC)`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			asked := &asker{answer: password}
			if test.password != "" {
				asked.answer = test.password
			}
			src := source(test.certificate, test.key, test.other, asked)
			if test.password == noPassword {
				src.Password = nil
			}
			_, err := Open(t.Context(), src)
			wantError(t, err, test.reason, test.want)
		})
	}
}

// wantError compares an error, but for the fixtures' folder.
func wantError(t *testing.T, err error, reason Reason, want string) {
	t.Helper()
	keyErr, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got %v, want an *Error", err)
	}
	got := serials.ReplaceAllString(strings.ReplaceAll(keyErr.Error(), pki, ""), "serial SERIAL")
	if runtime.GOOS == "windows" && reason == NotFound {
		want, got = "", "" // the operating system's words
	}
	if keyErr.Reason != reason || got != want {
		t.Errorf("got reason %d, %s\nwant reason %d, %s", keyErr.Reason, got, reason, want)
	}
	if strings.Contains(got, "\n") || strings.Contains(got, password) {
		t.Errorf("the message has a line break or the password: %q", got)
	}
}

func TestOpenRefusesBytes(t *testing.T) {
	t.Parallel()
	certificate, err := os.ReadFile(pki + "ec256.pem")
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(pki + "ec256.pkcs8.key")
	if err != nil {
		t.Fatal(err)
	}
	block := func(label string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
	}
	der, _ := pem.Decode(key)
	broken := append([]byte{}, der.Bytes...)
	broken[len(broken)-1] ^= 1 // of the public key, which crypto/x509 does not look at
	broken[40] ^= 1
	for _, test := range []struct {
		name   string
		data   []byte
		reason Reason
		want   string
	}{
		{"an empty file", nil, NoPrivateKey, "no private key found (the file is empty)"},
		{"blanks", []byte(" \n\n"), NoPrivateKey, "no private key found (the file is not PEM, DER, PKCS#7 or PKCS#12)"},
		{"too large", make([]byte, 1<<20+1), Unreadable, "larger than 1048576 bytes"},
		{"an OpenSSH key", block("OPENSSH PRIVATE KEY", []byte("openssh-key-v1")), NoPrivateKey, "no private key found (found an OpenSSH private key)"},
		{"a TPM key", block("TSS2 PRIVATE KEY", []byte{0x30, 0}), NoPrivateKey, "no private key found (found a TPM private key)"},
		{"a thing of an unknown kind", block("X\x1b[31m", []byte("x")), NoPrivateKey, `no private key found (found a PEM block "X\x1b[31m")`},
		{"two keys", append(key[:len(key):len(key)], key...), Malformed, "2 private keys found, one is needed"},
		{"cut off", key[:len(key)/2], Malformed, `malformed PEM block "PRIVATE KEY" (number 1 in the file)`},
		{"an indented broken block after a good one", append(certificate[:len(certificate):len(certificate)], "  "+strings.Replace(string(key), "M", "", 1)...), Malformed, `malformed PEM block "PRIVATE KEY" (number 2 in the file)`},
		{"something else in the block", block("PRIVATE KEY", []byte("nothing")), Malformed, "malformed private key: it is not PKCS#8, PKCS#1 or SEC 1"},
		{"PKCS#8 with bytes missing", block("PRIVATE KEY", der.Bytes[:len(der.Bytes)-1]), Malformed, "malformed private key: it is not PKCS#8, PKCS#1 or SEC 1"},
		{"BER", []byte{0x30, 0x80, 0x02, 0x01, 0x03}, Malformed, "malformed ASN.1: truncated"},
		{"PKCS#12 with nothing in it", []byte{0x30, 5, 2, 1, 3, 0x30, 0}, Malformed, "malformed PKCS#12 file: asn1: syntax error: sequence truncated"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "client.key")
			if err := os.WriteFile(file, test.data, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(t.Context(), source("ec256.pem", file, "", nil))
			if err != nil {
				keyErr, _ := errors.AsType[*Error](err)
				keyErr.File = "client.key"
			}
			wantError(t, err, test.reason, `opening private key "client.key": `+test.want)
		})
	}
}

func TestOpenRefusesFilesThatMayNotBeRead(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		t.Skip("root and Windows may read everything")
	}
	file := filepath.Join(t.TempDir(), "client.key")
	if err := os.WriteFile(file, nil, 0); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), source("ec256.pem", file, "", nil))
	if keyErr, ok := errors.AsType[*Error](err); !ok || keyErr.Reason != Permission || keyErr.Err.Error() != "permission denied" {
		t.Errorf("got %v, want permission denied", err)
	}
}

// No message may show a line of a key, whatever is wrong with its file. Every fixture is cut, and is given as each kind.
func TestErrorsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(pki + "*.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, cut := range []int{len(data), len(data) - 20, len(data) / 2} {
			asked := &asker{answer: "open-barley"}
			o := &opener{ctx: t.Context(), ask: asked.ask, limits: pbe.Limits{Iterations: 4096, ScryptCost: 1 << 18}, files: map[string]*contents{}}
			c, err := o.parse(openingKey, "x", data[:cut])
			if err == nil {
				o.files["x"] = c
				_, err = o.privateKey("x", nil)
			}
			if err == nil {
				continue
			}
			message := err.Error()
			for line := range strings.Lines(string(data[:cut])) {
				if line = strings.TrimSpace(line); len(line) > 16 && !strings.HasPrefix(line, "-----") && strings.Contains(message, line) {
					t.Errorf("%s: %q holds a line of the file", file, message)
				}
			}
			if strings.Contains(message, "barley") {
				t.Errorf("%s: %q holds the password", file, message)
			}
		}
	}
}
