package work

import (
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

// Progress is how a step tells how far it is. It lives in memory, costs a
// mutex per call, and may be used by many goroutines. Its methods also work
// on a nil Progress.
type Progress struct {
	step *stepState
	part bool // of a Parallel: it adds to what the parts share

	mu   sync.Mutex
	done int64
}

// Total says how much there is to do, in a unit: "rows", "files".
func (p *Progress) Total(total int64, unit string) {
	if p == nil {
		return
	}
	p.step.mu.Lock()
	defer p.step.mu.Unlock()
	p.step.total, p.step.unit = total, unit
}

// Add says that n more are done.
func (p *Progress) Add(n int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.done += n
	p.mu.Unlock()
	p.step.mu.Lock()
	p.step.done += n
	p.step.mu.Unlock()
}

// Note says in a few words what the step is at.
func (p *Progress) Note(note string) {
	if p == nil {
		return
	}
	p.step.mu.Lock()
	defer p.step.mu.Unlock()
	p.step.note = note
}

// reset takes back what an attempt that failed had counted.
func (p *Progress) reset() {
	done, _ := p.counted()
	p.Add(-done)
}

func (p *Progress) counted() (done int64, unit string) {
	p.mu.Lock()
	done = p.done
	p.mu.Unlock()
	p.step.mu.Lock()
	defer p.step.mu.Unlock()
	return done, p.step.unit
}

// stepState is one line of a run's status while the run is at work: a step,
// or all the steps of a Parallel.
type stepState struct {
	name string

	mu       sync.Mutex
	state    State
	started  time.Time
	ended    time.Time
	attempts int
	failure  error
	parts    int // of a Parallel; 0 for a single step
	finished int
	done     int64
	before   int64 // done in an earlier life, which says nothing about speed
	total    int64
	unit     string
	note     string
	worked   time.Time // when work of this life began
}

// enterStep adds a line to the status.
func (r *Run) enterStep(name string) (*stepState, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byName[name] != nil {
		return nil, fault.New(fault.Internal, "run %q has two steps named %q", r.id, name)
	}
	s := &stepState{name: name, state: Running}
	r.byName[name] = s
	r.steps = append(r.steps, s)
	return s, nil
}

func (s *stepState) split(parts int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = parts
}

func (s *stepState) begin(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started.IsZero() {
		s.started = at
	}
	if s.worked.IsZero() {
		s.worked = at
	}
	s.attempts++
}

func (s *stepState) retrying(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts++
	s.failure = err
}

// fail keeps the first failure: in a Parallel it is the one that stopped the
// others.
func (s *stepState) fail(at time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != Running {
		return
	}
	s.state, s.ended, s.failure = Failed, at, err
	if fault.Is(err, fault.Canceled) {
		s.state = Cancelled
	}
}

// end closes the line of a single step, or counts a part.
func (s *stepState) end(o outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished++
	if s.parts == 0 {
		s.state, s.ended, s.failure = Succeeded, o.Ended, nil
	}
}

// replayed takes over what an earlier life did.
func (s *stepState) replayed(o outcome) {
	s.mu.Lock()
	if s.started.IsZero() || o.Started.Before(s.started) {
		s.started = o.Started
	}
	s.attempts += o.Attempts
	s.done += o.Done
	s.before += o.Done
	if s.unit == "" {
		s.unit = o.Unit
	}
	s.mu.Unlock()
	s.end(o)
}

func (s *stepState) finish(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state, s.ended, s.failure = Succeeded, at, nil
}

// status is a copy for others to keep.
func (s *stepState) status(now time.Time) StepStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := StepStatus{
		Name: s.name, State: s.state, Started: s.started, Ended: s.ended, Attempts: s.attempts,
		Parts: s.parts, PartsDone: s.finished, Error: failureOf(s.failure),
		Progress: ProgressStatus{Done: s.done, Total: s.total, Unit: s.unit, Note: s.note},
	}
	until := now
	if !s.ended.IsZero() {
		until = s.ended
	}
	if seconds := until.Sub(s.worked).Seconds(); !s.worked.IsZero() && seconds > 0 {
		st.Progress.Rate = float64(s.done-s.before) / seconds
	}
	return st
}
