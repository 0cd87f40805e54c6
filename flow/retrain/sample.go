package retrain

import (
	"context"
	"math"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/flow/feature/past"
	"github.com/leat-ai/leat/flow/train"
)

// addRows appends the features of raw rows, with the extra columns, to what a
// training will read. joined has what was found as of the time of the rows.
func addRows(ctx context.Context, in *train.Input, set *feature.Set, joined *past.Joined, extra []string, raw frame.Batch) error {
	found, err := joined.Next(ctx, int(raw.NumRows()))
	if err != nil {
		return err
	}
	defer past.Release(found)
	features, err := set.ComputeAs(ctx, raw, feature.Asked{Found: found})
	if err != nil {
		return err
	}
	defer features.Release()
	b, err := beside(features, raw, extra)
	if err != nil {
		return err
	}
	in.Schema, in.Batches = b.Schema(), append(in.Batches, b)
	return nil
}

// sampledRows are the rows of a reader that a sampler keeps.
type sampledRows struct {
	frame.Reader
	keep *sampler
	read int64 // rows so far, kept or not
}

// Next returns the kept rows of the next batch, which may be none.
func (r *sampledRows) Next(ctx context.Context) (frame.Batch, error) {
	b, err := r.Reader.Next(ctx)
	if err != nil {
		return nil, err
	}
	defer b.Release()
	r.read += b.NumRows()
	return r.keep.take(ctx, b)
}

// DefaultMaxRows is how many rows a training holds in memory when its step
// does not say.
const DefaultMaxRows = 5_000_000

// sampler keeps about limit of rows, chosen by their position and a seed, so
// that the same table gives the same sample.
type sampler struct {
	below uint64 // keep a row whose hash is below; MaxUint64 keeps all
	seed  uint64
	row   uint64
}

func newSampler(rows, limit, seed int64) *sampler {
	if limit <= 0 {
		limit = DefaultMaxRows
	}
	s := &sampler{below: math.MaxUint64, seed: uint64(seed)}
	if rows > limit {
		s.below = uint64(float64(limit) / float64(rows) * math.MaxUint64)
	}
	return s
}

// take returns the kept rows of the next batch. The caller releases it.
func (s *sampler) take(ctx context.Context, b frame.Batch) (frame.Batch, error) {
	if s.below == math.MaxUint64 {
		b.Retain()
		return b, nil
	}
	mask := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer mask.Release()
	for range int(b.NumRows()) {
		mask.Append(mix(s.row^s.seed<<40) < s.below)
		s.row++
	}
	chosen := mask.NewBooleanArray()
	defer chosen.Release()
	kept, err := compute.FilterRecordBatch(ctx, b, chosen, compute.DefaultFilterOptions())
	return kept, fault.Wrap(err, fault.Internal, "the rows cannot be sampled")
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, Fast splittable
// pseudorandom number generators, 2014).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
