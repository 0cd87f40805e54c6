// Package track is the stage that keeps experiments: runs that people log to
// from their own code, with parameters, metrics, tags, data sets, the models
// that came out of them, and files.
//
// Open returns a Track, which has four parts: Experiments group Runs and
// Models, and Artifacts are files by path. A run is logged to while it is
// there: metrics are only ever added, a parameter once logged stays, tags may
// change. Nothing but tags and artifacts is ever removed: Delete marks, and
// Restore takes the mark away.
//
// All of it lies in the catalog, the bytes of artifacts in the blob store
// under their digests. Searches (see the package filter below for their
// language) run over rows that are kept in memory, bounded, and brought up to
// date from the catalog each time: a search sees what any replica wrote
// before it.
package track

import (
	"context"
	"io"
	"strings"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/catalog"
)

// Blobs is what artifacts need of the blob store.
type Blobs interface {
	Put(ctx context.Context, r io.Reader) (blob.Digest, int64, error)
	Open(ctx context.Context, d blob.Digest) (io.ReadCloser, error)
}

// Track is what people log to. Its parts are safe for many goroutines, and
// for many replicas on one catalog.
type Track struct {
	Experiments *Experiments
	Runs        *Runs
	Models      *Models
	Artifacts   *Artifacts
}

// Config says how much memory searches may keep.
type Config struct {
	// Memory bounds, in bytes, what is kept of runs, and again of models and
	// of experiments: 128 MiB when 0. An experiment that alone is over it is
	// read anew by every search.
	Memory int64
}

// Open returns the tracking of a catalog and a blob store, and makes the
// experiment with the id 0, named Default, when it is not there.
func Open(ctx context.Context, db catalog.Database, blobs Blobs, c clock.Clock, config Config) (*Track, error) {
	if config.Memory == 0 {
		config.Memory = 128 << 20
	}
	s := &shared{db: db, clock: c}
	t := &Track{
		Experiments: newExperiments(s, config.Memory),
		Runs:        newRuns(s, config.Memory),
		Models:      newModels(s, config.Memory),
		Artifacts:   &Artifacts{shared: s, blobs: blobs},
	}
	return t, t.Experiments.makeDefault(ctx)
}

// shared is what the parts have in common.
type shared struct {
	db    catalog.Database
	clock clock.Clock
}

// now is the time in milliseconds, the unit of all that is logged.
func (s *shared) now() int64 { return s.clock.Now().UnixMilli() }

// scheme is how the address of an artifact begins that Artifacts keeps: what
// follows is its path.
const scheme = "mlflow-artifacts:/"

// PathOf returns the path of an artifact's address, or ok false for what lies
// elsewhere.
func PathOf(address string) (path string, ok bool) {
	rest, ok := strings.CutPrefix(address, scheme)
	return strings.Trim(rest, "/"), ok && !strings.HasPrefix(rest, "//") // a host of its own
}

// beneath appends elements to an address.
func beneath(address string, elements ...string) string {
	return strings.TrimRight(address, "/") + "/" + strings.Join(elements, "/")
}

func gone(err error, what string, args ...any) error {
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, what, args...)
	}
	return err
}
