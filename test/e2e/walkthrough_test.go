package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/eks-x509/eks-x509/internal/sandbox"
)

const (
	walkthroughRole   = "arn:aws:iam::123456789012:role/EKSReadOnlyRoleAnywhereTest"
	walkthroughAnchor = "arn:aws:rolesanywhere:us-east-1:123456789012:trust-anchor/e2e00000-0000-4000-8000-000000000001"
	walkthroughAccess = "arn:aws:rolesanywhere:us-east-1:123456789012:profile/e2e00000-0000-4000-8000-000000000002"
)

// accountSide gives the script that stands for a block, having done to the sandbox and the cluster what the block does.
func accountSide(p *person, what string) (string, error) {
	world := shared.aws.World()
	switch what {
	case "trust anchor":
		ca, err := os.ReadFile(p.path("ca.pem"))
		if err != nil {
			return "", err
		}
		world.TrustAnchors = append(world.TrustAnchors, sandbox.TrustAnchor{
			ARN: walkthroughAnchor, Name: "example-ca", Enabled: true, Certificates: []string{string(ca)},
		})
		return "trust_anchor_arn=" + walkthroughAnchor, shared.aws.SetWorld(world)
	case "role":
		world.Roles = append(world.Roles, sandbox.Role{ARN: walkthroughRole, RoleID: "AROASANDBOXAAAAAAAE2E", MaxSessionDuration: 3600, Trusted: true})
		return "role_arn=" + walkthroughRole, shared.aws.SetWorld(world)
	case "profile":
		world.Profiles = append(world.Profiles, sandbox.Profile{
			ARN: walkthroughAccess, Name: "eks-read-only", Enabled: true, RoleARNs: []string{walkthroughRole}, DurationSeconds: 3600,
		})
		return "profile_arn=" + walkthroughAccess, shared.aws.SetWorld(world)
	case "access entry":
		events, err := shared.cluster.awsAuthEvents()
		if err != nil {
			return "", err
		}
		out, err := shared.cluster.admin("create", "configmap", "aws-auth", "-n", "kube-system",
			"--from-literal=mapRoles=- {rolearn: "+walkthroughRole+", username: viewk8, groups: []}")
		if err != nil {
			return "", fmt.Errorf("%w: %s", err, out)
		}
		return "", shared.cluster.takenUp(events)
	case "audit log":
		return fmt.Sprintf(`grep '"username":"viewk8"' %s | grep '"verb":"create"' >audit.json`, shared.cluster.path("audit.log")) + "\n" +
			`grep -o '"user":{.*"sessionName":\["[0-9a-f]*"\][^}]*}}' audit.json`, nil
	case "cloudtrail":
		return `key=$(sed -n 's/.*"accessKeyId":\["\([A-Z0-9]*\)"\].*/\1/p' audit.json)` + "\n" +
			fmt.Sprintf(`grep "\"$key\"" %s/cloudtrail.jsonl >event.json`, shared.aws.dir), nil
	case "clean up":
		world.TrustAnchors = slices.DeleteFunc(world.TrustAnchors, func(a sandbox.TrustAnchor) bool { return a.ARN == walkthroughAnchor })
		world.Roles = slices.DeleteFunc(world.Roles, func(r sandbox.Role) bool { return r.ARN == walkthroughRole })
		world.Profiles = slices.DeleteFunc(world.Profiles, func(p sandbox.Profile) bool { return p.ARN == walkthroughAccess })
		out, err := shared.cluster.admin("delete", "configmap", "aws-auth", "-n", "kube-system")
		if err != nil {
			return "", fmt.Errorf("%w: %s", err, out)
		}
		return "", shared.aws.SetWorld(world)
	}
	return "", fmt.Errorf("nothing stands for the block %q", what)
}

// A block of docs/walkthrough.md: "sh" runs; "sh fails" runs and must fail; "sh admin" runs with the administrator's kubeconfig;
// "sh account WHAT" speaks to an AWS account, so accountSide does the same to the sandbox. "text" is what the block before it prints,
// with … for anything.
type block struct {
	line             int
	info, code, want string
}

// blocksOf are the sh blocks of a page, each with the text block that comes before the next.
func blocksOf(page string) ([]block, error) {
	var blocks []block
	var open *string
	for i, line := range strings.SplitAfter(page, "\n") {
		info, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && open != nil:
			open = nil
		case fence && info == "text" && len(blocks) > 0 && blocks[len(blocks)-1].want == "":
			open = &blocks[len(blocks)-1].want
		case fence && (info == "sh" || strings.HasPrefix(info, "sh ")):
			blocks = append(blocks, block{line: i + 1, info: strings.TrimSpace(info[len("sh"):])})
			open = &blocks[len(blocks)-1].code
		case fence:
			return nil, fmt.Errorf("line %d: a block that is neither sh nor the text that one prints", i+1)
		case open != nil:
			*open += line
		}
	}
	return blocks, nil
}

