package kubeconfig

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// scalar is a string, on one line whatever it holds. It is quoted where the library
// quotes a Go string: of a node it does not see to what YAML 1.1 takes for a
// boolean ("yes"), and client-go reads YAML 1.1.
func scalar(value string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
	plain, err := yaml.Marshal(value)
	if err != nil || string(plain) != value+"\n" {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// sequence is a list, nil if there is nothing to list.
func sequence(items []*yaml.Node) *yaml.Node {
	if len(items) == 0 {
		return nil
	}
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: items}
}

// deepest bounds what is followed: aliases can form a ring.
const deepest = 100

func resolve(n *yaml.Node) *yaml.Node {
	for range deepest {
		if n == nil || n.Kind != yaml.AliasNode {
			return n
		}
		n = n.Alias
	}
	return nil
}

// find is the index in m.Content of the key, -1 if it is not there.
func find(m *yaml.Node, key string) int {
	if m == nil || m.Kind != yaml.MappingNode {
		return -1
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if k := resolve(m.Content[i]); k != nil && k.Kind == yaml.ScalarNode && k.Value == key {
			return i
		}
	}
	return -1
}

// field is the value of a key, through aliases and merges; nil if there is none.
func field(m *yaml.Node, key string) *yaml.Node { return fieldAt(m, key, 0) }

func fieldAt(m *yaml.Node, key string, depth int) *yaml.Node {
	m = resolve(m)
	if i := find(m, key); i >= 0 {
		return resolve(m.Content[i+1])
	}
	i := find(m, "<<")
	if i < 0 || depth > deepest {
		return nil
	}
	merged := resolve(m.Content[i+1])
	if merged != nil && merged.Kind == yaml.SequenceNode {
		for _, one := range merged.Content {
			if v := fieldAt(one, key, depth+1); v != nil {
				return v
			}
		}
		return nil
	}
	return fieldAt(merged, key, depth+1)
}

// text is the scalar at a key, "" if there is none.
func text(m *yaml.Node, key string) string {
	v := field(m, key)
	if v == nil || v.Kind != yaml.ScalarNode || v.ShortTag() == "!!null" {
		return ""
	}
	return v.Value
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// isEmpty: absent, null, "" or a collection of nothing.
func isEmpty(n *yaml.Node) bool {
	if n == nil || isNull(n) {
		return true
	}
	return n.Kind == yaml.ScalarNode && n.Value == "" || n.Kind != yaml.ScalarNode && n.Kind != yaml.AliasNode && len(n.Content) == 0
}

// setField sets the key to the value, or deletes it if that is nil. What is there
// already stays as it is written.
func setField(m *yaml.Node, key string, value *yaml.Node) {
	i := find(m, key)
	switch {
	case i < 0 && value == nil, i >= 0 && value == nil && isEmpty(m.Content[i+1]):
	case i < 0:
		m.Content = append(m.Content, scalar(key), value)
	case value == nil:
		m.Content = append(m.Content[:i:i], m.Content[i+2:]...)
	case !equal(m.Content[i+1], value):
		old := m.Content[i+1]
		value.LineComment = old.LineComment
		if old.Style&yaml.FlowStyle != 0 {
			value.Style |= yaml.FlowStyle
		}
		m.Content[i+1] = value
	}
}

func setText(m *yaml.Node, key, value string) {
	if value == "" {
		setField(m, key, nil)
		return
	}
	setField(m, key, scalar(value))
}

// inner is the mapping at a key, made if it is not there. An alias is replaced by a
// copy: what it stands for belongs to others too.
func inner(m *yaml.Node, key string) (*yaml.Node, error) {
	i := find(m, key)
	if i < 0 {
		made := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		m.Content = append(m.Content, scalar(key), made)
		return made, nil
	}
	v := m.Content[i+1]
	if isNull(v) {
		v = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	} else if v.Kind == yaml.AliasNode {
		v = detach(v)
	}
	if v == nil || v.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("malformed kubeconfig: line %d: %q is not a mapping", m.Content[i].Line, key)
	}
	m.Content[i+1] = v
	return v, nil
}

// detach copies what an alias stands for.
func detach(n *yaml.Node) *yaml.Node {
	n = resolve(n)
	if n == nil {
		return nil
	}
	n = clone(n)
	n.Anchor = ""
	return n
}

func clone(n *yaml.Node) *yaml.Node {
	c := *n
	c.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		c.Content[i] = clone(child)
	}
	return &c
}

// equal compares what two trees say, not how they are written.
func equal(a, b *yaml.Node) bool { return comparison{}.equal(a, b) }

// sameTop compares two top levels. In which order the keys are is all one, and so
// is whether a list of nothing, or no current context, is said or left out.
func sameTop(a, b *yaml.Node) bool {
	na, nb := said(a), said(b)
	if len(na) != len(nb) {
		return false
	}
	seen := comparison{}
	for key, value := range na {
		if other, ok := nb[key]; !ok || !seen.equal(value, other) {
			return false
		}
	}
	return true
}

// comparison holds the pairs that it met through an alias, so that each is compared
// once: aliases can multiply, and form a ring.
type comparison map[[2]*yaml.Node]bool

func (c comparison) equal(a, b *yaml.Node) bool {
	if a.Kind == yaml.AliasNode || b.Kind == yaml.AliasNode {
		a, b = resolve(a), resolve(b)
		if a == nil || b == nil {
			return false
		}
		pair := [2]*yaml.Node{a, b}
		if c[pair] {
			return true // or else this comparison is over
		}
		c[pair] = true
	}
	if a.Kind != b.Kind || a.Value != b.Value || len(a.Content) != len(b.Content) || a.ShortTag() != b.ShortTag() {
		return false
	}
	for i := range a.Content {
		if !c.equal(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

func said(m *yaml.Node) map[string]*yaml.Node {
	keys := map[string]*yaml.Node{}
	if m == nil {
		return keys
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		key, value := m.Content[i], m.Content[i+1]
		switch key.Value {
		case clusters, contexts, users, currentContext:
			if isEmpty(resolve(value)) {
				continue
			}
		}
		keys[key.Value] = value
	}
	return keys
}
