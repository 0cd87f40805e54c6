package encode_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model/encode"
)

// encoded returns what each column of a recipe makes of numbers x.
func encoded(t rapid.TB, x []float64, columns ...encode.Column) [][]float64 {
	t.Helper()
	for i := range columns {
		columns[i].Name, columns[i].Type = "x", frame.Double
	}
	e := &encode.Encoder{Columns: columns}
	if err := e.Validate(); err != nil {
		t.Fatal(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf([]frame.Column{{Name: "x", Type: frame.Double}}))
	defer b.Release()
	for _, v := range x {
		if math.IsNaN(v) {
			b.Field(0).AppendNull()
		} else {
			b.Field(0).(*array.Float64Builder).Append(v)
		}
	}
	in := b.NewRecordBatch()
	defer in.Release()
	out := e.Matrix(len(x))
	if err := e.Encode(in, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestNumbersAreReadByTheRules(t *testing.T) {
	x := []float64{math.NaN(), 0, 1e-36, -1e-35, 1.5, 0.1}
	got := encoded(t, x,
		encode.Column{Kind: encode.Numeric},
		encode.Column{Kind: encode.Numeric, Single: true},
		encode.Column{Kind: encode.Numeric, ZeroMissing: true},
		encode.Column{Kind: encode.Numeric, MissingZero: true},
		encode.Column{Kind: encode.Numeric, MissingZero: true, ZeroMissing: true})
	want := [][]float64{
		x,
		{math.NaN(), 0, float64(float32(1e-36)), float64(float32(-1e-35)), 1.5, float64(float32(0.1))},
		{math.NaN(), math.NaN(), math.NaN(), math.NaN(), 1.5, 0.1},
		{0, 0, 1e-36, -1e-35, 1.5, 0.1},
		{0, 0, 0, 0, 1.5, 0.1},
	}
	for i := range want {
		if fmt.Sprint(got[i]) != fmt.Sprint(want[i]) {
			t.Errorf("recipe %d makes %v of %v, not %v", i, got[i], x, want[i])
		}
	}
}

func TestNumbersBecomeCodes(t *testing.T) {
	x := []float64{0, 0.5, 1, 1.999, 2, -0.5, -1, 3, 1e300, math.Inf(1), math.Inf(-1), 0.99999999999, math.NaN(), math.Copysign(0, -1)}
	dense := []float64{0, 1, 2}
	got := encoded(t, x,
		encode.Column{Kind: encode.Value, Values: dense},
		encode.Column{Kind: encode.Value, Values: dense, Round: encode.Down},
		encode.Column{Kind: encode.Value, Values: dense, Round: encode.Truncate},
		encode.Column{Kind: encode.Value, Values: dense, Round: encode.Down, Single: true},
		encode.Column{Kind: encode.Value, Values: []float64{3, 0.5, -1, 0}},
		encode.Column{Kind: encode.Value})
	for i, want := range []string{
		"[0 3 1 3 2 3 3 3 3 3 3 3 NaN 0]",
		"[0 0 1 1 2 3 3 3 3 3 3 0 NaN 0]",
		"[0 0 1 1 2 0 3 3 3 3 3 0 NaN 0]",
		"[0 0 1 1 2 3 3 3 3 3 3 1 NaN 0]",
		"[3 1 4 4 4 4 2 0 4 4 4 4 NaN 3]",
		"[0 0 0 0 0 0 0 0 0 0 0 0 NaN 0]",
	} {
		// Where a code is 0, whether it is -0 does not matter to what asks for it.
		if codes := strings.ReplaceAll(fmt.Sprint(got[i]), "-0", "0"); codes != want {
			t.Errorf("recipe %d makes %s of %v, not %s", i, codes, x, want)
		}
	}
}

// TestCodesAreIndices holds that a code leads back to its value.
func TestCodesAreIndices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfDistinct(rapid.Float64Range(-1e6, 1e6), func(v float64) float64 { return v + 0 }).Draw(t, "values")
		x := append(rapid.SliceOf(rapid.Float64()).Draw(t, "others"), values...)
		codes := encoded(t, x, encode.Column{Kind: encode.Value, Values: values})[0]
		for i, code := range codes {
			known := code >= 0 && code < float64(len(values))
			if known && values[int(code)] != x[i] || !known && code != float64(len(values)) && !math.IsNaN(x[i]) {
				t.Fatalf("%v has the code %v among %v", x[i], code, values)
			}
			if i >= len(x)-len(values) && !known {
				t.Fatalf("%v has no code among %v", x[i], values)
			}
		}
	})
}

func TestSeveralColumnsReadOne(t *testing.T) {
	e := &encode.Encoder{Columns: []encode.Column{
		{Name: "a", Type: frame.Double, Kind: encode.Numeric, Single: true},
		{Name: "k", Type: frame.String, Kind: encode.Category, Categories: []string{"x"}, UnseenMissing: true},
		{Name: "a", Type: frame.Double, Kind: encode.Value, Values: []float64{7}},
	}}
	if err := e.Validate(); err != nil {
		t.Fatal(err)
	}
	if f := e.Fields(); len(f) != 2 || f[0].Name != "a" || f[1].Name != "k" {
		t.Errorf("the fields are %v", f)
	}
	b := batch(t, []frame.Column{{Name: "k", Type: frame.String}, {Name: "a", Type: frame.Bool}}, `{"k":"y","a":true}`, `{"k":"x","a":null}`)
	defer b.Release()
	out := e.Matrix(2)
	if err := e.Encode(b, out); err != nil || fmt.Sprint(out) != "[[1 NaN] [NaN 0] [1 NaN]]" {
		t.Errorf("it makes %v, %v", out, err)
	}
}

func TestValidateRefusesRulesThatMeanNothing(t *testing.T) {
	for want, c := range map[string]encode.Column{
		"rules about numbers":  {Type: frame.String, Kind: encode.Category, Single: true},
		"rule about text":      {Type: frame.Double, Kind: encode.Numeric, UnseenMissing: true},
		"as it is":             {Type: frame.Double, Kind: encode.Numeric, Round: encode.Down},
		"unknown rounding":     {Type: frame.Double, Kind: encode.Value, Round: "up"},
		"the value NaN":        {Type: frame.Double, Kind: encode.Value, Values: []float64{math.NaN()}},
		"the value 0 twice":    {Type: frame.Double, Kind: encode.Value, Values: []float64{0, math.Copysign(0, -1)}},
		"is text, not":         {Type: frame.String, Kind: encode.Value},
		"read as int and as d": {Type: frame.Double, Kind: encode.Numeric, Single: true},
	} {
		c.Name = "a"
		e := encode.Encoder{Columns: []encode.Column{c}}
		if strings.HasPrefix(want, "read as") {
			e.Columns = append([]encode.Column{{Name: "a", Type: frame.Int, Kind: encode.Numeric}}, c)
		}
		if err := e.Validate(); !fault.Is(err, fault.Invalid) || !strings.Contains(strings.ReplaceAll(err.Error(), "-0", "0"), want) {
			t.Errorf("%+v gives %v, not %q", c, err, want)
		}
	}
}
