package window

import (
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestExactSums adds and takes away doubles of all magnitudes: what is left is
// the exact sum, rounded once, and has one canonical form.
func TestExactSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sum, squares exact
		var in []float64
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			if len(in) > 0 && rapid.IntRange(0, 2).Draw(t, "take?") == 0 {
				i := rapid.IntRange(0, len(in)-1).Draw(t, "which")
				sum.take(in[i])
				squares.addSquare(in[i], -1)
				in = slices.Delete(in, i, i+1)
				continue
			}
			x := drawNumber().Filter(func(x float64) bool { return !math.IsNaN(x) }).Draw(t, "x")
			sum.add(x)
			squares.addSquare(x, 1)
			in = append(in, x)
		}
		values := make([]any, len(in))
		for i, x := range in {
			values[i] = x
		}
		if got, want := show(sum.value()), show(naiveSum(values)); got != want {
			t.Fatalf("the sum of %v is %s, not %s", in, got, want)
		}
		if got, want := show(deviation(int64(len(in)), &sum, &squares)), naiveDeviation(in); got != want {
			t.Fatalf("the deviation of %v is %s, not %s", in, got, want)
		}
		canonicalOf(t, &sum, in)
		for _, x := range in {
			sum.take(x)
			squares.addSquare(x, -1)
		}
		if sum.n != 0 || sum.more != nil || squares.n != 0 || squares.more != nil {
			t.Fatalf("nothing is left, and %+v, %+v are", sum, squares)
		}
	})
}

// canonicalOf holds the parts of a sum against those of the same numbers in
// another order.
func canonicalOf(t *rapid.T, sum *exact, in []float64) {
	var other exact
	for _, x := range slices.Backward(in) {
		other.add(x)
	}
	sum.canonical()
	other.canonical()
	if !slices.Equal(sum.parts(), other.parts()) {
		t.Fatalf("%v and %v are the same sum", sum.parts(), other.parts())
	}
}

func TestSumsOfWholeNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sum exact
		want := new(big.Int)
		for _, v := range rapid.SliceOfN(rapid.Int64(), 0, 20).Draw(t, "values") {
			sum.cell(cellInt, uint64(v), 1)
			want.Add(want, big.NewInt(v))
		}
		got, ok := sum.integer()
		if ok != want.IsInt64() || ok && got != want.Int64() {
			t.Fatalf("%d, %v: not %s", got, ok, want)
		}
	})
}

func TestSumStaysSmall(t *testing.T) {
	var sum exact
	x := 0.1
	for range 100_000 {
		sum.add(x)
		x *= 1.0001
	}
	if sum.n > 3 {
		t.Errorf("the sum of prices has %d parts", sum.n)
	}
}

// TestTable counts beside a map.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table table
		want := map[uint64]int64{}
		seed := rapid.Uint64().Draw(t, "seed")
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			cell := rapid.Uint64Range(0, 20).Draw(t, "cell")
			n := rapid.Int64Range(-1, 2).Draw(t, "n")
			if want[cell]+n < 0 {
				n = 0
			}
			table.add(cell, n, seed)
			if want[cell] += n; want[cell] == 0 {
				delete(want, cell)
			}
			if table.n != len(want) {
				t.Fatalf("%d values, not %d", table.n, len(want))
			}
		}
		for cell, n := range want {
			if got := table.slots[table.find(cell, seed)].count; got != n {
				t.Fatalf("%d is there %d times, not %d", cell, got, n)
			}
		}
	})
}

// TestSketchIsRight holds quantiles against those of the sorted values: within
// 1 % of them.
func TestSketchIsRight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s sketch
		values := rapid.SliceOfN(rapid.OneOf(rapid.Float64Range(-1e6, 1e6), rapid.Float64()), 1, 100).Draw(t, "values")
		for _, x := range values {
			s.add(bucketOf(x), 1)
		}
		gone := values[0]
		s.add(bucketOf(1e9), 1)
		s.add(bucketOf(1e9), -1)
		slices.Sort(values)
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		got, ok := s.quantile(q)
		want := values[int(q*float64(len(values)-1))]
		if tiny := math.Abs(want) < 0x1p-1022; !ok || !tiny && math.Abs(got-want) > 0.01*math.Abs(want) || tiny && got != 0 {
			t.Fatalf("the quantile %v of %v is %v, not %v", q, values, got, want)
		}
		s.add(bucketOf(gone), -1)
		if s.n != int64(len(values)-1) {
			t.Fatalf("%d values are left", s.n)
		}
	})
}

func TestBucketsInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y := rapid.Float64().Draw(t, "x"), rapid.Float64().Draw(t, "y")
		if x < y && bucketOf(x) > bucketOf(y) {
			t.Fatalf("%v is in bucket %d, %v in %d", x, bucketOf(x), y, bucketOf(y))
		}
	})
	for _, x := range []float64{math.Inf(1), math.MaxFloat64} {
		if i := bucketOf(x); i > lastBucket || bucketOf(-x) < -lastBucket {
			t.Errorf("%v is in bucket %d", x, i)
		}
	}
	if got := middle(bucketOf(math.Inf(-1))); !math.IsInf(got, -1) {
		t.Errorf("minus infinity is %v", got)
	}
}

// TestDictForgets reuses the numbers of strings that are not in use any more,
// and keeps the others.
func TestDictForgets(t *testing.T) {
	var d dict
	a, b := d.number("a"), d.number("b")
	used := make([]bool, len(d.texts))
	used[b] = true
	d.keep(used)
	if c := d.number("c"); c != a || d.text(b) != "b" || d.number("b") != b || d.number("a") == a {
		t.Errorf("%+v", d)
	}
	if want := int64(3 * (1 + stringBytes)); d.bytes != want {
		t.Errorf("%d bytes, not %d", d.bytes, want)
	}
}
