package expr

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/frame"
)

var testColumns = []frame.Column{
	{Name: "a", Type: frame.Int}, {Name: "b", Type: frame.Int},
	{Name: "x", Type: frame.Double}, {Name: "y", Type: frame.Double},
	{Name: "s", Type: frame.String}, {Name: "t", Type: frame.String},
	{Name: "p", Type: frame.Bool}, {Name: "q", Type: frame.Bool},
	{Name: "at", Type: frame.Timestamp}, {Name: "d", Type: frame.Date},
}

// drawValue draws a value of a type; extremes and NULL come often.
func drawValue(t *rapid.T, typ frame.Type) Value {
	if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
		return Null(typ)
	}
	switch typ {
	case frame.Int:
		return Int(rapid.OneOf(rapid.Int64(), rapid.Int64Range(-3, 3)).Draw(t, "int"))
	case frame.Double:
		special := rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, -1, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64, 5e-324})
		f := rapid.OneOf(special, rapid.Float64(), rapid.Float64Range(-5, 5)).Draw(t, "double")
		return Value{Type: frame.Double, Valid: true, F: f}
	case frame.String:
		return String(rapid.StringMatching(`[abA%_ é日]{0,5}`).Draw(t, "string"))
	case frame.Bool:
		return Bool(rapid.Bool().Draw(t, "bool"))
	case frame.Timestamp:
		return Value{Type: typ, Valid: true, I: rapid.Int64Range(-4e15, 4e15).Draw(t, "timestamp")}
	}
	return Value{Type: frame.Date, Valid: true, I: rapid.Int64Range(-40000, 40000).Draw(t, "date")}
}

// drawExpr draws the source of an expression of a type.
func drawExpr(t *rapid.T, typ frame.Type, depth int) string {
	leaf := func() string {
		if rapid.IntRange(0, 3).Draw(t, "constant") == 0 && typ != frame.Timestamp && typ != frame.Date {
			v := drawValue(t, typ)
			if !v.Valid {
				return "cast(null as " + string(typ) + ")"
			}
			if v.Type != frame.Double || !math.IsInf(v.F, 0) && !math.IsNaN(v.F) {
				return v.Text()
			}
		}
		var names []string
		for _, c := range testColumns {
			if c.Type == typ {
				names = append(names, c.Name)
			}
		}
		return rapid.SampledFrom(names).Draw(t, "column")
	}
	if depth == 0 {
		return leaf()
	}
	form := rapid.SampledFrom(append(forms[typ], forms[""]...)).Draw(t, "form")
	if form == "leaf" {
		return leaf()
	}
	// In a form, {int} stands for an expression of that type and {} for one of
	// the result's.
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(form, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		kind, after, _ := strings.Cut(rest, "}")
		want := frame.Type(kind)
		switch want {
		case "":
			want = typ
		case "any":
			want = rapid.SampledFrom(frame.Types()).Draw(t, "type")
		}
		b.WriteString(drawExpr(t, want, depth-1))
		form = after
	}
}

var forms = map[frame.Type][]string{
	"": {"leaf", "leaf", "case when {bool} then {} when {bool} then {} end", "case when {bool} then {} else {} end",
		"coalesce({}, {})", "nullif({}, {})", "if({bool}, {}, {})", "least({}, {}, {})", "greatest({}, {})", "({})"},
	frame.Int: {"({} + {})", "({} - {})", "({} * {})", "({} % {})", "-({})", "abs({})", "length({string})",
		"hour({timestamp})", "minute({timestamp})", "day({timestamp})", "day({date})", "month({date})", "year({timestamp})",
		"dayofweek({date})", "dayofyear({timestamp})", "date_diff('day', {timestamp}, {date})", "cast({double} as int)",
		"cast({string} as int)", "cast({bool} as int)", "({date} - {date})"},
	frame.Double: {"({} + {})", "({} - {int})", "({int} * {})", "({} / {})", "({int} / {int})", "({} % {})", "-({})",
		"abs({})", "sqrt({})", "log1p({})", "exp({})", "floor({})", "cast({int} as double)", "cast({string} as double)"},
	frame.String: {"({} || {})", "lower({})", "substr({}, {int}, {int})", "cast({int} as string)", "cast({double} as string)",
		"cast({date} as string)", "cast({timestamp} as string)"},
	frame.Bool: {"({} and {})", "({} or {})", "(not {})", "({int} < {int})", "({int} >= {double})", "({double} = {double})",
		"({string} <> {string})", "({string} <= {string})", "({bool} = {bool})", "({date} > {date})", "({timestamp} <= {timestamp})",
		"({any} is null)", "({any} is not null)", "({int} between {int} and {int})", "({double} not between {double} and {int})",
		"({int} in (1, 2, -1))", "({int} in (1, null, {int}))", "({string} not in ('a', 'ab', {string}))", "({double} in (0, 1.0))",
		"({string} like 'a%')", "({string} like '%b_')", "({string} not like '_a%%b')", "contains({string}, {string})"},
	frame.Timestamp: {"cast({date} as timestamp)", "cast({string} as timestamp)"},
	frame.Date:      {"cast({timestamp} as date)"},
}

