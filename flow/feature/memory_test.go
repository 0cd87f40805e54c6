package feature_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/spec"
)

var everyType = []frame.Column{
	{Name: "id", Type: frame.String}, {Name: "day", Type: frame.Date},
	{Name: "i", Type: frame.Int}, {Name: "f", Type: frame.Double}, {Name: "s", Type: frame.String},
	{Name: "b", Type: frame.Bool}, {Name: "t", Type: frame.Timestamp}, {Name: "d", Type: frame.Date},
}

// several gives batches one after the other, as a lake does.
type several []frame.Batch

func (s several) Query(context.Context, string) (frame.Reader, error) {
	return frame.FromBatches(s[0].Schema(), s...), nil
}

func TestMemoryFindsValuesOfEveryTypeByCompositeKeys(t *testing.T) {
	v := spec.FeatureView{Name: "v", Source: "s", Entity: spec.Names{"id", "day"}, SQL: "select"}
	full := `{"id": "a", "day": "2026-01-01", "i": 1, "f": 0.5, "s": "x", "b": true, "t": "2026-01-01 10:00:00Z", "d": "2026-02-02"}`
	other := `{"id": "ab", "day": "2026-01-02", "i": -9, "f": -1e300, "s": "", "b": false, "t": "1969-01-01 10:00:00Z", "d": "1900-02-02"}`
	empty := `{"id": "a", "day": "2026-01-02", "i": null, "f": null, "s": null, "b": null, "t": null, "d": null}`
	first := table(t, everyType, "["+empty+","+full+"]")
	m, err := feature.Materialise(t.Context(), several{first.NewSlice(1, 2), table(t, everyType, "["+other+"]"), first.NewSlice(0, 1)}, v, feature.Bounds{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Entities() != 3 || m.Bytes() == 0 {
		t.Errorf("%d entities in %d bytes", m.Entities(), m.Bytes())
	}
	set, err := feature.Compile([]spec.FeatureView{v}, feature.Env{Sources: map[string][]frame.Column{"s": everyType[:2]},
		Tables: map[string]feature.Table{"v": m.Table()}})
	if err != nil {
		t.Fatal(err)
	}
	asked := table(t, everyType[:2], `[{"id": "ab", "day": "2026-01-02"}, {"id": "a", "day": "2026-01-01"}, {"id": "a", "day": "2026-01-02"},
		{"id": "b", "day": "2026-01-01"}, {"id": null, "day": "2026-01-01"}, {"id": "a", "day": null}, {"id": "a", "day": "2026-01-01"}]`)
	out, err := set.Compute(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	const (
		fullOut  = `{"b":true,"d":"2026-02-02","f":0.5,"i":1,"s":"x","t":"2026-01-01T10:00:00Z"}`
		otherOut = `{"b":false,"d":"1900-02-02","f":-1e+300,"i":-9,"s":"","t":"1969-01-01T10:00:00Z"}`
		noneOut  = `{"b":null,"d":null,"f":null,"i":null,"s":null,"t":null}`
	)
	want := strings.Join([]string{otherOut, fullOut, noneOut, noneOut, noneOut, noneOut, fullOut}, "\n")
	if got := text(t, out); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSetsAreSafeForManyGoroutines(t *testing.T) {
	e := env()
	e.Tables = map[string]feature.Table{"spend": materialise(t, spend, spendColumns, `[{"customer_id": 1, "usual": 5.5, "n": 3}]`).Table()}
	set, err := feature.Compile([]spec.FeatureView{view("v", []string{"amount"}, "c", "lower(country) || 'x'", "r", "amount / balance"), spend}, e)
	if err != nil {
		t.Fatal(err)
	}
	batch := table(t, transactions, threeRows)
	want, err := set.Compute(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for k := range 50 {
				at := int64((i + k) % 3)
				got, err := set.Compute(t.Context(), batch.NewSlice(at, at+1))
				if err != nil || !same(got, want.NewSlice(at, at+1)) {
					t.Errorf("row %d: %v %v", at, got, err)
					return
				}
			}
		})
	}
	group.Wait()
}

// badLookup breaks the contract of Lookup.
type badLookup struct{ columns []arrow.Array }

func (l badLookup) Values(context.Context, []arrow.Array, []int64, int) ([]arrow.Array, error) {
	for _, c := range l.columns {
		c.Retain()
	}
	return l.columns, nil
}

func TestLookupsAreHeldToTheirContract(t *testing.T) {
	rows := table(t, transactions, threeRows)
	good := feature.Table{Keys: transactions[:1], Columns: transactions[2:4]}
	for i, columns := range [][]arrow.Array{
		{}, {rows.Column(2)}, {rows.Column(2), rows.Column(4)}, {rows.Column(2), rows.NewSlice(0, 1).Column(3)},
	} {
		bad := good
		bad.Lookup = badLookup{columns}
		e := env()
		e.Tables = map[string]feature.Table{"spend": bad}
		set, err := feature.Compile([]spec.FeatureView{spend}, e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := set.Compute(t.Context(), rows); !fault.Is(err, fault.Internal) || !strings.Contains(fmt.Sprint(err), `"spend"`) {
			t.Errorf("case %d: %v", i, err)
		}
	}
}
