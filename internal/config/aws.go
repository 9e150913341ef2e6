package config

import (
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/eks-x509/eks-x509/internal/safetext"
)

// The range of a session's duration (Roles Anywhere, CreateSession).
const (
	minSeconds = 900
	maxSeconds = 43200
)

// aliasPrefix begins the resource of an ARN that names a trust anchor or profile
// by its alias. CreateSession accepts it, policies do not.
const aliasPrefix = "alias/"

// arns loads the three ARNs. Everything of Roles Anywhere is regional, and all
// must lie in one account.
func (s source) arns(c *Config) error {
	anchor, err := s.arn("trust-anchor-arn")
	if err != nil {
		return err
	}
	profile, err := s.arn("profile-arn")
	if err != nil {
		return err
	}
	if profile.Region != anchor.Region {
		return invalid(s.where("profile-arn"), "its region is %q and the trust anchor's %q: both must be of one region", profile.Region, anchor.Region)
	}
	if err := s.sameAccount("profile-arn", profile, anchor); err != nil {
		return err
	}
	role, err := s.arn("role-arn")
	if err != nil {
		return err
	}
	if err := s.sameAccount("role-arn", role, anchor); err != nil {
		return err
	}
	c.TrustAnchorARN, c.ProfileARN, c.RoleARN = anchor.String(), profile.String(), role.String()
	c.SessionRegion = anchor.Region
	return nil
}

func (s source) sameAccount(name string, other, anchor arn.ARN) error {
	if got, want := other.AccountID, anchor.AccountID; got != want {
		return invalid(s.where(name), "its account is %q and the trust anchor's %q: all must be of one account", got, want)
	}
	if got, want := other.Partition, anchor.Partition; got != want {
		return invalid(s.where(name), "its partition is %q and the trust anchor's %q: all must be of one partition", got, want)
	}
	return nil
}

// arn is one of the three, by the setting's name.
func (s source) arn(name string) (arn.ARN, error) {
	service, kind, resource := "rolesanywhere", "trust-anchor/", isResource
	switch name {
	case "profile-arn":
		kind = "profile/"
	case "role-arn":
		service, kind, resource = "iam", "role/", isRole
	}
	value, where := s.lookup(name)
	value = strings.TrimSpace(value)
	if value == "" {
		return arn.ARN{}, s.missing(name)
	}
	form := "arn:aws:rolesanywhere:REGION:ACCOUNT:" + kind + "ID or " + aliasPrefix + kind + "NAME"
	if service == "iam" {
		form = "arn:aws:iam::ACCOUNT:role/NAME"
	}
	a, err := arn.Parse(value)
	if err != nil {
		return arn.ARN{}, invalid(where, "%q is not an ARN: %s is needed", value, form)
	}
	id, ok := strings.CutPrefix(a.Resource, kind)
	if service == "rolesanywhere" && !ok {
		id, ok = strings.CutPrefix(a.Resource, aliasPrefix+kind)
	}
	wellFormed := ok && a.Service == service && strings.HasPrefix(a.Partition, "aws") && isAccount(a.AccountID) &&
		resource(id) && (service == "iam") == (a.Region == "") && (a.Region == "" || isRegion(a.Region))
	if !wellFormed {
		return arn.ARN{}, invalid(where, "%q: %s is needed", value, form)
	}
	return a, nil
}

// regions loads Region and the endpoint variants. A region may be written with
// "fips", as older SDKs did; that must not reach the signature's scope.
func (s source) regions(c *Config) error {
	value, where := s.lookup("region")
	if value == "" {
		value = c.SessionRegion
	}
	plain := strings.TrimSuffix(strings.TrimPrefix(value, "fips-"), "-fips")
	if !isRegion(plain) {
		return invalid(where, "%q: a region such as us-east-1 is needed", value)
	}
	c.Region = plain

	var err error
	if c.UseFIPS, err = s.env("AWS_USE_FIPS_ENDPOINT"); err != nil {
		return err
	}
	c.UseFIPS = c.UseFIPS || plain != value
	c.UseDualStack, err = s.env("AWS_USE_DUALSTACK_ENDPOINT")
	return err
}

func (s source) endpoints(c *Config) error {
	ignore, err := s.env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
	if err != nil {
		return err
	}
	value, where := s.lookup("endpoint")
	if c.Endpoint, err = checkEndpoint(value, where); err != nil || ignore {
		return err
	}
	for _, service := range []struct {
		variable string
		endpoint *string
	}{{"AWS_ENDPOINT_URL_STS", &c.STSEndpoint}, {"AWS_ENDPOINT_URL_EKS", &c.EKSEndpoint}} {
		where := service.variable
		if s.getenv(where) == "" {
			where = "AWS_ENDPOINT_URL"
		}
		if *service.endpoint, err = checkEndpoint(s.getenv(where), where); err != nil {
			return err
		}
	}
	return nil
}

func checkEndpoint(value, where string) (string, error) {
	if value == "" {
		return "", nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.Hostname() == "" {
		return "", invalid(where, "a URL such as https://host is needed") // what does not parse may hold a password
	}
	switch {
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", invalid(where, "a URL with a user name, query or fragment")
	case u.Scheme == "https":
	case u.Scheme == "http" && isLoopback(u.Hostname()):
	default:
		// The answer holds secrets.
		return "", invalid(where, "%q: https is needed (http only on loopback)", safetext.URL(value))
	}
	return strings.TrimSuffix(value, "/"), nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (s source) duration(c *Config) error {
	value, where := s.lookup("session-duration")
	if value == "" {
		return nil
	}
	length, err := ParseDuration(value)
	seconds := int(length / time.Second)
	if err != nil || length%time.Second != 0 || seconds < minSeconds || seconds > maxSeconds {
		return invalid(where, "%q: %d to %d seconds are taken, also as 15m or 12h", value, minSeconds, maxSeconds)
	}
	c.SessionDuration = time.Duration(seconds) * time.Second
	return nil
}

// passwordVariables hold the password itself.
func passwordVariables() []string {
	return []string{"EKS_X509_KEY_PASSWORD", "EKS_X509_PKCS8_PASSWORD"}
}

// password prefers what is a flag over the profile of a flag, that over what is a
// variable, and of each kind the password itself over a file.
func (s source) password(c *Config) error {
	_, inline := s.flags["pkcs8-password"]
	_, file := s.flags["key-password-file"]
	switch {
	case inline && file:
		return &Error{Where: "--pkcs8-password", Err: errors.New("invalid flags: --pkcs8-password and --key-password-file exclude each other")}
	case inline:
		c.Password = Password{Inline: s.flags["pkcs8-password"], OnCommandLine: true}
	case file:
		c.Password = Password{File: s.value("key-password-file")}
	case s.explicit && s.has("key-password-file"):
		c.Password = Password{File: s.value("key-password-file")}
	default:
		c.Password = Password{File: s.expand(s.getenv("EKS_X509_KEY_PASSWORD_FILE"))}
		for _, variable := range passwordVariables() {
			if c.Password.Inline == "" {
				c.Password.Inline = s.getenv(variable)
			}
		}
		if c.Password.Inline == "" {
			c.Password.File = s.value("key-password-file")
		}
	}
	return nil
}
