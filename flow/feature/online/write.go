package online

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/store/online"
)

// Pushed tells what became of pushed rows.
type Pushed struct {
	Rows   int // that are in the store now, or were before
	Older  int // than what the store has of their entity; windows take all
	Nobody int // without a key or a time
}

// Push writes rows as they happen. The batch has the columns of View.Rows, in
// any order and among others. ids are those of the events, or nil: windows
// leave an event out whose id they have. A push that failed may be repeated;
// of windows, only one with ids does no harm then.
func (f *Features) Push(ctx context.Context, v *View, batch frame.Batch, ids []string) (Pushed, error) {
	p, err := f.push(ctx, v, batch, ids)
	if err != nil {
		return p, fault.Wrap(err, fault.KindOf(err), "feature view %q", v.Name())
	}
	f.metrics.pushed.Add(float64(p.Rows), v.Name())
	return p, nil
}

func (f *Features) push(ctx context.Context, v *View, batch frame.Batch, ids []string) (Pushed, error) {
	if ids != nil && len(ids) != int(batch.NumRows()) {
		return Pushed{}, fault.New(fault.Invalid, "there are %d ids of %d rows", len(ids), batch.NumRows())
	}
	if v.demand != nil {
		return Pushed{}, fault.New(fault.Unsupported, "it is computed from each request, and not kept").Hint("push to the views that it reads")
	}
	if v.plan != nil {
		return f.pushEvents(ctx, v, batch, ids)
	}
	w, err := f.rowWriter(ctx, v, batch, f.config.Clock.Now().UnixMicro())
	if err != nil {
		return Pushed{}, err
	}
	older, err := f.config.Store.Put(ctx, f.table(v), w.entries)
	// The mark of the newest event is among the entries, and may be older.
	return Pushed{Rows: w.rows, Older: min(older, w.rows), Nobody: w.nobody}, err
}

// rowWriter is a batch of rows as entries.
type rowWriter struct {
	entries      []online.Entry
	rows, nobody int
	newest       int64
}

// rowWriter makes entries of a batch. asOf is the time of rows that have none.
func (f *Features) rowWriter(ctx context.Context, v *View, batch frame.Batch, asOf int64) (*rowWriter, error) {
	columns, err := pick(batch, v.rows)
	if err != nil {
		return nil, err
	}
	features, err := v.set.Compute(ctx, batch)
	if err != nil {
		return nil, err
	}
	defer features.Release()
	now := f.config.Clock.Now().UnixMicro()
	times := f.times(v, columns, int(batch.NumRows()), asOf)
	w := &rowWriter{newest: noTime}
	for i := range int(batch.NumRows()) {
		key, ok := frame.AppendKey(nil, columns[:len(v.keys)], i)
		if !ok || times[i] == noTime {
			w.nobody++
			continue
		}
		value, err := v.layout.append(nil, features, i)
		if err != nil {
			return nil, err
		}
		w.entries = append(w.entries, online.Entry{Key: key, Value: value, At: times[i], Expires: v.expires(times[i], now)})
		w.newest = max(w.newest, times[i])
		w.rows++
	}
	if w.rows > 0 {
		w.entries = append(w.entries, mark(w.newest, now))
	}
	return w, nil
}

// noTime is the time of a row that has none.
const noTime = -1 << 63

// times gives the time of each row: asOf, where the view has no column of it.
func (f *Features) times(v *View, columns []arrow.Array, rows int, asOf int64) []int64 {
	times := make([]int64, rows)
	for i := range times {
		times[i] = asOf
		if v.when >= 0 {
			times[i] = timeAt(columns[v.when], i)
		}
	}
	return times
}

// timeAt is a timestamp or date in microseconds since 1970.
func timeAt(a arrow.Array, row int) int64 {
	if a.IsNull(row) {
		return noTime
	}
	switch a := a.(type) {
	case *array.Timestamp:
		return int64(a.Value(row))
	case *array.Date32:
		return int64(a.Value(row)) * day.Microseconds()
	}
	return noTime
}

// mark is the entry that says which event of a table is the newest, and when
// it was written.
func mark(newest, now int64) online.Entry {
	return online.Entry{Key: []byte(newestKey), Value: binary.LittleEndian.AppendUint64(nil, uint64(now)), At: newest}
}

// Freshness is how old what the store has of a view is.
type Freshness struct {
	Newest  time.Time     // of the events; zero where there is none
	Written time.Time     // when it was written
	Age     time.Duration // of the newest event
	TTL     time.Duration // of the view; 0: values do not become stale
	Stale   bool          // the newest event is older than the ttl
}

// Freshness tells how old views are, in one round trip.
func (f *Features) Freshness(ctx context.Context, views []*View) ([]Freshness, error) {
	keys := make([]online.Key, len(views))
	for i, v := range views {
		keys[i] = online.Key{Table: f.table(v), Key: []byte(newestKey)}
	}
	found, err := f.config.Store.Get(ctx, keys, nil)
	if err != nil {
		return nil, err
	}
	now := f.config.Clock.Now()
	list := make([]Freshness, len(views))
	for i, mark := range found {
		list[i].TTL = views[i].spec.TTL.Std()
		if !mark.OK || len(mark.Value) != 8 {
			continue
		}
		l := &list[i]
		l.Newest = time.UnixMicro(mark.At).UTC()
		l.Written = time.UnixMicro(int64(binary.LittleEndian.Uint64(mark.Value))).UTC()
		l.Age = max(0, now.Sub(l.Newest))
		l.Stale = l.TTL > 0 && l.Age > l.TTL
		f.metrics.age.Set(l.Age.Seconds(), views[i].Name())
	}
	return list, nil
}

// put writes entries with the mark of the newest in parts that a store takes
// in one go.
func (f *Features) put(ctx context.Context, v *View, entries []online.Entry) error {
	for part := range slices.Chunk(entries, 1000) {
		if _, err := f.config.Store.Put(ctx, f.table(v), part); err != nil {
			return err
		}
	}
	return nil
}
