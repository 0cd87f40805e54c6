package work

import (
	"context"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"github.com/leat-ai/leat/base/fault"
)

func (e *Engine) remember(r *Run) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.active[r.id] = r
}

func (e *Engine) forget(r *Run) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.active[r.id] == r {
		delete(e.active, r.id)
	}
	r.cancel(nil)
}

func (e *Engine) working(id string) *Run {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.active[id]
}

// fail notes why a run failed. From now on it is seen as failed, whatever it
// takes until that is told and kept.
func (r *Run) fail(err error) {
	r.engine.log.Warn("a run failed", "run", r.id, "kind", r.kind, "name", r.name, "error", err)
	f := failureOf(err)
	f.What, f.Step = clean(f.What), r.failedStep()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failure = f
}

// keepFailure makes it durable why a run failed. For the library a failed run
// is over for good, and only a cancelled one can go on; so a failure is kept as
// a cancelled run with the fault beside it, which is what lets Retry continue
// it under its own id. Where it cannot be kept, because the disk is full for
// instance, it is kept as soon as it can be: a run that is over and not marked
// so would wait for a restart.
func (e *Engine) keepFailure(r *Run) {
	text, jerr := encode(r.failed())
	if jerr != nil {
		text = []byte(`{"kind":"internal","what":"the run failed"}`)
	}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := dbos.SetWorkflowAttributes(e.dbos, r.id, map[string]any{faultAttribute: string(text)})
		if err == nil {
			err = dbos.CancelWorkflow(e.dbos, r.id)
		}
		if err == nil {
			return
		}
		e.log.Error("the failure of a run cannot be kept yet", "run", r.id, "error", err)
		select {
		case <-r.dbos.Done():
			return
		case <-time.After(wait):
		}
	}
}

// failedStep names the step that failed, or "".
func (r *Run) failedStep() string {
	for _, s := range r.stepStatus(r.engine.clock.Now()) {
		if s.State == Failed {
			return s.Name
		}
	}
	return ""
}

// Cancel ends a run: durably, so that no restart brings it back, and at once
// where this process works on it, by ending the context of its steps. A run
// that has ended is a Conflict fault.
func (e *Engine) Cancel(ctx context.Context, id string) error {
	st, err := e.Get(ctx, id)
	if err != nil {
		return err
	}
	if st.State.Ended() {
		return fault.New(fault.Conflict, "run %q has ended already: %s", id, st.State)
	}
	if err := dbos.CancelWorkflow(e.dbos, id); err != nil {
		return asFault(err, "run %q cannot be cancelled", id)
	}
	if r := e.working(id); r != nil {
		r.cancel(errCancelled)
	}
	return nil
}

// Retry lets a failed or cancelled run go on from the first step that has not
// finished, under the same id and with the same input. Any other state is a
// Conflict fault. The run is picked up within about a second.
func (e *Engine) Retry(ctx context.Context, id string) error {
	st, err := e.Get(ctx, id)
	if err != nil {
		return err
	}
	if _, err := e.ready(st.Kind); err != nil {
		return err
	}
	if st.State != Failed && st.State != Cancelled {
		return fault.New(fault.Conflict, "run %q is %s; only a failed or cancelled run can be retried", id, st.State)
	}
	for e.working(id) != nil { // its last life is still unwinding
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	if err := dbos.SetWorkflowAttributes(e.dbos, id, nil); err != nil {
		return asFault(err, "run %q cannot be retried", id)
	}
	_, err = dbos.ResumeWorkflow[string](e.dbos, id)
	return asFault(err, "run %q cannot be retried", id)
}

// strandedAfter is how long a run may be under way for the database and not
// for this process before it is taken up again.
const strandedAfter = 3 * time.Second

// keepStranded takes up runs whose end could not be kept, because the disk was
// full for instance. All that finished of them stays finished.
func (e *Engine) keepStranded(ctx context.Context) {
	tick := time.NewTicker(strandedAfter)
	defer tick.Stop()
	before := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		rows, err := dbos.ListWorkflows(e.dbos, dbos.WithFilterStatus(dbos.WorkflowStatusPending),
			dbos.WithFilterExecutorIDs(e.config.Executor), dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false))
		if err != nil {
			continue
		}
		now := map[string]bool{}
		for _, row := range rows {
			if e.working(row.ID) != nil {
				continue
			}
			if now[row.ID] = true; !before[row.ID] { // it may just be beginning
				continue
			}
			e.log.Warn("a run that was left is taken up again", "run", row.ID)
			if _, err := dbos.ResumeWorkflow[string](e.dbos, row.ID); err != nil {
				e.log.Error("a run that was left cannot be taken up", "run", row.ID, "error", err)
			}
		}
		before = now
	}
}

// keepRetention removes old runs, at the start and then every hour.
func (e *Engine) keepRetention(ctx context.Context) {
	if e.config.Keep < 0 {
		return
	}
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		if err := e.removeBefore(ctx, e.clock.Now().Add(-e.config.Keep)); err != nil {
			e.log.Warn("old runs cannot be removed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// removeBefore removes the runs that ended before a time, a page at a time.
func (e *Engine) removeBefore(ctx context.Context, before time.Time) error {
	for ctx.Err() == nil {
		rows, err := dbos.ListWorkflows(e.dbos, dbos.WithFilterCompletedBefore(before), dbos.WithFilterLimit(200),
			dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false),
			dbos.WithFilterStatus(dbos.WorkflowStatusSuccess, dbos.WorkflowStatusError, dbos.WorkflowStatusCancelled))
		if err != nil || len(rows) == 0 {
			return err
		}
		ids := make([]string, len(rows))
		for i, row := range rows {
			ids[i] = row.ID
		}
		if err := dbos.DeleteWorkflows(e.dbos, ids); err != nil {
			return err
		}
	}
	return nil
}
