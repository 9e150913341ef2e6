package kubeconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// largest is more than any kubeconfig has; a parser needs many times as much.
const largest = 16 << 20

// document is a kubeconfig's text, and its tree, whose nodes know their places.
type document struct {
	encoding encoding // of the file; data is UTF-8 and without a byte order mark
	data     []byte
	top      *yaml.Node // the document, nil if there is none
	root     *yaml.Node // its mapping, nil if it holds nothing
	lines    []int      // where each line begins
}

func (d *document) bytes() []byte { return d.encoding.encode(d.data) }

// parse reads a kubeconfig. Errors name lines, never what stands there: it may be
// a secret.
func parse(data []byte) (*document, error) {
	if len(data) > largest {
		return nil, fmt.Errorf("malformed kubeconfig: larger than %d bytes", largest)
	}
	enc, text, err := decode(data)
	if err != nil {
		return nil, err
	}
	d := &document{encoding: enc, data: text}
	d.lines = lineStarts(d.data)
	decoder := yaml.NewDecoder(bytes.NewReader(d.data))
	var top, second yaml.Node
	if err := decoder.Decode(&top); errors.Is(err, io.EOF) {
		return d, nil
	} else if err != nil {
		return nil, yamlError(err)
	}
	if err := decoder.Decode(&second); err == nil {
		return nil, fmt.Errorf("malformed kubeconfig: line %d: a second document", second.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, yamlError(err)
	}
	d.top = &top
	if root := top.Content[0]; !isNull(root) || root.Value != "" {
		d.root = root
	}
	return d, d.check()
}

// yamlError leaves out of the parser's message what it quotes.
func yamlError(err error) error {
	what := strings.TrimPrefix(err.Error(), "yaml: ")
	if before, _, ok := strings.Cut(what, "unknown anchor"); ok {
		what = before + "unknown anchor"
	}
	what, _, _ = strings.Cut(what, "`")
	return fmt.Errorf("malformed kubeconfig: %s", what)
}

// check looks at what an edit relies on, and at what client-go would refuse.
func (d *document) check() error {
	if d.root == nil {
		return nil
	}
	if d.root.Kind != yaml.MappingNode {
		return fmt.Errorf("malformed kubeconfig: line %d: not a mapping", d.root.Line)
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(d.root.Content); i += 2 {
		key := d.root.Content[i]
		if key.Kind != yaml.ScalarNode {
			return fmt.Errorf("unsupported kubeconfig: line %d: a key that is no plain name", key.Line)
		}
		if key.Value == "<<" { // our list would hide the merged one
			return fmt.Errorf("unsupported kubeconfig: line %d: a merge at the top level", key.Line)
		}
		if first, again := seen[key.Value]; again {
			return fmt.Errorf("malformed kubeconfig: line %d: the key of line %d again", key.Line, first)
		}
		seen[key.Value] = key.Line
	}
	for _, list := range []string{clusters, contexts, users} {
		if err := d.checkList(list); err != nil {
			return err
		}
	}
	if v := field(d.root, currentContext); v != nil && v.Kind != yaml.ScalarNode {
		return fmt.Errorf("malformed kubeconfig: line %d: %q is not a string", v.Line, currentContext)
	}
	return nil
}

func (d *document) checkList(list string) error {
	v := field(d.root, list)
	if v == nil || isNull(v) {
		return nil
	}
	if v.Kind != yaml.SequenceNode {
		return fmt.Errorf("malformed kubeconfig: line %d: %q is not a list", v.Line, list)
	}
	seen := map[string]int{}
	for _, node := range v.Content {
		item := resolve(node)
		if item == nil || item.Kind != yaml.MappingNode {
			return fmt.Errorf("malformed kubeconfig: line %d: an entry of %q is not a mapping", node.Line, list)
		}
		name := field(item, "name")
		if name == nil || name.Kind != yaml.ScalarNode {
			return fmt.Errorf("malformed kubeconfig: line %d: an entry of %q without a name", node.Line, list)
		}
		if first, again := seen[name.Value]; again {
			return fmt.Errorf("malformed kubeconfig: line %d: an entry of %q with the name of the one in line %d", node.Line, list, first)
		}
		seen[name.Value] = node.Line
	}
	return nil
}

// key is where a key of the top level stands in root.Content, -1 if nowhere.
func (d *document) key(name string) int { return find(d.root, name) }

// list are the entries of a list.
func (d *document) list(name string) []*yaml.Node {
	v := field(d.root, name)
	if v == nil || v.Kind != yaml.SequenceNode {
		return nil
	}
	return v.Content
}

// position of an entry in its list, -1 if it is not there.
func (d *document) position(list, name string) int {
	for i, item := range d.list(list) {
		if field(item, "name").Value == name {
			return i
		}
	}
	return -1
}

// commit takes the first of the texts that says what root now says. If none does,
// the tree is written anew.
func (d *document) commit(texts [][]byte) error {
	for _, t := range texts {
		next, err := parse(t)
		if err == nil && sameTop(next.root, d.root) {
			next.encoding = d.encoding
			*d = *next
			return nil
		}
	}
	t, err := encode(d.top)
	if err != nil {
		return err
	}
	next, err := parse(t)
	if err != nil || !sameTop(next.root, d.root) {
		return errors.New("unsupported kubeconfig: its aliases or its layout cannot be edited")
	}
	next.encoding = d.encoding
	*d = *next
	return nil
}

// encode writes YAML in the manner of client-go.
func encode(n *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	e.CompactSeqIndent()
	if err := e.Encode(n); err != nil {
		return nil, fmt.Errorf("writing kubeconfig: %w", err)
	}
	return b.Bytes(), nil
}
