package linear

import (
	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/onnx"
)

// ONNX writes the model as an ONNX file; package onnx says what it takes and
// gives. All of its arithmetic is in doubles.
func (m *Model) ONNX() ([]byte, error) {
	s := m.spec
	g := onnx.New(s.Encoder, s.Task, s.Classes)
	sum := g.Doubles([]int64{1, int64(len(s.Bias))}, s.Bias)
	if numbers := m.numbersONNX(g); numbers != "" {
		sum = g.Op("Add", sum, numbers)
	}
	for i, c := range s.Encoder.Columns {
		if c.Kind == encode.Category {
			sum = g.Op("Add", sum, m.categoryONNX(g, i))
		}
	}
	return g.Finish(sum, 0.5)
}

// numbersONNX adds what the numbers contribute, or returns "" when there are
// none: z·Weight where a number is there, Missing where it is not.
func (m *Model) numbersONNX(g *onnx.Graph) onnx.Value {
	var (
		inputs                       []onnx.Value
		mean, scale, weight, missing []float64
	)
	for i, t := range m.spec.Terms {
		if m.spec.Encoder.Columns[i].Kind != encode.Numeric {
			continue
		}
		inputs = append(inputs, g.Input(i))
		mean, scale = append(mean, t.Mean), append(scale, t.Scale)
		weight, missing = append(weight, t.Weight...), append(missing, t.Missing...)
	}
	if len(inputs) == 0 {
		return ""
	}
	n, k := int64(len(inputs)), int64(len(m.spec.Bias))
	x := g.Concat(inputs...)
	zero := g.Double(0)
	there := g.Op("Equal", g.Op("Sub", x, x), zero) // neither NaN nor infinite
	z := g.Op("Div", g.Op("Sub", x, g.Doubles([]int64{1, n}, mean)), g.Doubles([]int64{1, n}, scale))
	z = g.Op("Max", g.Op("Min", z, g.Double(MaxZ)), g.Double(-MaxZ))
	z = g.Op("Where", there, z, zero)
	absent := g.Cast(g.Op("Not", there))
	return g.Op("Add",
		g.Op("MatMul", z, g.Doubles([]int64{n, k}, weight)),
		g.Op("MatMul", absent, g.Doubles([]int64{n, k}, missing)))
}

// categoryONNX looks up the weights of a category in a table whose last rows
// are those of unseen and of missing text.
func (m *Model) categoryONNX(g *onnx.Graph, column int) onnx.Value {
	t := m.spec.Terms[column]
	k := int64(len(m.spec.Bias))
	var table []float64
	for _, w := range t.Weights {
		table = append(table, w...)
	}
	table = append(table, t.Missing...)
	rows := int64(len(t.Weights) + 1)
	picked := g.Op("Gather", g.Doubles([]int64{rows, k}, table), g.Code(column)) // rows × 1 × scores
	return g.Op("Squeeze", picked, g.Integers(1))
}
