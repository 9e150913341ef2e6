package config

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	anchor  = "arn:aws:rolesanywhere:us-east-1:123456789012:trust-anchor/00000000-0000-4000-8000-000000000001"
	profile = "arn:aws:rolesanywhere:us-east-1:123456789012:profile/00000000-0000-4000-8000-000000000002"
	role    = "arn:aws:iam::123456789012:role/team/a=b+c,d.e@f-g_h"
)

func minimal() map[string]string {
	return map[string]string{"certificate": "c.pem", "trust-anchor-arn": anchor, "profile-arn": profile, "role-arn": role}
}

func with(pairs ...string) map[string]string {
	m := minimal()
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

func env(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

func TestLoadDefaults(t *testing.T) {
	t.Parallel()
	got, err := Load(minimal(), env())
	if err != nil {
		t.Fatal(err)
	}
	want := Config{Certificate: "c.pem", TrustAnchorARN: anchor, ProfileARN: profile, RoleARN: role, SessionRegion: "us-east-1", Region: "us-east-1"}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Config{}, "Proxy")); diff != "" {
		t.Error(diff)
	}
}

func TestEverySettingComesFromFlagOrVariable(t *testing.T) {
	t.Parallel()
	for _, s := range Settings() {
		if s.Name != "" && s.Env != envName(s.Name) {
			t.Errorf("--%s has variable %s, not %s", s.Name, s.Env, envName(s.Name))
		}
	}
	full := map[string]string{
		"certificate": "a", "private-key": "b", "intermediates": "c", "trust-anchor-arn": anchor, "profile-arn": profile, "role-arn": role,
		"region": "eu-west-1", "endpoint": "https://e.example/p/", "session-duration": "900", "role-session-name": "al", "key-password-file": "f",
		"cache-dir": "k", "no-cache": "true", "no-verify-ssl": "true", "with-proxy": "true", "debug": "true",
	}
	var pairs []string
	for name, value := range full {
		pairs = append(pairs, envName(name), value)
	}
	want := Config{Certificate: "a", PrivateKey: "b", Intermediates: "c", TrustAnchorARN: anchor, ProfileARN: profile, RoleARN: role,
		SessionRegion: "us-east-1", Region: "eu-west-1", Endpoint: "https://e.example/p", SessionDuration: 15 * time.Minute, RoleSessionName: "al",
		Cache: Cache{Off: true, Dir: "k"}, Password: Password{File: "f"}, TLS: TLS{NoVerify: true}}
	for name, load := range map[string]func() (Config, error){
		"flags":       func() (Config, error) { return Load(full, env()) },
		"environment": func() (Config, error) { return Load(nil, env(pairs...)) },
		"flags over variables": func() (Config, error) {
			return Load(full, env("EKS_X509_CERTIFICATE", "other", "EKS_X509_SESSION_DURATION", "bad"))
		},
	} {
		got, err := load()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Config{}, "Proxy")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// What follows "trust-anchor/", "alias/profile/" and so on is AWS's to judge; it
// is sent as it was given.
func TestLoadRolesAnywhereARNs(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"arn:aws:rolesanywhere:us-east-1:123456789012:", "arn:aws-cn:rolesanywhere:cn-north-1:123456789012:",
		"arn:aws-us-gov:rolesanywhere:us-gov-west-1:123456789012:", "arn:aws-eusc:rolesanywhere:eusc-de-east-1:123456789012:"} {
		partition := strings.Split(base, ":")[1]
		for resource, ok := range map[string]bool{
			"KIND/00000000-0000-4000-8000-000000000001": true, "KIND/a_b": true, "alias/KIND/prod": true, "alias/KIND/Team-A/eu_1": true,
			"alias/KIND/" + strings.Repeat("a", 256): true, "KIND/a/b": true,
			"KIND/": false, "alias/KIND/": false, "KIND": false, "alias/KIND": false, "alias/crl/x": false, "alias/x": false, "subject/x": false,
			"alias/KIND/a b": false, "alias/KIND/a\tb": false, "alias/KIND/ä": false, "alias/alias/KIND/x": false, "Alias/KIND/x": false,
			"KIND/" + strings.Repeat("a", 1012): false, "alias/OTHER/x": false, "OTHER/x": false,
		} {
			for name, names := range map[string][2]string{"trust-anchor-arn": {"trust-anchor", "profile"}, "profile-arn": {"profile", "trust-anchor"}} {
				flags := map[string]string{
					"certificate": "c", "trust-anchor-arn": base + "trust-anchor/i", "profile-arn": base + "profile/i",
					"role-arn": "arn:" + partition + ":iam::123456789012:role/r",
				}
				flags[name] = base + strings.NewReplacer("KIND", names[0], "OTHER", names[1]).Replace(resource)
				c, err := Load(flags, env())
				if got := map[string]string{"trust-anchor-arn": c.TrustAnchorARN, "profile-arn": c.ProfileARN}[name]; ok != (err == nil) || ok && got != flags[name] {
					t.Errorf("%s %q: got %q, %v", name, flags[name], got, err)
				}
			}
		}
	}
}

