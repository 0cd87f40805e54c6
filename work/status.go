package work

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"github.com/leat-ai/leat/base/fault"
)

// State is where a run or a step stands.
type State string

// The states.
const (
	Queued    State = "queued"  // durable, waits for its turn
	Running   State = "running" //
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Cancelled State = "cancelled"
)

// States lists the states.
func States() []State { return []State{Queued, Running, Succeeded, Failed, Cancelled} }

// Ended tells whether the state is final, until somebody calls Retry.
func (s State) Ended() bool { return s == Succeeded || s == Failed || s == Cancelled }

// Status is what is known of a run.
type Status struct {
	ID      string          `json:"id"`
	Kind    string          `json:"kind"` // ingest, pipeline or batch
	Name    string          `json:"name"` // of the resource
	State   State           `json:"state"`
	Steps   []StepStatus    `json:"steps,omitempty"`  // of Get, Watch and Wait
	Input   json.RawMessage `json:"input,omitempty"`  // what the run was begun with
	Output  json.RawMessage `json:"output,omitempty"` // what it returned
	Error   *Failure        `json:"error,omitempty"`
	Created time.Time       `json:"created"`
	Started time.Time       `json:"started,omitzero"`
	Ended   time.Time       `json:"ended,omitzero"`
	By      string          `json:"by,omitempty"` // who began it
}

// Err returns why the run did not succeed, as a fault of its own kind, or nil.
func (s Status) Err() error {
	if s.Error == nil {
		if s.State == Cancelled {
			return fault.New(fault.Canceled, "run %q was cancelled", s.ID)
		}
		return nil
	}
	return fault.New(s.Error.Kind, "%s", s.Error.What).At("%s", s.Error.Where).Hint("%s", s.Error.Hint)
}

// Failure is a fault as it is kept.
type Failure struct {
	Kind  fault.Kind `json:"kind"`
	What  string     `json:"what"`
	Where string     `json:"where,omitempty"`
	Hint  string     `json:"hint,omitempty"`
	Step  string     `json:"step,omitempty"` // in which a run failed
}

func failureOf(err error) *Failure {
	if err == nil {
		return nil
	}
	return &Failure{Kind: fault.KindOf(err), What: err.Error(), Hint: fault.HintOf(err)}
}

// StepStatus is what is known of a step, or of all steps of a Parallel
// together.
type StepStatus struct {
	Name      string         `json:"name"`
	State     State          `json:"state"`
	Started   time.Time      `json:"started,omitzero"`
	Ended     time.Time      `json:"ended,omitzero"`
	Attempts  int            `json:"attempts,omitempty"` // 1 and more: it was retried
	Error     *Failure       `json:"error,omitempty"`    // also of the last attempt, while another is made
	Parts     int            `json:"parts,omitempty"`    // of a Parallel; 0 when not known any more
	PartsDone int            `json:"parts_done,omitempty"`
	Progress  ProgressStatus `json:"progress,omitzero"`
}

// ProgressStatus is how far a step is. Total is 0 where it is not known; Rate
// is units per second.
type ProgressStatus struct {
	Done  int64   `json:"done"`
	Total int64   `json:"total,omitempty"`
	Unit  string  `json:"unit,omitempty"`
	Rate  float64 `json:"rate,omitempty"`
	Note  string  `json:"note,omitempty"`
}

// Filter selects runs for List. Empty fields select all.
type Filter struct {
	Kind   string
	Name   string
	States []State
	Since  time.Time // created then or later
	Limit  int       // 100 when 0
}

