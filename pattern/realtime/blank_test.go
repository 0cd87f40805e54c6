package realtime_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/pattern/realtime"
)

// TestBlankIsWhatReadRowsReads fills rows with values and reads them as JSON:
// both make the same batch, of one row and of many, with and without NULLs,
// and also when a row's memory had another request before.
func TestBlankIsWhatReadRowsReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var inputs []model.Field
		for i, kind := range rapid.SliceOfN(rapid.SampledFrom(frame.Types()), 1, 6).Draw(t, "types") {
			inputs = append(inputs, model.Field{Name: string(rune('a' + i)), Type: kind})
		}
		layout := realtime.NewLayout(inputs, nil)
		for range 3 {
			n := rapid.IntRange(1, 4).Draw(t, "rows")
			nulls := rapid.Bool().Draw(t, "nulls")
			b := layout.Blank(n)
			rows := make([]map[string]any, n)
			for row := range rows {
				rows[row] = map[string]any{}
				for i, in := range inputs {
					rows[row][in.Name] = draw(t, b, in.Type, i, row, nulls)
				}
			}
			text, err := json.Marshal(rows)
			if err != nil {
				t.Fatal(err)
			}
			want, err := realtime.ReadRows(text, layout, n)
			if err != nil {
				t.Fatal(err)
			}
			got := b.Rows()
			if !array.RecordEqual(got.Batch, want.Batch) {
				t.Fatalf("%s\nis filled as %v\nread as      %v", text, got.Batch, want.Batch)
			}
			got.Release()
			want.Release()
		}
	})
}

// draw sets a value and returns it as JSON has it.
func draw(t *rapid.T, b *realtime.Blank, kind frame.Type, column, row int, nulls bool) any {
	null := nulls && rapid.Bool().Draw(t, "null")
	switch {
	case null && kind == frame.Double:
		b.Doubles(column)[row] = math.NaN()
		return nil
	case null:
		b.Null(column, row)
		return nil
	}
	switch kind {
	case frame.Double:
		v := rapid.Float64Range(-1e9, 1e9).Draw(t, "double")
		b.Doubles(column)[row] = v
		return v
	case frame.Int:
		v := rapid.Int64().Draw(t, "int")
		b.Ints(column)[row] = v
		return v
	case frame.Bool:
		v := rapid.Bool().Draw(t, "bool")
		b.Bools(column)[row] = v
		return v
	case frame.String:
		v := rapid.StringMatching(`[a-zé"\\]{0,5}`).Draw(t, "string")
		b.Strings(column)[row] = v
		return v
	}
	layout := time.RFC3339Nano
	at := time.UnixMicro(rapid.Int64Range(-1e15, 4e15).Draw(t, "time")).UTC()
	if kind == frame.Date {
		layout = time.DateOnly
	}
	v, ok := realtime.ParseTime(at.Format(layout), kind)
	if !ok {
		t.Fatalf("%s is no %s", at.Format(layout), kind)
	}
	b.Ints(column)[row] = v
	return at.Format(layout)
}
