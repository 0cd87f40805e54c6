package past

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/window"
)

// Window makes the view of a plan over windows of events: the values are those
// of the engine that streams and online reads use.
func Window(name string, plan *window.Plan, events Events) (View, error) {
	reads, keys := plan.Reads(), plan.Keys()
	v := View{Name: name, Keys: keys, Columns: plan.Outputs(), Events: events, time: reads[plan.Time()].Name, known: plan.Known()}
	for _, c := range reads[plan.Time()+1:] {
		if !slices.Contains(keys, c) && c.Name != v.time {
			v.payload = append(v.payload, c)
		}
	}
	v.engine = func() (engine, error) { return newWindows(plan, v.payload), nil }
	return v, v.check()
}

// windows hands events and questions to a window.State in batches, of many
// entities together: adding events one at a time would cost several times as
// much. Questions and the events after them may be handed over together,
// because a window as of a time leaves out what is after it; only an event that
// became known late, before whose time somebody asked already, has to wait
// until they are answered.
type windows struct {
	plan  *window.Plan
	state *window.State
	reach int64 // how long before a question events matter, in microseconds; -1: for ever

	key     []byte // of the present entity, as a row of the key columns
	seen    int    // events of the present entity
	kept    int    // events that the state was handed
	hot     bool   // the state has the present entity alone, and forgets
	events  batched
	asked   batched
	waits   bool          // a question of the present entity is among asked
	last    int64         // the latest of them
	answers []frame.Batch // that wait to be taken
}

// batched are rows that wait: their entities, their times and the rest.
type batched struct {
	keys  *rowReader
	times []int64
	rest  *rowReader // of events
}

const (
	together = 8192  // events or questions that are handed over at a time
	many     = 32768 // events after which a state is not used for more entities
	hot      = 65536 // events of an entity after which it is not kept whole
)

func newWindows(plan *window.Plan, payload []frame.Column) *windows {
	w := &windows{plan: plan, reach: -1}
	if h, ok := plan.Horizon(); ok {
		w.reach = h.Microseconds()
	}
	w.events = batched{keys: newRowReader(plan.Keys()), rest: newRowReader(payload)}
	w.asked = batched{keys: newRowReader(plan.Keys())}
	w.reset()
	return w
}

func (w *windows) reset() {
	w.state, w.kept, w.hot = window.NewState(w.plan, window.Bounds{}), 0, false
}

func (w *windows) begin(key []byte) error {
	if w.hot || w.kept+len(w.events.times) >= many {
		if err := w.hand(); err != nil {
			return err
		}
		w.reset()
	}
	w.key, w.seen, w.waits = w.key[:0], 0, false
	if len(key) > 0 { // a key is written as the values of a row are
		for range (len(w.plan.Keys()) + 7) / 8 {
			w.key = append(w.key, 0xff)
		}
		w.key = append(w.key, key...)
	}
	return nil
}

// of appends the present entity.
func (w *windows) of(b *batched, time int64) error {
	b.times = append(b.times, time)
	if len(w.key) == 0 {
		return b.keys.add(nil)
	}
	return b.keys.add(w.key)
}

func (w *windows) add(time int64, payload []byte) error {
	late := w.waits && time < w.last
	if w.seen++; late || len(w.events.times) >= together || w.seen == hot {
		if err := w.hand(); err != nil {
			return err
		}
		w.hot = w.hot || w.seen == hot
	}
	if err := w.of(&w.events, time); err != nil {
		return err
	}
	return w.events.rest.add(payload)
}

func (w *windows) value(at int64) error {
	if len(w.asked.times) >= together {
		if err := w.hand(); err != nil {
			return err
		}
	}
	w.waits, w.last = true, at
	return w.of(&w.asked, at)
}

// hand gives the state what waits, and keeps its answers.
func (w *windows) hand() error {
	if err := w.handEvents(); err != nil || len(w.asked.times) == 0 {
		return err
	}
	keys, err := w.asked.keys.take()
	if err != nil {
		return err
	}
	defer keys.Release()
	values, err := w.state.Values(keys.Columns(), w.asked.times)
	if err != nil {
		return err
	}
	defer releaseAll(values)
	w.answers = append(w.answers, array.NewRecordBatch(frame.SchemaOf(w.plan.Outputs()), values, int64(len(w.asked.times))))
	w.asked.times, w.waits = w.asked.times[:0], false
	if w.hot {
		w.pass(w.last)
	}
	return nil
}

func (w *windows) handEvents() error {
	if len(w.events.times) == 0 {
		return nil
	}
	keys, err := w.events.keys.take()
	if err != nil {
		return err
	}
	defer keys.Release()
	rest, err := w.events.rest.take()
	if err != nil {
		return err
	}
	defer rest.Release()
	reads := w.plan.Reads()
	times := timeColumn(reads[w.plan.Time()], w.events.times)
	defer times.Release()
	columns := make([]arrow.Array, len(reads))
	for i, c := range reads {
		switch {
		case i == w.plan.Time():
			columns[i] = times
		case i < w.plan.Time():
			columns[i] = keys.Column(i)
		default:
			columns[i] = rest.Column(frame.Index(rest.Schema(), c.Name))
		}
	}
	events := array.NewRecordBatch(frame.SchemaOf(reads), columns, int64(len(w.events.times)))
	defer events.Release()
	w.kept += len(w.events.times)
	w.events.times = w.events.times[:0]
	_, err = w.state.Add(events, nil) // those that are too late are before what any later question reaches
	return err
}

// timeColumn makes the column that has the times of events.
func timeColumn(c frame.Column, times []int64) arrow.Array {
	var bytes []byte
	for _, t := range times {
		if c.Type == frame.Date {
			bytes = binary.LittleEndian.AppendUint32(bytes, uint32(t/microsOfDay))
		} else {
			bytes = binary.LittleEndian.AppendUint64(bytes, uint64(t))
		}
	}
	data := array.NewData(c.Type.Arrow(), len(times), []*memory.Buffer{nil, memory.NewBufferBytes(bytes)}, nil, 0, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

// pass lets the state forget what no later question of the present entity can
// need.
func (w *windows) pass(at int64) {
	switch {
	case w.plan.Known() == "": // events come in the order of time
	case w.reach < 0 || at < math.MinInt64/2:
		return
	default:
		at -= w.reach
	}
	w.state.Advance(at + w.plan.Lateness().Microseconds())
}

func (w *windows) take() ([]frame.Batch, error) {
	err := w.hand()
	answers := w.answers
	w.answers = nil
	return answers, err
}

func releaseAll(arrays []arrow.Array) {
	for _, a := range arrays {
		if a != nil {
			a.Release()
		}
	}
}
