package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

func start(t testing.TB, o Options) *Writer {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	w, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// numbers is a batch of n rows of wide columns x0, x1, ….
func numbers(wide, n int) frame.Batch {
	columns := make([]frame.Column, wide)
	for i := range columns {
		columns[i] = frame.Column{Name: fmt.Sprintf("feature_%02d", i), Type: frame.Double}
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(columns))
	defer b.Release()
	for i := range columns {
		for row := range n {
			b.Field(i).(*array.Float64Builder).Append(float64(i) + float64(row)/3)
		}
	}
	return b.NewRecordBatch()
}

func answers(n int) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf([]frame.Column{
		{Name: "score", Type: frame.Double}, {Name: "decision", Type: frame.String}}))
	defer b.Release()
	for row := range n {
		b.Field(0).(*array.Float64Builder).Append(float64(row) / 7)
		b.Field(1).(*array.StringBuilder).Append("review")
	}
	return b.NewRecordBatch()
}

func entry(required bool, ids ...string) *Entry {
	return &Entry{
		At: time.UnixMicro(1_800_000_000_000_000).UTC(), Pattern: "realtime", Endpoint: "fraud", Release: "abc", Variant: "stable",
		Model: "fraud", Version: 3, Caller: "app", Latency: 120 * time.Microsecond, Required: required,
		IDs: ids, Inputs: numbers(3, len(ids)), Output: answers(len(ids)),
	}
}

