package awsfiles

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSetRegion(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		old     string
		replace bool
		want    string
	}{
		"a new profile":        {"", false, "[profile x]\nregion = eu-west-1\n"},
		"a profile without":    {"[profile x]\nroom = 1\n", false, "[profile x]\nregion = eu-west-1\nroom = 1\n"},
		"its own stays":        {"[profile x]\nRegion=us-east-1 ; mine\n", false, "[profile x]\nRegion=us-east-1 ; mine\n"},
		"its own is replaced":  {"[profile x]\nregion=us-east-1\noutput = json\n", true, "[profile x]\nregion = eu-west-1\noutput = json\n"},
		"an empty one":         {"[profile x]\nregion =\n", false, "[profile x]\nregion = eu-west-1\n"},
		"another profile's":    {"[default]\nregion = us-east-1\n", false, "[default]\nregion = us-east-1\n\n[profile x]\nregion = eu-west-1\n"},
		"nested, of something": {"[profile x]\ns3 =\n  region = a\n", false, "[profile x]\nregion = eu-west-1\ns3 =\n  region = a\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := SetRegion([]byte(row.old), "x", "eu-west-1", row.replace)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, bad := range []string{"", "a\nb", " a"} {
		if _, err := SetRegion(nil, "x", bad, true); err == nil {
			t.Errorf("%q", bad)
		}
	}
}

func TestRivals(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		profile, config, credentials string
		want                         []string
	}{
		"none":                      {"x", "[profile x]\ncredential_process = c\n", "[y]\naws_access_key_id = a\n[default]\naws_access_key_id = a\n", nil},
		"static keys":               {"x", "", "# mine\n[x]\nAWS_ACCESS_KEY_ID = a\naws_secret_access_key = b\n", []string{`profile "x" has aws_access_key_id in CRED`}},
		"of the default":            {"default", "[default]\n", "\ufeff[default]\naws_access_key_id=a\n", []string{`profile "default" has aws_access_key_id in CRED`}},
		"a commented one":           {"x", "", "[x]\n# aws_access_key_id = a\n; role_arn = b\n", nil},
		"Windows line breaks":       {"x", "", "[x]\r\naws_access_key_id = a\r\n", []string{`profile "x" has aws_access_key_id in CRED`}},
		"spaces in the brackets":    {"x", "", " [ x ] # mine\n  aws_access_key_id : a\n", []string{`profile "x" has aws_access_key_id in CRED`}},
		"another process":           {"x", "", "[x]\ncredential_process = other\n", []string{`profile "x" has credential_process in CRED`}},
		"single sign-on":            {"x", "[profile x]\nsso_session = s\n[sso-session s]\nsso_region = r\n", "", []string{`profile "x" has sso_session in CONF`}},
		"a role":                    {"x", "[profile x]\nrole_arn = a\nsource_profile = y\n", "[x]\nrole_arn = a\n", []string{`profile "x" has role_arn in CONF`, `profile "x" has source_profile in CONF`, `profile "x" has role_arn in CRED`}},
		"a section with the prefix": {"x", "", "[profile x]\naws_access_key_id = a\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(row.want, Rivals([]byte(row.config), []byte(row.credentials), "CONF", "CRED", row.profile)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestProcesses(t *testing.T) {
	t.Parallel()
	got := Processes([]byte("[default]\ncredential_process = a\n[profile x]\nregion = r\n[profile \"y z\"]\ncredential_process = b c # d\n[sso-session s]\ncredential_process = no\n[profile x]\n[profile y z]\n"))
	if diff := cmp.Diff([]Process{{"default", "a"}, {"y z", "b c"}}, got); diff != "" {
		t.Error(diff)
	}
}

// The words of a line that Quote wrote are what it was given.
func TestWords(t *testing.T) {
	t.Parallel()
	for _, words := range [][]string{{"/opt/my tools/eks-x509", "credential-process", "--a", `it's "$x"`, `C:\x`, ""}, {"a"}} {
		if diff := cmp.Diff(words, Words(Quote("linux", words))); diff != "" {
			t.Error(diff)
		}
	}
	if diff := cmp.Diff([]string{`C:\Program Files\x.exe`, "a b", `c"d`}, Words("\"C:\\Program Files\\x.exe\"  'a b'\tc\\\"d")); diff != "" {
		t.Error(diff)
	}
}

func TestHasBackslash(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]bool{
		`C:\Tools\eks-x509.exe credential-process`: true, `"C:\Program Files\x.exe" a`: true, `\\server\x`: true, `x --certificate C:\me.pem`: true, `x \`: true,
		`/opt/my\ tools/x`: false, `/opt/x --a \'b`: false, "C:/Tools/x.exe": false, `a\\b`: false, Quote("linux", []string{"a b", "it's", "ü $"}): false,
	} {
		if HasBackslash(command) != want {
			t.Error(command)
		}
	}
}
