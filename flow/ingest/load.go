package ingest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// partRows bounds a file of the table.
const partRows = 4 << 20

// load is one pass over the input: rows parsed in parallel, written in order.
type load struct {
	job    *job
	plan   *plan
	schema *arrow.Schema
	rules  []rule
	pass   int
	target Target
	stem   string // of the names of staged files

	part  Part
	paths []string
	rows  int64
	bad   quarantine
	found findings
	lost  bool  // the plan cannot stay: rows are parsed for the findings only
	wider *plan // the plan to begin anew with; nil: the pass is complete

	bytes    int64        // of the files finished
	read     atomic.Int64 // of all files, as stored
	reported time.Time
}

// parsed is what became of a chunk of the input.
type parsed struct {
	batch frame.Batch // nil: no good rows
	bad   []badRow
	found findings
	file  string
}

func (j *job) load(ctx context.Context, p *plan, pass int) (*load, error) {
	l := &load{job: j, plan: p, schema: frame.SchemaOf(p.columns()), pass: pass, found: newFindings(p)}
	sum := sha256.Sum256([]byte(j.src.Name + "\x00" + j.commitID()))
	l.stem = hex.EncodeToString(sum[:8])
	var err error
	if l.rules, err = bindRules(j.src, p.columns()); err != nil {
		return nil, err
	}
	if l.target, err = j.in.Sink.Draft(ctx, j.src.Name, p.columns()); err != nil {
		return nil, err
	}
	l.bad = quarantine{job: j, stem: l.stem, reasons: map[string]int64{}, at: j.now()}
	if err := l.readAll(ctx); err != nil {
		l.abort()
		return nil, err
	}
	l.wider = p.revise(l.found)
	if l.wider == nil {
		err = l.finish(ctx)
	}
	if err != nil {
		l.abort()
		return nil, err
	}
	return l, nil
}

func (l *load) readAll(ctx context.Context) error {
	if l.job.input.database != nil {
		return l.readQuery(ctx)
	}
	for i, f := range l.job.input.files {
		var err error
		if f.format == "parquet" {
			err = l.readParquet(ctx, f)
		} else {
			err = l.readText(ctx, i, f)
		}
		if err != nil {
			return err
		}
		l.bytes += max(0, f.Size)
		l.report(f.Name, true)
	}
	return nil
}

// take writes what became of a chunk. It is called in the order of the input.
func (l *load) take(ctx context.Context, p parsed) error {
	if p.batch != nil {
		defer p.batch.Release()
	}
	l.found.merge(p.found)
	if l.found.urgent() {
		l.lost = true
	}
	defer l.report(p.file, false)
	if l.lost {
		return nil
	}
	if err := l.bad.add(ctx, p.file, p.bad); err != nil {
		return err
	}
	if p.batch == nil {
		return nil
	}
	if l.part == nil {
		var err error
		if l.part, err = l.target.Stage(ctx, partName(l.stem, len(l.paths))); err != nil {
			return err
		}
	}
	if err := l.part.Write(p.batch); err != nil {
		return err
	}
	l.rows += p.batch.NumRows()
	if l.part.Rows() >= partRows {
		return l.finishPart(ctx)
	}
	return nil
}

func (l *load) finishPart(ctx context.Context) error {
	path, err := l.part.Finish(ctx)
	if err == nil {
		l.paths = append(l.paths, path)
		l.part = nil
	}
	return err
}

func (l *load) finish(ctx context.Context) error {
	if l.part != nil {
		if err := l.finishPart(ctx); err != nil {
			return err
		}
	}
	return l.bad.finish(ctx)
}

// abort throws away what was written.
func (l *load) abort() {
	if l.part != nil {
		l.part.Abort()
		l.part = nil
	}
	l.target.Discard()
	l.bad.abort()
}

// report tells the progress, at most five times a second.
func (l *load) report(file string, always bool) {
	now := time.Now()
	if !always && now.Sub(l.reported) < 200*time.Millisecond {
		return
	}
	l.reported = now
	l.job.progress(Progress{
		File: file, Done: l.read.Load(), Total: l.job.input.total, Rows: l.rows + l.bad.rows, Pass: l.pass,
	})
}

