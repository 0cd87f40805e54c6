package online

import (
	"context"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature"
)

// dated tells whether what is found depends on the time that is asked for.
func (c *View) dated() bool { return c.plan != nil || c.spec.TTL > 0 && c.when >= 0 }

// Table is a view as a release looks it up: windows as of the time of each
// row, and of rows the newest, unless it is stale by then. So a model is given
// what the join with the past gives it, too.
func (f *Features) Table(v *View) feature.Table {
	return feature.Table{
		Keys: v.keys, Columns: v.features, Dated: v.dated(), Ready: true,
		Lookup: lookup{f.Reader([]Ask{{View: v}}), frame.SchemaOf(v.keys)},
	}
}

// lookup is one view as feature.Lookup.
type lookup struct {
	reader *Reader
	schema *arrow.Schema
}

// Values meets feature.Lookup.
func (l lookup) Values(ctx context.Context, keys []arrow.Array, at []int64, rows int) ([]arrow.Array, error) {
	batch := array.NewRecordBatch(l.schema, keys, int64(rows))
	defer batch.Release()
	if at == nil {
		at = []int64{l.reader.features.config.Clock.Now().UnixMicro()}
	}
	if rows == 0 {
		at = []int64{0}
	}
	var a Answer
	if err := l.reader.Read(ctx, batch, at, &a); err != nil {
		return nil, err
	}
	a.Parts[0].dropStale()
	return a.Parts[0].Arrays()
}

// Find reads all views of the reader for the rows of a request, in one round
// trip, by view: what feature.Asked takes as found. at is the time of rows
// whose column has none, or of all where column is "". The caller releases it.
func (r *Reader) Find(ctx context.Context, rows frame.Batch, column string, at time.Time) (map[string][]arrow.Array, error) {
	times := []int64{noTime}
	if !at.IsZero() {
		times[0] = at.UnixMicro()
	}
	if own := frame.Index(rows.Schema(), column); column != "" && own >= 0 {
		c, ok := rows.Column(own).(*array.Timestamp)
		if !ok {
			return nil, fault.New(fault.Invalid, "column %q has no times", column)
		}
		otherwise := times[0]
		times = make([]int64, rows.NumRows())
		for i := range times {
			times[i] = otherwise
			if c.IsValid(i) {
				times[i] = int64(c.Value(i))
			}
		}
	}
	var a Answer
	if err := r.Read(ctx, rows, times, &a); err != nil {
		return nil, err
	}
	found := make(map[string][]arrow.Array, len(a.Parts))
	for i := range a.Parts {
		a.Parts[i].dropStale()
		values, err := a.Parts[i].Arrays()
		if err != nil {
			feature.Asked{Found: found}.Release()
			return nil, err
		}
		found[a.Parts[i].View.Name()] = values
	}
	return found, nil
}

// dropStale makes rows that are stale NULL. Windows have gone on by themselves.
func (p *Part) dropStale() {
	if p.View.plan != nil {
		return
	}
	for row, s := range p.Status {
		if s == Stale {
			clear(p.row(row))
		}
	}
}
