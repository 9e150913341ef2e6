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
	for _, text := range forms(f, []m{created("ASIA1", "0a01", "alice", at(0), nil)}) {
		if len(text) < 8<<10 { // a fuzzer minimizes what is long for long
			f.Add([]byte(text))
		}
	}
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
	for _, text := range forms(f, []m{event}) {
		if len(text) < 8<<10 {
			f.Add([]byte(text))
		}
	}
	trail := lines(f, created("ASIA1", "0a01", "alice", at(0), nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		split(t, data, func(t *testing.T, texts ...string) string { return summary(t, log(trail), log(texts...)) })
	})
}

// What is kept of an event tells the same, and has none of the keys of secrets.
func FuzzBare(f *testing.F) {
	secret := did("1", "ASIA1", "", "", at(1), func(e m) {
		e["requestURI"], e["requestObject"], e["annotations"] = "/api?token=1", m{"a": "b"}, m{"\"\x00\x7f<": "\a"}
	})
	for _, e := range []m{secret, created("ASIA1", "0a01", "alice", at(0), nil), {"items": []any{secret}}} {
		f.Add([]byte(encode(f, e)))
		f.Add([]byte(encode(f, e)[:300]))
	}
	f.Add([]byte(`{"requestURI":"/\u003ftoken\u0007","request\u004fbject":{"requestURI":1},"sessionToken":[[],{}]}`))
	f.Fuzz(func(t *testing.T, event []byte) {
		got, ok := Bare(event)
		if bytes.ContainsAny(got, "\r\n") || ok && !json.Valid(got) {
			t.Fatalf("%v %q", ok, got)
		}
		if again, _ := Bare(got); ok && !bytes.Equal(again, got) {
			t.Errorf("again: %q, not %q", again, got)
		}
		var compact bytes.Buffer
		if !ok || json.Compact(&compact, event) != nil {
			return
		}
		for _, key := range []string{"requestObject", "responseObject", "secretAccessKey", "sessionToken"} {
			if bytes.Contains(got, []byte(`"`+key+`":`)) {
				t.Errorf("%s in %s", key, got)
			}
		}
		for _, side := range []int{0, 1} {
			logs, bare := [2][]Input{}, [2][]Input{}
			logs[side], bare[side] = log(compact.String()+"\n"), log(string(got)+"\n")
			if a, b := summary(t, logs[0], logs[1]), summary(t, bare[0], bare[1]); a != b {
				t.Errorf("%s tells %s\n%s tells %s", compact.String(), a, got, b)
			}
		}
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
	return b.String() + encode(t, r.Counts) + encode(t, subjectsOf(t, r)) + encode(t, findingsOf(t, r))
}
