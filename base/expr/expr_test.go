package expr_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

var columns = []frame.Column{
	{Name: "amount", Type: frame.Double}, {Name: "n", Type: frame.Int}, {Name: "country", Type: frame.String},
	{Name: "at", Type: frame.Timestamp}, {Name: "born", Type: frame.Date}, {Name: "fraud", Type: frame.Bool},
	{Name: "capital-gain", Type: frame.Int}, {Name: "champion.auc", Type: frame.Double},
}

// TestDiffersFromDuckDBWhereSaid has the values that DuckDB gives otherwise;
// the package comment says why.
func TestDiffersFromDuckDBWhereSaid(t *testing.T) {
	for src, want := range map[string]string{
		"log(10)":                       "2.302585092994046", // 1 in DuckDB
		"dayofweek(date '2024-02-25')":  "7",                 // 0
		"1e300 * 1e300 - 1e300 * 1e300": "null",              // NaN
		"0.1 + 0.2 = 0.3":               "false",             // decimals
		"9223372036854775807 + 1":       "null",              // an error
		"-(-9223372036854775808)":       "null",              // an error
		"-9223372036854775808 % -1":     "0",                 // an error
		"cast('abc' as int)":            "null",              // an error
		"cast('inf' as double)":         "null",
		"cast('1e400' as double)":       "null",
		"cast('0x10' as int)":           "null",
		"cast('1_000' as int)":          "null",
		"sqrt(0 - 1)":                   "null",
		"timestamp '2024-03-01 10:00:00+02:00' = timestamp '2024-03-01 08:00:00'": "true",
		"cast('2024-02-29 10:20:30 +05:30' as timestamp)":                         "timestamp '2024-02-29 04:50:30'",
		"date_diff('week', date '2024-02-25', date '2024-02-26')":                 "1", // 0: not by Mondays
		"date_diff('week', date '1969-12-28', date '1969-12-29')":                 "1",
		"cast(date '2024-01-01' + 9000000000 as string)":                          "null", // no date so late
	} {
		if got := eval(t, src, nil).Text(); got != want {
			t.Errorf("%s = %s, want %s", src, got, want)
		}
	}
}

func TestNamesAreFoundOnceInOrder(t *testing.T) {
	e, err := expr.Parse(`"capital-gain" > b.c and min_over(country).auc > "a""b" or b.c = MAX_OVER("x y").f1`)
	if err != nil {
		t.Fatal(err)
	}
	want := `[capital-gain b.c min_over(country).auc a"b max_over(x y).f1]`
	if got := fmt.Sprint(e.Names()); got != want {
		t.Errorf("names %s, want %s", got, want)
	}
	if r := e.Refs()[2]; r != (expr.Ref{Name: "min_over(country).auc", Over: "min_over", Column: "country", Metric: "auc"}) {
		t.Errorf("reference %+v", r)
	}
}

