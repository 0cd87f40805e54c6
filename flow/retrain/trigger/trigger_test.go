package trigger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/flow/retrain/trigger"
	"github.com/leat-ai/leat/internal/killtest"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/postgres"
	"github.com/leat-ai/leat/store/catalog/sqlite"
	"github.com/leat-ai/leat/work"
)

func TestMain(m *testing.M) { killtest.Main(m, killtest.Jobs{"chain": chain}) }

// resources are a project's, of its text.
func resources(text string) ([]spec.Resource, error) {
	p, err := spec.LoadFiles(map[string]string{"a.yaml": text}, spec.Options{})
	if err != nil {
		return nil, err
	}
	return p.Resources, nil
}

const project = `
{kind: Source, name: orders, from: "in/*.csv"}
---
{kind: Pipeline, name: learn, steps: [{ingest: {sources: [orders]}}]}
---
{kind: Pipeline, name: second, steps: [{ingest: {sources: [orders]}}]}
---
{kind: Trigger, name: landed, on: file.landed, where: "bytes > 10", start: {pipeline: learn}}
---
{kind: Trigger, name: after, on: [run.finished, run.failed], where: "name = 'learn'", start: {pipeline: second}}
---
{kind: Trigger, name: tell, on: run.finished, where: "name = 'second'", start: {webhook: "https://example.com/hook"}}
`

// house is triggers with what is around them.
type house struct {
	*trigger.Triggers
	mu      sync.Mutex
	started []string
	posted  []string
	fail    error
	text    string
}

func (h *house) Start(_ context.Context, kind spec.Kind, name, id, by string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.started = append(h.started, fmt.Sprintf("%s %s %s by %s", kind, name, id, by))
	return h.fail
}

func (h *house) Post(_ context.Context, _ catalog.Tx, name, _, payload string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.posted = append(h.posted, name+" "+payload)
	return nil
}

func newHouse(_ *testing.T, db catalog.Database, c clock.Clock) *house {
	h := &house{text: project}
	h.Triggers = trigger.New(trigger.Config{DB: db, Starter: h, Outbox: h, Source: "/test", Clock: c,
		Resources: func(context.Context) ([]spec.Resource, error) { return resources(h.text) }})
	return h
}

// until runs the triggers until a condition holds.
func (h *house) until(t *testing.T, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	for !holds() && ctx.Err() == nil {
		time.Sleep(2 * time.Millisecond)
	}
	if ctx.Err() != nil {
		t.Error("what was waited for did not come about")
	}
	cancel()
	<-done
}

// quiet tells whether every event was looked at and every start settled.
func (h *house) quiet(t *testing.T, db catalog.Database) func() bool {
	return func() bool {
		var open int
		err := db.Read(t.Context(), func(tx catalog.Tx) error {
			return tx.Row(t.Context(), `SELECT (SELECT COUNT(*) FROM events WHERE told = FALSE) +
				(SELECT COUNT(*) FROM trigger_starts WHERE state = 'waiting')`, nil, &open)
		})
		if err != nil {
			t.Error(err)
		}
		return open == 0 || err != nil
	}
}

func landed(n int, bytes int64) trigger.Event {
	return trigger.Event{ID: fmt.Sprintf("file.landed/orders/%d", n), Type: spec.EventFileLanded, Subject: "orders",
		Fields: map[string]expr.Value{"source": expr.String("orders"), "file": expr.String(fmt.Sprint(n)), "bytes": expr.Int(bytes)}}
}