// shell is one bash that runs script after script.
type shell struct {
	in  io.Writer
	out *bufio.Reader
	dir string
}

func newShell(t *testing.T, p *person) *shell {
	t.Helper()
	cmd := p.command(t, "bash", "--norc", "--noprofile")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
		r.Close()
	})
	return &shell{in, bufio.NewReader(r), t.TempDir()}
}

const marker = "\x01 the block has ended: "

// run gives what the script prints, on either stream, and whether each of its commands succeeded.
func (s *shell) run(script string) (string, bool, error) {
	file := s.dir + "/block.sh"
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		return "", false, err
	}
	fmt.Fprintf(s.in, "failed=; trap 'failed=1' ERR; . %s </dev/null; trap - ERR; printf '%s%%s\\n' \"$failed\"\n", file, marker)
	var out strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if before, failed, ok := strings.Cut(line, marker); ok {
			return out.String() + before, failed == "\n", nil
		}
		out.WriteString(line)
		if err != nil {
			return out.String(), false, fmt.Errorf("the shell ended: %w", err)
		}
	}
}

// prints is the pattern of an expected text.
func prints(want string) (*regexp.Regexp, error) {
	parts := strings.Split(strings.TrimSpace(want), "…")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return regexp.Compile(`\A` + strings.Join(parts, `(?s:.*?)`) + `\z`)
}

func TestWalkthrough(t *testing.T) {
	page, err := os.ReadFile("../../docs/walkthrough.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := blocksOf(string(page))
	if err != nil {
		t.Fatal(err)
	}
	p := newHome(t)
	p.setenv("AWS_DEFAULT_REGION=us-east-1")
	sh := newShell(t, p)
	for _, b := range blocks {
		script := b.code
		kind, what, _ := strings.Cut(b.info, " ")
		switch kind {
		case "account":
			if script, err = accountSide(p, what); err != nil {
				t.Fatalf("line %d: %v", b.line, err)
			}
		case "admin":
			script = "export KUBECONFIG=" + shared.cluster.adminKubeconfig() + "\n" + script + "unset KUBECONFIG\n"
		case "", "fails":
		default:
			t.Fatalf("line %d: a block of kind %q", b.line, kind)
		}
		out, ok, err := sh.run(script)
		if err != nil || ok == (kind == "fails") {
			t.Fatalf("line %d: succeeded: %v; error: %v\n%s\nprinted:\n%s", b.line, ok, err, script, out)
		}
		pattern, err := prints(b.want)
		if err != nil {
			t.Fatal(err)
		}
		if b.want != "" && !pattern.MatchString(strings.TrimSpace(out)) {
			t.Fatalf("line %d:\n%s\nprinted:\n%s\nthe page says:\n%s", b.line, script, out, b.want)
		}
		if what == "audit log" {
			auditNamesTheSession(t)
		}
	}
}

// auditNamesTheSession follows a line of the audit log to the certificate, as an auditor would, but on every field.
func auditNamesTheSession(t *testing.T) {
	t.Helper()
	log, err := os.ReadFile(shared.cluster.path("audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	type auditEvent struct {
		User struct {
			Username string
			Extra    map[string][]string
		}
		Verb string
	}
	var refused *auditEvent
	for line := range bytes.Lines(log) {
		var e auditEvent
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if e.User.Username == "viewk8" && e.Verb == "create" {
			refused = &e
		}
	}
	if refused == nil {
		t.Fatal("the audit log does not know viewk8")
	}
	var arn, key string
	for _, e := range shared.aws.Events() {
		if e.RequestParameters["roleArn"] != walkthroughRole {
			continue
		}
		data, err := json.Marshal(e.ResponseElements)
		if err != nil {
			t.Fatal(err)
		}
		var response struct {
			CredentialSet []struct {
				AssumedRoleUser struct{ ARN string }
				Credentials     struct{ AccessKeyID string }
			}
		}
		if err := json.Unmarshal(data, &response); err != nil {
			t.Fatal(err)
		}
		if key != "" {
			t.Error("more than one CreateSession")
		}
		arn, key = response.CredentialSet[0].AssumedRoleUser.ARN, response.CredentialSet[0].Credentials.AccessKeyID
	}
	for name, want := range map[string]string{
		"accessKeyId": key, "arn": arn, "canonicalArn": walkthroughRole, "sessionName": arn[strings.LastIndexByte(arn, '/')+1:],
	} {
		if got := refused.User.Extra[name]; !slices.Equal(got, []string{want}) || want == "" {
			t.Errorf("user.extra.%s is %q; CloudTrail has %q", name, got, want)
		}
	}
}