func TestLoadRefusals(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		flags map[string]string
		env   func(string) string
		where string
		text  string
	}{
		{"no certificate", map[string]string{"trust-anchor-arn": anchor, "profile-arn": profile, "role-arn": role}, env(), "--certificate", "no --certificate given (nor EKS_X509_CERTIFICATE in the environment)"},
		{"no trust anchor", map[string]string{"certificate": "c"}, env(), "--trust-anchor-arn", "no --trust-anchor-arn given (nor EKS_X509_TRUST_ANCHOR_ARN in the environment)"},
		{"an ARN that is none", with("role-arn", "admin"), env(), "--role-arn", `invalid --role-arn: "admin" is not an ARN: arn:aws:iam::ACCOUNT:role/NAME is needed`},
		{"the variable is named", map[string]string{}, env("EKS_X509_TRUST_ANCHOR_ARN", "x"), "EKS_X509_TRUST_ANCHOR_ARN", `invalid EKS_X509_TRUST_ANCHOR_ARN: "x" is not an ARN`},
		{"anchor and profile swapped", with("trust-anchor-arn", profile), env(), "--trust-anchor-arn", "arn:aws:rolesanywhere:REGION:ACCOUNT:trust-anchor/ID or alias/trust-anchor/NAME is needed"},
		{"a role of another service", with("role-arn", "arn:aws:s3:::b"), env(), "--role-arn", "arn:aws:iam::ACCOUNT:role/NAME is needed"},
		{"a session, not a role", with("role-arn", "arn:aws:sts::123456789012:assumed-role/r/s"), env(), "--role-arn", "arn:aws:iam::ACCOUNT:role/NAME is needed"},
		{"a role with a region", with("role-arn", "arn:aws:iam:us-east-1:123456789012:role/r"), env(), "--role-arn", "is needed"},
		{"a short account", with("role-arn", "arn:aws:iam::12345678901:role/r"), env(), "--role-arn", "is needed"},
		{"an anchor without a region", with("trust-anchor-arn", strings.Replace(anchor, "us-east-1", "", 1)), env(), "--trust-anchor-arn", "is needed"},
		{"a partition that is none", with("trust-anchor-arn", strings.Replace(anchor, "arn:aws:", "arn:gcp:", 1)), env(), "--trust-anchor-arn", "is needed"},
		{"two regions", with("profile-arn", strings.Replace(profile, "us-east-1", "eu-west-1", 1)), env(), "--profile-arn", `invalid --profile-arn: its region is "eu-west-1" and the trust anchor's "us-east-1": both must be of one region`},
		{"two accounts", with("role-arn", strings.Replace(role, "123456789012", "210987654321", 1)), env(), "--role-arn", `its account is "210987654321" and the trust anchor's "123456789012"`},
		{"two partitions", with("role-arn", strings.Replace(role, "arn:aws:", "arn:aws-cn:", 1)), env(), "--role-arn", `its partition is "aws-cn"`},
		{"too short a session", with("session-duration", "899"), env(), "--session-duration", `invalid --session-duration: "899": 900 to 43200 seconds are taken`},
		{"too long a session", with("session-duration", "43201"), env(), "--session-duration", "900 to 43200"},
		{"a duration beyond all numbers", with("session-duration", "18446744073709551"), env(), "--session-duration", "900 to 43200"},
		{"a duration with another unit", with("session-duration", "1w"), env(), "--session-duration", "900 to 43200"},
		{"too long a duration with a unit", with("session-duration", "13h"), env(), "--session-duration", "900 to 43200"},
		{"a session name with a space", with("role-session-name", "a b"), env(), "--role-session-name", `invalid --role-session-name: "a b": 2 to 64`},
		{"a session name of one letter", with("role-session-name", "a"), env(), "--role-session-name", "2 to 64"},
		{"a region that is none", with("region", "evil.example"), env(), "--region", `invalid --region: "evil.example": a region such as us-east-1`},
		{"a region of the SDK's variable", minimal(), env("AWS_REGION", "x"), "AWS_REGION", "invalid AWS_REGION"},
		{"a host without a scheme", with("endpoint", "h.example"), env(), "--endpoint", "a URL such as https://host is needed"},
		{"plain http", with("endpoint", "http://h.example"), env(), "--endpoint", "https is needed (http only on loopback)"},
		{"a scheme that is none", with("endpoint", "ftp://h.example"), env(), "--endpoint", "https is needed"},
		{"a URL with a password", with("endpoint", "https://u:hunter2@h.example"), env(), "--endpoint", "a URL with a user name, query or fragment"},
		{"an endpoint of the SDK's variable", minimal(), env("AWS_ENDPOINT_URL", ":"), "AWS_ENDPOINT_URL", "invalid AWS_ENDPOINT_URL"},
		{"a switch that is none", minimal(), env("EKS_X509_NO_VERIFY_SSL", "perhaps"), "EKS_X509_NO_VERIFY_SSL", "true or false is needed"},
		{"a switch of the SDK's", minimal(), env("AWS_USE_FIPS_ENDPOINT", "perhaps"), "AWS_USE_FIPS_ENDPOINT", "true or false is needed"},
		{"a flag that is empty hides the variable", with("role-arn", ""), env("EKS_X509_ROLE_ARN", role), "--role-arn", "invalid --role-arn: it is empty"},
		{"a proxy that is no URL", minimal(), env("HTTPS_PROXY", "http://u:hunter2%zz@h:1"), "HTTPS_PROXY", "invalid HTTPS_PROXY: the user name or the password has a percent sign"},
		{"two passwords", with("pkcs8-password", "hunter2", "key-password-file", "f"), env(), "--pkcs8-password", "exclude each other"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c, err := Load(row.flags, row.env)
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Where != row.where || !strings.Contains(err.Error(), row.text) {
				t.Fatalf("got %#v %v, want %q at %s", err, err, row.text, row.where)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v holds a secret", err)
			}
			if c.RoleARN != "" || c.Certificate != "" {
				t.Errorf("an error and a configuration: %+v", c)
			}
		})
	}
}

