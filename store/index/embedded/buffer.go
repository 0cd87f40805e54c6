package embedded

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/vector"
)

// buffer is a segment that is still in memory: passages in the order in which
// they came, and their words.
type buffer struct {
	counter   *counter
	passages  []index.Passage
	dead      map[int]bool // passages that were taken out again
	lengths   []uint32
	analyzers []uint8 // by passage, an index into names
	names     []string
	terms     map[string]uint32 // by key, an index into lists
	lists     [][]posting
	bytes     int // about

	units   []uint32 // by term, of the passage that is being added
	touched []uint32 // terms of that passage
}

func newBuffer(c *counter) *buffer {
	return &buffer{counter: c, terms: make(map[string]uint32), dead: make(map[int]bool)}
}

// add takes a passage. Its id is not in the buffer, alive.
func (b *buffer) add(p *index.Passage) {
	ordinal := uint32(len(b.passages))
	length := uint32(0)
	analyzer := b.counter.analyzer(p)
	b.touched = b.touched[:0]
	var key []byte
	b.counter.each(p, func(term string, units uint32) {
		key = append(append(append(key[:0], analyzer...), 0), term...)
		id, ok := b.terms[string(key)]
		if !ok {
			id = uint32(len(b.lists))
			b.terms[string(key)] = id
			b.lists = append(b.lists, nil)
			b.units = append(b.units, 0)
			b.bytes += len(key) + 64
		}
		if b.units[id] == 0 {
			b.touched = append(b.touched, id)
		}
		b.units[id] = addUnits(b.units[id], units)
		length = addUnits(length, units)
	})
	for _, id := range b.touched {
		b.lists[id] = append(b.lists[id], posting{ordinal, b.units[id]})
		b.units[id] = 0
	}
	b.passages = append(b.passages, *p)
	b.lengths = append(b.lengths, length)
	b.analyzers = append(b.analyzers, b.name(analyzer))
	b.bytes += 12*len(b.touched) + len(p.Text) + len(p.Title) + len(p.Heading) + len(p.Context) + 4*len(p.Vector) + 400 + 80*len(p.Fields)
}

// name is the place of an analyzer's name. There are at most as many as
// languages.
func (b *buffer) name(analyzer string) uint8 {
	at := slices.Index(b.names, analyzer)
	if at < 0 {
		at = len(b.names)
		b.names = append(b.names, analyzer)
	}
	return uint8(at)
}

// remove takes the passages of documents out.
func (b *buffer) remove(documents map[string]bool) {
	for i := range b.passages {
		if documents[b.passages[i].Document] {
			b.dead[i] = true
		}
	}
}

// live is how many passages are left.
func (b *buffer) live() int { return len(b.passages) - len(b.dead) }

