package kubeconfig

import (
	"bytes"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Each edit makes texts that may say what is wanted, best first, from a tree that
// still fits the text; then it changes the tree, and commits.

func isFlow(n *yaml.Node) bool { return n.Style&yaml.FlowStyle != 0 }

// put makes or changes an entry. One that says the same already is not touched.
func (d *document) put(p part) error {
	i := d.position(p.list, p.name)
	if i < 0 {
		item := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		if err := p.fill(item); err != nil {
			return err
		}
		return d.insert(p.list, item)
	}
	node := d.list(p.list)[i]
	item := clone(node)
	if node.Kind == yaml.AliasNode {
		item = detach(node)
	}
	if err := p.fill(item); err != nil {
		return err
	}
	if equal(item, resolve(node)) {
		return nil
	}
	return d.replace(p, i, item)
}

func (d *document) insert(list string, item *yaml.Node) error {
	entry, err := encode(sequence([]*yaml.Node{item}))
	if err != nil {
		return err
	}
	k := d.key(list)
	if k < 0 {
		value := sequence([]*yaml.Node{item})
		return d.addKey(list, value, "["+flowText(item)+"]", list+":\n"+string(entry))
	}
	key, value := d.root.Content[k], d.root.Content[k+1]
	var texts [][]byte
	switch {
	case isNull(value) && isFlow(d.root):
		if start, end, ok := d.span(value); ok {
			texts = append(texts, splice(d.data, start, end, "["+flowText(item)+"]"))
		}
	case value.Kind == yaml.AliasNode:
	case isEmpty(value):
		if at, ok := d.afterColon(key); ok && !isFlow(d.root) {
			marked := splice(d.data, at, at, displaced)
			end := d.lineStart(key.Line) + len(displaced)
			texts = append(texts, d.insertLinesAt(marked, end, d.indented(entry, key.Column-1)))
		}
		if !isNull(value) {
			texts = append(texts, d.flowInsert(value, flowText(item))...)
		}
	case isFlow(value):
		texts = d.flowInsert(value, flowText(item))
	default:
		last, column, ok := d.dash(value.Content[len(value.Content)-1])
		if ok {
			next := d.keyLine(k + 2)
			lines := d.indented(entry, column)
			texts = [][]byte{d.insertLines(d.contentEnd(last, next), lines), d.insertLines(next, lines)}
		}
	}
	if own := d.ownList(k); isEmpty(own) {
		d.root.Content[k+1] = sequence([]*yaml.Node{item})
	} else if isFlow(own) {
		own.Content = slices.Insert(own.Content, 0, item)
	} else {
		own.Content = append(own.Content, item)
	}
	return d.commit(texts)
}

// ownList makes the list in the tree one that no alias shares: what others say by
// it must stay, and commit sees to that.
func (d *document) ownList(k int) *yaml.Node {
	own := *resolve(d.root.Content[k+1])
	if own.Content = slices.Clone(own.Content); d.root.Content[k+1].Kind == yaml.AliasNode {
		own.Anchor = ""
	}
	d.root.Content[k+1] = &own
	return &own
}

// addKey adds a key to the top level: at its end, or first in braces.
func (d *document) addKey(name string, value *yaml.Node, inFlow, inBlock string) error {
	var texts [][]byte
	if isFlow(d.root) {
		texts = d.flowInsert(d.root, flowText(scalar(name))+created+inFlow)
	} else {
		end := d.endLine()
		lines := d.indented([]byte(inBlock), d.root.Content[0].Column-1)
		first := d.contentEnd(d.keyLine(len(d.root.Content)-2), end)
		texts = [][]byte{d.insertLines(first, lines), d.insertLines(end, lines)}
	}
	d.root.Content = append(d.root.Content, scalar(name), value)
	return d.commit(texts)
}

// replace writes one entry anew, with the comments that stand in it.
func (d *document) replace(p part, i int, item *yaml.Node) error {
	k := d.key(p.list)
	value := d.root.Content[k+1]
	var texts [][]byte
	switch {
	case value.Kind == yaml.AliasNode:
	case isFlow(value):
		texts = d.flowReplace(value.Content[i], flowText(item))
	default:
		texts = d.blockReplace(p, k, i, item)
	}
	d.ownList(k).Content[i] = item
	return d.commit(texts)
}

func (d *document) blockReplace(p part, k, i int, item *yaml.Node) (texts [][]byte) {
	start, column, ok := d.dash(d.root.Content[k+1].Content[i])
	if !ok {
		return nil
	}
	from, to := d.lineStart(start), d.lineStart(d.itemEnd(k, i))
	bare, _ := encode(sequence([]*yaml.Node{item}))
	for _, entry := range [][]byte{refill(d.data[from:to], p), bare} {
		lines := d.indented(entry, column)
		if !endsLine(d.data[from:to]) {
			lines = strings.TrimSuffix(lines, d.eol())
		}
		texts = append(texts, splice(d.data, from, to, lines))
	}
	return texts
}

// refill changes the entry whose lines these are. Parsed alone, it has those
// comments that are its own. Nil if it can't be parsed alone.
func refill(lines []byte, p part) []byte {
	var top yaml.Node
	if yaml.Unmarshal(lines, &top) != nil || len(top.Content) == 0 || len(top.Content[0].Content) != 1 {
		return nil
	}
	item := top.Content[0].Content[0]
	if item.Kind != yaml.MappingNode || p.fill(item) != nil {
		return nil
	}
	out, _ := encode(&top)
	return out
}

// itemEnd is the line after an entry of a block list.
func (d *document) itemEnd(k, i int) int {
	value := d.root.Content[k+1]
	start, _, _ := d.dash(value.Content[i])
	next := d.keyLine(k + 2)
	if i+1 < len(value.Content) {
		if line, _, ok := d.dash(value.Content[i+1]); ok {
			next = line
		}
	}
	return d.contentEnd(start, next)
}

// remove takes an entry out; of a list that is then empty, what stood there before
// we put the first one in comes back.
func (d *document) remove(list, name string) error {
	i := d.position(list, name)
	if i < 0 {
		return nil
	}
	k := d.key(list)
	key, value := d.root.Content[k], d.root.Content[k+1]
	var texts [][]byte
	switch {
	case value.Kind == yaml.AliasNode:
	case isFlow(value):
		if len(value.Content) == 1 && d.isCreatedKey(key) {
			texts = d.flowRemove(d.root, k/2)
		}
		texts = append(texts, d.flowRemove(value, i)...)
	default:
		start, _, ok := d.dash(value.Content[i])
		if !ok {
			break
		}
		rest := removeLines(d.data, d.lineStart(start), d.lineStart(d.itemEnd(k, i)))
		if len(value.Content) == 1 {
			texts = d.emptied(key, rest)
		}
		texts = append(texts, rest)
	}
	own := d.ownList(k)
	own.Content = slices.Delete(own.Content, i, i+1)
	return d.commit(texts)
}

// displaced goes before what stood after a key's colon: it makes it a comment.
const displaced = " #"

// emptied puts back what stood after a key before its value, in data, where the
// value is gone already: either it was displaced, or there was no such key.
func (d *document) emptied(key *yaml.Node, data []byte) [][]byte {
	at, ok := d.afterColon(key)
	if !ok {
		return nil
	}
	end := len(data)
	if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
		end = at + i + 1
	}
	tail := string(data[at:end])
	switch {
	case strings.HasPrefix(tail, displaced):
		return [][]byte{splice(data, at, at+len(displaced), "")}
	case strings.TrimSpace(tail) == "":
		return [][]byte{removeLines(data, d.lineStart(key.Line-1), end)}
	}
	return nil
}

