package provision

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const roleTeam = "arn:aws:iam::123456789012:role/team"

func team() Mapping { return Mapping{roleTeam, "x509:{{SessionName}}", []string{"viewers"}} }

const teamLines = `- rolearn: arn:aws:iam::123456789012:role/team
  username: x509:{{SessionName}}
  groups:
    - viewers
`

const nodes = `- rolearn: arn:aws:iam::123456789012:role/nodes   # made by eksctl
  username: system:node:{{EC2PrivateDNSName}}
  groups: [system:bootstrappers, 'system:nodes']
`

// indented is a text with each line so much further to the right.
func indented(n int, text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.Repeat(" ", n) + line)
	}
	return b.String()
}

func crlf(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

func TestMapRole(t *testing.T) {
	t.Parallel()
	const other = "- rolearn: arn:aws:iam::123456789012:role/team\n  username: other\n"
	for name, row := range map[string]struct{ before, after string }{
		"nothing there":         {"", teamLines},
		"an empty word":         {"``", teamLines},
		"an empty list":         {"[]\n", teamLines},
		"null":                  {"null", teamLines},
		"comments alone":        {"# who may come in\n", "# who may come in\n" + teamLines},
		"an empty list, why":    {"# top\n[] # nobody yet\n# end\n", "# top\n# nobody yet\n# end\n" + teamLines},
		"others":                {nodes, nodes + teamLines},
		"others without an end": {strings.TrimSuffix(nodes, "\n"), nodes + teamLines},
		"comments everywhere": {
			"# top\n\n# about nodes\n" + nodes + "  # - system:masters\n\n# - rolearn: old\n",
			"# top\n\n# about nodes\n" + nodes + "  # - system:masters\n\n# - rolearn: old\n" + teamLines,
		},
		"further to the right":   {indented(3, nodes), indented(3, nodes) + indented(3, teamLines)},
		"line ends of Windows":   {crlf(nodes), crlf(nodes + teamLines)},
		"a dash alone":           {"-\n  rolearn: x\n  username: y\n", "-\n  rolearn: x\n  username: y\n" + teamLines},
		"an entry in brackets":   {"- {rolearn: x, username: y, groups: []}\n", "- {rolearn: x, username: y, groups: []}\n" + teamLines},
		"a list in brackets":     {"[{rolearn: x, username: 'y'}]", "- {rolearn: x, username: 'y'}\n" + teamLines},
		"JSON":                   {`[{"rolearn":"x","groups":["a","b"]}]`, "- {\"rolearn\": \"x\", \"groups\": [\"a\", \"b\"]}\n" + teamLines},
		"anchors of others":      {"- &n\n  rolearn: x\n  groups: &g [a]\n- {<<: *n, rolearn: y, groups: *g}\n", "- &n\n  rolearn: x\n  groups: &g [a]\n- {<<: *n, rolearn: y, groups: *g}\n" + teamLines},
		"entries without sense":  {"- 5\n- [rolearn]\n- {rolearn: [x]}\n- {rolearn: x, rolearn: y}\n-\n", "- 5\n- [rolearn]\n- {rolearn: [x]}\n- {rolearn: x, rolearn: y}\n-\n" + teamLines},
		"there already":          {nodes + "- {groups: [viewers], rolearn: " + roleTeam + ", username: 'x509:{{SessionName}}'}\n", ""},
		"keys in another case":   {"- {roleARN: " + roleTeam + ", userName: 'x509:{{SessionName}}', Groups: [viewers]}\n", ""},
		"replaced in its place":  {"# a\n" + other + "\n# b\n" + nodes, "# a\n" + teamLines + "\n# b\n" + nodes},
		"replaced, by its path":  {"- {rolearn: 'arn:aws:iam::123456789012:role/a/b/team', username: x}\n" + nodes, teamLines + nodes},
		"replaced, by its case":  {"- {rolearn: 'ARN:aws:iam::123456789012:role/TEAM', username: x}\n", teamLines},
		"replaced, all of it":    {other + nodes + other + "# end\n" + teamLines, teamLines + nodes + "# end\n"},
		"twice the same":         {teamLines + nodes + teamLines, teamLines + nodes},
		"a comment in its midst": {"- rolearn: " + roleTeam + "\n# odd\n  username: x\n" + nodes, teamLines + nodes},
		"text over lines":        {"- rolearn: x\n  username: |\n    # no comment\n\n    - rolearn: y\n- rolearn: " + roleTeam + "\n  username: >-\n    a\n    # b\n" + nodes, "- rolearn: x\n  username: |\n    # no comment\n\n    - rolearn: y\n" + teamLines + nodes},
		"another account's":      {strings.ReplaceAll(teamLines, "123456789012", "111111111111"), strings.ReplaceAll(teamLines, "123456789012", "111111111111") + teamLines},
		"a longer name":          {strings.ReplaceAll(teamLines, "role/team", "role/team2"), strings.ReplaceAll(teamLines, "role/team", "role/team2") + teamLines},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if row.after == "" {
				row.after = row.before
			}
			got, _, err := MapRole(row.before, team(), true)
			if diff := cmp.Diff(row.after, got); err != nil || diff != "" {
				t.Fatal(err, diff)
			}
			if again, _, err := MapRole(got, team(), false); err != nil || again != got {
				t.Errorf("once more: %v\n%s", err, again)
			}
			_, _, err = MapRole(row.before, team(), false)
			if mapped := new(MappedError); strings.HasPrefix(name, "replaced") != errors.As(err, &mapped) && name != "twice the same" && name != "a comment in its midst" && name != "text over lines" {
				t.Errorf("without replace: %v", err)
			}
		})
	}
}

