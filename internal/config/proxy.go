package config

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// proxy follows the same rules as http.ProxyFromEnvironment: loopback is never
// proxied, upper case wins over lower case, ALL_PROXY is not read. What is not the
// URL of a proxy is an error here: it must not lead past the proxy.
func proxy(getenv func(string) string) (func(*http.Request) (*url.URL, error), error) {
	values := map[string]string{}
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"} {
		variable := name
		if getenv(name) == "" {
			variable = strings.ToLower(name)
		}
		value := getenv(variable)
		if value != "" && name != "NO_PROXY" {
			if fault := proxyFault(value); fault != nil {
				return nil, invalid(variable, "%w", fault)
			}
		}
		values[name] = value
	}
	config := httpproxy.Config{HTTPProxy: values["HTTP_PROXY"], HTTPSProxy: values["HTTPS_PROXY"], NoProxy: values["NO_PROXY"]}
	choose := config.ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return choose(r.URL) }, nil
}

// proxyFault says what is wrong with the address of a proxy, or nil. It quotes
// nothing of the address, which may hold a password. Where a character in the
// password ends the authority of the URL, what is left of the password would be
// used as the host.
func proxyFault(address string) error {
	const form = "a URL such as http://proxy:3128 is needed"
	if strings.TrimSpace(address) != address {
		return errors.New("white space or a line end before or after the URL; remove it")
	}
	if strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return errors.New("white space or a control character in the URL; in a user name or a password, write a space as %20")
	}
	if strings.Trim(address, `"'`) != address {
		return errors.New("quotation marks around the URL; remove them")
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address // as httpproxy does
	}
	scheme, rest, _ := strings.Cut(address, "://")
	if !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, strings.ToLower(scheme)) {
		return errors.New(form + " (supported: http, https, socks5, socks5h)")
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		if fault := userinfoFault(rest[:at]); fault != nil {
			return fault
		}
	}
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || strings.HasSuffix(u.Host, ":") || u.Fragment != "" || u.ForceQuery || u.RawQuery != "" || !isPort(u.Port()) {
		return errors.New(form + "; in a user name or a password, write " + escapes)
	}
	return nil
}

const escapes = `@ as %40, # as %23, % as %25, / as %2F, ? as %3F and \ as %5C`

// userinfoFault checks user and password, as they stand before the last @.
func userinfoFault(userinfo string) error {
	user, _, _ := strings.Cut(userinfo, ":")
	switch {
	case strings.Contains(user, `\`):
		return errors.New(`a backslash in the user name; write it as %5C, such as http://DOMAIN%5CUSER:PASSWORD@proxy:3128`)
	case strings.ContainsAny(userinfo, `@#/?\`):
		return errors.New("the user name or the password has a character that must be encoded; write " + escapes)
	}
	if _, err := url.PathUnescape(userinfo); err != nil {
		return errors.New("the user name or the password has a percent sign that must be encoded; write " + escapes)
	}
	return nil
}

func isPort(s string) bool {
	if s == "" {
		return true
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// proxySecrets are user and password of a proxy, in the forms in which they are
// sent, whether the address parses or not.
func proxySecrets(address string) []string {
	_, rest, ok := strings.Cut(address, "://")
	if !ok {
		rest = address
	}
	at := strings.LastIndexByte(rest, '@')
	if at < 0 {
		return nil
	}
	user, password, _ := strings.Cut(rest[:at], ":")
	found := []string{rest[:at], password}
	if u, err := url.PathUnescape(user); err == nil {
		if p, err := url.PathUnescape(password); err == nil {
			user, password = u, p
		}
	}
	return append(found, password, base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}