// isCreatedKey says whether we made this key of a flow mapping.
func (d *document) isCreatedKey(key *yaml.Node) bool {
	_, end, ok := d.span(key)
	return ok && isFlow(d.root) && strings.HasPrefix(string(d.data[end:]), created)
}

func (d *document) setCurrent(name string) error {
	word := flowText(scalar(name))
	if !isFlow(d.root) {
		out, err := encode(scalar(name))
		if err != nil {
			return err
		}
		word = strings.TrimSuffix(string(out), "\n")
	}
	k := d.key(currentContext)
	if k < 0 {
		return d.addKey(currentContext, scalar(name), word, currentContext+": "+word+"\n")
	}
	key, value := d.root.Content[k], d.root.Content[k+1]
	if text(d.root, currentContext) == name {
		return nil
	}
	var texts [][]byte
	if at, ok := d.afterColon(key); ok && isEmpty(value) && !isFlow(d.root) {
		texts = append(texts, splice(d.data, at, at, " "+word+displaced))
	}
	if start, end, ok := d.span(value); ok && end > start {
		texts = append(texts, splice(d.data, start, end, word))
	}
	d.root.Content[k+1] = scalar(name)
	return d.commit(texts)
}

// unsetCurrent leaves no current context.
func (d *document) unsetCurrent() error {
	k := d.key(currentContext)
	if k < 0 {
		return nil
	}
	key, value := d.root.Content[k], d.root.Content[k+1]
	var texts [][]byte
	at, found := d.afterColon(key)
	if start, end, ok := d.span(value); ok && found {
		rest := splice(d.data, at, end, "")
		switch {
		case d.isCreatedKey(key):
			texts = d.flowRemove(d.root, k/2)
		case isFlow(d.root):
		default:
			texts = d.emptied(key, rest)
		}
		texts = append(texts, splice(d.data, start, end, `""`))
	}
	d.root.Content[k+1] = scalar("")
	return d.commit(texts)
}

