package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"strings"
	"testing"
)

// reader runs one of the two readers over texts, and says all that it tells but
// for damage and what it counts by lines.
type reader func(t *testing.T, texts ...string) string

// split checks that a log tells the same however it is cut into lines and files.
func split(t *testing.T, data []byte, read reader) {
	t.Helper()
	whole := read(t, string(data))
	if packed := read(t, zip(string(data))); !bytes.HasPrefix(data, []byte{0x1f, 0x8b}) && packed != whole {
		t.Errorf("compressed it tells %s, not %s", packed, whole)
	}
	if json.Valid(data) && jsonDepth(data) < 200 {
		var compact, indented bytes.Buffer
		if json.Compact(&compact, data) != nil || json.Indent(&indented, data, "", "  ") != nil {
			return
		}
		// The brackets that Indent leaves together are of what is empty.
		if a, b := read(t, compact.String()), read(t, indented.String()); a != b {
			t.Errorf("indented it tells %s, on one line %s", b, a)
		}
		if tokens := read(t, oneTokenALine(compact.Bytes())); tokens != read(t, compact.String()) {
			t.Errorf("a token a line it tells %s", tokens)
		}
	}
	list := strings.Split(string(data), "\n")
	for _, line := range list {
		if !json.Valid([]byte(line)) || jsonDepth([]byte(line)) >= 200 {
			return
		}
	}
	if files := read(t, list...); files != whole {
		t.Errorf("a line a file it tells %s, not %s", files, whole)
	}
}

func jsonDepth(data []byte) (depth int) {
	d := 0
	for _, c := range data {
		switch c {
		case '{', '[':
			d++
			depth = max(depth, d)
		case '}', ']':
			d--
		}
	}
	return depth
}

// oneTokenALine puts a newline behind each comma, colon and bracket.
func oneTokenALine(compact []byte) string {
	var b strings.Builder
	inString, escape := false, false
	for _, c := range compact {
		b.WriteByte(c)
		switch {
		case escape:
			escape = false
		case inString:
			escape, inString = c == '\\', c != '"'
		case c == '"':
			inString = true
		case strings.IndexByte("{}[],:", c) >= 0:
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func FuzzCloudTrail(f *testing.F) {
	f.Add([]byte(lines(f, created("ASIA1", "0a01", "alice", at(0), nil), assumed("ASIA3", "ASIA1", "ops", at(6)))))
	f.Add([]byte(encode(f, m{"Records": []m{created("ASIA1", "0a01", "alice", at(0), nil)}})))
	f.Add([]byte(indent(f, encode(f, m{"Events": []m{{"CloudTrailEvent": encode(f, created("ASIA1", "0a01", "alice", at(0), nil))}}}))))
	f.Add([]byte(`{"Records":[{"eventName":"CreateSession","eventTime":1,"responseElements":{"credentialSet":[{}]}}]}`))
	f.Add([]byte("2026-11-24T10:00:00.000Z {\"digestStartTime\":1}\n[[]]{}{}\n"))
	actions := lines(f, did("1", "ASIA1", "", "", at(1), nil), did("2", "", devARN+"0a01", "", at(1), nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		split(t, data, func(t *testing.T, texts ...string) string { return summary(t, log(texts...), log(actions)) })
	})
}

func FuzzKubernetes(f *testing.F) {
	event := did("1", "ASIA1", "", "", at(1), nil)
	f.Add([]byte(lines(f, event, did("2", "", devARN+"0a01", "0a01", at(2), forbidden))))
	f.Add([]byte(indent(f, encode(f, m{"kind": "EventList", "items": []m{event}}))))
	f.Add([]byte(indent(f, encode(f, m{"events": []m{{"message": encode(f, event)}}}))))
	f.Add([]byte(`{"logGroup":"/aws/eks/a/cluster","logEvents":[{"message":"{}"}]}{"messageType":"CONTROL_MESSAGE"}`))
	f.Add([]byte("I1124 klog\ntime=\"x\" level=info\n{\"auditID\":\"\",\"user\":{\"extra\":{\"arn\":[\"a\"]}}}"))
	trail := lines(f, created("ASIA1", "0a01", "alice", at(0), nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		split(t, data, func(t *testing.T, texts ...string) string { return summary(t, log(trail), log(texts...)) })
	})
}

// summary is what a result tells, in short.
func summary(t *testing.T, trail, cluster []Input) string {
	t.Helper()
	r, err := Run(context.Background(), trail, cluster, Options{Actions: true, TempDir: t.TempDir(), Workers: 1, block: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var b strings.Builder
	err = r.Timeline(func(s *Session, actions iter.Seq2[Action, error]) error {
		b.WriteString(encode(t, s) + "\n")
		for a, err := range actions {
			if err != nil {
				return err
			}
			b.WriteString(encode(t, a) + "\n")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Counts.Bytes, r.Counts.Damaged = 0, 0
	return b.String() + encode(t, r.Counts) + encode(t, r.Subjects) + encode(t, r.Findings)
}
