package past

import (
	"encoding/binary"
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

// windows hands events and questions to a window.Sweep. Expressions are
// evaluated over many events at a time, which costs a fraction of one at a
// time: so what is asked of the sweep waits as a script until there are enough
// events, of whichever entities, or until the answers are wanted.
type windows struct {
	plan   *window.Plan
	sweep  *window.Sweep
	key    []byte // of the present entity, as a row of the key columns
	script []move
	keys   *rowReader // of the events that wait
	times  []int64
	rest   *rowReader
}

// move is one call of the sweep.
type move struct {
	do moveKind
	at int64 // of a question
}

type moveKind uint8

const (
	next moveKind = iota
	event
	ask
)

// together is how many events, or moves, wait at most.
const together = 8192

func newWindows(plan *window.Plan, payload []frame.Column) *windows {
	return &windows{plan: plan, sweep: window.NewSweep(plan, window.Bounds{}), keys: newRowReader(plan.Keys()), rest: newRowReader(payload)}
}

func (w *windows) begin(key []byte) error {
	w.key = w.key[:0]
	if len(key) > 0 { // a key is written as the values of a row are
		for range (len(w.plan.Keys()) + 7) / 8 {
			w.key = append(w.key, 0xff)
		}
		w.key = append(w.key, key...)
	}
	return w.move(move{do: next})
}

func (w *windows) add(time int64, payload []byte) error {
	if err := w.keys.add(w.key); err != nil {
		return err
	}
	if err := w.rest.add(payload); err != nil {
		return err
	}
	w.times = append(w.times, time)
	return w.move(move{do: event})
}

func (w *windows) value(at int64) error { return w.move(move{do: ask, at: at}) }

func (w *windows) move(m move) error {
	if w.script = append(w.script, m); len(w.times) < together && len(w.script) < 4*together {
		return nil
	}
	return w.play()
}

// play lets the sweep do what waits.
func (w *windows) play() error {
	events, err := w.events()
	if err != nil {
		return err
	}
	defer events.Release()
	if err := w.sweep.Load(events); err != nil {
		return err
	}
	row := 0
	for _, m := range w.script {
		switch m.do {
		case next:
			w.sweep.Next()
		case event:
			err = w.sweep.Event(row)
			row++
		case ask:
			err = w.sweep.Ask(m.at)
		}
		if err != nil {
			return err
		}
	}
	w.script = w.script[:0]
	return nil
}

// events makes a batch of the events that wait, with the columns of Reads.
func (w *windows) events() (frame.Batch, error) {
	keys, err := w.keys.take()
	if err != nil {
		return nil, err
	}
	defer keys.Release()
	rest, err := w.rest.take()
	if err != nil {
		return nil, err
	}
	defer rest.Release()
	reads := w.plan.Reads()
	times := timeColumn(reads[w.plan.Time()], w.times)
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
	rows := int64(len(w.times))
	w.times = w.times[:0]
	return array.NewRecordBatch(frame.SchemaOf(reads), columns, rows), nil
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

func (w *windows) take() ([]frame.Batch, error) {
	if err := w.play(); err != nil {
		return nil, err
	}
	rows := int64(w.sweep.Answers())
	values, err := w.sweep.Take()
	if err != nil {
		return nil, err
	}
	defer releaseAll(values)
	return []frame.Batch{array.NewRecordBatch(frame.SchemaOf(w.plan.Outputs()), values, rows)}, nil
}

func releaseAll(arrays []arrow.Array) {
	for _, a := range arrays {
		if a != nil {
			a.Release()
		}
	}
}