// removeKey takes a key of the top level out, with its lines.
func (d *document) removeKey(name string) error {
	k := d.key(name)
	start, next := d.keyLine(k), d.keyLine(k+2)
	texts := [][]byte{removeLines(d.data, d.lineStart(start), d.lineStart(d.contentEnd(start, next)))}
	d.root.Content = slices.Delete(d.root.Content, k, k+2)
	return d.commit(texts)
}

// create fills a kubeconfig that holds nothing, in client-go's order: apiVersion
// and kind around our lists tell isCreated that they are ours too.
func (d *document) create(e Entry, setCurrent bool) ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	setText(root, "apiVersion", "v1")
	for _, p := range e.parts() {
		item := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		if err := p.fill(item); err != nil {
			return nil, err
		}
		if p.list == users {
			if setCurrent {
				setText(root, currentContext, e.Context)
			}
			setText(root, "kind", "Config")
		}
		setField(root, p.list, sequence([]*yaml.Node{item}))
	}
	lines, err := encode(root)
	if err != nil {
		return nil, err
	}
	texts := [][]byte{d.insertLines(d.endLine(), d.indented(lines, 0))}
	d.root = root
	if d.top == nil {
		d.top = &yaml.Node{Kind: yaml.DocumentNode}
	}
	d.top.Content = []*yaml.Node{root}
	if err := d.commit(texts); err != nil {
		return nil, err
	}
	return d.bytes(), nil
}

// isCreated says whether the top level is as create writes it.
func (d *document) isCreated() bool {
	if d.root == nil || isFlow(d.root) {
		return false
	}
	var keys []string
	for i := 0; i < len(d.root.Content); i += 2 {
		key := d.root.Content[i]
		if key.Value == currentContext {
			continue
		}
		at, ok := d.afterColon(key)
		if !ok || strings.HasPrefix(string(d.data[at:]), displaced) {
			return false
		}
		keys = append(keys, key.Value)
	}
	return slices.Equal(keys, []string{"apiVersion", clusters, contexts, "kind", users}) &&
		text(d.root, "apiVersion") == "v1" && text(d.root, "kind") == "Config"
}
