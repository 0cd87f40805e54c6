package online

import (
	"context"
	"slices"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/window"
	"github.com/leat-ai/leat/store/online"
)

// rebuilds is how often a chunk of windows is made again for entities that
// somebody pushed to meanwhile.
const rebuilds = 20

// chunkOfEvents makes the windows of some entities anew from all of their
// events in the lake, in place of what is there.
//
// Whoever pushes to both writes the lake first. So the versions of what is
// online are read before the events are: a state that was written before is
// made of events that the lake has by now, and one that was written since has
// another version, and its entity is made again.
func (m *materialiser) chunkOfEvents(ctx context.Context, p part) (wrote, error) {
	w := wrote{Newest: noTime}
	var only map[string]bool // nil: all entities of the chunk
	for range rebuilds {
		versions, err := m.versions(ctx, p, only)
		if err != nil {
			return w, err
		}
		state, err := m.replay(ctx, p, only)
		if err != nil {
			return w, err
		}
		if only == nil {
			w.Entities = int64(state.Size().Keys)
		}
		lost, newest, err := m.replace(ctx, state, versions)
		if err != nil {
			return w, err
		}
		w.Newest = max(w.Newest, newest)
		if len(lost) == 0 {
			return w, nil
		}
		only = lost
	}
	return w, fault.New(fault.Overloaded, "the same entities are pushed to all the time").Hint("materialise the view when less is pushed")
}

// versions reads which states the entities of a chunk have.
func (m *materialiser) versions(ctx context.Context, p part, only map[string]bool) (map[string]uint64, error) {
	versions := map[string]uint64{}
	rows, err := m.Run.Query(ctx, m.view.entitiesSQL(p))
	if err != nil {
		return nil, err
	}
	var found []online.Found
	err = frame.Each(ctx, rows, func(batch frame.Batch) error {
		columns, err := pick(batch, m.view.keys)
		if err != nil {
			return err
		}
		var keys []online.Key
		for row := range int(batch.NumRows()) {
			if key, ok := frame.AppendKey(nil, columns, row); ok && (only == nil || only[string(key)]) {
				keys = append(keys, online.Key{Table: m.Features.table(m.view), Key: key})
			}
		}
		for some := range slices.Chunk(keys, 500) {
			if found, err = m.Features.config.Store.Get(ctx, some, found[:0]); err != nil {
				return err
			}
			for i, f := range found {
				versions[string(some[i].Key)] = f.Version
			}
		}
		return nil
	})
	return versions, err
}

// replay adds the events of a chunk to a state.
func (m *materialiser) replay(ctx context.Context, p part, only map[string]bool) (*window.State, error) {
	state := window.NewState(m.view.plan, window.Bounds{})
	rows, err := m.Run.Query(ctx, m.view.eventsSQL(p))
	if err != nil {
		return nil, err
	}
	err = frame.Each(ctx, rows, func(batch frame.Batch) error {
		_, err := state.Add(batch, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	state.Advance(m.plan.To.UnixMicro()) // what is asked for is as of then, or later
	if only == nil {
		return state, nil
	}
	var others [][]byte
	err = state.Each(func(k window.KeyState) error {
		if !only[string(k.Key)] {
			others = append(others, slices.Clone(k.Key))
		}
		return nil
	})
	for _, key := range others {
		state.Forget(key)
	}
	return state, err
}

// replace writes the states of a chunk and returns the entities that somebody
// wrote meanwhile.
func (m *materialiser) replace(ctx context.Context, state *window.State, versions map[string]uint64) (lost map[string]bool, newest int64, err error) {
	lost, newest = map[string]bool{}, noTime
	now := m.Features.config.Clock.Now().UnixMicro()
	var changes []online.Change
	flush := func() error {
		indices, err := m.Features.config.Store.Swap(ctx, m.Features.table(m.view), changes)
		for _, i := range indices {
			lost[string(changes[i].Key)] = true
		}
		changes = changes[:0]
		return err
	}
	err = state.Each(func(k window.KeyState) error {
		newest = max(newest, k.At)
		changes = append(changes, online.Change{From: versions[string(k.Key)], To: online.NewVersion(),
			Entry: online.Entry{Key: slices.Clone(k.Key), Value: k.State, At: k.At, Expires: m.view.expires(k.At, now)}})
		if len(changes) < 500 {
			return nil
		}
		return flush()
	})
	if err == nil && len(changes) > 0 {
		err = flush()
	}
	return lost, newest, err
}
