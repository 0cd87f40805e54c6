package track

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	mathrand "math/rand/v2"
	"strconv"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// Status says how far a run is.
type Status string

// The statuses.
const (
	Running   Status = "RUNNING"
	Scheduled Status = "SCHEDULED"
	Finished  Status = "FINISHED"
	Failed    Status = "FAILED"
	Killed    Status = "KILLED"
)

func (s Status) known() bool {
	switch s {
	case Running, Scheduled, Finished, Failed, Killed:
		return true
	}
	return false
}

// Run is what somebody logged about one execution of their code.
type Run struct {
	ID         string    `json:"-"`
	Experiment int64     `json:"-"`
	Name       string    `json:"name"`
	User       string    `json:"user,omitempty"`
	Status     Status    `json:"status"`
	Start      int64     `json:"start"`         // milliseconds since 1970
	End        int64     `json:"end,omitempty"` // 0 while it goes on
	Artifacts  string    `json:"artifacts"`     // address beneath which its files lie
	Removed    bool      `json:"deleted,omitempty"`
	Params     Pairs     `json:"params,omitempty"`
	Tags       Pairs     `json:"tags,omitempty"`
	Inputs     []Input   `json:"inputs,omitempty"`
	ModelsIn   []string  `json:"models_in,omitempty"` // ids of logged models that it read
	ModelsOut  []Output  `json:"models_out,omitempty"`
	Metrics    []Metric  `json:"-"` // the last value of each, in the order of their keys
	Deleted    bool      `json:"-"` // Removed, or its experiment is deleted
	Datasets   []Dataset `json:"-"` // of Inputs, in their order; only where a run is asked for as a whole
	number     int64
}

// Input is a data set that a run read. Its content is in Run.Datasets.
type Input struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Tags   []Pair `json:"tags,omitempty"`
}

// Output is a logged model that a run made.
type Output struct {
	Model string `json:"model"`
	Step  int64  `json:"step,omitempty"`
}

// nameTag is the tag that is a run's name too: clients set the one and read
// the other.
const nameTag = "mlflow.runName"

// Runs is the part of Track that keeps runs.
type Runs struct {
	*shared
	index *index[Run]
}

func newRuns(s *shared, memory int64) *Runs {
	return &Runs{shared: s, index: newIndex(memory, readRuns,
		func(r *Run) string { return r.ID },
		func(a, b *Run) int { return cmp.Or(cmp.Compare(b.Start, a.Start), cmp.Compare(a.ID, b.ID)) })}
}

// NewRun is a run to make.
type NewRun struct {
	Experiment int64
	Name       string // one is made up when it is "" and no tag says it
	User       string
	Start      int64 // milliseconds since 1970
	Tags       []Pair
}

// Create makes a run, which is Running.
func (r *Runs) Create(ctx context.Context, n NewRun) (Run, error) {
	tags, err := checkPairs("tag", n.Tags, maxTag, false)
	if err != nil {
		return Run{}, err
	}
	made := Run{ID: newID(), Experiment: n.Experiment, User: n.User, Status: Running, Start: n.Start, Tags: Pairs(nil).withAll(tags)}
	tagged, _ := made.Tags.Get(nameTag)
	if n.Name != "" && tagged != "" && n.Name != tagged {
		return Run{}, fault.New(fault.Invalid, "the run is named %q, and %q by its tag %s", n.Name, tagged, nameTag)
	}
	made.name(cmp.Or(n.Name, tagged, madeUpName()))
	err = r.db.Write(ctx, func(tx catalog.Tx) error {
		x, err := experiment(ctx, tx, n.Experiment)
		if err != nil {
			return err
		}
		if err := x.active(); err != nil {
			return err
		}
		made.Artifacts = beneath(x.Artifacts, made.ID, "artifacts")
		return insertRun(ctx, tx, &made)
	})
	return made, err
}

func (r *Run) name(name string) {
	r.Name = cut(name, maxRunName)
	r.Tags = r.Tags.with(nameTag, r.Name)
}

