// Package work runs what takes long: durable runs made of steps, that go on
// after a kill where they were, retry what may pass, can be cancelled, and
// start by themselves on a schedule.
//
// A stage says what a kind of run does with Define; Start begins one and
// returns at once; Get, Watch and Wait tell how it goes. A step that finished
// is never done again; a step that was interrupted is done again from its
// beginning, so a step's effect must be the same when it happens twice
// (content-addressed files, one commit under the run's id). A step is known
// by its name, which must be unique in its run and the same after a restart;
// the order in which steps finish does not matter.
//
// Underneath is a durable-workflow library (DBOS) on SQLite or PostgreSQL;
// nothing outside this package sees it. It keeps a row per run and a row per
// finished step, each durable before the call that made it returns: SQLite is
// opened with synchronous=FULL, which that library would not do by itself.
// Progress lives in memory only.
//
// A failed or cancelled run can be resumed under the same id with Retry: the
// finished steps stay finished. Places prepared and not built: approvals (a
// step that waits for a message to the run), and the takeover of a dead
// worker's runs by another (today a run belongs to its Executor for life).
package work

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
)

// Config says where runs are kept and who this process is.
type Config struct {
	// URL is "sqlite:PATH", a file of its own, or "postgres://…", where most
	// tables get the schema leat_work, so that it may be the catalog's database.
	URL string
	// Executor names this process; runs that it left unfinished are continued
	// by the next process of the same name. "local" when empty.
	Executor string
	Logger   *slog.Logger // discards when nil
	Clock    clock.Clock  // clock.System when nil
	// Span, when set, begins a span of a trace around each step; what it
	// returns ends it.
	Span func(ctx context.Context, name string) (context.Context, func(error))
	// Ended, when set, is told of every run that succeeded or failed, before
	// that is kept: so it may be told twice of one, after a kill, but never not
	// at all. Cancelled runs are not told. An error has it told again for a
	// while.
	Ended func(ctx context.Context, r Ended) error
	// Keep is how long ended runs stay listed: 30 days when 0, for ever when
	// negative.
	Keep time.Duration
}

// applicationVersion marks the rows of runs. The library continues only runs
// of its own version and would take a hash of the binary, so that an upgrade
// would strand what is under way; it is fixed here, and a change to what
// steps mean is the business of the kind that defines them.
const applicationVersion = "leat-1"

// recoveries is how often a run is begun again before it counts as what kills
// the process.
const recoveries = 500

const defaultKeep = 30 * 24 * time.Hour

// Engine runs what is defined. Make one with Open, Define the kinds, Launch
// it, and Close it at the end. Its methods are safe for many goroutines.
type Engine struct {
	config Config
	log    *slog.Logger
	clock  clock.Clock
	db     *sql.DB // of the schedules; the same database as the library's
	dbos   dbos.Context
	stop   context.CancelFunc // ends what Launch began
	close  []func()           // closes pools, in reverse
	ended  sync.WaitGroup

	mu        sync.Mutex
	kinds     map[string]*kind
	schedules map[string]*schedule
	active    map[string]*Run // runs that this process works on
	mistakes  fault.List      // of Define, reported by Launch
	launched  bool
	closed    bool
}

// Open opens the database of runs and prepares its tables. Nothing runs
// before Launch.
func Open(ctx context.Context, c Config) (*Engine, error) {
	if c.Executor == "" {
		c.Executor = "local"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Keep == 0 {
		c.Keep = defaultKeep
	}
	e := &Engine{
		config: c, log: c.Logger, clock: c.Clock, stop: func() {},
		kinds: map[string]*kind{}, schedules: map[string]*schedule{}, active: map[string]*Run{},
	}
	if err := e.open(ctx); err != nil {
		e.closePools()
		return nil, err
	}
	return e, nil
}

// Launch continues the runs that a former process of the same Executor left
// unfinished, starts the schedules, and lets Start begin new runs. It reports
// every mistake that Define and Schedule found.
func (e *Engine) Launch(ctx context.Context) error {
	e.mu.Lock()
	if err := e.mistakes.Err(); err != nil {
		e.mu.Unlock()
		return err
	}
	if e.launched {
		e.mu.Unlock()
		return fault.New(fault.Internal, "the engine of runs is launched already")
	}
	e.launched = true
	e.mu.Unlock()

	if err := dbos.Launch(e.dbos); err != nil {
		return fault.Wrap(err, fault.Unavailable, "the engine of runs cannot start")
	}
	ctx, e.stop = context.WithCancel(context.WithoutCancel(ctx))
	e.ended.Go(func() { e.keepSchedules(ctx) })
	e.ended.Go(func() { e.keepRetention(ctx) })
	e.ended.Go(func() { e.keepStranded(ctx) })
	return nil
}

// Close stops the engine: running steps see their context end, and their runs
// go on at the next Launch. It waits until they returned or ctx ended. It is
// safe to call twice and without Launch.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	closed := e.closed
	e.closed = true
	e.mu.Unlock()
	if closed {
		return nil
	}
	e.stop()
	e.ended.Wait()
	limit := 30 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		limit = max(time.Until(deadline), time.Millisecond)
	}
	err := dbos.Shutdown(e.dbos, limit)
	e.closePools()
	return fault.Wrap(err, fault.Timeout, "runs did not stop in time")
}

func (e *Engine) closePools() {
	for i := len(e.close) - 1; i >= 0; i-- {
		e.close[i]()
	}
}

// asFault gives an error of the library the kind that fits.
func asFault(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	kind := fault.Unavailable
	switch {
	case errors.Is(err, dbos.ErrNonExistentWorkflow):
		kind = fault.NotFound
	case errors.Is(err, dbos.ErrUnexpectedWorkflow), errors.Is(err, dbos.ErrConflictingWorkflowID):
		kind = fault.Conflict
	case errors.Is(err, context.Canceled):
		kind = fault.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		kind = fault.Timeout
	}
	return fault.Wrap(err, kind, format, args...)
}
