package columns

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow/float16"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// ReadArrow reads an Arrow IPC stream of one record batch into columns of
// declared fields: by name, or by position where the stream has as many
// columns and none of the names. Numbers of every width, text with both sizes
// of offsets, times of every unit are taken; compressed, nested and dictionary
// columns are not. The stream is not trusted: it cannot make more be allocated
// than a small multiple of its own size. The caller releases the batch.
func ReadArrow(stream []byte, fields []model.Field, rows int) (frame.Batch, error) {
	schema, _, rest, err := nextMessage(stream)
	if err != nil {
		return nil, err
	}
	columns, err := readSchema(schema)
	if err != nil {
		return nil, err
	}
	batch, body, rest, err := nextMessage(rest)
	if err != nil {
		return nil, err
	}
	if err := readBatch(batch, body, columns, rows); err != nil {
		return nil, err
	}
	if _, _, _, err := nextMessage(rest); err == nil {
		return nil, fault.New(fault.Corrupt, "the answer has more than one record batch")
	}
	chosen, err := choose(columns, fields)
	if err != nil {
		return nil, err
	}
	b := NewBuilder(fields)
	defer b.Release()
	for i, c := range chosen {
		if err := b.arrow(i, c, rows); err != nil {
			return nil, err
		}
	}
	return b.Batch(rows)
}

// message is the metadata of one message of a stream.
type message struct {
	flat
	kind   int
	header table
}

// The kinds of messages that are read, and the types of columns, by their
// numbers in Arrow's format.
const (
	messageSchema = 1
	messageBatch  = 3

	typeNull      = 1
	typeInt       = 2
	typeFloat     = 3
	typeText      = 5
	typeBool      = 6
	typeDate      = 8
	typeTimestamp = 10
	typeLargeText = 20
)

// nextMessage reads the message that a stream begins with.
func nextMessage(stream []byte) (m message, body, rest []byte, err error) {
	broken := fault.New(fault.Corrupt, "the answer is not an Arrow stream")
	if len(stream) < 8 || binary.LittleEndian.Uint32(stream) != math.MaxUint32 {
		return m, nil, nil, broken
	}
	size := int64(binary.LittleEndian.Uint32(stream[4:]))
	if size == 0 || size > int64(len(stream)-8) {
		return m, nil, nil, broken
	}
	m.bytes, rest = stream[8:8+size], stream[8+size:]
	root := m.table(0)
	m.kind = m.small(root, 1, 1, 0)
	m.header = m.sub(root, 2)
	length := int64(0)
	if at := m.field(root, 3); at != 0 {
		length = m.i64(at)
	}
	if err := m.err(); err != nil {
		return m, nil, nil, err
	}
	if length < 0 || length > int64(len(rest)) {
		return m, nil, nil, fault.New(fault.Corrupt, "an Arrow message broke off in its body")
	}
	return m, rest[:length], rest[length:], nil
}

// maxColumns bounds the columns of a stream.
const maxColumns = 1 << 16

// column is one column of a stream: what it is, and where its bytes are.
type column struct {
	name  string
	typ   int // of the numbers above
	width int // bytes of a value or an offset
	sign  bool
	scale int64 // of a time: microseconds of a unit; negative: units of a microsecond

	valid  []byte // a bit a row; nil: all are
	data   []byte // values, or offsets
	text   []byte // where offsets lead
	length int
}

// readSchema reads the columns of a schema message.
func readSchema(m message) ([]*column, error) {
	if m.kind != messageSchema {
		return nil, fault.New(fault.Corrupt, "an Arrow stream begins with its schema, and this one does not")
	}
	if m.small(m.header, 0, 2, 0) != 0 {
		return nil, fault.New(fault.Unsupported, "Arrow in the byte order of another machine is not read")
	}
	at, count := m.vector(m.header, 1, 4)
	if count > maxColumns {
		return nil, fault.New(fault.TooLarge, "the answer has %d columns", count)
	}
	columns := make([]*column, 0, count)
	names := 0 // bytes: many columns can claim one long name
	for i := range count {
		c, err := readField(&m.flat, m.table(at+4*i))
		if err != nil {
			return nil, err
		}
		if names += len(c.name); names > len(m.bytes) {
			return nil, fault.New(fault.Corrupt, "the names of the answered columns overlap")
		}
		columns = append(columns, c)
	}
	return columns, m.err()
}

