package provision

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/rogpeppe/go-internal/diff"
	"go.yaml.in/yaml/v3"

	"github.com/eks-x509/eks-x509/internal/awsapi"
)

// Mapping is an entry of mapRoles in the ConfigMap aws-auth, by which clusters
// without access entries know a role.
// https://docs.aws.amazon.com/eks/latest/userguide/auth-configmap.html
type Mapping struct {
	RoleARN  string   `json:"roleArn" yaml:"rolearn"`
	Username string   `json:"username" yaml:"username"`
	Groups   []string `json:"groups" yaml:"groups"`
}

// String is for a person.
func (m Mapping) String() string {
	return fmt.Sprintf("%s to username %q, groups %q", m.RoleARN, m.Username, m.Groups)
}

// Complete checks the entry and fills in what it leaves open: the username is
// what EKS gives an access entry for a role, which names the session. A path is
// taken out of the role's ARN: STS never tells one, so that an entry with a path
// fits nobody.
// https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html
func (m *Mapping) Complete() error {
	if !roleARNPattern().MatchString(m.RoleARN) {
		return fmt.Errorf("malformed role ARN %q (want arn:aws:iam::ACCOUNT:role/NAME)", m.RoleARN)
	}
	m.RoleARN = withoutPath(m.RoleARN)
	if m.Username == "" {
		m.Username = strings.NewReplacer(":iam:", ":sts:", ":role/", ":assumed-role/").Replace(m.RoleARN) + "/{{SessionName}}"
	}
	for _, name := range append([]string{m.Username}, m.Groups...) {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
			return fmt.Errorf("invalid username or group %q: it is empty, or has a control character", name)
		}
		if err := checkPlaceholders(name); err != nil {
			return fmt.Errorf("invalid username or group: %w", err)
		}
	}
	return nil
}

// checkPlaceholders: what the authenticator does not know it leaves as it is, and all
// users would have that one name (aws-iam-authenticator, pkg/server, renderTemplate).
func checkPlaceholders(name string) error {
	if _, word, found := strings.Cut(withoutPlaceholders(name), opening); found {
		word, _, _ = strings.Cut(word, "}}")
		return fmt.Errorf("unsupported %s (supported: {{SessionName}}, {{SessionNameRaw}}, {{AccountID}}, {{AccessKeyID}})", opening+strings.Join(strings.Fields(word), " ")+"}}")
	}
	return nil
}

