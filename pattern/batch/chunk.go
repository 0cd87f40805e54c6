package batch

import (
	"context"
	"errors"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/flow/feature/past"
	"github.com/leat-ai/leat/flow/feature/profile"
	"github.com/leat-ai/leat/flow/ingest/convert"
	"github.com/leat-ai/leat/work"
)

// part is what scoring a chunk left behind.
type part struct {
	File       string `json:"file,omitempty"`
	Rows       int64  `json:"rows"`
	FailedFile string `json:"failed_file,omitempty"`
	Failed     int64  `json:"failed,omitempty"`
	// Tallies are the counts of the rows, by window of the whole run.
	Tallies map[int]*profile.Tally `json:"tallies,omitempty"`
}

// score is the step of one chunk.
func (j *job) score(ctx context.Context, progress *work.Progress, index int, c Chunk) (part, error) {
	progress.Total(j.plan.Rows, "rows")
	columns := names(j.plan.Read)
	r, err := j.source.Read(ctx, c, columns)
	if err != nil {
		return part{}, err
	}
	s := &scorer{job: j, index: index, at: c.FirstRow, tallies: tallies{profile: j.profile, total: j.plan.Rows}}
	defer s.abort()
	if s.past, err = j.found.from(ctx, c.FirstRow); err != nil {
		return part{}, errors.Join(err, r.Close())
	}
	err = frame.Each(ctx, r, func(rows frame.Batch) error {
		if err := s.batch(ctx, rows); err != nil {
			return err
		}
		progress.Add(rows.NumRows())
		return nil
	})
	if err != nil {
		return part{}, err
	}
	if got := s.at - c.FirstRow; got != c.Rows {
		return part{}, fault.New(fault.Corrupt, "a part of %q has %d rows, not the %d that it had", j.batch.From, got, c.Rows).
			Hint("start a new run; the source changed under this one")
	}
	return s.finish(ctx)
}

// scorer takes the batches of one chunk through the path.
type scorer struct {
	job      *job
	index    int
	at       int64 // position of the next row in the source
	out      PartWriter
	failed   PartWriter
	tallies  tallies
	past     *past.Reading // of the chunk; nil: nothing depends on time
	releases arrow.Array   // the id of the release, as often as the longest batch has rows
}

func (s *scorer) batch(ctx context.Context, rows frame.Batch) error {
	in, err := fit(rows, s.job.plan.Read)
	if err != nil {
		return err
	}
	defer in.Release()
	found, err := s.past.Next(ctx, int(in.NumRows()))
	if err != nil {
		return err
	}
	defer past.Release(found)
	answer, err := s.job.decider.Decide(ctx, decide.Request{
		Principal: principal(s.job.batch), Pattern: decide.Batch,
		Rows: in, Keys: positions(s.at, int(in.NumRows())), Run: s.job.run, Received: s.job.clock.Now(),
		Asked: feature.Asked{At: s.job.plan.At, Found: found},
		Seen:  func(inputs, output frame.Batch) error { return s.tallies.seen(s.at, inputs, output) },
	})
	if err != nil {
		return err
	}
	defer answer.Close()
	if answer.Release != s.job.plan.Release {
		return fault.New(fault.Internal, "release %q answered for release %q", answer.Release, s.job.plan.Release)
	}
	failed := failures(answer)
	if failed > 0 {
		if err := s.reject(ctx, in, answer); err != nil {
			return err
		}
	}
	if failed < int(in.NumRows()) {
		if err := s.accept(ctx, in, answer, failed); err != nil {
			return err
		}
	}
	s.at += in.NumRows()
	return nil
}

// accept writes the rows that succeeded.
func (s *scorer) accept(ctx context.Context, in frame.Batch, a *decide.Answer, failed int) (err error) {
	if s.out == nil {
		if s.out, err = s.job.sink.Stage(ctx, s.index); err != nil {
			return err
		}
	}
	out, err := s.assemble(in, a)
	if err != nil {
		return err
	}
	defer out.Release()
	if failed == 0 {
		return s.out.Write(out)
	}
	good, err := withoutFailed(ctx, out, a.Errors)
	if err != nil {
		return err
	}
	defer good.Release()
	return s.out.Write(good)
}

