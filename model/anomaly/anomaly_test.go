package anomaly_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model/anomaly"
)

// daily is n values of a stream with a period and some noise.
func daily(n int, seed uint64) []float64 {
	random := rand.New(rand.NewPCG(seed, 1))
	values := make([]float64, n)
	for i := range values {
		values[i] = 20 + 10*math.Sin(2*math.Pi*float64(i)/288) + random.NormFloat64()
	}
	return values
}

func detector(t testing.TB, c anomaly.Config) *anomaly.Detector {
	d, err := anomaly.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func scores(t testing.TB, values []float64) []float64 {
	d := detector(t, anomaly.Default())
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = d.Add(v)
	}
	return out
}

// TestPlanted: anomalies of four makes score above all that is usual after
// them and before.
func TestPlanted(t *testing.T) {
	const at, length = 2500, 100
	for name, plant := range map[string]func(values []float64){
		"a spike":          func(v []float64) { v[at] += 40 },
		"a lower level":    func(v []float64) { add(v[at:at+length], -25) },
		"noise":            func(v []float64) { shake(v[at : at+length]) },
		"a flat line":      func(v []float64) { level(v[at:at+length], 20) },
		"a value long ago": func(v []float64) { v[at] = 1e6 },
	} {
		values := daily(4000, 7)
		plant(values)
		found, other := 0.0, 0.0
		for i, s := range scores(t, values) {
			switch {
			case i >= at && i < at+length:
				found = math.Max(found, s)
			case i > 1000 && (i < at || i > at+3*length):
				other = math.Max(other, s)
			}
		}
		if found <= other {
			t.Errorf("%s scores %.2f, what is usual up to %.2f", name, found, other)
		}
	}
}

func add(v []float64, by float64) {
	for i := range v {
		v[i] += by
	}
}

func shake(v []float64) {
	for i := range v {
		v[i] += 12 * float64(1-2*(i%2))
	}
}

func level(v []float64, at float64) {
	for i := range v {
		v[i] = at
	}
}

// TestUnit: in another unit and with another zero the stream scores the same.
func TestUnit(t *testing.T) {
	values := daily(1500, 3)
	values[1200] += 30
	want := scores(t, values)
	scaled := make([]float64, len(values))
	for i, v := range values {
		scaled[i] = 1024*v - 4096 // powers of two round alike
	}
	for i, got := range scores(t, scaled) {
		if math.Abs(got-want[i]) > 1e-6 {
			t.Fatalf("value %d scores %g, in another unit %g", i, want[i], got)
		}
	}
}

// TestNothingOfTheFuture: what a value scores does not depend on what follows,
// and scores are in their range.
func TestNothingOfTheFuture(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anomaly.Config{
			Windows:    []int{1, rapid.IntRange(1, 20).Draw(t, "window")},
			Neighbours: rapid.IntRange(1, 5).Draw(t, "neighbours"), History: rapid.IntRange(5, 40).Draw(t, "history"),
			Learn: rapid.IntRange(0, 30).Draw(t, "learn"), Quiet: rapid.IntRange(0, 10).Draw(t, "quiet"),
		}
		values := rapid.SliceOfN(rapid.OneOf(rapid.Float64Range(-100, 100), rapid.Just(0.), rapid.Just(math.NaN()), rapid.Just(math.MaxFloat64)), 0, 150).Draw(t, "values")
		cut := rapid.IntRange(0, len(values)).Draw(t, "cut")
		one, err1 := anomaly.New(c)
		two, err2 := anomaly.New(c)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		for i, v := range values {
			score := one.Add(v)
			if !(score >= 0 && score <= anomaly.MaxScore) {
				t.Fatalf("value %d scores %g", i, score)
			}
			if i < cut && two.Add(v) != score {
				t.Fatalf("value %d scores otherwise", i)
			}
		}
	})
}

// TestStandingStill: a stream that never moved is not unusual, and what moves
// it is.
func TestStandingStill(t *testing.T) {
	d := detector(t, anomaly.Default())
	for range 1000 {
		if s := d.Add(5); s > 0.5 {
			t.Fatalf("standing still scores %g", s)
		}
	}
	if s := d.Add(5.1); s != anomaly.MaxScore {
		t.Errorf("the first move scores %g", s)
	}
	for range anomaly.Default().Quiet {
		if s := d.Add(9); s != 0 {
			t.Fatalf("a second alarm of %g at once", s)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []anomaly.Config{
		{}, {Windows: []int{0}, Neighbours: 1, History: 1}, {Windows: []int{4, 1}, Neighbours: 1, History: 1},
		{Windows: []int{1}, Neighbours: 3, History: 2}, {Windows: []int{1 << 30}, Neighbours: 1, History: 1},
		{Windows: []int{1}, Neighbours: 1, History: 1 << 30}, {Windows: []int{1}, Neighbours: 1, History: 1, Quiet: -1},
	} {
		if _, err := anomaly.New(c); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	values := daily(10_000, 1)
	d := detector(b, anomaly.Default())
	for _, v := range values[:5000] {
		d.Add(v)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		d.Add(values[5000+i%5000])
	}
}