func open(t *testing.T) *catalog.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "catalog.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestEventsStartOnce(t *testing.T) {
	for name, db := range map[string]func(t *testing.T) *catalog.DB{"sqlite": open, "postgres": func(t *testing.T) *catalog.DB {
		db, err := postgres.Open(t.Context(), postgres.Config{URL: testserver.Postgres(t).URL(t)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}} {
		t.Run(name, func(t *testing.T) { startOnce(t, db(t)) })
	}
}

func startOnce(t *testing.T, db *catalog.DB) {
	h, other := newHouse(t, db, clock.System{}), newHouse(t, db, clock.System{}) // two replicas
	var all sync.WaitGroup
	for _, r := range []*house{h, other} {
		all.Go(func() {
			for n := range 20 {
				if err := r.Tell(t.Context(), landed(n, int64(n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	all.Go(func() { other.until(t, other.quiet(t, db)) })
	h.until(t, h.quiet(t, db))
	all.Wait()
	started := append(h.started, other.started...)
	slices.Sort(started)
	if len(started) != 9 || len(slices.Compact(slices.Clone(started))) != 9 {
		t.Errorf("%d starts: %s", len(started), strings.Join(started, "\n"))
	}
	list, err := h.List(t.Context(), trigger.Filter{Types: []string{spec.EventFileLanded}})
	if err != nil || len(list) != 20 {
		t.Fatal(len(list), err)
	}
	for _, e := range list {
		if big := e.Fields["bytes"].I > 10; big != (len(e.Starts) == 1) || big && (e.Starts[0].State != "started" || !strings.HasPrefix(e.Starts[0].Run, "learn-by-landed-")) {
			t.Errorf("%v", e)
		}
	}
	later, err := h.List(t.Context(), trigger.Filter{After: list[5].Seq, Limit: 3})
	if err != nil || len(later) != 3 || later[0].Seq != list[5].Seq+1 {
		t.Error(later, err)
	}
}

func TestWebhooksAreTold(t *testing.T) {
	db := open(t)
	h := newHouse(t, db, clock.System{})
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	err := h.Tell(t.Context(), trigger.Event{ID: "run.finished/r1", Type: spec.EventRunFinished, Subject: "second", At: at,
		Fields: map[string]expr.Value{"run": expr.String("r1"), "kind": expr.String("pipeline"), "name": expr.String("second"), "seconds": expr.Double(1.5)}})
	if err != nil {
		t.Fatal(err)
	}
	h.until(t, h.quiet(t, db))
	want := `tell {"specversion":"1.0","id":"run.finished/r1","source":"/test","type":"leat.run.finished","subject":"second","time":"2026-11-22T10:00:00Z",` +
		`"datacontenttype":"application/json","data":{"kind":"pipeline","name":"second","run":"r1","seconds":1.5}}`
	if len(h.posted) != 1 || h.posted[0] != want {
		t.Error(h.posted)
	}
}

// TestSignalStartsPipelines: on.signal of a pipeline is a trigger like others.
func TestSignalStartsPipelines(t *testing.T) {
	db := open(t)
	h := newHouse(t, db, clock.System{})
	h.text = `
{kind: Source, name: orders, from: "in/*.csv"}
---
{kind: Endpoint, name: e, model: m@champion}
---
{kind: Model, name: m}
---
{kind: Monitor, name: drift, watch: e, signals: [{psi: amount, above: 0.2}]}
---
{kind: Pipeline, name: again, on: {signal: drift}, steps: [{ingest: {sources: [orders]}}]}
`
	at := time.UnixMicro(1_700_000_000_000_000)
	for _, column := range []string{"a", "b"} { // readings of one look
		err := h.Tell(t.Context(), trigger.Event{ID: "signal.fired/drift/" + column, Type: spec.EventSignal, Subject: "drift", At: at,
			Fields: map[string]expr.Value{"monitor": expr.String("drift"), "signal": expr.String("psi:" + column)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	h.until(t, h.quiet(t, db))
	want := "Pipeline again again-on-drift-1700000000000000 by monitor/drift"
	if len(h.started) != 2 || h.started[0] != want || h.started[1] != want {
		t.Error(h.started)
	}
}

// TestStartsAreTriedAgain: what cannot start now starts later; what never can
// is given up, with the reason.
func TestStartsAreTriedAgain(t *testing.T) {
	db := open(t)
	now := &turned{at: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	h := newHouse(t, db, now)
	h.fail = errors.New("not now")
	if err := h.Tell(t.Context(), landed(1, 100)); err != nil {
		t.Fatal(err)
	}
	count := func() int { h.mu.Lock(); defer h.mu.Unlock(); return len(h.started) }
	h.until(t, func() bool { return count() == 1 })
	now.turn(time.Minute)
	h.mu.Lock()
	h.fail = nil
	h.mu.Unlock()
	h.until(t, h.quiet(t, db))
	if count() != 2 {
		t.Error(h.started)
	}
	h.fail = fault.New(fault.NotFound, "no such pipeline")
	if err := h.Tell(t.Context(), landed(2, 100)); err != nil {
		t.Fatal(err)
	}
	h.until(t, h.quiet(t, db))
	list, err := h.List(t.Context(), trigger.Filter{Limit: 1})
	if err != nil || len(list[0].Starts) != 1 || list[0].Starts[0].State != "failed" || !strings.Contains(list[0].Starts[0].Reason, "no such pipeline") {
		t.Error(list, err)
	}
}

// TestCirclesEnd: what a project does not show ends by itself.
func TestCirclesEnd(t *testing.T) {
	db := open(t)
	h := newHouse(t, db, clock.System{})
	h.text = strings.Replace(project, `on: file.landed, where: "bytes > 10"`, `on: alias.moved`, 1)
	alias := func(n int, by string) trigger.Event {
		return trigger.Event{ID: fmt.Sprintf("alias.moved/m/%d", n), Type: spec.EventAlias, Subject: "m", By: by, Fields: map[string]expr.Value{"model": expr.String("m")}}
	}
	by := "somebody"
	for n := range 3 * trigger.MaxDepth { // each run of the pipeline moves an alias
		if err := h.Tell(t.Context(), alias(n, by)); err != nil {
			t.Fatal(err)
		}
		h.until(t, h.quiet(t, db))
		by = "trigger/landed"
	}
	if len(h.started) != trigger.MaxDepth {
		t.Errorf("%d runs were started", len(h.started))
	}
	list, err := h.List(t.Context(), trigger.Filter{Limit: 1})
	if err != nil || list[0].Starts[0].State != "refused" {
		t.Error(list, err)
	}
}

func TestPublishIsOfTheTransaction(t *testing.T) {
	db := open(t)
	h := newHouse(t, db, clock.System{})
	errBack := errors.New("taken back")
	err := db.Write(t.Context(), func(tx catalog.Tx) error {
		if err := h.Publish(t.Context(), tx, landed(1, 100)); err != nil {
			return err
		}
		return errBack
	})
	list, listErr := h.List(t.Context(), trigger.Filter{})
	if err == nil || listErr != nil || len(list) != 0 {
		t.Error(err, listErr, list)
	}
	if err := h.Tell(t.Context(), trigger.Event{ID: "x", Type: "no.such"}); err == nil {
		t.Error("an event without a type is taken")
	}
}

// files are the files of a source that a test makes up.
type files []ingest.Found

func (f files) Look(context.Context, spec.Source) ([]ingest.Found, error) { return f, nil }

func TestFilesLand(t *testing.T) {
	db := open(t)
	h := newHouse(t, db, clock.System{})
	src := spec.Source{Name: "orders", From: "in/*.csv"}
	file := func(name string, size, modified int64) ingest.Found {
		return ingest.Found{Object: ingest.Object{Name: name, Size: size}, Modified: modified}
	}
	object := ingest.Found{Object: ingest.Object{Name: "s3://b/o", Size: 5, Digest: "d"}}
	told := func() (out []string) {
		list, err := h.List(t.Context(), trigger.Filter{Types: []string{spec.EventFileLanded}})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			out = append(out, fmt.Sprint(e.Fields["file"].S, e.Fields["bytes"].I))
		}
		slices.Sort(out)
		return out
	}
	for i, look := range []struct {
		files files
		told  string
	}{
		{files{file("a", 1, 1)}, ""},                                         // it has been there before
		{files{file("a", 1, 1), file("b", 5, 2), object}, "s3://b/o5"},       // b is perhaps being written
		{files{file("a", 1, 1), file("b", 9, 3), object}, "s3://b/o5"},       // it was
		{files{file("a", 1, 1), file("b", 9, 3), object}, "b9 s3://b/o5"},    // and is whole
		{files{file("a", 1, 1), file("b", 9, 3), object}, "b9 s3://b/o5"},    // once
		{files{file("a", 2, 4), object}, "b9 s3://b/o5"},                     // b went, a is written anew
		{files{file("a", 2, 4), file("b", 9, 3), object}, "a2 b9 s3://b/o5"}, //
		{files{file("a", 2, 4), file("b", 9, 3), object}, "a2 b9 s3://b/o5"}, // the same b as before is no news
	} {
		if err := newHouse(t, db, clock.System{}).LookAt(t.Context(), look.files, src); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(told(), " "); got != look.told {
			t.Errorf("look %d: %q, want %q", i, got, look.told)
		}
	}
}

func TestIngestedOncePerSnapshot(t *testing.T) {
	db := open(t)
	h := newHouse(t, db, clock.System{})
	columns := []frame.Column{{Name: "a", Type: frame.Int}}
	more := append(slices.Clone(columns), frame.Column{Name: "b", Type: frame.Int})
	for _, r := range []ingest.Result{{}, {Snapshot: 1, Rows: 5, Columns: columns}, {Snapshot: 1, Columns: columns}, {Snapshot: 2, Rows: 1, Columns: more}, {Snapshot: 3, Columns: columns}} {
		if err := h.Ingested(t.Context(), "orders", "run", "", r); err != nil {
			t.Fatal(err)
		}
	}
	list, err := h.List(t.Context(), trigger.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, e.ID+" "+e.Fields["added"].S)
	}
	want := "source.ingested/orders/3 |schema.changed/orders/2 b|source.ingested/orders/2 |source.ingested/orders/1 "
	if strings.Join(got, "|") != want {
		t.Error(got)
	}
}

// chain is a job to kill: files land, each starts a pipeline, the end of which
// starts another. It ends when all of it is done.
func chain(ctx context.Context, dir string) error {
	const files = 12
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "catalog.db")})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	h := &house{}
	h.Triggers = trigger.New(trigger.Config{DB: db, Outbox: h, Clock: clock.System{},
		Resources: func(context.Context) ([]spec.Resource, error) { return resources(project) }})
	engine, err := work.Open(ctx, work.Config{URL: "sqlite:" + filepath.Join(dir, "work.db"), Ended: func(ctx context.Context, r work.Ended) error {
		return h.Tell(ctx, trigger.Event{ID: "run.finished/" + r.ID, Type: spec.EventRunFinished, Subject: r.Name, By: r.By,
			Fields: map[string]expr.Value{"run": expr.String(r.ID), "name": expr.String(r.Name)}})
	}})
	if err != nil {
		return err
	}
	defer func() { _ = engine.Close(context.Background()) }()
	work.Define(engine, "pipeline", func(_ context.Context, r *work.Run, _ string) (string, error) {
		return work.Step(r, "only", work.StepOptions{}, func(context.Context, *work.Progress) (string, error) { return "", nil })
	})
	if err := engine.Launch(ctx); err != nil {
		return err
	}
	h.Starter = engineStarter{engine}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { _ = h.Run(ctx) }()
	for n := range files {
		if err := h.Tell(ctx, landed(n, 100)); err != nil {
			return err
		}
	}
	reached, since := 0, time.Now()
	for time.Since(since) < time.Minute { // without anything that gets on
		done, err := engine.List(ctx, work.Filter{States: []work.State{work.Succeeded}, Limit: 100})
		if err != nil {
			return err
		}
		list, err := h.List(ctx, trigger.Filter{Limit: 1000})
		if err != nil {
			return err
		}
		if len(done) == 2*files && len(list) == 3*files && settled(list) == 3*files {
			return outcome(ctx, dir, engine, list)
		}
		if n := len(done) + len(list) + settled(list); n > reached {
			reached, since = n, time.Now()
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("nothing gets on after %d of %d", reached, 8*files)
}

// settled counts what events started for good: two runs and a webhook for each
// file.
func settled(list []trigger.Listed) (n int) {
	for _, e := range list {
		for _, s := range e.Starts {
			if s.State == "started" || s.State == "told" {
				n++
			}
		}
	}
	return n
}

// outcome writes down which runs there are and what started them.
func outcome(ctx context.Context, dir string, engine *work.Engine, list []trigger.Listed) error {
	runs, err := engine.List(ctx, work.Filter{Limit: 1000})
	if err != nil {
		return err
	}
	var lines []string
	for _, r := range runs {
		lines = append(lines, fmt.Sprintf("run %s %s %s", r.ID, r.State, r.By))
	}
	for _, e := range list {
		starts, err := json.Marshal(e.Starts)
		if err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("event %s %s", e.ID, starts))
	}
	slices.Sort(lines)
	return writeFile(filepath.Join(dir, "outcome"), strings.Join(lines, "\n"))
}

// TestKilledBetween: whatever the instants at which the process dies, each
// event starts what waits for it once.
func TestKilledBetween(t *testing.T) {
	killtest.Survives(t, killtest.Case{Job: "chain", Kills: 8, Outcome: readOutcome})
}
