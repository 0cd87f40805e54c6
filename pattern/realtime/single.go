package realtime

import (
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/base/plain"
)

// single is a batch of one row that is used again for request after request:
// its columns of numbers are arrays over memory that the next row overwrites.
// That is why whoever is given a request's rows must not keep them (see
// decide.Request). Columns of text are made anew, because text that was read
// is kept by others without a copy.
type single struct {
	arrays []arrow.Array
	floats [][]float64 // by column; nil when it is not a double
	ints   [][]int64
	bools  [][]byte // one byte of bits
	texts  []int    // columns of text
	batch  frame.Batch
}

// newSingle makes a row of a layout, or nil when one of its columns is of a
// type that only the general way reads.
func newSingle(l *Layout) *single {
	n := len(l.inputs)
	s := &single{
		arrays: make([]arrow.Array, n), floats: make([][]float64, n), ints: make([][]int64, n), bools: make([][]byte, n),
	}
	for i, in := range l.inputs {
		var memoryOf []byte
		switch in.Type {
		case frame.Double:
			s.floats[i] = make([]float64, 1)
			memoryOf = arrow.Float64Traits.CastToBytes(s.floats[i])
		case frame.Int:
			s.ints[i] = make([]int64, 1)
			memoryOf = arrow.Int64Traits.CastToBytes(s.ints[i])
		case frame.Bool:
			s.bools[i] = make([]byte, 1)
			memoryOf = s.bools[i]
		case frame.String:
			s.texts = append(s.texts, i)
			continue
		default:
			return nil
		}
		data := array.NewData(in.Type.Arrow(), 1, []*memory.Buffer{nil, memory.NewBufferBytes(memoryOf)}, nil, 0, 0)
		s.arrays[i] = array.MakeFromData(data)
		data.Release()
	}
	if len(s.texts) == 0 {
		s.batch = array.NewRecordBatch(l.schema, s.arrays, 1)
	}
	return s
}

// fill reads the one row that a reader stands at, whose members are all known
// values. Anything else is false, and the row is to be read the general way.
func (s *single) fill(p *plainReader, seen []bool) bool {
	clear(seen)
	members := 0
	for {
		name, ok := p.Name()
		if !ok {
			return false
		}
		i, known := p.layout.byName[name]
		if !known || seen[i] {
			return false
		}
		p.Space()
		if !s.value(p, i) {
			return false
		}
		seen[i] = true
		members++
		p.Space()
		if p.Take('}') {
			return members == len(s.arrays)
		}
		if !p.Take(',') {
			return false
		}
	}
}

func (s *single) value(p *plainReader, i int) bool {
	var err error
	switch p.layout.inputs[i].Type {
	case frame.Double:
		text, ok := p.Number()
		if !ok {
			return false
		}
		s.floats[i][0], err = strconv.ParseFloat(text, 64)
	case frame.Int:
		text, ok := p.Number()
		if !ok {
			return false
		}
		s.ints[i][0], err = strconv.ParseInt(text, 10, 64)
	case frame.Bool:
		s.bools[i][0] = 0
		if p.Word("true") {
			s.bools[i][0] = 1
			return true
		}
		return p.Word("false")
	case frame.String:
		text, ok := p.String()
		if !ok {
			return false
		}
		s.arrays[i] = oneString(text)
	}
	return err == nil
}

// oneString is an array of one string, which it copies.
func oneString(text []byte) arrow.Array {
	offsets := []int32{0, int32(len(text))}
	data := array.NewData(arrow.BinaryTypes.String, 1, []*memory.Buffer{
		nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets)), memory.NewBufferBytes(append([]byte(nil), text...)),
	}, nil, 0, 0)
	defer data.Release()
	return array.NewStringData(data)
}

// Rows are the rows of one request. Release them once the request is answered.
type Rows struct {
	frame.Batch
	layout *Layout
	single *single // nil: the batch is the request's own
}

// Release gives the rows back.
func (r Rows) Release() {
	if r.single == nil {
		r.Batch.Release()
		return
	}
	for _, i := range r.single.texts {
		r.single.arrays[i].Release()
		r.single.arrays[i] = nil
	}
	if len(r.single.texts) > 0 {
		r.Batch.Release()
	}
	r.layout.singles.Put(r.single)
}

// readSingle reads a body of one plain row into a batch that is used again.
func (l *Layout) readSingle(body []byte) (Rows, bool) {
	p := plainReader{Scanner: plain.Scanner{Text: body}, layout: l, maxRows: 1}
	closing, ok := p.single()
	if !ok {
		return Rows{}, false
	}
	s, _ := l.singles.Get().(*single)
	if s == nil {
		return Rows{}, false
	}
	var known [64]bool
	seen := known[:]
	if len(s.arrays) > len(seen) {
		seen = make([]bool, len(s.arrays))
	}
	if !s.fill(&p, seen) || !p.closes(closing) {
		s.forget()
		l.singles.Put(s)
		return Rows{}, false
	}
	return s.rows(l), true
}

// rows are the row as it is filled.
func (s *single) rows(l *Layout) Rows {
	batch := s.batch
	if batch == nil {
		batch = array.NewRecordBatch(l.schema, s.arrays, 1)
	}
	return Rows{batch, l, s}
}

// forget lets go of the texts of a row that was not read to its end.
func (s *single) forget() {
	for _, i := range s.texts {
		if s.arrays[i] != nil {
			s.arrays[i].Release()
			s.arrays[i] = nil
		}
	}
}

// single goes to the first member of the first row and returns what must
// follow it: nothing, a bracket, or a bracket and a brace.
func (p *plainReader) single() (closing string, ok bool) {
	p.Space()
	if p.Take('[') {
		p.Space()
		return "]", p.Take('{')
	}
	if !p.Take('{') {
		return "", false
	}
	start := p.At
	name, ok := p.Name()
	if _, isColumn := p.layout.byName["rows"]; !ok || name != "rows" || isColumn {
		p.At = start
		return "", ok
	}
	p.Space()
	if !p.Take('[') {
		return "", false
	}
	p.Space()
	return "]}", p.Take('{')
}

// closes tells whether only some closing characters are left.
func (p *plainReader) closes(closing string) bool {
	for i := range len(closing) {
		p.Space()
		if !p.Take(closing[i]) {
			return false
		}
	}
	p.Space()
	return p.At == len(p.Text)
}