func TestRegionsAndEndpoints(t *testing.T) {
	t.Parallel()
	type result struct {
		Session, Region, Endpoint string
		FIPS, DualStack           bool
	}
	for _, row := range []struct {
		name  string
		flags map[string]string
		env   func(string) string
		want  result
	}{
		{"AWS_REGION is where the session is used, not made", minimal(), env("AWS_REGION", "eu-west-1", "AWS_DEFAULT_REGION", "eu-west-2"), result{"us-east-1", "eu-west-1", "", false, false}},
		{"AWS_DEFAULT_REGION is the last to be asked", minimal(), env("AWS_DEFAULT_REGION", "eu-west-2"), result{"us-east-1", "eu-west-2", "", false, false}},
		{"fips at the end of a region", with("region", "us-gov-west-1-fips"), env(), result{"us-east-1", "us-gov-west-1", "", true, false}},
		{"fips at the front of a region", with("region", "fips-us-east-1"), env(), result{"us-east-1", "us-east-1", "", true, false}},
		{"the SDK's switches", minimal(), env("AWS_USE_FIPS_ENDPOINT", "true", "AWS_USE_DUALSTACK_ENDPOINT", "TRUE"), result{"us-east-1", "us-east-1", "", true, true}},
		{"the service's endpoint before the general one", minimal(), env("AWS_ENDPOINT_URL_ROLESANYWHERE", "https://a", "AWS_ENDPOINT_URL", "https://b"), result{"us-east-1", "us-east-1", "https://a", false, false}},
		{"the general endpoint", minimal(), env("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), result{"us-east-1", "us-east-1", "http://127.0.0.1:1", false, false}},
		{"endpoints of variables can be turned off", minimal(), env("AWS_ENDPOINT_URL", "https://b", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"), result{"us-east-1", "us-east-1", "", false, false}},
		{"a flag before both", with("endpoint", "https://[::1]:1"), env("AWS_ENDPOINT_URL_ROLESANYWHERE", "https://a"), result{"us-east-1", "us-east-1", "https://[::1]:1", false, false}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c, err := Load(row.flags, row.env)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, result{c.SessionRegion, c.Region, c.Endpoint, c.UseFIPS, c.UseDualStack}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCacheDir(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("the places are those of Linux")
	}
	for _, row := range []struct {
		name string
		env  func(string) string
		want string
	}{
		{"the XDG directory", env("XDG_CACHE_HOME", "/x", "HOME", "/h"), "/x/eks-x509"},
		{"a relative XDG directory is ignored", env("XDG_CACHE_HOME", "x", "HOME", "/h"), "/h/.cache/eks-x509"},
		{"the home directory", env("HOME", "/h"), "/h/.cache/eks-x509"},
		{"our own variable", env("EKS_X509_CACHE_DIR", "/own", "HOME", "/h"), "/own"},
		{"nothing", env(), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got, err := CacheDir(nil, row.env); err != nil || got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
	if got, err := CacheDir(map[string]string{"cache-dir": "/flag"}, env("EKS_X509_CACHE_DIR", "/own")); err != nil || got != "/flag" {
		t.Errorf("got %q", got)
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		flags map[string]string
		env   func(string) string
		want  Password
	}{
		{"none", minimal(), env(), Password{}},
		{"a flag, which shows", with("pkcs8-password", "p"), env("EKS_X509_KEY_PASSWORD", "q"), Password{Inline: "p", OnCommandLine: true}},
		{"a file by flag before a variable", with("key-password-file", "f"), env("EKS_X509_KEY_PASSWORD", "q"), Password{File: "f"}},
		{"the variable before the file's variable", minimal(), env("EKS_X509_KEY_PASSWORD", "q", "EKS_X509_KEY_PASSWORD_FILE", "f"), Password{Inline: "q", File: "f"}},
		{"the helper's name as a variable", minimal(), env("EKS_X509_PKCS8_PASSWORD", "q"), Password{Inline: "q"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c, err := Load(row.flags, row.env)
			if err != nil || c.Password != row.want {
				t.Errorf("got %+v %v", c.Password.File, err)
			}
			if s := fmt.Sprintf("%v %+v %#v", c, c, c.Password); row.want.Inline != "" && strings.Contains(s, `"`+row.want.Inline+`"`) {
				t.Errorf("printing shows the password: %s", s)
			}
		})
	}
}

func TestProxyFollowsTheEnvironment(t *testing.T) {
	t.Parallel()
	c, err := Load(minimal(), env("HTTPS_PROXY", "http://proxy:1", "NO_PROXY", "direct.example"))
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{"https://a.example": "http://proxy:1", "https://direct.example": "", "https://127.0.0.1": ""} {
		r, _ := http.NewRequest("GET", host, nil)
		u, err := c.Proxy(r)
		got := ""
		if u != nil {
			got = u.String()
		}
		if err != nil || got != want {
			t.Errorf("%s goes by %q (%v), want %q", host, got, err, want)
		}
	}
	if c, _ := Load(minimal(), env("https_proxy", "http://lower:1")); c.Proxy != nil {
		r, _ := http.NewRequest("GET", "https://a.example", nil)
		if u, _ := c.Proxy(r); u == nil || u.Host != "lower:1" {
			t.Errorf("lower case: %v", u)
		}
	}
}
