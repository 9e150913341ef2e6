package provision

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

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

// Check also takes the path out of the role's ARN: STS never tells a path, so
// that an entry with one fits nobody.
func (m *Mapping) Check() error {
	if !roleARNPattern().MatchString(m.RoleARN) {
		return fmt.Errorf("malformed role ARN %q (want arn:aws:iam::ACCOUNT:role/NAME)", m.RoleARN)
	}
	m.RoleARN = withoutPath(m.RoleARN)
	if m.Username == "" && len(m.Groups) == 0 {
		return errors.New("neither username nor groups are given: the role could do nothing in the cluster")
	}
	for _, name := range append([]string{m.Username}, m.Groups...) {
		if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("invalid name %q: it holds a control character", name)
		}
	}
	if slices.Contains(m.Groups, "") {
		return errors.New("invalid group: it is empty")
	}
	return nil
}

var roleARNPattern = lazy(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/([!-~]+/)?[A-Za-z0-9+=,.@_-]{1,64}$`)

func withoutPath(roleARN string) string {
	prefix, _, _ := strings.Cut(roleARN, "/")
	return prefix + "/" + path.Base(roleARN)
}

// same tells whether an entry is about the role, with or without a path; the
// authenticator reads ARNs regardless of case.
func (m Mapping) same(roleARN string) bool {
	return strings.EqualFold(withoutPath(m.RoleARN), withoutPath(roleARN))
}

// says tells whether an entry is just this one.
func (m Mapping) says(other Mapping) bool {
	return m.RoleARN == other.RoleARN && m.Username == other.Username && slices.Equal(m.Groups, other.Groups)
}

// MappedError: the role is mapped already, and not as wanted.
type MappedError struct {
	Found []Mapping
}

func (e *MappedError) Error() string {
	var all []string
	for _, m := range e.Found {
		all = append(all, fmt.Sprintf("%s to username %q, groups %q", m.RoleARN, m.Username, m.Groups))
	}
	return fmt.Sprintf("aws-auth maps the role otherwise (%d found): %s", len(e.Found), strings.Join(all, "; "))
}

// mapRoles is the text of that key of aws-auth.
type mapRoles struct {
	document yaml.Node
	entries  *yaml.Node // the list
}

func parseMapRoles(text string) (*mapRoles, error) {
	m := new(mapRoles)
	if err := yaml.Unmarshal([]byte(text), &m.document); err != nil {
		return nil, fmt.Errorf("malformed mapRoles in aws-auth: %w", err)
	}
	if len(m.document.Content) == 0 {
		m.entries = &yaml.Node{Kind: yaml.SequenceNode}
		m.document = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{m.entries}, HeadComment: m.document.HeadComment, FootComment: m.document.FootComment}
		return m, nil
	}
	m.entries = m.document.Content[0]
	if m.entries.Tag == "!!null" {
		*m.entries = yaml.Node{Kind: yaml.SequenceNode, HeadComment: m.entries.HeadComment, LineComment: m.entries.LineComment, FootComment: m.entries.FootComment}
	}
	if m.entries.Kind != yaml.SequenceNode {
		return nil, errors.New("malformed mapRoles in aws-auth: it is no list")
	}
	return m, nil
}

// about finds the entries about the role. An entry that can't be read is about
// none.
func (m *mapRoles) about(roleARN string) (at []int, found []Mapping) {
	for i, node := range m.entries.Content {
		var entry Mapping
		if node.Decode(&entry) == nil && entry.RoleARN != "" && entry.same(roleARN) {
			at, found = append(at, i), append(found, entry)
		}
	}
	return at, found
}

func (m *mapRoles) drop(at []int) {
	for _, i := range slices.Backward(at) {
		gone := m.entries.Content[i]
		m.entries.Content = slices.Delete(m.entries.Content, i, i+1)
		// What stands below an entry is about what comes next, or about the list.
		if gone.FootComment != "" {
			if i > 0 {
				before := m.entries.Content[i-1]
				before.FootComment = strings.TrimPrefix(before.FootComment+"\n\n"+gone.FootComment, "\n\n")
			} else {
				m.entries.HeadComment = strings.TrimPrefix(m.entries.HeadComment+"\n\n"+gone.FootComment, "\n\n")
			}
		}
	}
}

func (m *mapRoles) text() (string, error) {
	if len(m.entries.Content) > 0 {
		m.entries.Style &^= yaml.FlowStyle
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(&m.document); err != nil {
		return "", err
	}
	return out.String(), e.Close()
}

// with is the text with this entry for the role. Without replace, a role that
// is mapped otherwise, or more than once, is a *MappedError.
func (m *mapRoles) with(entry Mapping, replace bool) (changed bool, err error) {
	at, found := m.about(entry.RoleARN)
	if len(found) == 1 && found[0].says(entry) {
		return false, nil
	}
	if len(found) > 0 && !replace {
		return false, &MappedError{found}
	}
	var node yaml.Node
	if err := node.Encode(entry); err != nil {
		return false, err
	}
	if len(at) == 0 {
		m.entries.Content = append(m.entries.Content, &node)
		return true, nil
	}
	old := m.entries.Content[at[0]]
	node.HeadComment, node.LineComment, node.FootComment = old.HeadComment, old.LineComment, old.FootComment
	m.entries.Content[at[0]] = &node
	m.drop(at[1:])
	return true, nil
}

const (
	awsAuthNamespace = "kube-system"
	awsAuthName      = "aws-auth"
	mapRolesKey      = "mapRoles"
	conflicts        = 50 // as many writers may be before us, and then something is wrong
)

// MapRole writes the entry into the cluster's aws-auth, and tells whether there
// was anything to change. Others may write at the same time: no entry of theirs
// is lost.
func MapRole(ctx context.Context, api awsapi.KubeAPI, entry Mapping, replace bool, wait func(context.Context, time.Duration) error) (bool, error) {
	return editAWSAuth(ctx, api, wait, func(m *mapRoles) (bool, error) { return m.with(entry, replace) })
}

// UnmapRole takes all entries of the role out, and says which those were.
func UnmapRole(ctx context.Context, api awsapi.KubeAPI, roleARN string, wait func(context.Context, time.Duration) error) (found []Mapping, err error) {
	_, err = editAWSAuth(ctx, api, wait, func(m *mapRoles) (bool, error) {
		var at []int
		at, found = m.about(roleARN)
		m.drop(at)
		return len(at) > 0, nil
	})
	return found, err
}

func editAWSAuth(ctx context.Context, api awsapi.KubeAPI, wait func(context.Context, time.Duration) error, edit func(*mapRoles) (bool, error)) (bool, error) {
	for attempt := 1; ; attempt++ {
		old, err := api.ConfigMap(ctx, awsAuthNamespace, awsAuthName)
		if err != nil {
			return false, err
		}
		m, err := parseMapRoles(old.Data[mapRolesKey])
		if err != nil {
			return false, err
		}
		if changed, err := edit(m); err != nil || !changed {
			return false, err
		}
		text, err := m.text()
		if err != nil {
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
