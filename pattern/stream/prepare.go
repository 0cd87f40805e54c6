package stream

import (
	"context"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/store/bus"
)

// entry is one event on its way through prepare.
type entry struct {
	event  *bus.Event
	name   string // what names it
	id     id
	named  bool // its name is its producer's, and so may come again elsewhere
	at     int64
	letter int64 // the dead letter that it is the replay of, or 0
}

// rows are events with their columns. entries[i] is row i.
type rows struct {
	batch   frame.Batch
	entries []*entry
}

// keep leaves the rows out for which keep is false. It takes r over.
func (r rows) keep(keep []bool) (rows, error) {
	n := 0
	for _, yes := range keep {
		if yes {
			n++
		}
	}
	if n == len(keep) {
		return r, nil
	}
	defer r.batch.Release()
	batch, err := filter(r.batch, keep)
	if err != nil {
		return rows{}, err
	}
	entries := make([]*entry, 0, n)
	for i, e := range r.entries {
		if keep[i] {
			entries = append(entries, e)
		}
	}
	return rows{batch, entries}, nil
}

// prepare takes the events of one partition through everything up to what is
// to be published. It changes the windows and the set of known ids: whoever
// does not commit the lane must load the partition anew.
func (s *session) prepare(ctx context.Context, p *partition, entries []*entry) (*lane, error) {
	p.seq++
	b := &lane{part: p, seq: p.seq, next: p.next, last: -1, newest: p.newest, snapshot: p.snapshot}
	todo := s.arrived(b, entries)
	r, err := s.decode(ctx, b, todo)
	if err != nil {
		return nil, err
	}
	for i := range s.steps {
		if r, err = s.step(ctx, b, &s.steps[i], r); err != nil {
			return nil, err
		}
	}
	if r, err = s.unknown(ctx, b, r); err != nil {
		return nil, err
	}
	if r, err = s.timely(b, r); err != nil {
		return nil, err
	}
	defer func() { r.batch.Release() }()
	found, err := s.window(b, r)
	if err != nil {
		return nil, err
	}
	defer releaseFound(found)
	if len(r.entries) > 0 {
		if err := s.decide(ctx, b, r, found); err != nil {
			return nil, err
		}
	}
	p.newest = b.newest
	return b, nil
}

// arrived leaves out what was dealt with before or is older than a seek, and
// names the rest.
func (s *session) arrived(b *lane, entries []*entry) []*entry {
	todo := make([]*entry, 0, len(entries))
	p := b.part
	for _, e := range entries {
		if e.letter != 0 {
			b.replayed = append(b.replayed, e.letter)
			todo = append(todo, e)
			continue
		}
		b.events = append(b.events, *e.event)
		if s.positioned {
			if e.event.Offset < p.next {
				continue // delivered again though it was acknowledged
			}
			p.next = e.event.Offset + 1
			b.next, b.last = p.next, e.event.Offset
		}
		if p.skipBefore != 0 && !e.event.Time.IsZero() && e.event.Time.UnixMicro() < p.skipBefore {
			b.counts.Filtered++
			continue
		}
		e.named = e.event.ID != ""
		if e.name = e.event.ID; !e.named {
			e.name = p.name + "/" + strconv.FormatInt(e.event.Offset, 10)
		}
		todo = append(todo, e)
	}
	return todo
}

// decode makes rows of events. Those that are none go to the dead letters.
func (s *session) decode(ctx context.Context, b *lane, entries []*entry) (rows, error) {
	good := make([]*entry, 0, len(entries))
	for _, e := range entries {
		if size := e.event.Header(bus.HeaderTooLarge); size != "" {
			b.fail(e, "decode", 1, fault.New(fault.TooLarge, "the event has %s bytes, more than is taken", size))
			continue
		}
		good = append(good, e)
	}
	events := make([]bus.Event, len(good))
	for i, e := range good {
		events[i] = *e.event
	}
	for attempt := 0; ; attempt++ {
		batch, faults := s.codec.Decode(ctx, events)
		if s.away(faults) != nil {
			batch.Release()
			if err := s.wait(ctx, attempt, "decode", s.away(faults)); err != nil {
				return rows{}, err
			}
			continue
		}
		r := rows{batch, good}
		if faults == nil {
			return r, nil
		}
		return s.without(b, r, "decode", 1, faults)
	}
}

// away returns the first fault that says nothing against an event.
func (s *session) away(faults []error) error {
	for _, err := range faults {
		if err != nil && fault.KindOf(err).Retryable() {
			return err
		}
	}
	return nil
}

// without sends the rows that have a fault to the dead letters.
func (s *session) without(b *lane, r rows, stage string, attempts int, faults []error) (rows, error) {
	keep := make([]bool, len(r.entries))
	for i, err := range faults {
		if keep[i] = err == nil; err != nil {
			b.fail(r.entries[i], stage, attempts, err)
			s.know(b, r.entries[i])
		}
	}
	return r.keep(keep)
}

