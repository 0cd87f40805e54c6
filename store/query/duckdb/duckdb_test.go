//go:build duckdb_arrow

package duckdb_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/store/query"
	"github.com/leat-ai/leat/store/query/duckdb"
)

func open(t testing.TB, c duckdb.Config) *duckdb.Engine {
	t.Helper()
	c.Temp = t.TempDir()
	e, err := duckdb.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func rows(t testing.TB, e *duckdb.Engine, s query.Statement) []string {
	t.Helper()
	r, err := e.Query(t.Context(), s)
	if err != nil {
		t.Fatalf("%s: %v", s.SQL, err)
	}
	var out []string
	err = frame.Each(t.Context(), r, func(b frame.Batch) error {
		for i := range int(b.NumRows()) {
			cells := make([]string, b.NumCols())
			for c := range cells {
				cells[c] = b.Column(c).ValueStr(i)
			}
			out = append(out, strings.Join(cells, "|"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var columns = []frame.Column{{Name: "id", Type: frame.Int}, {Name: "at", Type: frame.Timestamp}, {Name: "s", Type: frame.String}}

func batch(from, to int) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(columns))
	defer b.Release()
	for i := from; i < to; i++ {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.TimestampBuilder).AppendTime(time.Unix(int64(i), 0))
		b.Field(2).(*array.StringBuilder).Append(fmt.Sprint("s", i))
	}
	return b.NewRecordBatch()
}

func writeParquet(t testing.TB, path string, b frame.Batch) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := pqarrow.NewFileWriter(b.Schema(), f, parquet.NewWriterProperties(), pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestTypesBecomeTheSix(t *testing.T) {
	e := open(t, duckdb.Config{})
	got := rows(t, e, query.Statement{SQL: `
		select 1::tinyint a, 2::hugeint b, 1.5::decimal(9,2) c, true d, date '2024-02-03' e,
			timestamp '2024-02-03 04:05:06' f, [1,2] g, {'x': 1} h, null i, time '01:02:03' j, 'a' k, 'b' k,
			interval 1 day l, uuid '00000000-0000-0000-0000-000000000001' m, 'x'::blob n -- a remark
		;`})
	want := `1|2|1.5|true|2024-02-03|2024-02-03T04:05:06Z|[1,2]|{"x":1}|(null)|01:02:03|a|b|1 day|00000000-0000-0000-0000-000000000001|eA==`
	if len(got) != 1 || got[0] != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
	r, err := e.Query(t.Context(), query.Statement{SQL: "select 1::tinyint a, 'x' A, now() n where false"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	found, err := frame.ColumnsOf(r.Schema())
	if err != nil || fmt.Sprint(found) != "[{a int} {A_1 string} {n timestamp}]" {
		t.Fatalf("%v, %v", found, err)
	}
}

func TestRelationsOfFilesAndBatches(t *testing.T) {
	dir := t.TempDir()
	e := open(t, duckdb.Config{Dirs: []string{dir}})
	f := filepath.Join(dir, "it's.parquet")
	writeParquet(t, f, batch(0, 10))
	wider := append([]frame.Column{{Name: "new", Type: frame.Double}}, columns...)
	relations := map[string]query.Relation{
		"files":   {Files: []string{f}, Columns: columns},
		"fresh":   {Batches: []frame.Batch{batch(10, 12), batch(12, 13)}, Columns: columns},
		"mixed":   {Files: []string{f}, Batches: []frame.Batch{batch(10, 12)}, Columns: wider},
		"nothing": {Columns: columns},
		"t@7":     {Files: []string{f}},
	}
	for sql, want := range map[string]string{
		`select count(*), sum(id), max("at")::varchar from Files`: "10|45|1970-01-01 00:00:09+00",
		"select count(*) from fresh a join fresh b using (id)":    "3",
		"select count(*), count(new), max(id) from mixed":         "12|0|11",
		"from mixed limit 1":                                                  "(null)|0|1970-01-01T00:00:00Z|s0",
		"select count(*) from nothing":                                        "0",
		`select count(*) from "t@7" as t where t.id >= ?`:                     "7",
		"with fresh as (select 1 x) select x from fresh":                      "1",
		"select count(*) from (values (1),(2)) v, range(3)":                   "6",
		"select string_agg(x::varchar, ',') from (select unnest([1,2]) as x)": "1,2",
	} {
		s := query.Statement{SQL: sql, Relations: relations}
		if strings.Contains(sql, "?") {
			s.Args = []any{3}
		}
		if got := rows(t, e, s); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v, want %s", sql, got, want)
		}
	}
	if got := rows(t, e, query.Statement{SQL: "describe files", Relations: relations}); len(got) != 3 {
		t.Errorf("describe: %v", got)
	}
	// What one statement was given, another does not see.
	if _, err := e.Query(t.Context(), query.Statement{SQL: "select * from files"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a relation outlives its statement: %v", err)
	}
}

func TestOnlyQueriesOverRelations(t *testing.T) {
	dir := t.TempDir()
	e := open(t, duckdb.Config{Dirs: []string{dir}})
	f := filepath.Join(dir, "a.parquet")
	writeParquet(t, f, batch(0, 10))
	for _, sql := range []string{
		"select * from read_parquet('" + f + "')", "select * from '" + f + "'", "select * from read_csv('/etc/passwd')",
		"select * from glob('/*')", "copy (select 1) to '" + dir + "/x.csv'", "attach '/tmp/x.db'", "install httpfs", "load httpfs",
		"set threads = 1", "pragma database_list", "create table x (a int)", "drop table x", "insert into x values (1)",
		"select * from duckdb_settings()", "select * from read_text('/etc/passwd')", "call pragma_version()", "export database 'x'",
		"with \"" + f + "\" as (select 1) select * from \"" + f + "\"", "select * from query('select 1')", "checkpoint", "explain analyze select 1",
		"select (select count(*) from read_csv('/etc/passwd'))", "from information_schema.tables", "select 1; select 2", "select 1; drop table x",
		"select content from (select * from read_blob('/etc/passwd'))",
	} {
		r, err := e.Query(t.Context(), query.Statement{SQL: sql})
		if err == nil {
			_ = r.Close()
			t.Errorf("answered: %s", sql)
		} else if k := fault.KindOf(err); k != fault.Forbidden && k != fault.Invalid {
			t.Errorf("%s: %s %v", sql, k, err)
		}
	}
	for _, sql := range []string{"", "selec 1", "select nope", "select 1 +", "select ?", strings.Repeat("(", 20_000), "select 'a'::int"} {
		if _, err := e.Query(t.Context(), query.Statement{SQL: sql}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%.20q: %v", sql, err)
		}
	}
}

func TestLargeAnswersStreamInOrderAndLeaveNothing(t *testing.T) {
	e := open(t, duckdb.Config{Memory: 64 << 20})
	const n = 400_000
	r, err := e.Query(t.Context(), query.Statement{SQL: fmt.Sprintf("select i, 'text ' || i as s from range(%d) t(i) order by i desc", n)})
	if err != nil {
		t.Fatal(err)
	}
	next := int64(n - 1)
	err = frame.Each(t.Context(), r, func(b frame.Batch) error {
		for _, v := range b.Column(0).(*array.Int64).Int64Values() {
			if v != next {
				t.Fatalf("row has %d, want %d", v, next)
			}
			next--
		}
		return nil
	})
	if err != nil || next != -1 {
		t.Fatalf("%v, %d rows are missing", err, next+1)
	}
}

func TestQueriesStopWhenAsked(t *testing.T) {
	e := open(t, duckdb.Config{Statements: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := e.Query(ctx, query.Statement{SQL: "select sum(a.i * b.i) from range(1000000) a(i), range(1000000) b(i)"})
	if !fault.Is(err, fault.Timeout) {
		t.Fatalf("%v", err)
	}
	if got := rows(t, e, query.Statement{SQL: "select 1"}); got[0] != "1" {
		t.Fatal("the engine is not usable after a stop")
	}
}

func TestConcurrentStatementsDoNotMix(t *testing.T) {
	e := open(t, duckdb.Config{Statements: 3})
	var work sync.WaitGroup
	for n := range 12 {
		work.Go(func() {
			relations := map[string]query.Relation{"t": {Batches: []frame.Batch{batch(0, n+1)}, Columns: columns}}
			r, err := e.Query(t.Context(), query.Statement{SQL: "select count(*) from t", Relations: relations})
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = r.Close() }()
			b, err := r.Next(t.Context())
			if err != nil || b.Column(0).(*array.Int64).Value(0) != int64(n+1) {
				t.Errorf("%v, %v", b, err)
			}
		})
	}
	work.Wait()
}

func TestMemoryIsBounded(t *testing.T) {
	e := open(t, duckdb.Config{Memory: 48 << 20, MaxTemp: 1 << 20})
	_, err := e.Query(t.Context(), query.Statement{SQL: "select count(*) from (select distinct i, hash(i) h from range(20000000) t(i))"})
	if !fault.Is(err, fault.TooLarge) {
		t.Fatalf("%v", err)
	}
}
