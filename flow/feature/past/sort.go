package past

import (
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"slices"
)

// record is one row or event in the order that both are gone through: by the
// hash of the entity, by the entity, by time.
type record struct {
	hash    uint64
	order   int64
	key     []byte
	payload []byte
}

// compareKeys orders entities.
func compareKeys(a, b *record) int {
	if c := cmp.Compare(a.hash, b.hash); c != 0 {
		return c
	}
	return bytes.Compare(a.key, b.key)
}

// In memory and in files a record is its hash, its order, the lengths of key
// and payload, and the two.
const recordHead = 8 + 8 + 4 + 4

func appendRecord(dst []byte, r *record) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, r.hash)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.order))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(r.key)))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(r.payload)))
	return append(append(dst, r.key...), r.payload...)
}

// head reads the fixed part of a record, and returns how long the rest is.
func (r *record) head(p []byte) (key, payload int) {
	r.hash = binary.LittleEndian.Uint64(p)
	r.order = int64(binary.LittleEndian.Uint64(p[8:]))
	return int(binary.LittleEndian.Uint32(p[16:])), int(binary.LittleEndian.Uint32(p[20:]))
}

// at reads the record that begins at p, which it shares.
func (r *record) at(p []byte) {
	key, payload := r.head(p)
	r.key, r.payload = p[recordHead:recordHead+key], p[recordHead+key:recordHead+key+payload]
}

// ref is a record in the arena, with what decides most comparisons.
type ref struct {
	hash  uint64
	order int64
	chunk uint32
	at    uint32
}

// arena holds records in chunks, which are used again after a run was written.
type arena struct {
	chunks [][]byte
	size   int // of a chunk, at least
	used   int // bytes of records
}

// room returns the place of a record of n bytes at the end of the last chunk.
func (a *arena) room(n int) (chunk, at uint32) {
	last := len(a.chunks) - 1
	if last < 0 || cap(a.chunks[last])-len(a.chunks[last]) < n {
		last++
		if last < cap(a.chunks) {
			a.chunks = a.chunks[:last+1]
			a.chunks[last] = a.chunks[last][:0]
		} else {
			a.chunks = append(a.chunks, nil)
		}
		if cap(a.chunks[last]) < n {
			a.chunks[last] = make([]byte, 0, max(a.size, n))
		}
	}
	a.used += n
	return uint32(last), uint32(len(a.chunks[last]))
}

// reset forgets the records and keeps the chunks.
func (a *arena) reset() {
	a.chunks, a.used = a.chunks[:0], 0
}

func (a *arena) record(r *record, of *ref) { r.at(a.chunks[of.chunk][of.at:]) }

const refSize = 24

// sorter sorts records in bounded memory: what does not fit goes to a file in
// sorted runs. add is for one goroutine; what sorted returns may be opened by
// many.
type sorter struct {
	disk   *disk
	budget int
	file   *spill
	arena  arena
	refs   []ref
	runs   []run
}

// run is a part of the file that is sorted.
type run struct{ from, to int64 }

// mostRuns bounds how many runs are merged at a time, and with it how many
// buffers there are.
const mostRuns = 128

func newSorter(d *disk, budget int64) *sorter {
	s := &sorter{disk: d, budget: int(max(budget, leastMemory/4))}
	s.arena.size = min(256<<10, s.budget/4)
	return s
}

func (s *sorter) add(r *record) error {
	size := recordHead + len(r.key) + len(r.payload)
	if len(s.refs) > 0 && s.arena.used+size+refSize*(len(s.refs)+1) > s.budget {
		if err := s.spill(); err != nil {
			return err
		}
	}
	if len(s.refs) == cap(s.refs) {
		s.refs = slices.Grow(s.refs, max(1024, len(s.refs)/2))
	}
	chunk, at := s.arena.room(size)
	s.refs = append(s.refs, ref{r.hash, r.order, chunk, at})
	s.arena.chunks[chunk] = appendRecord(s.arena.chunks[chunk], r)
	return nil
}

// sort orders what is in memory. Entities that share a hash are rare, so keys
// are looked at once for each record and not in every comparison.
func (s *sorter) sort() {
	slices.SortFunc(s.refs, func(a, b ref) int {
		if a.hash != b.hash {
			return cmp.Compare(a.hash, b.hash)
		}
		return cmp.Compare(a.order, b.order)
	})
	for from := 0; from < len(s.refs); {
		to := from + 1
		for to < len(s.refs) && s.refs[to].hash == s.refs[from].hash {
			to++
		}
		s.untangle(s.refs[from:to])
		from = to
	}
}

// untangle orders records of one hash by their entities.
func (s *sorter) untangle(refs []ref) {
	var first, r record
	s.arena.record(&first, &refs[0])
	for i := range refs {
		if s.arena.record(&r, &refs[i]); !bytes.Equal(r.key, first.key) {
			slices.SortFunc(refs, func(a, b ref) int {
				s.arena.record(&first, &a)
				s.arena.record(&r, &b)
				return cmp.Or(bytes.Compare(first.key, r.key), cmp.Compare(a.order, b.order))
			})
			return
		}
	}
}

// spill writes the arena as a run.
func (s *sorter) spill() error {
	s.sort()
	w, err := s.writer()
	if err != nil {
		return err
	}
	var r record
	for i := range s.refs {
		s.arena.record(&r, &s.refs[i])
		if err := w.add(&r); err != nil {
			return err
		}
	}
	s.arena.reset()
	s.refs = s.refs[:0]
	if err := w.end(); err != nil {
		return err
	}
	if s.runs = append(s.runs, w.run); len(s.runs) >= mostRuns {
		return s.merge()
	}
	return nil
}

