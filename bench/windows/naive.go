package main

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/window"
)

// samples is how many events are computed the naive way.
const samples = 500

// compare feeds a partition and compares the values of some events with those
// of looking at all events before them.
func compare(plan *window.Plan, events []event, batches []frame.Batch) error {
	s := window.NewState(plan, window.Bounds{})
	chosen := map[int]bool{}
	for range samples {
		chosen[rand.IntN(len(events))] = true
	}
	row := 0
	for _, b := range batches {
		values, _, err := s.Observe(b, nil)
		if err != nil {
			return err
		}
		for i := range int(b.NumRows()) {
			if chosen[row] {
				if err := equal(plan, values, i, events[:row], events[row]); err != nil {
					return err
				}
			}
			row++
		}
		for _, v := range values {
			v.Release()
		}
	}
	return nil
}

// equal compares one row bit for bit.
func equal(plan *window.Plan, values []arrow.Array, row int, before []event, e event) error {
	want := naive(before, e)
	for i, c := range plan.Outputs() {
		got := math.NaN()
		switch v := values[i].(type) {
		case *array.Int64:
			got = float64(v.Value(row))
		case *array.Float64:
			if v.IsValid(row) {
				got = v.Value(row)
			}
		}
		if math.Float64bits(got) != math.Float64bits(want[i]) && !(math.IsNaN(got) && math.IsNaN(want[i])) {
			return fmt.Errorf("%s of customer %d as of %d is %v, not %v", c.Name, e.customer, e.at, got, want[i])
		}
	}
	if len(want) != len(values) {
		return errors.New("the naive computation has other features")
	}
	return nil
}

// naive computes the features of an event, in the order of the view; NaN
// stands for NULL.
func naive(before []event, e event) []float64 {
	lengths := []int64{hour / 6, hour, 24 * hour}
	in := make([][]event, len(lengths))
	for _, b := range before {
		for i, w := range lengths {
			if b.customer == e.customer && b.at >= e.at-w && b.at < e.at {
				in[i] = append(in[i], b)
			}
		}
	}
	amount := func(b event) (float64, bool) { return b.amount, true }
	abroad := func(b event) (float64, bool) { return b.amount, b.country != 0 }
	large := func(b event) (float64, bool) { return 1, b.amount > 100 }
	var out, means, most []float64
	for _, w := range in {
		sum, n, _ := sums(w, amount)
		out, means, most = append(out, sum), append(means, sum/n), append(most, extreme(w, math.Max))
	}
	for _, w := range in {
		out = append(out, float64(len(w)))
	}
	out = append(append(out, means...), most...)
	out = append(out, distinct(in[1], func(b event) int64 { return int64(b.country) }), distinct(in[2], func(b event) int64 { return int64(b.country) }))
	out = append(out, distinct(in[2], func(b event) int64 { return b.merchant }))
	_, largeHour, _ := sums(in[1], large)
	_, largeDay, _ := sums(in[2], large)
	spent, _, _ := sums(in[2], abroad)
	_, _, deviation := sums(in[2], amount)
	return append(out, largeHour, largeDay, spent, extreme(in[2], math.Min), deviation)
}

// sums adds up with all bits: the sum rounded once, the number, the standard
// deviation.
func sums(events []event, of func(event) (float64, bool)) (sum, n, deviation float64) {
	const enough = 4000
	exact := func() *big.Float { return new(big.Float).SetPrec(enough) }
	total, squares := exact(), exact()
	for _, e := range events {
		x, ok := of(e)
		if !ok {
			continue
		}
		v := exact().SetFloat64(x)
		total.Add(total, v)
		squares.Add(squares, v.Mul(v, v))
		n++
	}
	if n == 0 {
		return math.NaN(), 0, math.NaN()
	}
	sum, _ = total.Float64()
	if n == 1 {
		return sum, n, math.NaN()
	}
	numerator, _ := squares.Mul(squares, exact().SetFloat64(n)).Sub(squares, total.Mul(total, total)).Float64()
	return sum, n, math.Sqrt(numerator / (n * (n - 1)))
}

func extreme(events []event, of func(x, y float64) float64) float64 {
	if len(events) == 0 {
		return math.NaN()
	}
	x := events[0].amount
	for _, e := range events {
		x = of(x, e.amount)
	}
	return x
}

func distinct(events []event, of func(event) int64) float64 {
	seen := map[int64]bool{}
	for _, e := range events {
		seen[of(e)] = true
	}
	return float64(len(seen))
}