// order lists the places of the passages that are left, by id, and says where
// each of them went; those that are dead have no place.
func (b *buffer) order() (order []int, place []int32) {
	for i := range b.passages {
		if !b.dead[i] {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(x, y int) int { return cmp.Compare(b.passages[x].ID, b.passages[y].ID) })
	place = make([]int32, len(b.passages))
	for i := range place {
		place[i] = -1
	}
	for to, from := range order {
		place[from] = int32(to)
	}
	return order, place
}

// segmentWriter writes the file of a segment.
type segmentWriter struct {
	w    *bufio.Writer
	at   int64
	err  error
	pack *packer
}

// put writes bytes and says where they are.
func (w *segmentWriter) put(b []byte) region {
	r := region{at: w.at, size: len(b), sum: checksum(b)}
	w.write(b)
	return r
}

// write writes bytes; the first error is kept.
func (w *segmentWriter) write(b []byte) { _, _ = w.Write(b) }

// Write is write for package vector.
func (w *segmentWriter) Write(b []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.w.Write(b)
	w.at += int64(n)
	w.err = err
	return n, err
}

// The file of a segment: magic, sections, contents, trailer. The trailer is
// where the contents are, and magic again.
const (
	magic       = "LEATIDX1"
	trailerSize = 8 + 4 + 4 + len(magic)
)

// write writes the segment. It is not empty.
func (b *buffer) write(ctx context.Context, out io.Writer, pack *packer) error {
	w := &segmentWriter{w: bufio.NewWriterSize(out, 1<<18), pack: pack}
	order, place := b.order()
	w.write([]byte(magic))
	contents := b.appendHead(nil, order)
	contents = w.tables(contents, b, order)
	contents = w.stored(contents, b, order)
	contents = w.dictionary(contents, b, order, place)
	contents = w.fields(contents, b, order)
	contents, err := w.vectors(ctx, contents, b, order)
	if err != nil {
		return err
	}
	end := w.put(contents)
	trailer := binary.LittleEndian.AppendUint64(nil, uint64(end.at))
	trailer = binary.LittleEndian.AppendUint32(trailer, uint32(end.size))
	trailer = binary.LittleEndian.AppendUint32(trailer, end.sum)
	w.write(append(trailer, magic...))
	if w.err == nil {
		w.err = w.w.Flush()
	}
	return w.err
}

// appendHead appends how many passages there are and the names of analyzers.
func (b *buffer) appendHead(contents []byte, order []int) []byte {
	contents = binary.AppendUvarint(contents, uint64(len(order)))
	contents = binary.AppendUvarint(contents, uint64(len(b.names)))
	for _, name := range b.names {
		contents = appendString(contents, name)
	}
	return contents
}

// tables writes what is held in memory of each passage: its length, its
// document, its analyzer; and the names of the documents.
func (w *segmentWriter) tables(contents []byte, b *buffer, order []int) []byte {
	var lengths, documents, analyzers, names []byte
	local := make(map[string]uint32)
	for _, i := range order {
		document := b.passages[i].Document
		id, ok := local[document]
		if !ok {
			id = uint32(len(local))
			local[document] = id
			names = appendString(names, document)
		}
		lengths = binary.LittleEndian.AppendUint32(lengths, b.lengths[i])
		documents = binary.LittleEndian.AppendUint32(documents, id)
		analyzers = append(analyzers, b.analyzers[i])
	}
	contents = appendRegion(contents, w.put(slices.Concat(lengths, documents, analyzers)))
	contents = binary.AppendUvarint(contents, uint64(len(local)))
	return appendRegion(contents, w.put(names))
}

// stored writes the passages themselves.
func (w *segmentWriter) stored(contents []byte, b *buffer, order []int) []byte {
	var entries []storedEntry
	var block []byte
	first := 0
	end := func(to int) {
		if len(block) > 0 {
			entries = append(entries, storedEntry{w.put(w.pack.pack(block)), uint32(first), b.passages[order[first]].ID})
			block, first = block[:0], to
		}
	}
	for to, i := range order {
		block = appendPassage(block, &b.passages[i])
		if len(block) >= storedBlock {
			end(to + 1)
		}
	}
	end(len(order))
	contents = binary.AppendUvarint(contents, uint64(len(entries)))
	for _, e := range entries {
		contents = appendRegion(contents, e.region)
		contents = binary.AppendUvarint(contents, uint64(e.first))
		contents = appendString(contents, e.firstID)
	}
	return contents
}

// termBlock is how many terms a block of the dictionary has.
const termBlock = 64

// dictionary writes the postings of all terms, and after them the terms, in
// order, in blocks: what each shares with the one before, the rest, how many
// postings, and the size and checksum of their list. Lists follow one another
// from the place that begins the block.
func (w *segmentWriter) dictionary(contents []byte, b *buffer, order []int, place []int32) []byte {
	lengths := make([]uint32, len(order))
	for to, from := range order {
		lengths[to] = b.lengths[from]
	}
	var blocks [][]byte
	var firsts []string
	var list []posting
	var encoded []byte
	before, n := "", 0
	for _, key := range slices.Sorted(maps.Keys(b.terms)) {
		if list = placed(list[:0], b.lists[b.terms[key]], place); len(list) == 0 {
			continue
		}
		if n%termBlock == 0 {
			firsts = append(firsts, key)
			blocks = append(blocks, binary.AppendUvarint(nil, uint64(w.at)))
			before = ""
		}
		n++
		encoded = appendPostings(encoded[:0], list, lengths)
		at := w.put(encoded)
		block := &blocks[len(blocks)-1]
		shared := sharedPrefix(before, key)
		*block = binary.AppendUvarint(*block, uint64(shared))
		*block = appendString(*block, key[shared:])
		*block = binary.AppendUvarint(*block, uint64(len(list)))
		*block = binary.AppendUvarint(*block, uint64(at.size))
		*block = binary.LittleEndian.AppendUint32(*block, at.sum)
		before = key
	}
	contents = binary.AppendUvarint(contents, uint64(len(blocks)))
	for i, block := range blocks {
		contents = appendRegion(contents, w.put(block))
		contents = appendString(contents, firsts[i])
	}
	return contents
}

// placed is a list by the places that passages went to.
func placed(into, list []posting, place []int32) []posting {
	for _, p := range list {
		if to := place[p.ordinal]; to >= 0 {
			into = append(into, posting{uint32(to), p.count})
		}
	}
	slices.SortFunc(into, func(x, y posting) int { return cmp.Compare(x.ordinal, y.ordinal) })
	return into
}

func sharedPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// fields writes the values of every field.
func (w *segmentWriter) fields(contents []byte, b *buffer, order []int) []byte {
	values := make(map[string][]valued)
	for to, i := range order {
		for _, f := range b.passages[i].Fields {
			values[f.Name] = append(values[f.Name], valued{f.Value, uint32(to)})
		}
	}
	contents = binary.AppendUvarint(contents, uint64(len(values)))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		contents = appendString(contents, name)
		contents = appendRegion(contents, w.put(appendFieldValues(nil, values[name])))
	}
	return contents
}

// vectors writes the set of vectors, where there are any.
func (w *segmentWriter) vectors(ctx context.Context, contents []byte, b *buffer, order []int) ([]byte, error) {
	dimension := 0
	for _, i := range order {
		dimension = max(dimension, len(b.passages[i].Vector))
	}
	from := w.at
	if dimension > 0 {
		set, err := vector.NewWriter(w, vector.Options{Dim: dimension})
		if err != nil {
			return nil, err
		}
		for _, i := range order {
			if err := set.Add(b.passages[i].Vector); err != nil {
				return nil, err
			}
		}
		if err := set.Close(ctx); err != nil {
			return nil, err
		}
	}
	contents = binary.AppendUvarint(contents, uint64(dimension))
	contents = binary.AppendUvarint(contents, uint64(from))
	return binary.AppendUvarint(contents, uint64(w.at-from)), nil
}

// clonePassage frees a passage from the memory that its strings are part of,
// which may be a whole document.
func clonePassage(p index.Passage) index.Passage {
	for _, s := range [...]*string{&p.ID, &p.Document, &p.Version, &p.Title, &p.Heading, &p.Text, &p.Context, &p.Language, &p.Parent} {
		*s = strings.Clone(*s)
	}
	p.Fields, p.Vector = slices.Clone(p.Fields), slices.Clone(p.Vector)
	return p
}
