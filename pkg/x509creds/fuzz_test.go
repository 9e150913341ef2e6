package x509creds_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/eks-x509/eks-x509/pkg/x509creds"
)

// FuzzAnswer: whatever answers in the place of Roles Anywhere, there are whole
// credentials with a future, fit for a header, or one short line of an error that
// quotes none.
func FuzzAnswer(f *testing.F) {
	const whole = `{"credentialSet":[{"credentials":{"accessKeyId":"ASIAEXAMPLE","secretAccessKey":"SECRETKEYSECRETKEY","sessionToken":"TOKENTOKENTOKEN","expiration":"2100-01-01T00:00:00Z"}}]}`
	f.Add(201, "application/json", "", whole)
	f.Add(201, "application/json", "", strings.Replace(whole, `"expiration":"2100`, `"expiration":"1970`, 1))
	f.Add(201, "application/json", "", whole[:len(whole)-3])
	f.Add(201, "application/json", "", strings.Replace(whole, "ASIA", `A\nB`, 1))
	f.Add(403, "application/json", "AccessDeniedException:http://x", `{"message":"no \u001b[31m \u202e","secretAccessKey":"SECRETKEYSECRETKEY"}`)
	f.Add(200, "text/html", "", "<html><TITLE a='>'>x\u2028</title>")
	f.Add(301, "", "", "")
	f.Add(400, "application/json", "\x1b[31m", `{"__type":"a#b\u0007","message":["x"]}`)
	f.Fuzz(func(t *testing.T, status int, contentType, errorType, body string) {
		if status = 200 + status&0xff; status == http.StatusTooManyRequests || strings.Contains(errorType+body, "hrottl") || strings.Contains(errorType+body, "imit") || strings.Contains(errorType+body, "imeout") || strings.Contains(errorType+body, "lowDown") {
			status, errorType, body = 403, "", "{}" // what is asked again takes time
		}
		header := []string{"Content-Type", contentType, "X-Amzn-Errortype", errorType, "X-Amzn-Requestid", errorType, "Location", "https://" + contentType + "/"}
		p := newProvider(t, answer(status, body, header...))
		creds, err := p.Retrieve(t.Context())
		if err == nil {
			if status/100 != 2 || creds.AccessKeyID == "" || creds.SecretAccessKey == "" || creds.SessionToken == "" || !creds.CanExpire || !creds.Expires.After(time.Now()) ||
				strings.ContainsFunc(creds.AccessKeyID+creds.SecretAccessKey+creds.SessionToken, func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Errorf("%d %+v", status, creds)
			}
			return
		}
		e, ok := errors.AsType[*x509creds.Error](err)
		if !ok || e.Kind != x509creds.Refused && e.Kind != x509creds.Unreachable && e.Kind != x509creds.Malformed {
			t.Fatalf("%T %v", err, err)
		}
		if creds.HasKeys() {
			t.Errorf("credentials beside %v", err)
		}
		text := err.Error()
		if utf8.RuneCountInString(text) > 1400 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }) {
			t.Errorf("%q", text)
		}
		if status/100 == 2 && strings.Contains(body, "SECRETKEYSECRETKEY") && strings.Contains(text, "SECRETKEYSECRETKEY") {
			t.Errorf("a secret of the answer in %q", text)
		}
	})
}