// Get returns the status of a run, with its steps.
func (e *Engine) Get(ctx context.Context, id string) (Status, error) {
	rows, err := dbos.ListWorkflows(e.dbos, dbos.WithFilterWorkflowIDs(id),
		dbos.WithFilterLoadInput(true), dbos.WithFilterLoadOutput(true))
	if err != nil {
		return Status{}, asFault(err, "run %q cannot be read", id)
	}
	if len(rows) == 0 {
		return Status{}, fault.New(fault.NotFound, "there is no run %q", id).Hint("list them with `leat runs`")
	}
	st := e.statusOf(rows[0])
	if r := e.working(id); r != nil && !st.State.Ended() {
		st.Steps = r.stepStatus(e.clock.Now())
		return st, ctx.Err()
	}
	st.Steps, err = e.keptSteps(id)
	st.markFailed()
	return st, err
}

// markFailed adds the step in which the run failed: of steps only finished
// ones are kept.
func (s *Status) markFailed() {
	if s.Error == nil || s.Error.Step == "" {
		return
	}
	at := slices.IndexFunc(s.Steps, func(step StepStatus) bool { return step.Name == s.Error.Step })
	if at < 0 {
		at = len(s.Steps)
		s.Steps = append(s.Steps, StepStatus{Name: s.Error.Step})
	}
	s.Steps[at].State, s.Steps[at].Error, s.Steps[at].Ended = Failed, s.Error, s.Ended
}

// List returns runs, newest first, without their steps.
func (e *Engine) List(ctx context.Context, f Filter) ([]Status, error) {
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	opts := []dbos.ListWorkflowsOption{dbos.WithFilterSortDesc(), dbos.WithFilterLoadInput(true), dbos.WithFilterLoadOutput(false)}
	if f.Kind != "" {
		opts = append(opts, dbos.WithFilterName(f.Kind))
	}
	if !f.Since.IsZero() {
		opts = append(opts, dbos.WithFilterCreatedAfter(f.Since))
	}
	const page = 200
	var found []Status
	for offset := 0; len(found) < limit; offset += page {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		rows, err := dbos.ListWorkflows(e.dbos, append(slices.Clip(opts), dbos.WithFilterLimit(page), dbos.WithFilterOffset(offset))...)
		if err != nil {
			return nil, asFault(err, "runs cannot be listed")
		}
		for _, row := range rows {
			st := e.statusOf(row)
			if (f.Name == "" || f.Name == st.Name) && (len(f.States) == 0 || slices.Contains(f.States, st.State)) {
				found = append(found, st)
			}
		}
		if len(rows) < page {
			break
		}
	}
	return found[:min(limit, len(found))], nil
}

