package compose_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/compose"
	"github.com/leat-ai/leat/model/modeltest"
)

// line is a model: its output is by·(sum of its inputs), NULL and what is not
// finite counted as 0. It fails where an input is 13, and is away where away.
type line struct {
	inputs []model.Field
	output string
	by     float64
	binary bool
	away   bool
	served string
}

func (l line) Signature() model.Signature {
	if l.binary {
		return model.Signature{Task: model.Binary, Inputs: l.inputs, Outputs: model.Outputs(model.Binary, nil), Classes: []string{"no", "yes"}}
	}
	return model.Signature{Task: model.Regression, Inputs: l.inputs, Outputs: []model.Field{{Name: l.output, Type: frame.Double}}}
}

func (l line) Predict(ctx context.Context, in frame.Batch) (frame.Batch, error) {
	if l.away {
		return nil, fault.New(fault.Unavailable, "away")
	}
	rows, err := model.Select(in, l.inputs)
	if err != nil {
		return nil, err
	}
	defer rows.Release()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, model.SchemaOf(l.Signature().Outputs))
	defer b.Release()
	for row := range int(rows.NumRows()) {
		total := 0.0
		for _, col := range rows.Columns() {
			c, ok := col.(*array.Float64)
			if !ok || c.IsNull(row) {
				continue
			}
			v := c.Value(row)
			if v == 13 {
				return nil, fault.New(fault.Invalid, "thirteen")
			}
			if v-v == 0 {
				total += math.Mod(v, 1000)
			}
		}
		total *= l.by
		if l.binary {
			total = 1 / (1 + math.Exp(-total))
			b.Field(1).(*array.StringBuilder).Append([]string{"no", "yes"}[map[bool]int{true: 1}[total >= 0.5]])
		}
		b.Field(0).(*array.Float64Builder).Append(total)
	}
	out := b.NewRecordBatch()
	return model.WithServedBy(out, l.served), nil
}

func doubles(names ...string) []model.Field {
	var fields []model.Field
	for _, n := range names {
		fields = append(fields, model.Field{Name: n, Type: frame.Double})
	}
	return fields
}

// shelf holds models by name, and counts who holds them.
type shelf struct {
	models map[string]model.Model
	held   int
}

func (s *shelf) hold(ctx context.Context, r model.Reference) (model.Model, func(), error) {
	m, ok := s.models[r.Model]
	if !ok {
		return nil, nil, fault.New(fault.NotFound, "no model %s", r)
	}
	if f, ok := m.(lazily); ok {
		made, err := f.load(ctx)
		if err != nil {
			return nil, nil, err
		}
		m = made
	}
	s.held++
	released := false
	return m, func() {
		if !released {
			s.held--
		}
		released = true
	}, nil
}

// lazily is a composition that is loaded when it is held.
type lazily struct {
	model.Model
	load func(context.Context) (model.Model, error)
}

func part(name string) compose.Part {
	return compose.Part{Reference: model.Reference{Model: name, Version: 1, ID: "id of " + name}}
}

func build(t interface {
	Context() context.Context
	Cleanup(func())
	Errorf(string, ...any)
}, s *shelf, d compose.Definition) (model.Model, error) {
	c := compose.Config{Hold: s.hold}
	files, signature, err := compose.Pack(t.Context(), c, d)
	if err != nil {
		if s.held != 0 {
			t.Errorf("%d parts are held by what failed", s.held)
		}
		return nil, err
	}
	m, err := compose.Format{Config: c}.Load(t.Context(), fstest.MapFS{compose.FileName: {Data: files[compose.FileName]}})
	if err != nil {
		return nil, err
	}
	if fmt.Sprint(m.Signature()) != fmt.Sprint(signature) {
		t.Errorf("packed as %v, loaded as %v", signature, m.Signature())
	}
	t.Cleanup(func() {
		if err := m.(io.Closer).Close(); err != nil || s.held != 0 {
			t.Errorf("%d parts are held after the end, %v", s.held, err)
		}
	})
	return m, nil
}

func world() *shelf {
	return &shelf{models: map[string]model.Model{
		"risk":  line{inputs: doubles("a", "b"), output: "risk", by: 1},
		"final": line{inputs: doubles("risk", "c"), output: "score", by: 2},
		"yes1":  line{inputs: doubles("a", "b"), by: 0.01, binary: true},
		"yes2":  line{inputs: doubles("a", "c"), by: -0.02, binary: true},
		"away":  line{inputs: doubles("a", "c"), binary: true, away: true},
		"stood": line{inputs: doubles("a"), by: 1, binary: true, served: "local@2"},
		"strict": line{inputs: []model.Field{{Name: "a", Type: frame.Double, Required: true}, {Name: "s", Type: frame.String}},
			by: 0.5, binary: true},
		"other": line{inputs: []model.Field{{Name: "a", Type: frame.String}}, output: "score", by: 1},
	}}
}

