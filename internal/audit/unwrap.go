package audit

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/valyala/fastjson"
)

// maxWrapped is how many texts may stand within each other: a message of SNS in
// one of SQS has an event in it.
const maxWrapped = 6

// envelope reports a key of a list of events.
func envelope(key string) bool {
	switch key {
	case "Records", "Events", "events", "logEvents", "items", "results", "QueryResultRows", "Rows", "Messages":
		return true
	}
	return false
}

// streams reports that the elements of this key are of CloudWatch Logs.
func streams(key string) bool { return key == "events" || key == "logEvents" || key == "results" }

// textKeys hold an event as text, the first that there is. What is in the second
// group is a line of a log, and may be anything.
func textKeys() (events, lines []string) {
	return []string{"CloudTrailEvent", "eventJson", "raw_data", "Message", "Body", "body", "event", "data", "Data"},
		[]string{"@message", "message", "log", "_raw"}
}

// objectKeys hold an event as an object: EventBridge, the consoles' JSON, shippers
// of logs, Lambda's and Kinesis's records.
func objectKeys() []string {
	return []string{"detail", "@message", "message", "log_processed", "log", "_source", "result", "event", "Sns", "kinesis", "awslogs", "ResultSet"}
}

// value is an event, or something with events in it.
func (p *parser) value(v *fastjson.Value, level int, from origin) error {
	switch v.Type() {
	case fastjson.TypeObject:
	case fastjson.TypeArray:
		return p.elements(v.GetArray(), level, from)
	case fastjson.TypeString:
		return p.element(trim(v.GetStringBytes()), level, from)
	default:
		p.damage(whyOther)
		return nil
	}
	known, err := p.to.event(v, from.cluster)
	if errors.Is(err, errNoTime) {
		p.damage(whyTimestamp)
		return nil
	}
	if known || err != nil {
		return err
	}
	from.cluster = cmp.Or(clusterOf(v), from.cluster)
	for _, key := range []string{"logStreamName", "logStream", "@logStream"} {
		from = from.in(view(v, key))
	}
	return p.unwrap(v, level, from)
}

func (p *parser) unwrap(v *fastjson.Value, level int, from origin) error {
	if what := notEvent(v); what != "" {
		p.ignore(what)
		return nil
	}
	for _, key := range []string{"Records", "items", "Events", "events", "logEvents", "results", "QueryResultRows", "Rows", "Messages"} {
		if list := v.Get(key); list != nil && list.Type() == fastjson.TypeArray {
			from.stream = from.stream || streams(key)
			return p.elements(list.GetArray(), level, from)
		}
	}
	if v.Exists("class_uid") && len(v.GetStringBytes("raw_data")) == 0 {
		p.damage(whyOCSF)
		return nil
	}
	events, lines := textKeys()
	for _, key := range slices.Concat(events, lines) {
		if text := v.Get(key); text != nil && text.Type() == fastjson.TypeString && len(text.GetStringBytes()) > 0 {
			from.stream = from.stream || slices.Contains(lines, key)
			return p.message(trim(text.GetStringBytes()), level, from)
		}
	}
	for _, key := range objectKeys() {
		if inner := v.Get(key); inner != nil && inner.Type() == fastjson.TypeObject {
			return p.value(inner, level, from)
		}
	}
	if list := v.Get("Data"); list != nil && list.Type() == fastjson.TypeArray { // a row of Athena
		return p.row(list.GetArray(), level, from)
	}
	p.unknown(v, from)
	return nil
}

// notEvent names what AWS puts beside events.
func notEvent(v *fastjson.Value) string {
	switch {
	case v.Exists("digestStartTime"), v.Exists("queryCompleteTime") && v.Exists("hashSignature"):
		return ignoredDigest
	case v.Exists("insightDetails"), view(v, "eventCategory") == "Insight", view(v, "eventType") == "AwsCloudTrailInsight":
		return ignoredInsight
	case view(v, "messageType") == "CONTROL_MESSAGE":
		return ignoredControl
	}
	return ""
}