func readField(f *flat, t table) (*column, error) {
	c := &column{name: f.text(t, 0), typ: f.small(t, 2, 1, 0), width: 8}
	inner := f.sub(t, 3)
	dictionary := f.field(t, 4) != 0
	_, children := f.vector(t, 5, 4)
	known := !dictionary && children == 0
	switch c.typ {
	case typeInt:
		bits := 0
		if at := f.field(inner, 0); at != 0 {
			bits = f.u32(at)
		}
		c.width, c.sign = bits/8, f.small(inner, 1, 1, 0) != 0
		known = known && slices.Contains([]int{8, 16, 32, 64}, bits)
	case typeFloat:
		precision := f.small(inner, 0, 2, 0)
		known = known && precision <= 2
		c.width = 2 << (precision & 3)
	case typeDate:
		c.width, c.scale = 8, 1000
		if f.small(inner, 0, 2, 1) == 0 {
			c.width, c.scale = 4, 86_400_000_000
		}
	case typeTimestamp:
		unit := f.small(inner, 0, 2, 0)
		known = known && unit <= 3
		c.scale = [...]int64{1_000_000, 1000, 1, -1000}[unit&3]
	case typeText:
		c.width = 4
	case typeNull, typeBool, typeLargeText:
	default:
		known = false
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	if !known {
		return nil, fault.New(fault.Unsupported, "the answered column %q has a type that is not carried", short([]byte(c.name))).
			Hint("answer numbers, text, booleans, timestamps and dates, neither nested nor as a dictionary")
	}
	return c, nil
}

// readBatch finds the bytes of the columns in a record batch.
func readBatch(m message, body []byte, columns []*column, rows int) error {
	if m.kind != messageBatch {
		return fault.New(fault.Corrupt, "the answer has no record batch")
	}
	if m.field(m.header, 3) != 0 {
		return fault.New(fault.Unsupported, "the answer is compressed").Hint("write the Arrow stream without compression")
	}
	node, nodes := m.vector(m.header, 1, 16)
	at, buffers := m.vector(m.header, 2, 16)
	if nodes != len(columns) || m.broken {
		return fault.New(fault.Corrupt, "a record batch of %d columns has %d", len(columns), nodes)
	}
	next := func() []byte {
		if buffers--; buffers < 0 {
			m.broken = true
			return nil
		}
		offset, length := m.i64(at), m.i64(at+8)
		at += 16
		if offset < 0 || length < 0 || offset > int64(len(body)) || length > int64(len(body))-offset {
			m.broken = true
			return nil
		}
		return body[offset : offset+length]
	}
	for i, c := range columns {
		length, nulls := m.i64(node+16*i), m.i64(node+16*i+8)
		if length != int64(rows) {
			return fault.New(fault.Corrupt, "%d rows were answered for %d", length, rows)
		}
		c.length = rows
		if c.typ == typeNull {
			continue
		}
		if c.valid = next(); nulls == 0 {
			c.valid = nil
		}
		c.data = next()
		if c.typ == typeText || c.typ == typeLargeText {
			c.text = next()
		}
		if m.broken || !c.fits(nulls) {
			return fault.New(fault.Corrupt, "the answered column %q is shorter than it says", short([]byte(c.name)))
		}
	}
	return m.err()
}

// fits checks that the bytes of a column are there for every row.
func (c *column) fits(nulls int64) bool {
	bits := (c.length + 7) / 8
	if nulls != 0 && len(c.valid) < bits {
		return false
	}
	switch c.typ {
	case typeBool:
		return len(c.data) >= bits
	case typeText, typeLargeText:
		return c.length == 0 || len(c.data)/c.width >= c.length+1
	}
	return len(c.data)/c.width >= c.length
}

func (c *column) null(row int) bool {
	return c.typ == typeNull || c.valid != nil && c.valid[row/8]>>(row%8)&1 == 0
}

// whole reads a row of an integer, a time or a boolean; false where it is too
// large for 64 bits with a sign.
func (c *column) whole(row int) (int64, bool) {
	if c.typ == typeBool {
		return int64(c.data[row/8] >> (row % 8) & 1), true
	}
	at := c.data[row*c.width:]
	signed := c.sign || c.typ != typeInt
	switch {
	case c.width == 1 && signed:
		return int64(int8(at[0])), true
	case c.width == 1:
		return int64(at[0]), true
	case c.width == 2 && signed:
		return int64(int16(binary.LittleEndian.Uint16(at))), true
	case c.width == 2:
		return int64(binary.LittleEndian.Uint16(at)), true
	case c.width == 4 && signed:
		return int64(int32(binary.LittleEndian.Uint32(at))), true
	case c.width == 4:
		return int64(binary.LittleEndian.Uint32(at)), true
	}
	v := binary.LittleEndian.Uint64(at)
	return int64(v), signed || v <= math.MaxInt64
}

func (c *column) float(row int) float64 {
	at := c.data[row*c.width:]
	switch c.width {
	case 2:
		return float64(float16.FromBits(binary.LittleEndian.Uint16(at)).Float32())
	case 4:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(at)))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(at))
}

// string reads a row of text; false where its offsets lie.
func (c *column) string(row int) (string, bool) {
	offset := func(n int) int64 {
		if c.width == 4 {
			return int64(int32(binary.LittleEndian.Uint32(c.data[4*n:])))
		}
		return int64(binary.LittleEndian.Uint64(c.data[8*n:]))
	}
	from, to := offset(row), offset(row+1)
	if from < 0 || to < from || to > int64(len(c.text)) {
		return "", false
	}
	return string(c.text[from:to]), true
}

// micros reads a row of a time in microseconds.
func (c *column) micros(row int) (int64, bool) {
	v, _ := c.whole(row)
	if c.scale < 0 {
		return v / -c.scale, true
	}
	return v * c.scale, v <= math.MaxInt64/c.scale && v >= math.MinInt64/c.scale
}

// shown is a row for an error.
func (c *column) shown(row int) string {
	switch c.typ {
	case typeFloat:
		return strconv.FormatFloat(c.float(row), 'g', -1, 64)
	case typeText, typeLargeText:
		s, _ := c.string(row)
		return strconv.Quote(short([]byte(s)))
	}
	v, _ := c.whole(row)
	return strconv.FormatInt(v, 10)
}

// choose finds the column of each field.
func choose(columns []*column, fields []model.Field) ([]*column, error) {
	named := func(name string) int {
		return slices.IndexFunc(columns, func(c *column) bool { return c.name == name })
	}
	none := len(columns) == len(fields) && !slices.ContainsFunc(fields, func(f model.Field) bool { return named(f.Name) >= 0 })
	chosen := make([]*column, len(fields))
	for i, f := range fields {
		at := named(f.Name)
		if none {
			at = i
		}
		if at < 0 {
			return nil, fault.New(fault.Corrupt, "the answer has no column %q", f.Name)
		}
		chosen[i] = columns[at]
	}
	return chosen, nil
}
