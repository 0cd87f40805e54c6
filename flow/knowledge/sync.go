package knowledge

import (
	"context"
	"encoding/json"
	"runtime"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/work"
)

// Report is the output of a run.
type Report struct {
	Run       string `json:"run"`
	Knowledge string `json:"knowledge"`
	// Snapshot that the knowledge has now; of a run that found nothing changed,
	// the one that it had before.
	Snapshot  string             `json:"snapshot"`
	Unchanged bool               `json:"unchanged,omitempty"` // nothing was to do
	Held      bool               `json:"held,omitempty"`      // the snapshot does not go live until somebody says so
	Listed    int                `json:"listed"`
	Read      int                `json:"read"`
	Changed   int                `json:"changed"`
	Removed   int                `json:"removed"`
	Errors    int                `json:"errors"`
	Documents int                `json:"documents"`
	Passages  int                `json:"passages"`
	Bytes     int64              `json:"bytes"` // that were read
	Embedded  int                `json:"embedded,omitempty"`
	Measures  map[string]float64 `json:"measures,omitempty"`
	// Problems are the first documents and sources that could not be read.
	Problems []Problem `json:"problems,omitempty"`
	Seconds  float64   `json:"seconds"`
}

// Problem is a document, or a whole source, that could not be read.
type Problem struct {
	Document string `json:"document,omitempty"`
	Source   string `json:"source,omitempty"`
	Reason   string `json:"reason"`
	Hint     string `json:"hint,omitempty"`
}

// SourceIfAlone names the source where the problem is one of all of it.
func (p Problem) SourceIfAlone() string {
	if p.Document != "" {
		return ""
	}
	return p.Source
}

// maxProblems bounds how many a report shows.
const maxProblems = 50

// Define adds the kind of run to an engine, before its Launch. Runs of one
// knowledge do not overlap.
func (s *Store) Define(e *work.Engine) { work.Define(e, Kind, s.run, work.OnePerName()) }

// Start begins a run that brings a knowledge up to date, and returns its id.
func (s *Store) Start(ctx context.Context, e *work.Engine, name string, opts ...work.StartOption) (string, error) {
	k, err := s.spec(name)
	if err != nil {
		return "", err
	}
	return e.Start(ctx, Kind, name, k, opts...)
}

// ReportOf returns the report of a run that succeeded; of any other run, why
// it did not.
func ReportOf(st work.Status) (Report, error) {
	if err := st.Err(); err != nil {
		return Report{}, err
	}
	var r Report
	err := json.Unmarshal(st.Output, &r)
	return r, fault.Wrap(err, fault.Corrupt, "the report of run %q cannot be read", st.ID)
}

// attempts is how often a step is tried when what it needs does not answer.
func attempts() work.StepOptions {
	return work.StepOptions{Retries: 5, Backoff: 250 * time.Millisecond}
}

// run is one life of a run.
func (s *Store) run(ctx context.Context, r *work.Run, k spec.Knowledge) (Report, error) {
	report, err := s.steps(r, k)
	if err != nil && s.deps.Listener != nil && ctx.Err() == nil {
		s.deps.Listener.Failed(ctx, k.Name, r.ID(), err)
	}
	return report, err
}

func (s *Store) steps(r *work.Run, k spec.Knowledge) (Report, error) {
	j := &job{store: s, spec: k, run: r.ID(), by: r.By()}
	p, err := work.Step(r, "list", attempts(), j.list)
	if err != nil {
		return Report{}, err
	}
	j.plan = p
	if p.nothing() {
		return work.Step(r, "look", attempts(), j.unchanged)
	}
	parts, err := work.Parallel(r, "read", p.Parts, work.ParallelOptions{StepOptions: attempts(), Workers: s.workers()}, j.read)
	if err != nil {
		return Report{}, err
	}
	made, err := work.Step(r, "build", attempts(), func(ctx context.Context, pr *work.Progress) (built, error) {
		return j.build(ctx, pr, parts)
	})
	if err != nil {
		return Report{}, err
	}
	if len(k.Gate) > 0 || k.Questions != "" {
		if made, err = work.Step(r, "gate", attempts(), func(ctx context.Context, pr *work.Progress) (built, error) {
			return j.gate(ctx, pr, made)
		}); err != nil {
			return Report{}, err
		}
	}
	report, err := work.Step(r, "swap", attempts(), func(ctx context.Context, _ *work.Progress) (Report, error) {
		return j.swap(ctx, parts, made)
	})
	if err != nil {
		return Report{}, err
	}
	_, err = work.Step(r, "open", attempts(), func(ctx context.Context, _ *work.Progress) (struct{}, error) {
		return struct{}{}, j.opened(ctx, parts)
	})
	return report, err
}

func (s *Store) workers() int {
	if s.deps.Workers > 0 {
		return s.deps.Workers
	}
	// Much of the time is waiting for the disk.
	return min(4*runtime.GOMAXPROCS(0), maxWorkers)
}

// maxWorkers bounds the documents that are held at a time.
const maxWorkers = 8

// job is one life of a run with what it works on.
type job struct {
	store *Store
	spec  spec.Knowledge
	run   string
	by    string
	plan  plan
	todo  onceTodo
}
