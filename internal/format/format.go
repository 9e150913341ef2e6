// Package format writes what other programs parse: the JSON that an AWS SDK
// reads from a credential_process, the ExecCredential that kubectl reads from
// a plugin, and environment variables as statements of the user's shell.
//
// Each writer builds its whole output first and writes it once, so a failure
// leaves nothing behind that a reader could take for half an answer. The
// package gets no credentials, makes no token and reads no environment.
//
// Specs: https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
// and https://kubernetes.io/docs/reference/config-api/client-authentication.v1/
package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// Credentials are the credentials of one session. However they are printed
// or encoded, only the access key id and the expiry show.
type Credentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
	Expires                                    time.Time
}

// String names the credentials without their secrets.
func (c Credentials) String() string {
	return fmt.Sprintf("credentials %q until %s", c.AccessKeyID, timestamp(c.Expires))
}

// Format implements fmt.Formatter, since %#v would pass String by.
func (c Credentials) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, c.String()) }

// MarshalText keeps the secrets out of JSON that is written by reflection, such as a log field.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// CredentialProcess writes c as a version 1 credential_process reply.
func CredentialProcess(w io.Writer, c Credentials) error {
	for _, f := range []struct{ name, value string }{
		{"access key id", c.AccessKeyID},
		{"secret access key", c.SecretAccessKey},
		{"session token", c.SessionToken},
	} {
		if err := checkText(f.value); err != nil {
			return fmt.Errorf("writing credentials: invalid %s: %w", f.name, err)
		}
	}
	// Without Expiration an SDK would keep the credentials for ever.
	if c.Expires.IsZero() {
		return errors.New("writing credentials: no expiry found")
	}
	return writeJSON(w, struct {
		Version         int
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		SessionToken    string
		Expiration      string
	}{1, c.AccessKeyID, c.SecretAccessKey, c.SessionToken, timestamp(c.Expires)})
}

// timestamp is t in RFC 3339, UTC; fractions of a second are cut, never rounded up.
func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// checkText refuses what a JSON string would lose or change without a word.
func checkText(s string) error {
	switch {
	case s == "":
		return errors.New("empty")
	case !utf8.ValidString(s):
		return errors.New("not UTF-8")
	}
	return nil
}

// writeJSON writes v as one line.
func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}