// unknown is JSON without an event of this log.
func (p *parser) unknown(v *fastjson.Value, from origin) {
	ofOther := v.Exists("auditID") || v.Exists("eventVersion") || v.Exists("eventName") && v.Exists("eventSource")
	if from.stream && !from.audit && !ofOther {
		p.ignore(ignoredStream)
		return
	}
	p.damage(whyOther)
}

func (p *parser) elements(list []*fastjson.Value, level int, from origin) error {
	for _, v := range list {
		var err error
		if v.Type() == fastjson.TypeArray {
			err = p.row(v.GetArray(), level, from)
		} else {
			err = p.value(v, level, from)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// element is a text in a list, as --query 'events[].message' makes them.
func (p *parser) element(text []byte, level int, from origin) error {
	if startsJSON(text) || packed(text) || from.stream {
		return p.message(text, level, from)
	}
	p.damage(whyOther)
	return nil
}

// row is a list in a list: the columns of Logs Insights, CloudTrail Lake, Athena,
// or those of --query 'events[].[timestamp,message]'.
func (p *parser) row(list []*fastjson.Value, level int, from origin) error {
	var names, cells []string
	for _, v := range list {
		switch v.Type() {
		case fastjson.TypeArray:
			return p.elements(list, level, from)
		case fastjson.TypeString:
			names, cells = append(names, ""), append(cells, text(v))
		case fastjson.TypeObject:
			switch {
			case v.Exists("field"):
				names, cells = append(names, strings.ToLower(text(v, "field"))), append(cells, text(v, "value"))
			case v.Exists("VarCharValue"):
				names, cells = append(names, ""), append(cells, text(v, "VarCharValue"))
			default:
				v.GetObject().Visit(func(key []byte, value *fastjson.Value) {
					names, cells = append(names, strings.ToLower(string(key))), append(cells, text(value))
				})
			}
		}
	}
	return p.cells(names, cells, level, from)
}

// cells are a row's, with or without their names.
func (p *parser) cells(names, cells []string, level int, from origin) error {
	found := false
	for i, cell := range cells {
		if startsJSON(trim([]byte(cell))) && wholeCell(names[i], cell) {
			found = true
			if err := p.message(trim([]byte(cell)), level, p.besides(cells, from)); err != nil {
				return err
			}
		}
	}
	switch {
	case found:
		return nil
	case slices.Equal(names, make([]string, len(names))):
		if header := strings.Join(cells, ","); isHeader([]byte(header)) || isTableHeader(cells) {
			p.ignore(ignoredCLI)
		} else if from = p.besides(cells, from); from.stream && !from.audit {
			p.ignore(ignoredStream)
		} else {
			p.damage(whyOther)
		}
		return nil
	}
	data, why := eventOf(names, cells)
	if why == "" && data != nil {
		return p.message(data, level, from)
	}
	p.damage(cmp.Or(why, whyOther))
	return nil
}

// wholeCell tells an event from a part of one, such as requestParameters.
func wholeCell(name, cell string) bool {
	if name != "" {
		return wholeColumns()[name] != ""
	}
	v, err := fastjson.Parse(cell)
	return err == nil && (v.Type() != fastjson.TypeObject || v.Exists("auditID") || v.Exists("eventName") || v.Exists("digestStartTime")) || err != nil
}

// isTableHeader reports the names of a table's columns, as Athena's first row has
// them.
func isTableHeader(cells []string) bool {
	return len(cells) > 0 && !slices.ContainsFunc(cells, func(c string) bool {
		return c == "" || strings.Trim(c, "abcdefghijklmnopqrstuvwxyz0123456789_.") != ""
	})
}

// besides is what the other cells tell of a row: the name of its stream.
func (p *parser) besides(cells []string, from origin) origin {
	for _, cell := range cells {
		if strings.HasPrefix(cell, "kube-apiserver-audit-") || otherStream(cell) {
			return from.in(cell)
		}
	}
	return from
}

// message is a text in an envelope. Only the API server's audit streams are of
// JSON; of these CloudWatch Logs cuts off what is longer than 256 KB.
func (p *parser) message(text []byte, level int, from origin) error {
	switch {
	case len(text) == 0:
		return nil
	case level+1 == len(p.parsers):
		p.damage(whyWrapped)
		return nil
	case text[0] == '{':
		return p.document(text, level+1, from)
	case startsJSON(text):
		if fastjson.ValidateBytes(text) == nil {
			return p.document(text, level+1, from)
		}
	case packed(text):
		return p.unpack(text, level, from)
	}
	p.words(text, from)
	return nil
}

// packed reports base64 of gzip or of an object of JSON.
func packed(text []byte) bool {
	return len(text) > 16 && (bytes.HasPrefix(text, []byte("H4sI")) || bytes.HasPrefix(text, []byte("eyJ"))) && bytes.IndexByte(text, ' ') < 0
}

// unpack reads a record of a subscription to CloudWatch Logs as Lambda and Kinesis
// get it.
func (p *parser) unpack(text []byte, level int, from origin) error {
	data := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(data, text)
	if data = data[:n]; err != nil {
		p.damage(whyPacked)
		return nil
	}
	if bytes.HasPrefix(data, []byte(gzipMagic)) {
		r, err := gzip.NewReader(bytes.NewReader(data))
		if err == nil {
			data, err = io.ReadAll(io.LimitReader(r, maxDocument+1))
		}
		if err != nil {
			p.damage(whyPacked)
			return nil
		}
	}
	if len(data) > maxDocument {
		p.damage(whyLong)
		return nil
	}
	return p.message(trim(data), level, from)
}

// words are a text that is no JSON.
func (p *parser) words(text []byte, from origin) {
	switch {
	case bytes.HasPrefix(text, []byte("CWL CONTROL MESSAGE")):
		p.ignore(ignoredControl)
	case string(bytes.TrimSuffix(text, []byte("."))) == "Permission Check Successful":
		p.ignore(ignoredTest)
	case answerLine(text):
		p.ignore(ignoredCLI)
	case from.audit:
		p.damage(whyNotJSON)
	case from.stream, other(text):
		p.ignore(ignoredStream)
	default:
		p.damage(whyNotJSON)
	}
}

// tabs is a line of --output text, or of columns that --query chose.
func (p *parser) tabs(line []byte, from origin) error {
	var cells []string
	for cell := range bytes.SplitSeq(line, []byte("\t")) {
		cells = append(cells, string(trim(cell)))
	}
	from = p.besides(cells, from)
	found := false
	for _, cell := range cells {
		if startsJSON([]byte(cell)) || packed([]byte(cell)) {
			found = true
			if err := p.message([]byte(cell), 0, from); err != nil {
				return err
			}
		}
	}
	switch {
	case found:
	case cells[0] == "EVENTS" && !from.audit:
		p.ignore(ignoredStream)
	default:
		p.words(line, from)
	}
	return nil
}

// quoted is a line of text in JSON, as jq prints without -r.
func (p *parser) quoted(line []byte, from origin) error {
	var text string
	if json.Unmarshal(line, &text) != nil {
		p.words(line, from)
		return nil
	}
	return p.element(trim([]byte(text)), 0, from)
}

// clusterOf reads the name of an EKS cluster from that of its log group,
// /aws/eks/NAME/cluster.
func clusterOf(v *fastjson.Value) string {
	for _, key := range []string{"logGroup", "logGroupName", "@log"} {
		group := string(v.GetStringBytes(key))
		if _, name, ok := strings.Cut(group, "/aws/eks/"); ok {
			name, _, _ = strings.Cut(name, "/")
			return strings.ToValidUTF8(name, "\ufffd")
		}
	}
	return ""
}