// Wait returns the status of a run once it has ended; how it ended is for the
// caller to see (Status.Err). The error is about waiting only.
func (e *Engine) Wait(ctx context.Context, id string) (Status, error) {
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		st, err := e.Get(ctx, id)
		if err != nil || st.State.Ended() {
			return st, err
		}
		select {
		case <-ctx.Done():
			return st, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// watchEvery bounds how often Watch looks.
const watchEvery = 100 * time.Millisecond

// Watch returns a channel that gets the status of a run now and after every
// change, at most ten times a second, and is closed once the run has ended or
// ctx has. A slow reader gets the newest status, not all of them.
func (e *Engine) Watch(ctx context.Context, id string) (<-chan Status, error) {
	first, err := e.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	ch := make(chan Status)
	go func() {
		defer close(ch)
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		next, out := first, ch
		for {
			select {
			case out <- next:
				if next.State.Ended() {
					return
				}
				out = nil
			case <-tick.C:
				st, err := e.Get(ctx, id)
				if err != nil {
					return
				}
				if !reflect.DeepEqual(st, next) {
					next, out = st, ch
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return ch, nil
}

// attributes that the library keeps with a run.
const faultAttribute = "fault"

func (e *Engine) statusOf(row dbos.WorkflowStatus) Status {
	st := Status{
		ID: row.ID, Kind: row.Name, By: row.AuthenticatedUser,
		Created: row.CreatedAt.UTC(), Ended: utc(row.CompletedAt), Started: utc(row.StartedAt),
	}
	if st.Started.IsZero() { // the library notes it only for what went through its queue
		st.Started = st.Created
	}
	var req request
	if json.Unmarshal([]byte(stored(row.Input)), &req) == nil {
		st.Name, st.Input = req.Name, req.Input
	}
	switch row.Status {
	case dbos.WorkflowStatusSuccess:
		st.State = Succeeded
		if text := stored(row.Output); text != "" {
			st.Output = json.RawMessage(text)
		}
	case dbos.WorkflowStatusCancelled:
		st.State = Cancelled
		if text, ok := row.Attributes[faultAttribute].(string); ok {
			st.State, st.Error = Failed, new(Failure)
			if json.Unmarshal([]byte(text), st.Error) != nil {
				st.Error = &Failure{Kind: fault.Internal, What: text}
			}
		}
	case dbos.WorkflowStatusError:
		st.State, st.Error = Failed, failureOf(row.Error)
	case dbos.WorkflowStatusMaxRecoveryAttemptsExceeded:
		st.State = Failed
		st.Error = &Failure{Kind: fault.Internal, What: "the process died again and again while the run worked",
			Hint: "look into the log for what ends the process, then retry the run"}
	default:
		st.State, st.Started = Queued, time.Time{}
		if r := e.working(row.ID); r != nil {
			st.State, st.Started = r.state()
			if f := r.failed(); f != nil {
				st.State, st.Error = Failed, f
			}
		}
	}
	return st
}

func (r *Run) failed() *Failure {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failure
}

// stored returns the text that was given to the library to keep; it hands
// it out as the JSON that it made of it.
func stored(v any) string {
	quoted, _ := v.(string)
	var text string
	if json.Unmarshal([]byte(quoted), &text) != nil {
		return ""
	}
	return text
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

// keptSteps reads the finished steps of a run that this process does not work
// on; the steps of a Parallel are drawn together.
func (e *Engine) keptSteps(id string) ([]StepStatus, error) {
	rows, err := dbos.GetWorkflowSteps(e.dbos, id, dbos.WithStepsLoadOutput(true))
	if err != nil {
		return nil, asFault(err, "the steps of run %q cannot be read", id)
	}
	var steps []StepStatus
	at := map[string]int{}
	for _, row := range rows {
		var o outcome
		if json.Unmarshal([]byte(stored(row.Output)), &o) != nil {
			continue
		}
		name := row.StepName
		if o.Group != "" {
			name = o.Group
		}
		i, ok := at[name]
		if !ok {
			i = len(steps)
			at[name] = i
			steps = append(steps, StepStatus{Name: name, State: Succeeded, Started: o.Started, Progress: ProgressStatus{Unit: o.Unit}})
		}
		steps[i].add(o)
	}
	slices.SortStableFunc(steps, func(a, b StepStatus) int { return a.Started.Compare(b.Started) })
	return steps, nil
}

func (s *StepStatus) add(o outcome) {
	s.Attempts += o.Attempts
	s.Progress.Done += o.Done
	if o.Group != "" {
		s.PartsDone++
	}
	if o.Started.Before(s.Started) {
		s.Started = o.Started
	}
	if o.Ended.After(s.Ended) {
		s.Ended = o.Ended
	}
	if seconds := s.Ended.Sub(s.Started).Seconds(); seconds > 0 {
		s.Progress.Rate = float64(s.Progress.Done) / seconds
	}
}

func (r *Run) state() (State, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.working {
		return Queued, time.Time{}
	}
	return Running, r.began
}

func (r *Run) stepStatus(now time.Time) []StepStatus {
	r.mu.Lock()
	steps := slices.Clone(r.steps)
	r.mu.Unlock()
	out := make([]StepStatus, len(steps))
	for i, s := range steps {
		out[i] = s.status(now)
	}
	return out
}

// clean keeps a message within what is stored and shown.
func clean(what string) string {
	const most = 8 << 10
	return strings.ToValidUTF8(what[:min(most, len(what))], "\uFFFD")
}
