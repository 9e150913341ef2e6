package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"
	"sort"
)

// hash stands for a text in memory: of two texts nobody can make the same. The
// zero hash is that of no text.
type hash [16]byte

func hashOf(s string) hash {
	if s == "" {
		return hash{}
	}
	sum := sha256.Sum256([]byte(s))
	return hash(sum[:16])
}

// chunks is a list that grows without a copy of it.
type chunks[T any] struct {
	parts [][]T
	n     int32
}

const chunkSize = 1 << 12

func (c *chunks[T]) append(v T) {
	if c.n%chunkSize == 0 {
		c.parts = append(c.parts, make([]T, 0, chunkSize))
	}
	last := &c.parts[len(c.parts)-1]
	*last = append(*last, v)
	c.n++
}

func (c *chunks[T]) at(i int32) *T { return &c.parts[i/chunkSize][i%chunkSize] }

// hashIndex finds numbers by their hash: 8 bytes for each, and nothing that a
// garbage collector looks into.
type hashIndex struct {
	order  []int32 // by hash, and then as less says
	starts []int32 // of those whose hashes begin with the same bits
	shift  uint
	hash   func(i int32) hash
}

// newHashIndex indexes the numbers below n whose hash is not zero.
func newHashIndex(n int32, of func(i int32) hash, compare func(a, b int32) int) *hashIndex {
	count := int32(0)
	for i := range n {
		if of(i) != (hash{}) {
			count++
		}
	}
	width := max(1, bits.Len32(uint32(count))-1)
	x := &hashIndex{order: make([]int32, count), starts: make([]int32, 1<<width+1), shift: uint(64 - width), hash: of}
	for i := range n {
		if h := of(i); h != (hash{}) {
			x.starts[x.bucket(h)+1]++
		}
	}
	for b := range len(x.starts) - 1 {
		x.starts[b+1] += x.starts[b]
	}
	for i := n - 1; i >= 0; i-- { // each start moves back to where it was
		if h := of(i); h != (hash{}) {
			end := &x.starts[x.bucket(h)+1]
			*end--
			x.order[*end] = i
		}
	}
	copy(x.starts, x.starts[1:])
	x.starts[len(x.starts)-1] = count
	for b := range len(x.starts) - 1 {
		slices.SortFunc(x.order[x.starts[b]:x.starts[b+1]], func(a, b int32) int {
			ha, hb := of(a), of(b)
			if c := bytes.Compare(ha[:], hb[:]); c != 0 {
				return c
			}
			return compare(a, b)
		})
	}
	return x
}

func (x *hashIndex) bucket(h hash) uint64 { return binary.BigEndian.Uint64(h[:]) >> x.shift }

// find gives the numbers of a hash in order.
func (x *hashIndex) find(h hash) []int32 {
	if h == (hash{}) {
		return nil
	}
	b := x.bucket(h)
	list := x.order[x.starts[b]:x.starts[b+1]]
	where := func(least int) func(int) bool {
		return func(i int) bool {
			other := x.hash(list[i])
			return bytes.Compare(other[:], h[:]) >= least
		}
	}
	list = list[sort.Search(len(list), where(0)):]
	return list[:sort.Search(len(list), where(1))]
}
