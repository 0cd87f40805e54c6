package past

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"io"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"golang.org/x/sync/errgroup"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// joiner is one join on its way.
type joiner struct {
	options  Options
	views    []View
	disk     *disk
	progress *progress
	seed     maphash.Seed
	rows     int64
	events   int64
}

// asked are the rows reduced to one set of entity columns, sorted.
type asked struct {
	keys   []frame.Column
	sorter *sorter
	sorted *sorted
}

// progress tells of several goroutines at a time.
type progress struct {
	mu   sync.Mutex
	tell func(doing string, done int64)
	done map[string]int64
}

func newProgress(tell func(string, int64)) *progress {
	return &progress{tell: tell, done: map[string]int64{}}
}

func (p *progress) add(doing string, n int64) {
	if p.tell == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done[doing] += n
	p.tell(doing, p.done[doing])
}

// What a join is doing, as Options.Progress is told.
const (
	ReadingRows   = "rows"
	ReadingEvents = "events"
	Joining       = "join"
)

func (j *joiner) run(ctx context.Context, rows frame.Reader, time string) (*Joined, error) {
	j.seed = maphash.MakeSeed()
	sets := j.sets()
	if err := j.ask(ctx, rows, time, sets); err != nil {
		return nil, err
	}
	found := make([]*scatter, len(j.views))
	workers := max(1, min(j.options.Workers, len(j.views)))
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for i := range j.views {
		g.Go(func() error {
			v := &j.views[i]
			of := sets[slices.IndexFunc(sets, func(a *asked) bool { return slices.Equal(a.keys, v.Keys) })]
			s, events, err := j.view(ctx, v, of.sorted, j.options.Memory/4/int64(workers))
			mu.Lock()
			defer mu.Unlock()
			found[i], j.events = s, j.events+events
			return fault.Wrap(err, fault.KindOf(err), "feature view %q", v.Name)
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out := &Joined{disk: j.disk, stats: Stats{Rows: j.rows, Events: j.events, Spilled: j.disk.written.Load()}}
	for i, v := range j.views {
		out.views = append(out.views, joinedView{v.Name, v.Columns, found[i]})
	}
	out.Reading = out.From(0)
	return out, nil
}

// sets lists the different entities of the views; the rows are sorted once for
// each.
func (j *joiner) sets() []*asked {
	var sets []*asked
	for _, v := range j.views {
		if !slices.ContainsFunc(sets, func(a *asked) bool { return slices.Equal(a.keys, v.Keys) }) {
			sets = append(sets, &asked{keys: v.Keys})
		}
	}
	for _, a := range sets {
		a.sorter = newSorter(j.disk, j.options.Memory/8/int64(len(sets)))
	}
	return sets
}

// ask reads the rows into the sorter of each set.
func (j *joiner) ask(ctx context.Context, rows frame.Reader, time string, sets []*asked) error {
	err := frame.Each(ctx, rows, func(b frame.Batch) error {
		at, err := times(b, time, j.options.At)
		if err != nil {
			return err
		}
		for _, set := range sets {
			if err := j.askSet(b, at, set); err != nil {
				return err
			}
		}
		j.rows += b.NumRows()
		j.progress.add(ReadingRows, b.NumRows())
		return ctx.Err()
	})
	for _, set := range sets {
		set.sorted = set.sorter.finish()
	}
	return err
}

func (j *joiner) askSet(b frame.Batch, at []int64, set *asked) error {
	keys, err := choose(b, set.keys)
	if err != nil {
		return err
	}
	var r record
	var position [8]byte
	for row := range at {
		var ok bool
		if at[row] == NoTime {
			continue
		}
		if r.key, ok = frame.AppendKey(r.key[:0], keys, row); !ok {
			r.key = r.key[:0] // nobody: an entity without events
		}
		r.hash, r.order = maphash.Bytes(j.seed, r.key), at[row]
		binary.LittleEndian.PutUint64(position[:], uint64(j.rows)+uint64(row))
		r.payload = position[:]
		if err := set.sorter.add(&r); err != nil {
			return err
		}
	}
	return nil
}

// times gives the rows of a batch their times.
func times(b frame.Batch, column string, otherwise int64) ([]int64, error) {
	at := make([]int64, b.NumRows())
	if column == "" {
		for i := range at {
			at[i] = otherwise
		}
		return at, nil
	}
	i := frame.Index(b.Schema(), column)
	if i < 0 {
		return nil, fault.New(fault.Invalid, "column %q is missing", column).Hint("it has the time of the rows")
	}
	switch c := b.Column(i).(type) {
	case *array.Timestamp:
		if t, err := frame.TypeOf(c.DataType()); err != nil || t != frame.Timestamp {
			return nil, notATime(column, c)
		}
		for row, t := range c.TimestampValues() {
			at[row] = int64(t)
		}
	case *array.Date32:
		for row, t := range c.Date32Values() {
			at[row] = int64(t) * microsOfDay
		}
	default:
		return nil, notATime(column, c)
	}
	for row := range at {
		if b.Column(i).IsNull(row) {
			at[row] = otherwise
		}
	}
	return at, nil
}

const microsOfDay = 24 * 60 * 60 * 1_000_000

func notATime(column string, c arrow.Array) error {
	return fault.New(fault.Invalid, "column %q is of type %s, and no time", column, c.DataType()).Hint("cast it to timestamp, or to date")
}

// view finds the values of one view for all rows.
func (j *joiner) view(ctx context.Context, v *View, rows *sorted, budget int64) (*scatter, int64, error) {
	sorter := newSorter(j.disk, budget)
	events, err := j.read(ctx, v, sorter)
	if err != nil {
		return nil, events, err
	}
	out := newScatter(j.disk, j.options.Memory/8/int64(len(j.views)), j.rows, v.Columns)
	s := sweep{ctx: ctx, out: out, writer: newRowWriter(v.Columns), progress: j.progress}
	if s.engine, err = v.engine(); err != nil {
		return nil, events, err
	}
	return out, events, s.run(rows.open(), sorter.finish().open())
}

// read sorts the events of a view by when they become visible.
func (j *joiner) read(ctx context.Context, v *View, sorter *sorter) (n int64, err error) {
	reader, err := v.Events(ctx, v.Reads())
	if err != nil {
		return 0, err
	}
	writer := newRowWriter(v.payload)
	err = frame.Each(ctx, reader, func(b frame.Batch) error {
		n += b.NumRows()
		j.progress.add(ReadingEvents, b.NumRows())
		if err := j.addEvents(b, v, writer, sorter); err != nil {
			return err
		}
		return ctx.Err()
	})
	return n, err
}

func (j *joiner) addEvents(b frame.Batch, v *View, writer *rowWriter, sorter *sorter) error {
	keys, err := choose(b, v.Keys)
	if err != nil {
		return err
	}
	values, err := choose(b, v.payload)
	if err != nil {
		return err
	}
	at, err := times(b, v.time, NoTime)
	if err != nil {
		return err
	}
	known := at
	if v.known != "" {
		if known, err = times(b, v.known, NoTime); err != nil {
			return err
		}
	}
	writer.use(values)
	var r record
	for row := range at {
		if at[row] == NoTime || known[row] == NoTime || at[row] == never {
			continue
		}
		var ok bool
		if r.key, ok = frame.AppendKey(r.key[:0], keys, row); !ok {
			continue
		}
		r.hash, r.order = maphash.Bytes(j.seed, r.key), max(at[row]+1, known[row])
		r.payload = binary.LittleEndian.AppendUint64(r.payload[:0], uint64(at[row]))
		r.payload = writer.append(r.payload, row)
		if err := sorter.add(&r); err != nil {
			return err
		}
	}
	return nil
}

// never is a time that no row is after.
const never int64 = 1<<63 - 1

// sweep goes through the rows and the events side by side.
type sweep struct {
	ctx      context.Context
	engine   engine
	out      *scatter
	writer   *rowWriter
	progress *progress
	waiting  []int64 // positions of the values that the engine has not handed over
}

// step is how many values are taken from an engine at a time.
const step = 4096

func (s *sweep) run(rows, events *cursor) error {
	event, err := events.next()
	if err != nil {
		return err
	}
	var current record // the entity, a copy
	begun := false
	for {
		row, err := rows.next()
		if err != nil {
			return err
		}
		if row == nil {
			return s.flush()
		}
		if !begun || compareKeys(row, &current) != 0 {
			begun = true
			current.hash, current.key = row.hash, append(current.key[:0], row.key...)
			for event != nil && compareKeys(event, row) < 0 {
				if event, err = events.next(); err != nil {
					return err
				}
			}
			if err := s.engine.begin(row.key); err != nil {
				return err
			}
		}
		for event != nil && event.order <= row.order && compareKeys(event, row) == 0 {
			if err := s.engine.add(int64(binary.LittleEndian.Uint64(event.payload)), event.payload[8:]); err != nil {
				return err
			}
			if event, err = events.next(); err != nil {
				return err
			}
		}
		if err := s.ask(row); err != nil {
			return err
		}
	}
}

func (s *sweep) ask(row *record) error {
	if err := s.engine.value(row.order); err != nil {
		return err
	}
	s.waiting = append(s.waiting, int64(binary.LittleEndian.Uint64(row.payload)))
	if len(s.waiting) < step {
		return nil
	}
	return s.flush()
}

// flush deals what the engine has found.
func (s *sweep) flush() error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	found, err := s.engine.take()
	defer func() {
		for _, b := range found {
			if b != nil {
				b.Release()
			}
		}
	}()
	if err != nil {
		return err
	}
	done := 0
	for _, b := range found {
		s.writer.use(b.Columns())
		for row := range min(int(b.NumRows()), len(s.waiting)-done) {
			if err := s.out.deal(s.waiting[done], s.writer, row); err != nil {
				return err
			}
			done++
		}
	}
	if done != len(s.waiting) {
		return fault.New(fault.Internal, "%d values were found for %d rows", done, len(s.waiting))
	}
	s.progress.add(Joining, int64(done))
	s.waiting = s.waiting[:0]
	return nil
}

// Joined has what was found, in the order of the rows, and is a Reading of all
// of it. A nil Joined is one of no views.
type Joined struct {
	*Reading
	disk  *disk
	views []joinedView
	stats Stats
}

type joinedView struct {
	name    string
	columns []frame.Column
	found   *scatter
}

// Stats tells what the join did.
func (j *Joined) Stats() Stats { return j.stats }

// Reading gives what was found, from one row on. It is for one goroutine;
// several Readings may be at work at a time.
type Reading struct {
	names []string
	found []*gather
	left  int64
}

// From begins at a row.
func (j *Joined) From(row int64) *Reading {
	if j == nil {
		return nil
	}
	r := &Reading{left: max(0, j.stats.Rows-row)}
	for _, v := range j.views {
		r.names, r.found = append(r.names, v.name), append(r.found, v.found.gather(v.columns, row))
	}
	return r
}

// Left is how many rows Next has not given yet.
func (r *Reading) Left() int64 { return r.left }

// Next returns what was found for the next n rows, at most Left, by view: one
// array for each of its columns. The caller releases them.
func (r *Reading) Next(ctx context.Context, n int) (map[string][]arrow.Array, error) {
	if r == nil {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if int64(n) > r.left {
		return nil, fault.New(fault.Internal, "%d rows are asked for, and %d are left", n, r.left)
	}
	found := make(map[string][]arrow.Array, len(r.found))
	for i, g := range r.found {
		b, err := g.take(n)
		if err != nil {
			Release(found)
			return nil, err
		}
		for _, c := range b.Columns() {
			c.Retain()
		}
		found[r.names[i]] = slices.Clone(b.Columns())
		b.Release()
	}
	r.left -= int64(n)
	return found, nil
}

// Next is that of the Reading; of a nil Joined it finds nothing.
func (j *Joined) Next(ctx context.Context, n int) (map[string][]arrow.Array, error) {
	if j == nil {
		return nil, nil
	}
	return j.Reading.Next(ctx, n)
}

// Release lets go what Next returned.
func Release(found map[string][]arrow.Array) {
	for _, columns := range found {
		for _, c := range columns {
			c.Release()
		}
	}
}

// Close lets memory and files go. It is safe to call twice.
func (j *Joined) Close() error {
	if j != nil {
		j.disk.close()
		j.views = nil
	}
	return nil
}

// Beside reads the rows once more and puts what was found beside them; rows
// must be those that were joined, in the same order. Closing it closes both.
func (j *Joined) Beside(rows frame.Reader) (frame.Reader, error) {
	columns := slices.Clone(rows.Schema().Fields())
	for _, v := range j.views {
		for _, c := range v.columns {
			if slices.ContainsFunc(columns, func(f arrow.Field) bool { return f.Name == c.Name }) {
				return nil, fault.New(fault.Invalid, "there would be two columns %q", c.Name).
					Hint("rename the column of the rows; view %q gives one of that name", v.name)
			}
			columns = append(columns, arrow.Field{Name: c.Name, Type: c.Type.Arrow(), Nullable: true})
		}
	}
	return &beside{rows: rows, joined: j, schema: arrow.NewSchema(columns, nil)}, nil
}

type beside struct {
	rows   frame.Reader
	joined *Joined
	schema *arrow.Schema
}

func (b *beside) Schema() *arrow.Schema { return b.schema }

func (b *beside) Next(ctx context.Context) (frame.Batch, error) {
	rows, err := b.rows.Next(ctx)
	if err != nil {
		if err == io.EOF && b.joined.left > 0 {
			return nil, fault.New(fault.Conflict, "%d rows that were joined are gone", b.joined.left)
		}
		return nil, err
	}
	defer rows.Release()
	found, err := b.joined.Next(ctx, int(rows.NumRows()))
	if err != nil {
		return nil, err
	}
	defer Release(found)
	columns := slices.Clone(rows.Columns())
	for _, v := range b.joined.views {
		columns = append(columns, found[v.name]...)
	}
	return array.NewRecordBatch(b.schema, columns, rows.NumRows()), nil
}

func (b *beside) Close() error { return errors.Join(b.rows.Close(), b.joined.Close()) }
