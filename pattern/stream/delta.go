package stream

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/window"
)

// delta is what a micro-batch added to the windows of a partition: rows with
// their ids, and the newest event time after them.
type delta struct {
	rows   frame.Batch
	ids    []string
	newest int64
}

// A delta is written as a version, the newest time, the number of rows, and
// column by column: ids, and each column as a byte a row that says
// whether there is a value, followed by it. The columns and their types are
// those that the views read, which the partition's plans name.
const deltaVersion = 1

// append writes the delta of the columns that views read.
func (d delta) append(dst []byte) []byte {
	dst = append(dst, deltaVersion)
	dst = binary.AppendVarint(dst, d.newest)
	dst = binary.AppendUvarint(dst, uint64(len(d.ids)))
	for _, id := range d.ids {
		dst = appendText(dst, id)
	}
	for _, column := range d.rows.Columns() {
		for row := range len(d.ids) {
			dst = appendCell(dst, column, row)
		}
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendCell(dst []byte, column arrow.Array, row int) []byte {
	if column.IsNull(row) {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	switch c := column.(type) {
	case *array.Float64:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(c.Value(row)))
	case *array.Int64:
		return binary.AppendVarint(dst, c.Value(row))
	case *array.Timestamp:
		return binary.AppendVarint(dst, int64(c.Value(row)))
	case *array.Date32:
		return binary.AppendVarint(dst, int64(c.Value(row)))
	case *array.Boolean:
		if c.Value(row) {
			return append(dst, 1)
		}
		return append(dst, 0)
	case *array.String:
		return appendText(dst, c.Value(row))
	}
	dst[len(dst)-1] = 0 // no column has another type
	return dst
}

// readDelta reads what append wrote, for the same columns.
func readDelta(columns []frame.Column, text []byte) (delta, error) {
	r := deltaReader{text: text}
	if version := r.byte(); version != deltaVersion {
		return delta{}, fault.New(fault.Corrupt, "what was added to windows is of the unknown version %d", version)
	}
	d := delta{newest: r.varint()}
	n := r.uvarint()
	if n > uint64(len(text)) { // each row has a byte at least
		return delta{}, damagedDelta()
	}
	for range n {
		d.ids = append(d.ids, string(r.bytes()))
	}
	cells := make([]*frame.Cells, len(columns))
	for i, c := range columns {
		cells[i] = frame.NewCells(c.Type, int(n))
		for range n {
			r.cell(cells[i])
		}
	}
	if r.failed || len(r.text) > 0 {
		return delta{}, damagedDelta()
	}
	d.rows = frame.BatchOf(frame.SchemaOf(columns), cells, int(n))
	return d, nil
}

// A piece of a snapshot is the number of the view, the newest event time, and
// keys with their states, each with its length before it.
const pieceSize = 256 << 10

// appendPieces gives a state to f in pieces of about pieceSize bytes.
func appendPieces(view int, w *window.State, newest int64, f func(piece []byte)) error {
	head := binary.AppendVarint(binary.AppendUvarint(nil, uint64(view)), newest)
	piece := slices.Clone(head)
	err := w.Each(func(k window.KeyState) error {
		piece = appendBytes(appendBytes(piece, k.Key), k.State)
		if piece = binary.AppendVarint(piece, k.At); len(piece) >= pieceSize {
			f(piece)
			piece = slices.Clone(head)
		}
		return nil
	})
	f(piece) // the last one may have no keys, and still tells the time
	return err
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// readPiece puts a piece of a snapshot back.
func readPiece(piece []byte, windows []*window.State) error {
	r := deltaReader{text: piece}
	view, newest := r.uvarint(), r.varint()
	if r.failed || view >= uint64(len(windows)) {
		return fault.New(fault.Corrupt, "a snapshot of windows is damaged")
	}
	w := windows[view]
	for len(r.text) > 0 {
		k := window.KeyState{Key: r.bytes(), State: r.bytes(), At: r.varint()}
		if r.failed {
			return fault.New(fault.Corrupt, "a snapshot of windows is damaged")
		}
		if err := w.Load(k); err != nil {
			return err
		}
	}
	w.Advance(newest)
	return nil
}

func damagedDelta() error { return fault.New(fault.Corrupt, "what was added to windows is damaged") }

// deltaReader reads a text from its beginning. After a failure it reads
// zeros.
type deltaReader struct {
	text   []byte
	failed bool
}

func (r *deltaReader) take(n int) []byte {
	if r.failed || n < 0 || n > len(r.text) {
		r.failed, r.text = true, nil
		return nil
	}
	part := r.text[:n]
	r.text = r.text[n:]
	return part
}

func (r *deltaReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *deltaReader) varint() int64 {
	v, n := binary.Varint(r.text)
	if n <= 0 {
		n = -1
	}
	if r.take(n) == nil {
		return 0
	}
	return v
}

func (r *deltaReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.text)
	if n <= 0 {
		n = -1
	}
	if r.take(n) == nil {
		return 0
	}
	return v
}

func (r *deltaReader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.text)) {
		return r.take(-1)
	}
	return r.take(int(n))
}

func (r *deltaReader) cell(c *frame.Cells) {
	if r.byte() == 0 {
		c.Null()
		return
	}
	switch c.Type() {
	case frame.Double:
		if b := r.take(8); b != nil {
			c.Double(math.Float64frombits(binary.LittleEndian.Uint64(b)))
			return
		}
		c.Null()
	case frame.Bool:
		c.Bool(r.byte() != 0)
	case frame.String:
		if !c.Text(r.bytes()) {
			r.take(-1)
			c.Null()
		}
	default:
		c.Int(r.varint())
	}
}
