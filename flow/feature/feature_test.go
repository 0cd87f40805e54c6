package feature_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/spec"
)

var transactions = []frame.Column{
	{Name: "customer_id", Type: frame.Int}, {Name: "at", Type: frame.Timestamp}, {Name: "amount", Type: frame.Double},
	{Name: "balance", Type: frame.Double}, {Name: "country", Type: frame.String}, {Name: "fraud", Type: frame.Bool},
}

var customers = []frame.Column{{Name: "customer_id", Type: frame.Int}, {Name: "age", Type: frame.Int}, {Name: "city", Type: frame.String}}

func view(name string, columns []string, features ...string) spec.FeatureView {
	v := spec.FeatureView{Name: name, Source: "transactions", Columns: columns}
	for i := 0; i+1 < len(features); i += 2 {
		v.Features = append(v.Features, spec.FeatureDef{Name: features[i], Expr: features[i+1]})
	}
	return v
}

func env() feature.Env {
	return feature.Env{Sources: map[string][]frame.Column{"transactions": transactions, "customers": customers}, Label: "fraud"}
}

// table makes a batch from JSON rows.
func table(t testing.TB, columns []frame.Column, rows string) frame.Batch {
	t.Helper()
	batch, _, err := array.RecordFromJSON(memory.DefaultAllocator, frame.SchemaOf(columns), strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

// lake answers every query with one table, and remembers the query.
type lake struct {
	batch frame.Batch
	asked string
	err   error
}

func (l *lake) Query(_ context.Context, sql string) (frame.Reader, error) {
	l.asked = sql
	if l.err != nil {
		return nil, l.err
	}
	return frame.FromBatches(l.batch.Schema(), l.batch), nil
}

func materialise(t testing.TB, v spec.FeatureView, columns []frame.Column, rows string) *feature.Memory {
	t.Helper()
	m, err := feature.Materialise(t.Context(), &lake{batch: table(t, columns, rows)}, v, feature.Bounds{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func text(t testing.TB, b frame.Batch) string {
	t.Helper()
	var lines bytes.Buffer
	if err := array.RecordToJSON(b, &lines); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(lines.String())
}

const threeRows = `[
	{"customer_id": 1, "at": "2026-03-01 10:00:00Z", "amount": 10, "balance": 4, "country": "DE", "fraud": true},
	{"customer_id": 2, "at": "2026-03-01 23:30:00Z", "amount": 8, "balance": 0, "country": null, "fraud": false},
	{"customer_id": null, "at": null, "amount": null, "balance": 2, "country": "FR", "fraud": false}]`

var spend = spec.FeatureView{Name: "spend", Source: "transactions", Entity: spec.Names{"customer_id"},
	SQL: "select customer_id, avg(amount) as usual, count(*) as n from transactions group by customer_id"}

var spendColumns = []frame.Column{{Name: "usual", Type: frame.Double}, {Name: "customer_id", Type: frame.Int}, {Name: "n", Type: frame.Int}}

var who = spec.FeatureView{Name: "who", Source: "customers", Entity: spec.Names{"customer_id"}, Timestamp: "since",
	Columns: spec.Names{"city"}, Features: spec.Features{{Name: "adult", Expr: "age >= 18"}}}

func TestViewsOfEverySortAreJoined(t *testing.T) {
	e := env()
	e.Tables = map[string]feature.Table{
		"spend": materialise(t, spend, spendColumns, `[{"customer_id": 1, "usual": 5.5, "n": 3}, {"customer_id": 7, "usual": 1, "n": 1}]`).Table(),
		"who":   materialise(t, who, customers, `[{"customer_id": 2, "age": 17, "city": "Bonn"}, {"customer_id": null, "age": 1, "city": "x"}]`).Table(),
	}
	set, err := feature.Compile([]spec.FeatureView{
		view("activity", []string{"amount", "country"}, "share", "amount / balance", "late", "hour(at) >= 22"),
		spend, who,
		view("again", []string{"amount"}),
	}, e)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(set.Inputs()); got != "[{amount double} {country string} {balance double} {at timestamp} {customer_id int}]" {
		t.Errorf("inputs %s", got)
	}
	out, err := set.Compute(t.Context(), table(t, transactions, threeRows))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Release()
	want := `{"adult":null,"amount":10,"city":null,"country":"DE","late":false,"n":3,"share":2.5,"usual":5.5}
{"adult":false,"amount":8,"city":"Bonn","country":null,"late":true,"n":null,"share":null,"usual":null}
{"adult":null,"amount":null,"city":null,"country":"FR","late":null,"n":null,"share":null,"usual":null}`
	if got := text(t, out); got != want {
		t.Errorf("computed\n%s\nwant\n%s", got, want)
	}
	if got := fmt.Sprint(set.Outputs()); got != "[{amount double} {country string} {share double} {late bool} {usual double} {n int} {city string} {adult bool}]" {
		t.Errorf("outputs %s", got)
	}
	for i, name := range []string{"activity@", "spend@", "who@", "again@"} {
		if !strings.HasPrefix(set.Lineage()[i], name) {
			t.Errorf("lineage %v", set.Lineage())
		}
	}
}

func TestMistakesNameTheViewAndHelp(t *testing.T) {
	spendTable := materialise(t, spend, spendColumns, `[]`).Table()
	leaky := spend
	leaky.Name = "leaky"
	leakyTable := materialise(t, leaky, []frame.Column{{Name: "customer_id", Type: frame.Int}, {Name: "fraud", Type: frame.Double}}, `[]`).Table()
	texts := materialise(t, spend, []frame.Column{{Name: "customer_id", Type: frame.String}, {Name: "n", Type: frame.Int}}, `[]`).Table()
	sums, keyed := spend, spend
	sums.Name, sums.SQL = "sums", "select customer_id, avg(Fraud::int) as rate from transactions group by 1"
	keyed.Entity = spec.Names{"fraud"}
	circular := who
	circular.Features = spec.Features{{Name: "odd", Expr: "customer_id % 2"}}
	nobody := who
	nobody.Entity = nil
	far := view("far", []string{"amount"})
	far.Source = "transaction"
	cases := map[string]struct {
		views  []spec.FeatureView
		tables map[string]feature.Table
		kind   fault.Kind
		parts  []string // of the sentence and hint
	}{
		"misspelt column":       {views: []spec.FeatureView{view("v", []string{"ammount"})}, parts: []string{`"v"`, "did you mean amount?"}},
		"misspelt in a formula": {views: []spec.FeatureView{view("v", nil, "f", "amuont + 1")}, parts: []string{`"v"`, `"f"`, "did you mean amount?"}},
		"bad formula":           {views: []spec.FeatureView{view("v", nil, "f", "amount +")}, parts: []string{`"f"`, "column 9"}},
		"takes the label":       {views: []spec.FeatureView{view("v", []string{"fraud"})}, parts: []string{"label", "leave it out"}},
		"reads the label":       {views: []spec.FeatureView{view("v", nil, "f", "case when fraud then 1 end")}, parts: []string{`"f"`, "label"}},
		"sql gives the label":   {views: []spec.FeatureView{leaky}, tables: map[string]feature.Table{"leaky": leakyTable}, parts: []string{"label"}},
		"sql reads the label":   {views: []spec.FeatureView{sums}, tables: map[string]feature.Table{"sums": spendTable}, parts: []string{"SQL names the label", "later"}},
		"keyed by the label":    {views: []spec.FeatureView{keyed}, parts: []string{"looked up by", "label"}},
		"same name twice":       {views: []spec.FeatureView{view("v", []string{"amount"}), view("w", nil, "amount", "balance")}, parts: []string{`"w"`, `"v"`, "another name"}},
		"not materialised":      {views: []spec.FeatureView{spend}, kind: fault.Unavailable, parts: []string{`"spend"`, "materialise"}},
		"other key type":        {views: []spec.FeatureView{spend}, tables: map[string]feature.Table{"spend": texts}, parts: []string{"customer_id", "cast"}},
		"reads its own entity":  {views: []spec.FeatureView{view("v", []string{"amount"}), circular}, tables: map[string]feature.Table{"who": spendTable}, parts: []string{"looked up by", "rows themselves"}},
		"no entity":             {views: []spec.FeatureView{view("v", []string{"amount"}), nobody}, tables: map[string]feature.Table{"who": spendTable}, parts: []string{`"who"`, "entity"}},
		"unknown source":        {views: []spec.FeatureView{far}, parts: []string{"did you mean transactions?"}},
	}
	for name, c := range cases {
		e := env()
		e.Tables = c.tables
		_, err := feature.Compile(c.views, e)
		if c.kind == "" {
			c.kind = fault.Invalid
		}
		if !fault.Is(err, c.kind) {
			t.Errorf("%s: %v, want the kind %s", name, err, c.kind)
			continue
		}
		for _, part := range c.parts {
			if said := err.Error() + " / " + fault.HintOf(err); !strings.Contains(said, part) {
				t.Errorf("%s: %q says nothing of %q", name, said, part)
			}
		}
	}
	_, err := feature.Compile([]spec.FeatureView{view("v", []string{"a", "b"}, "f", "c + 1"), view("w", []string{"d"})}, env())
	n := 0
	fault.Each(err, func(error) { n++ })
	if n != 4 {
		t.Errorf("%d mistakes of 4 are reported: %v", n, err)
	}
}

func TestSQLThatOnlyMentionsTheLabelInTextIsFine(t *testing.T) {
	for sql, reads := range map[string]bool{
		"select id, 'fraud' as kind -- fraud\n from t": false, "select /* fraud */ fraudulent, not_fraud from t": false,
		"select 'it''s fraud' from t": false, `select "x""fraud" from t`: false, `select t."Fraud" from t`: true,
		"select sum(case when FRAUD then 1 end) from t": true, "fraud": true, "select 'open": false, "/* fraud": false, "": false,
	} {
		v := spend
		v.SQL = sql + " "
		e := env()
		e.Tables = map[string]feature.Table{"spend": materialise(t, spend, spendColumns, `[]`).Table()}
		if _, err := feature.Compile([]spec.FeatureView{v}, e); (err != nil) != reads {
			t.Errorf("%q: %v, want a mistake: %v", sql, err, reads)
		}
	}
}

func TestComputeNamesMissingAndWrongColumns(t *testing.T) {
	set, err := feature.Compile([]spec.FeatureView{view("v", []string{"amount"}, "h", "hour(at)")}, env())
	if err != nil {
		t.Fatal(err)
	}
	for want, columns := range map[string][]frame.Column{
		`"at" is missing`:     {{Name: "amount", Type: frame.Double}},
		`"at" is of type`:     {{Name: "amount", Type: frame.Double}, {Name: "at", Type: frame.String}},
		`"amount" is of type`: {{Name: "at", Type: frame.Timestamp}, {Name: "amount", Type: frame.Int}},
	} {
		_, err := set.Compute(t.Context(), table(t, columns, `[]`))
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestHashFollowsTheMeaning(t *testing.T) {
	base := view("v", []string{"amount"}, "h", "hour(at)")
	owned := base
	owned.Owner, owned.Tags = "ana", spec.Names{"x"}
	if feature.Hash(base) != feature.Hash(owned) {
		t.Error("the owner changes the hash")
	}
	for _, other := range []spec.FeatureView{
		view("v", []string{"balance"}, "h", "hour(at)"), view("v", []string{"amount"}, "h", "day(at)"),
		view("v", []string{"amount"}, "g", "hour(at)"), view("v", []string{"amount", "h"}), spend,
	} {
		if feature.Hash(base) == feature.Hash(other) {
			t.Errorf("%+v has the hash of another definition", other)
		}
	}
}

func TestMemoryIsBoundedAndChecked(t *testing.T) {
	twice := `[{"customer_id": 1, "usual": 1, "n": 1}, {"customer_id": 1, "usual": 2, "n": 1}]`
	two := `[{"customer_id": 1, "usual": 1, "n": 1}, {"customer_id": 2, "usual": 2, "n": 1}]`
	cases := []struct {
		columns []frame.Column
		rows    string
		bounds  feature.Bounds
		kind    fault.Kind
		hint    string
	}{
		{spendColumns, two, feature.Bounds{Entities: 1, Bytes: 1 << 20}, fault.TooLarge, "online store"},
		{spendColumns, two, feature.Bounds{Entities: 10, Bytes: 60}, fault.TooLarge, "online store"},
		{spendColumns, twice, feature.Bounds{}, fault.Invalid, "group by"},
		{[]frame.Column{{Name: "id", Type: frame.Int}}, `[]`, feature.Bounds{}, fault.Invalid, "select customer_id"},
		{[]frame.Column{{Name: "customer_id", Type: frame.Double}, {Name: "n", Type: frame.Int}}, `[]`, feature.Bounds{}, fault.Invalid, "cast"},
		{[]frame.Column{{Name: "customer_id", Type: frame.Int}}, `[]`, feature.Bounds{}, fault.Invalid, ""},
	}
	for _, c := range cases {
		_, err := feature.Materialise(t.Context(), &lake{batch: table(t, c.columns, c.rows)}, spend, c.bounds)
		if !fault.Is(err, c.kind) || !strings.Contains(fault.HintOf(err), c.hint) || !strings.Contains(err.Error(), `"spend"`) {
			t.Errorf("%v (%s), want %s with the hint %q", err, fault.HintOf(err), c.kind, c.hint)
		}
	}
	broken := fault.New(fault.Unavailable, "the lake is away")
	if _, err := feature.Materialise(t.Context(), &lake{err: broken}, spend, feature.Bounds{}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v, want the lake's own kind", err)
	}
}

func TestQueryOfAnotherSourceTakesTheNewestRow(t *testing.T) {
	l := &lake{batch: table(t, customers, `[]`)}
	if _, err := feature.Materialise(t.Context(), l, who, feature.Bounds{}); err != nil {
		t.Fatal(err)
	}
	want := `SELECT "customer_id", "city", "age" FROM (SELECT *, row_number() OVER (PARTITION BY "customer_id" ` +
		`ORDER BY "since" DESC NULLS LAST, "city" NULLS LAST, "age" NULLS LAST) AS leat_newest FROM "customers") AS numbered WHERE leat_newest = 1`
	if l.asked != want {
		t.Errorf("asked\n%s\nwant\n%s", l.asked, want)
	}
}

// TestRowsHaveTheSameFeaturesInAnyBatch is the promise of the package.
func TestRowsHaveTheSameFeaturesInAnyBatch(t *testing.T) {
	e := env()
	e.Tables = map[string]feature.Table{
		"spend": materialise(t, spend, spendColumns, `[{"customer_id": 1, "usual": 5.5, "n": 3}, {"customer_id": 2, "usual": null, "n": 1}]`).Table(),
	}
	set, err := feature.Compile([]spec.FeatureView{
		view("v", []string{"amount", "country"}, "share", "amount / balance", "logged", "log1p(abs(amount)) * 0.1 + exp(balance / 10)",
			"late", "hour(at) >= 22 or dayofweek(at) > 5", "where", "case when country in ('DE', 'FR') then lower(country) || '-eu' end"),
		spend}, e)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		rows := rapid.SliceOfN(rapid.Custom(drawRow), 0, 40).Draw(rt, "rows")
		repeat := rapid.SampledFrom([]int{1, 1, 1, 60}).Draw(rt, "repeat")
		var long []row
		for range repeat {
			long = append(long, rows...)
		}
		batch := batchOf(long)
		whole, err := set.Compute(t.Context(), batch)
		if err != nil {
			rt.Fatal(err)
		}
		for i := range len(rows) {
			at := int64(len(long) - 1 - i)
			alone, err := set.Compute(t.Context(), batch.NewSlice(at, at+1))
			if err != nil {
				rt.Fatal(err)
			}
			if !same(whole.NewSlice(at, at+1), alone) {
				rt.Fatalf("row %d: alone %v, in the batch %v", at, alone, whole.NewSlice(at, at+1))
			}
		}
	})
}

type row struct {
	customer, at    int64
	amount, balance float64
	country         string
	null            int // bit mask
}

func drawRow(t *rapid.T) row {
	special := rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.MaxFloat64})
	return row{
		customer: rapid.Int64Range(0, 3).Draw(t, "customer"),
		at:       rapid.Int64Range(-1e15, 4e15).Draw(t, "at"),
		amount:   rapid.OneOf(special, rapid.Float64()).Draw(t, "amount"),
		balance:  rapid.OneOf(special, rapid.Float64Range(-100, 100)).Draw(t, "balance"),
		country:  rapid.SampledFrom([]string{"DE", "FR", "BR", ""}).Draw(t, "country"),
		null:     rapid.IntRange(0, 31).Draw(t, "null") & rapid.IntRange(0, 31).Draw(t, "null too"),
	}
}

func batchOf(rows []row) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(transactions))
	defer b.Release()
	for _, r := range rows {
		has := func(bit int) []bool { return []bool{r.null&(1<<bit) == 0} }
		b.Field(0).(*array.Int64Builder).AppendValues([]int64{r.customer}, has(0))
		b.Field(1).(*array.TimestampBuilder).AppendValues([]arrow.Timestamp{arrow.Timestamp(r.at)}, has(1))
		b.Field(2).(*array.Float64Builder).AppendValues([]float64{r.amount}, has(2))
		b.Field(3).(*array.Float64Builder).AppendValues([]float64{r.balance}, has(3))
		b.Field(4).(*array.StringBuilder).AppendValues([]string{r.country}, has(4))
		b.Field(5).AppendNull()
	}
	return b.NewRecordBatch()
}

// same compares two batches bit for bit, NaN and the sign of zero included.
func same(a, b frame.Batch) bool {
	if !a.Schema().Equal(b.Schema()) || a.NumRows() != b.NumRows() {
		return false
	}
	for i := range int(a.NumCols()) {
		x, isDouble := a.Column(i).(*array.Float64)
		if !isDouble {
			if !array.Equal(a.Column(i), b.Column(i)) {
				return false
			}
			continue
		}
		y := b.Column(i).(*array.Float64)
		for r := range x.Len() {
			if x.IsNull(r) != y.IsNull(r) || x.IsValid(r) && math.Float64bits(x.Value(r)) != math.Float64bits(y.Value(r)) {
				return false
			}
		}
	}
	return true
}

func BenchmarkComputeOneRow(b *testing.B) {
	e := env()
	e.Tables = map[string]feature.Table{"spend": materialise(b, spend, spendColumns, `[{"customer_id": 1, "usual": 5.5, "n": 3}]`).Table()}
	columns := view("v", []string{"amount", "country"}, "share", "amount / balance", "late", "hour(at) >= 22", "logged", "log1p(amount)")
	for name, views := range map[string][]spec.FeatureView{"row": {columns}, "row and lookup": {columns, spend}} {
		set, err := feature.Compile(views, e)
		if err != nil {
			b.Fatal(err)
		}
		batch := table(b, transactions, threeRows).NewSlice(0, 1)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				out, err := set.Compute(context.Background(), batch)
				if err != nil {
					b.Fatal(err)
				}
				out.Release()
			}
		})
	}
}