var roleARNPattern = lazy(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/([!-~]+/)?[A-Za-z0-9+=,.@_-]{1,64}$`)

func withoutPath(roleARN string) string {
	prefix, _, _ := strings.Cut(roleARN, "/")
	return prefix + "/" + path.Base(roleARN)
}

// roleOfSession is the ARN of the role of arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION, as
// the authenticator reads one in aws-auth: whatever the session. Every other ARN stays as it is.
// https://github.com/kubernetes-sigs/aws-iam-authenticator/blob/master/pkg/arn/arn.go
func roleOfSession(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 || !strings.EqualFold(parts[2], "sts") {
		return arn
	}
	path := strings.Split(parts[5], "/")
	if len(path) < 3 || !strings.EqualFold(path[0], "assumed-role") {
		return arn
	}
	parts[2], parts[5] = "iam", "role/"+strings.Join(path[1:len(path)-1], "/")
	return strings.Join(parts, ":")
}

// roleMeant is the ARN, without a path, of the role that a person meant by an entry, also by one that the authenticator can't
// read: with a path, or without a session (arn:aws:sts::ACCOUNT:assumed-role/NAME).
func roleMeant(arn string) string {
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 && strings.EqualFold(parts[2], "sts") && strings.Count(parts[5], "/") == 1 {
		arn += "/session"
	}
	return strings.ToLower(withoutPath(roleOfSession(arn)))
}

// isOf tells whether an entry is about the role, with or without a path, or by the ARN of
// a session: there is only one role of that name in an account. The authenticator reads
// ARNs regardless of case.
func (m Mapping) isOf(roleARN string) bool {
	return roleMeant(m.RoleARN) == roleMeant(roleARN)
}

// Equal tells whether the entries say the same to the authenticator. One with a path in its ARN says nothing to it.
func (m Mapping) Equal(other Mapping) bool {
	return strings.EqualFold(roleOfSession(m.RoleARN), roleOfSession(other.RoleARN)) && m.Username == other.Username && slices.Equal(m.Groups, other.Groups)
}

// readMapping reads an entry as the authenticator does, through JSON, where the
// case of keys says nothing. One that it can't read is about no role.
func readMapping(entry *yaml.Node) (m Mapping, ok bool) {
	var value any
	if entry.Decode(&value) != nil {
		return m, false
	}
	data, err := json.Marshal(value)
	return m, err == nil && json.Unmarshal(data, &m) == nil && m.RoleARN != ""
}

// MappedError: the role is mapped already, and not as wanted.
type MappedError struct {
	Found []Mapping
}

func (e *MappedError) Error() string {
	var all []string
	for _, m := range e.Found {
		all = append(all, m.String())
	}
	return fmt.Sprintf("aws-auth maps the role otherwise (%d found): %s", len(e.Found), strings.Join(all, "; "))
}

// MapRole is a text of mapRoles with this entry for its role, alone, and those
// that it replaces. Without replace, a role that is mapped otherwise, or more
// than once, is a *MappedError.
func MapRole(text string, entry Mapping, replace bool) (after string, replaced []Mapping, err error) {
	m, err := parseMapRoles(text)
	if err != nil {
		return "", nil, err
	}
	at, found := m.about(entry.RoleARN)
	if len(found) == 1 && found[0].Equal(entry) {
		return text, nil, nil
	}
	if len(found) > 0 && !replace {
		return "", nil, &MappedError{found}
	}
	after, err = m.edit(at, &entry)
	return after, found, err
}

// UnmapRole is a text of mapRoles without the entries of the role, and those.
func UnmapRole(text, roleARN string) (after string, found []Mapping, err error) {
	m, err := parseMapRoles(text)
	if err != nil {
		return "", nil, err
	}
	at, found := m.about(roleARN)
	if len(found) == 0 {
		return text, nil, nil
	}
	after, err = m.edit(at, nil)
	return after, found, err
}

// about finds the entries of the role.
func (m *mapRoles) about(roleARN string) (at []int, found []Mapping) {
	for i, e := range m.entries {
		if entry, ok := readMapping(e.node); ok && entry.isOf(roleARN) {
			at, found = append(at, i), append(found, entry)
		}
	}
	return at, found
}

// DiffMapRoles is a unified diff for a person, empty if nothing changed.
func DiffMapRoles(before, after, cluster string) string {
	name := "mapRoles of " + cluster
	_, text, _ := bytes.Cut(diff.Diff(name, []byte(before), name, []byte(after)), []byte("\n")) // "diff OLD NEW"
	return string(text)
}

const (
	awsAuthNamespace = "kube-system"
	awsAuthName      = "aws-auth"
	mapRolesKey      = "mapRoles"
	conflicts        = 50 // as many writers may be before us, and then something is wrong
)

// EditMapRoles has edit change mapRoles in a cluster's aws-auth, and tells
// whether there was anything to change. Others may write at the same time: then
// edit is called again with what they have written, and nothing of theirs is
// lost.
func EditMapRoles(ctx context.Context, api awsapi.KubeAPI, wait func(context.Context, time.Duration) error, edit func(text string) (string, error)) (bool, error) {
	for attempt := 1; ; attempt++ {
		old, err := api.ConfigMap(ctx, awsAuthNamespace, awsAuthName)
		if err != nil {
			return false, err
		}
		text, err := edit(old.Data[mapRolesKey])
		if err != nil || text == old.Data[mapRolesKey] {
			return false, err
		}
		err = api.WriteConfigMap(ctx, awsAuthNamespace, awsAuthName, old.ResourceVersion, map[string]string{mapRolesKey: text})
		e, ok := errors.AsType[*awsapi.Error](err)
		if !ok || e.StatusCode != http.StatusConflict || attempt == conflicts {
			return err == nil, err
		}
		if err := wait(ctx, rand.N(100*time.Millisecond)); err != nil { //nolint:gosec // jitter is no secret
			return false, err
		}
	}
}
