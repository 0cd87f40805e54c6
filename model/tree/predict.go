package tree

import (
	"context"
	"math"
	"runtime"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
)

// chunkRows is how many rows are encoded and scored at a time: their columns
// stay in the second-level cache, and ctx is looked at between chunks.
const chunkRows = 1024

// Predict scores the rows of a batch, as model.Model says. Large batches are
// spread over GOMAXPROCS goroutines.
func (e *Ensemble) Predict(ctx context.Context, in frame.Batch) (frame.Batch, error) {
	answers, err := e.Answers(ctx, in)
	if err != nil {
		return nil, err
	}
	return e.Batch(int(in.NumRows()), answers), nil
}

// Native answers in numbered columns: prediction0, … are the answers of
// Predict without labels, margin0, … the sums.
func (e *Ensemble) Native(ctx context.Context, in frame.Batch, raw bool) (frame.Batch, error) {
	name, of := "prediction", e.Answers
	if raw {
		name, of = "margin", e.Sums
	}
	values, err := of(ctx, in)
	if err != nil {
		return nil, err
	}
	return encode.Numbered(name, values), nil
}

// Answers returns what Predict makes its batch of: for each sum a slice of one
// number for each row.
func (e *Ensemble) Answers(ctx context.Context, in frame.Batch) ([][]float64, error) {
	return e.score(ctx, in, e.Link)
}

// Sums returns the same before Scale and Link.
func (e *Ensemble) Sums(ctx context.Context, in frame.Batch) ([][]float64, error) {
	return e.score(ctx, in, func([][]float64) {})
}

func (e *Ensemble) score(ctx context.Context, in frame.Batch, link func([][]float64)) ([][]float64, error) {
	if err := e.def.Encoder.Check(in.Schema()); err != nil {
		return nil, err
	}
	return e.answer(ctx, int(in.NumRows()), link, func(s *scratch, from, to int) error {
		return e.encode(in, s, from, to)
	})
}

// encode puts the encoded columns of the rows from..to of a batch into s.view.
func (e *Ensemble) encode(in frame.Batch, s *scratch, from, to int) error {
	part := in
	if from > 0 || to < int(in.NumRows()) {
		part = in.NewSlice(int64(from), int64(to))
		defer part.Release()
	}
	return e.def.Encoder.Encode(part, s.room(e, to-from))
}

// Score is Answers for columns that are encoded already: one for each column
// of the encoder, all of the same length. It returns one slice for each
// output, probabilities or the regression's numbers.
func (e *Ensemble) Score(ctx context.Context, columns [][]float64) ([][]float64, error) {
	if len(columns) != len(e.def.Encoder.Columns) {
		return nil, invalid("%d columns were given to an ensemble of %d", len(columns), len(e.def.Encoder.Columns))
	}
	rows := 0
	for i, c := range columns {
		if i > 0 && len(c) != rows {
			return nil, invalid("column %q has %d rows, the one before %d", e.def.Encoder.Columns[i].Name, len(c), rows)
		}
		rows = len(c)
	}
	return e.answer(ctx, rows, e.Link, func(s *scratch, from, to int) error {
		s.own = 0
		for i, c := range columns {
			s.view[i] = c[from:to]
		}
		return nil
	})
}

// answer computes the answers of all rows, by output. fill puts the encoded
// columns of the rows from..to into s.view.
func (e *Ensemble) answer(ctx context.Context, rows int, link func([][]float64), fill func(s *scratch, from, to int) error) ([][]float64, error) {
	answers := make([][]float64, len(e.def.Base))
	backing := make([]float64, rows*len(answers))
	for k := range answers {
		answers[k], backing = backing[:rows:rows], backing[rows:]
	}
	err := e.spread(ctx, rows, func(s *scratch, from, to int) error {
		if err := fill(s, from, to); err != nil {
			return err
		}
		for k := range s.sums {
			s.sums[k] = answers[k][from:to]
		}
		e.code.sum(&s.engine, s.view, s.sums)
		link(s.sums)
		return nil
	})
	return answers, err
}

