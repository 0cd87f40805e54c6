package decide

import (
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/spec"
)

// DecisionColumn is the last column of an answer whose endpoint has a
// threshold: what to do.
const DecisionColumn = "decision"

// decision turns a score into a word.
type decision struct {
	score     int // column of the model's outputs
	threshold float64
	above     string // "" is NULL
	below     string
	// single holds the answers of one row, above and below: most requests
	// have one, and building a column of one word costs more than the rest of
	// this step.
	single [2]arrow.Array
}

func newDecision(score int, threshold float64, above, below string) *decision {
	d := &decision{score: score, threshold: threshold, above: above, below: below}
	for i, word := range [2]string{above, below} {
		b := array.NewStringBuilder(memory.DefaultAllocator)
		appendWord(b, word)
		d.single[i] = b.NewArray()
		b.Release()
	}
	return d
}

func appendWord(b *array.StringBuilder, word string) {
	if word == "" {
		b.AppendNull()
	} else {
		b.Append(word)
	}
}

// compileDecision resolves the threshold, the endpoint's own or the model
// version's, and the words: the endpoint's, or the two classes.
func compileDecision(d spec.Decide, v registry.Version, s model.Signature) (*decision, error) {
	threshold := d.Threshold
	if threshold == nil {
		threshold = v.Manifest.Threshold
	}
	words := d.OnAbove != "" || d.OnBelow != ""
	at := -1
	for i, f := range s.Outputs {
		if f.Name == DecisionColumn {
			return nil, fault.New(fault.Invalid, "the model has an output named %q already", DecisionColumn)
		}
		if f.Name == model.ScoreColumn && f.Type == frame.Double {
			at = i
		}
	}
	switch {
	case !words && (threshold == nil || at < 0 || len(s.Classes) != 2):
		return nil, nil
	case at < 0:
		return nil, fault.New(fault.Invalid, "the endpoint decides by a score, and the model has no output %q", model.ScoreColumn)
	case threshold == nil:
		return nil, fault.New(fault.Invalid, "the endpoint decides by a score, and neither it nor the model says the threshold").
			Hint("set decide.threshold")
	case !words:
		return newDecision(at, *threshold, s.Classes[1], s.Classes[0]), nil
	}
	return newDecision(at, *threshold, d.OnAbove, d.OnBelow), nil
}

// of returns the column of decisions: NULL where there is no score.
func (d *decision) of(score *array.Float64) arrow.Array {
	if score.Len() == 1 && known(score, 0) {
		word := d.single[1]
		if score.Value(0) >= d.threshold {
			word = d.single[0]
		}
		word.Retain()
		return word
	}
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(score.Len())
	for i := range score.Len() {
		switch {
		case !known(score, i):
			b.AppendNull()
		case score.Value(i) >= d.threshold:
			appendWord(b, d.above)
		default:
			appendWord(b, d.below)
		}
	}
	return b.NewArray()
}

func known(score *array.Float64, row int) bool {
	return !score.IsNull(row) && !math.IsNaN(score.Value(row))
}

// decided returns the model's outputs with the decision, if there is one, and
// always under the path's own schema, which the decision log knows.
func (p *Path) decided(out frame.Batch) frame.Batch {
	if p.decision == nil {
		return array.NewRecordBatch(p.schema, out.Columns(), out.NumRows())
	}
	columns := make([]arrow.Array, 0, out.NumCols()+1)
	columns = append(columns, out.Columns()...)
	word := p.decision.of(out.Column(p.decision.score).(*array.Float64))
	defer word.Release()
	return array.NewRecordBatch(p.schema, append(columns, word), out.NumRows())
}
