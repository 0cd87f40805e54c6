package lake

import (
	"context"
	"os"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/ingest"
)

// Sink is the lake as ingest sees it.
func (l *Lake) Sink() ingest.Sink { return sink{l} }

type sink struct{ lake *Lake }

func (s sink) Columns(ctx context.Context, table string) ([]frame.Column, error) {
	t, err := s.lake.Table(ctx, table)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return t.Columns(), nil
}

func (s sink) Snapshot(ctx context.Context, table string) (int64, error) {
	t, err := s.lake.Table(ctx, table)
	if fault.Is(err, fault.NotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return t.Snapshot(), nil
}

func (s sink) Committed(ctx context.Context, table, id string) (int64, error) {
	return s.lake.Committed(ctx, table, id)
}

// Committed returns the snapshot that the commit of an ID made, or 0: also
// when there is no such table.
func (l *Lake) Committed(ctx context.Context, table, id string) (snapshot int64, err error) {
	t, err := l.Table(ctx, table)
	if fault.Is(err, fault.NotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if done := t.committed(id); done != nil {
		return done.Snapshot(), nil
	}
	return 0, nil
}

func (s sink) Draft(ctx context.Context, table string, columns []frame.Column) (ingest.Target, error) {
	t, err := s.lake.Draft(ctx, table, columns)
	if err != nil {
		return nil, err
	}
	return &target{table: t}, nil
}

type target struct {
	table *Table
	fresh []string // staged by this target, and by nobody before
}

func (t *target) Stage(ctx context.Context, name string) (ingest.Part, error) {
	w, err := t.table.Stage(ctx, name)
	if err != nil {
		return nil, err
	}
	return part{w, t}, nil
}

func (t *target) Commit(ctx context.Context, paths []string, c ingest.Commit) (int64, error) {
	// From here on the files may be part of the table, whatever comes back.
	t.fresh = nil
	after, err := t.table.CommitFiles(ctx, paths, Commit{ID: c.ID, Replace: c.Replace, Summary: c.Summary})
	if err != nil {
		return 0, err
	}
	return after.Snapshot(), nil
}

// Discard removes what was staged and not handed to Commit. What it cannot
// remove, Clean does.
func (t *target) Discard() {
	for _, f := range t.fresh {
		_ = os.Remove(f)
	}
	t.fresh = nil
}

type part struct {
	*Writer
	target *target
}

func (p part) Finish(ctx context.Context) (string, error) {
	f, err := p.Writer.Finish(ctx)
	if p.fresh {
		p.target.fresh = append(p.target.fresh, f.Path)
	}
	return f.Path, err
}
