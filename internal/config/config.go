// Package config makes one Config of flags, environment and configuration files:
// flags over environment over the chosen profile over the default. It alone
// reads the environment, through the function it is given, and it checks
// everything that can be checked without opening a key: ARNs, durations, names,
// addresses.
//
// Each setting stands once, in Settings, with the name of its flag and of its
// variable. The variables of the AWS SDKs are read as the SDKs read them; no AWS
// configuration file ever is.
package config

import (
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Config is all that a session needs to know. It is plain data.
type Config struct {
	Profile string // that was chosen; empty: none
	// Untrusted are the files it came from that another user can change.
	Untrusted []Untrusted

	Certificate, PrivateKey, Intermediates string // file paths
	TrustAnchorARN, ProfileARN, RoleARN    string

	// SessionRegion is the trust anchor's: sessions are made there.
	SessionRegion string
	// Region is where the session is used: the STS host in a token, AWS_REGION
	// for a shell. It defaults to SessionRegion.
	Region string

	Endpoint string // base URL for CreateSession; empty: the region's own
	// STSEndpoint and EKSEndpoint are base URLs; empty: the region's own. A token
	// is for STS's own host, always.
	STSEndpoint, EKSEndpoint string
	// Endpoints are base URLs for an administrator, by the service's name in its
	// host; LoadNetwork alone sets them.
	Endpoints       map[string]string
	SessionDuration time.Duration // 0: left to the profile
	RoleSessionName string        // empty: left to AWS
	ClusterName     string        // for the commands that need one; empty: none was named

	UseFIPS, UseDualStack bool

	Cache    Cache
	Password Password
	TLS      TLS
	// Proxy is a transport's Proxy: HTTPS_PROXY, HTTP_PROXY and NO_PROXY.
	Proxy func(*http.Request) (*url.URL, error)
}

// Cache says where sessions are kept.
type Cache struct {
	Off bool
	Dir string // empty: there is no place for it
}

// Password is where the private key's password comes from. Inline wins over
// File; both empty: the person at the terminal.
type Password struct {
	Inline string
	File   string
	// OnCommandLine: Inline was a flag, which every user of the machine can read.
	OnCommandLine bool
}

// String hides the password.
func (p Password) String() string { return "password" }

// GoString is String, for %#v.
func (p Password) GoString() string { return p.String() }

// TLS says whom to trust on the way to AWS.
type TLS struct {
	CABundle string // path of a PEM file that replaces the system's roots; AWS_CA_BUNDLE
	// SystemFile and SystemDirs take the place of the system's own files on most
	// systems; SSL_CERT_FILE and SSL_CERT_DIR.
	SystemFile, SystemDirs string
	NoVerify               bool
}

// Error is a setting that is missing or invalid. Where names the flag or the
// variable at fault.
type Error struct {
	Where   string
	Missing bool
	Content bool // a file's content was given where its name belongs
	Err     error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

func invalid(where, format string, args ...any) *Error {
	for i, arg := range args {
		if value, ok := arg.(string); ok && isContent(value) {
			args[i] = "…" // a key that was given in the wrong place
		}
	}
	return &Error{Where: where, Err: fmt.Errorf("invalid %s: "+format, append([]any{where}, args...)...)}
}

// LoadKey is Load for what needs no session: the files of certificate and key,
// the trust anchor, all unchecked and maybe not given, and the password.
func LoadKey(flags map[string]string, getenv func(string) string) (Config, error) {
	s, err := source{flags: flags, getenv: getenv}.withFiles()
	if err != nil {
		return Config{}, err
	}
	c := s.keyFiles()
	return c, s.password(&c)
}

func (s source) keyFiles() Config {
	return Config{
		Profile: s.profile, Certificate: s.value("certificate"), PrivateKey: s.value("private-key"), Intermediates: s.value("intermediates"),
		TrustAnchorARN: s.value("trust-anchor-arn"), Untrusted: s.untrusted,
	}
}

// Load merges flags (those given, by name, without dashes) over the environment
// and the configuration files, and checks the result. Every error is an *Error.
func Load(flags map[string]string, getenv func(string) string) (Config, error) {
	s, err := source{flags: flags, getenv: getenv}.withFiles()
	if err != nil {
		return Config{}, err
	}
	c := s.keyFiles()
	c.ClusterName, c.RoleSessionName = s.value("cluster-name"), s.value("role-session-name")
	c.TLS = TLS{CABundle: s.expand(getenv("AWS_CA_BUNDLE")), SystemFile: getenv("SSL_CERT_FILE"), SystemDirs: getenv("SSL_CERT_DIR")}
	c.Cache = Cache{Dir: s.cacheDir()}
	if c.Proxy, err = proxy(getenv); err != nil {
		return Config{}, err
	}
	if c.Cache.Off, err = s.boolean("no-cache"); err != nil {
		return Config{}, err
	}
	for _, load := range []func(*Config) error{s.arns, s.regions, s.endpoints, s.duration, s.password} {
		if err = load(&c); err != nil {
			return Config{}, err
		}
	}
	if c.TLS.NoVerify, err = s.boolean("no-verify-ssl"); err != nil {
		return Config{}, err
	}
	if c.Certificate == "" {
		return Config{}, s.missing("certificate")
	}
	if err := s.sessionName(); err != nil {
		return Config{}, err
	}
	return c, nil
}

func (s source) sessionName() error {
	name, where := s.lookup("role-session-name")
	if name != "" && !isSessionName(name) {
		return invalid(where, "%q: 2 to 64 letters, digits and _+=,.@- are taken", name)
	}
	return nil
}
