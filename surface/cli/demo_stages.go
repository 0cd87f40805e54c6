package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/flow/retrain"
	"github.com/leat-ai/leat/pattern/batch"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/cli/sample"
	"github.com/leat-ai/leat/surface/client"
)

// ingest writes the Source, of the made-up bank or of the user's table, and
// reads it into the lake.
func (d *demo) ingest(ctx context.Context) error {
	source, err := d.source()
	if err != nil {
		return err
	}
	if err := d.write("source.yaml", source); err != nil {
		return err
	}
	status, err := d.start(ctx, spec.KindSource, source.Name)
	if err != nil {
		return err
	}
	res, err := output[ingest.Result](status)
	d.report.Rows, d.report.Quarantined, d.report.Reasons = res.Rows, res.Quarantined, res.Reasons
	return err
}

func (d *demo) source() (*spec.Source, error) {
	if d.o.data != "" {
		path, err := filepath.Abs(d.o.data)
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "%s is no file", d.o.data)
		}
		d.names = namesFor(tableName(path))
		return &spec.Source{Name: d.names.source, From: path}, nil
	}
	d.names = namesFor("transactions")
	d.o.label, d.o.time, d.o.drop = "fraud", "at", []string{"txn_id", "customer_id"}
	f, err := os.Create(filepath.Join(d.report.Project, "data", "transactions.csv"))
	if err != nil {
		return nil, fault.Wrap(err, fault.Full, "cannot write the sample")
	}
	truth, err := sample.Write(f, sample.Options{Rows: d.o.rows, Seed: uint64(d.o.seed)})
	if err != nil {
		_ = f.Close()
		return nil, fault.Wrap(err, fault.Full, "cannot write the sample")
	}
	d.report.BestAUC = truth.BestAUC
	return &spec.Source{
		Name: d.names.source, From: "data/transactions.csv", Schema: sample.Schema(),
		Expect: []string{"amount >= 0", "country is not null"},
	}, fault.Wrap(f.Close(), fault.Full, "cannot write the sample")
}

// write writes resource files and applies the project.
func (d *demo) write(file string, specs ...spec.Spec) error {
	path := filepath.Join(d.report.Project, file)
	if err := os.WriteFile(path, spec.Format(specs...), 0o644); err != nil {
		return fault.Wrap(err, fault.Full, "cannot write %s", path)
	}
	files, err := projectFiles(d.report.Project)
	if err != nil {
		return err
	}
	_, err = d.client.Apply(context.Background(), files)
	return err
}

// project looks at the table, and writes the rest of the resources.
func (d *demo) project(ctx context.Context) error {
	plan, err := planTable(ctx, d.client, d.names.source, d.o)
	if err != nil {
		return err
	}
	d.plan, d.report.Task = plan, plan.task
	for _, note := range plan.notes {
		fmt.Fprintf(d.Err, "  %s\n", note)
	}
	if err := d.write("features.yaml", plan.view(d.names)); err != nil {
		return err
	}
	return d.write("model.yaml", plan.resources(d.names, d.o)...)
}

// pipeline trains what is served. On the made-up bank a linear model goes live
// first, for the next version to be held against, and to roll back to.
func (d *demo) pipeline(ctx context.Context) error {
	if d.o.data == "" {
		if _, err := d.start(ctx, spec.KindPipeline, d.names.baseline()); err != nil {
			return err
		}
		fmt.Fprintln(d.Err, "  the linear baseline is live; now trees against lines, and the gates against the baseline")
	}
	status, err := d.start(ctx, spec.KindPipeline, d.names.pipeline)
	if err != nil {
		return err
	}
	res, err := output[retrain.Result](status)
	if err != nil {
		return err
	}
	v, err := d.client.Version(ctx, d.names.model, fmt.Sprint(res.Version))
	if err != nil {
		return err
	}
	d.verdicts, d.report.Metrics, d.report.Trainer = v.Gates, v.Metrics, v.Manifest.Format
	d.report.ModelVersion = versionName(v)
	d.report.Release = res.Release
	return nil
}

