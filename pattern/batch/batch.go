// Package batch scores a table or files through the decision path, as a
// durable run.
//
// It is the driver of the path for whole tables: rows come from a Source in
// chunks, go through one pinned release in batches, and end in a Sink that
// shows all of them at once or none. Define adds the kind of run to an engine;
// Start begins one.
//
//	plan    pin the release and the source's content, cut it into chunks
//	score   each chunk: read → decide → one file named by its content
//	commit  all files at once, under the run's id
//
// What is promised:
//
//   - One release for all rows, whatever is deployed meanwhile and however
//     often the process is killed.
//   - Chunks depend on the content alone, rows keep their order, and a step
//     done twice gives the same bytes: a resumed run leaves what an
//     uninterrupted one leaves, and a run that never ends leaves nothing
//     visible.
//   - Features over windows of time are those as of the time of each row,
//     where rows have one, or else as of the start of the run; which events
//     there are is settled by the plan.
//   - The commit replaces what an earlier run left in the target; in the lake
//     that stays readable at its snapshot.
//   - A row that fails, or of a file cannot be read, does not end the run: it
//     is left out of the target and kept, with the reason, in the side table
//     "<target>__failed".
//   - Memory is bounded by the number of workers, a batch and a row group.
package batch

import (
	"context"
	"encoding/json"
	"runtime"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/decide/record"
	"github.com/leat-ai/leat/flow/feature/tables"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/work"
)

// Kind is the kind of a batch run.
const Kind = "batch"

// DefaultChunk is how many rows a chunk has when the resource does not say:
// those of a row group that the lake writes.
const DefaultChunk = 128 << 10

// Decider answers requests with one release, until it is closed.
type Decider interface {
	Inputs() []model.Field   // columns that it reads
	Outputs() []frame.Column // columns of Answer.Rows
	Decide(ctx context.Context, q decide.Request) (*decide.Answer, error)
	Close()
}

// Releases is where a run gets its release from: Router joins it to the
// decision path.
type Releases interface {
	// Live returns the id of the release that an endpoint serves now.
	Live(ctx context.Context, endpoint string) (release string, err error)
	// Pin holds a release, live or not.
	Pin(ctx context.Context, release string) (Decider, error)
}

// Recorder keeps that a run has decided: decide/record.
type Recorder interface {
	Run(ctx context.Context, r record.Run) error
}

// Deps is what batch runs work with. Lake is needed for names that begin with
// lake://, Ingest for sources that are not local Parquet files; Recorder may be
// nil.
type Deps struct {
	Releases Releases
	Lake     *lake.Lake
	Ingest   *ingest.Ingester // how files are opened; its Sink and Ledger are not used
	Recorder Recorder
	Features *tables.Store // finds features over windows as of the time of a row; nil: there are none
	Watch    Watch         // nil: what is decided is not compared with the training
	Clock    clock.Clock   // clock.System when nil
	// Root is the folder that relative names of files start from.
	Root string
	// Scratch is a local folder for what a run reads from files that are not
	// Parquet; it must be there again after a restart.
	Scratch string
	// Workers is how many chunks are scored at a time; GOMAXPROCS when 0.
	Workers int
}

// Report is the output of a run.
type Report struct {
	Run            string  `json:"run"`
	Endpoint       string  `json:"endpoint"`
	Release        string  `json:"release"`
	Input          string  `json:"input"`
	InputSnapshot  int64   `json:"input_snapshot,omitempty"` // of a lake table
	Output         string  `json:"output"`
	OutputSnapshot int64   `json:"output_snapshot,omitempty"` // of a lake table
	Rows           int64   `json:"rows"`                      // scored, without the failed ones
	Failed         int64   `json:"failed"`
	FailedOutput   string  `json:"failed_output,omitempty"` // where the failed rows are, when there are any
	Seconds        float64 `json:"seconds"`                 // from plan to commit
}

// Define adds the kind of run to an engine, before its Launch. Runs of one
// Batch resource do not overlap.
func Define(e *work.Engine, d Deps) {
	if d.Clock == nil {
		d.Clock = clock.System{}
	}
	if d.Workers <= 0 {
		d.Workers = runtime.GOMAXPROCS(0)
	}
	work.Define(e, Kind, d.run, work.OnePerName())
}

