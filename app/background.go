package app

import (
	"context"
	"errors"
	"runtime/debug"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide/record"
	"github.com/leat-ai/leat/flow/feature/tables"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/spec"
)

// How often the loops in the background look for something to do.
const (
	compactRecords = 5 * time.Second
	maintainLake   = time.Hour
	orphanAge      = 48 * time.Hour // longer than any run takes from its first file to its commit
)

// openBackground brings about what the resources in force ask for, and starts
// what goes on beside requests: following releases that other replicas make,
// moving records into the lake, keeping the lake tidy.
func (a *App) openBackground(ctx context.Context) (func(context.Context) error, error) {
	a.life, a.background = context.WithCancel(context.WithoutCancel(ctx))
	if err := a.converge(ctx, "start", spec.Plan{}); err != nil {
		a.log.Warn("not all of the project could be brought about", "error", err)
	}
	a.loops.Go(func() {
		if err := a.releases.Watch(a.life, a.serve); err != nil && !errors.Is(err, context.Canceled) {
			a.log.Error("releases are not followed any more", "error", err)
		}
	})
	a.loops.Go(func() { // what a crash left in the log and in the lake is then only in the lake
		if err := a.compactRecords(a.life); err != nil && a.life.Err() == nil {
			a.log.Error("decisions stay in the log", "error", err)
		}
	})
	a.loops.Go(func() {
		if err := a.webhooks.Run(a.life); err != nil && !errors.Is(err, context.Canceled) {
			a.log.Error("webhooks are not told any more", "error", err)
		}
	})
	a.runEvents()
	a.loops.Go(a.settleDown)
	a.every(compactRecords, a.compactInQuiet)
	a.every(maintainLake, a.maintain)
	a.every(syncSoon, a.syncWanted)
	a.every(renewAssistants, a.renew)
	a.every(tidyLedger, a.gateway.Tidy)
	a.every(watchFeatures, a.measureFeatures)
	return a.stopBackground, nil
}

// settled is how long after its start a server has its start behind it.
const settled = 2 * time.Second

// settleDown gives back the memory that only the start needed.
func (a *App) settleDown() {
	select {
	case <-a.life.Done():
		return
	case <-time.After(settled):
	}
	debug.FreeOSMemory()
	if err := dropText(); err != nil {
		a.log.Debug("the program's text stays in memory", "error", err)
	}
}

func (a *App) stopBackground(ctx context.Context) error {
	a.background()
	done := make(chan struct{})
	go func() { a.loops.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fault.New(fault.Timeout, "work in the background did not end in time")
	}
}

// every calls f at intervals for as long as the app lives.
func (a *App) every(interval time.Duration, f func(context.Context) error) {
	a.loops.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-a.life.Done():
				return
			case <-ticker.C:
			}
			if err := f(a.life); err != nil && a.life.Err() == nil {
				a.log.Error("work in the background failed", "error", err)
			}
		}
	})
}

// Records wait for nothing and requests for the same processors: so records
// are moved when the process has little to do, until this many segments wait.
const (
	quiet        = 0.3 // of the processors
	mostDeferred = 32  // segments
)

// compactInQuiet is compactRecords for when there is time, or need.
func (a *App) compactInQuiet(ctx context.Context) error {
	if a.meter.share() > quiet && a.records.Stats().Segments <= mostDeferred {
		return nil
	}
	return a.compactRecords(ctx)
}

// compactRecords moves finished segments of decisions into the lake.
func (a *App) compactRecords(ctx context.Context) error {
	_, err := a.records.Compact(ctx, recordSink{a.lake, a.rest})
	return err
}

// recordSink is the lake as the decision log sees it.
type recordSink struct {
	lake *lake.Lake
	rest func() int // how long to rest for each part of time that it works
}

// Stage writes a segment to a file, which commit adds to the table once.
func (s recordSink) Stage(ctx context.Context, segment string, rows frame.Reader) (commit func(context.Context) error, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	t, err := s.lake.Ensure(ctx, record.Table, record.Columns())
	if err != nil {
		return nil, err
	}
	w, err := t.Stage(ctx, segment)
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	if err := frame.Each(ctx, rows, paced(ctx, s.rest(), w.Write)); err != nil {
		return nil, err
	}
	f, err := w.Finish(ctx)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		_, err := t.CommitFiles(ctx, []string{f.Path}, lake.Commit{ID: segment})
		return err
	}, nil
}

// paced writes with rests in between.
func paced(ctx context.Context, rest int, write func(frame.Batch) error) func(frame.Batch) error {
	begun := time.Now()
	return func(b frame.Batch) error {
		if err := write(b); err != nil {
			return err
		}
		worked := time.Since(begun) // the reading of the batch is part of it
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(rest) * worked):
		}
		begun = time.Now()
		return nil
	}
}

// rest is how long moving records rests for each part of time that it works:
// less, the more of them wait.
func (a *App) rest() int {
	switch waiting := a.records.Stats().Segments; {
	case waiting <= mostDeferred:
		return 15
	case waiting <= 2*mostDeferred:
		return 4
	}
	return 0
}

// maintain compacts small files, and lets go of old snapshots and of files
// that no snapshot has.
func (a *App) maintain(ctx context.Context) error {
	names, err := a.lake.Tables(ctx)
	if err != nil {
		return err
	}
	var mistakes fault.List
	for _, name := range names {
		mistakes.Add(a.tidy(ctx, name))
	}
	return mistakes.Err()
}

func (a *App) tidy(ctx context.Context, table string) error {
	if _, err := a.lake.Compact(ctx, table, lake.CompactOptions{}); err != nil {
		return err
	}
	if strings.HasPrefix(table, tables.Table("")) {
		return nil // releases, of which any may go live again, hold its snapshots
	}
	if _, err := a.lake.Expire(ctx, table, a.config.Retain); err != nil {
		return err
	}
	_, err := a.lake.Clean(ctx, table, max(orphanAge, a.config.Retain))
	return err
}