// merge makes one run of all.
func (s *sorter) merge() error {
	w, err := s.writer()
	if err != nil {
		return err
	}
	c := (&sorted{file: s.file, runs: s.runs, buffer: s.budget / mostRuns}).open()
	for {
		r, err := c.next()
		if err != nil {
			return err
		}
		if r == nil {
			break
		}
		if err := w.add(r); err != nil {
			return err
		}
	}
	if err := w.end(); err != nil {
		return err
	}
	s.runs = append(s.runs[:0], w.run)
	return nil
}

// runWriter appends a run to the file.
type runWriter struct {
	file   *spill
	buffer []byte
	run    run
}

const writeBuffer = 256 << 10

func (s *sorter) writer() (*runWriter, error) {
	if s.file == nil {
		var err error
		if s.file, err = s.disk.file(); err != nil {
			return nil, err
		}
	}
	return &runWriter{file: s.file, run: run{s.file.size, s.file.size}}, nil
}

func (w *runWriter) add(r *record) error {
	w.buffer = appendRecord(w.buffer, r)
	if len(w.buffer) < writeBuffer {
		return nil
	}
	return w.end()
}

func (w *runWriter) end() error {
	_, err := w.file.write(w.buffer)
	w.run.to += int64(len(w.buffer))
	w.buffer = w.buffer[:0]
	return err
}

// finish sorts what is in memory, and returns all of it.
func (s *sorter) finish() *sorted {
	s.sort()
	return &sorted{arena: s.arena, refs: s.refs, file: s.file, runs: s.runs, buffer: s.budget / (len(s.runs) + 1)}
}

// sorted are records in order, some in memory and some in runs of a file.
type sorted struct {
	arena  arena
	refs   []ref
	file   *spill
	runs   []run
	buffer int // bytes to read ahead of each run
}

// cursor goes through sorted records once.
type cursor struct {
	heap    sources
	pending bool // the top of the heap was handed out
	err     error
}

// source is where records come from in order.
type source struct {
	record
	next func() (bool, error)
}

type sources []*source

func (h sources) Len() int      { return len(h) }
func (h sources) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h sources) Less(i, j int) bool {
	if c := compareKeys(&h[i].record, &h[j].record); c != 0 {
		return c < 0
	}
	return h[i].order < h[j].order
}

// Push implements heap.Interface; sources are never pushed.
func (h *sources) Push(any) {}

// Pop implements heap.Interface.
func (h *sources) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

// open begins at the first record.
func (s *sorted) open() *cursor {
	c := &cursor{}
	if len(s.refs) > 0 {
		c.add(s.memory())
	}
	for _, r := range s.runs {
		c.add(s.run(r))
	}
	heap.Init(&c.heap)
	return c
}

func (c *cursor) add(s *source) {
	ok, err := s.next()
	if err != nil {
		c.err = err
	} else if ok {
		c.heap = append(c.heap, s)
	}
}

// next returns the next record, nil after the last. It is valid until the next
// call.
func (c *cursor) next() (*record, error) {
	if c.err != nil {
		return nil, c.err
	}
	if c.pending {
		c.pending = false
		ok, err := c.heap[0].next()
		switch {
		case err != nil:
			c.err = err
			return nil, err
		case !ok:
			heap.Pop(&c.heap)
		case len(c.heap) > 1:
			heap.Fix(&c.heap, 0)
		}
	}
	if len(c.heap) == 0 {
		return nil, nil
	}
	c.pending = true
	return &c.heap[0].record, nil
}

func (s *sorted) memory() *source {
	src, i := &source{}, 0
	src.next = func() (bool, error) {
		if i == len(s.refs) {
			return false, nil
		}
		s.arena.record(&src.record, &s.refs[i])
		i++
		return true, nil
	}
	return src
}

// leastBuffer is what is read of a run at a time, at least.
const leastBuffer = 16 << 10

func (s *sorted) run(r run) *source {
	f := &runReader{file: s.file, left: r, buffer: make([]byte, 0, min(max(leastBuffer, s.buffer), writeBuffer))}
	src := &source{}
	src.next = func() (bool, error) { return f.next(&src.record) }
	return src
}

// runReader reads a run from its file.
type runReader struct {
	file   *spill
	left   run
	buffer []byte
	at     int
}

func (f *runReader) next(r *record) (bool, error) {
	if f.at == len(f.buffer) && f.left.from == f.left.to {
		return false, nil
	}
	if err := f.have(recordHead); err != nil {
		return false, err
	}
	key, payload := r.head(f.buffer[f.at:])
	size := recordHead + key + payload
	if err := f.have(size); err != nil {
		return false, err
	}
	r.at(f.buffer[f.at:])
	f.at += size
	return true, nil
}

// have makes the next n bytes of the run stand in the buffer.
func (f *runReader) have(n int) error {
	rest := len(f.buffer) - f.at
	if rest >= n {
		return nil
	}
	if int64(n-rest) > f.left.to-f.left.from {
		return errTorn
	}
	copy(f.buffer[:rest], f.buffer[f.at:])
	f.at = 0
	f.buffer = slices.Grow(f.buffer[:rest], n-rest)
	more := int(min(int64(cap(f.buffer)-rest), f.left.to-f.left.from))
	f.buffer = f.buffer[:rest+more]
	err := f.file.read(f.buffer[rest:], f.left.from)
	f.left.from += int64(more)
	return err
}