// Features that are the columns as they came are the batch itself; in another
// order, or with others beside them, they are found by name.
func TestColumnsAsTheyCameAreNotCopied(t *testing.T) {
	set, err := feature.Compile([]spec.FeatureView{view("plain", []string{"amount", "country"})}, env())
	if err != nil {
		t.Fatal(err)
	}
	amount, country := frame.Column{Name: "amount", Type: frame.Double}, frame.Column{Name: "country", Type: frame.String}
	for name, c := range map[string]struct {
		columns []frame.Column
		same    bool
	}{
		"as they are":   {[]frame.Column{amount, country}, true},
		"another order": {[]frame.Column{country, amount}, false},
		"one more":      {[]frame.Column{amount, country, {Name: "at", Type: frame.Timestamp}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			in := table(t, c.columns, `[{"amount": 2.5, "country": "DE"}, {"amount": null, "country": "FR"}]`)
			out, err := set.Compute(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if (out == in) != c.same || !array.RecordEqual(out, table(t, set.Outputs(), `[{"amount": 2.5, "country": "DE"}, {"amount": null, "country": "FR"}]`)) {
				t.Errorf("the same batch: %v; %v", out == in, out)
			}
			out.Release()
		})
	}
	wrong := table(t, []frame.Column{{Name: "amount", Type: frame.Int}, country}, `[]`)
	if _, err := set.Compute(t.Context(), wrong); !fault.Is(err, fault.Invalid) {
		t.Errorf("an int is taken for a double: %v", err)
	}
}
