package audit

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/valyala/fastjson"
)

// visitor takes the events of a log. It says whether v is one; v is its only for
// the time of the call.
type visitor interface {
	event(v *fastjson.Value, cluster string) (known bool, err error)
	flush() error
}

// errNoTime is of an event that no time can be read of: it has no place.
var errNoTime = errors.New(whyTimestamp)

// reading is what came of reading a log.
type reading struct {
	bytes  int64
	damage []Damage
}

// read gives all events of the inputs to the visitors, which work side by side,
// in no order. Canceled, it does not wait for a reader that waits for its input.
func read(ctx context.Context, inputs []Input, visitors []visitor, block int) (reading, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l := &pipeline{inputs: inputs, block: block, batches: make(chan *batch, len(visitors))}
	readers := min(len(visitors), len(inputs))
	found := make([]damages, readers+len(visitors))
	var reads, parses sync.WaitGroup
	for r := range readers {
		found[r] = damages{}
		reads.Go(func() {
			if err := l.read(ctx, found[r]); err != nil {
				cancel(err)
			}
		})
	}
	go func() {
		reads.Wait()
		close(l.batches)
	}()
	for w, v := range visitors {
		p := &parser{to: v, damages: damages{}}
		found[readers+w] = p.damages
		parses.Go(func() {
			if err := l.parse(ctx, p); err != nil {
				cancel(err)
			}
		})
	}
	parses.Wait()
	if err := context.Cause(ctx); err != nil {
		return reading{}, err
	}
	return reading{l.bytes.Load(), merge(found, inputs)}, nil
}

// pipeline is what is between the readers and the parsers.
type pipeline struct {
	inputs  []Input
	next    atomic.Int64 // of these
	batches chan *batch
	block   int // the size of blocks
	blocks  sync.Pool
	bytes   atomic.Int64
}

func (l *pipeline) read(ctx context.Context, found damages) error {
	for ctx.Err() == nil {
		n := int(l.next.Add(1) - 1)
		if n >= len(l.inputs) {
			return nil
		}
		if err := l.readOne(ctx, n, found); err != nil {
			return err
		}
	}
	return nil
}

func (l *pipeline) readOne(ctx context.Context, number int, found damages) error {
	input := l.inputs[number]
	file, err := input.Open()
	if err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			err = e.Err // without the path
		}
		return fmt.Errorf("opening log %q: %w", input.Name, err)
	}
	defer file.Close()
	s := &splitter{file: number, size: l.block, blocks: &l.blocks, damage: func(line int64, why string) { found.add(number, line, why) }, emit: func(b *batch) bool {
		select {
		case l.batches <- b:
			return true
		case <-ctx.Done():
			return false
		}
	}}
	if s.in, err = plain(file); err == nil {
		err = s.run()
	}
	l.bytes.Add(s.bytes)
	if err != nil {
		found.add(number, 0, "reading it: "+strings.TrimPrefix(err.Error(), "read "+input.Name+": "))
	}
	return nil
}

func (l *pipeline) parse(ctx context.Context, p *parser) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case b, more := <-l.batches:
			if !more {
				return p.to.flush()
			}
			if err := p.batch(b); err != nil {
				return err
			}
			if b.block != nil {
				l.blocks.Put(&b.block)
			}
		}
	}
}

// workers is how many visitors to make.
func workers(o Options) int {
	if o.Workers > 0 {
		return o.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// damages are the Damage of files by their number and why.
type damages map[damageKey]*Damage

type damageKey struct {
	file int
	why  string
}

func (d damages) add(file int, line int64, why string) {
	k := damageKey{file, why}
	if d[k] == nil {
		d[k] = &Damage{Line: line, Why: why}
	}
	d[k].Count++
	d[k].Line = min(d[k].Line, line)
}

// merge puts together what was found side by side, by file and line.
func merge(all []damages, inputs []Input) []Damage {
	sum := damages{}
	for _, found := range all {
		for k, d := range found {
			if sum[k] == nil {
				sum[k] = &Damage{File: inputs[k.file].Name, Line: d.Line, Why: k.why}
			}
			sum[k].Count += d.Count
			sum[k].Line = min(sum[k].Line, d.Line)
		}
	}
	keys := slices.SortedFunc(maps.Keys(sum), func(a, b damageKey) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(sum[a].Line, sum[b].Line), cmp.Compare(a.why, b.why))
	})
	var list []Damage
	for _, k := range keys {
		list = append(list, *sum[k])
	}
	return list
}

