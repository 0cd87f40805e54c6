package window

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/spec"
)

// event is one event of the tests, with an argument of every type.
type event struct {
	key    string
	at     int64
	amount *float64
	n      *int64
	text   *string
	flag   *bool
	id     string
}

var source = []frame.Column{
	{Name: "other", Type: frame.Int}, {Name: "key", Type: frame.String}, {Name: "at", Type: frame.Timestamp},
	{Name: "amount", Type: frame.Double}, {Name: "n", Type: frame.Int}, {Name: "text", Type: frame.String}, {Name: "flag", Type: frame.Bool},
}

// batchOf makes a batch of events with the columns of the source.
func batchOf(events []event) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(source))
	defer b.Release()
	for _, e := range events {
		b.Field(0).(*array.Int64Builder).Append(7)
		b.Field(1).(*array.StringBuilder).Append(e.key)
		b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(e.at))
		appendTo(b.Field(3).(*array.Float64Builder), e.amount)
		appendTo(b.Field(4).(*array.Int64Builder), e.n)
		appendTo(b.Field(5).(*array.StringBuilder), e.text)
		appendTo(b.Field(6).(*array.BooleanBuilder), e.flag)
	}
	return b.NewRecordBatch()
}

func appendTo[T any](b interface {
	Append(T)
	AppendNull()
}, v *T) {
	if v == nil {
		b.AppendNull()
		return
	}
	b.Append(*v)
}

func idsOf(events []event) (ids []string) {
	for _, e := range events {
		ids = append(ids, e.id)
	}
	return ids
}

func keysOf(names ...string) []arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for _, name := range names {
		b.Append(name)
	}
	return []arrow.Array{b.NewArray()}
}

// operand is the value of an argument of the tests' aggregates: a float64, an
// int64, a string, or nil for none.
func (e *event) operand(source string) any {
	switch source {
	case "amount", "amount * 2":
		if e.amount == nil || math.IsNaN(*e.amount) {
			return nil
		}
		if source == "amount" {
			return *e.amount + 0
		}
		return *e.amount * 2
	case "n":
		if e.n != nil {
			return *e.n
		}
	case "text":
		if e.text != nil {
			return *e.text
		}
	case "flag":
		if e.flag != nil && *e.flag {
			return int64(1)
		} else if e.flag != nil {
			return int64(0)
		}
	case spec.Every:
		return int64(1)
	}
	return nil
}

// passes answers the tests' filters.
func (e *event) passes(where string) bool {
	switch where {
	case "":
		return true
	case "amount > 0":
		v, ok := e.operand("amount").(float64)
		return ok && v > 0
	case "text = 'a'":
		return e.text != nil && *e.text == "a"
	}
	panic(where)
}

// naive answers an output by looking at all events.
func naive(p *Plan, o spec.Output, a *spec.Aggregate, events []event, at int64) string {
	op, of := a.Op()
	var in []event
	for _, e := range events {
		if e.at < at && e.passes(a.Where) {
			in = append(in, e)
		}
	}
	slices.SortStableFunc(in, func(x, y event) int { return compareEvents(p, &x, &y) })
	in = windowed(p.view.TTL, o, a, in, at)
	var values []any
	for _, e := range in {
		if v := e.operand(of); v != nil {
			values = append(values, v)
		}
	}
	return answer(op, a.Q, values)
}

// windowed takes the events of a window, all of which are before at and in
// order.
func windowed(ttl spec.Duration, o spec.Output, a *spec.Aggregate, in []event, at int64) []event {
	from := int64(math.MinInt64)
	switch {
	case a.Tumbling != 0:
		d := micros(a.Tumbling.Std())
		from = at - ((at%d)+d)%d
	case a.Session != 0:
		return present(in, at, micros(a.Session.Std()))
	case o.Window != 0 && a.Slide != 0:
		d := micros(a.Slide.Std())
		from = at - micros(o.Window)
		from -= ((from % d) + d) % d
	case o.Window != 0:
		from = at - micros(o.Window)
	case ttl != 0:
		from = at - micros(ttl.Std())
	}
	return slices.DeleteFunc(in, func(e event) bool { return e.at < from })
}

func present(in []event, at, gap int64) []event {
	next := at
	for i := len(in) - 1; i >= 0; i-- {
		if next-in[i].at >= gap {
			return in[i+1:]
		}
		next = in[i].at
	}
	return in
}

// compareEvents is the order of events: by time, then by which filters they
// pass and which values they have, then by the values.
func compareEvents(p *Plan, x, y *event) int {
	if c := cmp.Compare(x.at, y.at); c != 0 {
		return c
	}
	flags := func(e *event) (f uint64) {
		for i, w := range p.filters {
			if e.passes(w.source) {
				f |= 1 << i
			}
		}
		for i, a := range p.args {
			if e.operand(a.source) != nil {
				f |= 1 << (32 + i)
			}
		}
		return f
	}
	if c := cmp.Compare(flags(x), flags(y)); c != 0 {
		return c
	}
	for _, a := range p.args {
		if c := compareValues(x.operand(a.source), y.operand(a.source)); c != 0 {
			return c
		}
	}
	return 0
}

func compareValues(x, y any) int {
	switch x := x.(type) {
	case float64:
		return cmp.Compare(x, y.(float64))
	case int64:
		return cmp.Compare(x, y.(int64))
	case string:
		return strings.Compare(x, y.(string))
	}
	return 0
}

