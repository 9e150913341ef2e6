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
	bytes   int64
	damage  []Damage
	ignored map[string]int64
}

// read gives all events of the inputs to the visitors, which work side by side,
// in no order. Canceled, it does not wait for a reader that waits for its input.
func read(ctx context.Context, inputs []Input, visitors []visitor, block int) (reading, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l := &pipeline{inputs: inputs, block: block, batches: make(chan *batch, len(visitors))}
	readers := min(len(visitors), len(inputs))
	found := make([]found, readers+len(visitors))
	for i := range found {
		found[i] = newFound()
	}
	var reads, parses sync.WaitGroup
	for r := range readers {
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
		p := &parser{to: v, found: found[readers+w], inputs: inputs}
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
	ignored := map[string]int64{}
	for _, f := range found {
		for what, n := range f.ignored {
			ignored[what] += n
		}
	}
	return reading{l.bytes.Load(), merge(found, inputs), ignored}, nil
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

func (l *pipeline) read(ctx context.Context, found found) error {
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

func (l *pipeline) readOne(ctx context.Context, number int, found found) error {
	input := l.inputs[number]
	file, err := input.Open()
	if err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			err = e.Err // without the path
		}
		return fmt.Errorf("opening log %q: %w", input.Name, err)
	}
	defer file.Close()
	if strings.HasSuffix(input.Name, ".csv.metadata") {
		found.ignored[ignoredMetadata]++
		return nil
	}
	t := &tally{found, number}
	s := &splitter{file: number, size: l.block, blocks: &l.blocks, damage: t.damage, emit: func(b *batch) bool {
		select {
		case l.batches <- b:
			return true
		case <-ctx.Done():
			return false
		}
	}}
	if s.in, err = plain(file, t); err == nil {
		err = s.run()
	}
	l.bytes.Add(s.bytes)
	if _, ok := errors.AsType[*unsupported](err); ok {
		found.damages.add(number, 0, err.Error())
	} else if err != nil {
		found.damages.add(number, 0, "reading it: "+strings.TrimPrefix(err.Error(), "read "+input.Name+": "))
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

// found is what a reader or parser found besides events.
type found struct {
	damages damages
	ignored map[string]int64
}

func newFound() found { return found{damages{}, map[string]int64{}} }

// tally is what is found in one file.
type tally struct {
	found
	file int
}

func (t *tally) damage(line int64, why string) { t.damages.add(t.file, line, why) }
func (t *tally) ignore(what string)            { t.ignored[what]++ }

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
func merge(all []found, inputs []Input) []Damage {
	sum := damages{}
	for _, found := range all {
		for k, d := range found.damages {
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
	to     visitor
	found  found
	inputs []Input
	file   int
	line   int64
	from   origin // of the file
	// A value is its parser's until that parses again: one for each level.
	parsers [maxWrapped]fastjson.Parser
	many    [maxWrapped]fastjson.Scanner
}

func (p *parser) batch(b *batch) error {
	p.file, p.line = b.file, b.line
	p.from = origin{}.in(streamOf(p.inputs[b.file].Name))
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
	from := p.from
	from.stream = from.stream || b.stamped
	if len(b.head) > 0 {
		from.stream = from.stream || streams(lastKey(bytes.TrimSuffix(b.head, []byte("["))))
		// The head ends where the array of the elements begins.
		if v, err := p.parsers[0].ParseBytes(append(b.head, "]}"...)); err == nil {
			from.cluster = clusterOf(v)
			from = from.in(view(v, "logStream"))
		}
	}
	start := 0
	for i, end := range b.ends {
		p.line = b.lines[i]
		if err := p.item(b.data[start:end], len(b.head) > 0, from); err != nil {
			return err
		}
		start = end
	}
	return nil
}

// item is a document, or an element of one.
func (p *parser) item(text []byte, element bool, from origin) error {
	if element && text[0] == '[' {
		if v, err := p.parsers[0].ParseBytes(text); err == nil {
			return p.row(v.GetArray(), 0, from)
		}
	}
	return p.document(text, 0, from)
}

// text is a line.
func (p *parser) text(line []byte) error {
	line, from := cutPrefix(trim(line), p.from)
	switch {
	case len(line) == 0:
		return nil
	case line[0] == '{', line[0] == '[' && !klogged(line, from):
		return p.document(line, 0, from)
	case line[0] == '"':
		return p.quoted(line, from)
	case bytes.IndexByte(line, '\t') >= 0:
		return p.tabs(line, from)
	case packed(line):
		return p.message(line, 0, from)
	}
	p.words(line, from)
	return nil
}

// klogged reports a line of another stream that begins as a list does: [GIN] 2026.
func klogged(line []byte, from origin) bool {
	return from.stream && !from.audit && fastjson.ValidateBytes(line) != nil
}

func (p *parser) damage(why string)  { p.found.damages.add(p.file, p.line, why) }
func (p *parser) ignore(what string) { p.found.ignored[what]++ }

func (p *parser) document(text []byte, level int, from origin) error {
	v, err := p.parsers[level].ParseBytes(text)
	if err == nil {
		return p.value(v, level, from)
	}
	// Firehose puts one document behind the other, and --output text tabs between.
	many := &p.many[level]
	for many.InitBytes(text); many.Next(); {
		if err := p.value(many.Value(), level, from); err != nil {
			return err
		}
	}
	if many.Error() != nil {
		p.damage(whyJSON)
	}
	return nil
}
