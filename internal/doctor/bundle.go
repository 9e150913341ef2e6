package doctor

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Bundle is a report as text, to attach to a ticket. The names and values of
// extra are the caller's, such as the program's version; variables are named
// without their values.
func Bundle(r Report, extra map[string]string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "eks-x509 doctor, %s: %s\n\n", r.Time.Format(time.RFC3339), r.Status)
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		fmt.Fprintf(&b, "%s: %s\n", name, extra[name])
	}
	fmt.Fprintf(&b, "variables set: %s\n", strings.Join(r.variables, " "))
	for _, one := range r.Results {
		fmt.Fprintf(&b, "\n%s: %s\n  found:  %s\n  why:    %s\n", one.Name, one.Status, one.Found, one.Why)
		if one.Remedy != "" {
			fmt.Fprintf(&b, "  remedy: %s\n", one.Remedy)
		}
	}
	return redact(b.Bytes())
}

// redact is the last guard: no finding holds a secret, but text from outside may.
func redact(text []byte) []byte {
	for _, secret := range []string{
		`k8s-aws-v1\.[A-Za-z0-9_=-]+`,
		`-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(-----END [A-Z ]*-----)?`,
		`(?i)\b(X-Amz-Security-Token|X-Amz-Signature|aws_secret_access_key|aws_session_token|secretAccessKey|sessionToken)["']?\s*[=:]\s*["']?[^\s"'&]+`,
		`//[^/\s@:]+:[^/\s@]+@`,
	} {
		text = regexp.MustCompile(secret).ReplaceAll(text, []byte("(removed)"))
	}
	return text
}
