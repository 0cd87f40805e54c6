package realtime

import (
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/base/plain"
)

// readPlain reads the rows that almost every request has: flat objects of
// numbers, plain strings, true, false and null. Anything else (an escape, a
// time, something nested, a mistake) makes it give up, and readAny reads the
// body from its beginning: so there is one place that decides what is allowed
// and what is said about it. A test holds both to the same answers.
func (l *Layout) readPlain(body []byte, maxRows int) (frame.Batch, bool) {
	p := plainReader{Scanner: plain.Scanner{Text: body}, layout: l, maxRows: maxRows}
	p.columns = make([]plainColumn, len(l.inputs))
	ok := p.document()
	if !ok {
		return nil, false
	}
	return p.batch(), true
}

// plainReader is a scanner over a body with the columns that it fills.
type plainReader struct {
	plain.Scanner
	layout  *Layout
	rows    int
	maxRows int
	columns []plainColumn
}

// plainColumn gathers the values of one input.
type plainColumn struct {
	floats []float64
	ints   []int64
	bools  []bool
	ends   []int32 // of each string in bytes
	bytes  []byte
	valid  []bool // nil until the first null
	n      int
}

func (p *plainReader) document() bool {
	p.Space()
	switch {
	case p.Take('['):
		if !p.array() {
			return false
		}
	case p.Take('{'):
		if !p.object() {
			return false
		}
	default:
		return false
	}
	return p.End()
}

// object reads what follows the first brace: a row, or rows with their name.
func (p *plainReader) object() bool {
	start := p.At
	name, ok := p.Name()
	if !ok {
		return false
	}
	if _, isColumn := p.layout.byName["rows"]; name != "rows" || isColumn {
		p.At = start
		return p.row()
	}
	p.Space()
	if !p.Take('[') || !p.array() {
		return false
	}
	p.Space()
	return p.Take('}')
}

// array reads rows up to the closing bracket. An empty one is for readAny.
func (p *plainReader) array() bool {
	for {
		p.Space()
		if !p.Take('{') || !p.row() {
			return false
		}
		p.Space()
		if p.Take(']') {
			return true
		}
		if !p.Take(',') {
			return false
		}
	}
}

// row reads the members of a row up to its closing brace.
func (p *plainReader) row() bool {
	if p.rows++; p.rows > p.maxRows {
		return false
	}
	members := 0
	for {
		name, ok := p.Name()
		if !ok {
			return false
		}
		i, known := p.layout.byName[name]
		if !known || p.columns[i].n == p.rows { // another column, or one named twice
			return false
		}
		p.Space()
		if !p.value(&p.columns[i], p.layout.inputs[i].Type) {
			return false
		}
		p.columns[i].n++
		members++
		p.Space()
		if p.Take('}') {
			return members == len(p.columns)
		}
		if !p.Take(',') {
			return false
		}
	}
}

func (p *plainReader) value(c *plainColumn, t frame.Type) bool {
	if p.Next() == 'n' {
		return p.Word("null") && c.null(t)
	}
	switch t {
	case frame.Double:
		text, ok := p.Number()
		if !ok {
			return false
		}
		v, err := strconv.ParseFloat(text, 64)
		c.floats = append(c.floats, v)
		return err == nil && c.known()
	case frame.Int:
		text, ok := p.Number()
		if !ok {
			return false
		}
		v, err := strconv.ParseInt(text, 10, 64)
		c.ints = append(c.ints, v)
		return err == nil && c.known()
	case frame.String:
		text, ok := p.String()
		c.bytes = append(c.bytes, text...)
		c.ends = append(c.ends, int32(len(c.bytes)))
		return ok && c.known()
	case frame.Bool:
		yes := p.Word("true")
		c.bools = append(c.bools, yes)
		return (yes || p.Word("false")) && c.known()
	}
	return false
}

// known notes that the value just added is one.
func (c *plainColumn) known() bool {
	if c.valid != nil {
		c.valid = append(c.valid, true)
	}
	return true
}

// null adds a NULL.
func (c *plainColumn) null(t frame.Type) bool {
	if c.valid == nil {
		c.valid = make([]bool, c.n, c.n+1)
		for i := range c.valid {
			c.valid[i] = true
		}
	}
	c.valid = append(c.valid, false)
	switch t {
	case frame.Double:
		c.floats = append(c.floats, 0)
	case frame.Int:
		c.ints = append(c.ints, 0)
	case frame.String:
		c.ends = append(c.ends, int32(len(c.bytes)))
	case frame.Bool:
		c.bools = append(c.bools, false)
	default:
		return false
	}
	return true
}

// batch makes arrays of what was gathered, without copying it.
func (p *plainReader) batch() frame.Batch {
	arrays := make([]arrow.Array, len(p.columns))
	for i := range p.columns {
		data := p.columns[i].data(p.layout.inputs[i].Type)
		arrays[i] = array.MakeFromData(data)
		data.Release()
		defer arrays[i].Release()
	}
	return array.NewRecordBatch(p.layout.schema, arrays, int64(p.rows))
}

func (c *plainColumn) data(t frame.Type) *array.Data {
	validity, nulls := bitmap(c.valid)
	buffers := make([]*memory.Buffer, 2, 3)
	buffers[0] = validity
	switch t {
	case frame.Double:
		buffers[1] = memory.NewBufferBytes(arrow.Float64Traits.CastToBytes(c.floats))
	case frame.Int, frame.Timestamp:
		buffers[1] = memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(c.ints))
	case frame.Date:
		days := make([]int32, len(c.ints))
		for i, day := range c.ints {
			days[i] = int32(day)
		}
		buffers[1] = memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(days))
	case frame.Bool:
		bits, _ := bitmap(c.bools)
		buffers[1] = bits
	case frame.String:
		offsets := make([]int32, c.n+1)
		copy(offsets[1:], c.ends)
		buffers[1] = memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets))
		buffers = append(buffers, memory.NewBufferBytes(c.bytes))
	}
	return array.NewData(t.Arrow(), c.n, buffers, nil, nulls, 0)
}

// bitmap packs bools into bits and counts those that are false; nil is nil.
func bitmap(values []bool) (bits *memory.Buffer, no int) {
	if values == nil {
		return nil, 0
	}
	packed := make([]byte, bitutil.BytesForBits(int64(len(values))))
	for i, v := range values {
		if v {
			bitutil.SetBit(packed, i)
		} else {
			no++
		}
	}
	return memory.NewBufferBytes(packed), no
}
