package audit

import (
	"bytes"
	"encoding/json"

	"go.yaml.in/yaml/v3"
)

// isYAML reports an answer of the AWS CLI in YAML: a list, or one of the keys that
// an answer begins with.
func isYAML(head []byte) bool {
	head = bytes.TrimPrefix(head, []byte("---\n"))
	line, _, _ := bytes.Cut(head, []byte("\n"))
	if bytes.HasPrefix(line, []byte("- ")) {
		return true
	}
	key, value, ok := bytes.Cut(bytes.TrimRight(line, "\r"), []byte(":"))
	return ok && (len(value) == 0 || value[0] == ' ') && answerKey(string(key))
}

// answerKey reports a key of an answer of LookupEvents, FilterLogEvents,
// GetLogEvents, GetQueryResults (of Logs Insights, CloudTrail Lake and Athena).
func answerKey(key string) bool {
	switch key {
	case "searchedLogStreams", "nextToken", "NextToken", "nextForwardToken", "nextBackwardToken", "queryLanguage", "statistics", "status", "encryptionKey",
		"QueryStatus", "QueryStatistics", "UpdateCount", "ResultSet":
		return true
	}
	return envelope(key)
}

// yamlReader gives each item of a list as a line of JSON.
type yamlReader struct {
	*lineReader
	item []byte
	at   int   // the column that it begins at; -1: there is none
	from int64 // its line
	long bool
	// beside: the present list or mapping is not one of events.
	beside bool
}

func (r *yamlReader) Read(p []byte) (int, error) { return r.read(p, r.more) }

func (r *yamlReader) more() error {
	line, err := r.next()
	if err != nil {
		r.end()
		return err
	}
	text := bytes.TrimRight(line, " \r\n")
	column := len(text) - len(bytes.TrimLeft(text, " "))
	switch {
	case r.at >= 0 && (len(text) == 0 || column > r.at):
		r.add(line)
		return nil
	case len(text) == 0, string(text) == "---", string(text) == "...":
		r.out.WriteByte('\n')
		return nil
	}
	r.end()
	rest, isItem := bytes.CutPrefix(text[column:], []byte("- "))
	key, value, isKey := bytes.Cut(rest, []byte(":"))
	switch {
	case isKey && answerKey(string(key)) && (len(value) == 0 || !isItem):
		// What stands below a key such as searchedLogStreams is no event.
		r.beside = !envelope(string(key))
	case isItem && !r.beside:
		r.at, r.from = column, r.line
		r.add(line)
		return nil
	case !r.beside:
		r.found.ignore(ignoredCLI)
	}
	r.out.WriteByte('\n')
	return nil
}

func (r *yamlReader) add(line []byte) {
	if r.long = r.long || len(r.item)+len(line) > maxItem; !r.long {
		r.item = append(r.item, line...)
	}
}

func (r *yamlReader) end() {
	if r.at < 0 {
		return
	}
	var list []any
	var data []byte
	err := yaml.Unmarshal(r.item, &list)
	if err == nil && len(list) == 1 {
		item := list[0]
		if _, row := item.([]any); row { // of a table, as it is in JSON
			item = map[string]any{"results": list}
		}
		data, err = json.Marshal(item)
	}
	lines := r.line - r.from // without the line after it, which is not written yet
	switch {
	case r.long:
		r.found.damage(r.from, whyLongItem)
	case err != nil || len(list) != 1:
		r.found.damage(r.from, whyYAML)
	}
	if r.long || err != nil {
		data = nil
	}
	r.emit(data, max(lines, 1))
	r.item, r.at, r.long = r.item[:0], -1, false
}
