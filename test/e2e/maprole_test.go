package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

const unmappedRole = "arn:aws:iam::123456789012:role/unmapped"

// newAdministrator has the keys of the sandbox's IAM user, whom the authenticator maps to system:masters.
func newAdministrator(t *testing.T) *person {
	t.Helper()
	p := newHome(t)
	p.setenv("AWS_SHARED_CREDENTIALS_FILE="+shared.aws.dir+"/aws-credentials", "AWS_PROFILE=administrator", "AWS_REGION=us-east-1")
	return p
}

// awsAuthEvents is how often the authenticator has taken up aws-auth.
func (c *cluster) awsAuthEvents() (int, error) {
	log, err := os.ReadFile(c.path("authenticator.log"))
	return bytes.Count(log, []byte("Received aws-auth watch event")), err
}

// mapRoles is what the API server has.
func mapRoles(t *testing.T) string {
	t.Helper()
	out, err := shared.cluster.admin("get", "configmap", "aws-auth", "-n", "kube-system", "-o", "jsonpath={.data.mapRoles}")
	if err != nil {
		t.Fatal(err, out)
	}
	return out
}

func mapRole(role string, more ...string) []string {
	return append([]string{"setup", "map-role", "--cluster-name", clusterName, "--role-arn", role}, more...)
}

// The command against the real API server, and what it writes against the real authenticator.
func TestMapRole(t *testing.T) {
	t.Cleanup(func() {
		if out, err := shared.cluster.admin("delete", "configmap", "aws-auth", "-n", "kube-system", "--ignore-not-found"); err != nil {
			t.Error(err, out)
		}
	})
	admin, p := newAdministrator(t), newPerson(t)
	p.must(t, "eks-x509", "config", "set", "role-arn", unmappedRole)
	refused := func() error {
		p.must(t, "eks-x509", "cache", "clear", "--all") // the API server remembers for two minutes whom a token was of
		if r := p.run(t, "kubectl", "get", "ns"); !strings.Contains(r.stderr, "You must be logged in") {
			return fmt.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		return nil
	}
	if err := refused(); err != nil {
		t.Fatal(err)
	}

	// Ten at once make the ConfigMap, and others write to it meanwhile.
	all := tenAtOnce(t, admin, "first", func() {
		for i := range 10 {
			// It may not be there yet.
			_, _ = shared.cluster.admin("annotate", "configmap", "aws-auth", "-n", "kube-system", "--overwrite", fmt.Sprintf("example.com/n=%d", i))
		}
	})
	for _, role := range all {
		if !strings.Contains(mapRoles(t), role) {
			t.Errorf("%s is lost", role)
		}
	}

	// They leave alone what others keep there.
	const kept = "# who may come in\n- rolearn: arn:aws:iam::123456789012:role/nodes   # by eksctl\n  username: system:node:{{EC2PrivateDNSName}}\n  groups: [system:bootstrappers, 'system:nodes']\n\n# people\n"
	patch := fmt.Sprintf(`{"data":{"mapRoles":%q,"mapUsers":"- {userarn: 'arn:aws:iam::123456789012:user/x', username: x}\n"}}`, kept)
	if out, err := shared.cluster.admin("patch", "configmap", "aws-auth", "-n", "kube-system", "--type=merge", "--patch", patch); err != nil {
		t.Fatal(err, out)
	}
	all = tenAtOnce(t, admin, "second", func() {})
	roles := mapRoles(t)
	if !strings.HasPrefix(roles, kept) || strings.Count(roles, "- rolearn: ") != 11 {
		t.Errorf("aws-auth has\n%s", roles)
	}
	for _, role := range all {
		if !strings.Contains(roles, role) {
			t.Errorf("%s is lost", role)
		}
	}
	if out, err := shared.cluster.admin("get", "configmap", "aws-auth", "-n", "kube-system", "-o", "jsonpath={.data.mapUsers} {.metadata.annotations}"); err != nil || !strings.Contains(out, "user/x") || !strings.Contains(out, `"example.com/n":"9"`) {
		t.Error(err, out)
	}

	log, err := os.ReadFile(shared.cluster.path("audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	conflicts := bytes.Count(log, []byte(`"code":409`))
	t.Logf("%d conflicts", conflicts)
	if conflicts == 0 {
		t.Error("nothing was at once")
	}

	// The authenticator takes the entry as it is meant, and the person is in.
	admin.must(t, "eks-x509", mapRole("arn:aws:iam::123456789012:role/some/path/unmapped", "--username", "mapped:{{SessionName}}", "--group", "testers")...)
	if err := until(30*time.Second, func() error {
		if r := p.run(t, "kubectl", "auth", "whoami"); !strings.Contains(r.stdout, "mapped:") || !strings.Contains(r.stdout, "testers") {
			return fmt.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	p.seesNamespaces(t, "kubectl")

	if r := p.run(t, "eks-x509", "doctor"); r.code != 0 {
		t.Errorf("the doctor: exit code %d\n%s", r.code, r.stdout)
	}

	before := roles
	admin.must(t, "eks-x509", mapRole(unmappedRole, "--remove", "--yes")...)
	if roles = mapRoles(t); roles != before {
		t.Errorf("aws-auth has\n%s\nand not\n%s", roles, before)
	}
	if err := until(30*time.Second, refused); err != nil {
		t.Fatal(err)
	}
	if r := admin.run(t, "eks-x509", mapRole(unmappedRole, "--remove", "--yes")...); r.code != 0 || !strings.Contains(r.stderr, "nothing to remove") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

// tenAtOnce maps ten roles by ten processes, with something else going on.
func tenAtOnce(t *testing.T, admin *person, name string, meanwhile func()) []string {
	t.Helper()
	var all sync.WaitGroup
	var roles []string
	for i := range 10 {
		role := fmt.Sprintf("arn:aws:iam::123456789012:role/%s-%d", name, i)
		roles = append(roles, role+"\n")
		all.Go(func() {
			if r := admin.run(t, "eks-x509", mapRole(role, "--username", "u")...); r.code != 0 {
				t.Errorf("exit code %d: %s", r.code, r.stderr)
			}
		})
	}
	all.Go(meanwhile)
	all.Wait()
	return roles
}

// Those whom the cluster does not know, and those who may not, are told so.
func TestMapRoleRefused(t *testing.T) {
	p := newPerson(t)
	p.must(t, "eks-x509", "config", "aws", "--name", "me", "--yes")
	r := p.run(t, "eks-x509", append(mapRole(unmappedRole), "--region", "us-east-1", "--aws-profile", "me")...)
	if r.code != 4 || !strings.Contains(r.stderr, `cannot create resource "configmaps"`) || !strings.Contains(r.stderr, "hint: your own AWS credentials must be those") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	p.must(t, "eks-x509", "config", "set", "role-arn", unmappedRole)
	r = p.run(t, "eks-x509", append(mapRole(unmappedRole), "--region", "us-east-1", "--aws-profile", "me")...)
	if r.code != 4 || !strings.Contains(r.stderr, "hint: the cluster does not know your own AWS credentials") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

// takenUp waits until the authenticator has read aws-auth once more.
func (c *cluster) takenUp(before int) error {
	return c.wait("the authenticator to read aws-auth", func() error {
		n, err := c.awsAuthEvents()
		if err == nil && n <= before {
			err = errors.New("not yet")
		}
		return err
	})
}
