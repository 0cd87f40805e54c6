// Package modeltest is the conformance suite of model.Model: what every
// runtime promises, whatever made its model.
//
// A runtime's test trains or writes a small model and calls Run with it. The
// suite makes rows of its own from the model's signature: usual values,
// values beyond those of training, NULLs, NaN and infinities, unseen text.
package modeltest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// rows is more than any runtime should take in one internal chunk, and odd.
const rows = 5003

// Run checks m against the contract. It takes well under a second for a model
// of a hundred trees.
func Run(t *testing.T, m model.Model) {
	t.Run("signature", func(t *testing.T) { signature(t, m) })
	t.Run("outputs", func(t *testing.T) { outputs(t, m) })
	t.Run("column order does not matter", func(t *testing.T) { columnOrder(t, m) })
	t.Run("batch size does not matter", func(t *testing.T) { batchSize(t, m) })
	t.Run("missing column is named", func(t *testing.T) { missingColumn(t, m) })
	t.Run("wrong type is named", func(t *testing.T) { wrongType(t, m) })
	t.Run("no rows", func(t *testing.T) { noRows(t, m) })
	t.Run("many goroutines", func(t *testing.T) { concurrency(t, m) })
	t.Run("ended context", func(t *testing.T) { endedContext(t, m) })
	t.Run("references are given back", func(t *testing.T) { references(t, m) })
	t.Run("importance sums to one", func(t *testing.T) { importance(t, m) })
}

// Rows makes n rows of a signature's inputs, the same for the same seed.
func Rows(alloc memory.Allocator, inputs []model.Field, n int, seed uint64) frame.Batch {
	columns := make([]frame.Column, len(inputs))
	for i, f := range inputs {
		columns[i] = frame.Column{Name: f.Name, Type: f.Type}
	}
	b := array.NewRecordBuilder(alloc, frame.SchemaOf(columns))
	defer b.Release()
	r := rand.New(rand.NewPCG(seed, 1))
	for range n {
		for i, f := range inputs {
			if r.IntN(8) == 0 {
				b.Field(i).AppendNull()
			} else {
				appendValue(b.Field(i), f, r)
			}
		}
	}
	return b.NewRecordBatch()
}

func appendValue(b array.Builder, f model.Field, r *rand.Rand) {
	switch b := b.(type) {
	case *array.StringBuilder:
		if len(f.Categories) > 0 && r.IntN(6) > 0 {
			b.Append(f.Categories[r.IntN(len(f.Categories))])
		} else {
			b.Append([]string{"", "never seen", "é \U0001F600", "x\x00y"}[r.IntN(4)])
		}
	case *array.Float64Builder:
		switch r.IntN(40) {
		case 0:
			b.Append(math.Inf(1 - 2*r.IntN(2)))
		case 1:
			b.Append(math.NaN())
		case 2:
			b.Append(math.MaxFloat64)
		default:
			b.Append(r.NormFloat64() * math.Pow(10, float64(r.IntN(5)-1)))
		}
	case *array.Int64Builder:
		if r.IntN(40) == 0 {
			b.Append(math.MinInt64)
		} else {
			b.Append(int64(r.IntN(2000)) - 200)
		}
	case *array.BooleanBuilder:
		b.Append(r.IntN(2) == 1)
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(r.Int64N(2e15)))
	case *array.Date32Builder:
		b.Append(arrow.Date32(r.IntN(30000)))
	}
}

func signature(t *testing.T, m model.Model) {
	s := m.Signature()
	if len(s.Inputs) == 0 {
		t.Error("the signature has no inputs")
	}
	seen := map[string]bool{}
	for _, f := range s.Inputs {
		if f.Type.Arrow() == nil || f.Name == "" || seen[f.Name] {
			t.Errorf("input %q of type %q", f.Name, f.Type)
		}
		seen[f.Name] = true
	}
	if want := map[model.Task]int{model.Binary: 2, model.Regression: 0}; s.Task != model.Multiclass && want[s.Task] != len(s.Classes) {
		t.Errorf("task %s with %d classes", s.Task, len(s.Classes))
	}
}