// spread calls f for every chunk of the rows, on several goroutines when the
// work is worth one.
func (e *Ensemble) spread(ctx context.Context, rows int, f func(s *scratch, from, to int) error) error {
	chunks := (rows + chunkRows - 1) / chunkRows
	workers := min(runtime.GOMAXPROCS(0), chunks)
	if workers <= 1 {
		return e.work(ctx, rows, 0, 1, f)
	}
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { errs[w] = e.work(ctx, rows, w, workers, f) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// work does every stride-th chunk, beginning with the first-th.
func (e *Ensemble) work(ctx context.Context, rows, first, stride int, f func(s *scratch, from, to int) error) error {
	s := e.borrow()
	defer func() {
		if s.own == 0 {
			clear(s.view) // the caller's columns are not kept alive
		}
		clear(s.sums)
		e.scratches.Put(s)
	}()
	for from := first * chunkRows; from < rows; from += stride * chunkRows {
		if err := ctx.Err(); err != nil {
			return fault.Wrap(err, fault.KindOf(err), "scoring ended before its last row")
		}
		if err := f(s, from, min(from+chunkRows, rows)); err != nil {
			return err
		}
	}
	return nil
}

// scratch is the memory that one goroutine scores with.
type scratch struct {
	columns [][]float64 // room for encoded columns
	view    [][]float64 // the encoded columns of the present chunk
	own     int         // how long view is when it lies in columns; 0 when it does not
	sums    [][]float64 // views of the answers, as long as the chunk
	engine  engine
}

func (e *Ensemble) borrow() *scratch {
	if s, ok := e.scratches.Get().(*scratch); ok {
		return s
	}
	return &scratch{
		view: make([][]float64, len(e.def.Encoder.Columns)),
		sums: make([][]float64, len(e.def.Base)),
	}
}

// room returns columns for n rows. One row is common and must stay cheap, so
// the full chunk is only allocated once it is needed.
func (s *scratch) room(e *Ensemble, n int) [][]float64 {
	if len(s.columns) == 0 || n > len(s.columns[0]) {
		size := 16
		if n > size {
			size = chunkRows
		}
		s.columns, s.own = e.def.Encoder.Matrix(size), 0
	}
	if s.own != n {
		s.own = n
		for i := range s.view {
			s.view[i] = s.columns[i][:n]
		}
	}
	return s.view
}

// Link turns sums into answers, in place: one slice for each output.
func (e *Ensemble) Link(sums [][]float64) {
	if e.def.Scale != 1 {
		for _, s := range sums {
			for i := range s {
				s[i] *= e.def.Scale
			}
		}
	}
	if e.def.Link == Softmax {
		for i := range sums[0] {
			softmax(sums, i)
		}
		return
	}
	for _, s := range sums {
		e.def.Link.apply(s)
	}
}

// apply turns the sums of one output into answers.
func (l Link) apply(s []float64) {
	switch l {
	case Sigmoid:
		for i, v := range s {
			s[i] = 1 / (1 + math.Exp(-v))
		}
	case Exp:
		for i, v := range s {
			s[i] = math.Exp(v)
		}
	case Softplus:
		for i, v := range s { // exp(v) alone would overflow where the answer does not
			s[i] = max(v, 0) + math.Log1p(math.Exp(-math.Abs(v)))
		}
	case SignSquare:
		for i, v := range s {
			s[i] = v * math.Abs(v)
		}
	case Step:
		for i, v := range s {
			s[i] = 0
			if v > 0 {
				s[i] = 1
			}
		}
	}
}

// softmax turns the sums of row i into probabilities. The largest sum is
// taken off first, so that no exponential overflows.
func softmax(sums [][]float64, i int) {
	largest := math.Inf(-1)
	for _, s := range sums {
		largest = max(largest, s[i])
	}
	total := 0.0
	for _, s := range sums {
		s[i] = math.Exp(s[i] - largest)
		total += s[i]
	}
	for _, s := range sums {
		s[i] /= total
	}
}

// Batch makes the batch of Signature().Outputs of what Answers returned. It
// keeps the slices.
func (e *Ensemble) Batch(rows int, answers [][]float64) frame.Batch {
	columns := make([]arrow.Array, 0, len(e.signature.Outputs))
	switch e.def.Task {
	case model.Binary:
		score := answers[len(answers)-1]
		columns = append(columns, encode.Doubles(score), e.labels(rows, func(i int) int {
			if score[i] >= e.def.Threshold {
				return 1
			}
			return 0
		}))
	case model.Multiclass:
		columns = append(columns, e.labels(rows, func(i int) int { return argmax(answers, i) }))
		fallthrough
	default:
		for k := range answers {
			columns = append(columns, encode.Doubles(answers[k]))
		}
	}
	out := array.NewRecordBatch(e.schema, columns, int64(rows))
	for _, c := range columns {
		c.Release()
	}
	return out
}

// labels is the column of the classes of rows. That of a single row, which is
// what most requests have, is there already: building it took as long as all
// the rest of an answer.
func (e *Ensemble) labels(rows int, class func(i int) int) arrow.Array {
	if rows == 1 {
		word := e.words[class(0)]
		word.Retain()
		return word
	}
	return words(rows, func(i int) string { return e.def.Classes[class(i)] })
}

func words(rows int, of func(i int) string) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(rows)
	for i := range rows {
		b.Append(of(i))
	}
	return b.NewArray()
}

// argmax returns the output with the largest answer for row i, the first of
// equals.
func argmax(answers [][]float64, i int) int {
	best := 0
	for k := range answers {
		if answers[k][i] > answers[best][i] {
			best = k
		}
	}
	return best
}
