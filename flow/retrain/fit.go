package retrain

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/flow/feature/past"
	"github.com/leat-ai/leat/flow/feature/tables"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/work"
)

// fit reads the table, computes the features, trains, and describes the
// candidate as a version to register.
func (p *pipeline) fit(ctx context.Context, s *spec.TrainStep, pr *work.Progress) (registry.NewVersion, error) {
	var none registry.NewVersion
	views, err := p.views(s)
	if err != nil {
		return none, err
	}
	table, err := p.Lake.Table(ctx, tables.Source(feature.Base(views)))
	if err != nil {
		return none, err
	}
	set, err := p.Features.ForTraining(ctx, views, s.Label)
	if err != nil {
		return none, err
	}
	in, err := p.read(ctx, table, set, s, pr)
	if err != nil {
		return none, err
	}
	defer func() {
		for _, b := range in.Batches {
			b.Release()
		}
	}()
	options, err := p.Trainer(*s)
	if err != nil {
		return none, err
	}
	options.Progress = trainProgress(pr)
	current, release, err := championOf(ctx, p.Registry, s.Model, table.Name(), set.Lineage())
	defer release()
	if err != nil {
		return none, err
	}
	options.Champion = current
	c, err := train.Run(ctx, in, *s, options)
	if err != nil {
		return none, err
	}
	if notes := c.Artifact.Notes; len(notes) > 0 {
		pr.Note(notes[len(notes)-1])
	}
	return p.describe(s, table, set.Set, in, c)
}

func (p *pipeline) views(s *spec.TrainStep) ([]spec.FeatureView, error) {
	var views []spec.FeatureView
	for _, name := range s.Features {
		v, ok := spec.Find[*spec.FeatureView](p.in.Resources, name)
		if !ok {
			return nil, fault.New(fault.NotFound, "no feature view is called %q", name)
		}
		views = append(views, *v)
	}
	if len(views) == 0 {
		return nil, fault.New(fault.Invalid, "the training of %s names no feature views", s.Model)
	}
	return views, nil
}

// trainProgress shows what a training does; the bar begins anew with each part.
func trainProgress(pr *work.Progress) func(doing string, done, total int, loss float64) {
	at, part := 0, ""
	return func(doing string, done, total int, loss float64) {
		if doing != part {
			pr.Add(int64(-at))
			at, part = 0, doing
		}
		pr.Total(int64(total), "rounds")
		pr.Add(int64(done - at))
		at = done
		if loss == loss { // not NaN
			doing += fmt.Sprintf(", loss %.4f", loss)
		}
		pr.Note(doing)
	}
}

// extras are the columns besides features that a training reads: label, time
// of the split, weights, slices.
func extras(s *spec.TrainStep, set *feature.Set) []string {
	var names []string
	for _, name := range append([]string{s.Label, s.Split.By, s.Weights}, s.Slices...) {
		isFeature := slices.ContainsFunc(set.Outputs(), func(c frame.Column) bool { return c.Name == name })
		if name != "" && name != "balanced" && !isFeature && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// read loads the rows to learn from: features, computed as they will be in
// serving and as of the time of each row, and the extra columns.
func (p *pipeline) read(ctx context.Context, table *lake.Table, set *tables.Training, s *spec.TrainStep, pr *work.Progress) (train.Input, error) {
	extra := extras(s, set.Set)
	var columns []string
	for _, c := range set.Inputs() {
		columns = append(columns, c.Name)
	}
	for _, name := range extra {
		if !slices.Contains(columns, name) {
			columns = append(columns, name)
		}
	}
	in := train.Input{}
	for _, c := range set.Outputs() {
		in.Inputs = append(in.Inputs, c.Name)
	}
	joined, err := p.past(ctx, table, set, s, pr)
	if err != nil {
		return in, err
	}
	defer func() { _ = joined.Close() }()
	rows, err := p.sampled(ctx, table, columns, s)
	if err != nil {
		return in, err
	}
	pr.Total(table.Rows(), "rows")
	pr.Note("features")
	done := int64(0)
	err = frame.Each(ctx, rows, func(b frame.Batch) error {
		pr.Add(rows.read - done)
		done = rows.read
		return addRows(ctx, &in, set.Set, joined, extra, b)
	})
	if len(in.Batches) == 0 && err == nil {
		err = fault.New(fault.Invalid, "the table %s has no rows to learn from", table.Name()).Hint("ingest it first: `leat ingest %s`", table.Name())
	}
	pr.Add(-done)
	return in, err
}

// past finds what changes with time for the rows to learn from; nil when
// nothing does.
func (p *pipeline) past(ctx context.Context, table *lake.Table, set *tables.Training, s *spec.TrainStep, pr *work.Progress) (*past.Joined, error) {
	columns := set.Columns()
	if len(columns) == 0 {
		return nil, nil
	}
	rows, err := p.sampled(ctx, table, columns, s)
	if err != nil {
		return nil, err
	}
	return set.Find(ctx, rows, time.Time{}, func(doing string, done int64) {
		pr.Note(fmt.Sprintf("features as of the past: %s, %d", doing, done))
	})
}

// sampled reads the rows to learn from, always the same ones.
func (p *pipeline) sampled(ctx context.Context, table *lake.Table, columns []string, s *spec.TrainStep) (*sampledRows, error) {
	rows, err := table.Scan(ctx, lake.ScanOptions{Columns: columns})
	if err != nil {
		return nil, err
	}
	return &sampledRows{Reader: rows, keep: newSampler(table.Rows(), s.MaxRows, s.Seed)}, nil
}

// beside puts the features of a batch and its extra columns side by side.
func beside(features, raw frame.Batch, extra []string) (frame.Batch, error) {
	fields := slices.Clone(features.Schema().Fields())
	arrays := slices.Clone(features.Columns())
	for _, name := range extra {
		at := frame.Index(raw.Schema(), name)
		if at < 0 {
			return nil, fault.New(fault.NotFound, "the table has no column %q", name)
		}
		fields = append(fields, raw.Schema().Field(at))
		arrays = append(arrays, raw.Column(at))
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), arrays, raw.NumRows()), nil
}

// sizeBytes is the metric of how large a model's files are.
const sizeBytes = "size_bytes"

// describe makes of a candidate the version that register will store.
func (p *pipeline) describe(s *spec.TrainStep, table *lake.Table, set *feature.Set, in train.Input, c *train.Candidate) (registry.NewVersion, error) {
	v := registry.NewVersion{
		Model: s.Model, Format: c.Artifact.Format, Files: c.Artifact.Files,
		Signature: c.Signature, Threshold: c.Threshold, Metrics: c.Metrics,
		Lineage: registry.Lineage{
			Run: p.run.ID(), Table: table.Name(), Snapshot: table.Snapshot(),
			Features: set.Lineage(), Label: s.Label, Split: c.Split,
			Trainer: s.Trainer, Params: c.Artifact.Params, Seed: s.Seed,
			Code: p.Code, Leat: p.Version,
		},
	}
	for _, b := range in.Batches {
		v.Lineage.Rows += b.NumRows()
	}
	for _, content := range v.Files {
		v.Metrics[sizeBytes] += float64(len(content))
	}
	var err error
	if v.Report, err = json.Marshal(c.Report); err != nil {
		return v, fault.Wrap(err, fault.Internal, "the evaluation report cannot be written")
	}
	if v.Profile, err = json.Marshal(c.Profile); err != nil {
		return v, fault.Wrap(err, fault.Internal, "the training profile cannot be written")
	}
	return v, nil
}
