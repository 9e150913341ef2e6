package config

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// CheckPath refuses a value that was given where a path belongs and is what a
// file holds: a key or a certificate in a variable, where others take the text
// itself. Name is the flag, variable or key. The value is in no error: it may be
// a private key.
func CheckPath(name, value string) error {
	if !isContent(value) {
		return nil
	}
	return &Error{Where: name, Content: true, Err: errors.New(name + " takes a file name, not what is in the file")}
}

// CheckSetting is CheckPath for those settings that are paths, as a person gave
// them: where is the flag, the key or the variable.
func CheckSetting(name, where, value string) error {
	for _, s := range Settings() {
		if s.Name == name && s.IsPath() {
			return CheckPath(where, value)
		}
	}
	return nil
}

// CheckPathList is CheckPath for a list as in PATH.
func CheckPathList(name, value string) error {
	if err := CheckPath(name, value); err != nil {
		return err
	}
	for _, path := range filepath.SplitList(value) {
		if err := CheckPath(name, path); err != nil {
			return err
		}
	}
	return nil
}

// shortestContent is below an Ed25519 key in base64, and most of a line of PEM.
const shortestContent = 40

func isContent(value string) bool {
	longest := 4095 // PATH_MAX of Linux, without the NUL; the largest but for Windows
	if runtime.GOOS == "windows" {
		longest = 32767
	}
	if len(value) > longest || strings.ContainsAny(value, "\n\r\x00") || strings.Contains(value, "-----BEGIN") || strings.Contains(value, "-----END") {
		return true
	}
	if len(value) < shortestContent {
		return false
	}
	value = strings.TrimSpace(value)
	likely := value[0] == '{' && value[len(value)-1] == '}' && strings.Contains(value, `"`) || isEncoded(value)
	if !likely {
		return false
	}
	_, err := os.Lstat(value)
	return err != nil // a strange name, and yet one
}

// isEncoded says whether a value is the base64 or hex of a key, a certificate or
// a PKCS#12 file, or the beginning of it. Line breaks may have become spaces, or
// \n as in JSON.
func isEncoded(value string) bool {
	value = strings.NewReplacer(`\r`, "", `\n`, "", " ", "", "\t", "").Replace(value)
	if raw, err := hex.DecodeString(strings.ReplaceAll(value, ":", "")); err == nil && isDER(raw) {
		return true
	}
	value = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(value, "="))
	const openSSH = "b3BlbnNzaC1rZXktdjE" // openssh-key-v1
	if strings.HasPrefix(value, openSSH) {
		return true
	}
	raw, err := base64.RawStdEncoding.DecodeString(value[:len(value)&^3])
	return err == nil && (isDER(raw) || bytes.Contains(raw, []byte("-----BEGIN"))) // the second: as in a Kubernetes secret
}

// isDER says whether bytes are, or begin, an ASN.1 SEQUENCE of their length that
// begins as keys, certificates and PKCS files do: with a SEQUENCE, a small or a
// large INTEGER, or PKCS#7's OID.
func isDER(raw []byte) bool {
	if len(raw) < 4 || raw[0] != 0x30 {
		return false
	}
	length, body := int(raw[1]), raw[2:]
	switch {
	case raw[1] == 0x80: // BER, of indefinite length
		length = len(body)
	case raw[1] > 0x80:
		n := int(raw[1] & 0x7f)
		if n > 3 || len(body) < n {
			return false
		}
		length = 0
		for _, b := range body[:n] {
			length = length<<8 | int(b)
		}
		body = body[n:]
	}
	const most = 3 // bytes that are lost, or too much, at the end of the base64
	if len(body) < 3 || length+most < len(body) {
		return false
	}
	return body[0] == 0x30 || body[0] == 0x06 && body[1] == 9 || body[0] == 0x02 && (body[1] == 1 && body[2] <= 3 || body[1] >= 0x80 || body[1] > 16)
}

// checkPaths holds all paths that flags and variables give against CheckPath.
func (s source) checkPaths() error {
	for _, setting := range Settings() {
		if !setting.IsPath() {
			continue
		}
		if err := CheckPath("--"+setting.Name, s.flags[setting.Name]); err != nil {
			return err
		}
		if err := CheckPath(setting.Env, s.getenv(setting.Env)); err != nil {
			return err
		}
	}
	return CheckPath("AWS_CA_BUNDLE", s.getenv("AWS_CA_BUNDLE"))
}

// PathVariables are those of other programs that hold paths and that are read, or
// told of, here.
func PathVariables() []string {
	return []string{"AWS_CA_BUNDLE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "KUBECONFIG", "KUBERC", "SSL_CERT_FILE"}
}

// SecretVariables hold secrets of ours, which no other program gets.
func SecretVariables() []string { return []string{"EKS_X509_KEY_PASSWORD", "EKS_X509_PKCS8_PASSWORD"} }

// Secrets are the secrets in the environment, ours and others', which must be
// shown to nobody.
func Secrets(getenv func(string) string) []string {
	var found []string
	for _, name := range append(SecretVariables(), "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN") {
		if value := getenv(name); value != "" {
			found = append(found, value)
		}
	}
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		found = append(found, proxySecrets(getenv(name))...)
	}
	return found
}

// Contents are those words of a command line, and those values of variables, that
// are what a file holds where its name belongs: line by line, as secrets.
func Contents(args []string, getenv func(string) string) []string {
	var found []string
	add := func(value string) {
		if len(value) >= shortestContent && isContent(value) {
			found = append(found, strings.FieldsFunc(strings.NewReplacer(`\r`, "\n", `\n`, "\n").Replace(value), func(r rune) bool { return r <= ' ' })...)
		}
	}
	for _, arg := range args {
		add(arg)
		if _, value, joined := strings.Cut(arg, "="); joined && strings.HasPrefix(arg, "-") {
			add(value)
		}
	}
	for _, s := range Settings() {
		add(getenv(s.Env))
	}
	for _, name := range PathVariables() {
		add(getenv(name))
	}
	return found
}