func insertRun(ctx context.Context, tx catalog.Tx, r *Run) error {
	body, err := encode(r)
	if err != nil {
		return err
	}
	number, err := catalog.Next(ctx, tx, "tracked_runs")
	if err != nil {
		return err
	}
	seq, err := catalog.Next(ctx, tx, sequence("runs", r.Experiment))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO tracked_runs (number, id, experiment, seq, body, latest) VALUES (?, ?, ?, ?, ?, '[]')`,
		number, r.ID, r.Experiment, seq, body)
	return err
}

// newID is 128 random bits in hex.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// madeUpName is easier to remember than an id, and means nothing.
func madeUpName() string {
	how := [...]string{"amber", "brisk", "calm", "clear", "deft", "eager", "early", "fleet", "glad", "keen", "level", "lively", "mellow", "nimble", "quiet", "rapid", "sandy", "steady", "sunny", "swift"}
	what := [...]string{"alder", "brook", "dale", "dipper", "ferry", "ford", "grebe", "heron", "lock", "marsh", "mill", "otter", "reed", "sluice", "spring", "tarn", "trout", "wagtail", "weir", "willow"}
	pick := func(words []string) string { return words[mathrand.IntN(len(words))] }
	return pick(how[:]) + "-" + pick(what[:]) + "-" + strconv.Itoa(mathrand.IntN(1000))
}

// Get returns a run with all that was logged, deleted or not.
func (r *Runs) Get(ctx context.Context, id string) (run Run, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		if run, err = readRun(ctx, tx, id); err != nil {
			return err
		}
		return fillDatasets(ctx, tx, []*Run{&run})
	})
	return run, err
}

// Update is what changes of a run; zero values change nothing.
type Update struct {
	Status Status
	End    int64 // milliseconds since 1970
	Name   string
}

// Update changes a run and returns it.
func (r *Runs) Update(ctx context.Context, id string, u Update) (Run, error) {
	if u.Status != "" && !u.Status.known() {
		return Run{}, fault.New(fault.Invalid, "%q is no status of a run", u.Status)
	}
	return r.change(ctx, id, func(run *Run) error {
		run.Status = cmp.Or(u.Status, run.Status)
		run.End = cmp.Or(u.End, run.End)
		if u.Name != "" {
			run.name(u.Name)
		}
		return nil
	})
}

// Delete marks a run. Marking it again changes nothing.
func (r *Runs) Delete(ctx context.Context, id string) error { return r.mark(ctx, id, true) }

// Restore takes the mark of Delete away.
func (r *Runs) Restore(ctx context.Context, id string) error { return r.mark(ctx, id, false) }

func (r *Runs) mark(ctx context.Context, id string, removed bool) error {
	return r.db.Write(ctx, func(tx catalog.Tx) error {
		run, err := readRun(ctx, tx, id)
		if err != nil {
			return err
		}
		run.Removed = removed
		return saveBody(ctx, tx, &run)
	})
}

// SetTag sets a tag of a run.
func (r *Runs) SetTag(ctx context.Context, id, key, value string) error {
	return r.Log(ctx, id, Batch{Tags: []Pair{{key, value}}})
}

// DeleteTag removes a tag; one that is not there is a NotFound fault.
func (r *Runs) DeleteTag(ctx context.Context, id, key string) error {
	_, err := r.change(ctx, id, func(run *Run) (err error) {
		var ok bool
		if run.Tags, ok = run.Tags.without(key); !ok {
			return fault.New(fault.NotFound, "run %s has no tag %q", id, key)
		}
		return nil
	})
	return err
}

// change updates the body of a run that is not deleted.
func (r *Runs) change(ctx context.Context, id string, f func(*Run) error) (run Run, err error) {
	err = r.db.Write(ctx, func(tx catalog.Tx) error {
		if run, err = activeRun(ctx, tx, id); err != nil {
			return err
		}
		if err := f(&run); err != nil {
			return err
		}
		return saveBody(ctx, tx, &run)
	})
	return run, err
}

func saveBody(ctx context.Context, tx catalog.Tx, r *Run) error {
	if err := checkKept(r.Params, r.Tags, nil); err != nil {
		return err
	}
	body, err := encode(r)
	if err != nil {
		return err
	}
	seq, err := catalog.Next(ctx, tx, sequence("runs", r.Experiment))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE tracked_runs SET seq = ?, body = ? WHERE number = ?`, seq, body, r.number)
	return err
}

func saveLatest(ctx context.Context, tx catalog.Tx, r *Run) error {
	if err := checkKept(nil, nil, r.Metrics); err != nil {
		return err
	}
	latest, err := encodeMetrics(r.Metrics)
	if err != nil {
		return err
	}
	seq, err := catalog.Next(ctx, tx, sequence("runs", r.Experiment))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE tracked_runs SET seq = ?, latest = ? WHERE number = ?`, seq, latest, r.number)
	return err
}

func activeRun(ctx context.Context, tx catalog.Tx, id string) (Run, error) {
	run, err := readRun(ctx, tx, id)
	if err == nil && run.Deleted {
		err = fault.New(fault.Invalid, "run %s is deleted", id).Hint("restore it, or its experiment, first")
	}
	return run, err
}

func readRun(ctx context.Context, tx catalog.Tx, id string) (Run, error) {
	if err := checkID("run", id); err != nil {
		return Run{}, err
	}
	run := Run{ID: id}
	var body, latest, within string
	err := tx.Row(ctx, `SELECT r.number, r.experiment, r.body, r.latest, e.body FROM tracked_runs r
		JOIN experiments e ON e.id = r.experiment WHERE r.id = ?`, []any{id}, &run.number, &run.Experiment, &body, &latest, &within)
	if err != nil {
		return Run{}, gone(err, "there is no run %s", id)
	}
	var x Experiment
	if err := decode(within, &x); err != nil {
		return Run{}, err
	}
	err = run.read(body, latest)
	run.Deleted = run.Removed || x.Deleted
	return run, err
}

// read fills a run that has its id from a row.
func (r *Run) read(body, latest string) (err error) {
	if err := decode(body, r); err != nil {
		return err
	}
	r.Params.intern()
	r.Tags.intern()
	r.Metrics, err = decodeMetrics(latest, r.ID, "")
	return err
}

// readRuns is how the index learns of changes.
func readRuns(ctx context.Context, tx catalog.Tx, group, after int64, limit int) ([]changed[Run], error) {
	return catalog.Collect(ctx, tx, func(rows *sql.Rows) (c changed[Run], err error) {
		r := &Run{Experiment: group}
		var body, latest string
		if err := rows.Scan(&r.number, &r.ID, &c.seq, &body, &latest); err != nil {
			return c, err
		}
		c.row, c.size = r, int64(2*(len(body)+len(latest))+500)
		return c, r.read(body, latest)
	}, `SELECT number, id, seq, body, latest FROM tracked_runs WHERE experiment = ? AND seq > ? ORDER BY seq LIMIT ?`, group, after, limit)
}

// Amend changes a tag of a run: f makes the new value of the one before, ""
// where there is none.
func (r *Runs) Amend(ctx context.Context, id, key string, f func(before string) (string, error)) error {
	_, err := r.change(ctx, id, func(run *Run) error {
		before, _ := run.Tags.Get(key)
		after, err := f(before)
		if err != nil {
			return err
		}
		if err := checkLength("tag "+key, after, maxTag); err != nil {
			return err
		}
		run.Tags = run.Tags.with(key, after)
		return nil
	})
	return err
}