func sequence(names ...string) compose.Definition { return kind(compose.Sequence, names...) }

func kind(k string, names ...string) compose.Definition {
	d := compose.Definition{Kind: k}
	for _, n := range names {
		d.Parts = append(d.Parts, part(n))
	}
	return d
}

func choice(when string, names ...string) compose.Definition {
	d := kind(compose.Switch, names...)
	d.Parts[0].When = when
	return d
}

func TestConformance(t *testing.T) {
	weighted := kind(compose.Average, "yes1", "yes2")
	weighted.Parts[0].Weight = 3
	for name, d := range map[string]compose.Definition{
		"sequence": sequence("risk", "final"), "average": weighted, "switch": choice("b > 0 and a < 10", "yes1", "yes2"),
	} {
		t.Run(name, func(t *testing.T) {
			m, err := build(t, world(), d)
			if err != nil {
				t.Fatal(err)
			}
			modeltest.Run(t, m)
		})
	}
}

func TestSequenceFeedsOutputsForward(t *testing.T) {
	m, err := build(t, world(), sequence("risk", "final"))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(m.Signature().Inputs); got != fmt.Sprint(doubles("a", "b", "c")) {
		t.Errorf("it reads %s", got)
	}
	in := modeltest.Rows(memory.DefaultAllocator, doubles("a", "b", "c"), 0, 1)
	in.Release()
	out, err := m.Predict(t.Context(), table(t, []float64{1, 2}, []float64{10, 20}, []float64{100, 200}))
	if err != nil || fmt.Sprint(out.Column(0)) != "[222 444]" {
		t.Errorf("%v, %v", out, err)
	}
}

func table(t interface{ Helper() }, columns ...[]float64) frame.Batch {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, model.SchemaOf(doubles([]string{"a", "b", "c"}[:len(columns)]...)))
	defer b.Release()
	for i, values := range columns {
		b.Field(i).(*array.Float64Builder).AppendValues(values, nil)
	}
	return b.NewRecordBatch()
}

