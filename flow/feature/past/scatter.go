package past

import (
	"encoding/binary"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// scatter puts what was found back into the order of the rows. Positions are
// 0 to n-1 without gaps, so no sort is needed: what is found is dealt to parts
// of the rows by its position, and a part, which fits in memory, is put in
// order when its turn comes.
type scatter struct {
	disk   *disk
	budget int64
	file   *spill
	rows   int64 // of a part
	parts  []part
	held   int64 // bytes in all parts' buffers
}

// part is what was found for some consecutive rows.
type part struct {
	buffer  []byte
	extents []run // of the file
	bytes   int64
}

// dealtHead is before what was found for a row: its position within the part
// and the length.
const dealtHead = 4 + 4

// mostParts bounds how many parts there are, and with them the buffers.
const mostParts = 4096

// newScatter is for n rows with these columns.
func newScatter(d *disk, budget, n int64, columns []frame.Column) *scatter {
	size := int64(dealtHead + 8 + 16*len(columns))
	rows := max(1024, budget/4/size, n/mostParts+1)
	return &scatter{disk: d, budget: budget, rows: rows, parts: make([]part, (n+rows-1)/rows)}
}

// deal takes what was found for the row at a position.
func (s *scatter) deal(position int64, w *rowWriter, row int) error {
	p := &s.parts[position/s.rows]
	before := len(p.buffer)
	p.buffer = binary.LittleEndian.AppendUint32(p.buffer, uint32(position%s.rows))
	p.buffer = append(p.buffer, 0, 0, 0, 0)
	p.buffer = w.append(p.buffer, row)
	size := len(p.buffer) - before
	binary.LittleEndian.PutUint32(p.buffer[before+4:], uint32(size-dealtHead))
	if s.held += int64(size); s.held <= s.budget {
		return nil
	}
	return s.flush()
}

// flush writes the buffers to the file.
func (s *scatter) flush() (err error) {
	if s.file == nil {
		if s.file, err = s.disk.file(); err != nil {
			return err
		}
	}
	for i := range s.parts {
		p := &s.parts[i]
		if len(p.buffer) == 0 {
			continue
		}
		at, err := s.file.write(p.buffer)
		if err != nil {
			return err
		}
		p.extents = append(p.extents, run{at, at + int64(len(p.buffer))})
		p.bytes += int64(len(p.buffer))
		p.buffer = nil
	}
	s.held = 0
	return nil
}

// gather reads what was dealt in the order of the rows. Several may read at a
// time.
type gather struct {
	from *scatter
	next int // part to load
	data []byte
	at   []int // of each row of the part: where it begins in data, -1: nothing was found
	row  int
	skip int // rows of the first part to leave out
	rows *rowReader
}

// gather begins at a row.
func (s *scatter) gather(columns []frame.Column, row int64) *gather {
	return &gather{from: s, rows: newRowReader(columns), next: int(row / s.rows), skip: int(row % s.rows)}
}

// take returns what was found for the next n rows. The caller releases it.
func (g *gather) take(n int) (frame.Batch, error) {
	for range n {
		if g.row == len(g.at) {
			if err := g.load(); err != nil {
				return nil, err
			}
		}
		var found []byte
		if at := g.at[g.row]; at >= 0 {
			size := int(binary.LittleEndian.Uint32(g.data[at+4:]))
			found = g.data[at+dealtHead : at+dealtHead+size]
		}
		if err := g.rows.add(found); err != nil {
			return nil, err
		}
		g.row++
	}
	return g.rows.take()
}

// load puts the next part in order.
func (g *gather) load() error {
	if g.next == len(g.from.parts) {
		return fault.New(fault.Internal, "more rows are asked for than were joined")
	}
	p := &g.from.parts[g.next]
	g.next++
	g.data = g.data[:0]
	if need := p.bytes + int64(len(p.buffer)); int64(cap(g.data)) < need {
		g.data = make([]byte, 0, need)
	}
	for _, e := range p.extents {
		from := len(g.data)
		g.data = g.data[:from+int(e.to-e.from)]
		if err := g.from.file.read(g.data[from:], e.from); err != nil {
			return err
		}
	}
	g.data = append(g.data, p.buffer...)
	if g.at == nil {
		g.at = make([]int, g.from.rows)
	}
	for i := range g.at {
		g.at[i] = -1
	}
	g.row, g.skip = g.skip, 0
	for at := 0; at < len(g.data); {
		if len(g.data)-at < dealtHead {
			return errTorn
		}
		position, size := binary.LittleEndian.Uint32(g.data[at:]), int(binary.LittleEndian.Uint32(g.data[at+4:]))
		if int64(position) >= g.from.rows || size > len(g.data)-at-dealtHead {
			return errTorn
		}
		g.at[position] = at
		at += dealtHead + size
	}
	return nil
}
