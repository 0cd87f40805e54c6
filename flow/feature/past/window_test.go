package past_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/flow/feature/past"
	"github.com/leat-ai/leat/flow/feature/window"
	"github.com/leat-ai/leat/spec"
)

func micros(n int64) spec.Duration { return spec.Duration(time.Duration(n) * time.Microsecond) }

func aggregate(t *rapid.T) *spec.Aggregate {
	a := &spec.Aggregate{}
	switch rapid.IntRange(0, 9).Draw(t, "op") {
	case 0:
		a.Count = "*"
	case 1:
		a.Sum = "amount"
	case 2:
		a.Avg = "amount * 2"
	case 3:
		a.Min = "amount"
	case 4:
		a.Max = "text"
	case 5:
		a.Last = "amount"
	case 6:
		a.First = "text"
	case 7:
		a.Distinct = "text"
	case 8:
		a.Stddev = "amount"
	default:
		a.Quantile, a.Q = "amount", 0.5
	}
	if rapid.Bool().Draw(t, "where") {
		a.Where = "amount > 0"
	}
	length := rapid.SampledFrom([]int64{1, 4, 30, 1000}).Draw(t, "length")
	switch rapid.IntRange(0, 4).Draw(t, "shape") {
	case 0, 1:
		a.Window = spec.Durations{micros(length)}
	case 2:
		a.Tumbling = micros(length)
	case 3:
		a.Session = micros(length)
	}
	return a
}

// reference computes one row's values with a state of its own, which has the
// events that the row sees and no others: O(n·m), and no order to get wrong.
func reference(t *rapid.T, plan *window.Plan, list []event, names []string, row event, known bool) string {
	if row.at == nil {
		line := "NULL"
		for range len(plan.Outputs()) - 1 {
			line += " NULL"
		}
		return line
	}
	key, ok := row.key(names)
	var seen []event
	for _, e := range list {
		if ok && visible(e, names, key, *row.at, known) {
			seen = append(seen, e)
		}
	}
	s := window.NewState(plan, window.Bounds{})
	if len(seen) > 0 {
		b, err := batches(seen, len(seen)).Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Add(b, nil); err != nil {
			t.Fatal(err)
		}
	}
	b, err := batches([]event{row}, 1).Next(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var keys []arrow.Array
	for _, k := range plan.Keys() {
		at := b.Schema().FieldIndices(k.Name)[0]
		keys = append(keys, b.Column(at))
	}
	values, err := s.Values(keys, []int64{*row.at})
	if err != nil {
		t.Fatal(err)
	}
	return shown(values, 0)
}

func TestWindowsAreThoseOfTheReference(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		rows := events(rt, "rows", 30)
		type given struct {
			plan  *window.Plan
			list  []event
			known bool
		}
		var views []past.View
		var all []given
		for i := range rapid.IntRange(1, 2).Draw(rt, "views") {
			v := spec.FeatureView{Name: fmt.Sprint("view", i), Source: "events", Timestamp: "at",
				Entity: rapid.SampledFrom([]spec.Names{{"id"}, {"city"}, {"id", "city"}}).Draw(rt, "entity")}
			for k := range rapid.IntRange(1, 4).Draw(rt, "features") {
				v.Features = append(v.Features, spec.FeatureDef{Name: fmt.Sprint("f", k), Aggregate: aggregate(rt)})
			}
			if rapid.Bool().Draw(rt, "ttl") {
				v.TTL = micros(1000)
			}
			if rapid.Bool().Draw(rt, "known") {
				v.Known = "known"
			}
			plan, err := window.Compile(v, eventColumns)
			if err != nil {
				rt.Fatal(err)
			}
			g := given{plan, events(rt, "events", 50), v.Known != ""}
			p, err := past.Window(v.Name, plan, from(g.list, rapid.IntRange(1, 30).Draw(rt, "batch")))
			if err != nil {
				rt.Fatal(err)
			}
			views, all = append(views, p), append(all, g)
		}
		j, err := past.Join(context.Background(), batches(rows, 7), "at", views, past.Options{
			Scratch: dir, Memory: rapid.SampledFrom([]int64{0, 1, 9 << 10}).Draw(rt, "memory"), Workers: 2, At: past.NoTime,
		})
		if err != nil {
			rt.Fatal(err)
		}
		defer j.Close()
		found := take(t, j, rapid.IntRange(1, 50).Draw(rt, "step"))
		for i, g := range all {
			for at, row := range rows {
				want := reference(rt, g.plan, g.list, g.plan.View().Entity, row, g.known)
				if got := found[fmt.Sprint("view", i)][at]; got != want {
					rt.Fatalf("view %d, row %d: %s, not %s", i, at, got, want)
				}
			}
		}
	})
}

// One entity with very many events is not kept whole, and its values are those
// of a state that is.
func TestAHotEntityIsForgottenAsTimeGoesOn(t *testing.T) {
	const n = 200_000
	list := make([]event, n)
	id, city, amount := int64(1), "a", 2.0
	for i := range list {
		at := int64(i)
		list[i] = event{id: &id, city: &city, at: &at, known: &at, amount: &amount}
	}
	rows := make([]event, 0, n/10)
	for i := 0; i < n; i += 10 {
		rows = append(rows, list[i])
	}
	for _, known := range []string{"", "known"} {
		v := spec.FeatureView{Name: "v", Source: "events", Timestamp: "at", Known: known, Entity: spec.Names{"id"},
			Features: spec.Features{{Name: "n", Aggregate: &spec.Aggregate{Count: "*", Window: spec.Durations{micros(500)}}},
				{Name: "sum", Aggregate: &spec.Aggregate{Sum: "amount", Window: spec.Durations{micros(7)}}}}}
		plan, err := window.Compile(v, eventColumns)
		if err != nil {
			t.Fatal(err)
		}
		p, err := past.Window("v", plan, from(list, 5000))
		if err != nil {
			t.Fatal(err)
		}
		j, err := past.Join(t.Context(), batches(rows, 5000), "at", []past.View{p}, past.Options{Scratch: t.TempDir(), Memory: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if j.Stats().Spilled == 0 {
			t.Error("nothing was written to a file")
		}
		for i, got := range take(t, j, 1000)["v"] {
			at := int64(i) * 10
			want := fmt.Sprint(min(at, 500), " ", 2*min(at, 7))
			if at == 0 {
				want = "0 NULL"
			}
			if got != want {
				t.Fatalf("row %d: %s, not %s", i, got, want)
			}
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
}
