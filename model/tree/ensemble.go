package tree

import (
	"sync"
	"unsafe"

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

	_ model.Native    = (*Ensemble)(nil)
	_ model.Sizer     = (*Ensemble)(nil)
	_ model.Describer = (*Ensemble)(nil)

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
	if def.Scale == 0 {
		def.Scale = 1
	}
	outputs := def.outputs()
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

// Size returns about how many bytes of memory the ensemble holds: its
// definition, and what was compiled from it.
func (e *Ensemble) Size() int64 {
	size := int64(1 << 12)
	for i := range e.def.Trees {
		t := &e.def.Trees[i]
		size += 64 + int64(len(t.Splits))*int64(unsafe.Sizeof(Split{})) + 8*int64(len(t.Leaves))
		for j := range t.Splits {
			size += 8 * int64(len(t.Splits[j].Set))
		}
		for j := range t.Linear {
			size += 56 + 16*int64(len(t.Linear[j].Columns))
		}
	}
	for i := range e.def.Encoder.Columns {
		c := &e.def.Encoder.Columns[i]
		size += int64(unsafe.Sizeof(*c)) + 64*int64(len(c.Categories)+len(c.Values))
	}
	c := e.code
	size += 16*int64(len(c.nodes)) + 12*int64(len(c.splits)) + 8*int64(len(c.leaves)) + 4*int64(len(c.singles)) + 24*int64(c.questions)
	for i := range c.sets {
		size += 8 * int64(len(c.sets[i].table))
	}
	return size
}

// Describe says how large the ensemble is.
func (e *Ensemble) Describe() model.Description {
	d := model.Description{Kind: "tree ensemble", Runtime: FormatName, Trees: len(e.def.Trees)}
	for i := range e.def.Trees {
		d.Leaves += len(e.def.Trees[i].Leaves)
	}
	return d
}

// Importance returns the share of each input in what the splits gained in
// training: non-negative, summing to 1. The shares are equal when nothing was
// gained or the artifact does not know.
func (e *Ensemble) Importance() map[string]float64 {
	inputs := e.signature.Inputs
	shares := make(map[string]float64, len(inputs))
	largest, total := 0.0, 0.0
	for _, v := range e.def.Importance {
		largest = max(largest, v)
	}
	for _, v := range e.def.Importance {
		total += v / largest // so that no sum overflows
	}
	for i := range inputs {
		shares[inputs[i].Name] = 0
		if !(largest > 0) {
			shares[inputs[i].Name] = 1 / float64(len(inputs))
		}
	}
	for i, v := range e.def.Importance {
		if largest > 0 {
			shares[e.def.Encoder.Columns[i].Name] += v / largest / total
		}
	}
	return shares
}
