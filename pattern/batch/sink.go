package batch

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/lake"
)

// Sink is where rows go: nothing of them is visible before Commit, all of
// them after it.
type Sink interface {
	// Prepare checks that the target can be written, and makes what Stage
	// needs.
	Prepare(ctx context.Context) error
	// Stage begins the file of one chunk. The same rows under the same index
	// give the same file, however often.
	Stage(ctx context.Context, index int) (PartWriter, error)
	// Commit makes staged files the content of the target, in their order,
	// in place of what an earlier run left there. A second commit of the same
	// run does nothing. It returns the snapshot, or 0 where there are none.
	Commit(ctx context.Context, files []string) (snapshot int64, err error)
	// Clean removes what only the run needed.
	Clean() error
}

// PartWriter writes one file. It is for one goroutine.
type PartWriter interface {
	Write(rows frame.Batch) error
	// Finish ends the file durably and returns its name for Commit and its
	// number of rows.
	Finish(ctx context.Context) (name string, rows int64, err error)
	// Abort throws the file away; after Finish it does nothing.
	Abort()
}

// sinks opens the target of a run and its side table.
func (d Deps) sinks(ctx context.Context, run, to string, p plan) (target, failures Sink, err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if target, err = d.sink(run, to, p.Target); err != nil {
		return nil, nil, err
	}
	failures, err = d.sink(run, failedName(to), failedColumns())
	return target, failures, err
}

func (d Deps) sink(run, to string, columns []frame.Column) (Sink, error) {
	if name, ok := strings.CutPrefix(to, lakeScheme); ok {
		if d.Lake == nil {
			return nil, fault.New(fault.Unsupported, "there is no lake to write %q to", to)
		}
		return &lakeSink{lake: d.Lake, name: name, run: run, columns: columns}, nil
	}
	if strings.Contains(to, "://") {
		return nil, fault.New(fault.Unsupported, "a batch cannot write to %q", to).
			Hint("name a lake table (lake://NAME), a folder, or a file that ends in .parquet or .csv")
	}
	path := filepath.Clean(to)
	if !filepath.IsAbs(path) {
		path = filepath.Join(d.Root, path)
	}
	f := staging{target: path, run: run, schema: frame.SchemaOf(columns)}
	switch filepath.Ext(path) {
	case ".csv":
		return &fileSink{staging: f, format: csvFormat{}}, nil
	case ".parquet":
		return &fileSink{staging: f, format: parquetFormat{}}, nil
	}
	return &folderSink{staging: f}, nil
}

// lakeSink writes a table of the lake.
type lakeSink struct {
	lake    *lake.Lake
	name    string
	run     string
	columns []frame.Column

	mu    sync.Mutex
	draft *lake.Table // the table as the commit will make it
}

func (s *lakeSink) Prepare(ctx context.Context) error {
	_, err := s.table(ctx)
	return err
}

func (s *lakeSink) table(ctx context.Context) (*lake.Table, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draft == nil {
		t, err := s.lake.Draft(ctx, s.name, s.columns)
		if err != nil {
			return nil, err
		}
		s.draft = t
	}
	return s.draft, nil
}

func (s *lakeSink) Stage(ctx context.Context, index int) (PartWriter, error) {
	t, err := s.table(ctx)
	if err != nil {
		return nil, err
	}
	w, err := t.Stage(ctx, fmt.Sprintf("%s-%06d", s.run, index))
	if err != nil {
		return nil, err
	}
	return lakePart{w}, nil
}

// Commit makes no side table to put nothing into, but makes the target.
func (s *lakeSink) Commit(ctx context.Context, files []string) (int64, error) {
	var t *lake.Table
	var err error
	switch {
	case len(files) > 0:
		t, err = s.table(ctx)
	case isFailed(s.name):
		t, err = s.lake.Table(ctx, s.name)
		if fault.Is(err, fault.NotFound) {
			return 0, nil
		}
	default:
		t, err = s.lake.Ensure(ctx, s.name, s.columns)
	}
	if err != nil {
		return 0, err
	}
	t, err = t.CommitFiles(ctx, files, lake.Commit{
		ID: s.run, Replace: true, Summary: map[string]string{"leat.run": s.run},
	})
	if err != nil {
		return 0, err
	}
	return t.Snapshot(), nil
}

func (s *lakeSink) Clean() error { return nil }

type lakePart struct{ *lake.Writer }

func (p lakePart) Finish(ctx context.Context) (string, int64, error) {
	f, err := p.Writer.Finish(ctx)
	return f.Path, f.Rows, err
}
