package spec

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/frame"
)

// drawSpec makes a spec of any kind that keeps the rules of its tags, and so
// mostly passes Validate.
func drawSpec(t *rapid.T) Spec {
	s := New(rapid.SampledFrom(Kinds()).Draw(t, "kind"))
	v := reflect.ValueOf(s).Elem()
	drawFields(t, v)
	v.FieldByName("Name").SetString(drawName(t))
	if p, ok := s.(*Pipeline); ok && len(p.Steps) > 0 {
		p.Steps[0] = Step{Train: &TrainStep{Model: "m", Features: Names{"v"}, Label: "y"}}
	}
	if v, ok := s.(*FeatureView); ok {
		settle(t, v)
	}
	if v, ok := s.(*Trigger); ok {
		v.On, v.Where = Names{EventRunFinished, EventSignal}, "seconds > 1 or value is null"
		if v.Start.Secret = ""; v.Start.Webhook != "" {
			v.Start.Webhook, v.Start.Secret = "https://h/x", "env:KEY"
		}
	}
	return s
}

// settle makes a view of random fields one of the three sorts that there are:
// over rows, over windows, on demand.
func settle(t *rapid.T, v *FeatureView) {
	v.Known, v.Lateness = "", 0
	v.TTL -= v.TTL % Duration(time.Microsecond)
	switch sort := rapid.SampledFrom([]string{"rows", "windows", "on demand"}).Draw(t, "sort"); sort {
	case "windows":
		v.Source, v.Entity, v.Timestamp, v.Known = "s", Names{"id"}, "at", "known"
		v.Columns, v.Inputs, v.SQL, v.TTL = nil, nil, "", 0
		v.Lateness = Duration(rapid.IntRange(0, 1e6).Draw(t, "lateness")) * Duration(time.Millisecond)
		v.Features = slices.DeleteFunc(v.Features, func(f FeatureDef) bool { return f.Aggregate == nil })
		v.Features = append(v.Features, FeatureDef{Name: "a", Aggregate: &Aggregate{Count: Every}}, FeatureDef{Name: "share", Expr: "a + 1"})
	case "on demand":
		*v = FeatureView{Name: v.Name, Inputs: v.Inputs, Features: Features{{Name: "twice", Expr: "a * 2"}}, Owner: v.Owner, Tags: v.Tags, Class: v.Class}
	default:
		v.Source, v.Inputs = "s", nil
		if v.Timestamp == "" {
			v.TTL = 0
		}
		v.Features = slices.DeleteFunc(v.Features, func(f FeatureDef) bool { return f.Aggregate != nil })
	}
}

// drawAggregate makes an aggregate that Validate accepts.
func drawAggregate(t *rapid.T) *Aggregate {
	a := new(Aggregate)
	op := rapid.SampledFrom(Ops()).Draw(t, "op")
	of := a.operands()[slices.Index(Ops(), op)]
	*of = drawExpr(t)
	if op == OpCount && rapid.Bool().Draw(t, "every") {
		*of = Every
	}
	if op == OpQuantile {
		a.Q = rapid.Float64Range(0.001, 0.999).Draw(t, "q")
	}
	if rapid.Bool().Draw(t, "filtered") {
		a.Where = drawExpr(t)
	}
	length := Duration(rapid.IntRange(1, 1e9).Draw(t, "length")) * Duration(time.Microsecond)
	switch rapid.IntRange(0, 4).Draw(t, "window") {
	case 1:
		a.Tumbling = length
	case 2:
		a.Session = length
	case 3:
		a.Slide, a.Window = length, Durations{length * 7}
	case 4:
		for i := range rapid.IntRange(1, 3).Draw(t, "windows") {
			a.Window = append(a.Window, length*Duration(i+1))
		}
	}
	return a
}

func drawName(t *rapid.T) string { return rapid.StringMatching(`[a-z][a-z0-9_-]{0,5}`).Draw(t, "name") }

// drawText prefers what YAML may read as something else.
func drawText(t *rapid.T) string {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"yes", "no", "on", "null", "~", "1", "1e3", "0x1f", "1_000", "2001-01-01", "a: b", "- a",
			"#x", "x #y", "'q'", `"q"`, " lead", "trail ", "two\nlines", "two\nlines\n", "\n\n", "tab\t", "{a}", "[a]", "*a", "&a", "!a",
			"%a", "@a", "`a", "${v}", "$${v}", "$", "é→", "|", ">", "---", "...", "=", "<<", "?", "-", ":", ".inf", ".nan", "1:30"}),
		rapid.StringN(1, 20, -1),
	).Draw(t, "text")
}