// Start begins a run of a Batch resource and returns its id.
func Start(ctx context.Context, e *work.Engine, b spec.Batch, opts ...work.StartOption) (string, error) {
	if err := validate(b); err != nil {
		return "", err
	}
	return e.Start(ctx, Kind, b.Name, b, opts...)
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

func validate(b spec.Batch) error {
	var mistakes fault.List
	for _, field := range []struct{ name, value string }{{"from", b.From}, {"score", b.Score}, {"to", b.To}} {
		if field.value == "" {
			mistakes.Add(fault.New(fault.Invalid, "batch %q does not say %q", b.Name, field.name))
		}
	}
	if b.Chunk < 0 {
		mistakes.Add(fault.New(fault.Invalid, "batch %q has chunks of %d rows", b.Name, b.Chunk))
	}
	return mistakes.Err()
}

// attempts is how often a step is tried when what it needs does not answer.
func attempts() work.StepOptions {
	return work.StepOptions{Retries: 6, Backoff: 250 * time.Millisecond}
}

// run is one life of a run.
func (d Deps) run(ctx context.Context, r *work.Run, b spec.Batch) (Report, error) {
	p, err := work.Step(r, "plan", attempts(), func(ctx context.Context, progress *work.Progress) (plan, error) {
		return d.plan(ctx, r.ID(), b, progress)
	})
	if err != nil {
		return Report{}, err
	}
	j, err := d.open(ctx, r.ID(), b, p)
	if err != nil {
		return Report{}, err
	}
	defer j.decider.Close()
	defer j.found.close()
	parts, err := work.Parallel(r, "score", p.Chunks, work.ParallelOptions{StepOptions: attempts(), Workers: d.Workers}, j.score)
	if err != nil {
		return Report{}, err
	}
	if len(p.Unreadable) > 0 {
		unreadable, err := work.Step(r, "unreadable", attempts(), j.unreadable)
		if err != nil {
			return Report{}, err
		}
		parts = append(parts, unreadable)
	}
	report, err := work.Step(r, "commit", attempts(), func(ctx context.Context, _ *work.Progress) (Report, error) {
		return j.commit(ctx, parts)
	})
	if err != nil {
		return Report{}, err
	}
	j.clean()
	return report, j.conclude(r, parts)
}

// conclude hands the counts of all rows to who watches the endpoint.
func (j *job) conclude(r *work.Run, parts []part) error {
	if j.profile == nil {
		return nil
	}
	_, err := work.Step(r, "watch", attempts(), func(ctx context.Context, _ *work.Progress) (bool, error) {
		return true, j.watch.Conclude(ctx, j.batch.Score, concluded(j.profile, j.plan.Release, j.plan.At, j.clock.Now(), parts))
	})
	return err
}

// commit shows what the chunks wrote: first the rows that failed, then the
// others, so that who sees the target also sees its side table.
func (j *job) commit(ctx context.Context, parts []part) (Report, error) {
	report := Report{
		Run: j.run, Endpoint: j.batch.Score, Release: j.plan.Release,
		Input: j.batch.From, InputSnapshot: j.plan.Snapshot, Output: j.batch.To,
	}
	var files, failed []string
	for _, p := range parts {
		report.Rows += p.Rows
		report.Failed += p.Failed
		if p.File != "" {
			files = append(files, p.File)
		}
		if p.FailedFile != "" {
			failed = append(failed, p.FailedFile)
		}
	}
	if _, err := j.failures.Commit(ctx, failed); err != nil {
		return Report{}, err
	}
	snapshot, err := j.sink.Commit(ctx, files)
	if err != nil {
		return Report{}, err
	}
	if report.OutputSnapshot = snapshot; report.Failed > 0 {
		report.FailedOutput = failedName(j.batch.To)
	}
	now := j.clock.Now()
	report.Seconds = now.Sub(j.plan.At).Seconds()
	if j.recorder == nil {
		return report, nil
	}
	return report, j.recorder.Run(ctx, record.Run{
		ID: j.run, At: now, Endpoint: report.Endpoint, Release: report.Release, Caller: principal(j.batch).Name,
		Input: report.Input, InputSnapshot: report.InputSnapshot, Output: report.Output,
		OutputSnapshot: snapshot, Rows: report.Rows, Failed: report.Failed,
	})
}
