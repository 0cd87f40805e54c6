package codec

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/hamba/avro/v2"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model/columns"
)

// avroReader reads the binary encoding of Avro 1.11 straight into columns:
// no value is made that no column wants.
type avroReader struct {
	rows  *rows
	body  []byte
	at    int
	depth int
	// items counts the elements of lists of an event: those that take no
	// bytes can be claimed by the billion.
	items int
}

const (
	// maxItems bounds the elements of lists of a small event; a larger one may
	// have as many as it has bytes.
	maxItems = 1 << 16
	// maxDecimal bounds the bytes of a decimal number.
	maxDecimal = 64
)

var (
	errShort = errors.New("the message ends in the midst of a value")
	errBad   = errors.New("a length is negative or a number too long")
)

// message reads one message by a node.
func (r *avroReader) message(n *avroNode, body []byte, start int) error {
	r.body, r.at, r.depth, r.items = body, start, 0, 0
	err := r.value(n)
	if err == nil && r.at < len(body) {
		return fault.New(fault.Invalid, "%d bytes follow the Avro message: it was written with another schema", len(body)-r.at).At("byte %d", r.at)
	}
	if err == errShort || err == errBad {
		return fault.New(fault.Invalid, "the event is not Avro of its schema: %v", err).At("byte %d", r.at)
	}
	return err
}

// value reads one value, or passes over it.
func (r *avroReader) value(n *avroNode) error {
	if r.depth++; r.depth > MaxDepth {
		return fault.New(fault.Invalid, "the event is nested deeper than %d", MaxDepth).At("byte %d", r.at)
	}
	defer func() { r.depth-- }()
	start := r.at
	var err error
	switch n.kind {
	case avro.Record:
		for _, p := range n.parts {
			if err := r.value(p); err != nil {
				return err
			}
		}
	case avro.Union:
		branch, err := r.branch(n)
		if err != nil {
			return err
		}
		return r.value(branch)
	case avro.Array, avro.Map:
		err = r.list(n)
	default:
		return r.scalar(n)
	}
	if err != nil || n.tree == nil || n.tree.column < 0 {
		return err
	}
	r.rows.again(n.tree.column)
	end := r.at
	r.at = start
	text, err := r.text(nil, n)
	r.at = end
	if err != nil {
		return err
	}
	if r.rows.cells[n.tree.column].Type() != frame.String {
		return r.rows.wrong(n.tree.column, "something nested", start)
	}
	return r.rows.text(n.tree.column, text, start)
}

func (r *avroReader) branch(n *avroNode) (*avroNode, error) {
	i, err := r.long()
	if err != nil {
		return nil, err
	}
	if i < 0 || i >= int64(len(n.parts)) {
		return nil, fault.New(fault.Invalid, "the union has no branch %d", i).At("byte %d", r.at)
	}
	return n.parts[i], nil
}

// list reads an array or map, both of which are written as blocks.
func (r *avroReader) list(n *avroNode) error {
	return r.blocks(func(i int) error {
		name := ""
		if n.kind == avro.Map {
			key, err := r.bytes()
			if err != nil {
				return err
			}
			name = string(key)
		}
		for _, w := range n.wanted {
			if n.kind == avro.Map && w.tree.name == name || n.kind == avro.Array && w.tree.index == i {
				return r.value(w)
			}
		}
		return r.value(n.items)
	})
}

// blocks calls each for the elements of an array or map.
func (r *avroReader) blocks(each func(i int) error) error {
	for i := 0; ; {
		count, err := r.long()
		if err != nil {
			return err
		}
		if count == 0 {
			return nil
		}
		if count < 0 { // its size follows
			if count == math.MinInt64 {
				return errBad
			}
			if _, err := r.long(); err != nil {
				return err
			}
			count = -count
		}
		if count > int64(max(maxItems, len(r.body))-r.items) {
			return fault.New(fault.Invalid, "a list claims %d elements", count).At("byte %d", r.at)
		}
		r.items += int(count)
		for range count {
			if err := each(i); err != nil {
				return err
			}
			i++
		}
	}
}

