package online

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/flow/feature/window"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/online"
	"github.com/leat-ai/leat/store/online/local"
)

// second is one in the unit of times.
const second = int64(time.Second / time.Microsecond)

// began is when the tests' events begin; noon is what their clock shows.
const began = 1_700_000_000 * second

var noon = time.UnixMicro(began).Add(24 * time.Hour)

var transactions = []frame.Column{
	{Name: "customer", Type: frame.String}, {Name: "at", Type: frame.Timestamp},
	{Name: "amount", Type: frame.Double}, {Name: "country", Type: frame.String},
}

// txn is one row of transactions; the zero country is NULL.
type txn struct {
	customer string
	at       int64
	amount   float64
	country  string
}

func batchOf(rows ...txn) frame.Batch {
	cells := make([]*frame.Cells, len(transactions))
	for i, c := range transactions {
		cells[i] = frame.NewCells(c.Type, len(rows))
	}
	for _, r := range rows {
		cells[0].TextString(r.customer)
		cells[1].Int(r.at)
		cells[2].Double(r.amount)
		if r.country == "" {
			cells[3].Null()
		} else {
			cells[3].TextString(r.country)
		}
	}
	return frame.BatchOf(frame.SchemaOf(transactions), cells, len(rows))
}

func customers(names ...string) frame.Batch {
	cells := frame.NewCells(frame.String, len(names))
	for _, n := range names {
		if n == "" {
			cells.Null()
			continue
		}
		cells.TextString(n)
	}
	return frame.BatchOf(frame.SchemaOf(transactions[:1]), []*frame.Cells{cells}, len(names))
}

