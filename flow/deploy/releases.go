package deploy

import (
	"context"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// Catalog is what the releases need of the catalog.
type Catalog interface {
	Read(ctx context.Context, f func(catalog.Tx) error) error
	Write(ctx context.Context, f func(catalog.Tx) error) error
}

// Releases keeps releases and the live one of each endpoint. It is safe for
// many goroutines.
type Releases struct {
	db    Catalog
	clock clock.Clock
}

// New returns the releases of a catalog.
func New(db Catalog, clock clock.Clock) *Releases { return &Releases{db: db, clock: clock} }

var errBuilding = fault.New(fault.Unsupported, "releases are being built")

// Deploy makes a release of content and makes it live. The content that is
// live already changes nothing; content released before goes live again under
// the number it has.
func (r *Releases) Deploy(ctx context.Context, endpoint string, c Content, by, why string) (Release, error) {
	return Release{}, errBuilding
}

// Live returns the release that an endpoint serves, or a NotFound fault.
func (r *Releases) Live(ctx context.Context, endpoint string) (Release, error) {
	return Release{}, errBuilding
}

// Release returns a release by its id.
func (r *Releases) Release(ctx context.Context, id string) (Release, error) {
	return Release{}, errBuilding
}

// Releases returns the releases of an endpoint, newest first.
func (r *Releases) Releases(ctx context.Context, endpoint string) ([]Release, error) {
	return nil, errBuilding
}

// Endpoints names every endpoint that has a live release.
func (r *Releases) Endpoints(ctx context.Context) ([]string, error) { return nil, errBuilding }

// Rollback makes an earlier release live: the one that to names (number, id
// or prefix of it), or for "" the last one that was live before and is another.
func (r *Releases) Rollback(ctx context.Context, endpoint, to, by string) (Release, error) {
	return Release{}, errBuilding
}

// History returns what was live since when, newest first.
func (r *Releases) History(ctx context.Context, endpoint string) ([]Change, error) {
	return nil, errBuilding
}

// At returns the release that was live at a time.
func (r *Releases) At(ctx context.Context, endpoint string, at time.Time) (Release, error) {
	return Release{}, errBuilding
}

// Watch calls f with the endpoint of every change of a live release, those of
// other replicas included, until ctx ends.
func (r *Releases) Watch(ctx context.Context, f func(endpoint string)) error {
	return errBuilding
}