// parser finds the events in batches.
type parser struct {
	to      visitor
	damages damages
	file    int
	line    int64
	// A value is its parser's until that parses again: one for each level.
	parsers [3]fastjson.Parser
	many    fastjson.Scanner
}

func (p *parser) batch(b *batch) error {
	p.file, p.line = b.file, b.line
	if b.ends == nil {
		for rest := b.data; len(rest) > 0; p.line++ {
			line := rest
			if n := bytes.IndexByte(rest, '\n'); n >= 0 {
				line, rest = rest[:n], rest[n+1:]
			} else {
				rest = nil
			}
			if err := p.text(line); err != nil {
				return err
			}
		}
		return nil
	}
	var around envelopeFacts
	if len(b.head) > 0 {
		around.stream = streams(lastKey(bytes.TrimSuffix(b.head, []byte("["))))
		// The head ends where the array of the elements begins.
		if v, err := p.parsers[0].ParseBytes(append(b.head, "]}"...)); err == nil {
			around.cluster = clusterOf(v)
		}
	}
	start := 0
	for i, end := range b.ends {
		p.line = b.lines[i]
		if err := p.document(b.data[start:end], 0, around); err != nil {
			return err
		}
		start = end
	}
	return nil
}

// text is a line.
func (p *parser) text(line []byte) error {
	line, exported := cutTimestamp(trim(line))
	if len(line) == 0 || line[0] != '{' && line[0] != '[' {
		if !other(line, exported) {
			p.damage(whyNotJSON)
		}
		return nil
	}
	return p.document(line, 0, envelopeFacts{})
}

func (p *parser) damage(why string) { p.damages.add(p.file, p.line, why) }

// envelopeFacts are what an envelope tells of the events in it.
type envelopeFacts struct {
	cluster string
	stream  bool // it is of a log group: what else is in there is no damage
}

// streams says that the elements of this key are of CloudWatch Logs.
func streams(key string) bool { return key == "events" || key == "logEvents" }

func (p *parser) document(text []byte, level int, around envelopeFacts) error {
	v, err := p.parsers[level].ParseBytes(text)
	if err == nil {
		return p.value(v, level, around)
	}
	if level > 0 {
		p.damage(whyJSON)
		return nil
	}
	// Firehose puts one document behind the other.
	for p.many.InitBytes(text); p.many.Next(); {
		if err := p.value(p.many.Value(), level, around); err != nil {
			return err
		}
	}
	if p.many.Error() != nil {
		p.damage(whyJSON)
	}
	return nil
}

// value is an event, or an envelope of some.
func (p *parser) value(v *fastjson.Value, level int, around envelopeFacts) error {
	known, err := p.to.event(v, around.cluster)
	if errors.Is(err, errNoTime) {
		p.damage(whyTimestamp)
		return nil
	}
	if known || err != nil {
		return err
	}
	if v.Type() == fastjson.TypeArray {
		return p.elements(v.GetArray(), level, around)
	}
	for _, key := range []string{"Records", "items", "Events", "events", "logEvents"} {
		if list := v.Get(key); list != nil && list.Type() == fastjson.TypeArray {
			return p.elements(list.GetArray(), level, envelopeFacts{cmp.Or(clusterOf(v), around.cluster), around.stream || streams(key)})
		}
	}
	for _, key := range []string{"CloudTrailEvent", "message", "@message"} {
		if text := v.Get(key); text != nil && text.Type() == fastjson.TypeString {
			around.stream = around.stream || key != "CloudTrailEvent"
			return p.message(trim(text.GetStringBytes()), level, envelopeFacts{cmp.Or(clusterOf(v), around.cluster), around.stream})
		}
	}
	if !around.stream && !v.Exists("messageType") && !v.Exists("digestStartTime") {
		p.damage(whyOther)
	}
	return nil
}

func (p *parser) elements(list []*fastjson.Value, level int, around envelopeFacts) error {
	for _, v := range list {
		if v.Type() == fastjson.TypeArray {
			p.damage(whyOther)
			continue
		}
		if err := p.value(v, level, around); err != nil {
			return err
		}
	}
	return nil
}

// message is a line of a log stream. Only the API server's audit streams are of
// JSON; of these CloudWatch Logs cuts off what is longer than 256 KB.
func (p *parser) message(text []byte, level int, around envelopeFacts) error {
	if level+1 == len(p.parsers) || len(text) == 0 || text[0] != '{' {
		return nil
	}
	return p.document(text, level+1, around)
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
