package tree

import (
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// Ensemble is a compiled tree ensemble. It is immutable and safe for many
// goroutines.
type Ensemble struct {
	def       Definition
	signature model.Signature
	schema    *arrow.Schema // of what Predict returns
	words     []arrow.Array // of each class, its label as a column of one row
	code      *compiled
	scratches sync.Pool // of *scratch
}

var (
	_ model.Model     = (*Ensemble)(nil)
	_ model.Explainer = (*Ensemble)(nil)

	_ model.ONNXExporter = (*Ensemble)(nil)
)

// New checks a definition and compiles it. The definition belongs to the
// ensemble afterwards. A definition that is not sound is an Invalid fault
// that says what is wrong in which tree.
func New(def Definition) (*Ensemble, error) {
	if err := def.validate(); err != nil {
		return nil, err
	}
	def.Threshold = def.threshold()
	outputs := model.Outputs(def.Task, def.Classes)
	columns := make([]frame.Column, len(outputs))
	for i, f := range outputs {
		columns[i] = frame.Column{Name: f.Name, Type: f.Type}
	}
	e := &Ensemble{
		def: def,
		signature: model.Signature{
			Task:    def.Task,
			Inputs:  def.Encoder.Fields(),
			Outputs: outputs,
			Classes: def.Classes,
		},
		schema: frame.SchemaOf(columns),
		code:   compile(&def),
	}
	for _, class := range def.Classes {
		e.words = append(e.words, words(1, func(int) string { return class }))
	}
	return e, nil
}

// Signature says what the ensemble reads and writes.
func (e *Ensemble) Signature() model.Signature { return e.signature }

// Definition returns what the ensemble was made of. It is shared: read only.
func (e *Ensemble) Definition() *Definition { return &e.def }

// Importance returns the share of each input in what the splits gained in
// training: non-negative, summing to 1. The shares are equal when nothing was
// gained or the artifact does not know.
func (e *Ensemble) Importance() map[string]float64 {
	columns := e.def.Encoder.Columns
	shares := make(map[string]float64, len(columns))
	largest, total := 0.0, 0.0
	for _, v := range e.def.Importance {
		largest = max(largest, v)
	}
	for _, v := range e.def.Importance {
		total += v / largest // so that no sum overflows
	}
	for i := range columns {
		shares[columns[i].Name] = 1 / float64(len(columns))
		if largest > 0 {
			shares[columns[i].Name] = e.def.Importance[i] / largest / total
		}
	}
	return shares
}
