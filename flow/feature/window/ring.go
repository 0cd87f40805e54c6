package window

import (
	"math"
	"slices"
)

// ring holds the single events of one entity in the order of their time, and
// within a time in that of their values. An event is a row of words: its time,
// its flags, the hash of its id, then one cell for each argument of the plan.
// Events leave at the front and mostly come at the back.
type ring struct {
	words  []uint64
	head   int     // rows before the first event
	n      int     // events
	packed *packed // of a ring that is only read: where its rows come from
}

// The words of a row before its cells.
const (
	wordTime  = iota
	wordFlags // filters that it passes in the low half, cells that are not NULL in the high one
	wordID
	wordCells
)

// row is the i-th event.
func (r *ring) row(i, stride int) []uint64 {
	at := (r.head + i) * stride
	row := r.words[at : at+stride : at+stride]
	if r.packed != nil && !r.packed.open[i] {
		r.packed.unpack(i, row)
	}
	return row
}

func (r *ring) time(i, stride int) int64 {
	if r.packed != nil {
		return r.packed.time(i)
	}
	return int64(r.words[(r.head+i)*stride])
}

// before is how many events have a time before t.
func (r *ring) before(t int64, stride int) int {
	lo, hi := 0, r.n
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if r.time(mid, stride) < t {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// insert puts a row before the i-th event and returns by how many bytes the
// ring has grown.
func (r *ring) insert(i int, row []uint64) (grown int64) {
	stride := len(row)
	if (r.head+r.n+1)*stride > len(r.words) {
		grown = r.room(stride)
	}
	at, end := (r.head+i)*stride, (r.head+r.n)*stride
	copy(r.words[at+stride:end+stride], r.words[at:end])
	copy(r.words[at:], row)
	r.n++
	return grown
}

// leastEvents is how many events a ring has room for at first.
const leastEvents = 4

// room makes room for one more row at the back: it moves the events to the
// front where there are many free rows, and else takes half as much more.
func (r *ring) room(stride int) (grown int64) {
	live := r.words[r.head*stride : (r.head+r.n)*stride]
	if r.head > r.n/2 && r.head > 0 {
		copy(r.words, live)
	} else {
		size := max(leastEvents, r.n+r.n/2+1) * stride
		grown = int64(size-len(r.words)) * 8
		words := make([]uint64, size)
		copy(words, live)
		r.words = words
	}
	r.head = 0
	return grown
}

// drop forgets the first n events.
func (r *ring) drop(n int) {
	r.head += n
	if r.n -= n; r.n == 0 {
		r.head = 0
	}
}

// ids is the set of the ids of a ring, kept where the ring is too long to be
// looked through for each event. Zero stands for no id.
type ids struct {
	seen table
	on   bool
}

// fewEvents is how many events are looked through.
const fewEvents = 32

// has tells whether an id is there.
func (s *ids) has(id uint64, r *ring, stride int, seed uint64) bool {
	if id == 0 {
		return false
	}
	if s.on {
		return s.seen.slots[s.seen.find(id, seed)].count != 0
	}
	for at := r.head*stride + wordID; at < (r.head+r.n)*stride; at += stride {
		if r.words[at] == id {
			return true
		}
	}
	return false
}

// add notes the id of an event that is in the ring already.
func (s *ids) add(id uint64, r *ring, stride int, seed uint64) (grown int64) {
	switch {
	case s.on && id != 0:
		return s.seen.add(id, 1, seed)
	case !s.on && r.n > fewEvents:
		s.on = true
		grown = s.seen.resize(128, seed)
		for i := range r.n {
			if id := r.row(i, stride)[wordID]; id != 0 {
				grown += s.seen.add(id, 1, seed)
			}
		}
	}
	return grown
}

// remove forgets an id. The set goes away with the last event.
func (s *ids) remove(id uint64, seed uint64) {
	if s.on && id != 0 {
		s.seen.add(id, -1, seed)
	}
}

// wedge holds the events that are, or may become, the greatest of a window:
// each is later and less than the one before it. Events may come in any order
// and leave by their time.
type wedge struct {
	peaks []peak
	head  int
	due   int64 // no peak is before it
}

type peak struct {
	time int64
	cell uint64
}

const peakBytes = 16

// insert notes an event. less orders cells, the greatest of them being asked
// for.
func (w *wedge) insert(t int64, cell uint64, less func(a, b uint64) bool) (grown int64) {
	end := len(w.peaks)
	for end > w.head && w.peaks[end-1].time > t {
		end--
	}
	if end < len(w.peaks) && !less(w.peaks[end].cell, cell) {
		return 0 // a later one is as great
	}
	if end > w.head && w.peaks[end-1].time == t && !less(w.peaks[end-1].cell, cell) {
		return 0 // one that leaves with it is
	}
	from := end
	for from > w.head && !less(cell, w.peaks[from-1].cell) {
		from--
	}
	w.due = min(w.due, t)
	before := cap(w.peaks)
	if from == len(w.peaks) && w.head > 16 && 2*w.head > len(w.peaks) {
		n := copy(w.peaks, w.peaks[w.head:])
		w.peaks, from, end, w.head = w.peaks[:n], n, n, 0
	}
	w.peaks = slices.Replace(w.peaks, from, end, peak{t, cell})
	return int64(cap(w.peaks)-before) * peakBytes
}

// expire forgets events whose time is before t.
func (w *wedge) expire(t int64) {
	if w.due >= t {
		return
	}
	for w.head < len(w.peaks) && w.peaks[w.head].time < t {
		w.head++
	}
	if w.head == len(w.peaks) {
		w.reset()
		return
	}
	w.due = w.peaks[w.head].time
}

// retreat forgets events that are not before t, and gives the time of the last
// peak that is.
func (w *wedge) retreat(t int64) (last int64, some bool) {
	end := len(w.peaks)
	for end > w.head && w.peaks[end-1].time >= t {
		end--
	}
	w.peaks = w.peaks[:end]
	if end == w.head {
		w.reset()
		return 0, false
	}
	return w.peaks[end-1].time, true
}

// top is the greatest value there is.
func (w *wedge) top() (cell uint64, ok bool) {
	if w.head == len(w.peaks) {
		return 0, false
	}
	return w.peaks[w.head].cell, true
}

func (w *wedge) reset() { w.peaks, w.head, w.due = w.peaks[:0], 0, math.MaxInt64 }
