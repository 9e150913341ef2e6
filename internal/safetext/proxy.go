package safetext

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// ProxyAnswer is a transport's OnProxyConnectResponse: what a proxy says when it
// refuses, in our words. Its own may hold what it was sent.
func ProxyAnswer(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	if answer.StatusCode != http.StatusProxyAuthRequired {
		return fmt.Errorf("the proxy answered HTTP %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	var schemes []string
	for _, challenge := range answer.Header.Values("Proxy-Authenticate") {
		scheme, _, _ := strings.Cut(strings.TrimSpace(challenge), " ")
		for _, known := range []string{"Basic", "Digest", "Negotiate", "NTLM", "Kerberos", "Bearer"} {
			if strings.EqualFold(scheme, known) && !slices.Contains(schemes, known) {
				schemes = append(schemes, known)
			}
		}
	}
	if schemes == nil {
		return errors.New("the proxy asks for a user and a password (HTTP 407)")
	}
	return fmt.Errorf("the proxy asks for a user and a password (HTTP 407, %s)", strings.Join(schemes, ", "))
}