// column makes an Arrow column of values, NULLs not marked, with junk before
// them so that its offset is not 0.
func column(typ frame.Type, values []Value) arrow.Array {
	b := array.NewBuilder(memory.DefaultAllocator, typ.Arrow())
	defer b.Release()
	for _, v := range append([]Value{Null(typ), {Type: typ, Valid: true}}, values...) {
		appendValue(b, v)
	}
	whole := b.NewArray()
	defer whole.Release()
	return array.NewSlice(whole, 2, int64(whole.Len()))
}

func appendValue(b array.Builder, v Value) {
	switch b := b.(type) {
	case *array.Int64Builder:
		b.Append(v.I)
	case *array.Float64Builder:
		b.Append(v.F)
	case *array.StringBuilder:
		b.Append(v.S)
	case *array.BooleanBuilder:
		b.Append(v.B)
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(v.I))
	case *array.Date32Builder:
		b.Append(arrow.Date32(v.I))
	}
}

// nulled is the column with its NULLs marked over whatever values lie there.
func nulled(col arrow.Array, values []Value) arrow.Array {
	offset := col.Data().Offset()
	bitmap := make([]byte, (offset+len(values)+7)/8)
	nulls := 0
	for i, v := range values {
		if v.Valid {
			bitmap[(offset+i)/8] |= 1 << ((offset + i) % 8)
		} else {
			nulls++
		}
	}
	buffers := append([]*memory.Buffer{memory.NewBufferBytes(bitmap)}, col.Data().Buffers()[1:]...)
	data := array.NewData(col.DataType(), len(values), buffers, nil, nulls, offset)
	defer data.Release()
	return array.MakeFromData(data)
}

// drawRows draws n rows; long runs repeat a few drawn ones.
func drawRows(t *rapid.T, n int) []map[string]Value {
	rows := make([]map[string]Value, n)
	for i := range rows {
		if i >= 7 {
			rows[i] = rows[(i*5+i/7)%7]
			continue
		}
		rows[i] = map[string]Value{}
		for _, c := range testColumns {
			rows[i][c.Name] = drawValue(t, c.Type)
		}
	}
	return rows
}

func columnsOf(rows []map[string]Value) []arrow.Array {
	cols := make([]arrow.Array, len(testColumns))
	for k, c := range testColumns {
		values := make([]Value, len(rows))
		for i, r := range rows {
			values[i] = r[c.Name]
		}
		cols[k] = nulled(column(c.Type, values), values)
	}
	return cols
}

func valueAt(col arrow.Array, i int) Value {
	t, _ := frame.TypeOf(col.DataType())
	if col.IsNull(i) {
		return Null(t)
	}
	v := Value{Type: t, Valid: true}
	switch c := col.(type) {
	case *array.Int64:
		v.I = c.Value(i)
	case *array.Float64:
		v.F = c.Value(i)
	case *array.String:
		v.S = c.Value(i)
	case *array.Boolean:
		v.B = c.Value(i)
	case *array.Timestamp:
		v.I = int64(c.Value(i))
	case *array.Date32:
		v.I = int64(c.Value(i))
	}
	return v
}

// bits shows a value so that two that differ in a bit look different.
func bits(v Value) string {
	if v.Valid && v.Type == frame.Double {
		return fmt.Sprintf("%v (%#x)", v.F, math.Float64bits(v.F))
	}
	return v.Text()
}

// TestProgramAgreesWithOracle holds whole batches, single rows and the oracle
// against each other.
func TestProgramAgreesWithOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := rapid.SampledFrom(frame.Types()).Draw(t, "result")
		src := drawExpr(t, typ, rapid.IntRange(0, 4).Draw(t, "depth"))
		e, err := Parse(src)
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		prog, err := e.Bind(testColumns)
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		rows := drawRows(t, rapid.SampledFrom([]int{0, 1, 2, 7, 7, chunk, 2*chunk + 13}).Draw(t, "rows"))
		cols := columnsOf(rows)
		whole, err := prog.EvalColumns(cols, len(rows))
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		if whole.Len() != len(rows) {
			t.Fatalf("%s: %d values for %d rows", src, whole.Len(), len(rows))
		}
		for i, row := range rows {
			if want, got := bits(oracle(row).eval(e.root)), bits(valueAt(whole, i)); got != want {
				t.Fatalf("%s: row %d %v: %s, want %s", src, i, row, got, want)
			}
			if i >= 7 && i < len(rows)-3 {
				continue // repeats of the first rows
			}
			one, err := prog.EvalColumns(slice(cols, i), 1)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := bits(valueAt(one, 0)), bits(valueAt(whole, i)); got != want {
				t.Fatalf("%s: row %d %v: alone %s, in the batch %s", src, i, row, got, want)
			}
		}
	})
}

func slice(cols []arrow.Array, i int) []arrow.Array {
	one := make([]arrow.Array, len(cols))
	for k, c := range cols {
		one[k] = array.NewSlice(c, int64(i), int64(i+1))
	}
	return one
}
