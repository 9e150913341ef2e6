package awsfiles

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSetCredentialProcess(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100_000)
	for _, row := range []struct{ name, profile, old, want string }{
		{"no file", "x", "", "[profile x]\ncredential_process = cmd\n"},
		{"default has no prefix", "default", "", "[default]\ncredential_process = cmd\n"},
		{"a name with a space is quoted", "my name", "", "[profile \"my name\"]\ncredential_process = cmd\n"},
		{"after another section", "x", "[default]\nregion = r\n", "[default]\nregion = r\n\n[profile x]\ncredential_process = cmd\n"},
		{"after an empty line", "x", "[default]\n\n", "[default]\n\n[profile x]\ncredential_process = cmd\n"},
		{"the last line has no newline", "x", "[default]\nregion = r", "[default]\nregion = r\n\n[profile x]\ncredential_process = cmd\n"},
		{"CRLF and no last newline", "x", "[default]\r\nregion = r", "[default]\r\nregion = r\r\n\r\n[profile x]\r\ncredential_process = cmd\r\n"},
		{"only a byte order mark", "x", "\ufeff", "\ufeff[profile x]\ncredential_process = cmd\n"},

		{"added at the section's top", "x", "[profile x]\n# why\nregion = r\n\n[profile y]\n", "[profile x]\ncredential_process = cmd\n# why\nregion = r\n\n[profile y]\n"},
		{"added with CRLF", "x", "[profile x]\r\nregion = r\r\n", "[profile x]\r\ncredential_process = cmd\r\nregion = r\r\n"},
		{"each line has its own ending", "x", "[a]\r\n[profile x]\nregion = r\r\n", "[a]\r\n[profile x]\ncredential_process = cmd\nregion = r\r\n"},
		{"the header is all there is", "x", "[profile x]", "[profile x]\ncredential_process = cmd\n"},
		{"indented like the section", "x", "[profile x]\n  ; why\n\n  region = r\n", "[profile x]\n  credential_process = cmd\n  ; why\n\n  region = r\n"},
		{"a byte order mark before the section", "default", "\ufeff[default]\r\nregion = r\r\n", "\ufeff[default]\r\ncredential_process = cmd\r\nregion = r\r\n"},
		{"a comment after the header", "x", "[profile x] # [1]\nregion = r\n", "[profile x] # [1]\ncredential_process = cmd\nregion = r\n"},
		{"a header with many spaces", "x", " [ profile \t x ] \n", " [ profile \t x ] \ncredential_process = cmd\n"},
		{"a quoted header", "my name", "[profile \"my name\"]\n", "[profile \"my name\"]\ncredential_process = cmd\n"},
		{"a header in single quotes", "x", "[profile 'x']\n", "[profile 'x']\ncredential_process = cmd\n"},
		{"another case is another profile", "x", "[profile X]\n", "[profile X]\n\n[profile x]\ncredential_process = cmd\n"},
		{"other kinds of section", "x", "[services x]\n[x]\n[profilex]\n#[profile x]\n[sso-session x]\n", "[services x]\n[x]\n[profilex]\n#[profile x]\n[sso-session x]\n\n[profile x]\ncredential_process = cmd\n"},
		{"the long way to write default", "default", "[profile default]\n", "[profile default]\ncredential_process = cmd\n"},
		{"two ways to write default", "default", "[profile default]\n[default]\n", "[profile default]\ncredential_process = cmd\n[default]\n"},

		{"replaced", "x", "[profile x]\nregion = r\ncredential_process = old\noutput = json\n", "[profile x]\nregion = r\ncredential_process = cmd\noutput = json\n"},
		{"replaced in CRLF", "x", "[profile x]\r\ncredential_process = old\r\noutput = json", "[profile x]\r\ncredential_process = cmd\r\noutput = json"},
		{"replaced in the last line without newline", "x", "[profile x]\ncredential_process = old", "[profile x]\ncredential_process = cmd"},
		{"already so, in other spelling", "x", "[profile x]\nCredential_Process:cmd", "[profile x]\nCredential_Process:cmd"},
		{"replaced in other spelling", "x", "[profile x]\nCREDENTIAL_PROCESS: old\n", "[profile x]\ncredential_process = cmd\n"},
		{"replaced where it is indented", "x", "[profile x]\n\tregion = r\n\tcredential_process = old\n", "[profile x]\n\tregion = r\n\tcredential_process = cmd\n"},
		{"replaced with what continues it", "x", "[profile x]\ncredential_process = old\n  --more\n# kept\n  # kept\n\n  --and more\noutput = json\n", "[profile x]\ncredential_process = cmd\n# kept\n  # kept\n\noutput = json\n"},
		{"replaced with what is nested in it", "x", "[profile x]\ncredential_process =\n  a = b\n  c = d\n[profile y]\n", "[profile x]\ncredential_process = cmd\n[profile y]\n"},
		{"of another setting's nested ones, none", "x", "[profile x]\ns3 =\n  credential_process = old\n", "[profile x]\ncredential_process = cmd\ns3 =\n  credential_process = old\n"},
		{"indented too deep", "x", "[profile x]\nregion = r\n  credential_process = old\n", "[profile x]\nregion = r\ncredential_process = cmd\n"},
		{"another profile's is left alone", "x", "[profile y]\ncredential_process = old\n[profile x]\n", "[profile y]\ncredential_process = old\n[profile x]\ncredential_process = cmd\n"},
		{"a line that is no setting", "x", "[profile x]\nwhat is this\ncredential_process = old\n", "[profile x]\nwhat is this\ncredential_process = cmd\n"},

		{"of doubles one stays", "x", "[profile x]\ncredential_process = a\ncredential_process = b\n", "[profile x]\ncredential_process = cmd\n"},
		{"of doubles in two sections one stays", "x", "[profile x]\ncredential_process = a\n[profile y]\n[profile x]\ncredential_process = b\nregion = r\n", "[profile x]\ncredential_process = cmd\n[profile y]\n[profile x]\nregion = r\n"},
		{"two sections, one has it", "x", "[profile x]\ncredential_process = a\n[profile x]\nregion = r\n", "[profile x]\ncredential_process = cmd\n[profile x]\nregion = r\n"},
		{"two sections, none has it", "x", "[profile x]\n[profile x]\nregion = r\n", "[profile x]\n[profile x]\ncredential_process = cmd\nregion = r\n"},
		{"a long line", "x", "[default]\na = " + long + "\n[profile x]\n", "[default]\na = " + long + "\n[profile x]\ncredential_process = cmd\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, _, err := SetCredentialProcess([]byte(row.old), row.profile, "cmd")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, string(got)); diff != "" {
				t.Error(diff)
			}
			again, _, err := SetCredentialProcess(got, row.profile, "cmd")
			if err != nil || string(again) != string(got) {
				t.Errorf("a second time: %q, %v", again, err)
			}
		})
	}
}