func viewOf(t testing.TB, text string) spec.FeatureView {
	t.Helper()
	project, err := spec.LoadFiles(map[string]string{"view.yaml": text + source}, spec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	v, ok := spec.Find[*spec.FeatureView](project.Resources, "view")
	if !ok {
		t.Fatal("no view")
	}
	return *v
}

// source is what the views are over.
const source = `
---
kind: Source
name: transactions
from: data/*.parquet
schema: {customer: string, at: timestamp, amount: double, country: string}
`

const latest = `
kind: FeatureView
name: view
entity: customer
source: transactions
timestamp: at
ttl: 1h
columns: [amount, country]
features: {double_amount: amount * 2, foreign: "country != 'NL'"}`

const windows = `
kind: FeatureView
name: view
entity: customer
source: transactions
timestamp: at
lateness: 1d
features:
  n: {count: "*", window: [10s, 60s]}
  spend: {sum: amount, window: 60s}
  mean: {avg: amount, window: 60s}
  high: {max: amount, window: 60s}
  countries: {distinct: country, window: 60s}
  last: {last: country, window: 60s}
  ratio: spend / n_10s`

func compiled(t testing.TB, text string) *View {
	t.Helper()
	v, err := Compile(viewOf(t, text), transactions)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func features(t testing.TB) *Features {
	t.Helper()
	s, err := local.Open(t.Context(), local.Config{Path: filepath.Join(t.TempDir(), "online"), Clock: clock.Fixed(noon)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return New(Config{Store: s, Clock: clock.Fixed(noon)})
}

func push(t testing.TB, f *Features, v *View, rows ...txn) Pushed {
	t.Helper()
	b := batchOf(rows...)
	defer b.Release()
	p, err := f.Push(t.Context(), v, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// show reads entities as text: status, time since began in seconds, values.
func show(t testing.TB, f *Features, v *View, at int64, names ...string) []string {
	t.Helper()
	b := customers(names...)
	defer b.Release()
	var a Answer
	if err := f.Read(t.Context(), []Ask{{View: v}}, b, time.UnixMicro(at), &a); err != nil {
		t.Fatal(err)
	}
	out := make([]string, a.Rows)
	for row := range out {
		out[row] = describe(&a.Parts[0], row)
	}
	return out
}

func describe(p *Part, row int) string {
	var b strings.Builder
	fmt.Fprint(&b, p.Status[row])
	if p.Status[row] != NotFound {
		fmt.Fprintf(&b, " %d", (p.Times[row]-began)/second)
	}
	for i := range p.Width() {
		c := p.Cell(row, i)
		switch {
		case !c.OK:
			b.WriteString(" -")
		case p.Feature(i).Type == frame.Double:
			fmt.Fprintf(&b, " %v", c.Double())
		case p.Feature(i).Type == frame.String:
			fmt.Fprintf(&b, " %s", c.Text)
		case p.Feature(i).Type == frame.Bool:
			fmt.Fprintf(&b, " %t", c.Bool())
		default:
			fmt.Fprintf(&b, " %d", c.Int())
		}
	}
	return b.String()
}

func TestNewestRow(t *testing.T) {
	f, v := features(t), compiled(t, latest)
	at := func(s int64) int64 { return began + s*second }
	p := push(t, f, v, txn{"ann", at(10), 5, "NL"}, txn{"bob", at(10), 7, ""}, txn{"ann", at(5), 3, "BE"})
	if p != (Pushed{Rows: 3, Older: 1}) {
		t.Errorf("pushed %+v", p)
	}
	if p := push(t, f, v, txn{"ann", at(9), 1, "FR"}, txn{"cat", at(20), math.Inf(1), "x"}); p != (Pushed{Rows: 2, Older: 1}) {
		t.Errorf("pushed %+v", p)
	}
	got := show(t, f, v, at(30), "ann", "bob", "dan", "", "cat")
	want := []string{"present 10 5 NL 10 false", "present 10 7 - 14 -", "not_found - - - -", "not_found - - - -", "present 20 +Inf x +Inf true"}
	if !slices.Equal(got, want) {
		t.Errorf("read %q\nwant %q", got, want)
	}
	if got := show(t, f, v, at(3611), "ann", "cat"); got[0] != "stale 10 5 NL 10 false" || !strings.HasPrefix(got[1], "present") {
		t.Errorf("an hour later: %q", got)
	}
	fresh, err := f.Freshness(t.Context(), []*View{v, compiled(t, windows)})
	if err != nil || !fresh[0].Stale || fresh[0].Age != 24*time.Hour-20*time.Second || !fresh[0].Written.Equal(noon) || !fresh[1].Newest.IsZero() {
		t.Errorf("freshness %+v, %v", fresh, err)
	}
}

func TestSomeFeatures(t *testing.T) {
	f, v, w := features(t), compiled(t, latest), compiled(t, windows)
	push(t, f, v, txn{"ann", began, 5, "NL"})
	push(t, f, w, txn{"ann", began, 5, "NL"})
	country, err := v.Feature("country")
	if err != nil {
		t.Fatal(err)
	}
	last, _ := w.Feature("last")
	b := customers("ann")
	defer b.Release()
	var a Answer
	r := f.Reader([]Ask{{View: v, Features: []int{country}}, {View: w, Features: []int{last, 0}}})
	for range 2 { // an Answer is used again
		if err := r.Read(t.Context(), b, []int64{began + second}, &a); err != nil {
			t.Fatal(err)
		}
		if got := describe(&a.Parts[0], 0) + "; " + describe(&a.Parts[1], 0); got != "present 0 NL; present 0 NL 1" {
			t.Errorf("read %q", got)
		}
	}
	if _, err := v.Feature("contry"); !fault.Is(err, fault.NotFound) || !strings.Contains(fault.HintOf(err), "country") {
		t.Errorf("a feature that is not there: %v", err)
	}
}

// TestLookups looks views up as a release does: several at once, each row as of
// its time, and nothing of rows that are stale by then.
func TestLookups(t *testing.T) {
	f, v, w := features(t), compiled(t, latest), compiled(t, windows)
	push(t, f, v, txn{"ann", began, 5, "NL"}, txn{"bob", began, 6, "BE"})
	push(t, f, w, txn{"ann", began, 5, "NL"}, txn{"bob", began, 6, "BE"})
	b := batchOf(txn{"ann", began + second, 0, ""}, txn{"ann", began + 3601*second, 0, ""}, txn{"nobody", began, 0, ""})
	defer b.Release()
	for name, find := range map[string]func() (map[string][]arrow.Array, error){
		"together": func() (map[string][]arrow.Array, error) {
			return f.Reader([]Ask{{View: v}}).Find(t.Context(), b, "at", noon)
		},
		"alone": func() (map[string][]arrow.Array, error) {
			values, err := f.Table(v).Lookup.Values(t.Context(), []arrow.Array{b.Column(0)}, []int64{began + second, began + 3601*second, began}, 3)
			return map[string][]arrow.Array{"view": values}, err
		},
	} {
		found, err := find()
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(found["view"][0]); got != "[5 (null) (null)]" {
			t.Errorf("%s: amounts %s", name, got)
		}
	}
	counts, err := f.Table(w).Lookup.Values(t.Context(), []arrow.Array{b.Column(0)}, []int64{began + second, began + 3601*second, feature.NoTime}, 3)
	if err != nil || fmt.Sprint(counts[0]) != "[1 0 (null)]" {
		t.Errorf("counts %v, %v", counts[0], err)
	}
}

// TestAnyOrder pushes events in any order and batches, some of them twice with
// their ids, and holds what is read against a state that saw all of them.
func TestAnyOrder(t *testing.T) {
	v := compiled(t, windows)
	f := features(t)
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		f.config.Space = fmt.Sprint("run", run)
		n := rapid.IntRange(1, 30).Draw(r, "events")
		rows, ids := make([]txn, n), make([]string, n)
		for i := range rows {
			rows[i] = txn{
				customer: rapid.SampledFrom([]string{"ann", "bob", "cat"}).Draw(r, "customer"),
				at:       began + rapid.Int64Range(0, 120).Draw(r, "at")*second,
				amount:   rapid.Float64Range(-1e6, 1e6).Draw(r, "amount"),
				country:  rapid.SampledFrom([]string{"", "NL", "BE"}).Draw(r, "country"),
			}
			ids[i] = fmt.Sprint("id", i)
		}
		reference := window.NewState(v.Plan(), window.Bounds{})
		all := batchOf(rows...)
		defer all.Release()
		if _, err := reference.Add(all, ids); err != nil {
			r.Fatal(err)
		}
		perm := rapid.Permutation(numbers(n)).Draw(r, "order")
		for len(perm) > 0 {
			k := rapid.IntRange(1, len(perm)).Draw(r, "batch")
			part, names := []txn{}, []string{}
			for _, i := range perm[:k] {
				part, names = append(part, rows[i]), append(names, ids[i])
			}
			b := batchOf(part...)
			for range rapid.IntRange(1, 2).Draw(r, "times") {
				if _, err := f.Push(t.Context(), v, b, names); err != nil {
					r.Fatal(err)
				}
			}
			b.Release()
			perm = perm[k:]
		}
		at := began + rapid.Int64Range(0, 200).Draw(r, "as of")*second
		same(t, r, f, v, reference, at)
	})
}

func numbers(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// same compares what is online with a state, bit for bit.
func same(t *testing.T, r *rapid.T, f *Features, v *View, reference *window.State, at int64) {
	b := customers("ann", "bob", "cat", "dan")
	defer b.Release()
	var a Answer
	if err := f.Read(t.Context(), []Ask{{View: v}}, b, time.UnixMicro(at), &a); err != nil {
		r.Fatal(err)
	}
	columns, err := pick(b, v.Keys())
	if err != nil {
		r.Fatal(err)
	}
	want, err := reference.Values(columns, []int64{at, at, at, at})
	if err != nil {
		r.Fatal(err)
	}
	for i, values := range want {
		for row := range a.Rows {
			expect, got := cellOf(values, row), *a.Parts[0].Cell(row, i)
			if expect.OK != got.OK || expect.Bits != got.Bits || string(expect.Text) != string(got.Text) {
				r.Fatalf("%s of row %d: %+v, want %+v", v.Features()[i].Name, row, got, expect)
			}
		}
		values.Release()
	}
}

// TestRace has many writers push events of the same entities at once.
func TestRace(t *testing.T) {
	f, v := features(t), compiled(t, windows)
	const writers, rounds = 6, 10
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range rounds {
				b := batchOf(txn{"ann", began + int64(i)*second/100 + int64(w), 1, "NL"}, txn{"bob", began + int64(i), 1, fmt.Sprint(w)})
				if _, err := f.Push(context.Background(), v, b, nil); err != nil {
					t.Error(err)
				}
				b.Release()
			}
		})
	}
	wg.Wait()
	got := show(t, f, v, began+second, "ann", "bob")
	for i, distinct := range []string{" 1 NL ", fmt.Sprint(" ", writers, " ")} {
		if !strings.Contains(got[i], fmt.Sprintf(" %d %d %d 1 1%s", writers*rounds, writers*rounds, writers*rounds, distinct)) {
			t.Errorf("after %d events: %q", writers*rounds, got[i])
		}
	}
}

// broken is a store that does not answer.
type broken struct{ online.Store }

func (broken) Get(context.Context, []online.Key, []online.Found) ([]online.Found, error) {
	return nil, fault.New(fault.Unavailable, "gone")
}

// slow is a store that waits for its caller to give up.
type slow struct{ online.Store }

func (slow) Get(ctx context.Context, _ []online.Key, _ []online.Found) ([]online.Found, error) {
	<-ctx.Done()
	return nil, fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "slow")
}

func TestStoreAway(t *testing.T) {
	v := compiled(t, latest)
	b := customers("ann")
	defer b.Release()
	for name, s := range map[string]online.Store{"broken": broken{}, "slow": slow{}} {
		f := New(Config{Store: s, Timeout: 10 * time.Millisecond})
		if err := f.Read(t.Context(), []Ask{{View: v}}, b, noon, new(Answer)); !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v, want Unavailable", name, err)
		}
	}
}

