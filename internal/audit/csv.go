package audit

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"
)

// wholeColumns have a whole event in a cell, by the key that the same has in JSON.
// What is asked for in SQL comes in lower case.
func wholeColumns() map[string]string {
	return map[string]string{
		"@message": "@message", "message": "message", "eventjson": "eventJson", "cloudtrailevent": "CloudTrailEvent", "raw_data": "raw_data", "_raw": "_raw", "log": "log",
	}
}

// isHeader reports the first line of a table whose rows are events: what the
// consoles of Logs Insights, CloudTrail Lake and Athena give to download.
func isHeader(line []byte) bool {
	columns := columnsOf(line)
	return slices.ContainsFunc(columns, func(name string) bool { return wholeColumns()[name] != "" || name == "eventname" })
}

// columnsOf are the names in a header; none: a line that is something else.
func columnsOf(line []byte) (columns []string) {
	line = bytes.TrimRight(line, "\r\n")
	if len(line) == 0 || len(line) >= peeked {
		return nil
	}
	for cell := range bytes.SplitSeq(line, []byte(",")) {
		name := string(bytes.Trim(cell, `" `))
		if strings.ContainsFunc(name, func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("@_. -", r)
		}) {
			return nil
		}
		columns = append(columns, strings.ToLower(name))
	}
	return columns
}

// csvReader gives each row as a line of JSON.
type csvReader struct {
	*lineReader
	columns []string
	cells   []string
	quoted  bool // the position is within quotes
}

func (r *csvReader) Read(p []byte) (int, error) { return r.read(p, r.more) }

func (r *csvReader) more() error {
	from := r.line + 1
	if err := r.row(); err != nil {
		return err
	}
	if r.columns == nil {
		for _, name := range r.cells {
			r.columns = append(r.columns, strings.ToLower(strings.Trim(name, " ")))
		}
		r.out.WriteByte('\n')
		return nil
	}
	data, why := eventOf(r.columns, r.cells)
	if why != "" {
		r.found.damage(from, why)
	}
	r.emit(data, r.line-from+1)
	return nil
}

// row reads one, over as many lines as its quotes take. One that is longer than an
// event may be is left out.
func (r *csvReader) row() error {
	var text []byte
	from, long := r.line+1, false
	for {
		line, err := r.next()
		if err != nil {
			if len(text) > 0 && errors.Is(err, io.EOF) {
				r.found.damage(from, whyCut)
			}
			return err
		}
		if long = long || len(text)+len(line) > maxItem; !long {
			text = append(text, line...)
		}
		if bytes.Count(line, []byte(`"`))%2 == 1 {
			r.quoted = !r.quoted
		}
		if !r.quoted {
			break
		}
	}
	if long {
		r.found.damage(from, whyLongItem)
		text = nil
	}
	r.cells = cells(trim(text))
	return nil
}

// cells are those of a row, RFC 4180.
func cells(row []byte) (list []string) {
	for len(row) > 0 {
		var cell []byte
		if row[0] == '"' {
			row = row[1:]
			for {
				n := bytes.IndexByte(row, '"')
				if n < 0 {
					cell, row = append(cell, row...), nil
					break
				}
				cell, row = append(cell, row[:n]...), row[n+1:]
				if len(row) == 0 || row[0] != '"' {
					break
				}
				cell, row = append(cell, '"'), row[1:]
			}
		}
		n := bytes.IndexByte(row, ',')
		if n < 0 {
			return append(list, string(append(cell, row...)))
		}
		cell, row = append(cell, row[:n]...), row[n+1:]
		if list = append(list, string(cell)); len(row) == 0 {
			list = append(list, "")
		}
	}
	return list
}

// eventOf makes JSON of a row: of the cell that has the whole event, or of those
// that have its fields. Names are in lower case.
func eventOf(columns, row []string) (data []byte, why string) {
	whole, fields := wholeColumns(), map[string]string{}
	around := map[string]string{}
	for i, name := range columns {
		if i >= len(row) || row[i] == "" || row[i] == "-" {
			continue
		}
		fields[name] = row[i]
		switch name {
		case "@logstream", "logstreamname", "logstream":
			around["@logStream"] = row[i]
		case "@log", "loggroup", "loggroupname":
			around["@log"] = row[i]
		default:
			if key := whole[name]; key != "" {
				around[key] = row[i]
			}
		}
	}
	if len(fields) == 0 {
		return nil, ""
	}
	if slices.ContainsFunc(columns, func(name string) bool { return whole[name] != "" }) {
		data, err := json.Marshal(around)
		if err != nil {
			return nil, whyJSON
		}
		return data, ""
	}
	if !slices.Contains(columns, "eventname") {
		return nil, whyRow
	}
	if !slices.Contains(columns, "requestparameters") || !slices.Contains(columns, "responseelements") {
		return nil, whyColumns
	}
	return eventOfFields(fields)
}

// eventOfFields makes a CloudTrail event again of the columns of a table.
func eventOfFields(fields map[string]string) ([]byte, string) {
	event := map[string]any{}
	for _, name := range []string{"eventVersion", "eventTime", "eventSource", "eventName", "awsRegion", "sourceIPAddress", "userAgent", "errorCode", "errorMessage", "requestID", "eventID",
		"eventType", "recipientAccountId", "eventCategory"} {
		if value := fields[strings.ToLower(name)]; value != "" && value != "null" {
			event[name] = value
		}
	}
	for _, name := range []string{"requestParameters", "responseElements", "additionalEventData"} {
		value := fields[strings.ToLower(name)]
		if value == "" || value == "null" {
			continue
		}
		if !json.Valid([]byte(value)) { // CloudTrail Lake's way to write a map has no quotes
			return nil, whyColumns
		}
		event[name] = json.RawMessage(value)
	}
	who := map[string]string{}
	for _, name := range []string{"type", "invokedBy", "accessKeyId", "arn"} {
		lower := strings.ToLower(name)
		if value := cmp.Or(fields["useridentity."+lower], structField(fields["useridentity"], lower)); value != "" && value != "null" {
			who[name] = value
		}
	}
	event["userIdentity"] = who
	data, err := json.Marshal(event)
	if err != nil {
		return nil, whyJSON
	}
	return data, ""
}

// structField reads a field of the outermost of {a=b, c={a=d}}, which is how Athena
// shows a struct, or of the same in JSON.
func structField(text, name string) string {
	var object map[string]any
	if json.Unmarshal([]byte(text), &object) == nil {
		for key, value := range object {
			if s, ok := value.(string); ok && strings.EqualFold(key, name) {
				return s
			}
		}
		return ""
	}
	depth, start := 0, 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == '{':
			depth++
			if start = i + 1; depth > 1 {
				continue
			}
		case (c == ',' || c == '}') && depth == 1:
			if key, value, ok := strings.Cut(strings.TrimSpace(text[start:i]), "="); ok && strings.EqualFold(key, name) {
				return value
			}
			start = i + 1
			if c == '}' {
				depth--
			}
		case c == '}':
			depth--
		case c == ',' && depth > 1:
			start = i + 1
		}
	}
	return ""
}
