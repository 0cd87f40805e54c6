package model

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Partial is an error of Predict by which some rows failed and the others
// have their answer: Predict returns no batch, and this error holds it. Who
// does not look for it has an error like any other. Only a model whose rows
// go different ways needs it (a switch between models, a worker that names
// the rows it could not score).
type Partial struct {
	Out  frame.Batch // as Predict would return it, NULL in the rows that failed; released by who takes it
	Errs []error     // one per row, nil where it has an answer
}

// Error tells the first error of a row, and how many rows failed.
func (p *Partial) Error() string {
	failed, first := 0, error(nil)
	for _, err := range p.Errs {
		if err == nil {
			continue
		}
		if failed++; first == nil {
			first = err
		}
	}
	return fault.New(fault.KindOf(first), "%d of %d rows have no answer", failed, len(p.Errs)).Because(first).Error()
}

// Unwrap returns the errors of the rows.
func (p *Partial) Unwrap() []error {
	var errs []error
	for _, err := range p.Errs {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// servedBy is the key of a batch's metadata that says who answered.
const servedBy = "leat.served_by"

// WithServedBy marks a Predict's result as the work of another model than the
// one that was asked, such as "fraud-local@3" where a fallback stood in. It
// takes the batch over and returns the marked one.
func WithServedBy(out frame.Batch, name string) frame.Batch {
	if name == "" || ServedBy(out) == name {
		return out
	}
	metadata := arrow.NewMetadata([]string{servedBy}, []string{name})
	defer out.Release()
	return array.NewRecordBatch(arrow.NewSchema(out.Schema().Fields(), &metadata), out.Columns(), out.NumRows())
}

// ServedBy says which model stood in for the one that was asked, "" for none.
func ServedBy(out frame.Batch) string {
	name, _ := out.Schema().Metadata().GetValue(servedBy)
	return name
}
