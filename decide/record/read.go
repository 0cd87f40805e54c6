package record

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Stable calls f while no segment moves into the lake. Who reads both takes
// the lake's snapshot and Fresh inside f, and finds each decision once: but
// for a moment after a crash, until Compact has run, a segment may be in
// both.
func (w *Writer) Stable(f func() error) error {
	w.moving.RLock()
	defer w.moving.RUnlock()
	return f()
}

// Fresh reads the decisions that are not in the lake yet, oldest segment
// first, with the columns of Columns. What was recorded before the call is
// there. Records that are damaged are left out; Compact reports them.
func (w *Writer) Fresh(ctx context.Context) (frame.Reader, error) {
	open, err := w.open(ctx)
	if err != nil {
		return nil, err
	}
	return &freshReader{segments: open}, nil
}

// Find returns a decision that is not in the lake yet, or a NotFound fault.
func (w *Writer) Find(ctx context.Context, id string) (d Decision, err error) {
	found := false
	err = w.newestFirst(ctx, func(p *payload) bool {
		if row := slices.Index(p.ids, id); row >= 0 {
			d, found = p.decision(row), true
		}
		return !found
	})
	if err == nil && !found {
		err = fault.New(fault.NotFound, "there is no decision %s among the latest", id)
	}
	return d, err
}

// Latest returns up to limit decisions of an endpoint, of all for "", that
// are not in the lake yet, newest first.
func (w *Writer) Latest(ctx context.Context, endpoint string, limit int) ([]Decision, error) {
	var list []Decision
	err := w.newestFirst(ctx, func(p *payload) bool {
		if endpoint != "" && p.endpoint != endpoint {
			return true
		}
		for row := len(p.ids) - 1; row >= 0 && len(list) < limit; row-- {
			list = append(list, p.decision(row))
		}
		return len(list) < limit
	})
	return list, err
}

// newestFirst calls f with every payload until it returns false.
func (w *Writer) newestFirst(ctx context.Context, f func(*payload) bool) error {
	open, err := w.open(ctx)
	if err != nil {
		return err
	}
	defer open.close()
	for _, segment := range slices.Backward(open) {
		if err := ctx.Err(); err != nil {
			return fault.Wrap(err, fault.KindOf(err), "the decision log was not read in time")
		}
		data, err := readAll(segment)
		if err != nil {
			return fault.Wrap(err, fault.Unavailable, "a segment of the decision log")
		}
		found, err := scanSegment(data)
		if err != nil {
			continue // Compact reports it
		}
		var d decoder
		for _, data := range slices.Backward(found.payloads) {
			if p, err := d.decode(data); err == nil && !f(p) {
				return nil
			}
		}
	}
	return nil
}

// opened is segments that stay readable though Compact removes them.
type opened []*os.File

func (o opened) close() {
	for _, f := range o {
		_ = f.Close() // opened for reading
	}
}

// open opens every segment, oldest first, once what is queued is written. A
// writer that has stopped has nothing queued, and can still be read.
func (w *Writer) open(ctx context.Context) (opened, error) {
	if err := w.flush(ctx, false, false); err != nil && ctx.Err() != nil {
		return nil, err
	}
	names, err := w.segs.list()
	if err != nil {
		return nil, err
	}
	var o opened
	for _, name := range names {
		f, err := os.Open(filepath.Join(w.options.Dir, name))
		if errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(name, suffixOpen) { // finished meanwhile
			f, err = os.Open(filepath.Join(w.options.Dir, strings.TrimSuffix(name, suffixOpen)+suffixSealed))
		}
		if errors.Is(err, fs.ErrNotExist) { // moved into the lake meanwhile
			continue
		}
		if err != nil {
			o.close()
			return nil, fault.Wrap(err, fault.Unavailable, "a segment of the decision log cannot be opened")
		}
		o = append(o, f)
	}
	return o, nil
}

// freshReader reads one segment after the other.
type freshReader struct {
	segments opened // the first is the next to read
	rows     *rowReader
}

func (r *freshReader) Schema() *arrow.Schema { return frame.SchemaOf(Columns()) }

func (r *freshReader) Next(ctx context.Context) (frame.Batch, error) {
	for {
		if r.rows != nil {
			b, err := r.rows.Next(ctx)
			if err != io.EOF {
				return b, err
			}
			r.rows = nil
		}
		if len(r.segments) == 0 {
			return nil, io.EOF
		}
		segment := r.segments[0]
		data, err := readAll(segment)
		r.segments[:1].close()
		r.segments = r.segments[1:]
		if err != nil {
			return nil, fault.Wrap(err, fault.Unavailable, "a segment of the decision log")
		}
		if found, err := scanSegment(data); err == nil {
			r.rows = newRowReader(found.payloads)
		}
	}
}

func (r *freshReader) Close() error {
	r.segments.close()
	r.segments, r.rows = nil, nil
	return nil
}

// rowReader turns payloads into batches of Columns.
type rowReader struct {
	schema   *arrow.Schema
	payloads [][]byte
	decoder  decoder
	scratch  []byte
	bad      int // payloads that did not read back
}

// batchRows is about how many rows a batch of Fresh has: few, so that moving
// them into the lake is work in small pieces, between which others are served.
const batchRows = 64

func newRowReader(payloads [][]byte) *rowReader {
	return &rowReader{schema: frame.SchemaOf(Columns()), payloads: payloads}
}

func (r *rowReader) Schema() *arrow.Schema { return r.schema }

func (r *rowReader) Close() error { r.payloads = nil; return nil }

func (r *rowReader) Next(ctx context.Context) (frame.Batch, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "the decision log was not read in time")
	}
	b := newRows(r.schema, &r.scratch)
	defer b.release()
	for len(r.payloads) > 0 && b.count < batchRows {
		p, err := r.decoder.decode(r.payloads[0])
		r.payloads = r.payloads[1:]
		if err != nil {
			r.bad++
			continue
		}
		for row := range p.ids {
			b.add(p, row)
		}
	}
	if b.count == 0 {
		return nil, io.EOF
	}
	return b.batch(), nil
}