func TestSetCredentialProcessWarns(t *testing.T) {
	t.Parallel()
	const prefer = ", which an SDK may prefer to credential_process"
	for _, row := range []struct {
		name, profile, old string
		want               []string
	}{
		{"nothing to say", "x", "[profile x]\nregion = r\ns3 =\n  role_arn = nested\n[profile y]\nrole_arn = a\n", nil},
		{"keys", "x", "[profile x]\nAWS_Access_Key_Id = a\naws_secret_access_key = b\n", []string{`profile "x" also has aws_access_key_id` + prefer}},
		{"a role, once for two sections", "x", "[profile x]\nrole_arn = a\n[profile x]\nrole_arn = b\nsource_profile = c\n", []string{
			`profile "x" also has role_arn` + prefer,
			`profile "x" also has source_profile` + prefer,
			`profile "x" has more than one section, which the AWS CLI refuses or reads in part`,
		}},
		{"single sign-on and the rest", "x", "[profile x]\nsso_session = a\nlogin_session = b\ncredential_source = c\n web_identity_token_file = d\n", []string{
			`profile "x" also has credential_source` + prefer,
			`profile "x" also has login_session` + prefer,
			`profile "x" also has sso_session` + prefer,
			`profile "x" also has web_identity_token_file` + prefer,
		}},
		{"two ways to write default", "default", "[default]\n[profile default]\n", []string{`profile "default" has more than one section, which the AWS CLI refuses or reads in part`}},
		{"a byte order mark", "x", "\ufeff[default]\n", []string{"the file begins with a byte order mark, which SDKs take for part of the first line"}},
		{"a space", "a b", "", []string{`profile name "a b" has a space: the AWS CLI wants it in quotes in the file, the AWS SDK for Go without`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, got, err := SetCredentialProcess([]byte(row.old), row.profile, "cmd")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSetCredentialProcessRefuses(t *testing.T) {
	t.Parallel()
	const unsupported = ": unsupported in the AWS config file are brackets, quotes, backslashes, #, ; and control characters"
	for _, row := range []struct{ name, profile, command, old, want string }{
		{"no profile", "", "cmd", "", `invalid profile name "": it is empty or has spaces around it`},
		{"a space at the profile's end", "x ", "cmd", "", `invalid profile name "x ": it is empty or has spaces around it`},
		{"a newline in the profile", "x\ny", "cmd", "", `invalid profile name "x\ny"` + unsupported},
		{"a bracket in the profile", "x]y", "cmd", "", `invalid profile name "x]y"` + unsupported},
		{"a control character in the profile", "x\x1by", "cmd", "", `invalid profile name "x\x1by"` + unsupported},
		{"a comment in the profile", "x #y", "cmd", "", `invalid profile name "x #y"` + unsupported},
		{"no UTF-8 in the profile", "x\xff", "cmd", "", `invalid profile name "x\xff"` + unsupported},
		{"no command", "x", "", "", "invalid command: it is empty"},
		{"a space at the command's end", "x", `cmd a\ `, "", "invalid command: spaces around it are taken away by readers of the AWS config file"},
		{"a newline in the command", "x", "a\nrole_arn = b", "", "invalid command: it is not one line of text"},
		{"a carriage return in the command", "x", "a\rb", "", "invalid command: it is not one line of text"},
		{"a line separator in the command", "x", "a\u2028b", "", "invalid command: it is not one line of text"},
		{"a comment in the command", "x", "a 'b #c'", "", "invalid command: a # or ; after a space begins a comment in the AWS config file"},
		{"quotes that Go takes away", "x", "'a b' 'c d'", "", "invalid command: quotes at both ends are taken away by the AWS SDK for Go"},
		{"a NUL in the file", "x", "cmd", "[x]\x00", "malformed AWS config file: it has a NUL byte"},
		{"no UTF-8 in the file", "x", "cmd", "[\xff]", "malformed AWS config file: it is not UTF-8"},
		{"a lone carriage return in the file", "x", "cmd", "[x]\r[profile x]\r\n", "malformed AWS config file: it has a carriage return that ends no line"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, _, err := SetCredentialProcess([]byte(row.old), row.profile, row.command)
			if got != nil || err == nil || err.Error() != row.want {
				t.Errorf("%q, %v, want %s", got, err, row.want)
			}
		})
	}
}

func FuzzSetCredentialProcess(f *testing.F) {
	for _, text := range []string{
		"", "\ufeff[default]\r\nregion = r", "[profile x]\ncredential_process =\n  a = b\n\n  c\n[profile x]\ncredential_process: d",
		"[profile x]\nregion = r\n  credential_process = old\n  output = json\n", "[profile \"x\"] ; c\n\tCREDENTIAL_PROCESS=a\n\t\t--b\n",
		"[profile default]\n    junk\n  region = r\n[default]\n", "[profile x]\r\n\r\n s3 =\r\n  credential_process = a\r\n", "=\n[x]\r", "\x00", "\xff",
	} {
		f.Add([]byte(text), "x", "/bin/eks-x509 credential-process")
		f.Add([]byte(text), "default", "b")
	}
	f.Fuzz(func(t *testing.T, data []byte, profile, command string) {
		got, _, err := SetCredentialProcess(data, profile, command)
		if err != nil {
			return
		}
		again, _, err := SetCredentialProcess(got, profile, command)
		if err != nil || string(again) != string(got) {
			t.Errorf("a second time: %q, %v, want %q", again, err, got)
		}
		if n := added(t, textLines(data), textLines(got)); n > 4 { // an ending, an empty line, header and setting
			t.Errorf("%d lines added to %q: %q", n, data, got)
		}
	})
}

func textLines(data []byte) []string {
	return strings.SplitAfter(strings.TrimPrefix(string(data), bom), "\n")
}

// added counts the new lines, and goes through both texts at once: what is
// missing must be a line of the setting or one that may continue it, and what is
// new the setting, a header, or empty.
func added(t *testing.T, old, lines []string) int {
	count := 0
	for _, line := range lines {
		same := func(s string) bool {
			return s == line || !strings.HasSuffix(s, "\n") && s == strings.TrimRight(line, "\r\n")
		}
		at := slices.IndexFunc(old, func(s string) bool { return same(s) || !maybeOurs(s) })
		if at >= 0 && same(old[at]) {
			old = old[at+1:]
			continue
		}
		count++
		if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, process+" = ") && !strings.HasPrefix(text, "[") {
			t.Errorf("a new line %q", line)
		}
	}
	for _, line := range old {
		if line != "" && !maybeOurs(line) {
			t.Errorf("line %q is lost", line)
		}
	}
	return count
}

func maybeOurs(line string) bool {
	s, ok := parseSetting(line)
	return ok && s.key == process || indent(line) != ""
}