// scalar reads a value that is not nested.
func (r *avroReader) scalar(n *avroNode) error {
	start, column := r.at, -1
	if n.tree != nil {
		column = n.tree.column
	}
	if column >= 0 {
		r.rows.again(column)
	}
	switch n.kind {
	case avro.Null:
		if column >= 0 {
			r.rows.cells[column].Null()
		}
		return nil
	case avro.Boolean:
		v, err := r.boolean()
		if err != nil || column < 0 {
			return err
		}
		return r.rows.boolean(column, v, start)
	case avro.Int, avro.Long:
		v, err := r.long()
		if err != nil || column < 0 {
			return err
		}
		return r.whole(n, column, v, start)
	case avro.Float, avro.Double:
		v, err := r.float(n.kind)
		if err != nil || column < 0 {
			return err
		}
		return r.rows.float(column, v, start)
	case avro.Enum:
		i, err := r.long()
		if err != nil {
			return err
		}
		if i < 0 || i >= int64(len(n.names)) {
			return fault.New(fault.Invalid, "the enum has no symbol %d", i).At("byte %d", start)
		}
		if column < 0 {
			return nil
		}
		return r.rows.text(column, []byte(n.names[i]), start)
	}
	text, err := r.bytesOf(n)
	if err != nil || column < 0 {
		return err
	}
	if n.decimal {
		if text, err = decimalText(text, n.scale); err != nil {
			return err
		}
	} else if n.kind != avro.String {
		text = appendBinary(nil, text)
	} else if !utf8.Valid(text) {
		return r.rows.wrong(column, "a text that is not UTF-8", start)
	}
	return r.rows.text(column, text, start)
}

// whole adds an integer, a time or a date.
func (r *avroReader) whole(n *avroNode, column int, v int64, start int) error {
	switch {
	case n.nanos > 0:
		return r.rows.instant(column, v, n.nanos, start)
	case n.date:
		return r.rows.day(column, v, start)
	}
	return r.rows.whole(column, v, start)
}

func (r *avroReader) bytesOf(n *avroNode) ([]byte, error) {
	if n.kind == avro.Fixed {
		return r.take(n.size)
	}
	return r.bytes()
}

func (r *avroReader) take(n int) ([]byte, error) {
	if n < 0 || n > len(r.body)-r.at {
		return nil, errShort
	}
	r.at += n
	return r.body[r.at-n : r.at], nil
}

func (r *avroReader) boolean() (bool, error) {
	b, err := r.take(1)
	if err != nil {
		return false, err
	}
	if b[0] > 1 {
		return false, fault.New(fault.Invalid, "a boolean is %d", b[0]).At("byte %d", r.at-1)
	}
	return b[0] == 1, nil
}

func (r *avroReader) float(kind avro.Type) (float64, error) {
	if kind == avro.Float {
		b, err := r.take(4)
		if err != nil {
			return 0, err
		}
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), nil
	}
	b, err := r.take(8)
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b)), nil
}

// long reads a zigzag number of at most ten bytes.
func (r *avroReader) long() (int64, error) {
	v, n := binary.Uvarint(r.body[r.at:])
	if n == 0 {
		return 0, errShort
	}
	if n < 0 {
		return 0, errBad
	}
	r.at += n
	return int64(v>>1) ^ -int64(v&1), nil
}

func (r *avroReader) bytes() ([]byte, error) {
	n, err := r.long()
	if err != nil {
		return nil, err
	}
	if n < 0 {
		return nil, errBad
	}
	if n > int64(len(r.body)) {
		return nil, errShort
	}
	return r.take(int(n))
}

// text writes a value of any kind as JSON, for a column of text.
func (r *avroReader) text(dst []byte, n *avroNode) ([]byte, error) {
	if r.depth++; r.depth > 2*MaxDepth {
		return nil, fault.New(fault.Invalid, "the event is nested deeper than %d", MaxDepth).At("byte %d", r.at)
	}
	defer func() { r.depth-- }()
	var err error
	switch n.kind {
	case avro.Record:
		dst = append(dst, '{')
		for i, p := range n.parts {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(columns.AppendString(dst, n.names[i]), ':')
			if dst, err = r.text(dst, p); err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	case avro.Union:
		branch, err := r.branch(n)
		if err != nil {
			return nil, err
		}
		return r.text(dst, branch)
	case avro.Array, avro.Map:
		return r.listText(dst, n)
	}
	return r.scalarText(dst, n)
}

func (r *avroReader) listText(dst []byte, n *avroNode) ([]byte, error) {
	brackets := "[]"
	if n.kind == avro.Map {
		brackets = "{}"
	}
	dst = append(dst, brackets[0])
	err := r.blocks(func(i int) (err error) {
		if i > 0 {
			dst = append(dst, ',')
		}
		if n.kind == avro.Map {
			key, err := r.bytes()
			if err != nil {
				return err
			}
			dst = append(columns.AppendString(dst, string(key)), ':')
		}
		dst, err = r.text(dst, n.items)
		return err
	})
	return append(dst, brackets[1]), err
}

func (r *avroReader) scalarText(dst []byte, n *avroNode) ([]byte, error) {
	switch n.kind {
	case avro.Null:
		return append(dst, "null"...), nil
	case avro.Boolean:
		v, err := r.boolean()
		return strconv.AppendBool(dst, v), err
	case avro.Int, avro.Long:
		v, err := r.long()
		if err == nil && n.nanos > 0 {
			if us, ok := micros(v, n.nanos); ok {
				return time.UnixMicro(us).UTC().AppendFormat(append(dst, '"'), time.RFC3339Nano+`"`), nil
			}
		}
		return strconv.AppendInt(dst, v, 10), err
	case avro.Float, avro.Double:
		v, err := r.float(n.kind)
		return columns.AppendFloat(dst, v), err
	case avro.Enum:
		i, err := r.long()
		if err == nil && (i < 0 || i >= int64(len(n.names))) {
			err = errBad
		}
		if err != nil {
			return nil, err
		}
		return columns.AppendString(dst, n.names[i]), nil
	}
	text, err := r.bytesOf(n)
	if err != nil {
		return nil, err
	}
	if n.decimal {
		number, err := decimalText(text, n.scale)
		return append(dst, number...), err
	}
	if n.kind != avro.String {
		text = appendBinary(nil, text)
	}
	return columns.AppendString(dst, string(text)), nil
}

// decimalText writes a big-endian number in two's complement with its point.
func decimalText(raw []byte, scale int) ([]byte, error) {
	if len(raw) > maxDecimal || scale < 0 || scale > 3*maxDecimal {
		return nil, fault.New(fault.Invalid, "a decimal of %d bytes", len(raw))
	}
	v := new(big.Int).SetBytes(raw)
	if len(raw) > 0 && raw[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(raw))))
	}
	digits := new(big.Int).Abs(v).String()
	out := ""
	if v.Sign() < 0 {
		out = "-"
	}
	if scale == 0 {
		return []byte(out + digits), nil
	}
	if short := scale + 1 - len(digits); short > 0 {
		digits = fmt.Sprintf("%0*d", short, 0) + digits
	}
	point := len(digits) - scale
	return []byte(out + digits[:point] + "." + digits[point:]), nil
}

