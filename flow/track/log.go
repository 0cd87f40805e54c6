package track

import (
	"context"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// Batch is what is logged to a run at one time.
type Batch struct {
	Metrics []Metric // at most MaxMetrics; one with a Model tells of that too
	Params  []Pair   // at most MaxPairs, no key twice
	Tags    []Pair   // at most MaxPairs
}

// Log adds to a run, all of a batch or nothing. A metric is added to those
// before; the same value at the same time and step is one. A parameter that
// was logged with another value is an Invalid fault. Tags are replaced. What
// is too long of a parameter or tag is cut off.
func (r *Runs) Log(ctx context.Context, id string, b Batch) (err error) {
	if b, err = b.checked(); err != nil {
		return err
	}
	return r.db.Write(ctx, func(tx catalog.Tx) error {
		run, err := activeRun(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := logPairs(ctx, tx, &run, b); err != nil {
			return err
		}
		return logMetrics(ctx, tx, &run, b.Metrics)
	})
}

func (b Batch) checked() (Batch, error) {
	if n := len(b.Metrics) + len(b.Params) + len(b.Tags); len(b.Metrics) > MaxMetrics || len(b.Params) > MaxPairs || len(b.Tags) > MaxPairs || n > MaxBatch {
		return b, fault.New(fault.Invalid, "%d metrics, %d parameters and %d tags are too much for one call", len(b.Metrics), len(b.Params), len(b.Tags)).
			Hint("at most %d metrics, %d parameters, %d tags, and %d together", MaxMetrics, MaxPairs, MaxPairs, MaxBatch)
	}
	for i, m := range b.Metrics {
		if err := checkMetric(m); err != nil {
			return b, fault.Wrap(err, fault.Invalid, "metrics[%d]", i)
		}
	}
	var err error
	if b.Params, err = checkPairs("param", b.Params, maxParam, true); err != nil {
		return b, err
	}
	b.Tags, err = checkPairs("tag", b.Tags, maxTag, false)
	return b, err
}

func logPairs(ctx context.Context, tx catalog.Tx, run *Run, b Batch) error {
	changed := len(b.Tags) > 0
	for _, p := range b.Params {
		before, ok := run.Params.Get(p.Key)
		if ok && before != p.Value {
			return fault.New(fault.Invalid, "parameter %q of run %s was logged as %.200q and cannot become %.200q", p.Key, run.ID, before, p.Value).
				Hint("parameters stay as they are; log to another run")
		}
		if !ok {
			run.Params, changed = run.Params.with(p.Key, p.Value), true
		}
	}
	if !changed {
		return nil
	}
	for _, t := range b.Tags {
		if t.Key == nameTag {
			run.name(t.Value)
			continue
		}
		run.Tags = run.Tags.with(t.Key, t.Value)
	}
	return saveBody(ctx, tx, run)
}

func logMetrics(ctx context.Context, tx catalog.Tx, run *Run, metrics []Metric) error {
	if len(metrics) == 0 {
		return nil
	}
	if err := insertMetrics(ctx, tx, run.number, metrics); err != nil {
		return err
	}
	changed := false
	for _, m := range metrics {
		m.Run = run.ID
		i, ok := slices.BinarySearchFunc(run.Metrics, m.Key, func(a Metric, key string) int { return strings.Compare(a.Key, key) })
		switch {
		case !ok:
			run.Metrics, changed = slices.Insert(run.Metrics, i, m), true
		case m.later(run.Metrics[i]):
			run.Metrics[i], changed = m, true
		}
	}
	if changed {
		if err := saveLatest(ctx, tx, run); err != nil {
			return err
		}
	}
	return logModelMetrics(ctx, tx, run, metrics)
}

// rowsAtOnce is how many metrics one statement inserts.
const rowsAtOnce = 100

func insertMetrics(ctx context.Context, tx catalog.Tx, run int64, metrics []Metric) error {
	const row = "(?, ?, ?, ?, ?)"
	for some := range slices.Chunk(metrics, rowsAtOnce) {
		args := make([]any, 0, 5*len(some))
		for _, m := range some {
			args = append(args, run, m.Key, m.At, m.Step, bits(m.Value))
		}
		_, err := tx.Exec(ctx, `INSERT INTO tracked_metrics (run, key, at, step, value) VALUES `+
			row+strings.Repeat(", "+row, len(some)-1)+` ON CONFLICT DO NOTHING`, args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// Dataset is a data set that a run read, named within its experiment by Name
// and Digest.
type Dataset struct {
	Name       string
	Digest     string
	SourceType string
	Source     string // JSON that says where it came from
	Schema     string // JSON; "" for none
	Profile    string // JSON; "" for none
	Tags       []Pair // of its use by this run, such as mlflow.data.context
}

func (d Dataset) check() error {
	var l fault.List
	if d.Name == "" || d.Digest == "" {
		l.Add(fault.New(fault.Invalid, "a data set needs a name and a digest"))
	}
	for _, b := range []struct {
		what, value string
		most        int
	}{
		{"name of the data set", d.Name, maxDatasetName}, {"digest of the data set", d.Digest, maxDatasetDigest},
		{"source of the data set", d.Source, maxDatasetSource}, {"source type of the data set", d.SourceType, maxDatasetName},
		{"schema of the data set", d.Schema, maxDatasetSchema}, {"profile of the data set", d.Profile, maxDatasetProfile},
	} {
		l.Add(checkLength(b.what, b.value, b.most))
	}
	for _, t := range d.Tags {
		if t.Key == "" {
			l.Add(fault.New(fault.Invalid, "a tag of a data set needs a key"))
		}
		l.Add(checkLength("key of the data set's tag", t.Key, maxDatasetTagKey))
		l.Add(checkLength("value of the data set's tag", t.Value, maxDatasetTagValue))
	}
	return l.Err()
}

// LogInputs adds what a run read: data sets, and logged models by their ids.
// What it read already stays as it was logged first.
func (r *Runs) LogInputs(ctx context.Context, id string, datasets []Dataset, models []string) error {
	for i, d := range datasets {
		if err := d.check(); err != nil {
			return fault.Wrap(err, fault.Invalid, "datasets[%d]", i)
		}
	}
	return r.db.Write(ctx, func(tx catalog.Tx) error {
		run, err := activeRun(ctx, tx, id)
		if err != nil {
			return err
		}
		for _, d := range datasets {
			if slices.ContainsFunc(run.Inputs, func(i Input) bool { return i.Name == d.Name && i.Digest == d.Digest }) {
				continue
			}
			run.Inputs = append(run.Inputs, Input{d.Name, d.Digest, d.Tags})
			if err := insertDataset(ctx, tx, run.Experiment, d); err != nil {
				return err
			}
		}
		for _, m := range models {
			if !slices.Contains(run.ModelsIn, m) {
				run.ModelsIn = append(run.ModelsIn, m)
			}
		}
		if len(run.Inputs) > maxDatasets || len(run.ModelsIn) > maxLinks {
			return fault.New(fault.Invalid, "a run has at most %d data sets and %d models as its inputs", maxDatasets, maxLinks)
		}
		return saveBody(ctx, tx, &run)
	})
}

// LogOutputs adds logged models that a run made.
func (r *Runs) LogOutputs(ctx context.Context, id string, models []Output) error {
	_, err := r.change(ctx, id, func(run *Run) error {
		for _, m := range models {
			if err := checkID("model", m.Model); err != nil {
				return err
			}
			if !slices.Contains(run.ModelsOut, m) {
				run.ModelsOut = append(run.ModelsOut, m)
			}
		}
		if len(run.ModelsOut) > maxLinks {
			return fault.New(fault.Invalid, "a run has at most %d models as its outputs", maxLinks)
		}
		return nil
	})
	return err
}

func insertDataset(ctx context.Context, tx catalog.Tx, experiment int64, d Dataset) error {
	_, err := tx.Exec(ctx, `INSERT INTO tracked_datasets (experiment, name, digest, source_type, source, schema, profile)
		VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, experiment, d.Name, d.Digest, d.SourceType, d.Source, d.Schema, d.Profile)
	return err
}

// fillDatasets reads the content of the data sets of some runs.
func fillDatasets(ctx context.Context, tx catalog.Tx, runs []*Run) error {
	type name struct {
		experiment   int64
		name, digest string
	}
	read := map[name]Dataset{}
	for _, r := range runs {
		for _, in := range r.Inputs {
			n := name{r.Experiment, in.Name, in.Digest}
			d, ok := read[n]
			if !ok {
				d = Dataset{Name: in.Name, Digest: in.Digest}
				err := tx.Row(ctx, `SELECT source_type, source, schema, profile FROM tracked_datasets WHERE experiment = ? AND name = ? AND digest = ?`,
					[]any{n.experiment, n.name, n.digest}, &d.SourceType, &d.Source, &d.Schema, &d.Profile)
				if err != nil && !fault.Is(err, fault.NotFound) {
					return err
				}
				read[n] = d
			}
			d.Tags = in.Tags
			r.Datasets = append(r.Datasets, d)
		}
	}
	return nil
}
