package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// valueOf differs by place. It is a path, so that reading it from a file does not
// change it, or a URL.
func valueOf(place, name string) string {
	if name == "endpoint" {
		return "https://" + place + ".example"
	}
	return "/" + place + "/" + name
}

// allOf has each setting with a value of its own, or none.
func allOf(place string, there bool) string {
	text := "{"
	for _, s := range FileSettings() {
		if there {
			text += s.Name + ": " + valueOf(place, s.Name) + ", "
		}
	}
	return text + "}"
}

// For each setting and each choice of places that have it: a flag, the profile of
// the flag with what it has of the default, a variable, the profile of the
// variable, the default.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	places := []string{"flag", "mine", "variable", "other", "default", "system"}
	for _, row := range []struct {
		flag, variable string
		given          bool
		order          []string
	}{
		{"mine", "other", true, []string{"flag", "mine", "default", "system", "variable"}},
		{"default", "other", true, []string{"flag", "default", "system", "variable"}},
		{"", "other", false, []string{"flag", "variable", "other", "default", "system"}},
		{"", "default", false, []string{"flag", "variable", "default", "system"}},
		{"", "", false, []string{"flag", "variable", "default", "system"}},
		{"", "other", true, []string{"flag", "variable", "default", "system"}}, // --profile "": none
	} {
		for set := range 1 << len(places) {
			has := map[string]bool{}
			for i, place := range places {
				has[place] = set>>i&1 == 1
			}
			system := "default: " + allOf("system", has["system"]) + "\n"
			user := fmt.Sprintf("default: %s\nprofiles: {mine: %s, other: %s}\n", allOf("default", has["default"]), allOf("mine", has["mine"]), allOf("other", has["other"]))
			for spelling := range 3 {
				if spelling > 0 && !has["variable"] {
					continue
				}
				flags, variables, named := map[string]string{}, []string{"EKS_X509_PROFILE", row.variable}, map[string]string{}
				if row.given {
					flags["profile"] = row.flag
				}
				for _, s := range FileSettings() {
					if has["flag"] {
						flags[s.Name] = valueOf("flag", s.Name)
					}
					names := (source{getenv: env()}).variables(s.Name)
					named[s.Name] = names[min(spelling, len(names)-1)]
					if has["variable"] {
						variables = append(variables, named[s.Name], valueOf("variable", s.Name))
					}
				}
				want := map[string]Value{}
				for _, s := range FileSettings() {
					for _, place := range row.order {
						if !has[place] {
							continue
						}
						v := Value{Name: s.Name, Value: valueOf(place, s.Name)}
						if has["variable"] && row.flag != "" && place != "flag" && place != "variable" {
							v.Ignored = []string{named[s.Name]}
						}
						want[s.Name] = v
						break
					}
				}
				from, err := source{flags: flags, getenv: layered(t, user, system, variables...)}.withFiles()
				if err != nil {
					t.Fatal(err)
				}
				got := map[string]Value{}
				for _, s := range FileSettings() {
					if value := from.value(s.Name); value != "" {
						got[s.Name] = Value{Name: s.Name, Value: value, Ignored: from.ignored(s.Name)}
					}
				}
				if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("--profile %q, EKS_X509_PROFILE=%q, in %v:\n%s", row.flag, row.variable, has, diff)
				}
			}
		}
	}
}

// What can't stand in a file: a flag over its variable, with a profile or without.
func TestPrecedenceOutsideFiles(t *testing.T) {
	t.Parallel()
	for _, s := range Settings() {
		if slices.ContainsFunc(FileSettings(), func(f Setting) bool { return f.Name == s.Name }) || s.Name == "" {
			continue
		}
		for _, profile := range []string{"", "mine"} {
			from := source{flags: map[string]string{"profile": profile}, getenv: env(s.Env, "v"), explicit: profile != ""}
			if s.Name != "profile" {
				if got, where := from.lookup(s.Name); got != "v" || where != s.Env {
					t.Errorf("--%s: %q of %s", s.Name, got, where)
				}
			}
			from.flags[s.Name] = "f"
			if got, where := from.lookup(s.Name); got != "f" || where != "--"+s.Name {
				t.Errorf("--%s: %q of %s", s.Name, got, where)
			}
		}
	}
}

// The password and its file are alternatives: the profile's file wins over each
// variable for either.
func TestPasswordOfTheProfile(t *testing.T) {
	t.Parallel()
	const inProfile = "profiles: {mine: {key-password-file: /profile}}\n"
	const inDefault = "default: {key-password-file: /default}\nprofiles: {mine: {}}\n"
	all := []string{"EKS_X509_KEY_PASSWORD", "p", "EKS_X509_KEY_PASSWORD_FILE", "/v", "EKS_X509_PKCS8_PASSWORD", "q"}
	for _, row := range []struct {
		name, user string
		flags      map[string]string
		env        []string
		want       Password
		ignored    string
	}{
		{"the profile's over each", inProfile, with("profile", "mine"), all, Password{File: "/profile"}, "EKS_X509_KEY_PASSWORD EKS_X509_KEY_PASSWORD_FILE EKS_X509_PKCS8_PASSWORD"},
		{"the default's, as the profile shows it", inDefault, with("profile", "mine"), all, Password{File: "/default"}, "EKS_X509_KEY_PASSWORD EKS_X509_KEY_PASSWORD_FILE EKS_X509_PKCS8_PASSWORD"},
		{"the helper's name", inProfile, with("profile", "mine"), all[4:], Password{File: "/profile"}, "EKS_X509_PKCS8_PASSWORD"},
		{"a flag over the profile", inProfile, with("profile", "mine", "pkcs8-password", "f"), all, Password{Inline: "f", OnCommandLine: true}, ""},
		{"a file by flag over the profile", inProfile, with("profile", "mine", "key-password-file", "/f"), all, Password{File: "/f"}, ""},
		{"a profile without one", "profiles: {mine: {}}\n", with("profile", "mine"), all, Password{Inline: "p", File: "/v"}, ""},
		{"the variable over the profile of a variable", inProfile, minimal(), append(all[4:], "EKS_X509_PROFILE", "mine"), Password{Inline: "q"}, ""},
		{"the profile of a variable", inProfile, minimal(), []string{"EKS_X509_PROFILE", "mine"}, Password{File: "/profile"}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			getenv := layered(t, row.user, "", row.env...)
			c, err := Load(row.flags, getenv)
			if err != nil || c.Password != row.want {
				t.Errorf("inline %q, file %q, %v", c.Password.Inline, c.Password.File, err)
			}
			values, err := Values(row.flags, getenv)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, v := range values {
				if v.Name == "key-password-file" {
					slices.Sort(v.Ignored)
					got = strings.Join(v.Ignored, " ")
				}
			}
			if diff := cmp.Diff(row.ignored, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
