package online

import (
	"context"
	"slices"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/window"
	"github.com/leat-ai/leat/store/online"
)

// attempts is how often a push reads states again that others wrote meanwhile.
// Each time somebody has written, so it ends in the end.
const attempts = 1000

// pushEvents adds events to the states of their entities: read, add, write
// where nobody wrote meanwhile, and again with the entities that somebody did.
func (f *Features) pushEvents(ctx context.Context, v *View, batch frame.Batch, ids []string) (Pushed, error) {
	columns, err := pick(batch, v.rows)
	if err != nil {
		return Pushed{}, err
	}
	e := &events{view: v, table: f.table(v), batch: batch, ids: ids, newest: noTime}
	p := Pushed{}
	for row := range int(batch.NumRows()) {
		key, ok := frame.AppendKey(nil, columns[:len(v.keys)], row)
		if !ok || timeAt(columns[v.when], row) == noTime {
			p.Nobody++
			continue
		}
		at := timeAt(columns[v.when], row)
		e.open = append(e.open, event{row: row, key: string(key), at: at})
		e.newest = max(e.newest, at)
		p.Rows++
	}
	if p.Rows == 0 {
		return p, nil
	}
	for range attempts {
		if len(e.open) == 0 {
			return p, f.put(ctx, v, []online.Entry{mark(e.newest, f.config.Clock.Now().UnixMicro())})
		}
		if err := f.tryEvents(ctx, e); err != nil {
			return p, err
		}
	}
	return p, fault.New(fault.Overloaded, "others write the same entities all the time").Hint("push again, with ids of the events")
}

// events are those that are not in the store yet.
type events struct {
	view   *View
	table  string
	batch  frame.Batch
	ids    []string
	open   []event
	newest int64
}

type event struct {
	row int
	key string
	at  int64
}

// tryEvents adds the open events and leaves those open whose entities somebody
// wrote meanwhile.
func (f *Features) tryEvents(ctx context.Context, e *events) error {
	keys, places := e.keys()
	found, err := f.config.Store.Get(ctx, keys, nil)
	if err != nil {
		return err
	}
	state := window.NewState(e.view.plan, window.Bounds{})
	for i, s := range found {
		if len(s.Value) == 0 {
			continue
		}
		if err := state.Load(window.KeyState{Key: keys[i].Key, State: s.Value, At: s.At}); err != nil {
			return err
		}
	}
	if err := e.add(state); err != nil {
		return err
	}
	now := f.config.Clock.Now().UnixMicro()
	state.Advance(e.watermark(found, places, now))
	var changes []online.Change
	for _, k := range state.Dirty() {
		changes = append(changes, online.Change{From: found[places[string(k.Key)]].Version, To: online.NewVersion(),
			Entry: online.Entry{Key: k.Key, Value: k.State, At: k.At, Expires: e.view.expires(k.At, now)}})
	}
	lost, err := f.config.Store.Swap(ctx, e.table, changes)
	if err != nil {
		return err
	}
	again := map[string]bool{}
	for _, i := range lost {
		again[string(changes[i].Key)] = true
	}
	open := e.open[:0]
	for _, event := range e.open {
		if again[event.key] {
			open = append(open, event)
		}
	}
	e.open = open
	return nil
}

// keys lists the entities of the open events, each once, and where each is.
func (e *events) keys() ([]online.Key, map[string]int) {
	places := make(map[string]int, len(e.open))
	var keys []online.Key
	for _, event := range e.open {
		if _, twice := places[event.key]; !twice {
			places[event.key] = len(keys)
			keys = append(keys, online.Key{Table: e.table, Key: []byte(event.key)})
		}
	}
	return keys, places
}

// add adds the open events to a state, in runs of rows that stand together.
func (e *events) add(state *window.State) error {
	for from := 0; from < len(e.open); {
		to := from + 1
		for to < len(e.open) && e.open[to].row == e.open[to-1].row+1 {
			to++
		}
		first, last := e.open[from].row, e.open[to-1].row+1
		var ids []string
		if e.ids != nil {
			ids = e.ids[first:last]
		}
		part := e.batch.NewSlice(int64(first), int64(last))
		_, err := state.Add(part, ids)
		part.Release()
		if err != nil {
			return err
		}
		from = to
	}
	return nil
}

// watermark is the time before which, less the lateness, nobody asks: that of
// the newest event of the entity that has the oldest one. It is not the
// present, because events of the past are pushed and asked for as of their
// time, too; and not after it, for an event from the future forgets nothing.
func (e *events) watermark(found []online.Found, places map[string]int, now int64) int64 {
	newest := make([]int64, len(found))
	for i, f := range found {
		newest[i] = noTime
		if f.OK {
			newest[i] = f.At
		}
	}
	for _, event := range e.open {
		at := places[event.key]
		newest[at] = max(newest[at], event.at)
	}
	return min(now, slices.Min(newest))
}
