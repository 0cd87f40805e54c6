package knowledge

import (
	"context"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// Live returns the snapshot that is asked when none is named.
func (s *Store) Live(ctx context.Context, knowledge string) (Snapshot, error) {
	return s.liveAt(ctx, knowledge, time.Time{})
}

// AsOf returns the snapshot that was live at a time.
func (s *Store) AsOf(ctx context.Context, knowledge string, at time.Time) (Snapshot, error) {
	return s.liveAt(ctx, knowledge, at)
}

func (s *Store) liveAt(ctx context.Context, knowledge string, at time.Time) (Snapshot, error) {
	if _, err := s.spec(knowledge); err != nil {
		return Snapshot{}, err
	}
	var found stored
	err := s.deps.DB.Read(ctx, func(tx catalog.Tx) error {
		changes, err := s.changes(ctx, tx, knowledge, at, 1)
		switch {
		case err != nil:
			return err
		case len(changes) == 0 && at.IsZero():
			return fault.New(fault.NotFound, "%q has no snapshot yet", knowledge).Hint("`leat knowledge sync %s` reads its sources", knowledge)
		case len(changes) == 0:
			return fault.New(fault.NotFound, "%q had no snapshot yet at %s", knowledge, at.Format(time.RFC3339))
		}
		found, err = s.named(ctx, tx, knowledge, changes[0].Snapshot)
		return err
	})
	if err != nil {
		return Snapshot{}, err
	}
	found.Live = at.IsZero()
	return found.Snapshot, found.usable(knowledge)
}

// Snapshot returns one by its name.
func (s *Store) Snapshot(ctx context.Context, knowledge, name string) (Snapshot, error) {
	if _, err := s.spec(knowledge); err != nil {
		return Snapshot{}, err
	}
	var found stored
	err := s.deps.DB.Read(ctx, func(tx catalog.Tx) (err error) {
		found, err = s.named(ctx, tx, knowledge, name)
		return err
	})
	if err != nil {
		return Snapshot{}, err
	}
	return found.Snapshot, found.usable(knowledge)
}

// usable tells whether a snapshot can be asked.
func (st stored) usable(knowledge string) error {
	switch st.State {
	case Dropped:
		return fault.New(fault.NotFound, "the snapshot %q of %q is not kept any more", st.Name, knowledge).Hint("`keep` says how many are")
	case Rejected:
		return fault.New(fault.NotFound, "the snapshot %q of %q did not pass the gate", st.Name, knowledge)
	}
	return nil
}