func drawFields(t *rapid.T, v reflect.Value) {
	rules := RulesOf(v.Type())
	var choices []int
	for i, r := range rules {
		if r.OneOf {
			choices = append(choices, i)
		}
	}
	chosen := -1
	if choices != nil {
		chosen = rapid.SampledFrom(choices).Draw(t, "one of")
	}
	for i, r := range rules {
		if r.OneOf && i != chosen || !r.OneOf && !r.Required && rapid.Bool().Draw(t, "absent") {
			continue
		}
		drawValue(t, v.Field(r.index), r)
	}
}

func drawValue(t *rapid.T, v reflect.Value, r Rules) {
	switch p := v.Addr().Interface().(type) {
	case *Columns:
		for _, name := range rapid.SliceOfNDistinct(rapid.Custom(drawText), 0, 4, rapid.ID).Draw(t, "columns") {
			*p = append(*p, frame.Column{Name: name, Type: rapid.SampledFrom(frame.Types()).Draw(t, "type")})
		}
		return
	case *Features:
		for _, name := range rapid.SliceOfNDistinct(rapid.Custom(drawText), 1, 4, rapid.ID).Draw(t, "features") {
			f := FeatureDef{Name: name}
			if rapid.Bool().Draw(t, "aggregate") {
				f.Aggregate = drawAggregate(t)
			} else {
				f.Expr = drawExpr(t)
			}
			*p = append(*p, f)
		}
		return
	case *Names:
		*p = rapid.SliceOfNDistinct(rapid.Custom(drawName), 1, 4, rapid.ID).Draw(t, "names")
		return
	case *Percent:
		*p = Percent(rapid.Float64Range(0.001, 0.999).Draw(t, "percent"))
		return
	case *Rate:
		*p = Rate(rapid.Float64Range(0.001, 1e6).Draw(t, "rate"))
		return
	case *Bytes:
		*p = Bytes(rapid.Int64Range(1, 1<<50).Draw(t, "bytes"))
		return
	case *Durations:
		*p = Durations{Duration(rapid.Int64Range(1, 1<<50).Draw(t, "duration"))}
		return
	case *Duration:
		*p = Duration(rapid.Int64Range(1, 1<<55).Draw(t, "duration"))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		drawValue(t, v.Elem(), r)
	case reflect.Struct:
		drawFields(t, v)
	case reflect.Slice:
		n := rapid.IntRange(1, 3).Draw(t, "length")
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			drawValue(t, v.Index(i), r)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		least := 0
		if r.OneOf { // an empty one is as good as none
			least = 1
		}
		for range rapid.IntRange(least, 3).Draw(t, "size") {
			item := reflect.New(v.Type().Elem()).Elem()
			drawValue(t, item, r)
			v.SetMapIndex(reflect.ValueOf(drawName(t)), item)
		}
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(drawNumber(t, r, true)))
	case reflect.Float64:
		v.SetFloat(drawNumber(t, r, false))
	case reflect.String:
		v.SetString(drawWord(t, r))
	default:
		panic(fmt.Sprintf("no generator for %s", v.Type()))
	}
}

func drawNumber(t *rapid.T, r Rules, whole bool) float64 {
	low, high := 1.0, 1000.0
	if r.Min != nil {
		low = *r.Min
		high = max(high, low+1000)
	}
	if r.Max != nil {
		high = *r.Max
	}
	if whole {
		return float64(rapid.IntRange(int(low), int(high)).Draw(t, "int"))
	}
	return rapid.Float64Range(low, high).Draw(t, "float")
}

func drawWord(t *rapid.T, r Rules) string {
	switch {
	case r.Enum != nil:
		return rapid.SampledFrom(r.Enum).Draw(t, "enum")
	case r.Refs != nil:
		return drawName(t)
	case r.Expr, r.Gate:
		return drawExpr(t)
	case r.Cron:
		return rapid.SampledFrom([]string{"@daily", "@every 10m", "0 2 * * *", "*/5 * * * 1-5"}).Draw(t, "cron")
	case r.Secret:
		return rapid.SampledFrom([]string{"env:KEY", "file:secrets/key"}).Draw(t, "secret")
	case r.Location:
		return rapid.SampledFrom([]string{"data/*.csv", "lake://t", "s3://b/x", "https://h/x", "postgres://h/db"}).Draw(t, "location")
	}
	return drawText(t)
}

func drawExpr(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a > 1", "a + b", "x is not null", `"odd name" = 'it''s: #1'`, "'${v}' = a", "-1"}).Draw(t, "expr")
}
