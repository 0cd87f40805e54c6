package ingest

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/spec"
)

// parquetBytes is a Parquet file with types of other programs.
func parquetBytes(t testing.TB, texts ...string) string {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Int32}, {Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "list", Type: arrow.ListOf(arrow.PrimitiveTypes.Float32), Nullable: true},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i, s := range texts {
		b.Field(0).(*array.Int32Builder).Append(int32(i))
		b.Field(1).(*array.StringBuilder).Append(s)
		l := b.Field(2).(*array.ListBuilder)
		l.Append(true)
		l.ValueBuilder().(*array.Float32Builder).Append(float32(i) / 2)
	}
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &out, parquet.NewWriterProperties(), pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(b.NewRecordBatch()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestParquet(t *testing.T) {
	sink, got, err := ingestText(t, "a.parquet", parquetBytes(t, "x", "\xff", "z", "w"), Limits{}, spec.Source{Expect: []string{"n <> 2"}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Rows != 2 || got.Quarantined != 2 || got.Reasons[`column "s": not UTF-8`] != 1 || got.Reasons["breaks n <> 2"] != 1 {
		t.Fatalf("%+v", got)
	}
	want := []frame.Column{{Name: "n", Type: frame.Int}, {Name: "s", Type: frame.String}, {Name: "list", Type: frame.String}}
	for i, c := range sink.columns["t"] {
		if c != want[i] {
			t.Errorf("column %v, want %v", c, want[i])
		}
	}
}

// A damaged file is refused, or read as something else; it never ends the
// process or passes for a defect of Leat.
func TestDamagedParquet(t *testing.T) {
	sound := []byte(parquetBytes(t, "x", "y", "z", "w"))
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 400 {
		damaged := bytes.Clone(sound)
		if n%4 == 0 {
			damaged = damaged[:r.IntN(len(damaged))]
		} else {
			for range 1 + n%3 {
				damaged[r.IntN(len(damaged))] ^= 1 << r.IntN(8)
			}
		}
		_, _, err := ingestText(t, "a.parquet", string(damaged), Limits{}, spec.Source{})
		if k := fault.KindOf(err); k == fault.Internal {
			t.Fatalf("damage %d: %v", n, err)
		}
	}
}
