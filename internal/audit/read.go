package audit

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
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

// reading is what came of reading a log.
type reading struct {
	bytes  int64
	damage []Damage
}

// read gives all events of the inputs to the visitors, which work side by side,
// in no order.
func read(ctx context.Context, inputs []Input, visitors []visitor) (reading, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	batches, blocks := make(chan *batch, len(visitors)), &sync.Pool{}
	var total, next atomic.Int64
	readers := min(len(visitors), len(inputs))
	found := make([]damages, readers+len(visitors))
	var reads, parsing sync.WaitGroup
	for r := range readers {
		found[r] = damages{}
		reads.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(inputs)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				n, err := readOne(ctx, inputs[i], int(i), batches, blocks, found[r])
				total.Add(n)
				if err != nil {
					cancel(err)
				}
			}
		})
	}
	for w, v := range visitors {
		p := &parser{to: v, damages: damages{}}
		found[readers+w] = p.damages
		parsing.Go(func() {
			for b := range batches {
				if ctx.Err() != nil {
					continue // so that no reader waits
				}
				if err := p.batch(b); err != nil {
					cancel(err)
				}
				if b.block != nil {
					blocks.Put(&b.block)
				}
			}
			if err := v.flush(); err != nil {
				cancel(err)
			}
		})
	}
	reads.Wait()
	close(batches)
	parsing.Wait()
	if err := context.Cause(ctx); err != nil {
		return reading{}, err
	}
	return reading{total.Load(), merge(found, inputs)}, nil
}

// workers is how many visitors to make.
func workers(o Options) int {
	if o.Workers > 0 {
		return o.Workers
	}
	return runtime.GOMAXPROCS(0)
}

func readOne(ctx context.Context, input Input, number int, batches chan<- *batch, blocks *sync.Pool, found damages) (int64, error) {
	file, err := input.Open()
	if err != nil {
		return 0, fmt.Errorf("opening log %q: %w", input.Name, err)
	}
	defer file.Close()
	s := &splitter{file: number, blocks: blocks, damage: func(line int64, why string) { found.add(number, line, why) }, emit: func(b *batch) bool {
		select {
		case batches <- b:
			return true
		case <-ctx.Done():
			return false
		}
	}}
	if s.in, err = plain(file); err == nil {
		err = s.run()
	}
	if err != nil {
		found.add(number, 0, "reading it: "+strings.TrimPrefix(err.Error(), "read "+input.Name+": "))
	}
	return s.bytes, nil
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
		around.within = true
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
	if line = cutTimestamp(trim(line)); len(line) == 0 {
		return nil
	}
	if line[0] != '{' && line[0] != '[' {
		if !foreign(line) {
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
	within  bool // there is one
}

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
	if known || err != nil {
		return err
	}
	if v.Type() == fastjson.TypeArray {
		return p.elements(v.GetArray(), level, envelopeFacts{around.cluster, true})
	}
	for _, key := range []string{"Records", "items", "Events", "events", "logEvents"} {
		if list := v.Get(key); list != nil && list.Type() == fastjson.TypeArray {
			return p.elements(list.GetArray(), level, envelopeFacts{cmp.Or(clusterOf(v), around.cluster), true})
		}
	}
	for _, key := range []string{"CloudTrailEvent", "message", "@message"} {
		if text := v.Get(key); text != nil && text.Type() == fastjson.TypeString {
			return p.message(trim(text.GetStringBytes()), level, envelopeFacts{cmp.Or(clusterOf(v), around.cluster), true})
		}
	}
	if !around.within && !v.Exists("messageType") && !v.Exists("digestStartTime") {
		p.damage(whyOther)
	}
	return nil
}

func (p *parser) elements(list []*fastjson.Value, level int, around envelopeFacts) error {
	for _, v := range list {
		if v.Type() == fastjson.TypeArray {
			continue // what fastjson's depth does not bound, ours need not follow
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
