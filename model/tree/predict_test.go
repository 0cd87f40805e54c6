package tree

import (
	"context"
	"math"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
)

// smallDefinition asks whether amount is large, and then for the country.
func smallDefinition(task model.Task) Definition {
	d := Definition{
		Task: task, Link: Identity, Base: []float64{0.5},
		Encoder: &encode.Encoder{Columns: []encode.Column{
			{Name: "amount", Type: frame.Double, Kind: encode.Numeric},
			{Name: "country", Type: frame.String, Kind: encode.Category, Categories: []string{"at", "de", "ch"}},
		}},
		Trees: []Tree{{
			Splits: []Split{
				{Column: 0, Threshold: 10, Left: ^0, Right: 1, MissingLeft: true},
				{Column: 1, Set: []uint64{0b101}, Left: ^1, Right: ^2},
			},
			Leaves: []float64{-1, 2, 1},
		}, {
			Leaves: []float64{0.25},
		}},
		Importance: []float64{3, 1},
	}
	switch task {
	case model.Binary:
		d.Link, d.Classes = Sigmoid, []string{"no", "yes"}
	case model.Multiclass:
		d.Link, d.Classes, d.Base = Softmax, []string{"a", "b", "c"}, []float64{0.5, 0, 0}
		d.Trees[1].Output = 2
	}
	return d
}

func smallEnsemble(t testing.TB, task model.Task) *Ensemble {
	t.Helper()
	e, err := New(smallDefinition(task))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// smallBatch has rows that reach every leaf; NaN is NULL, "" is NULL.
func smallBatch(amounts []float64, countries []string) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf([]frame.Column{
		{Name: "country", Type: frame.String}, {Name: "other", Type: frame.Int}, {Name: "amount", Type: frame.Double},
	}))
	defer b.Release()
	for i, v := range amounts {
		if countries[i] == "" {
			b.Field(0).AppendNull()
		} else {
			b.Field(0).(*array.StringBuilder).Append(countries[i])
		}
		b.Field(1).AppendNull()
		if math.IsNaN(v) {
			b.Field(2).AppendNull()
		} else {
			b.Field(2).(*array.Float64Builder).Append(v)
		}
	}
	return b.NewRecordBatch()
}

func floats(t testing.TB, b frame.Batch, name string) []float64 {
	t.Helper()
	at := frame.Index(b.Schema(), name)
	if at < 0 {
		t.Fatalf("the answer has no column %q: %v", name, b.Schema())
	}
	return b.Column(at).(*array.Float64).Float64Values()
}

func TestPredictAnswersByTask(t *testing.T) {
	amounts := []float64{5, 10, 11, 11, 11, 11, math.NaN()}
	countries := []string{"at", "de", "at", "de", "xx", "", "at"}
	sums := []float64{-0.25, -0.25, 2.75, 1.75, 1.75, 1.75, -0.25}
	in := smallBatch(amounts, countries)
	defer in.Release()

	out, err := smallEnsemble(t, model.Regression).Predict(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Release()
	for i, got := range floats(t, out, "score") {
		if got != sums[i] {
			t.Errorf("row %d: score %v, want %v", i, got, sums[i])
		}
	}

	out, err = smallEnsemble(t, model.Binary).Predict(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Release()
	labels := out.Column(frame.Index(out.Schema(), "label")).(*array.String)
	for i, got := range floats(t, out, "score") {
		if want := 1 / (1 + math.Exp(-sums[i])); got != want {
			t.Errorf("row %d: probability %v, want %v", i, got, want)
		}
		if want := map[bool]string{false: "no", true: "yes"}[sums[i] >= 0]; labels.Value(i) != want {
			t.Errorf("row %d: label %q, want %q", i, labels.Value(i), want)
		}
	}

	out, err = smallEnsemble(t, model.Multiclass).Predict(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Release()
	a, b, c := floats(t, out, "score_a"), floats(t, out, "score_b"), floats(t, out, "score_c")
	labels = out.Column(frame.Index(out.Schema(), "label")).(*array.String)
	for i := range a {
		if total := a[i] + b[i] + c[i]; math.Abs(total-1) > 1e-12 {
			t.Errorf("row %d: probabilities add up to %v", i, total)
		}
	}
	if labels.Value(0) != "c" || labels.Value(2) != "a" {
		t.Errorf("labels %v, want c first and a third", labels)
	}
}

// TestPredictIsTheSameInAnyBatch cuts a batch in two and scores the parts:
// the chunks, the engines and the goroutines must not show.
func TestPredictIsTheSameInAnyBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := anyDefinition(t)
		e, err := New(d)
		if err != nil {
			t.Fatal(err)
		}
		rows := rapid.SampledFrom([]int{1, 20, 64, 200}).Draw(t, "rows")
		columns := anyColumns(t, d.Encoder, rows)
		// Repeated, so that there are several chunks without drawing them all.
		const times = 12
		for i := range columns {
			for range times {
				columns[i] = append(columns[i], columns[i][:rows]...)
			}
		}
		whole, err := e.Score(context.Background(), columns)
		if err != nil {
			t.Fatal(err)
		}
		cut := rapid.IntRange(0, rows).Draw(t, "cut")
		for _, part := range [][2]int{{0, cut}, {cut, rows}} {
			slice := make([][]float64, len(columns))
			for i := range columns {
				slice[i] = columns[i][part[0]:part[1]]
			}
			answers, err := e.Score(context.Background(), slice)
			if err != nil {
				t.Fatal(err)
			}
			for k := range answers {
				for i, got := range answers[k] {
					for at := part[0] + i; at < len(whole[k]); at += rows {
						if math.Float64bits(got) != math.Float64bits(whole[k][at]) {
							t.Fatalf("output %d row %d: %v in a part, %v in the whole", k, at, got, whole[k][at])
						}
					}
				}
			}
		}
	})
}

func TestPredictRefusesWhatTheSignatureDoesNotName(t *testing.T) {
	e := smallEnsemble(t, model.Binary)
	b := array.NewRecordBatch(arrow.NewSchema(nil, nil), nil, 0)
	defer b.Release()
	if _, err := e.Predict(t.Context(), b); !fault.Is(err, fault.Invalid) {
		t.Errorf("a batch without columns gives %v, want an Invalid fault", err)
	}
	empty := smallBatch(nil, nil)
	defer empty.Release()
	out, err := e.Predict(t.Context(), empty)
	if err != nil || out.NumRows() != 0 || out.NumCols() != 2 {
		t.Errorf("an empty batch gives %v, %v", out, err)
	}
}

func TestPredictEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in := smallBatch([]float64{1}, []string{"at"})
	defer in.Release()
	if _, err := smallEnsemble(t, model.Binary).Predict(ctx, in); !fault.Is(err, fault.Canceled) {
		t.Errorf("a cancelled call gives %v", err)
	}
}

func TestImportanceIsShares(t *testing.T) {
	got := smallEnsemble(t, model.Binary).Importance()
	if got["amount"] != 0.75 || got["country"] != 0.25 {
		t.Errorf("importance %v, want 3/4 amount and 1/4 country", got)
	}
}
