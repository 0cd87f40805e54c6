package topic_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	_ "modernc.org/sqlite"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/flow/lake/topic"
	"github.com/leat-ai/leat/store/catalog"
)

var columns = []frame.Column{{Name: "id", Type: frame.Int}, {Name: "at", Type: frame.Timestamp}}

func openLake(t testing.TB) *lake.Lake {
	t.Helper()
	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, "catalog.db")+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	l, err := lake.Open(t.Context(), lake.Config{Warehouse: filepath.Join(dir, "warehouse"), DB: db, Dialect: catalog.SQLite})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// rows makes a batch of ids from to to-1, whose times fall.
func rows(from, to int) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(columns))
	defer b.Release()
	for i := from; i < to; i++ {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(1_000_000 - i))
	}
	return b.NewRecordBatch()
}

func put(t testing.TB, s *topic.Sink, id string, from, to int) int64 {
	t.Helper()
	snapshot, err := s.Append(t.Context(), id, rows(from, to))
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

func sink(t testing.TB, l *lake.Lake, name string) *topic.Sink {
	t.Helper()
	s, err := topic.NewSink(l, name, columns)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read returns the ids of a source to its end, and checks its offsets.
func read(t testing.TB, s *topic.Source, from int64, most int) []int64 {
	t.Helper()
	var ids []int64
	for {
		r, err := s.Next(t.Context(), most)
		if err == io.EOF {
			return ids
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.First != from+int64(len(ids)) || r.Batch.NumRows() > int64(most) || r.Batch.NumRows() == 0 {
			t.Fatalf("%d rows at %d after %d", r.Batch.NumRows(), r.First, len(ids))
		}
		ids = append(ids, r.Batch.Column(0).(*array.Int64).Int64Values()...)
		r.Batch.Release()
	}
}

func upTo(n int) []int64 {
	all := make([]int64, n)
	for i := range all {
		all[i] = int64(i)
	}
	return all
}

// TestOnce: a batch is there once, whoever repeats it and whatever came
// between, and its snapshot says its name.
func TestOnce(t *testing.T) {
	l := openLake(t)
	s := sink(t, l, "lake://events")
	first := put(t, s, "stream/0/5", 0, 5)
	put(t, s, "stream/5/9", 5, 9)
	if again := put(t, s, "stream/0/5", 0, 5); again != first {
		t.Errorf("the repeat is snapshot %d, not %d", again, first)
	}
	other := sink(t, l, "events") // as after a kill
	if again := put(t, other, "stream/5/9", 5, 9); again == 0 || again == first {
		t.Errorf("the repeat is snapshot %d", again)
	}
	if snapshot, err := other.Committed(t.Context(), "stream/9/12"); snapshot != 0 || err != nil {
		t.Error(snapshot, err)
	}
	if snapshot, err := other.Append(t.Context(), "nothing", rows(0, 0)); snapshot != 0 || err != nil {
		t.Error(snapshot, err)
	}
	table, err := l.Table(t.Context(), "events")
	if err != nil || table.Rows() != 9 {
		t.Fatal(table.Rows(), err)
	}
	if got := table.Snapshots()[0].Summary[topic.BatchKey]; got != "stream/0/5" {
		t.Error(got)
	}
}

// TestOrder: from any offset on, in pieces of any size, of a table of any
// files, the same rows come.
func TestOrder(t *testing.T) {
	l := openLake(t)
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		name := fmt.Sprint("t", n)
		s, total := sink(t, l, name), 0
		for i := range rapid.IntRange(1, 4).Draw(r, "commits") {
			size := rapid.IntRange(1, 50).Draw(r, "rows")
			put(t, s, fmt.Sprint(i), total, total+size)
			total += size
		}
		from := rapid.Int64Range(0, int64(total)).Draw(r, "from")
		source, err := topic.Read(t.Context(), l, topic.Scheme+name, topic.ReadOptions{From: from})
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close()
		if source.Partition() != name || source.Lag() != int64(total)-from {
			t.Fatal(source.Partition(), source.Lag())
		}
		if got := read(t, source, from, rapid.IntRange(1, 60).Draw(r, "most")); !slices.Equal(got, upTo(total)[from:]) {
			t.Fatalf("%d rows from %d of %d", len(got), from, total)
		}
	})
}

func TestPastAndFollow(t *testing.T) {
	l := openLake(t)
	s := sink(t, l, "events")
	first := put(t, s, "a", 0, 5)
	put(t, s, "b", 5, 8)
	past, err := topic.Read(t.Context(), l, fmt.Sprintf("lake://events@%d", first), topic.ReadOptions{Columns: []string{"id"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, past, 0, 100); !slices.Equal(got, upTo(5)) || past.Partition() != fmt.Sprintf("events@%d", first) {
		t.Errorf("%d %s", got, past.Partition())
	}
	source, err := topic.Read(t.Context(), l, "lake://events", topic.ReadOptions{From: 2, Follow: true, Poll: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	time.AfterFunc(20*time.Millisecond, func() { put(t, s, "c", 8, 10) })
	got := []int64{0, 1}
	for len(got) < 10 {
		r, err := source.Next(t.Context(), 4)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.Batch.Column(0).(*array.Int64).Int64Values()...)
	}
	if !slices.Equal(got, upTo(10)) {
		t.Errorf("%d", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := source.Next(ctx, 1); !fault.Is(err, fault.Timeout) {
		t.Error(err)
	}
}

func TestMistakes(t *testing.T) {
	l := openLake(t)
	put(t, sink(t, l, "events"), "a", 0, 5)
	for _, address := range []string{"lake://", "lake://a/b", "lake://a@x", "lake://a@0"} {
		if _, err := topic.Parse(address); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := topic.NewSink(l, "events@5", columns); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	if _, err := topic.Read(t.Context(), l, "nothing", topic.ReadOptions{}); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	if _, err := topic.Read(t.Context(), l, "events", topic.ReadOptions{Follow: true, Time: "at"}); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

func BenchmarkAppend(b *testing.B) {
	s := sink(b, openLake(b), "events")
	batch := rows(0, 1000)
	for i := 0; b.Loop(); i++ {
		if _, err := s.Append(b.Context(), fmt.Sprint(i), batch); err != nil {
			b.Fatal(err)
		}
	}
}
