package config

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// Setting is one thing that a person can set.
type Setting struct {
	Name  string // of the flag, without dashes; empty: only the variable
	Env   string
	Bool  bool
	Value string // what stands for the value in help, such as FILE
	Usage string
}

// Settings are those that every command with a session shares, in the order of
// the help. The flags are those of AWS's aws_signing_helper, but for the last.
func Settings() []Setting {
	return []Setting{
		{"certificate", "EKS_X509_CERTIFICATE", false, "FILE", "certificate, alone or with its chain and key (PEM, DER or PKCS#12)"},
		{"private-key", "EKS_X509_PRIVATE_KEY", false, "FILE", "private key (PEM, DER or PKCS#12); default: in the certificate's file"},
		{"intermediates", "EKS_X509_INTERMEDIATES", false, "FILE", "more certificates between yours and the trust anchor"},
		{"trust-anchor-arn", "EKS_X509_TRUST_ANCHOR_ARN", false, "ARN", "trust anchor, which vouches for the certificate"},
		{"profile-arn", "EKS_X509_PROFILE_ARN", false, "ARN", "Roles Anywhere profile, which holds the role"},
		{"role-arn", "EKS_X509_ROLE_ARN", false, "ARN", "role to assume"},
		{"region", "EKS_X509_REGION", false, "REGION", "region where the session is used; default: AWS_REGION, else the trust anchor's"},
		{"endpoint", "EKS_X509_ENDPOINT", false, "URL", "Roles Anywhere endpoint; default: AWS_ENDPOINT_URL_ROLESANYWHERE, AWS_ENDPOINT_URL, else the region's own"},
		{"session-duration", "EKS_X509_SESSION_DURATION", false, "SECONDS", "length of the session, 900 to 43200; default: the profile's"},
		{"role-session-name", "EKS_X509_ROLE_SESSION_NAME", false, "NAME", "name of the session, if the profile accepts one; default: the certificate's serial number in hex"},
		{"key-password-file", "EKS_X509_KEY_PASSWORD_FILE", false, "FILE", "file whose first line is the private key's password"},
		{"", "EKS_X509_KEY_PASSWORD", false, "", "the private key's password"},
		{"pkcs8-password", "EKS_X509_PKCS8_PASSWORD", false, "PASSWORD", "the private key's password; unsafe as a flag, since every user of the machine can read it"},
		{"cache-dir", "EKS_X509_CACHE_DIR", false, "DIR", "where sessions are kept between calls; default: eks-x509 in the user's cache directory"},
		{"no-cache", "EKS_X509_NO_CACHE", true, "", "make a new session and keep none"},
		{"no-verify-ssl", "EKS_X509_NO_VERIFY_SSL", true, "", "do not verify the server's certificate; unsafe"},
		{"with-proxy", "EKS_X509_WITH_PROXY", true, "", "taken for compatibility: HTTPS_PROXY and NO_PROXY always hold"},
		{"debug", "EKS_X509_DEBUG", true, "", "log to stderr what is done; secrets are never logged"},
	}
}

// source looks settings up: a flag that was given, else its variable.
type source struct {
	flags  map[string]string
	getenv func(string) string
}

func (s source) value(name string) string {
	if v, ok := s.flags[name]; ok {
		return v
	}
	return s.getenv(envName(name))
}

// where names what the value came from, as the person wrote it.
func (s source) where(name string) string {
	if _, ok := s.flags[name]; !ok && s.getenv(envName(name)) != "" {
		return envName(name)
	}
	return "--" + name
}

func (s source) missing(name string) *Error {
	if _, given := s.flags[name]; given {
		return &Error{Where: "--" + name, Err: fmt.Errorf("invalid --%s: it is empty", name)}
	}
	return &Error{Where: "--" + name, Missing: true, Err: fmt.Errorf("no --%s given (nor %s in the environment)", name, envName(name))}
}

func (s source) boolean(name string) (bool, error) { return parseBool(s.where(name), s.value(name)) }

// env reads one of the SDKs' switches.
func (s source) env(name string) (bool, error) { return parseBool(name, s.getenv(name)) }

func parseBool(where, value string) (bool, error) {
	if value == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(value)
	if err != nil {
		return false, invalid(where, "%q: true or false is needed", value)
	}
	return b, nil
}

// Debug says whether --debug or its variable is on. The logger is needed
// before, and without, the rest.
func Debug(flags map[string]string, getenv func(string) string) (bool, error) {
	return source{flags, getenv}.boolean("debug")
}

// envName is EKS_X509_ and the flag's name; Settings' test keeps it so.
func envName(name string) string {
	return "EKS_X509_" + strings.ReplaceAll(strings.ToUpper(name), "-", "_")
}

// proxy follows the same rules as http.ProxyFromEnvironment: loopback is never
// proxied, and upper or lower case is read. What is no URL is an error here: it
// must not lead past the proxy. Its value may hold a password.
func proxy(getenv func(string) string) (func(*http.Request) (*url.URL, error), error) {
	values := map[string]string{}
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"} {
		for _, spelling := range []string{strings.ToLower(name), name} {
			value := getenv(spelling)
			if value == "" {
				continue
			}
			if _, err := url.Parse(value); err != nil && name != "NO_PROXY" {
				if _, err := url.Parse("http://" + value); err != nil {
					return nil, invalid(spelling, "a URL such as http://proxy:3128 is needed")
				}
			}
			values[name] = value
		}
	}
	config := httpproxy.Config{HTTPProxy: values["HTTP_PROXY"], HTTPSProxy: values["HTTPS_PROXY"], NoProxy: values["NO_PROXY"]}
	choose := config.ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return choose(r.URL) }, nil
}

// Variables that commands look up themselves.
const (
	ExecInfoVariable = "KUBERNETES_EXEC_INFO"
	ClusterVariable  = "EKS_X509_CLUSTER_NAME"
)
