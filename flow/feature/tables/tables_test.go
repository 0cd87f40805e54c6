package tables_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	_ "modernc.org/sqlite"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/flow/feature/past"
	"github.com/leat-ai/leat/flow/feature/tables"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog"
)

var payments = []frame.Column{
	{Name: "customer", Type: frame.Int}, {Name: "at", Type: frame.Timestamp}, {Name: "amount", Type: frame.Double}, {Name: "fraud", Type: frame.Bool},
}

var addresses = []frame.Column{
	{Name: "customer", Type: frame.Int}, {Name: "since", Type: frame.Timestamp}, {Name: "city", Type: frame.String},
}

const paymentRows = `[
	{"customer": 1, "at": "2026-03-01 10:00:00Z", "amount": 10, "fraud": false},
	{"customer": 1, "at": "2026-03-01 10:30:00Z", "amount": 20, "fraud": true},
	{"customer": 2, "at": "2026-03-01 10:30:00Z", "amount": 5, "fraud": false},
	{"customer": 1, "at": "2026-03-01 11:20:00Z", "amount": 40, "fraud": false},
	{"customer": 1, "at": "2026-03-03 00:00:00Z", "amount": 1, "fraud": false}]`

const addressRows = `[
	{"customer": 1, "since": "2026-03-01 10:30:00Z", "city": "Bonn"},
	{"customer": 1, "since": "2026-01-01 00:00:00Z", "city": "Ulm"},
	{"customer": 1, "since": "2026-03-02 00:00:00Z", "city": "Kiel"}]`

// answers is SQL that gives one table, whatever is asked.
type answers struct{ batch frame.Batch }

func (a answers) Query(context.Context, string) (frame.Reader, error) {
	return frame.FromBatches(a.batch.Schema(), a.batch), nil
}

func batchOf(t testing.TB, columns []frame.Column, rows string) frame.Batch {
	t.Helper()
	b, _, err := array.RecordFromJSON(memory.DefaultAllocator, frame.SchemaOf(columns), strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func openLake(t testing.TB) *lake.Lake {
	t.Helper()
	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, "catalog.db")+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	l, err := lake.Open(t.Context(), lake.Config{Warehouse: filepath.Join(dir, "warehouse"), DB: db, Dialect: catalog.SQLite})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = l.Close(), db.Close() })
	return l
}

func fill(t testing.TB, l *lake.Lake, table string, rows frame.Batch) {
	t.Helper()
	columns, err := frame.ColumnsOf(rows.Schema())
	if err != nil {
		t.Fatal(err)
	}
	tbl, err := l.Ensure(t.Context(), table, columns)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tbl.Append(t.Context(), frame.FromBatches(rows.Schema(), rows), nil); err != nil {
		t.Fatal(err)
	}
}

func store(t testing.TB) *tables.Store {
	t.Helper()
	l := openLake(t)
	fill(t, l, "payments", batchOf(t, payments, paymentRows))
	fill(t, l, "addresses", batchOf(t, addresses, addressRows))
	newest := batchOf(t, []frame.Column{addresses[0], addresses[2]}, `[{"customer": 1, "city": "Kiel"}]`)
	return tables.New(l, answers{newest}, tables.Options{Scratch: t.TempDir()})
}

var (
	payment = spec.FeatureView{Name: "payment", Source: "payments", Timestamp: "at", Columns: spec.Names{"amount"}}
	habits  = spec.FeatureView{Name: "habits", Source: "payments", Timestamp: "at", Entity: spec.Names{"customer"}, Features: spec.Features{
		{Name: "spend", Aggregate: &spec.Aggregate{Sum: "amount", Window: spec.Durations{spec.Duration(time.Hour)}}},
		{Name: "n", Aggregate: &spec.Aggregate{Count: "*"}}}}
	home = spec.FeatureView{Name: "home", Source: "addresses", Timestamp: "since", Entity: spec.Names{"customer"}, TTL: spec.Duration(24 * time.Hour),
		Columns: spec.Names{"city"}}
	demand = spec.FeatureView{Name: "demand", Inputs: spec.Columns{{Name: "amount", Type: frame.Double}}, Features: spec.Features{
		{Name: "share", Expr: "amount / spend"}, {Name: "moved", Expr: "city = 'Bonn'"}}}
)