func TestWrongColumns(t *testing.T) {
	f, v := features(t), compiled(t, latest)
	b := customers("ann")
	defer b.Release()
	if _, err := f.Push(t.Context(), v, b, nil); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), `"amount"`) {
		t.Errorf("a row without its columns: %v", err)
	}
	if _, err := Compile(spec.FeatureView{Name: "x", Source: "transactions", Columns: spec.Names{"amount"}}, transactions); !fault.Is(err, fault.Unsupported) {
		t.Errorf("a view without an entity: %v", err)
	}
}

// BenchmarkRead reads 250 features of entities from the store in the process.
func BenchmarkRead(b *testing.B) {
	columns := []frame.Column{{Name: "customer", Type: frame.String}, {Name: "at", Type: frame.Timestamp}}
	def := spec.FeatureView{Name: "wide", Entity: spec.Names{"customer"}, Source: "transactions", Timestamp: "at"}
	for i := range 250 {
		name := fmt.Sprint("f", i)
		columns = append(columns, frame.Column{Name: name, Type: frame.Double})
		def.Columns = append(def.Columns, name)
	}
	v, err := Compile(def, columns)
	if err != nil {
		b.Fatal(err)
	}
	const entities = 10_000
	cells := make([]*frame.Cells, len(columns))
	names := make([]string, entities)
	for i, c := range columns {
		cells[i] = frame.NewCells(c.Type, entities)
		for row := range entities {
			names[row] = fmt.Sprint("c", row)
			switch c.Type {
			case frame.String:
				cells[i].TextString(names[row])
			case frame.Timestamp:
				cells[i].Int(began)
			default:
				cells[i].Double(float64(row) / float64(i+1))
			}
		}
	}
	rows := frame.BatchOf(frame.SchemaOf(columns), cells, entities)
	defer rows.Release()
	f := features(b)
	if _, err := f.Push(b.Context(), v, rows, nil); err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 50} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := f.Reader([]Ask{{View: v}})
			var a Answer
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				asked := customers(names[i*n%(entities-n):][:n]...)
				if err := r.Read(b.Context(), asked, []int64{began}, &a); err != nil {
					b.Fatal(err)
				}
				asked.Release()
			}
		})
	}
}
