package awsfiles

import (
	"bytes"
	"regexp"

	"github.com/rogpeppe/go-internal/diff"
)

// Diff is a unified diff for a person, empty if nothing changed. Secrets are
// masked.
func Diff(old, new []byte, path string) string {
	// They may stand in the lines around an edit.
	secret := regexp.MustCompile(`(?im)^([ \t]*(?:aws_secret_access_key|aws_session_token)[ \t]*[=:][ \t]*)[^\r\n]+`)
	mask := func(text []byte) []byte { return secret.ReplaceAll(text, []byte("${1}********")) }
	text := diff.Diff(path, mask(old), path, mask(new))
	_, text, _ = bytes.Cut(text, []byte("\n")) // "diff OLD NEW"
	return string(text)
}
