package provision

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// mapRoles is that key of aws-auth, a YAML list, by its lines: an edit leaves
// alone every line that is not the entry's own. Administrators and other
// programs keep their comments and their manner there.
type mapRoles struct {
	lines   []string // with their ends
	indent  int      // of the list's dashes
	entries []entryOfRoles
}

type entryOfRoles struct {
	node     *yaml.Node
	from, to int // lines
}

func parseMapRoles(text string) (*mapRoles, error) {
	if slices.Contains([]string{"``", `""`, `''`}, strings.TrimSpace(text)) {
		text = "" // the authenticator takes these for nothing
	}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return nil, fmt.Errorf("malformed mapRoles in aws-auth: %s", yamlProblem(err))
	}
	// YAML 1.1 §4.2: line breaks to the parser, and to nobody who looks at the text.
	if strings.ContainsAny(strings.ReplaceAll(text, "\r\n", "\n"), "\r\u0085\u2028\u2029") {
		return nil, unsupportedText("a line that ends with another character than a newline")
	}
	m := &mapRoles{lines: strings.SplitAfter(text, "\n")}
	if m.lines[len(m.lines)-1] == "" {
		m.lines = m.lines[:len(m.lines)-1]
	}
	if len(document.Content) == 0 {
		return m, nil
	}
	list := document.Content[0]
	switch {
	case list.Anchor != "" || list.Style&yaml.TaggedStyle != 0:
		return nil, unsupportedText("an anchor or a tag of the whole list")
	case list.Tag == "!!null" && list.Value == "":
		if strings.TrimSpace(text) != "---" { // whatever says nothing else may say something of what follows
			return nil, unsupportedText("its empty list")
		}
		return m, nil
	case list.Tag == "!!null", list.Kind == yaml.SequenceNode && len(list.Content) == 0:
		return m, m.cutEmpty(list)
	case list.Kind != yaml.SequenceNode:
		return nil, errors.New("malformed mapRoles in aws-auth: it is no list")
	case list.Style&yaml.FlowStyle != 0:
		return unfold(text, list)
	}
	m.indent = list.Column - 1
	return m, m.findEntries(list)
}

// cutEmpty takes the word for an empty list out, and leaves a comment behind it.
func (m *mapRoles) cutEmpty(list *yaml.Node) error {
	line, comment, ok := list.Line-1, "", false
	for _, word := range []string{"[]", "[ ]", "~", "null"} {
		if comment, ok = strings.CutPrefix(strings.TrimSpace(m.lines[line]), word); ok {
			break
		}
	}
	if !ok || comment != "" && !strings.HasPrefix(comment, " #") {
		return unsupportedText("the empty list in it")
	}
	if m.lines = slices.Delete(m.lines, line, line+1); comment != "" {
		m.lines = slices.Insert(m.lines, line, comment[1:]+"\n")
	}
	return nil
}

func unsupportedText(what string) error {
	return fmt.Errorf("unsupported mapRoles in aws-auth: %s can't be edited here; kubectl edit configmap aws-auth -n kube-system can", what)
}

// unfold writes a list in brackets, which is one line or JSON, an entry a line.
func unfold(text string, list *yaml.Node) (*mapRoles, error) {
	if strings.Contains(text, "#") { // perhaps a comment, which would be lost
		return nil, unsupportedText("a list in brackets with a # in it")
	}
	list.Style &^= yaml.FlowStyle
	block, err := encode(list)
	if err != nil {
		return nil, err
	}
	m, err := parseMapRoles(string(block))
	if err == nil && !m.hold(list.Content) {
		err = unsupportedText("its list in brackets")
	}
	return m, err
}