// inOrder runs work on what produce emits, by several goroutines, and hands
// the results to take in the order of emission. No more than a few items a
// worker exist at a time. The first error ends all of it.
func inOrder[T, R any](ctx context.Context, workers int, produce func(emit func(T) error) error, work func(T) (R, error), take func(R) error) error {
	type slot struct {
		in  T
		out chan R
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	jobs := make(chan slot)
	order := make(chan slot, 2*workers)
	var group sync.WaitGroup
	group.Go(func() {
		defer close(order)
		defer close(jobs)
		err := produce(func(in T) error {
			s := slot{in, make(chan R, 1)}
			select {
			case order <- s:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			select {
			case jobs <- s:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		if err != nil {
			cancel(err)
		}
	})
	for range workers {
		group.Go(func() {
			for s := range jobs {
				out, err := work(s.in)
				if err != nil {
					cancel(err)
					return
				}
				s.out <- out
			}
		})
	}
	defer group.Wait()
	for s := range order {
		select {
		case out := <-s.out:
			if err := take(out); err != nil {
				cancel(err)
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return context.Cause(ctx)
}

func (l *load) workers() int {
	if n := l.job.limits.Workers; n > 0 {
		return n
	}
	return runtime.GOMAXPROCS(0)
}

// readQuery reads the rows of a database's query.
func (l *load) readQuery(ctx context.Context) error {
	in := &l.job.input
	r, err := in.database.Query(ctx, in.address, in.secret, l.job.src.Query)
	if err != nil {
		return err
	}
	return l.readBatches(ctx, r, "query", 0)
}

// readBatches reads rows that are typed already. Their position is the number
// of the row, from 1, after those before.
func (l *load) readBatches(ctx context.Context, r frame.Reader, name string, before int64) error {
	row := before
	emit := func(emit func(typed) error) error {
		defer func() { _ = r.Close() }() // the rows are here by then
		for {
			batch, err := r.Next(ctx)
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if err := emit(typed{batch, row}); err != nil {
				batch.Release()
				return err
			}
			row += batch.NumRows()
		}
	}
	return inOrder(ctx, l.workers(), emit,
		func(t typed) (parsed, error) { return l.convert(t, name) },
		func(p parsed) error { return l.take(ctx, p) })
}

// typed is a batch with the number of rows before it.
type typed struct {
	batch frame.Batch
	row   int64
}

// convert makes good rows of a typed batch. The columns of a damaged file may
// contradict themselves, which the Arrow library answers with a panic.
func (l *load) convert(t typed, name string) (_ parsed, err error) {
	defer t.batch.Release()
	defer func() {
		if r := recover(); r != nil {
			err = fault.New(fault.Corrupt, "%q has rows that contradict themselves: %v", name, r)
		}
	}()
	batch, err := fitBatch(t.batch, l.plan, l.schema)
	if err != nil {
		return parsed{}, fault.Wrap(err, fault.KindOf(err), "%q", name)
	}
	line := func(i int) int64 { return t.row + int64(i) + 1 }
	p := parsed{found: newFindings(l.plan), file: name}
	if batch, p.bad, err = withoutBrokenText(batch, line); err != nil || batch == nil {
		return p, err
	}
	// The numbers of rows are known before the first of them are taken out.
	lines := linesLeft(int(t.batch.NumRows()), p.bad, line)
	var bad []badRow
	p.batch, bad, err = applyRules(l.rules, batch, lines)
	p.bad = append(p.bad, bad...)
	slices.SortStableFunc(p.bad, func(a, b badRow) int { return cmp.Compare(a.line, b.line) })
	return p, err
}

// linesLeft maps rows that are left to the lines that they had.
func linesLeft(rows int, gone []badRow, line func(i int) int64) func(i int) int64 {
	if len(gone) == 0 {
		return line
	}
	left := make([]int64, 0, rows)
	for i := range rows {
		if n := line(i); !slices.ContainsFunc(gone, func(b badRow) bool { return b.line == n }) {
			left = append(left, n)
		}
	}
	return func(i int) int64 { return left[i] }
}
