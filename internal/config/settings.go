package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Setting is one thing that a person can set.
type Setting struct {
	Name  string // of the flag, without dashes; empty: only the variable
	Env   string
	Bool  bool
	Value string // what stands for the value in help, such as FILE
	Usage string
}

// Settings are all of them, in the order of the help. Every command with a session
// has them as flags, but for cluster-name, which only some need. The names are
// those of AWS's aws_signing_helper where it has such a flag.
func Settings() []Setting {
	return []Setting{
		{"profile", "EKS_X509_PROFILE", false, "NAME", "profile in the configuration file"},
		{"config", "EKS_X509_CONFIG", false, "FILE", "configuration file; default: eks-x509/config.yaml in the user's configuration directory"},
		{"certificate", "EKS_X509_CERTIFICATE", false, "FILE", "certificate, alone or with its chain and key (PEM, DER or PKCS#12)"},
		{"private-key", "EKS_X509_PRIVATE_KEY", false, "FILE", "private key (PEM, DER or PKCS#12); default: in the certificate's file"},
		{"intermediates", "EKS_X509_INTERMEDIATES", false, "FILE", "more certificates between yours and the trust anchor"},
		{"trust-anchor-arn", "EKS_X509_TRUST_ANCHOR_ARN", false, "ARN", "trust anchor, which vouches for the certificate"},
		{"profile-arn", "EKS_X509_PROFILE_ARN", false, "ARN", "Roles Anywhere profile, which holds the role"},
		{"role-arn", "EKS_X509_ROLE_ARN", false, "ARN", "role to assume"},
		{"region", "EKS_X509_REGION", false, "REGION", "region where the session is used; default: AWS_REGION, else the trust anchor's"},
		{"endpoint", "EKS_X509_ENDPOINT", false, "URL", "Roles Anywhere endpoint; default: AWS_ENDPOINT_URL_ROLESANYWHERE, AWS_ENDPOINT_URL, else the region's own"},
		{"session-duration", "EKS_X509_SESSION_DURATION", false, "TIME", "length of the session, 900 (seconds) to 43200, or 15m to 12h; default: the profile's"},
		{"role-session-name", "EKS_X509_ROLE_SESSION_NAME", false, "NAME", "name of the session, if the profile accepts one; default: the certificate's serial number in hex"},
		{"key-password-file", "EKS_X509_KEY_PASSWORD_FILE", false, "FILE", "file whose first line is the private key's password"},
		{"", "EKS_X509_KEY_PASSWORD", false, "", "the private key's password"},
		{"pkcs8-password", "EKS_X509_PKCS8_PASSWORD", false, "PASSWORD", "the private key's password; unsafe as a flag, since every user of the machine can read it"},
		{"cluster-name", "EKS_X509_CLUSTER_NAME", false, "NAME", "name of the cluster"},
		{"cache-dir", "EKS_X509_CACHE_DIR", false, "DIR", "where sessions are kept between calls; default: eks-x509 in the user's cache directory"},
		{"no-cache", "EKS_X509_NO_CACHE", true, "", "make a new session and keep none"},
		{"no-verify-ssl", "EKS_X509_NO_VERIFY_SSL", true, "", "do not verify the server's certificate; unsafe"},
		{"with-proxy", "EKS_X509_WITH_PROXY", true, "", "taken for compatibility: HTTPS_PROXY and NO_PROXY always hold"},
		{"debug", "EKS_X509_DEBUG", true, "", "log to stderr what is done; secrets are never logged"},
	}
}

// FileSettings are those that may stand in a configuration file, under the
// flag's name. A password may not, nor what is for one call.
func FileSettings() []Setting {
	var found []Setting
	for _, s := range Settings() {
		switch s.Name {
		case "", "pkcs8-password", "no-verify-ssl", "with-proxy", "debug", "profile", "config":
		default:
			found = append(found, s)
		}
	}
	return found
}

// IsPath says whether the value is a path.
func (s Setting) IsPath() bool { return s.Value == "FILE" || s.Value == "DIR" }

