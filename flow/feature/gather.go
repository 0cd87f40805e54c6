package feature

import (
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
)

// Values are gathered into buffers directly: Arrow's builders take several
// times as long for the one row of a request.

// gather copies the values of one column from their places. Under a NULL lie
// zeros.
func (m *Memory) gather(c int, places []place) (arrow.Array, error) {
	rows := len(places)
	valid := make([]byte, bitutil.BytesForBits(int64(rows)))
	nulls := rows
	for i, p := range places {
		if p != nowhere && m.values[p.batch][c].IsValid(int(p.row)) {
			bitutil.SetBit(valid, i)
			nulls--
		}
	}
	buffers := []*memory.Buffer{memory.NewBufferBytes(valid), nil}
	switch m.columns[c].Type.Arrow().ID() {
	case arrow.STRING:
		offsets, text, err := m.gatherStrings(c, places, valid)
		if err != nil {
			return nil, err
		}
		buffers[1] = memory.NewBufferBytes(offsets)
		buffers = append(buffers, memory.NewBufferBytes(text))
	case arrow.BOOL:
		bits := make([]byte, len(valid))
		for i, p := range places {
			if bitutil.BitIsSet(valid, i) && m.values[p.batch][c].(*array.Boolean).Value(int(p.row)) {
				bitutil.SetBit(bits, i)
			}
		}
		buffers[1] = memory.NewBufferBytes(bits)
	case arrow.DATE32:
		buffers[1] = memory.NewBufferBytes(m.gatherFixed(c, places, valid, arrow.Date32SizeBytes))
	default: // int, double, timestamp
		buffers[1] = memory.NewBufferBytes(m.gatherFixed(c, places, valid, arrow.Int64SizeBytes))
	}
	data := array.NewData(m.columns[c].Type.Arrow(), rows, buffers, nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data), nil
}

// gatherFixed copies values of so many bytes.
func (m *Memory) gatherFixed(c int, places []place, valid []byte, width int) []byte {
	out := make([]byte, width*len(places))
	for i, p := range places {
		if bitutil.BitIsSet(valid, i) {
			data := m.values[p.batch][c].Data()
			at := (data.Offset() + int(p.row)) * width
			copy(out[i*width:(i+1)*width], data.Buffers()[1].Bytes()[at:])
		}
	}
	return out
}

func (m *Memory) gatherStrings(c int, places []place, valid []byte) (offsets, text []byte, err error) {
	offsets = make([]byte, arrow.Int32SizeBytes*(len(places)+1))
	ends := arrow.Int32Traits.CastFromBytes(offsets)[1:]
	for i, p := range places {
		if bitutil.BitIsSet(valid, i) {
			text = append(text, m.values[p.batch][c].(*array.String).Value(int(p.row))...)
		}
		if len(text) > math.MaxInt32 {
			return nil, nil, fault.New(fault.TooLarge, "the features of one batch are longer than 2 GiB").
				Hint("compute fewer rows at a time")
		}
		ends[i] = int32(len(text))
	}
	return offsets, text, nil
}
