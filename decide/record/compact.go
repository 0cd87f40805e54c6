package record

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Compact moves finished segments into the sink, oldest first, and deletes
// them. It goes on behind a damaged segment: that one's whole records are
// moved, its file is kept in the folder "damaged", and the error at the end
// is a Corrupt fault that says how much was lost. It stops at an error of the
// sink; what was not moved is moved next time. One Compact runs at a time; those who read wait for its
// commits only.
func (w *Writer) Compact(ctx context.Context, sink Sink) (moved int, err error) {
	w.compacting.Lock()
	defer w.compacting.Unlock()
	names, err := w.segs.list()
	if err != nil {
		return 0, err
	}
	var damaged fault.List
	for _, name := range names {
		if !strings.HasSuffix(name, suffixSealed) {
			continue
		}
		err := w.move(ctx, sink, name)
		if fault.Is(err, fault.Corrupt) {
			w.options.Log.Error("decision records are damaged", "segment", name, "error", err)
			damaged.Add(err)
			err = nil
		}
		if err != nil {
			return moved, err
		}
		moved++
	}
	return moved, damaged.Err()
}

// move gives one segment to the sink. A Corrupt fault means that it was moved
// as far as it could be read.
func (w *Writer) move(ctx context.Context, sink Sink, name string) error {
	path := filepath.Join(w.options.Dir, name)
	data, err := readSegment(path)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "segment %s of the decision log", name)
	}
	found, err := scanSegment(data)
	if err != nil { // not one record can be told
		w.damaged.Add(int64(len(data)))
		return errors.Join(w.keep(name), fault.Wrap(err, fault.Corrupt, "segment %s of the decision log", name))
	}
	rows := newRowReader(found.payloads)
	commit, err := sink.Stage(ctx, strings.TrimSuffix(name, suffixSealed), rows)
	if err != nil {
		return fault.Wrap(err, fault.KindOf(err), "segment %s of the decision log was not written to the lake", name)
	}
	w.moving.Lock() // from here on its decisions must not be seen twice, or nowhere
	defer w.moving.Unlock()
	if err := commit(ctx); err != nil {
		return fault.Wrap(err, fault.KindOf(err), "segment %s of the decision log was not moved into the lake", name)
	}
	lost := found.damaged + found.torn(data)
	if lost == 0 && rows.bad == 0 {
		return fault.Wrap(errors.Join(os.Remove(path), syncDir(w.options.Dir)), fault.Unavailable, "segment %s was moved and not deleted", name)
	}
	w.damaged.Add(lost)
	if err := w.keep(name); err != nil {
		return err
	}
	return fault.New(fault.Corrupt, "segment %s of the decision log: %d bytes and %d records cannot be read", name, lost, rows.bad).
		Hint("the others were moved; the file is kept in the folder %s", folderDamaged)
}

// keep puts a damaged segment aside.
func (w *Writer) keep(name string) error {
	return fault.Wrap(putAside(w.options.Dir, name), fault.Unavailable, "a damaged segment cannot be put aside")
}

// entry is a run as one decision: its input table is the inputs, what it
// wrote the output.
func (r Run) entry() *Entry {
	in := oneRow([]frame.Column{{Name: "from", Type: frame.String}, {Name: "snapshot", Type: frame.Int}},
		r.Input, r.InputSnapshot)
	out := oneRow([]frame.Column{
		{Name: "to", Type: frame.String}, {Name: "snapshot", Type: frame.Int},
		{Name: "rows", Type: frame.Int}, {Name: "failed", Type: frame.Int},
	}, r.Output, r.OutputSnapshot, r.Rows, r.Failed)
	return &Entry{
		At: r.At, Pattern: "batch", Endpoint: r.Endpoint, Release: r.Release, Caller: r.Caller, Run: r.ID,
		Required: true, IDs: []string{r.ID}, Inputs: in, Output: out,
	}
}

// oneRow is a batch of a text and numbers.
func oneRow(columns []frame.Column, text string, numbers ...int64) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(columns))
	defer b.Release()
	b.Field(0).(*array.StringBuilder).Append(text)
	for i, n := range numbers {
		b.Field(1 + i).(*array.Int64Builder).Append(n)
	}
	return b.NewRecordBatch()
}
