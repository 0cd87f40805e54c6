package ingest

import (
	"fmt"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/ingest/convert"
)

// fitBatch gives a batch of typed rows the columns of the plan: by name,
// converted, NULL where the batch has none.
func fitBatch(batch frame.Batch, p *plan, schema *arrow.Schema) (frame.Batch, error) {
	columns := make([]arrow.Array, len(p.fields))
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i, f := range p.fields {
		at := frame.Index(batch.Schema(), f.Name)
		if at < 0 {
			columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, f.Type.Arrow(), int(batch.NumRows()))
			continue
		}
		converted, err := convert.Array(batch.Column(at), f.Type)
		if err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "column %q", f.Name)
		}
		columns[i] = converted
	}
	return array.NewRecordBatch(schema, columns, batch.NumRows()), nil
}

// typedColumns are the columns of a schema as a sample: their types are what
// they say.
func typedColumns(schema *arrow.Schema) []sampled {
	var out []sampled
	for _, c := range convert.Columns(schema) {
		out = append(out, sampled{name: c.Name, typ: c.Type})
	}
	return out
}

// withoutBrokenText takes out the rows with a text that is not UTF-8, which
// no reader of the table could be sure to read. It takes the batch over; the
// one it returns is nil without rows.
func withoutBrokenText(batch frame.Batch, line func(i int) int64) (frame.Batch, []badRow, error) {
	broken := map[int]int{}
	for c, col := range batch.Columns() {
		texts, ok := col.(*array.String)
		if !ok || utf8.Valid(texts.ValueBytes()) {
			continue
		}
		for i := range texts.Len() {
			if _, already := broken[i]; !already && texts.IsValid(i) && !utf8.ValidString(texts.Value(i)) {
				broken[i] = c
			}
		}
	}
	if len(broken) == 0 {
		return batch, nil, nil
	}
	defer batch.Release()
	var bad []badRow
	for i := range int(batch.NumRows()) {
		if c, ok := broken[i]; ok {
			value := batch.Column(c).(*array.String).Value(i)
			bad = append(bad, badRow{
				line: line(i), reason: fmt.Sprintf("column %q: not UTF-8", batch.Schema().Field(c).Name),
				detail: excerpt([]byte(value)), row: rowJSON(batch, i),
			})
		}
	}
	kept, err := without(batch, broken)
	return kept, bad, err
}
