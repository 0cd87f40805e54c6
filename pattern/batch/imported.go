package batch

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// imported is a source of files that cannot be read in parts (CSV, JSON
// lines). The plan reads them once, in order, and leaves them as Parquet files
// in the scratch folder of the run, which the chunks are then read from.
type imported struct {
	opener Opener
	from   string
	dir    string
	pin    string
}

// importRows is how many rows an imported file has.
const importRows = 8 * DefaultChunk

func (s imported) Plan(ctx context.Context, rows int64) (Content, error) {
	if err := errors.Join(os.RemoveAll(s.dir), os.MkdirAll(s.dir, 0o700)); err != nil {
		return Content{}, writeFault(err, s.dir)
	}
	r, err := s.opener.Open(ctx, s.from)
	if err != nil {
		return Content{}, err
	}
	paths, err := s.copy(ctx, r)
	if err != nil {
		return Content{}, errors.Join(err, r.Close())
	}
	columns, err := frame.ColumnsOf(r.Schema())
	if err = errors.Join(err, r.Close()); err != nil {
		return Content{}, err
	}
	c := Content{Columns: columns}
	var cut cutter
	var stamps []stamp
	for _, path := range paths {
		st, err := stampOf(path)
		if err != nil {
			return Content{}, err
		}
		_, groups, err := describe(path)
		if err != nil {
			return Content{}, err
		}
		stamps = append(stamps, st)
		cut.file(path, groups, rows)
	}
	pin, err := json.Marshal(stamps)
	c.Pin, c.Chunks = string(pin), cut.chunks
	return c, errors.Join(err, tooMany(c.Chunks))
}

// copy writes the rows of r into files of importRows rows.
func (s imported) copy(ctx context.Context, r frame.Reader) (paths []string, err error) {
	to := staging{target: filepath.Join(s.dir, "rows"), run: "import", schema: r.Schema()}
	var w PartWriter
	var rows int64
	defer func() {
		if w != nil {
			w.Abort()
		}
	}()
	finish := func() error {
		if w == nil {
			return nil
		}
		name, _, err := w.Finish(ctx)
		paths = append(paths, filepath.Join(to.dir(), name))
		w, rows = nil, 0
		return err
	}
	for {
		b, err := r.Next(ctx)
		if err == io.EOF {
			return paths, finish()
		}
		if err != nil {
			return nil, err
		}
		if w == nil {
			if w, err = to.stage(ctx, len(paths), parquetFormat{}); err != nil {
				b.Release()
				return nil, err
			}
		}
		err = w.Write(b)
		rows += b.NumRows()
		b.Release()
		if err == nil && rows >= importRows {
			err = finish()
		}
		if err != nil {
			return nil, err
		}
	}
}

func (s imported) Read(ctx context.Context, c Chunk, columns []string) (frame.Reader, error) {
	r, err := parquetFiles{pin: s.pin}.Read(ctx, c, columns)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.Wrap(err, fault.Conflict, "what run read from %q is gone from the scratch folder", s.from)
	}
	return r, err
}
