package audit

import (
	"bytes"
	"strings"
	"time"
)

// What is no event and is known. These are counted, and are no damage.
const (
	ignoredStream  = "lines of other log streams"
	ignoredCLI     = "lines of the AWS CLI without an event"
	ignoredTest    = "tests of a CloudWatch Logs export"
	ignoredControl = "control messages of CloudWatch Logs"
	ignoredDigest  = "CloudTrail digests"
	ignoredInsight = "CloudTrail Insights events"
	// Athena's beside each result.
	ignoredMetadata = "metadata files of Athena"
)

// Ignored is how much of the logs was known to be no event.
type Ignored struct {
	What  string `json:"what"`
	Count int64  `json:"count"`
}

// origin is what is known of where a line or an event is from.
type origin struct {
	cluster string
	stream  bool // it is of a log group: what else is in there is no damage
	audit   bool // it is of the API server's audit log: that is
}

// in adds what the name of a log stream or of a file tells.
func (o origin) in(stream string) origin {
	switch {
	case stream == "":
	case strings.Contains(stream, "kube-apiserver-audit"):
		o.stream, o.audit = true, true
	case otherStream(stream):
		o.stream, o.audit = true, false
	}
	return o
}

// otherStream reports a stream of EKS's that is not the audit log.
//
//	https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html
func otherStream(name string) bool {
	for _, prefix := range []string{"authenticator-", "kube-controller-manager-", "cloud-controller-manager-", "kube-scheduler-", "kube-apiserver-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// streamOf is the part of a path that names a stream. An export has a folder for
// each.
func streamOf(path string) string {
	for part := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' }) {
		if strings.HasPrefix(part, "kube-apiserver-audit-") || otherStream(part) {
			return part
		}
	}
	return ""
}

func startsJSON(text []byte) bool {
	return len(text) > 0 && (text[0] == '{' || text[0] == '[' || text[0] == '"')
}

// cutPrefix takes off what stands before a log's line: the time that an export to
// S3 has, with the stream that "aws logs tail" has, with colours, and what a
// container's log has.
func cutPrefix(line []byte, from origin) ([]byte, origin) {
	line = cutColour(line)
	if len(line) == 0 || line[0] < '0' || line[0] > '9' {
		return line, from
	}
	if rest, _, ok := cutCRI(line); ok {
		from.stream = true
		return trim(rest), from
	}
	stamp, rest := word(line)
	if !isTime(string(stamp)) {
		return line, from
	}
	from.stream = true
	if startsJSON(rest) {
		return rest, from
	}
	stream, after := word(rest)
	if name := string(stream); startsJSON(after) && streamName(name) || strings.HasPrefix(name, "kube-apiserver-audit-") || otherStream(name) {
		return after, from.in(name)
	}
	return rest, from
}

// word is the first word of a line, without colours, and what follows it.
func word(line []byte) (first, rest []byte) {
	n := bytes.IndexAny(line[:min(len(line), 600)], " \t") // a stream's name has 512 characters
	if n < 0 {
		n = len(line)
	}
	first, _, _ = bytes.Cut(line[:n], []byte("\x1b["))
	return first, cutColour(trim(line[n:]))
}

// cutColour takes off what tells a terminal its colours.
func cutColour(line []byte) []byte {
	for bytes.HasPrefix(line, []byte("\x1b[")) {
		n := bytes.IndexByte(line, 'm')
		if n < 0 {
			break
		}
		line = line[n+1:]
	}
	return line
}

func streamName(name string) bool {
	return name != "" && !strings.ContainsAny(name, `:*="'{}<>()`) && strings.ContainsAny(name, "-_/0123456789")
}

func isTime(s string) bool {
	if len(s) < len("2006-01-02T15:04:05") || len(s) > 40 {
		return false
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04:05Z0700"} {
		if _, err := time.Parse(layout, s); err == nil {
			return true
		}
	}
	return false
}

// other reports a line without JSON that is none of an audit log that was damaged:
// klog's (I1124 10:00:00.000000 …), or one of words with = as the authenticator's.
func other(line []byte) bool {
	if len(line) > 5 && bytes.IndexByte([]byte("IWEF"), line[0]) >= 0 && line[5] == ' ' {
		return len(bytes.Trim(line[1:5], "0123456789")) == 0
	}
	key, _, ok := bytes.Cut(line[:min(len(line), 40)], []byte("="))
	return ok && len(key) > 0 && len(bytes.Trim(key, "abcdefghijklmnopqrstuvwxyz_-.")) == 0
}

// answerLine reports a line of --output text that is no event's.
func answerLine(line []byte) bool {
	first, _, tabs := bytes.Cut(line, []byte("\t"))
	switch {
	case string(line) == "None", string(first) == "SEARCHEDLOGSTREAMS", string(first) == "RESOURCES", string(first) == "STATISTICS", string(first) == "RESULTS",
		string(first) == "QUERYSTATISTICS", string(first) == "RESULTSET", string(first) == "COLUMNINFO", string(first) == "RESULTSETMETADATA":
		return true
	case tabs && len(first) > 2 && (bytes.HasPrefix(first, []byte("f/")) || bytes.HasPrefix(first, []byte("b/"))): // GetLogEvents's tokens
		return true
	}
	return false
}