func outputs(t *testing.T, m model.Model) {
	in := Rows(memory.DefaultAllocator, m.Signature().Inputs, rows, 1)
	defer in.Release()
	out := predict(t, m, in)
	defer out.Release()
	if out.NumRows() != in.NumRows() {
		t.Fatalf("%d rows for %d", out.NumRows(), in.NumRows())
	}
	got, err := frame.ColumnsOf(out.Schema())
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range m.Signature().Outputs {
		if i >= len(got) || got[i].Name != f.Name || got[i].Type != f.Type {
			t.Fatalf("the columns are %v, not %v", got, m.Signature().Outputs)
		}
	}
	for row := range rows {
		checkRow(t, m.Signature(), out, row)
	}
}

func checkRow(t *testing.T, s model.Signature, out frame.Batch, row int) {
	t.Helper()
	sum := 0.0
	for i, f := range s.Outputs {
		col := out.Column(i)
		if col.IsNull(row) {
			t.Fatalf("row %d has no %s", row, f.Name)
		}
		switch c := col.(type) {
		case *array.String:
			if f.Name == model.LabelColumn && !slices.Contains(s.Classes, c.Value(row)) {
				t.Fatalf("row %d has the label %q", row, c.Value(row))
			}
		case *array.Float64:
			v := c.Value(row)
			sum += v
			if v-v != 0 || (s.Task != model.Regression && (v < 0 || v > 1)) {
				t.Fatalf("row %d has %s %v", row, f.Name, v)
			}
		}
	}
	if s.Task == model.Multiclass && math.Abs(sum-1) > 1e-9 {
		t.Fatalf("the probabilities of row %d sum to %v", row, sum)
	}
}

func columnOrder(t *testing.T, m model.Model) {
	in := Rows(memory.DefaultAllocator, m.Signature().Inputs, 101, 2)
	defer in.Release()
	n := int(in.NumCols())
	fields := []arrow.Field{{Name: "one of no interest", Type: arrow.PrimitiveTypes.Int8, Nullable: true}}
	columns := []arrow.Array{array.MakeArrayOfNull(memory.DefaultAllocator, arrow.PrimitiveTypes.Int8, 101)}
	for i := range n {
		fields = append(fields, in.Schema().Field(n-1-i))
		columns = append(columns, in.Column(n-1-i))
	}
	turned := array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, 101)
	defer turned.Release()
	same(t, predict(t, m, in), predict(t, m, turned))
}

func batchSize(t *testing.T, m model.Model) {
	in := Rows(memory.DefaultAllocator, m.Signature().Inputs, rows, 3)
	defer in.Release()
	whole := predict(t, m, in)
	defer whole.Release()
	for _, size := range []int64{1, 2, 7, 64, 1000, 4097} {
		// Single rows from the whole length would only be slow.
		last := min(rows, 300*size)
		for from := int64(0); from < last; from += size {
			part := in.NewSlice(from, min(from+size, rows))
			want := whole.NewSlice(from, min(from+size, rows))
			same(t, want, predict(t, m, part))
			part.Release()
		}
	}
}

func missingColumn(t *testing.T, m model.Model) {
	in := Rows(memory.DefaultAllocator, m.Signature().Inputs, 3, 4)
	defer in.Release()
	for i := range in.Schema().Fields() {
		fields := slices.Delete(slices.Clone(in.Schema().Fields()), i, i+1)
		columns := slices.Delete(slices.Clone(in.Columns()), i, i+1)
		without := array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, 3)
		refused(t, m, without, in.ColumnName(i))
		without.Release()
	}
}

func wrongType(t *testing.T, m model.Model) {
	in := Rows(memory.DefaultAllocator, m.Signature().Inputs, 3, 5)
	defer in.Release()
	for i := range in.Schema().Fields() {
		wrong := arrow.DataType(arrow.BinaryTypes.String)
		if in.Schema().Field(i).Type.ID() == arrow.STRING {
			wrong = arrow.FixedWidthTypes.Boolean
		}
		fields := slices.Clone(in.Schema().Fields())
		fields[i].Type = wrong
		columns := slices.Clone(in.Columns())
		columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, wrong, 3)
		batch := array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, 3)
		refused(t, m, batch, in.ColumnName(i))
		batch.Release()
	}
}

func refused(t *testing.T, m model.Model, in frame.Batch, column string) {
	t.Helper()
	out, err := m.Predict(context.Background(), in)
	if err == nil {
		out.Release()
		t.Errorf("column %q is wrong and was not refused", column)
		return
	}
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("column %q: the fault is %s, not invalid: %v", column, fault.KindOf(err), err)
	}
	if !strings.Contains(err.Error(), column) {
		t.Errorf("the fault does not name column %q: %v", column, err)
	}
}

