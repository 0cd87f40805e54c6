package columns_test

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/columns"
	"github.com/leat-ai/leat/model/modeltest"
)

func fields() []model.Field {
	var all []model.Field
	for _, t := range frame.Types() {
		all = append(all, model.Field{Name: string(t), Type: t})
	}
	return all
}

func stream(t interface{ Fatal(...any) }, b frame.Batch, options ...ipc.Option) []byte {
	var out bytes.Buffer
	w := ipc.NewWriter(&out, append(options, ipc.WithSchema(b.Schema()))...)
	if err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// What Arrow's own writer writes is read back, whatever the rows.
func TestArrowReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 70).Draw(t, "rows")
		in := modeltest.Rows(memory.DefaultAllocator, fields(), n, rapid.Uint64().Draw(t, "seed"))
		defer in.Release()
		out, err := columns.ReadArrow(stream(t, in), fields(), n)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Release()
		for i := range int(in.NumCols()) {
			for row := range n {
				if in.Column(i).ValueStr(row) != out.Column(i).ValueStr(row) {
					t.Fatalf("row %d of %s is %s, not %s", row, in.ColumnName(i), out.Column(i).ValueStr(row), in.Column(i).ValueStr(row))
				}
			}
		}
	})
}

// And what is written as JSON is read back, as numbers of a NaN or an
// infinity as text.
func TestJSONReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := modeltest.Rows(memory.DefaultAllocator, fields(), 50, rapid.Uint64().Draw(t, "seed"))
		defer in.Release()
		b := columns.NewBuilder(fields())
		defer b.Release()
		times := rapid.SampledFrom([]columns.Times{columns.Numbers, columns.Text}).Draw(t, "times")
		for i, col := range in.Columns() {
			for row := range col.Len() {
				if err := b.Cell(i, jsontext.Value(columns.AppendCell(nil, col, row, times))); err != nil {
					t.Fatal(err)
				}
			}
		}
		out, err := b.Batch(50)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Release()
		for i, col := range in.Columns() {
			for row := range col.Len() {
				if f, ok := col.(*array.Float64); ok && f.IsValid(row) && math.IsNaN(f.Value(row)) {
					continue // it is missing
				}
				if col.ValueStr(row) != out.Column(i).ValueStr(row) {
					t.Fatalf("row %d of %s is %s, not %s", row, in.ColumnName(i), out.Column(i).ValueStr(row), col.ValueStr(row))
				}
			}
		}
	})
}

// Other widths are taken, by position where no name is known.
func TestOtherTypesAreTaken(t *testing.T) {
	pool := memory.DefaultAllocator
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "0", Type: arrow.PrimitiveTypes.Float32}, {Name: "1", Type: arrow.PrimitiveTypes.Uint8}, {Name: "2", Type: arrow.BinaryTypes.LargeString},
		{Name: "3", Type: &arrow.TimestampType{Unit: arrow.Nanosecond}}, {Name: "4", Type: arrow.PrimitiveTypes.Int32}, {Name: "5", Type: arrow.FixedWidthTypes.Date64},
	}, nil)
	b := array.NewRecordBuilder(pool, schema)
	b.Field(0).(*array.Float32Builder).Append(0.5)
	b.Field(1).(*array.Uint8Builder).Append(250)
	b.Field(2).(*array.LargeStringBuilder).Append("wide")
	b.Field(3).(*array.TimestampBuilder).Append(1_500)
	b.Field(4).(*array.Int32Builder).Append(-7)
	b.Field(5).(*array.Date64Builder).Append(arrow.Date64(86_400_000 * 3))
	out, err := columns.ReadArrow(stream(t, b.NewRecordBatch()), []model.Field{
		{Name: "a", Type: frame.Double}, {Name: "b", Type: frame.Int}, {Name: "c", Type: frame.String},
		{Name: "d", Type: frame.Timestamp}, {Name: "e", Type: frame.String}, {Name: "f", Type: frame.Date},
	}, 1)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, c := range out.Columns() {
		got += fmt.Sprint(c)
	}
	if got != `[0.5][250]["wide"][1]["-7"][1970-01-04]` {
		t.Error(got)
	}
}

func TestWhatIsRefused(t *testing.T) {
	numbers := []model.Field{{Name: "x", Type: frame.Int}}
	of := func(typ arrow.DataType, add func(array.Builder), options ...ipc.Option) []byte {
		b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{{Name: "x", Type: typ, Nullable: true}}, nil))
		add(b.Field(0))
		return stream(t, b.NewRecordBatch(), options...)
	}
	half := func(b array.Builder) { b.(*array.Float64Builder).Append(0.5) }
	whole := func(b array.Builder) { b.(*array.Int64Builder).Append(5) }
	two := func(b array.Builder) { b.(*array.Int64Builder).AppendValues([]int64{1, 2}, nil) }
	for want, text := range map[string][]byte{
		"is 0.5, not an int":   of(arrow.PrimitiveTypes.Float64, half),
		"of another type":      of(arrow.BinaryTypes.String, func(b array.Builder) { b.AppendNull() }),
		"2 rows were answered": of(arrow.PrimitiveTypes.Int64, two),
		"not carried":          of(arrow.ListOf(arrow.PrimitiveTypes.Int64), func(b array.Builder) { b.AppendNull() }),
		"compress":             of(arrow.PrimitiveTypes.Int64, whole, ipc.WithZstd()),
		"not an Arrow stream":  []byte("no stream"),
	} {
		if _, err := columns.ReadArrow(text, numbers, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	good := of(arrow.PrimitiveTypes.Int64, whole)
	for end := range len(good) - 8 { // the last eight bytes only say that it ends
		if out, err := columns.ReadArrow(good[:end], numbers, 1); err == nil {
			out.Release()
			t.Errorf("a stream cut after %d of %d bytes was read", end, len(good))
		}
	}
	for at := range good { // whatever a byte becomes, it is read or refused
		broken := bytes.Clone(good)
		broken[at] ^= 0xff
		if out, err := columns.ReadArrow(broken, numbers, 1); err == nil {
			out.Release()
		}
	}
}