// assemble puts the columns of the target together; those that are kept or
// put out are shared, not copied.
func (s *scorer) assemble(in frame.Batch, a *decide.Answer) (frame.Batch, error) {
	n := int(in.NumRows())
	p := s.job.plan
	columns := make([]arrow.Array, 0, len(p.Target))
	for _, name := range p.Keep {
		columns = append(columns, in.Column(frame.Index(in.Schema(), name)))
	}
	if len(p.Keep) == 0 {
		rows := counting(s.at, n)
		defer rows.Release()
		columns = append(columns, rows)
	}
	ids := stringsOf(a.IDs)
	defer ids.Release()
	columns = append(columns, ids)
	for _, c := range p.Outputs {
		at := frame.Index(a.Rows.Schema(), c.Name)
		if at < 0 || !arrow.TypeEqual(a.Rows.Column(at).DataType(), c.Type.Arrow()) {
			return nil, fault.New(fault.Internal, "release %q does not put out column %q as %s", p.Release, c.Name, c.Type)
		}
		columns = append(columns, a.Rows.Column(at))
	}
	release := s.release(n)
	defer release.Release()
	columns = append(columns, release)
	return array.NewRecordBatch(s.job.target, columns, int64(n)), nil
}

// release returns n times the id of the release.
func (s *scorer) release(n int) arrow.Array {
	if s.releases == nil || s.releases.Len() < n {
		if s.releases != nil {
			s.releases.Release()
		}
		s.releases = repeated(s.job.plan.Release, n)
	}
	return array.NewSlice(s.releases, 0, int64(n))
}

// finish ends the files of the chunk.
func (s *scorer) finish(ctx context.Context) (p part, err error) {
	if s.out != nil {
		if p.File, p.Rows, err = s.out.Finish(ctx); err != nil {
			return part{}, err
		}
	}
	if s.failed != nil {
		if p.FailedFile, p.Failed, err = s.failed.Finish(ctx); err != nil {
			return part{}, err
		}
	}
	p.Tallies = s.tallies.counts
	return p, nil
}

// abort throws away what is not finished.
func (s *scorer) abort() {
	for _, w := range []PartWriter{s.out, s.failed} {
		if w != nil {
			w.Abort()
		}
	}
	if s.releases != nil {
		s.releases.Release()
	}
}

// failures counts the rows that failed.
func failures(a *decide.Answer) int {
	n := 0
	for _, err := range a.Errors {
		if err != nil {
			n++
		}
	}
	return n
}

// fit gives the rows of a source the types that the path reads.
func fit(rows frame.Batch, want []frame.Column) (frame.Batch, error) {
	columns := make([]arrow.Array, len(want))
	for i, c := range want {
		at := frame.Index(rows.Schema(), c.Name)
		if at < 0 {
			return nil, fault.New(fault.Corrupt, "the source has lost its column %q", c.Name)
		}
		columns[i] = rows.Column(at)
		if arrow.TypeEqual(columns[i].DataType(), c.Type.Arrow()) {
			continue
		}
		converted, err := convert.Array(columns[i], c.Type)
		if err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "column %q", c.Name)
		}
		defer converted.Release()
		columns[i] = converted
	}
	return array.NewRecordBatch(frame.SchemaOf(want), columns, rows.NumRows()), nil
}

// withoutFailed leaves the rows out that have an error.
func withoutFailed(ctx context.Context, rows frame.Batch, errs []error) (frame.Batch, error) {
	b := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(len(errs))
	for _, err := range errs {
		b.Append(err == nil)
	}
	good := b.NewBooleanArray()
	defer good.Release()
	out, err := compute.FilterRecordBatch(ctx, rows, good, compute.DefaultFilterOptions())
	return out, fault.Wrap(err, fault.Internal, "failed rows cannot be left out")
}

// positions writes n row numbers from first into one string and cuts it up,
// because a string for each would be most of what a batch allocates.
func positions(first int64, n int) []string {
	ends := make([]int, n)
	text := make([]byte, 0, 8*n)
	for i := range n {
		text = strconv.AppendInt(text, first+int64(i), 10)
		ends[i] = len(text)
	}
	all, from := string(text), 0
	keys := make([]string, n)
	for i, to := range ends {
		keys[i] = all[from:to]
		from = to
	}
	return keys
}

func counting(first int64, n int) arrow.Array {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(n)
	for i := range n {
		b.UnsafeAppend(first + int64(i))
	}
	return b.NewArray()
}

func stringsOf(values []string) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.AppendValues(values, nil)
	return b.NewArray()
}

func repeated(value string, n int) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(n)
	b.ReserveData(n * len(value))
	for range n {
		b.Append(value)
	}
	return b.NewArray()
}
