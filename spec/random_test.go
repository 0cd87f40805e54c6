package spec

import (
	"fmt"
	"reflect"

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
	return s
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
			*p = append(*p, FeatureDef{Name: name, Expr: drawExpr(t)})
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
		for range rapid.IntRange(0, 3).Draw(t, "size") {
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
