package record

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
)

// rows builds a batch of Columns out of payloads, straight from their bytes:
// every decision of a busy server passes here once.
type rows struct {
	builder *array.RecordBuilder
	scratch *[]byte // for one JSON object
	count   int
}

func newRows(schema *arrow.Schema, scratch *[]byte) *rows {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	b.Reserve(batchRows)
	return &rows{builder: b, scratch: scratch}
}

func (r *rows) release() { r.builder.Release() }

func (r *rows) batch() frame.Batch { return r.builder.NewRecordBatch() }

// add appends a row of a payload, column by column as Columns lists them.
func (r *rows) add(p *payload, row int) {
	a := p.answer(row)
	r.text(0, p.ids[row])
	r.builder.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(p.at.UnixMicro()))
	for i, s := range [...]string{p.pattern, p.endpoint, p.release, p.variant, p.model} {
		r.text(2+i, s)
	}
	r.builder.Field(7).(*array.Int64Builder).Append(p.version)
	r.text(8, p.call)
	r.text(9, p.key(row))
	r.text(10, p.run)
	for i, s := range [...]*section{p.inputs, p.features, a.output} {
		r.object(11+i, s, row)
	}
	if a.scored {
		r.builder.Field(14).(*array.Float64Builder).Append(a.score)
	} else {
		r.builder.Field(14).AppendNull()
	}
	r.text(15, a.decision)
	r.text(16, a.err)
	r.builder.Field(17).(*array.Int64Builder).Append(p.latency)
	r.builder.Field(18).(*array.Float64Builder).Append(p.cost)
	r.count++
}

func (r *rows) text(i int, s string) {
	if s == "" {
		r.builder.Field(i).AppendNull()
	} else {
		r.builder.Field(i).(*array.StringBuilder).Append(s)
	}
}

func (r *rows) object(i int, s *section, row int) {
	if s == nil {
		r.builder.Field(i).AppendNull()
		return
	}
	*r.scratch = s.json((*r.scratch)[:0], row)
	r.builder.Field(i).(*array.StringBuilder).BinaryBuilder.Append(*r.scratch)
}
