package kubeconfig

import (
	"bytes"
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v3"
)

// created stands between a key that we make in a flow mapping and its value; it is
// how we know it again.
const created = " : "

// flowText writes a node on one line, as JSON if it can be.
func flowText(n *yaml.Node) string {
	var parts []string
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			parts = append(parts, flowText(n.Content[i])+": "+flowText(n.Content[i+1]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case yaml.SequenceNode:
		for _, item := range n.Content {
			parts = append(parts, flowText(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case yaml.AliasNode:
		return "*" + n.Value + " "
	}
	if n.ShortTag() != "!!str" {
		return n.Value
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(n.Value) // a string: it can't fail
	return strings.TrimSpace(b.String())
}

// flow is a collection in brackets: where it opens, its commas, where it closes.
type flow struct {
	open, end int
	commas    []int
}

// scanFlow finds the brackets and the commas of the collection that opens at the
// offset. It need not know all of YAML: what comes of it is parsed again.
func scanFlow(data []byte, open int) (flow, bool) {
	f := flow{open: open}
	if open >= len(data) || data[open] != '[' && data[open] != '{' {
		return f, false
	}
	depth, start := 0, true // start: a quote here would open a scalar
	for at := open; at < len(data); at++ {
		switch data[at] {
		case '[', '{':
			depth++
			start = true
		case ']', '}':
			if depth--; depth == 0 {
				f.end = at
				return f, true
			}
			start = false
		case ',':
			if depth == 1 {
				f.commas = append(f.commas, at)
			}
			start = true
		case ':':
			start = true
		case ' ', '\t', '\r', '\n':
		case '#':
			if strings.IndexByte(" \t\r\n", data[at-1]) >= 0 {
				if end := bytes.IndexAny(data[at:], "\r\n"); end >= 0 {
					at += end
				}
			}
		case '"', '\'':
			if start {
				end, ok := quoteEnd(data, at)
				if !ok {
					return f, false
				}
				at = end - 1
			}
			start = false
		case '&', '!': // an anchor or a tag: what it is for is still to come
			if start {
				word := bytes.IndexAny(data[at:], " \t\r\n,[]{}")
				if word < 0 {
					return f, false
				}
				at += word - 1
			}
		default:
			start = false
		}
	}
	return f, false
}

// quoteEnd is the offset after the quoted scalar that begins at the offset.
func quoteEnd(data []byte, at int) (int, bool) {
	quote := data[at]
	for at++; at < len(data); at++ {
		switch {
		case data[at] == '\\' && quote == '"':
			at++
		case data[at] != quote:
		case quote == '\'' && at+1 < len(data) && data[at+1] == quote:
			at++
		default:
			return at + 1, true
		}
	}
	return 0, false
}

// flowInsert puts an element first, laid out as the one that was first.
func (d *document) flowInsert(n *yaml.Node, text string) [][]byte {
	f, ok := scanFlow(d.data, d.offset(n))
	if !ok {
		return nil
	}
	at := f.open + 1
	if len(n.Content) == 0 {
		return [][]byte{splice(d.data, at, at, text)}
	}
	inside := d.data[at:f.end]
	space := string(inside[:len(inside)-len(bytes.TrimLeft(inside, " \t\r\n"))])
	return [][]byte{splice(d.data, at, at, space+text+",")}
}

// flowRemove takes the element at the index out, with its comma.
func (d *document) flowRemove(n *yaml.Node, i int) [][]byte {
	f, ok := scanFlow(d.data, d.offset(n))
	if !ok || i > len(f.commas) {
		return nil
	}
	start, end := f.open+1, f.end
	if i < len(f.commas) {
		end = f.commas[i] + 1
	}
	switch {
	case i > 0:
		start = f.commas[i-1]
		end = f.end
		if i < len(f.commas) {
			end = f.commas[i]
		}
		end = start + len(bytes.TrimRight(d.data[start:end], " \t\r\n"))
	case len(f.commas) == 0:
		end = start + len(bytes.TrimRight(d.data[start:end], " \t\r\n"))
	}
	return [][]byte{splice(d.data, start, end, "")}
}

// flowReplace writes an element anew.
func (d *document) flowReplace(n *yaml.Node, text string) [][]byte {
	start := d.offset(n)
	f, ok := scanFlow(d.data, start)
	if !ok {
		return nil
	}
	return [][]byte{splice(d.data, start, f.end+1, text)}
}
