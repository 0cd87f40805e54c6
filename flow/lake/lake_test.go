package lake_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	_ "modernc.org/sqlite"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/store/catalog"
)

var columns = []frame.Column{{Name: "id", Type: frame.Int}, {Name: "name", Type: frame.String}}

func openDB(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func openLake(t testing.TB, dir string) *lake.Lake {
	t.Helper()
	l, err := lake.Open(t.Context(), lake.Config{
		Warehouse: filepath.Join(dir, "warehouse"), DB: openDB(t, filepath.Join(dir, "catalog.db")), Dialect: catalog.SQLite,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// rows makes a batch of ids from to to-1.
func rows(from, to int) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(columns))
	defer b.Release()
	for i := from; i < to; i++ {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("n%d", i))
	}
	return b.NewRecordBatch()
}

func reader(batches ...frame.Batch) frame.Reader {
	return frame.FromBatches(batches[0].Schema(), batches...)
}

func ids(t testing.TB, tbl *lake.Table, o lake.ScanOptions) []int64 {
	t.Helper()
	r, err := tbl.Scan(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var out []int64
	err = frame.Each(t.Context(), r, func(b frame.Batch) error {
		out = append(out, b.Column(frame.Index(b.Schema(), "id")).(*array.Int64).Int64Values()...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func wantIDs(t testing.TB, got []int64, from, to int) {
	t.Helper()
	if len(got) != to-from {
		t.Fatalf("%d rows, want %d", len(got), to-from)
	}
	for i, v := range got {
		if v != int64(from+i) {
			t.Fatalf("row %d has id %d, want %d", i, v, from+i)
		}
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestAppendsAreSnapshotsInOrder(t *testing.T) {
	l := openLake(t, t.TempDir())
	tbl := must(l.Create(t.Context(), "people", columns))(t)
	if tbl.Snapshot() != 0 || tbl.Rows() != 0 {
		t.Fatalf("a new table has snapshot %d, %d rows", tbl.Snapshot(), tbl.Rows())
	}
	first := must(tbl.Append(t.Context(), reader(rows(0, 10)), map[string]string{"why": "test"}))(t)
	second := must(first.Append(t.Context(), reader(rows(10, 15), rows(15, 20)), nil))(t)
	wantIDs(t, ids(t, second, lake.ScanOptions{}), 0, 20)
	wantIDs(t, ids(t, first, lake.ScanOptions{}), 0, 10)
	past := must(second.At(first.Snapshot()))(t)
	wantIDs(t, ids(t, past, lake.ScanOptions{Columns: []string{"id"}, BatchRows: 3}), 0, 10)

	history := second.Snapshots()
	if len(history) != 2 || history[0].Rows != 10 || history[1].Rows != 20 || history[0].Summary["why"] != "test" {
		t.Fatalf("snapshots: %+v", history)
	}
	if _, err := second.At(42); !fault.Is(err, fault.NotFound) {
		t.Fatalf("an unknown snapshot: %v", err)
	}
}

func TestUnknownTableSuggestsTheNearest(t *testing.T) {
	l := openLake(t, t.TempDir())
	must(l.Create(t.Context(), "transactions", columns))(t)
	_, err := l.Table(t.Context(), "transaction")
	if !fault.Is(err, fault.NotFound) || !strings.Contains(fault.HintOf(err), `"transactions"`) {
		t.Fatalf("%v; %s", err, fault.HintOf(err))
	}
	for _, bad := range []string{"", "../x", "a/b", "a b", "1a", "a.b.c", strings.Repeat("x", 300)} {
		if _, err := l.Table(t.Context(), bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("name %q: %v", bad, err)
		}
	}
	if names := must(l.Tables(t.Context()))(t); len(names) != 1 || names[0] != "transactions" {
		t.Fatalf("tables: %v", names)
	}
}

func TestACommitHappensOnce(t *testing.T) {
	l := openLake(t, t.TempDir())
	tbl := must(l.Create(t.Context(), "scores", columns))(t)
	stage := func(name string, from, to int) string {
		w := must(tbl.Stage(t.Context(), name))(t)
		b := rows(from, to)
		defer b.Release()
		if err := w.Write(b); err != nil {
			t.Fatal(err)
		}
		return must(w.Finish(t.Context()))(t).Path
	}
	paths := []string{stage("run1-0", 0, 5), stage("run1-1", 5, 9)}
	if again := stage("run1-0", 0, 5); again != paths[0] {
		t.Fatalf("the same content has two names: %s, %s", again, paths[0])
	}
	if got := must(l.Table(t.Context(), "scores"))(t); got.Rows() != 0 {
		t.Fatalf("staged rows are visible: %d", got.Rows())
	}
	once := must(tbl.CommitFiles(t.Context(), paths, lake.Commit{ID: "run1"}))(t)
	twice := must(tbl.CommitFiles(t.Context(), paths, lake.Commit{ID: "run1"}))(t)
	if once.Snapshot() != twice.Snapshot() {
		t.Fatal("a commit happened twice")
	}
	wantIDs(t, ids(t, twice, lake.ScanOptions{}), 0, 9)

	replaced := must(tbl.CommitFiles(t.Context(), []string{stage("run2-0", 100, 103)}, lake.Commit{ID: "run2", Replace: true}))(t)
	wantIDs(t, ids(t, replaced, lake.ScanOptions{}), 100, 103)
	emptied := must(tbl.CommitFiles(t.Context(), nil, lake.Commit{ID: "run3", Replace: true}))(t)
	if emptied.Rows() != 0 || len(ids(t, emptied, lake.ScanOptions{})) != 0 {
		t.Fatalf("replaced by nothing: %d rows", emptied.Rows())
	}
	if _, err := tbl.CommitFiles(t.Context(), []string{"/etc/passwd"}, lake.Commit{}); !fault.Is(err, fault.Invalid) {
		t.Fatalf("a foreign file: %v", err)
	}
}

func TestNewColumnsAreAddedAndConflictsRefused(t *testing.T) {
	l := openLake(t, t.TempDir())
	tbl := must(l.Create(t.Context(), "people", columns))(t)
	must(tbl.Append(t.Context(), reader(rows(0, 3)), nil))(t)
	wider := append([]frame.Column{{Name: "age", Type: frame.Double}}, columns...)
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(wider))
	defer b.Release()
	b.Field(0).(*array.Float64Builder).Append(41)
	b.Field(1).(*array.Int64Builder).Append(3)
	b.Field(2).AppendNull()
	after := must(tbl.Append(t.Context(), reader(b.NewRecordBatch()), nil))(t)
	wantIDs(t, ids(t, after, lake.ScanOptions{}), 0, 4)
	r := must(after.Scan(t.Context(), lake.ScanOptions{Columns: []string{"age", "id"}}))(t)
	var ages []bool
	err := frame.Each(t.Context(), r, func(b frame.Batch) error {
		for i := range int(b.NumRows()) {
			ages = append(ages, b.Column(0).IsValid(i))
		}
		return nil
	})
	if err != nil || fmt.Sprint(ages) != "[false false false true]" {
		t.Fatalf("ages known: %v, %v", ages, err)
	}
	if past := must(after.At(must(l.Table(t.Context(), "people"))(t).Snapshots()[0].ID))(t); len(past.Columns()) != 2 {
		t.Fatalf("the first snapshot has columns %v", past.Columns())
	}
	_, err = l.Ensure(t.Context(), "people", []frame.Column{{Name: "id", Type: frame.String}, {Name: "NAME", Type: frame.String}})
	if err == nil || !strings.Contains(err.Error(), "2 mistakes") {
		t.Fatalf("conflicts: %v", err)
	}
}

func TestConcurrentCommitsAllHappen(t *testing.T) {
	dir := t.TempDir()
	// Two lakes on one catalog are two processes: no lock is shared.
	lakes := []*lake.Lake{openLake(t, dir), openLake(t, dir)}
	must(lakes[0].Create(t.Context(), "events", columns))(t)
	var work sync.WaitGroup
	for n := range 8 {
		work.Go(func() {
			tbl, err := lakes[n%2].Table(t.Context(), "events")
			if err == nil {
				_, err = tbl.Append(t.Context(), reader(rows(n*10, n*10+10)), nil)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	tbl := must(lakes[0].Table(t.Context(), "events"))(t)
	if got := len(ids(t, tbl, lake.ScanOptions{})); got != 80 || tbl.Rows() != 80 {
		t.Fatalf("%d rows read, %d counted, want 80", got, tbl.Rows())
	}
}

func TestFlippedBitIsFound(t *testing.T) {
	dir := t.TempDir()
	l := openLake(t, dir)
	tbl := must(l.Create(t.Context(), "people", columns))(t)
	tbl = must(tbl.Append(t.Context(), reader(rows(0, 1000)), nil))(t)
	file := must(tbl.Files(t.Context()))(t)[0].Path
	content := must(os.ReadFile(file))(t)
	for at := 4; at < len(content); at += len(content)/23 + 1 {
		flipped := append([]byte(nil), content...)
		flipped[at] ^= 1 << (at % 8)
		if err := os.WriteFile(file, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := openLake(t, dir).Table(t.Context(), "people")
		if err != nil {
			t.Fatal(err)
		}
		scan := must(r.Scan(t.Context(), lake.ScanOptions{}))(t)
		if _, err := scan.Next(t.Context()); !fault.Is(err, fault.Corrupt) {
			t.Fatalf("bit flipped at byte %d: %v", at, err)
		}
	}
}

func TestCompactKeepsRowsAndOrder(t *testing.T) {
	l := openLake(t, t.TempDir())
	tbl := must(l.Create(t.Context(), "events", columns))(t)
	for n := range 7 {
		tbl = must(tbl.Append(t.Context(), reader(rows(n*10, n*10+10)), nil))(t)
	}
	removed := must(l.Compact(t.Context(), "events", lake.CompactOptions{MaxRows: 40}))(t)
	now := must(l.Table(t.Context(), "events"))(t)
	if files := must(now.Files(t.Context()))(t); removed != 4 || len(files) != 4 {
		t.Fatalf("%d files went, %d are left", removed, len(files))
	}
	wantIDs(t, ids(t, now, lake.ScanOptions{}), 0, 70)
	must(l.Compact(t.Context(), "events", lake.CompactOptions{}))(t)
	now = must(l.Table(t.Context(), "events"))(t)
	wantIDs(t, ids(t, must(now.Append(t.Context(), reader(rows(70, 75)), nil))(t), lake.ScanOptions{}), 0, 75)
	wantIDs(t, ids(t, tbl, lake.ScanOptions{}), 0, 70)
}

func TestExpireAndClean(t *testing.T) {
	dir := t.TempDir()
	l := openLake(t, dir)
	tbl := must(l.Create(t.Context(), "events", columns))(t)
	for n := range 4 {
		tbl = must(tbl.Overwrite(t.Context(), reader(rows(n*10, n*10+10)), nil))(t)
	}
	w := must(tbl.Stage(t.Context(), "lost"))(t)
	b := rows(0, 3)
	if err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	lost := must(w.Finish(t.Context()))(t).Path
	time.Sleep(5 * time.Millisecond)
	if n := must(l.Expire(t.Context(), "events", 0))(t); n != 3 {
		t.Fatalf("%d snapshots expired", n)
	}
	if n := must(l.Clean(t.Context(), "events", time.Hour))(t); n != 0 {
		t.Fatalf("%d young files were cleaned", n)
	}
	if must(l.Clean(t.Context(), "events", 0))(t) == 0 {
		t.Fatal("no orphan was cleaned")
	}
	if _, err := os.Stat(lost); !os.IsNotExist(err) {
		t.Fatalf("the staged file is still there: %v", err)
	}
	wantIDs(t, ids(t, must(l.Table(t.Context(), "events"))(t), lake.ScanOptions{}), 30, 40)
}

func TestScanOfPartsAndCancellation(t *testing.T) {
	l := openLake(t, t.TempDir())
	tbl := must(l.Create(t.Context(), "events", columns))(t)
	tbl = must(tbl.Append(t.Context(), reader(rows(0, 150_000), rows(150_000, 300_000)), nil))(t)
	files := must(tbl.Files(t.Context()))(t)
	if len(files) != 1 || files[0].RowGroups != 3 || files[0].Rows != 300_000 {
		t.Fatalf("files: %+v", files)
	}
	middle := ids(t, tbl, lake.ScanOptions{Parts: []lake.Part{{Path: files[0].Path, RowGroups: []int{1}}}})
	wantIDs(t, middle, 128<<10, 256<<10)
	if _, err := tbl.Scan(t.Context(), lake.ScanOptions{Columns: []string{"idd"}}); !fault.Is(err, fault.NotFound) {
		t.Fatalf("an unknown column: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := must(tbl.Scan(ctx, lake.ScanOptions{BatchRows: 1000}))(t)
	must(r.Next(ctx))(t).Release()
	cancel()
	if _, err := r.Next(ctx); !fault.Is(err, fault.Canceled) {
		t.Fatalf("after cancel: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(t.Context()); err == nil || errors.Is(err, io.EOF) {
		t.Fatalf("a closed scan is read: %v", err)
	}
}

func TestDropRemovesFiles(t *testing.T) {
	dir := t.TempDir()
	l := openLake(t, dir)
	tbl := must(l.Create(t.Context(), "events", columns))(t)
	must(tbl.Append(t.Context(), reader(rows(0, 10)), nil))(t)
	if err := l.Drop(t.Context(), "events"); err != nil {
		t.Fatal(err)
	}
	left := must(filepath.Glob(filepath.Join(dir, "warehouse", "*", "events", "data", "*")))(t)
	if len(left) != 0 {
		t.Fatalf("left behind: %v", left)
	}
	if err := l.Drop(t.Context(), "events"); !fault.Is(err, fault.NotFound) {
		t.Fatalf("dropped twice: %v", err)
	}
}