// IsPath says so of the setting of this name.
func IsPath(name string) bool {
	return slices.ContainsFunc(Settings(), func(s Setting) bool { return s.Name == name && s.IsPath() })
}

// source looks settings up: a flag that was given, else its variable, else the
// configuration files. A profile that is given by a flag wins over variables.
type source struct {
	flags   map[string]string
	getenv  func(string) string
	layers  []section // of configuration files, the one that wins first
	files   []string  // that were read
	profile string
	// untrusted are those of files that another user can change.
	untrusted []Untrusted
	// explicit: the profile was given by a flag, be it the default. What it sets,
	// itself or by the default, is not for variables of the shell to change.
	explicit bool
}

// variables are where the environment may have a setting: our own, then those of
// the SDKs for the same thing.
func (s source) variables(name string) []string {
	switch name {
	case "region":
		return []string{envName(name), "AWS_REGION", "AWS_DEFAULT_REGION"}
	case "endpoint":
		if ignore, err := s.env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"); err == nil && !ignore {
			return []string{envName(name), "AWS_ENDPOINT_URL_ROLESANYWHERE", "AWS_ENDPOINT_URL"}
		}
	}
	return []string{envName(name)}
}

// lookup gives a setting's value, and what it came from as the person wrote it.
func (s source) lookup(name string) (value, where string) {
	value, where = s.unexpanded(name)
	if strings.HasPrefix(value, "~") && IsPath(name) {
		value = s.expand(value)
	}
	return value, where
}

func (s source) unexpanded(name string) (value, where string) {
	if v, ok := s.flags[name]; ok {
		return v, "--" + name
	}
	inFile, set := s.inFiles(name)
	for _, variable := range s.variables(name) {
		if v := s.getenv(variable); v != "" && (!s.explicit || !set) {
			return v, variable
		}
	}
	if set {
		return inFile.value, inFile.where(name)
	}
	return "", "--" + name
}

// inFiles is what the configuration files have for a setting.
func (s source) inFiles(name string) (entry, bool) {
	for _, layer := range s.layers {
		if e, ok := layer[name]; ok {
			return e, true
		}
	}
	return entry{}, false
}

func (s source) has(name string) bool { _, ok := s.inFiles(name); return ok }

// ignored are the variables that the profile of the flag wins over.
func (s source) ignored(name string) []string {
	_, flag := s.flags[name]
	if _, inline := s.flags["pkcs8-password"]; name == "key-password-file" && inline {
		flag = true
	}
	if flag || !s.has(name) || !s.explicit {
		return nil
	}
	names := s.variables(name)
	if name == "key-password-file" {
		names = append(names, passwordVariables()...)
	}
	return slices.DeleteFunc(names, func(variable string) bool { return s.getenv(variable) == "" })
}

func (s source) value(name string) string { v, _ := s.lookup(name); return v }
func (s source) where(name string) string { _, w := s.lookup(name); return w }

// fromPerson is a setting that no file can have: which file, which profile.
func (s source) fromPerson(name string) string {
	s.layers = nil
	return s.value(name)
}

func (s source) missing(name string) *Error {
	if _, given := s.flags[name]; given {
		return &Error{Where: "--" + name, Err: fmt.Errorf("invalid --%s: it is empty", name)}
	}
	also := ""
	if len(s.files) > 0 {
		also = ", nor in " + strings.Join(s.files, ", ")
		if s.profile != "" {
			also = fmt.Sprintf(", nor in profile %q of %s", s.profile, strings.Join(s.files, ", "))
		}
	}
	return &Error{Where: "--" + name, Missing: true, Err: fmt.Errorf("no --%s given (nor %s in the environment%s)", name, envName(name), also)}
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
	return source{flags: flags, getenv: getenv}.boolean("debug")
}

// envName is EKS_X509_ and the flag's name; Settings' test keeps it so.
func envName(name string) string {
	return "EKS_X509_" + strings.ReplaceAll(strings.ToUpper(name), "-", "_")
}

// ExecInfoVariable is how kubectl says that it runs us, and what it wants.
const ExecInfoVariable = "KUBERNETES_EXEC_INFO"
