//go:build duckdb_arrow

package lake_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/store/query/duckdb"
)

func openSQL(t testing.TB, dir string) lake.SQL {
	t.Helper()
	engine, err := duckdb.Open(t.Context(), duckdb.Config{Temp: t.TempDir(), Dirs: []string{filepath.Join(dir, "warehouse")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	return lake.SQL{Lake: openLake(t, dir), Engine: engine}
}

func answer(t testing.TB, s lake.SQL, sql string, args ...any) string {
	t.Helper()
	r, err := s.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	var lines []string
	err = frame.Each(t.Context(), r, func(b frame.Batch) error {
		for i := range int(b.NumRows()) {
			cells := make([]string, b.NumCols())
			for c := range cells {
				cells[c] = b.Column(c).ValueStr(i)
			}
			lines = append(lines, strings.Join(cells, "|"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func TestSQLReadsTablesAndTheirPast(t *testing.T) {
	dir := t.TempDir()
	s := openSQL(t, dir)
	tbl := must(s.Lake.Create(t.Context(), "People", columns))(t)
	first := must(tbl.Append(t.Context(), reader(rows(0, 10)), nil))(t)
	must(first.Append(t.Context(), reader(rows(10, 15)), nil))(t)
	must(s.Lake.Ensure(t.Context(), "People", []frame.Column{{Name: "at", Type: frame.Timestamp}}))(t)
	must(s.Lake.Create(t.Context(), "other.events", columns))(t)
	old := first.Snapshot()
	for sql, want := range map[string]string{
		"select count(*), count(at), max(at) from people":                                                                 "15|0|(null)",
		fmt.Sprintf("select count(*) from people@%d", old):                                                                "10",
		fmt.Sprintf("select count(*) from people FOR VERSION AS OF %d where people.id > 3", old):                          "6",
		fmt.Sprintf("select count(*) from people at (version => %d) p where p.id > 3", old):                               "6",
		fmt.Sprintf("select a.n - b.n from (select count(*) n from people) a, (select count(*) n from people@%d) b", old): "5",
		"select count(*) from other.events":                                                                               "0",
		"select events.id from other.events":                                                                              "",
		"select 'people@7', name from people -- from people@8\n where id = ?":                                             "people@7|n3",
		"with x as (from people) select min(id) from x":                                                                   "0",
		"select timestamp '2024-01-01 00:00:00' at time zone 'UTC' = '2024-01-01' from people limit 1":                    "true",
	} {
		var args []any
		if strings.Contains(sql, "?") {
			args = []any{3}
		}
		if got := answer(t, s, sql, args...); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
	if got := answer(t, s, "show tables;"); !strings.HasPrefix(got, "People|15|") || !strings.Contains(got, "other.events|0|(null)|(null)") {
		t.Errorf("show tables: %q", got)
	}
	if _, err := s.Query(t.Context(), "select * from people@42"); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown snapshot: %v", err)
	}
	if _, err := s.Query(t.Context(), "select * from peple"); !fault.Is(err, fault.Invalid) {
		t.Errorf("an unknown table: %v", err)
	}
}

func TestSQLFindsFlippedBits(t *testing.T) {
	dir := t.TempDir()
	s := openSQL(t, dir)
	tbl := must(s.Lake.Create(t.Context(), "people", columns))(t)
	tbl = must(tbl.Append(t.Context(), reader(rows(0, 1000)), nil))(t)
	file := must(tbl.Files(t.Context()))(t)[0].Path
	content := must(os.ReadFile(file))(t)
	content[len(content)/2] ^= 4
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Query(t.Context(), "select sum(id) from people"); !fault.Is(err, fault.Corrupt) {
		t.Fatalf("%v", err)
	}
}

type freshRows struct{}

func (freshRows) Fresh(_ context.Context, table string) ([]frame.Batch, []frame.Column, error) {
	if table != "people" && table != "new" {
		return nil, nil, nil
	}
	return []frame.Batch{rows(100, 103)}, columns, nil
}

func TestSQLSeesFreshRows(t *testing.T) {
	s := openSQL(t, t.TempDir())
	s.Fresh = freshRows{}
	tbl := must(s.Lake.Create(t.Context(), "people", columns))(t)
	must(tbl.Append(t.Context(), reader(rows(0, 10)), nil))(t)
	if got := answer(t, s, "select count(*), max(id) from people union all select count(*), min(id) from new"); got != "13|102\n3|100" {
		t.Fatalf("%q", got)
	}
}