func noRows(t *testing.T, m model.Model) {
	in := Rows(memory.DefaultAllocator, m.Signature().Inputs, 0, 6)
	defer in.Release()
	out := predict(t, m, in)
	defer out.Release()
	if out.NumRows() != 0 || int(out.NumCols()) != len(m.Signature().Outputs) {
		t.Errorf("%d rows, %d columns", out.NumRows(), out.NumCols())
	}
}

func concurrency(t *testing.T, m model.Model) {
	const goroutines = 8
	inputs := make([]frame.Batch, goroutines)
	wants := make([]frame.Batch, goroutines)
	for i := range inputs {
		inputs[i] = Rows(memory.DefaultAllocator, m.Signature().Inputs, 1+37*i, uint64(i))
		wants[i] = predict(t, m, inputs[i])
	}
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range 5 * goroutines {
				at := (g + i) % goroutines
				out, err := m.Predict(context.Background(), inputs[at])
				if err != nil {
					t.Errorf("goroutine %d: %v", g, err)
					return
				}
				if diff := difference(wants[at], out); diff != "" {
					t.Errorf("goroutine %d: %s", g, diff)
				}
				out.Release()
			}
		})
	}
	wg.Wait()
}

func endedContext(t *testing.T, m model.Model) {
	in := Rows(memory.DefaultAllocator, m.Signature().Inputs, rows, 7)
	defer in.Release()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	out, err := m.Predict(ctx, in)
	if err == nil {
		out.Release()
		t.Fatal("no error after the context ended")
	}
	if !errors.Is(err, context.Canceled) && !fault.Is(err, fault.Canceled) {
		t.Errorf("the fault is %s: %v", fault.KindOf(err), err)
	}
}

// references checks that Predict keeps no reference to its input: once the
// caller releases it, all of its memory is free.
func references(t *testing.T, m model.Model) {
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	for seed := range uint64(3) {
		in := Rows(alloc, m.Signature().Inputs, rows, seed)
		out := predict(t, m, in)
		in.Release()
		before := fmt.Sprint(out.Column(0))
		Rows(alloc, m.Signature().Inputs, rows, seed+10).Release()
		if before != fmt.Sprint(out.Column(0)) {
			t.Error("the output changed after the input was released")
		}
		out.Release()
	}
}

func importance(t *testing.T, m model.Model) {
	explainer, ok := m.(model.Explainer)
	if !ok {
		return
	}
	sum := 0.0
	weights := explainer.Importance()
	for name, w := range weights {
		if !slices.ContainsFunc(m.Signature().Inputs, func(f model.Field) bool { return f.Name == name }) || !(w >= 0) {
			t.Errorf("importance of %q is %v", name, w)
		}
		sum += w
	}
	if len(weights) > 0 && math.Abs(sum-1) > 1e-9 {
		t.Errorf("the importances sum to %v", sum)
	}
}

func predict(t *testing.T, m model.Model, in frame.Batch) frame.Batch {
	t.Helper()
	out, err := m.Predict(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// same fails unless the two batches are equal bit for bit, and releases them.
func same(t *testing.T, want, got frame.Batch) {
	t.Helper()
	defer want.Release()
	defer got.Release()
	if diff := difference(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func difference(want, got frame.Batch) string {
	if want.NumRows() != got.NumRows() || want.NumCols() != got.NumCols() {
		return fmt.Sprintf("%d×%d is not %d×%d", got.NumRows(), got.NumCols(), want.NumRows(), want.NumCols())
	}
	for i := range int(want.NumCols()) {
		for row := range int(want.NumRows()) {
			if w, g := cell(want.Column(i), row), cell(got.Column(i), row); w != g {
				return fmt.Sprintf("row %d of %s is %s, not %s", row, want.ColumnName(i), g, w)
			}
		}
	}
	return ""
}

// cell gives a value so that two are equal only if their bits are.
func cell(col arrow.Array, row int) string {
	if c, ok := col.(*array.Float64); ok && c.IsValid(row) {
		return fmt.Sprintf("%x (%v)", math.Float64bits(c.Value(row)), c.Value(row))
	}
	return col.ValueStr(row)
}
