package encode

import (
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
)

// Decode makes raw rows of encoded columns: a batch that Encode gives the
// same columns for, times to the microsecond. Unseen text, of which only the
// code is left, becomes some text that is not among the categories. The
// caller releases the batch. It is for recipes of plain columns, as Fit makes
// them; of others Encode keeps too little to find the way back.
func (e *Encoder) Decode(columns [][]float64) frame.Batch {
	raw := make([]frame.Column, len(e.Columns))
	for i, c := range e.Columns {
		raw[i] = frame.Column{Name: c.Name, Type: c.Type}
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(raw))
	defer b.Release()
	for i := range e.Columns {
		e.decodeColumn(i, columns[i], b.Field(i))
	}
	return b.NewRecordBatch()
}

func (e *Encoder) decodeColumn(i int, values []float64, to array.Builder) {
	to.Reserve(len(values))
	texts := e.Columns[i].Categories
	unseen := e.unseenText(i)
	for _, v := range values {
		if math.IsNaN(v) {
			to.AppendNull()
			continue
		}
		switch to := to.(type) {
		case *array.StringBuilder:
			if code := int(v); code < len(texts) {
				to.Append(texts[code])
			} else {
				to.Append(unseen)
			}
		case *array.Float64Builder:
			to.Append(v)
		case *array.Int64Builder:
			to.Append(int64(v))
		case *array.BooleanBuilder:
			to.Append(v != 0)
		case *array.TimestampBuilder:
			to.Append(arrow.Timestamp(math.Round(v * 1e6)))
		case *array.Date32Builder:
			to.Append(arrow.Date32(v))
		}
	}
}

// unseenText returns a text that no category is.
func (e *Encoder) unseenText(i int) string {
	if e.Columns[i].Kind != Category {
		return ""
	}
	codes, _ := e.lookup(i)
	text := "unseen"
	for {
		if _, taken := codes[text]; !taken {
			return text
		}
		text += "?"
	}
}