// TestMistakesSayWhereAndWhatWasMeant has each mistake with the column it
// stands in and a part of the hint.
func TestMistakesSayWhereAndWhatWasMeant(t *testing.T) {
	cases := []struct{ src, where, hint string }{
		{"", "column 1", ""},
		{"  amount >", "column 11", "a value is"},
		{"amount > 1 2", "column 12", "operator is missing"},
		{"amount < n < 3", "column 12", "do not chain"},
		{"amount > 1)", "column 11", "never opened"},
		{"(amount > 1", "column 12", "not closed"},
		{"country = 'DE", "column 11", "close it"},
		{"amount && fraud", "column 8", "write and"},
		{"!fraud", "column 1", "write not"},
		{"amount::int", "column 7", "cast"},
		{"country = ‘DE’", "column 11", "straight quotes"},
		{"amount is 3", "column 11", "only null"},
		{"amount between 1 or 2", "column 18", "between low and high"},
		{"country in 'DE'", "column 12", "in ('a', 'b')"},
		{"country in ()", "column 9", "in ('a', 'b')"},
		{"case when fraud 1 end", "column 17", "case when"},
		{"case fraud end", "column 12", "case when"},
		{"cast(amount as decimal)", "column 16", "the types are"},
		{"cast(amount as strng)", "column 16", "did you mean string?"},
		{"1e999", "column 1", ""},
		{"99999999999999999999", "column 1", ".0"},
		{"2nd > 1", "column 1", "double quotes"},
		{"date '2024-02-30'", "column 6", "write '2026-03-31'"},
		{"amuont > 1", "column 1", "did you mean amount?"},
		{"n > 0 and Amount > 1", "column 11", "did you mean amount?"},
		{"capital_gain > 1", "column 1", `did you mean "capital-gain"?`},
		{"champion.acu > 1", "column 1", "did you mean champion.auc?"},
		{"balance > 1", "column 1", "the columns are amount, n"},
		{"country > 5", "column 9", "without quotes, or cast(x as int)"},
		{"n = '5'", "column 3", "without quotes"},
		{"at > country", "column 4", "cast"},
		{"at > 'yesterday'", "column 6", "write '2026-03-31'"},
		{"at + 1", "column 4", "date_diff"},
		{"born * 2", "column 6", "date - date"},
		{"country + 'x'", "column 9", "||"},
		{"fraud + 1", "column 7", "cast(x as int)"},
		{"amount || 'x'", "column 8", "cast(x as string)"},
		{"-country", "column 1", ""},
		{"not n", "column 5", "compare"},
		{"fraud and amount", "column 11", "compare"},
		{"case when n then 1 end", "column 11", "compare"},
		{"case when fraud then 1 else 'x' end", "column 1", "one type"},
		{"country like amount", "column 14", "contains"},
		{"regexp_match(country, '(')", "column 23", "RE2"},
		{"regexp_match(country, country)", "column 23", "contains"},
		{"hour(amount)", "column 1", "hour(t)"},
		{"lenght(country)", "column 1", "length(s)"},
		{"len(country)", "column 1", "length(s)"},
		{"avg(amount)", "column 1", "SQL feature"},
		{"now()", "column 1", "no clock"},
		{"frobnicate(1)", "column 1", "the functions are"},
		{"date_diff('hours', at, at)", "column 11", "'hour'"},
		{"date_diff(country, at, at)", "column 11", "the parts are"},
		{"cast(at as double)", "column 1", "epoch"},
		{"coalesce()", "column 1", "coalesce(x"},
		{"nullif(1)", "column 1", "nullif(x, y)"},
		{"if(fraud, 1)", "column 1", "if(condition"},
		{"min_over(1).auc > 0", "column 10", "min_over(column).metric"},
		{"é ? 1", "column 3", ""},
		{strings.Repeat("(", 200), "column 101", "feature of its own"},
		{"n" + strings.Repeat("+n", 3000), "", "SQL"},
		{"country like '" + strings.Repeat("a", 2000) + "'", "column 14", ""},
		{strings.Repeat(" ", 20000), "", "SQL"},
	}
	for _, c := range cases {
		e, err := expr.Parse(c.src)
		if err == nil {
			_, err = e.Bind(columns)
		}
		fe, ok := errors.AsType[*fault.Error](err)
		if !ok || fe.Kind != fault.Invalid {
			t.Errorf("%.60q: %v, want an Invalid fault", c.src, err)
			continue
		}
		if c.where != "" && fe.Where != c.where || !strings.Contains(fe.Advice, c.hint) {
			t.Errorf("%.60q: %v (%s), want %s and the hint %q", c.src, err, fe.Advice, c.where, c.hint)
		}
	}
}

func TestTypesOfResults(t *testing.T) {
	for src, want := range map[string]frame.Type{
		"n + 1": frame.Int, "n + 1.0": frame.Double, "n / 2": frame.Double, "n % 2": frame.Int, "null": frame.Double,
		"born + 1": frame.Date, "born - born": frame.Int, "at > '2026-01-01'": frame.Bool, "coalesce(null, at)": frame.Timestamp,
		"case when fraud then 1 else 2.5 end": frame.Double, "case when fraud then born else at end": frame.Timestamp,
		"round(n)": frame.Int, "round(amount, 2)": frame.Double, "country || null": frame.String, "epoch(at)": frame.Double,
		"coalesce('2026-01-01', at)": frame.Timestamp, "null is null": frame.Bool,
	} {
		e, err := expr.Parse(src)
		if err != nil {
			t.Fatal(err)
		}
		p, err := e.Bind(columns)
		if err != nil || p.Type() != want {
			t.Errorf("%s: %v %v, want %s", src, p, err, want)
		}
	}
}