// learn computes the features of the payments as a training does.
func learn(t testing.TB, s *tables.Store, views []spec.FeatureView, label string) (string, error) {
	t.Helper()
	set, err := s.ForTraining(t.Context(), views, label)
	if err != nil {
		return "", err
	}
	rows := batchOf(t, payments, paymentRows)
	var joined *past.Joined
	if len(set.Columns()) > 0 {
		if joined, err = set.Find(t.Context(), frame.FromBatches(rows.Schema(), rows), time.Time{}, nil); err != nil {
			return "", err
		}
		defer joined.Close()
	}
	found, err := joined.Next(t.Context(), int(rows.NumRows()))
	if err != nil {
		return "", err
	}
	defer past.Release(found)
	out, err := set.ComputeAs(t.Context(), rows, feature.Asked{Found: found})
	if err != nil {
		return "", err
	}
	defer out.Release()
	var b strings.Builder
	for row := range int(out.NumRows()) {
		for i, c := range out.Columns() {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(c.ValueStr(row))
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}

func TestATrainingSeesThePastOnly(t *testing.T) {
	got, err := learn(t, store(t), []spec.FeatureView{payment, habits, home, demand}, "fraud")
	if err != nil {
		t.Fatal(err)
	}
	// amount, spend of the hour before, payments before, city of the day before, amount / spend, city is Bonn
	want := `10 (null) 0 (null) (null) (null)
20 10 1 (null) 2 (null)
5 (null) 0 (null) (null) (null)
40 20 2 Bonn 2 true
1 (null) 3 Kiel (null) false
`
	if got != want {
		t.Errorf("learned\n%swant\n%s", got, want)
	}
}

func TestWhatATrainingRefuses(t *testing.T) {
	timeless := payment
	timeless.Timestamp = ""
	logins := habits
	logins.Source, logins.Timestamp = "addresses", "since"
	logins.Features = spec.Features{{Name: "n", Aggregate: &spec.Aggregate{Count: "*"}}}
	peeks := habits
	peeks.Features = spec.Features{{Name: "frauds", Aggregate: &spec.Aggregate{Count: "*", Where: "fraud"}}}
	for _, c := range []struct {
		views []spec.FeatureView
		says  string
	}{
		{[]spec.FeatureView{timeless, logins}, "the rows to learn from have no time"},
		{[]spec.FeatureView{payment, peeks}, "is over the label"},
		{[]spec.FeatureView{payment, demand, habits}, "unknown"},
	} {
		_, err := learn(t, store(t), c.views, "fraud")
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v", c.says, err)
			continue
		}
		if text := fmt.Sprint(err); c.says != "unknown" && !strings.Contains(text, c.says) {
			t.Errorf("%q does not say %q", text, c.says)
		}
	}
	known := peeks
	known.Known = "at" // when it was known which payments were frauds, for this test
	if _, err := learn(t, store(t), []spec.FeatureView{payment, known}, "fraud"); err != nil {
		t.Error(err)
	}
}

// What a release holds: the newest rows of dated views, nothing of windows.
func TestWindowsAreNotPinned(t *testing.T) {
	s := store(t)
	views := []spec.FeatureView{payment, habits, home, demand}
	if _, err := learn(t, s, views, "fraud"); err != nil {
		t.Fatal(err)
	}
	pins, err := s.Pin(t.Context(), views)
	if err != nil || len(pins) != 1 || pins["home"] == 0 {
		t.Fatalf("pinned %v, %v", pins, err)
	}
	sources, err := s.Sources(t.Context(), views)
	if err != nil || len(sources) != 2 {
		t.Fatalf("sources %v, %v", sources, err)
	}
	set, err := s.ForServing(t.Context(), views, sources, pins)
	if err != nil {
		t.Fatal(err)
	}
	rows := batchOf(t, payments, paymentRows)
	if _, err := set.Compute(t.Context(), rows); !fault.Is(err, fault.Unavailable) {
		t.Errorf("windows that nothing keeps gave %v", err)
	}
}
