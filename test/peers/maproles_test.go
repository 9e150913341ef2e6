package peers

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/aws-iam-authenticator/pkg/config"
	"sigs.k8s.io/aws-iam-authenticator/pkg/mapper/configmap"

	"github.com/eks-x509/eks-x509/internal/provision"
)

// What map-role writes is what the authenticator of a cluster reads, which has another YAML parser, of YAML 1.1; and what stood there it
// reads as before.
func TestMapRoles(t *testing.T) {
	const other = `# others
- rolearn: arn:aws:iam::123456789012:role/nodes # ours
  username: system:node:{{EC2PrivateDNSName}}
  groups: [system:bootstrappers, 'system:nodes']
- {roleARN: 'arn:aws:iam::123456789012:role/UPPER', userName: yes-man, groups: []}
`
	names := []string{
		"x509:{{SessionName}}", "{{SessionName}}", "yes", "no", "on", "Off", "y", "N", "true", "null", "~", "1", "0o17", "017", "0x1f", "1_000", "1:30", "190:20:30", "1e3", ".5",
		".inf", "2026-11-26", "2026-11-26 10:00:00", "=", "<<", "-", "- a", "? a", "a: b", "a #b", "#a", "&a", "*a", "!a", "!!str a", "%a", "@a", "`a", "|", ">", "'a'", `"a"`, `a\nb`, "[a]",
		"{a: b}", "a,b", " a", "a ", "é", "日本", "😀", "a\u00a0b", strings.Repeat("long ", 60) + "end",
	}
	r := rand.New(rand.NewPCG(3, 4))
	pick := func() string { return names[r.IntN(len(names))] }
	read := func(text string) []config.RoleMapping {
		t.Helper()
		_, roles, _, err := configmap.ParseMap(map[string]string{"mapRoles": text})
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		return roles
	}
	for i := range 2000 {
		entry := provision.Mapping{RoleARN: "arn:aws:iam::123456789012:role/team", Username: pick(), Groups: []string{pick(), pick()}}
		if i < len(names) {
			entry.Username = names[i]
		}
		if err := entry.Complete(); err != nil {
			if strings.ContainsRune(entry.Username+strings.Join(entry.Groups, ""), '\u00a0') {
				continue // no character that prints
			}
			t.Fatal(err)
		}
		want := append(read(other), config.RoleMapping{RoleARN: entry.RoleARN, Username: entry.Username, Groups: entry.Groups})
		text, _, err := provision.MapRole(other, entry, false)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, read(text)); diff != "" {
			t.Fatalf("%s in\n%s", diff, text)
		}
		rest, _, err := provision.UnmapRole(text, entry.RoleARN)
		if err != nil || rest != other {
			t.Fatalf("%v:\n%s", err, rest)
		}
	}
	if text, _, err := provision.UnmapRole("- {rolearn: 'arn:aws:iam::123456789012:role/team'}\n", "arn:aws:iam::123456789012:role/team"); err != nil || len(read(text)) != 0 {
		t.Errorf("%v: %q", err, text)
	}
}
