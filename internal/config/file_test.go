package config

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// layered is an environment with a user's file and a system's.
func layered(t *testing.T, user, system string, more ...string) func(string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"home": user, "etc": system} {
		if text == "" {
			continue
		}
		path := filepath.Join(dir, name, "eks-x509", "config.yaml")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return env(append([]string{"XDG_CONFIG_HOME", filepath.Join(dir, "home"), "XDG_CONFIG_DIRS", filepath.Join(dir, "etc")}, more...)...)
}

func TestLayers(t *testing.T) {
	t.Parallel()
	const user = "default: {region: ud, role-session-name: ud}\nprofiles: {p: {region: up, cluster-name: up}, q: {region: uq}}\n"
	const system = "default: {region: sd, role-session-name: sd, session-duration: 900}\nprofiles: {p: {region: sp, cluster-name: sp, role-session-name: sp}, fleet: {region: sf}}\n"
	for _, row := range []struct {
		name    string
		flags   map[string]string
		env     []string
		setting string
		want    string
	}{
		{"the user's default", nil, nil, "region", "ud"},
		{"the system's default below it", nil, nil, "session-duration", "900"},
		{"the profile over the default", map[string]string{"profile": "p"}, nil, "region", "up"},
		{"the system's part of a profile over the user's default", map[string]string{"profile": "p"}, nil, "role-session-name", "sp"},
		{"a profile of the system's alone", map[string]string{"profile": "fleet"}, nil, "region", "sf"},
		{"the profile of the variable", nil, []string{"EKS_X509_PROFILE", "q"}, "region", "uq"},
		{"the profile of the flag over it", map[string]string{"profile": "p"}, []string{"EKS_X509_PROFILE", "q"}, "region", "up"},
		{"the default by its name", map[string]string{"profile": "default"}, []string{"EKS_X509_PROFILE", "q"}, "region", "ud"},
		{"the profile of the flag over a variable", map[string]string{"profile": "p"}, []string{"EKS_X509_REGION", "e"}, "region", "up"},
		{"the profile of the flag over the SDK's variable", map[string]string{"profile": "p"}, []string{"AWS_REGION", "a"}, "region", "up"},
		{"a variable over the profile of the variable", nil, []string{"EKS_X509_REGION", "e", "EKS_X509_PROFILE", "p"}, "region", "e"},
		{"the SDK's variable over the profile of the variable", nil, []string{"AWS_REGION", "a", "EKS_X509_PROFILE", "p"}, "region", "a"},
		{"a flag over all", map[string]string{"profile": "p", "region": "f"}, []string{"EKS_X509_REGION", "e"}, "region", "f"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			values, err := Values(row.flags, layered(t, user, system, row.env...))
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range values {
				if v.Name == row.setting && v.Value != row.want {
					t.Errorf("%s is %q of %s, want %q", row.setting, v.Value, v.Origin, row.want)
				}
				if v.Name == row.setting {
					return
				}
			}
			t.Errorf("no %s", row.setting)
		})
	}
}

const edited = `# mine
default: # all of them
  region: eu-west-1   # here

  role-arn: "a"
# between
profiles:
    prod:
        region: x
        # after
    dev: {region: y}
# the end`

func TestSet(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, text, profile, key, value, want string
	}{
		{"a value that is there", edited, "default", "region", "us-east-1", strings.Replace(edited, "eu-west-1   #", "us-east-1 #", 1)},
		{"a quoted value", edited, "default", "role-arn", "b: c", strings.Replace(edited, `"a"`, `'b: c'`, 1)},
		{"a new key", edited, "default", "session-duration", "900", strings.Replace(edited, "\"a\"\n", "\"a\"\n  session-duration: 900\n", 1)},
		{"a profile's new key", edited, "prod", "cluster-name", "c", strings.Replace(edited, "region: x\n", "region: x\n        cluster-name: c\n", 1)},
		{"a new profile", edited, "new", "region", "z", strings.Replace(edited, "{region: y}\n", "{region: y}\n    new:\n      region: z\n", 1)},
		{"an empty file", "", "default", "region", "x", "default:\n  region: x\n"},
		{"an empty file's profile", "", "p", "region", "x", "profiles:\n  p:\n    region: x\n"},
		{"a default without values", "default:\nprofiles:\n", "default", "region", "x", "profiles:\ndefault:\n  region: x\n"},
		{"profiles without one", "# c\nprofiles:\n", "p", "region", "x", "# c\nprofiles:\n  p:\n    region: x\n"},
		{"no newline at the end", "default:\n  region: a", "default", "role-arn", "x", "default:\n  region: a\n  role-arn: x\n"},
		{"CRLF", "default:\r\n  region: a\r\n", "default", "region", "x", "default:\r\n  region: x\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := Set("f", []byte(row.text), row.profile, row.key, row.value)
			if err != nil || string(got) != row.want {
				t.Errorf("%v\n%s\nwant\n%s", err, got, row.want)
			}
		})
	}
	got, err := Set("f", []byte(edited), "dev", "region", "z")
	if err != nil || strings.Count(string(got), "#") != strings.Count(edited, "#") {
		t.Errorf("flow style: %v\n%s", err, got)
	}
}

// Set either fails or changes one value and no comment.
func FuzzSet(f *testing.F) {
	for _, seed := range []string{edited, "", "default:\n", "{default: {region: a}, profiles: {p: {}}}", "profiles: &a\n p: &b\n  region: |\n   x\n q: *b\n", "\xef\xbb\xbfdefault:\n", "a", "default:\n- x", "? default\n: region: x"} {
		f.Add([]byte(seed), "p", "x")
		f.Add([]byte(seed), "default", "a #b")
	}
	f.Fuzz(func(t *testing.T, data []byte, profile, value string) {
		before, err := parse("f", data)
		after, err2 := Set("f", data, profile, "region", value)
		if err != nil && err2 == nil {
			t.Fatalf("set in a malformed file: %v", err)
		}
		if err2 != nil {
			return
		}
		now, err := parse("f", after)
		if err != nil {
			t.Fatalf("%v in\n%s", err, after)
		}
		if now.sections[profile]["region"].value != value {
			t.Fatalf("the value is %q, want %q", now.sections[profile]["region"].value, value)
		}
		for name, section := range before.sections {
			delete(section, "region")
			got := maps.Clone(now.sections[name])
			delete(got, "region")
			if len(got) != len(section) {
				t.Fatalf("profile %q was %v and is %v", name, section, got)
			}
		}
	})
}