// answer computes an operation over values in the order of their events.
func answer(op spec.Op, q float64, values []any) string {
	switch {
	case op == spec.OpCount:
		return fmt.Sprint(int64(len(values)))
	case op == spec.OpDistinct:
		seen := map[any]bool{}
		for _, v := range values {
			seen[v] = true
		}
		return fmt.Sprint(int64(len(seen)))
	case len(values) == 0:
		return "null"
	}
	switch op {
	case spec.OpFirst:
		return show(values[0])
	case spec.OpLast:
		return show(values[len(values)-1])
	case spec.OpMin:
		return show(slices.MinFunc(values, compareValues))
	case spec.OpMax:
		return show(slices.MaxFunc(values, compareValues))
	case spec.OpQuantile:
		numbers := floats(values)
		slices.Sort(numbers)
		return show(middle(bucketOf(numbers[int(q*float64(len(numbers)-1))])))
	case spec.OpStddev:
		return naiveDeviation(floats(values))
	case spec.OpSum:
		if _, whole := values[0].(int64); whole {
			sum := new(big.Int)
			for _, v := range values {
				sum.Add(sum, big.NewInt(v.(int64)))
			}
			if !sum.IsInt64() {
				return "null"
			}
			return fmt.Sprint(sum.Int64())
		}
	}
	sum := naiveSum(values)
	if op == spec.OpAvg {
		sum /= float64(len(values))
	}
	return show(sum)
}

func floats(values []any) (all []float64) {
	for _, v := range values {
		switch v := v.(type) {
		case float64:
			all = append(all, v)
		case int64:
			all = append(all, float64(v))
		}
	}
	return all
}

// enough is a precision that no sum or square of doubles goes beyond.
const enough = 10_000

func bigOf(x float64) *big.Float { return new(big.Float).SetPrec(enough).SetFloat64(x) }

func naiveSum(values []any) float64 {
	sum, inf := bigOf(0), 0.0
	for _, v := range values {
		switch v := v.(type) {
		case float64:
			if math.IsInf(v, 0) {
				inf += v
				continue
			}
			sum.Add(sum, bigOf(v))
		case int64:
			sum.Add(sum, new(big.Float).SetPrec(enough).SetInt64(v))
		}
	}
	if inf != 0 {
		return inf
	}
	f, _ := sum.Float64()
	return f + 0
}

func naiveDeviation(values []float64) string {
	n := int64(len(values))
	if n < 2 {
		return "null"
	}
	sum, squares := bigOf(0), bigOf(0)
	for _, x := range values {
		if math.IsInf(x, 0) {
			return "null"
		}
		sum.Add(sum, bigOf(x))
		squares.Add(squares, new(big.Float).SetPrec(enough).Mul(bigOf(x), bigOf(x)))
	}
	numerator := squares.Mul(squares, bigOf(float64(n)))
	numerator.Sub(numerator, sum.Mul(sum, sum))
	if numerator.Sign() == 0 {
		return show(0.0)
	}
	numerator.SetPrec(53)
	variance := new(big.Float).SetPrec(53).Quo(numerator, big.NewFloat(float64(n)*float64(n-1)))
	f, _ := variance.Sqrt(variance).Float64()
	return show(f)
}

// show writes a value with all of its bits.
func show(v any) string {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) {
			return "null"
		}
		return fmt.Sprintf("%x", math.Float64bits(v))
	case string:
		return fmt.Sprintf("%q", v)
	}
	return fmt.Sprint(v)
}

// shown writes a row of answers.
func shown(columns []arrow.Array, row int) (all []string) {
	for _, c := range columns {
		if c.IsNull(row) {
			all = append(all, "null")
			continue
		}
		switch c := c.(type) {
		case *array.Float64:
			all = append(all, show(c.Value(row)))
		case *array.Int64:
			all = append(all, show(c.Value(row)))
		case *array.String:
			all = append(all, show(c.Value(row)))
		case *array.Boolean:
			v := int64(0)
			if c.Value(row) {
				v = 1
			}
			all = append(all, show(v))
		}
	}
	return all
}

// expected is a row of answers by the naive way.
func expected(p *Plan, events []event, at int64) (all []string) {
	for _, f := range p.view.Features {
		for _, o := range f.Aggregate.Expand(f.Name) {
			all = append(all, naive(p, o, f.Aggregate, events, at))
		}
	}
	return all
}

func of(events []event, key string) (mine []event) {
	for _, e := range events {
		if e.key == key {
			mine = append(mine, e)
		}
	}
	return mine
}

// same compares answers and says which feature differs.
func same(t interface{ Fatalf(string, ...any) }, p *Plan, what string, at int64, got, want []string) {
	for i := range want {
		if got[i] != want[i] {
			f := p.outputs[i]
			t.Fatalf("%s as of %d: %s (%s) is %s, not %s\nview %+v", what, at, f.name, f.op, got[i], want[i], aggregates(p))
		}
	}
}

func aggregates(p *Plan) (all []string) {
	for _, f := range p.view.Features {
		all = append(all, fmt.Sprintf("%s: %+v", f.Name, *f.Aggregate))
	}
	return all
}

// plan compiles a view over the tests' events.
func plan(t testing.TB, features ...spec.FeatureDef) *Plan {
	t.Helper()
	p, err := Compile(spec.FeatureView{Name: "v", Entity: spec.Names{"key"}, Source: "s", Timestamp: "at", Features: features}, source)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
