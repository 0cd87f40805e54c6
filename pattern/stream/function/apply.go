package function

import (
	"context"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/base/plain"
	"github.com/leat-ai/leat/model/columns"
	"github.com/leat-ai/leat/store/bus"
)

// maxFan bounds how many rows one row may become, on the average of a batch.
const maxFan = 100

// Result is what became of the rows of a batch.
type Result struct {
	// Batch has the rows that the function returned. The caller releases it.
	Batch frame.Batch
	// Rows says for each of them which row of the input it came from. It
	// rises.
	Rows []int
	// Faults is nil when all went well; otherwise it has one entry for each row
	// of the input, nil for the good ones.
	Faults []error
}

// Apply runs the function over the rows of a batch. Rows that break it have a
// fault of kind Rejected; an error is about none of them: the context ended.
func (f *Function) Apply(ctx context.Context, batch frame.Batch) (Result, error) {
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return Result{}, fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "the function was stopped")
	}
	a := application{function: f, batch: batch, until: time.Now().Add(searchTime * f.config.Timeout)}
	a.names = make([][]byte, batch.NumCols())
	for i := range a.names {
		a.names[i] = append(columns.AppendString(nil, batch.ColumnName(i)), ':')
	}
	if err := a.apply(ctx, 0, int(batch.NumRows())); err != nil {
		return Result{}, err
	}
	return a.result(ctx), nil
}

// application is one Apply.
type application struct {
	function *Function
	batch    frame.Batch
	names    [][]byte
	until    time.Time
	bodies   []bus.Event // rows that came back
	rows     []int
	faults   []error
}

func (a *application) fail(row int, err error) {
	if a.faults == nil {
		a.faults = make([]error, a.batch.NumRows())
	}
	a.faults[row] = err
}

// apply gives the rows from one to another to the function. Where it breaks,
// it is tried again with each half: at most twice the number of rows, and the
// depth is its logarithm.
func (a *application) apply(ctx context.Context, from, to int) error {
	if from == to {
		return nil
	}
	if time.Now().After(a.until) {
		for row := from; row < to; row++ {
			a.fail(row, fault.New(fault.Timeout, "the function was not tried on this row: others of its batch took too long"))
		}
		return nil
	}
	kept, marked := len(a.rows), len(a.bodies)
	err := a.function.call(ctx, a.encode(from, to), func(answer []byte) error { return a.read(answer, from, to) })
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return err
	}
	a.rows, a.bodies = a.rows[:kept], a.bodies[:marked]
	for row := from; row < to && a.faults != nil; row++ {
		a.faults[row] = nil
	}
	if to-from == 1 {
		a.fail(from, err)
		return nil
	}
	middle := (from + to) / 2
	if err := a.apply(ctx, from, middle); err != nil {
		return err
	}
	return a.apply(ctx, middle, to)
}

func (a *application) encode(from, to int) []byte {
	out := []byte{'['}
	for row := from; row < to; row++ {
		if row > from {
			out = append(out, ',')
		}
		out = append(out, '{')
		for i, name := range a.names {
			if i > 0 {
				out = append(out, ',')
			}
			out = columns.AppendCell(append(out, name...), a.batch.Column(i), row, columns.Text)
		}
		out = append(out, '}')
	}
	return append(out, ']')
}

// read takes the answer apart. Its bytes are the instance's, so that what is
// kept is copied.
func (a *application) read(answer []byte, from, to int) error {
	wrong := func(what string) error {
		return fault.New(fault.Rejected, "the function's answer %s", what).Hint("it is a JSON array with one entry for each row")
	}
	s := plain.Scanner{Text: answer}
	if !s.TakeAfterSpace('[') {
		return wrong("is no JSON array")
	}
	for row := from; row < to; row++ {
		if row > from && !s.TakeAfterSpace(',') {
			return wrong("has fewer entries than rows")
		}
		entry, ok := s.Skip()
		if !ok {
			return wrong("is not JSON")
		}
		if err := a.entry(entry, row); err != nil {
			return err
		}
	}
	if !s.TakeAfterSpace(']') || !s.End() {
		return wrong("has more entries than rows")
	}
	return nil
}

// entry keeps what became of one row.
func (a *application) entry(entry []byte, row int) error {
	switch entry[0] {
	case 'n':
		return nil
	case '"':
		why, err := jsontext.AppendUnquote(nil, entry)
		if err != nil {
			why = []byte("it says why in a text that is not one")
		}
		a.fail(row, fault.New(fault.Rejected, "the function refuses the row: %.300s", why))
		return nil
	case '[':
		s := plain.Scanner{Text: entry}
		s.Take('[')
		if s.TakeAfterSpace(']') {
			return nil
		}
		for {
			one, _ := s.Skip() // it was passed over before, and so holds
			if err := a.keep(one, row); err != nil {
				return err
			}
			if !s.TakeAfterSpace(',') {
				return nil
			}
		}
	}
	return a.keep(entry, row)
}

func (a *application) keep(body []byte, row int) error {
	if int64(len(a.bodies)) >= maxFan*a.batch.NumRows() {
		return fault.New(fault.Rejected, "the function makes more than %d rows of one", maxFan)
	}
	a.bodies = append(a.bodies, bus.Event{Body: append([]byte(nil), body...)})
	a.rows = append(a.rows, row)
	return nil
}

// result reads the rows that came back into columns. One that is not of the
// declared columns is the fault of the row that it came from, and then none
// that came from it is kept.
func (a *application) result(ctx context.Context) Result {
	batch, faults := a.function.codec.Decode(ctx, a.bodies)
	for i, err := range faults {
		if err != nil {
			a.fail(a.rows[i], fault.Wrap(err, fault.Rejected, "the function returns a row that is not what its outputs say"))
		}
	}
	if faults == nil {
		return Result{Batch: batch, Rows: a.rows, Faults: a.faults}
	}
	batch.Release()
	var bodies []bus.Event
	var rows []int
	for i, row := range a.rows {
		if a.faults[row] == nil {
			bodies, rows = append(bodies, a.bodies[i]), append(rows, row)
		}
	}
	batch, _ = a.function.codec.Decode(ctx, bodies)
	return Result{Batch: batch, Rows: rows, Faults: a.faults}
}