func TestUnmapRole(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		before, after string
		found         int
	}{
		"nothing there":       {"", "", 0},
		"not there":           {nodes, nodes, 0},
		"not there, brackets": {"[{rolearn: x}]", "[{rolearn: x}]", 0},
		"the last":            {teamLines, "[]\n", 1},
		"the last, a comment": {"# a\n" + teamLines + "# b", "# a\n# b\n[]\n", 1},
		"between others":      {nodes + "\n" + teamLines + "  # viewers see\n\n# more\n" + nodes, nodes + "\n\n# more\n" + nodes, 1},
		"thrice":              {teamLines + nodes + teamLines + "# x\n" + strings.ReplaceAll(teamLines, "role/", "role/p/"), nodes + "# x\n", 3},
		"Windows":             {crlf(teamLines), "[]\r\n", 1},
		"brackets":            {"[{rolearn: " + roleTeam + "}, {rolearn: x}]", "- {rolearn: x}\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, found, err := UnmapRole(row.before, roleTeam)
			if diff := cmp.Diff(row.after, got); err != nil || diff != "" || len(found) != row.found {
				t.Error(err, diff, found)
			}
		})
	}
}

// What can't be edited without harm is not edited.
func TestMapRolesRefused(t *testing.T) {
	t.Parallel()
	for before, want := range map[string]string{
		"rolearn: x\n":         "it is no list",
		"x":                    "it is no list",
		"- a: b\n c: d\n":      "malformed mapRoles in aws-auth",
		"\t- a":                "malformed mapRoles in aws-auth",
		"[ # none\n]":          "the empty list in it can't be edited here",
		"[{rolearn: x}] # one": "a list in brackets with a # in it can't be edited here",
		"- x\n---\n- y\n":      "its layout can't be edited here",
		"- x\n...\n":           "its layout can't be edited here",
		"- &a {rolearn: '" + roleTeam + "', username: x}\n- *a\n": "the anchor in line 1 can't be edited here",
	} {
		if got, _, err := MapRole(before, team(), true); err == nil || got != "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v, want %s", before, got, err, want)
		}
	}
	_, _, err := MapRole("- {rolearn: '"+roleTeam+"', username: a, groups: [b]}\n- {rolearn: '"+roleTeam+"', username: c}\n", team(), false)
	want := `aws-auth maps the role otherwise (2 found): ` + roleTeam + ` to username "a", groups ["b"]; ` + roleTeam + ` to username "c", groups []`
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestCompleteMapping(t *testing.T) {
	t.Parallel()
	m := Mapping{RoleARN: "arn:aws-cn:iam::123456789012:role/a/b/team"}
	if err := m.Complete(); err != nil || m.RoleARN != "arn:aws-cn:iam::123456789012:role/team" || m.Username != "arn:aws-cn:sts::123456789012:assumed-role/team/{{SessionName}}" {
		t.Error(m, err)
	}
	for _, m := range []Mapping{
		{RoleARN: "team"},
		{RoleARN: "arn:aws:sts::123456789012:assumed-role/team/x"},
		{RoleARN: "arn:aws:iam::123456789012:user/x"},
		{RoleARN: "arn:aws:iam::123456789012:role/"},
		{RoleARN: roleTeam, Username: "a\nb"},
		{RoleARN: roleTeam, Groups: []string{""}},
		{RoleARN: roleTeam, Groups: []string{"\x1b[2J"}},
		{RoleARN: roleTeam, Username: "\xff"},
	} {
		if err := m.Complete(); err == nil {
			t.Errorf("%q is taken", m)
		}
	}
}

