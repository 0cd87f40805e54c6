package topic

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/lake"
)

// BatchKey is the key of a snapshot's summary under which the id of the batch
// stands that it added.
const BatchKey = "leat.batch"

// Sink appends rows to one table. It is safe for many goroutines; two commits
// of one table go one after the other.
type Sink struct {
	lake    *lake.Lake
	table   string
	columns []frame.Column

	mu    sync.Mutex
	draft *lake.Table // of columns, as the next commit will make it
}

// NewSink returns a sink of a table, which the first Append makes if it is not
// there. columns are those of its rows; a table that has more keeps them, one
// that lacks some is given them.
func NewSink(l *lake.Lake, table string, columns []frame.Column) (*Sink, error) {
	n, err := Parse(table)
	if err != nil {
		return nil, err
	}
	if n.Snapshot != 0 {
		return nil, fault.New(fault.Invalid, "%.200q is a snapshot, which nothing can be added to", table).Hint("write lake://%s", n.Table)
	}
	if len(columns) == 0 {
		return nil, fault.New(fault.Invalid, "rows without columns cannot be written to table %q", n.Table)
	}
	return &Sink{lake: l, table: n.Table, columns: columns}, nil
}

// Append adds the rows of one batch in one snapshot, and returns the snapshot.
// The id names the batch for ever: an Append of an id that the table has does
// nothing and returns the snapshot of then. Rows are known by their columns'
// names. A commit costs some milliseconds and leaves a file, so a batch should
// be what came together in seconds, and tables that streams write are to be
// compacted.
func (s *Sink) Append(ctx context.Context, id string, rows ...frame.Batch) (snapshot int64, err error) {
	if id == "" {
		return 0, fault.New(fault.Internal, "a batch without an id is appended to table %q", s.table)
	}
	t, err := s.target(ctx)
	if err != nil {
		return 0, err
	}
	if done, err := s.lake.Committed(ctx, s.table, commitID(id)); err != nil || done != 0 {
		return done, err // nothing is staged for what is there
	}
	path, err := stage(ctx, t, id, rows)
	if err != nil || path == "" {
		return 0, err
	}
	after, err := t.CommitFiles(ctx, []string{path}, lake.Commit{ID: commitID(id), Summary: map[string]string{BatchKey: id}})
	s.keep(after, err)
	if err != nil {
		return 0, err
	}
	return after.Snapshot(), nil
}

// Committed returns the snapshot that a batch made, or 0.
func (s *Sink) Committed(ctx context.Context, id string) (snapshot int64, err error) {
	return s.lake.Committed(ctx, s.table, commitID(id))
}

// commitID tells the batches of streams apart from the runs of others that
// write the same table.
func commitID(id string) string { return "batch:" + id }

func (s *Sink) target(ctx context.Context) (*lake.Table, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draft == nil {
		t, err := s.lake.Draft(ctx, s.table, s.columns)
		if err != nil {
			return nil, err
		}
		s.draft = t
	}
	return s.draft, nil
}

// keep remembers the table as a commit left it. After a failure it is looked
// up anew: it may have other columns, or be another table.
func (s *Sink) keep(after *lake.Table, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		after = nil
	}
	s.draft = after
}

// stage writes the rows into a file that nobody sees yet; no file for no rows.
func stage(ctx context.Context, t *lake.Table, id string, rows []frame.Batch) (path string, err error) {
	n := int64(0)
	for _, b := range rows {
		n += b.NumRows()
	}
	if n == 0 {
		return "", nil
	}
	name := sha256.Sum256([]byte(id)) // an id may have any letters
	w, err := t.Stage(ctx, "stream-"+hex.EncodeToString(name[:12]))
	if err != nil {
		return "", err
	}
	defer w.Abort()
	for _, b := range rows {
		if err := w.Write(b); err != nil {
			return "", err
		}
	}
	f, err := w.Finish(ctx)
	return f.Path, err
}
