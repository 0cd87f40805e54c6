package batch

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/work"
)

// rejects builds rows of the side table.
type rejects struct {
	job *job
	b   *array.RecordBuilder
}

func (j *job) newRejects() rejects {
	return rejects{j, array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(failedColumns()))}
}

// add adds a row; a negative row or an empty key is NULL.
func (r rejects) add(row int64, key string, kind fault.Kind, reason string) {
	if row < 0 {
		r.b.Field(0).AppendNull()
	} else {
		r.b.Field(0).(*array.Int64Builder).Append(row)
	}
	for i, text := range []string{key, string(kind), reason, r.job.plan.Release, r.job.run} {
		if text == "" {
			r.b.Field(1 + i).AppendNull()
		} else {
			r.b.Field(1 + i).(*array.StringBuilder).Append(text)
		}
	}
}

// writeTo hands the rows to a writer and starts anew.
func (r rejects) writeTo(w PartWriter) error {
	rows := r.b.NewRecordBatch()
	defer rows.Release()
	return w.Write(rows)
}

// stageFailures begins a file of the side table, which is made now where it
// was not needed before.
func (j *job) stageFailures(ctx context.Context, index int) (PartWriter, error) {
	if err := j.failures.Prepare(ctx); err != nil {
		return nil, err
	}
	return j.failures.Stage(ctx, index)
}

// reject writes the rows of a batch that failed, with the reason.
func (s *scorer) reject(ctx context.Context, in frame.Batch, a *decide.Answer) (err error) {
	if s.failed == nil {
		if s.failed, err = s.job.stageFailures(ctx, s.index); err != nil {
			return err
		}
	}
	var keys arrow.Array
	if name := s.job.plan.Key; name != "" {
		keys = in.Column(frame.Index(in.Schema(), name))
	}
	r := s.job.newRejects()
	defer r.b.Release()
	for i, rowErr := range a.Errors {
		if rowErr == nil {
			continue
		}
		key := ""
		if keys != nil && keys.IsValid(i) {
			key = keys.ValueStr(i)
		}
		r.add(s.at+int64(i), key, fault.KindOf(rowErr), rowErr.Error())
	}
	return r.writeTo(s.failed)
}

// unreadable is the step that takes over what ingest could not read.
func (j *job) unreadable(ctx context.Context, progress *work.Progress) (p part, err error) {
	w, err := j.stageFailures(ctx, len(j.plan.Chunks))
	if err != nil {
		return part{}, err
	}
	defer w.Abort()
	for _, path := range j.plan.Unreadable {
		r, err := readParquet(ctx, path, nil, []string{"file", "line", "reason", "detail"})
		if err != nil {
			return part{}, err
		}
		err = frame.Each(ctx, r, func(rows frame.Batch) error {
			progress.Add(rows.NumRows())
			return j.takeOver(rows, w)
		})
		if err != nil {
			return part{}, err
		}
	}
	p.FailedFile, p.Failed, err = w.Finish(ctx)
	return p, err
}

func (j *job) takeOver(rows frame.Batch, w PartWriter) error {
	r := j.newRejects()
	defer r.b.Release()
	cell := func(column, row int) string {
		if rows.Column(column).IsNull(row) {
			return ""
		}
		return rows.Column(column).ValueStr(row)
	}
	for i := range int(rows.NumRows()) {
		reason := cell(2, i)
		if detail := cell(3, i); detail != "" {
			reason = fmt.Sprintf("%s: %s", reason, detail)
		}
		r.add(-1, cell(0, i)+":"+cell(1, i), fault.Invalid, reason)
	}
	return r.writeTo(w)
}