// Whatever stands there: what is written is a list with the entry once and every
// other entry as it was, and taking the entry out again leaves those.
func checkEdits(t *testing.T, text string, entry Mapping) {
	t.Helper()
	after, _, err := MapRole(text, entry, true)
	if err != nil {
		return
	}
	before, got := others(t, text, entry), others(t, after, entry)
	if !slices.Equal(before, got) {
		t.Fatalf("others were changed:\n%q\n%q\n%s", before, got, after)
	}
	// An entry with a key twice, say, was no better before.
	if err := yaml.Unmarshal([]byte(after), new([]any)); err != nil && yaml.Unmarshal([]byte(text), new([]any)) == nil {
		t.Fatalf("%v in\n%s", err, after)
	}
	m, err := parseMapRoles(after)
	if err != nil {
		t.Fatal(err)
	}
	_, list := m.about(entry.RoleARN)
	if len(list) != 1 || !list[0].Equal(entry) {
		t.Fatalf("%v is mapped to %v in\n%s", entry, list, after)
	}
	rest, found, err := UnmapRole(after, entry.RoleARN)
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v in\n%s", err, found, after)
	}
	if got := others(t, rest, entry); !slices.Equal(before, got) {
		t.Fatalf("others were changed:\n%q\n%q\n%s", before, got, rest)
	}
}

