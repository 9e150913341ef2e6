package config

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every form in which people put a key into a variable is known for what it is.
func TestCheckPathRefusesContent(t *testing.T) {
	t.Parallel()
	contents := map[string][]byte{}
	files, err := filepath.Glob("../../testdata/pki/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if block, _ := pem.Decode(data); block != nil && len(block.Headers) == 0 {
			data = block.Bytes
		}
		if len(data) > 30 && data[0] == 0x30 {
			contents[filepath.Base(file)] = data
		}
	}
	for range 20 { // whatever the random bytes are
		ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		_, ed, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		sec1, err1 := x509.MarshalECPrivateKey(ec)
		pkcs8, err2 := x509.MarshalPKCS8PrivateKey(ec)
		edPKCS8, err3 := x509.MarshalPKCS8PrivateKey(ed)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		for name, der := range map[string][]byte{"SEC 1": sec1, "PKCS#8": pkcs8, "Ed25519": edPKCS8} {
			refuse(t, name, der)
		}
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	contents["PKCS#1"] = x509.MarshalPKCS1PrivateKey(key)
	if len(contents) < 10 {
		t.Fatalf("only %d files", len(contents))
	}
	for name, der := range contents {
		refuse(t, name, der)
	}
	for _, text := range []string{
		"-----BEGIN OPENSSH PRIVATE KEY-----", "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZWQ", "a\nb", "a\r\n", "a\x00b",
		`{"type":"service_account","private_key_id":"x","private_key":"hush"}`, strings.Repeat("a/", 40000),
	} {
		if CheckPath("NAME", text) == nil {
			t.Errorf("%q is taken for a path", text)
		}
	}
}

func refuse(t *testing.T, name string, der []byte) {
	t.Helper()
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	body := strings.Join(strings.Split(text, "\n")[1:strings.Count(text, "\n")-1], "\n")
	encoded := base64.StdEncoding.EncodeToString(der)
	forms := map[string]string{
		"PEM": text, "CRLF": strings.ReplaceAll(text, "\n", "\r\n"), "one line": strings.ReplaceAll(text, "\n", `\n`), "spaces": strings.ReplaceAll(text, "\n", " "),
		"body": body, "body with spaces": strings.ReplaceAll(body, "\n", " "), "body with \\n": strings.ReplaceAll(body, "\n", `\n`),
		"base64": encoded, "URL": base64.URLEncoding.EncodeToString(der), "no padding": base64.RawURLEncoding.EncodeToString(der), "padded with space": " " + encoded + " ",
		"a line": encoded[:min(64, len(encoded))], "cut": encoded[:len(encoded)*2/3], "hex": hex.EncodeToString(der), "HEX": strings.ToUpper(hex.EncodeToString(der)),
		"JSON": `{"key": "` + encoded + `"}`, "twice": base64.StdEncoding.EncodeToString([]byte(text)),
	}
	for form, value := range forms {
		if len(value) < shortestContent {
			continue
		}
		err := CheckPath("NAME", value)
		e, ok := errors.AsType[*Error](err)
		if !ok || !e.Content || err.Error() != "NAME takes a file name, not what is in the file" {
			t.Errorf("%s as %s: %v: %.80q", name, form, err, value)
		}
	}
}

func TestCheckPathTakesPaths(t *testing.T) {
	t.Parallel()
	long := "/" + strings.Repeat("very-long-directory-name/", 150) + "key.pem"
	paths := []string{"", "a", "key.pem", "/etc/ssl/private/host.key", `C:\Users\alice\AppData\Roaming\eks-x509\client.key`, "~/.x509/me.pem", "my key (1).pem", "/dev/fd/63",
		"MIIS/department/of/machines/certificates/production/alice", "/home/MIGRATION/MIIE/MHcC/certificates/europe/west/alice/private", "MACHINELEARNINGANDOTHERTHINGSOFTHATKINDINONEWORD",
		"MONITORINGSERVICECERTIFICATESOFTHEEUROPEANREGION", "MEMBERSOFTHETEAMFORPLATFORMENGINEERINGANDOPERATIONS", "MAILSERVERCERTIFICATESFORTHEWHOLEOFTHECOMPANYNOW",
		"3082e5b1c9f04a7d3082e5b1c9f04a7d3082e5b1c9f04a7d3082e5b1c9f04a7d", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"/var/lib/kubelet/pods/0f8fad5b-d9cb-469f-a165-70867728950e/volumes/kubernetes.io~secret/tls/tls.key", "{a}", `{"a"}`, "東京/鍵.pem", long}
	for _, path := range paths {
		if err := CheckPath("NAME", path); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
	// Even a name that looks like a key is one if there is such a file.
	t.Run("a file of that name", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "MC4CAQAwBQYDK2VwBCIEIDtNcu0yhm4lp8FMyvLu4oO7DKRZ0Zs4qGsQdDz5mXO2")
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := CheckPath("NAME", name); err != nil {
			t.Error(err)
		}
	})
}

func TestProxySecrets(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"http://user:hunter2%40x@proxy:3128", "user:hunter2%40x@proxy:3128", "http://user:hunter2@x@proxy", "http://user:hunter2@x#y@proxy"} {
		found := Secrets(env("HTTPS_PROXY", address))
		for _, want := range []string{"user:hunter2"} {
			if !strings.Contains(strings.Join(found, " "), want) {
				t.Errorf("%q: no %q in %q", address, want, found)
			}
		}
	}
	if found := Secrets(env("HTTPS_PROXY", "http://user:hunter2%40x@proxy:3128", "EKS_X509_KEY_PASSWORD", "pass-word")); !strings.Contains(strings.Join(found, " "), base64.StdEncoding.EncodeToString([]byte("user:hunter2@x"))) || found[0] != "pass-word" {
		t.Errorf("%q", found)
	}
}