func versionName(v registry.Version) string {
	return fmt.Sprintf("%s@%d %s", v.Model, v.Number, short(v.ID))
}

// callers is how many requests are under way at a time.
const callers = 4

// realtime asks with rows of the table, and measures from the caller's side.
func (d *demo) realtime(ctx context.Context) error {
	rows, err := d.someRows(ctx, 500)
	if err != nil {
		return err
	}
	d.example = rows[0]
	took := make([]time.Duration, d.o.requests)
	var next atomic.Int64
	var first sync.Once
	var failed atomic.Pointer[error]
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(took) && failed.Load() == nil; i = int(next.Add(1)) - 1 {
				start := time.Now()
				scored, err := d.client.Score(ctx, d.names.endpoint, rows[i%len(rows):i%len(rows)+1], "")
				took[i] = time.Since(start)
				if err != nil {
					failed.Store(&err)
					return
				}
				first.Do(func() { d.decision = scored.Decisions[0].ID })
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	slices.Sort(took)
	d.report.Realtime = realtimeReport{Requests: len(took), P50: quantileMS(took, .50), P95: quantileMS(took, .95)}
	fmt.Fprintf(d.Err, "  %s requests from %d callers: p50 %.2f ms, p95 %.2f ms\n",
		count(int64(len(took))), callers, d.report.Realtime.P50, d.report.Realtime.P95)
	return nil
}

func quantileMS(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	v := sorted[int(math.Ceil(q*float64(len(sorted))))-1]
	return math.Round(v.Seconds()*1e6) / 1e3
}

// someRows reads rows of the table with the columns that the endpoint asks
// for.
func (d *demo) someRows(ctx context.Context, n int) ([]client.Row, error) {
	e, err := d.client.Endpoint(ctx, d.names.endpoint)
	if err != nil {
		return nil, err
	}
	columns := ""
	for i, in := range e.Inputs {
		if i > 0 {
			columns += ", "
		}
		columns += quoteName(in.Name)
	}
	res, err := d.client.SQL(ctx, fmt.Sprintf("select %s from %s limit %d", columns, quoteName(d.names.source), n), n)
	if err != nil {
		return nil, err
	}
	var values [][]json.RawMessage
	if err := json.Unmarshal(res.Rows, &values); err != nil || len(values) == 0 {
		return nil, fault.New(fault.NotFound, "the table %s has no rows", d.names.source)
	}
	rows := make([]client.Row, len(values))
	for i, value := range values {
		rows[i] = client.Row{}
		for j, col := range res.Columns {
			rows[i][col.Name] = value[j]
		}
	}
	return rows, nil
}

func (d *demo) batch(ctx context.Context) error {
	status, err := d.start(ctx, spec.KindBatch, d.names.batch)
	if err != nil {
		return err
	}
	res, err := output[batch.Report](status)
	d.report.Batch = batchReport{
		Rows: res.Rows, Failed: res.Failed, Output: res.Output,
		RowsPerSec: math.Round(float64(res.Rows) / max(status.Ended.Sub(status.Started).Seconds(), 1e-3)),
	}
	return err
}

// watch collects what the batch's monitors found.
func (d *demo) watch(ctx context.Context) error {
	fired, err := d.client.Signals(ctx, d.names.monitor, true, 1000)
	if err != nil {
		return err
	}
	slices.Reverse(fired) // in the order of the rows
	slices.SortStableFunc(fired, func(a, b reading) int { return -compareValue(a, b) })
	d.report.Signals = append([]reading{}, fired...)
	fmt.Fprintf(d.Err, "  %d signals over their threshold\n", len(fired))
	for _, r := range fired[:min(len(fired), 8)] {
		fmt.Fprintf(d.Err, "  part %s: %s\n", r.Window, r)
	}
	return nil
}
