// Package stream decides on events as they arrive.
//
// It is the driver of the decision path for topics of a bus: events come in
// micro-batches, are decoded and changed by the steps of a Stream, feed the
// windows of feature views, are decided by an endpoint's live release and
// published. New makes the Streams of a server, Converge starts and ends those
// that the resources in force ask for.
//
//	fetch → decode → steps → drop known ids → event time → windows → decide
//	      → route → publish → commit → acknowledge
//
// What is promised:
//
//   - The commit is one transaction of the catalog: the next offsets, what was
//     added to the windows, and the ids of the events. A kill between any two
//     steps repeats work and never a decision: ids of decisions are made of
//     the stream and the event's id, and what is published carries the event's
//     id, by which the bus or the reader knows it again.
//   - Windows see each event once, in the order of its partition, and give a
//     decision what they held before its event, whatever the batches were.
//   - Of two servers that claim one partition only one commits: a claim raises
//     the epoch of the partition, and a commit names the epoch that it is of.
//     No clock is asked: a claim is taken over when its owner gave no sign of
//     life for a while that the next one measured itself.
//   - Memory is bounded: one batch is being fetched, one worked on and one
//     published. A slow target slows the source.
//   - An event that cannot be dealt with goes to the dead letters, with the
//     reason. They are bounded, and when they are full the stream stops: nothing
//     is dropped. What fails because somebody is away is tried until they are
//     back.
//
// Files: streams.go the set of streams, runner.go the life of one, session.go
// its three goroutines, prepare.go and decide.go what happens to a batch,
// ledger.go what the catalog keeps.
package stream

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/pattern/stream/codec"
	"github.com/leat-ai/leat/pattern/stream/function"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/catalog"
)

// Topics opens what streams read from and publish to, by the addresses that
// resources have: backends and app join it to the buses, the lake and the
// rest.
type Topics interface {
	Source(ctx context.Context, s spec.Stream, from string) (Source, error)
	Target(ctx context.Context, s spec.Stream, to string) (Target, error)
}

// Source is a topic to read. Closing it is the business of who opened it, but
// for the readers.
type Source interface {
	// Positioned and Reader are those of bus.Bus, of one topic.
	Positioned() bool
	Reader(ctx context.Context, o bus.ReadOptions) (bus.Reader, error)
	// Partitions lists the partitions where nobody shares them out
	// (bus.Divider), nil where somebody does.
	Partitions(ctx context.Context) ([]string, error)
	Close() error
}

// Target is where events go. Its methods are called by one goroutine.
type Target interface {
	// Publish returns once everything is durable. After an error the same is
	// published again, under the same Name.
	Publish(ctx context.Context, p Publication) error
	Close() error
}

// Publication is what one micro-batch has for a target.
type Publication struct {
	// Name is the same whenever this publication is tried again, also by
	// another process, where the target is Exact.
	Name   string
	Events []bus.Event
	Rows   frame.Batch // the same as columns, for targets that are Tabular or Exact
}

// Exact is a Target that knows what it has by the name of the publication.
// The batches of its streams are cut at the same events whenever they are
// repeated.
type Exact interface{ Exact() }

// Tabular is a Target that takes Publication.Rows; others get Events alone. An
// Exact one does too.
type Tabular interface{ Tabular() }

// Decider is the decision path: decide.Router with the outputs of an endpoint.
type Decider interface {
	Decide(ctx context.Context, endpoint string, q decide.Request) (*decide.Answer, error)
}

// Transform is a step that runs a function of the user's: function.Function.
// It is safe for many goroutines.
type Transform interface {
	// Schema has the columns of the rows that Apply returns.
	Schema() []frame.Column
	Apply(ctx context.Context, in frame.Batch) (function.Result, error)
	Close() error
}

// Answered tells which keys of an endpoint were answered in real time:
// decide.Ledger.
type Answered interface {
	Answered(ctx context.Context, endpoint string, keys []string) (map[string]bool, error)
}

// Deps is what streams work with.
type Deps struct {
	DB      catalog.Database
	Topics  Topics
	Decider Decider
	Codec   func(ctx context.Context, s spec.Stream) (codec.Codec, error)
	// Function opens the function of a step for rows of some columns; nil: there
	// are none here.
	Function func(ctx context.Context, f spec.StreamFunction, in []frame.Column) (Transform, error)
	// Views finds feature views by their names; nil: there are none.
	Views func(ctx context.Context, names []string) ([]spec.FeatureView, error)
	// Online writes events to where real time reads the values of views, before
	// their batch is committed: it may see the same events again, by the same
	// ids. nil: there is no such place.
	Online func(ctx context.Context, views []string, rows frame.Batch, ids []string) error
	// Answered may be nil.
	Answered Answered
	// Happened tells the house of events of its own, such as stream.dead; nil:
	// nobody listens.
	Happened  func(ctx context.Context, event, stream string, detail map[string]string)
	Clock     clock.Clock
	Log       *slog.Logger
	Telemetry *telemetry.Telemetry
	// Owner names this server among those that share the catalog; the same
	// server has the same after a restart, and goes on at once.
	Owner string
	// Shared says that other servers may work on the same catalog: signs of life
	// are given.
	Shared bool
	// Idle says that this process only looks: it steers streams and shows them,
	// and works on none.
	Idle bool
	// Lease is how long an owner may give no sign of life; 5 s when 0.
	Lease time.Duration
	// Drain is how long what is under way may take to its end when a stream
	// stops; 5 s when 0.
	Drain time.Duration
	// Backoff is the first wait before what failed is tried again; it doubles up
	// to 100 times itself. 50 ms when 0.
	Backoff time.Duration
	// Elapsed is a clock that no step of the wall clock moves; that of the
	// machine when nil.
	Elapsed func() time.Duration
}

// backoff is the wait after a number of failures, of which a part is drawn so
// that many who failed together do not come back together.
func (d Deps) backoff(failures int) time.Duration {
	wait := min(100*d.Backoff, d.Backoff<<min(max(failures, 0), 10))
	return wait/2 + rand.N(wait/2+1)
}

func (d Deps) withDefaults() Deps {
	if d.Clock == nil {
		d.Clock = clock.System{}
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Lease == 0 {
		d.Lease = 5 * time.Second
	}
	if d.Backoff == 0 {
		d.Backoff = 50 * time.Millisecond
	}
	if d.Drain == 0 {
		d.Drain = 5 * time.Second
	}
	if d.Owner == "" {
		d.Owner = "local"
	}
	if d.Elapsed == nil {
		begun := time.Now()
		d.Elapsed = func() time.Duration { return time.Since(begun) }
	}
	if d.Happened == nil {
		d.Happened = func(context.Context, string, string, map[string]string) {}
	}
	return d
}