// others are the entries of other roles, as YAML says them.
func others(t *testing.T, text string, but Mapping) []string {
	t.Helper()
	m, err := parseMapRoles(text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	at, _ := m.about(but.RoleARN)
	var all []string
	for i, e := range m.entries {
		if !slices.Contains(at, i) {
			all = append(all, shape(e.node))
		}
	}
	return all
}

func shape(n *yaml.Node) string {
	s := fmt.Sprintf("%d %s %q %q", n.Kind, n.ShortTag(), n.Value, n.Anchor)
	for _, c := range n.Content {
		s += "(" + shape(c) + ")"
	}
	return s
}

func TestMapRolesOfAllShapes(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(all ...string) string { return all[r.IntN(len(all))] }
	for range 1000 {
		indent := r.IntN(3)
		var b strings.Builder
		var comments []string
		comment := func(at int) {
			for range r.IntN(3) {
				c := fmt.Sprintf("# comment %d - rolearn: x", len(comments))
				comments = append(comments, c)
				b.WriteString(pick("", "\n") + strings.Repeat(" ", at) + c + "\n")
			}
		}
		comment(0)
		for i := range r.IntN(5) {
			name := pick("a", "b", "nodes", "path/to/c") + fmt.Sprint(i)
			b.WriteString(pick(
				indented(indent, fmt.Sprintf("- rolearn: arn:aws:iam::123456789012:role/%s # who\n  username: %s\n  groups:\n  - g\n", name, pick("u", `"q # u"`, "'{{SessionName}}'"))),
				indented(indent, fmt.Sprintf("-   groups: [a, 'b']\n    username: >\n      folded\n      text\n    rolearn: 'arn:aws:iam::123456789012:role/%s'\n", name)),
				indented(indent, fmt.Sprintf("- {rolearn: arn:aws:iam::123456789012:role/%s, username: u,\n   groups: []}\n", name)),
			))
			comment(indent)
		}
		text := pick(b.String(), strings.TrimSuffix(b.String(), "\n"), crlf(b.String()))
		entry := Mapping{roleTeam, pick("u", "yes", "{{SessionName}}", "a: b", "# c", "é 'x'"), []string{pick("g", "12", "null", "*", "a,b")}}
		checkEdits(t, text, entry)
		after, _, err := MapRole(text, entry, false)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if !strings.HasPrefix(after, text) {
			t.Fatalf("%q was not kept in %q", text, after)
		}
		// An entry that was there is taken out, and every comment stays.
		gone := "arn:aws:iam::123456789012:role/" + pick("a", "b", "nodes", "c") + "0"
		rest, _, err := UnmapRole(text, gone)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		for _, c := range comments {
			if !strings.Contains(rest, c) {
				t.Fatalf("%q is gone from\n%s\nof\n%s", c, rest, text)
			}
		}
	}
}

func FuzzMapRole(f *testing.F) {
	for _, text := range []string{"", nodes, teamLines, crlf(nodes), "[]", "[{rolearn: x}]", "- &a {x: y}\n- *a\n", "-\n  rolearn: |\n   x\n", "? a\n: b\n", "- x\n# y"} {
		f.Add(text, "x509:{{SessionName}}", "viewers")
	}
	f.Fuzz(func(t *testing.T, text, username, group string) {
		entry := Mapping{roleTeam, username, []string{group}}
		if entry.Complete() == nil {
			checkEdits(t, text, entry)
		}
	})
}

// An entry by the ARN of a session is its role's to the authenticator, whatever the session and the case.
func TestAssumedRoleIsTheRole(t *testing.T) {
	t.Parallel()
	for arn, row := range map[string]struct{ about, works bool }{
		roleTeam: {true, true},
		"arn:aws:sts::123456789012:assumed-role/team/alice":    {true, true},
		"arn:aws:sts::123456789012:assumed-role/Team/0a1b2c":   {true, true},
		"ARN:AWS:STS::123456789012:ASSUMED-ROLE/TEAM/X":        {true, true},
		"arn:aws:iam::123456789012:role/path/team":             {true, false},
		"arn:aws:sts::123456789012:assumed-role/path/team/s":   {true, false},
		"arn:aws:sts::123456789012:assumed-role/team":          {true, false}, // the authenticator can't read it
		"arn:aws:sts::123456789012:assumed-role/other/team":    {false, false},
		"arn:aws:sts::999999999999:assumed-role/team/alice":    {false, false},
		"arn:aws-cn:sts::123456789012:assumed-role/team/alice": {false, false},
		"arn:aws:iam::123456789012:assumed-role/team/alice":    {false, false},
		"arn:aws:sts::123456789012:federated-user/team":        {false, false},
		"arn:aws:iam::123456789012:user/team":                  {false, false},
		"team":                                                 {false, false},
	} {
		text := fmt.Sprintf("- rolearn: %s\n  username: x509:{{SessionName}}\n  groups: [viewers]\n", arn)
		_, found, err := UnmapRole(text, roleTeam)
		if err != nil || (len(found) == 1) != row.about {
			t.Errorf("%s: %v, %v", arn, found, err)
		}
		after, _, err := MapRole(text, team(), false)
		switch {
		case row.works && (err != nil || after != text):
			t.Errorf("%s: not taken for the same: %v", arn, err)
		case row.about && !row.works && err == nil:
			t.Errorf("%s: no error", arn)
		case !row.about && (err != nil || after != text+teamLines):
			t.Errorf("%s: %v\n%s", arn, err, after)
		}
	}
}
