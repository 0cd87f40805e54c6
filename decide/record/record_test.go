package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"syscall"
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
		batch, want := randomBatch(t, rows)
		defer batch.Release()
		e := &Entry{IDs: make([]string, rows), Inputs: batch, Features: batch}
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
			if !reflect.DeepEqual(got, want[row]) {
				t.Fatalf("row %d came back as %v, want %v", row, got, want[row])
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

// faultyDisk is files that fail as told.
type faultyDisk struct {
	room   atomic.Int64 // bytes until the disk is full; 0: endless
	noSync atomic.Bool  // a sync fails
	syncs  atomic.Int64 // that succeeded

	block   chan struct{} // writes wait until it is closed; nil: they do not
	blocked chan struct{} // gets one for each write that waits
}

func (d *faultyDisk) create(path string) (file, error) {
	f, err := createFile(path)
	return &faultyFile{f, d}, err
}

type faultyFile struct {
	file
	disk *faultyDisk
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if f.disk.block != nil {
		f.disk.blocked <- struct{}{}
		<-f.disk.block
	}
	room := f.disk.room.Load()
	if room > 0 && int64(len(p)) >= room { // part of it goes in, as on a real disk
		n, _ := f.file.Write(p[:room-1])
		return n, &os.PathError{Op: "write", Err: syscall.ENOSPC}
	}
	if room > 0 {
		f.disk.room.Add(-int64(len(p)))
	}
	return f.file.Write(p)
}

func (f *faultyFile) Sync() error {
	if f.disk.noSync.Load() {
		return syscall.EIO
	}
	f.disk.syncs.Add(1)
	return f.file.Sync()
}

func TestFullDiskRefusesAndRecovers(t *testing.T) {
	disk, dir := &faultyDisk{}, t.TempDir()
	disk.room.Store(3000)
	w := start(t, Options{Dir: dir, create: disk.create})
	stored := map[string]int{}
	for i := range 100 {
		id := fmt.Sprint("early", i)
		err := w.Record(t.Context(), entry(true, id))
		if err == nil {
			stored[id] = 1
		} else if !fault.Is(err, fault.Full) {
			t.Fatalf("on a full disk: %v, want Full", err)
		}
	}
	if len(stored) == 0 || len(stored) == 100 {
		t.Fatalf("%d of 100 stored", len(stored))
	}
	disk.room.Store(0)
	record(t, w, entry(true, "late"))
	stored["late"] = 1
	if got := fresh(t, w); !reflect.DeepEqual(got, stored) {
		t.Errorf("read back %v\nacknowledged %v", got, stored)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	again := start(t, Options{Dir: dir})
	if got := fresh(t, again); !reflect.DeepEqual(got, stored) {
		t.Errorf("after a restart %v", got)
	}
}

func TestFailedSyncStopsTheWriter(t *testing.T) {
	disk := &faultyDisk{}
	w := start(t, Options{create: disk.create})
	record(t, w, entry(true, "before"))
	disk.noSync.Store(true)
	if err := w.Record(t.Context(), entry(true, "lost")); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("a failed sync: %v", err)
	}
	disk.noSync.Store(false)
	if err := w.Record(t.Context(), entry(true, "after")); !fault.Is(err, fault.Unavailable) {
		t.Errorf("after a failed sync the writer goes on: %v", err)
	}
	_ = w.Record(t.Context(), entry(false, "dropped"))
	if s := w.Stats(); !s.Stopped || s.Dropped != 2 || s.Failed != 1 {
		t.Errorf("stats %+v", s)
	}
	if got := fresh(t, w); got["before"] != 1 || got["after"] != 0 {
		t.Errorf("read back %v", got)
	}
	if err := w.Reopen(); err != nil {
		t.Fatal(err)
	}
	record(t, w, entry(true, "again"))
	if got := fresh(t, w); got["before"] != 1 || got["again"] != 1 {
		t.Errorf("after Reopen %v", got)
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

func (l *lake) Append(ctx context.Context, segment string, rows frame.Reader) error {
	ids := idsOf(l.t, rows)
	if _, known := l.segments[segment]; !known {
		l.segments[segment] = ids
	}
	if l.broken {
		return errors.New("the answer was lost")
	}
	return nil
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

// sealed writes n records of one decision and returns the one segment.
func sealed(t testing.TB, n int) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	w, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		record(t, w, entry(false, fmt.Sprintf("id-%03d", i)))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	names, _ := filepath.Glob(filepath.Join(dir, "*"+suffixSealed))
	if len(names) != 1 {
		t.Fatalf("%d segments", len(names))
	}
	return dir, names[0]
}

func TestFlippedBitLosesOneRecordAndIsReported(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir, path := sealed(t, 10)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := rapid.IntRange(headSize, len(data)-1).Draw(r, "byte")
		data[at] ^= 1 << rapid.IntRange(0, 7).Draw(r, "bit")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		w, sink := start(t, Options{Dir: dir}), &lake{segments: map[string]map[string]int{}, t: t}
		if got := fresh(t, w); len(got) != 9 {
			r.Fatalf("byte %d: %d of 10 records are fresh", at, len(got))
		}
		moved, err := w.Compact(t.Context(), sink)
		if moved != 1 || !fault.Is(err, fault.Corrupt) || len(sink.rows()) != 9 || w.Stats().Damaged == 0 {
			r.Fatalf("byte %d: moved %d segments with %d records, %v", at, moved, len(sink.rows()), err)
		}
		if kept, _ := filepath.Glob(filepath.Join(dir, folderDamaged, "*")); len(kept) != 1 {
			r.Fatalf("the damaged segment is not kept: %v", kept)
		}
		if _, err := w.Compact(t.Context(), sink); err != nil {
			r.Fatalf("reported again: %v", err)
		}
		_ = w.Close()
	})
}

// TestTornTailIsCutOff ends a segment that is being written at every byte.
func TestTornTailIsCutOff(t *testing.T) {
	_, path := sealed(t, 4)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := scanSegment(data)
	if err != nil {
		t.Fatal(err)
	}
	for size := 0; size < len(data); size++ {
		dir := t.TempDir()
		torn := filepath.Join(dir, newID(time.Now())+suffixOpen)
		if err := os.WriteFile(torn, data[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		want, end := 0, headSize
		for _, p := range whole.payloads {
			if end += frameSize + len(p); end <= size {
				want++
			}
		}
		w := start(t, Options{Dir: dir})
		if got := fresh(t, w); len(got) != want {
			t.Fatalf("cut at %d: %d records, want %d", size, len(got), want)
		}
		if _, err := w.Compact(t.Context(), &lake{segments: map[string]map[string]int{}, t: t}); err != nil {
			t.Fatalf("cut at %d: a torn tail is reported as damage: %v", size, err)
		}
		_ = w.Close()
	}
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
	if _, err := r.Next(t.Context()); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}

func FuzzScanSegment(f *testing.F) {
	_, path := sealed(f, 3)
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)-5])
	f.Add(append(head(7), mark[:]...))
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := scanSegment(data)
		if err != nil {
			return
		}
		total := int64(headSize) + found.damaged + found.torn(data)
		for _, p := range found.payloads {
			total += int64(frameSize + len(p))
		}
		if total != int64(len(data)) {
			t.Errorf("%d of %d bytes are accounted for", total, len(data))
		}
	})
}

func FuzzDecode(f *testing.F) {
	_, path := sealed(f, 1)
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[headSize+frameSize:])
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := decode(data)
		if err != nil {
			return
		}
		for row := range p.ids {
			d := p.decision(row)
			for _, text := range [][]byte{d.Inputs, d.Features, d.Output} {
				if text != nil && !json.Valid(text) {
					t.Errorf("not JSON: %q", text)
				}
			}
		}
	})
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