// step runs one step over rows, which it takes over.
func (s *session) step(ctx context.Context, b *lane, st *step, r rows) (rows, error) {
	if len(r.entries) == 0 {
		return s.emptied(st, r), nil
	}
	switch {
	case st.function != nil:
		return s.function(ctx, b, st, r)
	case st.where != nil:
		keep, err := truths(st.where, r.batch)
		if err != nil {
			r.batch.Release()
			return rows{}, err
		}
		for _, yes := range keep {
			if !yes {
				b.counts.Filtered++
			}
		}
		return r.keep(keep)
	}
	defer r.batch.Release()
	columns := make([]arrow.Array, len(st.columns))
	for i, from := range st.copied {
		if from >= 0 {
			columns[i] = r.batch.Column(from)
		}
	}
	for i, program := range st.programs {
		if program == nil {
			continue
		}
		column, err := program.Eval(r.batch)
		if err != nil {
			return rows{}, err
		}
		defer column.Release()
		columns[i] = column
	}
	return rows{array.NewRecordBatch(st.schema, columns, r.batch.NumRows()), r.entries}, nil
}

// emptied gives no rows the columns that they would have.
func (s *session) emptied(st *step, r rows) rows {
	r.batch.Release()
	return rows{none(st.schema), nil}
}

// function runs the user's function. A row that it breaks on goes to the dead
// letters; one that it makes several rows of is as many events, whose names
// count them.
func (s *session) function(ctx context.Context, b *lane, st *step, r rows) (rows, error) {
	defer r.batch.Release()
	for attempt := 1; ; attempt++ {
		result, err := st.function.Apply(ctx, r.batch)
		if err != nil {
			if err := s.wait(ctx, attempt, "function", err); err != nil {
				return rows{}, err
			}
			continue
		}
		for i, failed := range result.Faults {
			if failed != nil {
				b.fail(r.entries[i], "function", attempt, failed)
				s.know(b, r.entries[i])
			}
		}
		out := rows{batch: result.Batch, entries: make([]*entry, len(result.Rows))}
		times := make(map[int]int, len(r.entries))
		for i, row := range result.Rows {
			e := *r.entries[row]
			if times[row]++; times[row] > 1 {
				e.name += "#" + strconv.Itoa(times[row])
			}
			out.entries[i] = &e
		}
		for i := range r.entries {
			if times[i] == 0 && (result.Faults == nil || result.Faults[i] == nil) {
				b.counts.Filtered++
			}
		}
		return out, nil
	}
}

// unknown leaves out the events that were decided before.
func (s *session) unknown(ctx context.Context, b *lane, r rows) (rows, error) {
	keep := make([]bool, len(r.entries))
	faults := make([]error, len(r.entries))
	bad := false
	if s.idColumn >= 0 {
		column := r.batch.Column(s.idColumn)
		for i, e := range r.entries {
			if column.IsNull(i) {
				faults[i], bad = fault.New(fault.Invalid, "the event has no %q, which names it", s.spec.ID), true
				continue
			}
			e.name, e.named = column.ValueStr(i), true
		}
	}
	if bad {
		var err error
		if r, err = s.without(b, r, "id", 1, faults); err != nil {
			return rows{}, err
		}
		keep = keep[:len(r.entries)]
	}
	answered, err := s.answered(ctx, r)
	if err != nil {
		r.batch.Release()
		return rows{}, err
	}
	s.seenMu.Lock()
	for i, e := range r.entries {
		e.id = idOf(e.name)
		if keep[i] = e.letter != 0 || !e.named || !s.seen.has(e.id) && !answered[e.name]; !keep[i] {
			b.counts.Known++
			continue
		}
		s.knowLocked(b, e)
	}
	s.seenMu.Unlock()
	return r.keep(keep)
}

