package local

import (
	"context"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// sweepRows is how many entries are deleted in one step.
const sweepRows = 1000

// sweeper deletes what has expired, now and then, until ctx ends.
func (s *Store) sweeper(ctx context.Context) {
	tick := time.NewTicker(s.config.Sweep)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if n, err := s.sweep(ctx); err != nil && ctx.Err() == nil {
				s.config.Log.Warn("online features were not swept", "deleted", n, "error", err)
			}
		}
	}
}

// sweep deletes every entry that has expired and returns how many.
func (s *Store) sweep(ctx context.Context) (deleted int, err error) {
	for from := []byte(nil); ; {
		places, next, err := s.expired(ctx, from)
		if err != nil {
			return deleted, err
		}
		n, err := s.remove(ctx, places)
		deleted += n
		if err != nil || next == nil {
			return deleted, err
		}
		from = next
	}
}

// expired finds some places that have expired, from one on, and where to look
// on: nil at the end.
func (s *Store) expired(ctx context.Context, from []byte) (places [][]byte, next []byte, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, nil, err
	}
	defer s.leave()
	it, err := s.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: from})
	if err != nil {
		return nil, nil, wrap(err)
	}
	defer it.Close()
	now, seen := s.config.Clock.Now().UnixMilli(), 0
	for it.First(); it.Valid(); it.Next() {
		if seen++; seen > 100*sweepRows || len(places) == sweepRows { // an open iterator keeps files
			return places, append([]byte(nil), it.Key()...), nil
		}
		stored, err := it.ValueAndErr()
		if err != nil {
			return nil, nil, wrap(err)
		}
		if h, _, ok := split(stored); ok && h.expired(now) {
			places = append(places, append([]byte(nil), it.Key()...))
		}
	}
	return places, nil, wrap(it.Error())
}

// remove deletes places that have expired, unless they were written again
// meanwhile.
func (s *Store) remove(ctx context.Context, places [][]byte) (int, error) {
	if len(places) == 0 {
		return 0, nil
	}
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.leave()
	for i := range s.stripes {
		s.stripes[i].Lock()
		defer s.stripes[i].Unlock()
	}
	b, now, n := s.db.NewBatch(), s.config.Clock.Now().UnixMilli(), 0
	defer b.Close()
	for _, place := range places {
		if h, _, err := s.read(place, now, nil); err != nil {
			return 0, err
		} else if h.version != 0 {
			continue
		}
		if err := b.Delete(place, nil); err != nil {
			return 0, wrap(err)
		}
		n++
	}
	return n, wrap(s.db.Apply(b, pebble.NoSync))
}
