package registry

import (
	"context"
	"time"

	"github.com/leat-ai/leat/store/catalog"
)

// Copy registers a version as one of another model, or as a newer one of its
// own. What it answers, and what is known of its making, stays; the source is
// where it was copied from.
func (r *Registry) Copy(ctx context.Context, from Version, to, source string, n Notes, by string) (Version, error) {
	if err := checkName(to); err != nil {
		return Version{}, err
	}
	made := from
	made.Model, made.Manifest.Edition, made.Gates = to, "", nil
	made.Lineage.Source = source
	made.CreatedAt, made.CreatedBy = r.clock.Now().Truncate(time.Microsecond), by
	v := made
	err := r.db.Write(ctx, func(tx catalog.Tx) error {
		v = made
		return r.add(ctx, tx, &v, NewVersion{Distinct: true, Notes: n})
	})
	return v, err
}
