package profile

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/frame"
)

var columns = []frame.Column{{Name: "amount", Type: frame.Double}, {Name: "country", Type: frame.String}}

type row struct {
	amount  float64 // NaN: missing
	country string  // "": missing
}

func batchOf(rows []row) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(columns))
	defer b.Release()
	for _, r := range rows {
		if math.IsNaN(r.amount) {
			b.Field(0).AppendNull()
		} else {
			b.Field(0).(*array.Float64Builder).Append(r.amount)
		}
		if r.country == "" {
			b.Field(1).AppendNull()
		} else {
			b.Field(1).(*array.StringBuilder).Append(r.country)
		}
	}
	return b.NewRecordBatch()
}

func draw(n int, seed uint64, shift float64, countries []string) []row {
	r := rand.New(rand.NewPCG(seed, 1))
	rows := make([]row, n)
	for i := range rows {
		rows[i] = row{r.NormFloat64() + shift, countries[r.IntN(len(countries))]}
	}
	return rows
}

func profileOf(t testing.TB, rows []row) *Profile {
	b := NewBuilder(columns)
	if err := b.Add(batchOf(rows)); err != nil {
		t.Fatal(err)
	}
	return b.Profile()
}

func tallyOf(t testing.TB, p *Profile, rows []row) *Tally {
	tally := NewTally(p)
	if err := tally.Add(p, batchOf(rows)); err != nil {
		t.Fatal(err)
	}
	return tally
}

func TestStableRowsStayQuietAndShiftedOnesDoNot(t *testing.T) {
	european := []string{"DE", "FR", "IT"}
	p := profileOf(t, draw(20_000, 1, 0, european))
	same := tallyOf(t, p, draw(2_000, 2, 0, european))
	shifted := tallyOf(t, p, draw(2_000, 3, 0.7, []string{"DE", "FR", "BR"}))
	for i := range columns {
		psi, noise := same.PSI(p, i)
		if psi > noise+0.02 {
			t.Errorf("%s: PSI %.4f of stable rows, noise %.4f", columns[i].Name, psi, noise)
		}
		if psi, _ := shifted.PSI(p, i); psi < 0.2 {
			t.Errorf("%s: PSI %.4f of shifted rows", columns[i].Name, psi)
		}
	}
	if share := shifted.New(p, 1); share < 0.3 || share > 0.37 {
		t.Errorf("new categories %.3f, want about a third", share)
	}
	if share := same.New(p, 1); share != 0 {
		t.Errorf("new categories %.3f in stable rows", share)
	}
}

func TestPSIByHand(t *testing.T) {
	p := &Profile{Rows: 1000, Columns: []Column{{
		Name: "amount", Type: frame.Double, Edges: []float64{0}, Shares: []float64{0.5, 0.5}, Counted: 1000}}}
	tally := NewTally(p)
	tally.Rows, tally.Columns[0].Counts = 100, []int64{80, 20}
	want := (0.8-0.5)*math.Log(0.8/0.5) + (0.2-0.5)*math.Log(0.2/0.5)
	if psi, _ := tally.PSI(p, 0); math.Abs(psi-want) > 1e-12 {
		t.Errorf("PSI %v, want %v", psi, want)
	}
}

func TestPartsMergeIntoTheWhole(t *testing.T) {
	p := profileOf(t, draw(1000, 1, 0, []string{"a", "b"}))
	rapid.Check(t, func(rt *rapid.T) {
		rows := rapid.SliceOf(rapid.Custom(func(rt *rapid.T) row {
			return row{
				rapid.SampledFrom([]float64{-2, 0, 1.5, math.NaN(), math.Inf(1)}).Draw(rt, "amount"),
				rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(rt, "country"),
			}
		})).Draw(rt, "rows")
		cut := rapid.IntRange(0, len(rows)).Draw(rt, "cut")
		whole := tallyOf(t, p, rows)
		merged := tallyOf(t, p, rows[cut:])
		var stored Tally // as it comes back from a run's step
		text, _ := json.Marshal(tallyOf(t, p, rows[:cut]))
		if err := json.Unmarshal(text, &stored); err != nil {
			rt.Fatal(err)
		}
		merged.Merge(&stored)
		a, _ := json.Marshal(whole)
		b, _ := json.Marshal(merged)
		if string(a) != string(b) {
			rt.Fatalf("whole %s, merged %s", a, b)
		}
	})
}

func TestSampleOfManyRowsIsBounded(t *testing.T) {
	b := NewBuilder(columns)
	for range 30 {
		if err := b.Add(batchOf(draw(10_000, 4, 0, []string{"a"}))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(b.columns[0].numbers); n >= 2*sampled {
		t.Errorf("%d values kept", n)
	}
	if p := b.Profile(); p.Rows != 300_000 || len(p.Columns[0].Shares) != Bins {
		t.Errorf("profile %+v", p)
	}
}

func BenchmarkTallyOneRow(b *testing.B) {
	p := profileOf(b, draw(1000, 1, 0, []string{"a", "b"}))
	tally, one := NewTally(p), batchOf(draw(1, 1, 0, []string{"a"}))
	for b.Loop() {
		if err := tally.Add(p, one); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTallyWide is one row of thirty numbers, as a request has them.
func BenchmarkTallyWide(b *testing.B) {
	wide := make([]frame.Column, 30)
	for i := range wide {
		wide[i] = frame.Column{Name: fmt.Sprintf("feature_%02d", i), Type: frame.Double}
	}
	batch := func(rows int) frame.Batch {
		builder := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(wide))
		defer builder.Release()
		for i := range wide {
			for row := range rows {
				builder.Field(i).(*array.Float64Builder).Append(float64((row*37 + i*11) % 101))
			}
		}
		return builder.NewRecordBatch()
	}
	builder := NewBuilder(wide)
	if err := builder.Add(batch(1000)); err != nil {
		b.Fatal(err)
	}
	p := builder.Profile()
	tally, one := NewTally(p), batch(1)
	for b.Loop() {
		if err := tally.Add(p, one); err != nil {
			b.Fatal(err)
		}
	}
}