// answered asks which of the events were answered in real time under their
// ids as idempotency keys.
func (s *session) answered(ctx context.Context, r rows) (map[string]bool, error) {
	if s.deps.Answered == nil || s.spec.Score == "" {
		return nil, nil
	}
	var names []string
	for _, e := range r.entries {
		if e.named {
			names = append(names, e.name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	for attempt := 0; ; attempt++ {
		known, err := s.deps.Answered.Answered(ctx, s.spec.Score, names)
		if err == nil {
			return known, nil
		}
		if err := s.wait(ctx, attempt, "ledger", err); err != nil {
			return nil, err
		}
	}
}

// know keeps the id of an event that was dealt with. Those that are named by
// their place need none: their offset says as much.
func (s *session) know(b *lane, e *entry) {
	s.seenMu.Lock()
	defer s.seenMu.Unlock()
	if e.id == (id{}) {
		e.id = idOf(e.name)
	}
	s.knowLocked(b, e)
}

func (s *session) knowLocked(b *lane, e *entry) {
	if !e.named || s.seen.has(e.id) {
		return
	}
	s.seen.add(e.id)
	b.ids = append(b.ids, e.id)
}

// future is how far ahead of the clock the time of an event may be. One from
// further would make all after it late.
const future = 24 * time.Hour

// timely finds the event times, moves the watermark on, and sends what is too
// late aside. An event is late by those before it in its partition, so the
// batches make no difference.
func (s *session) timely(b *lane, r rows) (rows, error) {
	times := s.times(r)
	bound := s.deps.Clock.Now().Add(future).UnixMicro()
	faults := make([]error, len(r.entries))
	late := make([]bool, len(r.entries))
	bad, lates := false, 0
	for i, e := range r.entries {
		switch at := times[i]; {
		case at == never:
			faults[i], bad = fault.New(fault.Invalid, "the event has no time"), true
		case at > bound && (e.event.Time.IsZero() || at > e.event.Time.Add(future).UnixMicro()):
			faults[i], bad = fault.New(fault.Invalid, "the event is of %s, which is in the future", time.UnixMicro(at).UTC().Format(time.RFC3339)), true
		case s.lateness > 0 && b.newest != never && at < b.newest-s.lateness:
			late[i] = true
			lates++
		default:
			e.at = at
			b.newest = max(b.newest, at)
		}
	}
	if lates > 0 {
		if err := s.aside(b, r, late); err != nil {
			r.batch.Release()
			return rows{}, err
		}
	}
	if !bad && lates == 0 {
		return r, nil
	}
	keep := make([]bool, len(r.entries))
	for i, e := range r.entries {
		if keep[i] = faults[i] == nil && !late[i]; faults[i] != nil {
			b.fail(e, "time", 1, faults[i])
		}
	}
	return r.keep(keep)
}

// times returns the event times in microseconds, never where there is none.
func (s *session) times(r rows) []int64 {
	times := make([]int64, len(r.entries))
	if s.timeColumn < 0 {
		for i, e := range r.entries {
			if times[i] = never; !e.event.Time.IsZero() {
				times[i] = e.event.Time.UnixMicro()
			}
		}
		return times
	}
	switch c := r.batch.Column(s.timeColumn).(type) {
	case *array.Timestamp:
		for i := range times {
			if times[i] = never; c.IsValid(i) {
				times[i] = int64(c.Value(i))
			}
		}
	case *array.Date32:
		for i := range times {
			if times[i] = never; c.IsValid(i) {
				times[i] = int64(c.Value(i)) * (24 * time.Hour).Microseconds()
			}
		}
	}
	return times
}

// aside publishes the late events as they came.
func (s *session) aside(b *lane, r rows, late []bool) error {
	var out outgoing
	for i, e := range r.entries {
		if !late[i] {
			continue
		}
		b.counts.Late++
		event := bus.Event{ID: s.published(e.name), Key: e.event.Key, Time: e.event.Time, Headers: e.event.Headers, Body: e.event.Body}
		out.Events, out.of = append(out.Events, event), append(out.of, e.event)
	}
	if s.late < 0 {
		return nil
	}
	if s.targets[s.late].rows {
		rows, err := filter(r.batch, late)
		if err != nil {
			return err
		}
		out.Rows = rows
	}
	out.target = s.late
	b.out = append(b.out, out)
	return nil
}

// window reads the values of the views as of each event and adds the events.
func (s *session) window(b *lane, r rows) (map[string][]arrow.Array, error) {
	p := b.part
	if len(p.windows) == 0 || len(r.entries) == 0 {
		return nil, nil
	}
	columns := make([]arrow.Array, len(s.reads))
	for i, at := range s.readsAt {
		columns[i] = r.batch.Column(at)
	}
	d := delta{rows: array.NewRecordBatch(s.readsSchema, columns, r.batch.NumRows()), newest: b.newest}
	defer d.rows.Release()
	for _, e := range r.entries {
		d.ids = append(d.ids, e.name)
	}
	found := make(map[string][]arrow.Array, len(p.windows))
	for i, w := range p.windows {
		values, added, err := w.Observe(d.rows, d.ids)
		if err != nil {
			releaseFound(found)
			return nil, err
		}
		name := s.views[i].View().Name
		s.metrics.viewLate.Add(float64(len(added.Late)), s.spec.Name, name)
		found[name] = values
		w.Advance(b.newest)
	}
	b.delta = d.append(nil)
	if s.deps.Online != nil && s.spec.GoesOnline() {
		b.fed = d
		b.fed.rows.Retain()
	}
	return found, p.save(b)
}

func releaseFound(found map[string][]arrow.Array) {
	for _, columns := range found {
		for _, c := range columns {
			c.Release()
		}
	}
}