// appendBinary writes bytes that are no text: as text where they are one
// after all, else as \x and hexadecimal digits.
func appendBinary(dst, raw []byte) []byte {
	if utf8.Valid(raw) {
		return append(dst, raw...)
	}
	return hex.AppendEncode(append(dst, `\x`...), raw)
}

// The values of typed formats go into columns by the same rules as JSON's.

// again takes back the value that a column already has of this event, where a
// format lets it say one twice: the last counts.
func (r *rows) again(column int) {
	if c := r.cells[column]; c.Len() > r.done {
		c.Truncate(r.done)
	}
}

// whole adds an integer.
func (r *rows) whole(column int, v int64, at int) error {
	switch c := r.cells[column]; c.Type() {
	case frame.Int:
		c.Int(v)
		return nil
	case frame.Double:
		c.Double(float64(v))
		return nil
	case frame.String:
		return r.text(column, strconv.AppendInt(nil, v, 10), at)
	}
	return r.number(column, strconv.FormatInt(v, 10), at)
}

// float adds a number that may have a fraction.
func (r *rows) float(column int, v float64, at int) error {
	switch c := r.cells[column]; c.Type() {
	case frame.Double:
		c.Double(v)
		return nil
	case frame.String:
		return r.text(column, strconv.AppendFloat(nil, v, 'g', -1, 64), at)
	}
	return r.number(column, strconv.FormatFloat(v, 'g', -1, 64), at)
}

// instant adds a time that counts units of so many nanoseconds since 1970.
func (r *rows) instant(column int, v, nanos int64, at int) error {
	c := r.cells[column]
	us, ok := micros(v, nanos)
	switch {
	case c.Type() == frame.Int:
		c.Int(v)
		return nil
	case !ok:
		return r.wrong(column, "the time "+strconv.FormatInt(v, 10), at)
	case c.Type() == frame.Timestamp:
		c.Int(us)
		return nil
	case c.Type() == frame.Date:
		return r.text(column, []byte(time.UnixMicro(us).UTC().Format(time.RFC3339Nano)), at)
	case c.Type() == frame.String:
		return r.text(column, []byte(time.UnixMicro(us).UTC().Format(time.RFC3339Nano)), at)
	}
	return r.wrong(column, "a time", at)
}

func micros(v, nanos int64) (int64, bool) {
	if nanos < 1000 {
		return floorDiv(v, 1000/nanos), true
	}
	scale := nanos / 1000
	return v * scale, v <= math.MaxInt64/scale && v >= math.MinInt64/scale
}

// day adds a date in days since 1970.
func (r *rows) day(column int, v int64, at int) error {
	const day = 24 * 3600 * 1_000_000
	c := r.cells[column]
	switch {
	case c.Type() == frame.Int:
		c.Int(v)
	case !fitsDate(v):
		return r.wrong(column, "a date beyond its range", at)
	case c.Type() == frame.Date:
		c.Int(v)
	case c.Type() == frame.Timestamp && v < math.MaxInt64/day && v > math.MinInt64/day:
		c.Int(v * day)
	case c.Type() == frame.String:
		return r.text(column, time.Unix(v*24*3600, 0).UTC().AppendFormat(nil, time.DateOnly), at)
	default:
		return r.wrong(column, "a date", at)
	}
	return nil
}