// findEntries: an entry's lines are that of its dash and those after it that are
// further to the right, or still of it.
func (m *mapRoles) findEntries(list *yaml.Node) error {
	end := 0
	for _, node := range list.Content {
		from := node.Line - 1
		for from >= end && !m.isDash(m.lines[from]) { // the dash may be above what it is of
			from--
		}
		if from < end {
			return unsupportedText(fmt.Sprintf("the entry in line %d", node.Line))
		}
		end = from + 1
		last := lastLine(node)
		for i := end; i < len(m.lines) && (i < last || isBlank(m.lines[i]) || indentOf(m.lines[i]) > m.indent); i++ {
			if !isBlank(m.lines[i]) {
				end = i + 1
			}
		}
		m.entries = append(m.entries, entryOfRoles{node, from, end})
	}
	return nil
}

// lastLine is that in which the last of a node's parts begins.
func lastLine(n *yaml.Node) int {
	last := n.Line
	for _, part := range n.Content {
		last = max(last, lastLine(part))
	}
	return last
}

func isBlank(line string) bool { return strings.TrimSpace(line) == "" }

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

func (m *mapRoles) isDash(line string) bool {
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), "-")
	return ok && indentOf(line) == m.indent && (rest == "" || rest[0] == ' ' || rest[0] == '\t')
}

// edit takes the entries out and puts another in the place of the first, or at
// the end; nil: none.
func (m *mapRoles) edit(at []int, entry *Mapping) (string, error) {
	lines, nodes := slices.Clone(m.lines), []*yaml.Node{}
	for _, e := range m.entries {
		nodes = append(nodes, e.node)
	}
	place, nth := len(lines), len(nodes)
	for _, i := range slices.Backward(at) {
		if hasAnchor(nodes[i]) { // others may be made with it
			return "", unsupportedText(fmt.Sprintf("the anchor in line %d", nodes[i].Line))
		}
		place, nth = m.entries[i].from, i
		lines, nodes = slices.Delete(lines, place, m.entries[i].to), slices.Delete(nodes, i, i+1)
	}
	if last := len(lines) - 1; last >= 0 && !strings.HasSuffix(lines[last], "\n") && (place > last || len(nodes) == 0) {
		lines[last] += m.lineEnd()
	}
	if entry != nil {
		added, node, err := m.write(*entry)
		if err != nil {
			return "", err
		}
		lines, nodes = slices.Insert(lines, place, added...), slices.Insert(nodes, nth, node)
	}
	if len(nodes) == 0 {
		lines = append(lines, "[]"+m.lineEnd())
	}
	text := strings.Join(lines, "")
	// Where lines are not what YAML makes of them, nothing is written.
	if after, err := parseMapRoles(text); err != nil || !after.hold(nodes) {
		return "", unsupportedText("its layout")
	}
	return text, nil
}

// hold tells whether these are the entries.
func (m *mapRoles) hold(nodes []*yaml.Node) bool {
	return slices.EqualFunc(m.entries, nodes, func(e entryOfRoles, n *yaml.Node) bool { return sameNode(e.node, n) })
}

func hasAnchor(n *yaml.Node) bool {
	return n.Anchor != "" || slices.ContainsFunc(n.Content, hasAnchor)
}

func sameNode(a, b *yaml.Node) bool {
	return a.Kind == b.Kind && a.ShortTag() == b.ShortTag() && a.Value == b.Value && a.Anchor == b.Anchor && slices.EqualFunc(a.Content, b.Content, sameNode)
}

func (m *mapRoles) lineEnd() string {
	if len(m.lines) > 0 && strings.HasSuffix(m.lines[0], "\r\n") {
		return "\r\n"
	}
	return "\n"
}

// write gives the entry's lines in the list's manner, and what they say.
func (m *mapRoles) write(entry Mapping) ([]string, *yaml.Node, error) {
	data, err := yaml.Marshal([]Mapping{entry})
	if err != nil {
		return nil, nil, err
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		lines = append(lines, strings.Repeat(" ", m.indent)+strings.TrimSuffix(line, "\n")+m.lineEnd())
	}
	node := new(yaml.Node)
	return lines, node, node.Encode(entry)
}