func record(t testing.TB, w *Writer, e *Entry) {
	t.Helper()
	if err := w.Record(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

// fresh returns the ids that Fresh reads.
func fresh(t testing.TB, w *Writer) map[string]int {
	t.Helper()
	r, err := w.Fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return idsOf(t, r)
}

func idsOf(t testing.TB, r frame.Reader) map[string]int {
	t.Helper()
	ids := map[string]int{}
	err := frame.Each(context.Background(), r, func(b frame.Batch) error {
		for row := range int(b.NumRows()) {
			ids[b.Column(0).(*array.String).Value(row)]++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestDecisionIsReadableAtOnce(t *testing.T) {
	w := start(t, Options{Linger: time.Hour})
	e := entry(false, "a", "b")
	e.Keys, e.Errors = []string{"k1", "k2"}, []error{nil, fault.New(fault.Invalid, "no \"amount\"")}
	record(t, w, e)
	score := 0.0
	want := Decision{
		ID: "a", At: e.At, Pattern: "realtime", Endpoint: "fraud", Release: "abc", Variant: "stable", Model: "fraud",
		Version: 3, Caller: "app", Key: "k1", LatencyUS: 120, Score: &score, Decision: "review",
		Inputs: []byte(`{"feature_00":0,"feature_01":1,"feature_02":2}`), Output: []byte(`{"score":0,"decision":"review"}`),
	}
	got, err := w.Find(t.Context(), "a")
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Find(a) = %+v, %v\nwant %+v", got, err, want)
	}
	got, err = w.Find(t.Context(), "b")
	if err != nil || got.Error != `no "amount"` || got.Output != nil || got.Score != nil || got.Key != "k2" {
		t.Errorf("Find(b) = %+v, %v", got, err)
	}
	if _, err := w.Find(t.Context(), "c"); !fault.Is(err, fault.NotFound) {
		t.Errorf("Find(c): %v", err)
	}
}

func TestLatestIsNewestFirst(t *testing.T) {
	w := start(t, Options{})
	record(t, w, entry(false, "a", "b"))
	if err := w.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := entry(false, "x")
	other.Endpoint = "churn"
	record(t, w, other)
	record(t, w, entry(false, "c"))
	for endpoint, want := range map[string]string{"fraud": "[c b]", "": "[c x]", "none": "[]"} {
		list, err := w.Latest(t.Context(), endpoint, 2)
		ids := []string{}
		for _, d := range list {
			ids = append(ids, d.ID)
		}
		if got := fmt.Sprint(ids); err != nil || got != want {
			t.Errorf("Latest(%q) = %s, %v; want %s", endpoint, got, err, want)
		}
	}
}

func TestRunIsOneRecord(t *testing.T) {
	w := start(t, Options{})
	run := Run{ID: "run-1", At: time.Now(), Endpoint: "fraud", Release: "abc", Caller: "batch/nightly",
		Input: "lake://t", InputSnapshot: 7, Output: "lake://o", OutputSnapshot: 8, Rows: 100, Failed: 1}
	if err := w.Run(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	d, err := w.Find(t.Context(), "run-1")
	if err != nil || string(d.Inputs) != `{"from":"lake://t","snapshot":7}` ||
		string(d.Output) != `{"to":"lake://o","snapshot":8,"rows":100,"failed":1}` || d.Pattern != "batch" {
		t.Errorf("%+v %s %s, %v", d, d.Inputs, d.Output, err)
	}
}

// TestColumnsReadBack writes columns of every type with any values and NULLs
// and compares the JSON that comes back with what encoding/json makes of the
// same values.
func TestColumnsReadBack(t *testing.T) {
	w := start(t, Options{})
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		rows := rapid.IntRange(1, 20).Draw(t, "rows")
		skipped := rapid.IntRange(0, 3).Draw(t, "skipped")
		whole, want := randomBatch(t, skipped+rows)
		defer whole.Release()
		batch := whole.NewSlice(int64(skipped), int64(skipped+rows)) // columns that begin within their buffers
		defer batch.Release()
		e := &Entry{IDs: make([]string, rows), Inputs: batch, Features: batch.NewSlice(0, int64(rows))}
		for i := range e.IDs {
			e.IDs[i] = fmt.Sprintf("%d-%d", n, i)
		}
		if err := w.Record(context.Background(), e); err != nil {
			t.Fatal(err)
		}
		row := rapid.IntRange(0, rows-1).Draw(t, "row")
		d, err := w.Find(context.Background(), e.IDs[row])
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		for _, text := range [][]byte{d.Inputs, d.Features} {
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if !reflect.DeepEqual(got, want[skipped+row]) {
				t.Fatalf("row %d came back as %v, want %v", row, got, want[skipped+row])
			}
		}
	})
}

func randomBatch(t *rapid.T, rows int) (frame.Batch, []map[string]any) {
	columns := make([]frame.Column, rapid.IntRange(1, 8).Draw(t, "columns"))
	for i := range columns {
		columns[i] = frame.Column{Name: fmt.Sprintf("%d%s", i, rapid.String().Draw(t, "name")), Type: rapid.SampledFrom(frame.Types()).Draw(t, "type")}
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(columns))
	defer b.Release()
	want := make([]map[string]any, rows)
	for row := range want {
		want[row] = map[string]any{}
		for i, c := range columns {
			want[row][utf8Of(c.Name)] = randomValue(t, b.Field(i))
		}
	}
	return b.NewRecordBatch(), want
}

// utf8Of is a text as JSON carries it.
func utf8Of(s string) string {
	text, _ := json.Marshal(s)
	var back string
	_ = json.Unmarshal(text, &back)
	return back
}

func randomValue(t *rapid.T, b array.Builder) any {
	if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
		b.AppendNull()
		return nil
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		v := rapid.String().Draw(t, "text")
		b.Append(v)
		return utf8Of(v)
	case *array.Int64Builder:
		v := rapid.Int64Range(-1<<53, 1<<53).Draw(t, "int")
		b.Append(v)
		return float64(v)
	case *array.Float64Builder:
		v := rapid.Float64().Draw(t, "double")
		b.Append(v)
		return floatOf(v)
	case *array.BooleanBuilder:
		v := rapid.Bool().Draw(t, "bool")
		b.Append(v)
		return v
	case *array.TimestampBuilder:
		v := rapid.Int64Range(-1e15, 4e15).Draw(t, "timestamp")
		b.Append(arrow.Timestamp(v))
		return time.UnixMicro(v).UTC().Format(time.RFC3339Nano)
	case *array.Date32Builder:
		v := rapid.Int32Range(-30000, 90000).Draw(t, "date")
		b.Append(arrow.Date32(v))
		return arrow.Date32(v).ToTime().Format(time.DateOnly)
	}
	return nil
}

func floatOf(v float64) any {
	switch {
	case math.IsNaN(v):
		return nil
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	}
	return v
}

func TestQueueIsBounded(t *testing.T) {
	disk := &faultyDisk{block: make(chan struct{}), blocked: make(chan struct{}, 1000)}
	w := start(t, Options{QueueCount: 10, create: disk.create, Linger: time.Millisecond})
	record(t, w, entry(false, "first"))
	<-disk.blocked // the writer has taken what was queued, and waits for the disk
	refused := 0
	for i := range 100 {
		err := w.Record(t.Context(), entry(false, fmt.Sprint(i)))
		if err != nil && !fault.Is(err, fault.Overloaded) {
			t.Fatal(err)
		}
		if err != nil {
			refused++
		}
	}
	if err := w.Record(t.Context(), entry(true, "must")); !fault.Is(err, fault.Overloaded) {
		t.Errorf("a required entry found room in a full queue: %v", err)
	}
	close(disk.block)
	found := len(fresh(t, w))
	s := w.Stats()
	if s.Dropped != 91 || refused != 90 || found != 11 {
		t.Errorf("%d refused, %d dropped, %d found", refused, s.Dropped, found)
	}
}

func TestRequiredEntriesShareSyncs(t *testing.T) {
	disk := &faultyDisk{}
	w := start(t, Options{create: disk.create})
	var wg sync.WaitGroup
	for i := range 500 {
		wg.Go(func() {
			if err := w.Record(t.Context(), entry(true, fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := fresh(t, w); len(got) != 500 {
		t.Errorf("%d of 500 are there", len(got))
	}
	if n := disk.syncs.Load(); n >= 500 {
		t.Errorf("500 entries took %d syncs", n)
	}
}

func TestCloseWritesWhatIsQueued(t *testing.T) {
	dir := t.TempDir()
	w := start(t, Options{Dir: dir, Linger: time.Hour})
	record(t, w, entry(false, "a"))
	for range 2 {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Record(t.Context(), entry(false, "b")); !fault.Is(err, fault.Unavailable) {
		t.Errorf("after Close: %v", err)
	}
	if got := fresh(t, start(t, Options{Dir: dir})); got["a"] != 1 || len(got) != 1 {
		t.Errorf("read back %v", got)
	}
}

func TestSegmentsEndBySize(t *testing.T) {
	w := start(t, Options{SegmentMax: 2000})
	for i := range 50 {
		record(t, w, entry(true, fmt.Sprint(i)))
	}
	if s := w.Stats(); s.Segments < 5 {
		t.Errorf("%d segments", s.Segments)
	}
	if got := fresh(t, w); len(got) != 50 {
		t.Errorf("%d of 50 read back", len(got))
	}
}

// lake is a sink that knows the segments it has, and can fail after it took
// one.
type lake struct {
	segments map[string]map[string]int
	broken   bool
	t        *testing.T
}

func (l *lake) Stage(_ context.Context, segment string, rows frame.Reader) (func(context.Context) error, error) {
	ids := idsOf(l.t, rows)
	return func(context.Context) error {
		if _, known := l.segments[segment]; !known {
			l.segments[segment] = ids
		}
		if l.broken {
			return errors.New("the answer was lost")
		}
		return nil
	}, nil
}

func (l *lake) rows() map[string]int {
	all := map[string]int{}
	for _, ids := range l.segments {
		for id, n := range ids {
			all[id] += n
		}
	}
	return all
}

func TestCompactMovesEachDecisionOnce(t *testing.T) {
	w, sink := start(t, Options{SegmentMax: 2000}), &lake{segments: map[string]map[string]int{}, t: t}
	for i := range 30 {
		record(t, w, entry(true, fmt.Sprint(i)))
	}
	sink.broken = true // as a crash between the append and the removal
	if _, err := w.Compact(t.Context(), sink); err == nil {
		t.Fatal("the sink's error is lost")
	}
	sink.broken = false
	if err := w.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Compact(t.Context(), sink); err != nil {
		t.Fatal(err)
	}
	rows := sink.rows()
	for i := range 30 {
		if rows[fmt.Sprint(i)] != 1 {
			t.Errorf("decision %d is in the lake %d times", i, rows[fmt.Sprint(i)])
		}
	}
	if got := fresh(t, w); len(got) != 0 || w.Stats().Segments != 0 {
		t.Errorf("%d decisions in %d segments are left", len(got), w.Stats().Segments)
	}
}

// TestStableReadersSeeEachDecisionOnce reads lake and log while a compactor
// moves segments from one to the other.
func TestStableReadersSeeEachDecisionOnce(t *testing.T) {
	w, sink := start(t, Options{SegmentMax: 2000}), &lake{segments: map[string]map[string]int{}, t: t}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := w.Compact(context.Background(), sink); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for i := range 100 {
		record(t, w, entry(true, fmt.Sprint(i)))
		seen := map[string]int{}
		var r frame.Reader
		err := w.Stable(func() (err error) {
			for id, n := range sink.rows() {
				seen[id] += n
			}
			r, err = w.Fresh(t.Context())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for id, n := range idsOf(t, r) {
			seen[id] += n
		}
		for j := range i + 1 {
			if seen[fmt.Sprint(j)] != 1 {
				t.Fatalf("after %d records decision %d was seen %d times", i+1, j, seen[fmt.Sprint(j)])
			}
		}
	}
	close(stop)
	wg.Wait()
}

func TestFreshStaysReadableWhileSegmentsMove(t *testing.T) {
	w := start(t, Options{})
	record(t, w, entry(true, "a"))
	r, err := w.Fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Compact(t.Context(), &lake{segments: map[string]map[string]int{}, t: t}); err != nil {
		t.Fatal(err)
	}
	if got := idsOf(t, r); got["a"] != 1 {
		t.Errorf("read %v", got)
	}
	if _, err := r.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
}

// BenchmarkRecord measures what an entry of one row with 30 features costs its
// caller (on a disk that costs nothing), and how many reach a real one.
func BenchmarkRecord(b *testing.B) {
	nowhere := func(string) (file, error) { return nullFile{}, nil }
	for name, create := range map[string]creator{"caller": nowhere, "disk": createFile} {
		b.Run(name, func(b *testing.B) {
			w := start(b, Options{QueueCount: 1 << 30, QueueBytes: 8 << 30, create: create})
			e := entry(false, "01jd8mzv5n6s3r8q2w4x7y9zab")
			e.Inputs = numbers(30, 1)
			b.ReportAllocs()
			for b.Loop() {
				if err := w.Record(b.Context(), e); err != nil {
					b.Fatal(err)
				}
			}
			if err := w.flush(context.Background(), true, false); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

type nullFile struct{}

func (nullFile) Write(p []byte) (int, error) { return len(p), nil }
func (nullFile) Sync() error                 { return nil }
func (nullFile) Truncate(int64) error        { return nil }
func (nullFile) Close() error                { return nil }

func BenchmarkRequiredParallel(b *testing.B) {
	w := start(b, Options{})
	e := entry(true, "01jd8mzv5n6s3r8q2w4x7y9zab")
	e.Inputs = numbers(30, 1)
	b.SetParallelism(64)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := w.Record(b.Context(), e); err != nil {
				b.Error(err)
			}
		}
	})
}
