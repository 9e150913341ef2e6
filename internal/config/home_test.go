package config

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func homeOf(dir string) func(string) string {
	return func(name string) string {
		return map[string]string{"HOME": dir, "USERPROFILE": dir}[name]
	}
}

func TestExpandHome(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), "me")
	tests := map[string]struct{ path, home, want, err string }{
		"the home directory":     {"~", home, home, ""},
		"below it":               {"~/a/b.pem", home, filepath.Join(home, "a", "b.pem"), ""},
		"with a slash too many":  {"~//a", home, filepath.Join(home, "a"), ""},
		"another user":           {"~root/a", home, "", `only ~/ is the home directory`},
		"another user, no slash": {"~root", home, "", `only ~/ is`},
		"no home":                {"~/a", "", "", `it begins with ~, and there is no home directory in the environment`},
		"further on":             {"a/~/b", home, "a/~/b", ""},
		"a file of this name":    {"./~root", home, "./~root", ""},
		"none":                   {"", home, "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ExpandHome(test.path, homeOf(test.home))
			if test.err == "" && (err != nil || got != test.want) || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// Every path setting is expanded, whichever way it comes.
func TestPathsAreExpanded(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	for _, s := range Settings() {
		if !s.IsPath() || s.Name == "config" {
			continue
		}
		for way, read := range map[string]func(value string) (string, error){
			"flag": func(value string) (string, error) {
				src, err := source{flags: map[string]string{s.Name: value}, getenv: homeOf(home)}.withFiles()
				return src.value(s.Name), err
			},
			"variable": func(value string) (string, error) {
				src, err := source{getenv: func(name string) string {
					if name == s.Env {
						return value
					}
					return homeOf(home)(name)
				}}.withFiles()
				return src.value(s.Name), err
			},
		} {
			if got, err := read("~/x"); err != nil || got != filepath.Join(home, "x") {
				t.Errorf("%s, %s: %q, %v", s.Name, way, got, err)
			}
			if _, err := read("~other/x"); err == nil || !strings.Contains(err.Error(), "only ~/ is the home directory") {
				t.Errorf("%s, %s: %v", s.Name, way, err)
			}
		}
	}
}

func TestAWSFiles(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	named := func(name string) string {
		if strings.HasPrefix(name, "AWS_") {
			return "~/other/" + name
		}
		return homeOf(home)(name)
	}
	for _, test := range []struct {
		find   func(func(string) string) (string, error)
		getenv func(string) string
		want   string
	}{
		{AWSConfigFile, homeOf(home), filepath.Join(home, ".aws", "config")},
		{AWSCredentialsFile, homeOf(home), filepath.Join(home, ".aws", "credentials")},
		{AWSConfigFile, named, filepath.Join(home, "other", "AWS_CONFIG_FILE")},
		{AWSCredentialsFile, named, filepath.Join(home, "other", "AWS_SHARED_CREDENTIALS_FILE")},
	} {
		if got, err := test.find(test.getenv); err != nil || got != test.want {
			t.Errorf("%q, %v (%s)", got, err, runtime.GOOS)
		}
	}
	if _, err := AWSConfigFile(homeOf("")); err == nil || !strings.Contains(err.Error(), "no home directory") {
		t.Error(err)
	}
}
