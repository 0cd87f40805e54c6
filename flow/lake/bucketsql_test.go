//go:build duckdb_arrow

package lake_test

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/store/query/duckdb"
)

func (p place) sql(t testing.TB, dir string, cache int64) lake.SQL {
	t.Helper()
	l := p.lake(t, dir, cache)
	engine, err := duckdb.Open(t.Context(), duckdb.Config{Temp: t.TempDir(), Dirs: []string{l.Folder()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	return lake.SQL{Lake: l, Engine: engine}
}

func TestSQLOverABucket(t *testing.T) {
	p, dir := onS3(t), t.TempDir()
	s := p.sql(t, dir, 0)
	tbl := must(s.Lake.Draft(t.Context(), "people", columns))(t)
	first := must(tbl.Append(t.Context(), reader(rows(0, 1000)), nil))(t)
	must(first.Append(t.Context(), reader(rows(1000, 1500)), nil))(t)
	files := must(first.Files(t.Context()))(t)
	for range 2 {
		for sql, want := range map[string]string{
			"select count(*), sum(id)::bigint from people":                                                                     "1500|1124250",
			fmt.Sprintf("select count(*) from people@%d", first.Snapshot()):                                                    "1000",
			"select name from people where id = 1400":                                                                          "n1400",
			fmt.Sprintf("select count(*) from people a left join people@%d b using (id) where b.id is null", first.Snapshot()): "500",
		} {
			if got := answer(t, s, sql); got != want {
				t.Errorf("%s: %q, want %q", sql, got, want)
			}
		}
		// What was copied serves without the bucket's file; it stays for the
		// next process.
		for _, f := range files {
			if err := os.RemoveAll(p.path(f.Path[len(p.address)+1:])); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Lake.Close(); err != nil {
			t.Fatal(err)
		}
		s = p.sql(t, dir, 0)
	}
	copies := must(os.ReadDir(s.Lake.Folder()))(t)
	if len(copies) != 2 {
		t.Fatalf("%d copies", len(copies))
	}
	// A copy that was damaged meanwhile is not used; its original is gone.
	for _, c := range copies {
		path := s.Lake.Folder() + "/" + c.Name()
		content := must(os.ReadFile(path))(t)
		content[len(content)/2] ^= 4
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Query(t.Context(), "select sum(id) from people"); !fault.Is(err, fault.Corrupt) {
		t.Fatalf("%v", err)
	}
}

// Queries at the same time, with room for the files of about one.
func TestCopiesAreBounded(t *testing.T) {
	p, dir := onS3(t), t.TempDir()
	s := p.sql(t, dir, 0)
	var most int64
	for n := range 4 {
		tbl := must(s.Lake.Draft(t.Context(), fmt.Sprintf("t%d", n), columns))(t)
		tbl = must(tbl.Append(t.Context(), reader(rows(n*1000, n*1000+1000)), nil))(t)
		for _, f := range must(tbl.Files(t.Context()))(t) {
			most = max(most, f.Size)
		}
	}
	if err := s.Lake.Close(); err != nil {
		t.Fatal(err)
	}
	s = p.sql(t, dir, 2*most)
	var all sync.WaitGroup
	for n := range 16 {
		all.Go(func() {
			r, err := s.Query(t.Context(), fmt.Sprintf("select count(*) from t%d", n%4))
			if err != nil && !fault.Is(err, fault.Overloaded) {
				t.Error(err)
			}
			if err == nil {
				_ = r.Close()
			}
		})
	}
	all.Wait()
	var size int64
	for _, e := range must(os.ReadDir(s.Lake.Folder()))(t) {
		size += must(e.Info())(t).Size()
	}
	if size > 2*most || size == 0 {
		t.Errorf("%d bytes of copies, more than %d", size, 2*most)
	}
	if _, err := s.Query(t.Context(), "select count(*) from t0, t1, t2"); err == nil {
		t.Error("three tables fit into the room of two")
	}
}
