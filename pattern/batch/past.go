package batch

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/past"
	"github.com/leat-ai/leat/flow/feature/tables"
	"github.com/leat-ai/leat/spec"
)

// viewed is a Decider that tells the feature views of its release, and the
// columns of their sources.
type viewed interface {
	Views() ([]spec.FeatureView, map[string][]frame.Column)
}

// windowed returns the views of a release and their sources, where some are
// over windows of time; they are found for all rows before the first is
// scored, as of the time that each row has.
func windowed(d Decider) ([]spec.FeatureView, map[string][]frame.Column) {
	v, ok := d.(viewed)
	if !ok {
		return nil, nil
	}
	views, sources := v.Views()
	if !slices.ContainsFunc(views, func(v spec.FeatureView) bool { return v.Windowed() }) {
		return nil, nil
	}
	return views, sources
}

// events pins what windows are over, so that every life of a run sees the same
// events.
func (d Deps) events(ctx context.Context, decider Decider) (map[string]int64, error) {
	views, _ := windowed(decider)
	if views == nil {
		return nil, nil
	}
	if d.Features == nil {
		return nil, fault.New(fault.Unsupported, "the release has features over windows of time, and nothing finds them here")
	}
	return d.Features.Events(ctx, views)
}

// found are the values of windows for the rows of a run. The join is made when
// the first chunk needs it: a life that has nothing left to score makes none.
type found struct {
	job   *job
	store *tables.Store

	mu     sync.Mutex
	joined *past.Joined
}

// from begins to read at the first row of a chunk; nil when there is nothing
// to find.
func (f *found) from(ctx context.Context, row int64) (*past.Reading, error) {
	views, sources := windowed(f.job.decider)
	if views == nil {
		return nil, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.joined == nil {
		dated, err := f.store.AsOf(ctx, views, sources, f.job.plan.Events)
		if err != nil {
			return nil, err
		}
		columns, err := f.columns(dated)
		if err != nil {
			return nil, err
		}
		rows := &chunkRows{job: f.job, columns: columns, left: f.job.plan.Chunks}
		if f.joined, err = dated.Find(ctx, rows, f.job.plan.At, nil); err != nil {
			return nil, err
		}
	}
	return f.joined.From(row), nil
}

// columns are those of the rows that a join reads, with the types that the path
// reads them as. The time may be absent: the rows are then as of the start of
// the run.
func (f *found) columns(dated *tables.Dated) ([]frame.Column, error) {
	var columns []frame.Column
	for _, name := range dated.Columns() {
		at := slices.IndexFunc(f.job.plan.Read, func(c frame.Column) bool { return c.Name == name })
		switch {
		case at >= 0:
			columns = append(columns, f.job.plan.Read[at])
		case name != dated.Time():
			return nil, fault.New(fault.Invalid, "endpoint %q looks features up by column %q, which %q does not have", f.job.batch.Score, name, f.job.batch.From).
				Hint("the rows have %s", strings.Join(names(f.job.plan.Read), ", "))
		}
	}
	return columns, nil
}

func (f *found) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = f.joined.Close()
}

// chunkRows reads some columns of all chunks, one after the other.
type chunkRows struct {
	job     *job
	columns []frame.Column
	left    []Chunk
	open    frame.Reader
}

func (r *chunkRows) Schema() *arrow.Schema { return frame.SchemaOf(r.columns) }

func (r *chunkRows) Next(ctx context.Context) (frame.Batch, error) {
	for {
		if r.open == nil {
			if len(r.left) == 0 {
				return nil, io.EOF
			}
			var err error
			if r.open, err = r.job.source.Read(ctx, r.left[0], names(r.columns)); err != nil {
				return nil, err
			}
			r.left = r.left[1:]
		}
		rows, err := r.open.Next(ctx)
		if err == nil {
			defer rows.Release()
			return fit(rows, r.columns)
		}
		if err != io.EOF {
			return nil, err
		}
		if err := r.Close(); err != nil {
			return nil, err
		}
	}
}

// Close closes the chunk that is open.
func (r *chunkRows) Close() error {
	if r.open == nil {
		return nil
	}
	err := r.open.Close()
	r.open = nil
	return err
}
