package realtime

import (
	"strconv"
	"unicode/utf8"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
)

// readPlain reads the rows that almost every request has: flat objects of
// numbers, plain strings, true, false and null. Anything else (an escape, a
// time, something nested, a mistake) makes it give up, and readAny reads the
// body from its beginning: so there is one place that decides what is allowed
// and what is said about it. A test holds both to the same answers.
func (l *Layout) readPlain(body []byte, maxRows int) (frame.Batch, bool) {
	p := plainReader{layout: l, text: body, maxRows: maxRows}
	p.columns = make([]plainColumn, len(l.inputs))
	ok := p.document()
	if !ok {
		return nil, false
	}
	return p.batch(), true
}

// plainReader is a scanner over a body with the columns that it fills.
type plainReader struct {
	layout  *Layout
	text    []byte
	at      int
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
	p.space()
	switch {
	case p.take('['):
		if !p.array() {
			return false
		}
	case p.take('{'):
		if !p.object() {
			return false
		}
	default:
		return false
	}
	p.space()
	return p.at == len(p.text)
}

// object reads what follows the first brace: a row, or rows with their name.
func (p *plainReader) object() bool {
	start := p.at
	name, ok := p.name()
	if !ok {
		return false
	}
	if _, isColumn := p.layout.byName["rows"]; name != "rows" || isColumn {
		p.at = start
		return p.row()
	}
	p.space()
	if !p.take('[') || !p.array() {
		return false
	}
	p.space()
	return p.take('}')
}

// array reads rows up to the closing bracket. An empty one is for readAny.
func (p *plainReader) array() bool {
	for {
		p.space()
		if !p.take('{') || !p.row() {
			return false
		}
		p.space()
		if p.take(']') {
			return true
		}
		if !p.take(',') {
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
		name, ok := p.name()
		if !ok {
			return false
		}
		i, known := p.layout.byName[name]
		if !known || p.columns[i].n == p.rows { // another column, or one named twice
			return false
		}
		p.space()
		if !p.value(&p.columns[i], p.layout.inputs[i].Type) {
			return false
		}
		p.columns[i].n++
		members++
		p.space()
		if p.take('}') {
			return members == len(p.columns)
		}
		if !p.take(',') {
			return false
		}
	}
}

// name reads a member's name and its colon. It is only good until the next
// call.
func (p *plainReader) name() (string, bool) {
	p.space()
	if !p.take('"') {
		return "", false
	}
	text, ok := p.plainString()
	if !ok {
		return "", false
	}
	p.space()
	return unsafe.String(unsafe.SliceData(text), len(text)), p.take(':')
}

// plainString reads a string without escapes up to its closing quote.
func (p *plainReader) plainString() ([]byte, bool) {
	start, ascii := p.at, true
	for ; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == '"':
			text := p.text[start:p.at]
			p.at++
			return text, ascii || utf8.Valid(text)
		case c == '\\' || c < 0x20:
			return nil, false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, false
}

func (p *plainReader) value(c *plainColumn, t frame.Type) bool {
	if p.at == len(p.text) {
		return false
	}
	if p.text[p.at] == 'n' {
		return p.word("null") && c.null(t)
	}
	switch t {
	case frame.Double:
		text, ok := p.number()
		if !ok {
			return false
		}
		v, err := strconv.ParseFloat(text, 64)
		c.floats = append(c.floats, v)
		return err == nil && c.known()
	case frame.Int:
		text, ok := p.number()
		if !ok {
			return false
		}
		v, err := strconv.ParseInt(text, 10, 64)
		c.ints = append(c.ints, v)
		return err == nil && c.known()
	case frame.String:
		if !p.take('"') {
			return false
		}
		text, ok := p.plainString()
		c.bytes = append(c.bytes, text...)
		c.ends = append(c.ends, int32(len(c.bytes)))
		return ok && c.known()
	case frame.Bool:
		yes := p.word("true")
		c.bools = append(c.bools, yes)
		return (yes || p.word("false")) && c.known()
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

// number reads a number by the grammar of JSON, which is stricter than Go's.
func (p *plainReader) number() (string, bool) {
	start := p.at
	p.take('-')
	switch {
	case p.take('0'):
	case !p.digits():
		return "", false
	}
	if p.take('.') && !p.digits() {
		return "", false
	}
	if p.take('e') || p.take('E') {
		_ = p.take('+') || p.take('-')
		if !p.digits() {
			return "", false
		}
	}
	text := p.text[start:p.at]
	return unsafe.String(unsafe.SliceData(text), len(text)), true
}

func (p *plainReader) digits() bool {
	start := p.at
	for p.at < len(p.text) && p.text[p.at]-'0' <= 9 {
		p.at++
	}
	return p.at > start
}

func (p *plainReader) word(w string) bool {
	if len(p.text)-p.at < len(w) || string(p.text[p.at:p.at+len(w)]) != w {
		return false
	}
	p.at += len(w)
	return true
}

func (p *plainReader) take(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *plainReader) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\n', '\t', '\r':
			p.at++
		default:
			return
		}
	}
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
