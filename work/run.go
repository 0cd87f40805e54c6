package work

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"github.com/leat-ai/leat/base/fault"
)

// errCancelled is the cause of the context of a run that somebody cancelled.
var errCancelled = fault.New(fault.Canceled, "the run was cancelled")

// Run is one run at work, as the function of its kind sees it.
type Run struct {
	engine *Engine
	dbos   dbos.Context
	ctx    context.Context
	cancel context.CancelCauseFunc
	id     string
	kind   string
	name   string
	by     string

	record sync.Mutex // the library counts steps without a lock of its own

	mu      sync.Mutex
	working bool     // past the gate
	failure *Failure // why it is over, until that is kept
	began   time.Time
	memo    map[string]outcome // finished steps, by name
	steps   []*stepState       // in the order in which they were first seen
	byName  map[string]*stepState
}

// ID returns the id of the run: the same after every restart, and what
// derived names (decision ids, snapshot summaries) are made from.
func (r *Run) ID() string { return r.id }

// Name returns the name of the resource that the run works for.
func (r *Run) Name() string { return r.name }

// By returns who started the run, or "".
func (r *Run) By() string { return r.by }

// outcome is what is kept of a finished step.
type outcome struct {
	Value    json.RawMessage `json:"value"`
	Group    string          `json:"group,omitempty"` // of a Parallel
	Started  time.Time       `json:"started"`
	Ended    time.Time       `json:"ended"`
	Attempts int             `json:"attempts"`
	Done     int64           `json:"done,omitempty"`
	Unit     string          `json:"unit,omitempty"`
}

// replay reads the finished steps of an earlier life of the run. The library
// wants steps in one order each time; by asking for all of them now, in the
// order in which they were kept, the run itself is free to ask in any order.
func (r *Run) replay() error {
	kept, err := dbos.GetWorkflowSteps(r.engine.dbos, r.id, dbos.WithStepsLoadOutput(false))
	if err != nil {
		return asFault(err, "the finished steps of run %q cannot be read", r.id)
	}
	memo := make(map[string]outcome, len(kept))
	for _, step := range kept {
		text, err := dbos.RunAsStep(r.dbos, func(context.Context) (string, error) {
			return "", errors.New("a finished step is not to run again")
		}, dbos.WithStepName(step.StepName))
		if err != nil {
			return asFault(err, "step %q of run %q cannot be read", step.StepName, r.id)
		}
		var o outcome
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			return fault.Wrap(err, fault.Corrupt, "step %q of run %q cannot be read", step.StepName, r.id)
		}
		memo[step.StepName] = o
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.memo, r.byName, r.steps = memo, map[string]*stepState{}, nil
	r.working, r.began = true, r.engine.clock.Now()
	return nil
}

// keep makes a finished step durable.
func (r *Run) keep(name string, o outcome) error {
	text, err := encode(o)
	if err != nil {
		return err
	}
	r.record.Lock()
	defer r.record.Unlock()
	_, err = dbos.RunAsStep(r.dbos, func(context.Context) (string, error) {
		return string(text), nil
	}, dbos.WithStepName(name))
	return asFault(err, "step %q of run %q cannot be kept", name, r.id)
}