func batch(t *testing.T, rows string) frame.Batch {
	t.Helper()
	b, _, err := array.RecordFromJSON(memory.DefaultAllocator, frame.SchemaOf(columns), strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func bind(t *testing.T, src string) *expr.Program {
	t.Helper()
	e, err := expr.Parse(src)
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.Bind(columns)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEvalRefusesOtherColumns(t *testing.T) {
	p := bind(t, "n + amount")
	good := batch(t, `[{"n": 1, "amount": 2}]`)
	renamed := append([]frame.Column{{Name: "total", Type: frame.Double}}, columns[1:]...)
	retyped := append([]frame.Column{{Name: "amount", Type: frame.Int}}, columns[1:]...)
	for _, bad := range [][]frame.Column{renamed, retyped, columns[:1], nil} {
		schema := frame.SchemaOf(bad)
		b, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader("[{}]"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Eval(b); !fault.Is(err, fault.Invalid) {
			t.Errorf("%v: %v, want Invalid", bad, err)
		}
	}
	if _, err := p.EvalColumns(good.Columns(), 2); !fault.Is(err, fault.Invalid) {
		t.Errorf("a column that is too short: %v", err)
	}
	if _, err := p.EvalColumns(nil, 1); !fault.Is(err, fault.Invalid) {
		t.Errorf("no columns: %v", err)
	}
	out, err := p.Eval(good)
	if err != nil || out.(*array.Float64).Value(0) != 3 {
		t.Errorf("%v %v", out, err)
	}
}

func TestNaNIsNull(t *testing.T) {
	env := map[string]expr.Value{"x": {Type: frame.Double, Valid: true, F: math.NaN()}, "y": expr.Double(math.Inf(1))}
	for src, want := range map[string]string{
		"x is null": "true", "x >= 0": "null", "not (x >= 0)": "null", "coalesce(x, 1.0)": "1.0", "y - y": "null",
		"y > 1": "true", "x = x": "null", "y * 0 is null": "true",
	} {
		if got := eval(t, src, env).Text(); got != want {
			t.Errorf("%s = %s, want %s", src, got, want)
		}
	}
}

func TestProgramsAreSafeForManyGoroutines(t *testing.T) {
	p := bind(t, "case when n > 1 then country || '!' else lower(country) end")
	rows := batch(t, `[{"n": 1, "country": "DE"}, {"n": 2, "country": "FR"}, {"n": null, "country": null}]`)
	want, err := p.Eval(rows)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for k := range 200 {
				lo := int64((i + k) % 3)
				got, err := p.Eval(rows.NewSlice(lo, 3))
				if err != nil || !array.SliceEqual(want, lo, 3, got, 0, 3-lo) {
					t.Errorf("rows from %d: %v %v", lo, got, err)
					return
				}
			}
		})
	}
	group.Wait()
}

func TestEveryFunctionIsDocumented(t *testing.T) {
	for _, f := range expr.Functions() {
		if !strings.HasPrefix(f.Usage, f.Name+"(") || f.Doc == "" {
			t.Errorf("%+v", f)
		}
	}
}

func ExampleExpr_EvalScalar() {
	gate, err := expr.Parse("auc >= champion.auc - 0.005 and min_over(country).auc >= 0.75")
	if err != nil {
		fmt.Println(err)
		return
	}
	passed, err := gate.EvalScalar(map[string]expr.Value{
		"auc": expr.Double(0.883), "champion.auc": expr.Double(0.886), "min_over(country).auc": expr.Double(0.79),
	})
	fmt.Println(passed.Text(), err)
	// Output: true <nil>
}