// Whatever the rows and the condition, a switch answers each row as the model
// of its case alone does.
func TestSwitchAnswersAsItsCases(t *testing.T) {
	s := world()
	conditions := []string{"a > b", "a is null", "b > 1 or c < 2", "a + c > 3", "true", "false"}
	models := map[string]model.Model{}
	for _, when := range conditions {
		m, err := build(t, &shelf{models: s.models}, choice(when, "yes1", "yes2"))
		if err != nil {
			t.Fatal(err)
		}
		models[when] = m
	}
	rapid.Check(t, func(t *rapid.T) {
		when := rapid.SampledFrom(conditions).Draw(t, "when")
		n := rapid.IntRange(0, 40).Draw(t, "n")
		values := func(name string) []float64 {
			return rapid.SliceOfN(rapid.Float64Range(-5, 5), n, n).Draw(t, name)
		}
		in := table(t, values("a"), values("b"), values("c"))
		defer in.Release()
		out, err := models[when].Predict(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Release()
		first, err := s.models["yes1"].Predict(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		second, err := s.models["yes2"].Predict(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		got := out.Column(0).(*array.Float64).Float64Values()
		x, y := first.Column(0).(*array.Float64).Float64Values(), second.Column(0).(*array.Float64).Float64Values()
		for row := range n {
			a, b, c := cell(in, 0, row), cell(in, 1, row), cell(in, 2, row)
			want := y[row]
			if map[string]bool{"a > b": a > b, "a is null": false, "b > 1 or c < 2": b > 1 || c < 2, "a + c > 3": a+c > 3, "true": true, "false": false}[when] {
				want = x[row]
			}
			if got[row] != want {
				t.Fatalf("row %d is %v, its case says %v", row, got[row], want)
			}
		}
	})
}

func cell(b frame.Batch, column, row int) float64 {
	return b.Column(column).(*array.Float64).Value(row)
}

func TestRowsFailAlone(t *testing.T) {
	m, err := build(t, world(), choice("b > 0", "yes1", "away"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Predict(t.Context(), table(t, []float64{1, 2, 3}, []float64{1, -1, 1}, []float64{0, 0, 0}))
	p, ok := errors.AsType[*model.Partial](err)
	if !ok || p.Errs[0] != nil || !fault.Is(p.Errs[1], fault.Unavailable) || p.Errs[2] != nil || !p.Out.Column(0).IsNull(1) || p.Out.Column(0).IsNull(2) {
		t.Fatalf("%v", err)
	}
	if !strings.Contains(p.Errs[1].Error(), "away@1") {
		t.Errorf("the error does not name the model: %v", p.Errs[1])
	}
	// A row that breaks a model is for the caller to find, by asking for fewer.
	if _, err = m.Predict(t.Context(), table(t, []float64{13, 2}, []float64{1, 1}, []float64{0, 0})); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	// Rows that lack what one case requires fail there, and only there.
	m, err = build(t, world(), choice("b > 0", "strict", "yes1"))
	if err == nil {
		b := array.NewRecordBuilder(memory.DefaultAllocator, model.SchemaOf(m.Signature().Inputs))
		for i := range m.Signature().Inputs {
			switch f := b.Field(i).(type) {
			case *array.Float64Builder:
				f.AppendValues([]float64{1, 0, 3}, []bool{true, m.Signature().Inputs[i].Name != "a", true})
			case *array.StringBuilder:
				f.AppendValues([]string{"x", "y", "z"}, nil)
			}
		}
		in := b.NewRecordBatch()
		at := frame.Index(in.Schema(), "b")
		ones := array.NewFloat64Builder(memory.DefaultAllocator)
		ones.AppendValues([]float64{1, 1, -1}, nil)
		if in, err = in.SetColumn(at, ones.NewArray()); err == nil {
			_, err = m.Predict(t.Context(), in)
		}
	}
	if p, ok = errors.AsType[*model.Partial](err); !ok || p.Errs[0] != nil || !fault.Is(p.Errs[1], fault.Invalid) || p.Errs[2] != nil {
		t.Errorf("%v", err)
	}
}

func TestFailuresInsideOfASequence(t *testing.T) {
	s := world()
	if _, err := build(t, s, choice("b > 0", "risk", "gone")); err == nil {
		t.Fatal("a part that is not there was held")
	}
	s.models["gone"] = line{inputs: doubles("a", "c"), output: "risk", away: true}
	inner, err := build(t, &shelf{models: s.models}, choice("b > 0", "risk", "gone"))
	if err != nil {
		t.Fatal(err)
	}
	s.models["inner"] = inner
	m, err := build(t, &shelf{models: s.models}, sequence("inner", "final"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Predict(t.Context(), table(t, []float64{1, 2, 3}, []float64{1, -1, 1}, []float64{5, 5, 5}))
	p, ok := errors.AsType[*model.Partial](err)
	if !ok || p.Errs[0] != nil || p.Errs[1] == nil || p.Errs[2] != nil || fmt.Sprint(p.Out.Column(0)) != "[14 (null) 18]" {
		t.Fatalf("%v", err)
	}
}

func TestWhoStoodInIsToldThrough(t *testing.T) {
	m, err := build(t, world(), kind(compose.Average, "yes1", "stood"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.Predict(t.Context(), table(t, []float64{1}, []float64{1}))
	if err != nil || model.ServedBy(out) != "local@2" {
		t.Errorf("%v, %v", out, err)
	}
}

func TestPartsThatDoNotFit(t *testing.T) {
	s := world()
	endless := lazily{Model: s.models["yes1"]}
	endless.load = func(ctx context.Context) (model.Model, error) {
		return compose.Format{Config: compose.Config{Hold: s.hold}}.Load(ctx, fstest.MapFS{compose.FileName: {
			Data: []byte(`{"version": 1, "kind": "average", "parts": [{"model": "endless", "version": 1, "id": "x"}]}`)}})
	}
	s.models["endless"] = endless
	twice := kind(compose.Average, slices.Repeat([]string{"yes1"}, 32)...)
	wide, err := build(t, &shelf{models: s.models}, twice)
	if err != nil {
		t.Fatal(err)
	}
	s.models["wide"] = wide
	for want, d := range map[string]compose.Definition{
		"reads nothing":         sequence("risk", "yes1"),
		"says regression":       kind(compose.Average, "yes1", "risk"),
		"as string":             sequence("risk", "other"),
		"is a double, not true": choice("a + 1", "yes1", "yes2"),
		"colour":                choice("colour = 'x'", "yes1", "yes2"),
		"no model nobody@1":     sequence("nobody"),
		"last case":             choice("a > 1", "yes1"),
		"more than 8 deep":      sequence("endless"),
		"more than 64":          kind(compose.Average, "wide", "wide", "wide"),
		"has no condition":      kind(compose.Switch, "yes1", "yes2"),
		"1 to 32 models":        sequence(),
		"by sequence, average":  kind("vote", "yes1"),
	} {
		_, err := build(t, &shelf{models: s.models}, d)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
