package feature_test

import (
	"context"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/spec"
)

var habits = spec.FeatureView{Name: "habits", Source: "transactions", Entity: spec.Names{"customer_id"}, Timestamp: "at",
	Features: spec.Features{{Name: "asked", Aggregate: &spec.Aggregate{Last: "at"}}}}

// echo answers the time that it was told for each row.
type echo struct{ asked int }

func (e *echo) Values(_ context.Context, _ []arrow.Array, at []int64, rows int) ([]arrow.Array, error) {
	e.asked++
	b := array.NewTimestampBuilder(memory.DefaultAllocator, frame.TimestampType)
	defer b.Release()
	for i := range rows {
		if at[i] == feature.NoTime {
			b.AppendNull()
			continue
		}
		b.Append(arrow.Timestamp(at[i]))
	}
	return []arrow.Array{b.NewArray()}, nil
}

func dated(t *testing.T, views ...spec.FeatureView) (*feature.Set, *echo) {
	t.Helper()
	e, told := env(), &echo{}
	e.Tables = map[string]feature.Table{"habits": {Keys: transactions[:1], Dated: true, Lookup: told,
		Columns: []frame.Column{{Name: "asked", Type: frame.Timestamp}}}}
	set, err := feature.Compile(views, e)
	if err != nil {
		t.Fatal(err)
	}
	return set, told
}

func TestALookupIsToldTheTimeOfEachRow(t *testing.T) {
	base := view("activity", nil, "twice", "amount * 2")
	base.Timestamp = "at"
	set, told := dated(t, base, habits)
	if c, ok := set.Time(); !ok || c.Name != "at" {
		t.Fatalf("the time is %v, %v", c, ok)
	}
	rows := table(t, transactions, threeRows)
	for _, c := range []struct {
		asked feature.Asked
		want  string
	}{
		{feature.Asked{}, `{"asked":"2026-03-01T10:00:00Z","twice":20}
{"asked":"2026-03-01T23:30:00Z","twice":16}
{"asked":null,"twice":null}`},
		{feature.Asked{At: time.UnixMicro(5)}, `{"asked":"2026-03-01T10:00:00Z","twice":20}
{"asked":"2026-03-01T23:30:00Z","twice":16}
{"asked":"1970-01-01T00:00:00.000005Z","twice":null}`},
	} {
		out, err := set.ComputeAs(t.Context(), rows, c.asked)
		if err != nil {
			t.Fatal(err)
		}
		if got := text(t, out); got != c.want {
			t.Errorf("computed\n%s\nwant\n%s", got, c.want)
		}
		out.Release()
	}
	asked := told.asked
	found := feature.Asked{Found: map[string][]arrow.Array{"habits": {rows.Column(1)}}}
	part := found.Slice(1, 3)
	defer part.Release()
	out, err := set.ComputeAs(t.Context(), rows.NewSlice(1, 3), part)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"asked":"2026-03-01T23:30:00Z","twice":16}
{"asked":null,"twice":null}`
	if got := text(t, out); got != want || told.asked != asked {
		t.Errorf("found values gave\n%s\nafter %d lookups", got, told.asked-asked)
	}
	if _, err := set.ComputeAs(t.Context(), rows, part); !fault.Is(err, fault.Internal) {
		t.Errorf("too few values gave %v", err)
	}
}

func TestOnDemandReadsTheRequestAndWhatStandsBefore(t *testing.T) {
	demand := spec.FeatureView{Name: "demand", Inputs: spec.Columns{{Name: "amount", Type: frame.Double}, {Name: "balance", Type: frame.Double}},
		Features: spec.Features{{Name: "half", Expr: "twice / 4"}, {Name: "rest", Expr: "balance - amount"}}}
	set, err := feature.Compile([]spec.FeatureView{view("activity", []string{"country"}, "twice", "amount * 2"), demand}, env())
	if err != nil {
		t.Fatal(err)
	}
	out, err := set.Compute(t.Context(), table(t, transactions, threeRows))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Release()
	want := `{"country":"DE","half":5,"rest":-6,"twice":20}
{"country":null,"half":4,"rest":-8,"twice":16}
{"country":"FR","half":null,"rest":null,"twice":null}`
	if got := text(t, out); got != want {
		t.Errorf("computed\n%s\nwant\n%s", got, want)
	}
	for what, views := range map[string][]spec.FeatureView{
		"before what it reads": {demand, view("activity", nil, "twice", "amount * 2")},
		"of the label":         {{Name: "d", Inputs: spec.Columns{{Name: "fraud", Type: frame.Bool}}, Features: spec.Features{{Name: "f", Expr: "not fraud"}}}, view("activity", []string{"country"})},
		"of another type":      {view("activity", []string{"country"}), {Name: "d", Inputs: spec.Columns{{Name: "amount", Type: frame.Int}}, Features: spec.Features{{Name: "f", Expr: "amount + 1"}}}},
	} {
		if _, err := feature.Compile(views, env()); !fault.Is(err, fault.Invalid) {
			t.Errorf("a view %s gave %v", what, err)
		}
	}
}

func TestTheBaseIsThatOfTheRows(t *testing.T) {
	row, other := view("activity", []string{"amount"}), who
	for want, views := range map[string][]spec.FeatureView{
		"transactions": {other, habits, row},
		"customers":    {other, habits},
	} {
		if got := feature.Base(views); got != want {
			t.Errorf("the base of %d views is %q, not %q", len(views), got, want)
		}
	}
}
