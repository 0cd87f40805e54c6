package tree

import (
	"github.com/leat-ai/leat/model/onnx"
)

// ONNX writes the ensemble as an ONNX file; package onnx says what it takes
// and gives.
func (e *Ensemble) ONNX() ([]byte, error) {
	trees := make([]onnx.Tree, len(e.def.Trees))
	for i := range trees {
		trees[i] = e.def.Trees[i].onnx()
	}
	g := onnx.New(e.def.Encoder, e.def.Task, e.def.Classes)
	sums, err := g.Trees(trees, e.def.Base)
	if err != nil {
		return nil, err
	}
	return g.Finish(sums, e.def.Threshold)
}

// onnx lists splits first, leaves behind them.
func (t *Tree) onnx() onnx.Tree {
	out := onnx.Tree{Output: t.Output, Nodes: make([]onnx.Node, 0, 2*len(t.Splits)+1)}
	place := func(child int) int {
		if child < 0 {
			return len(t.Splits) + ^child
		}
		return child
	}
	for i := range t.Splits {
		s := &t.Splits[i]
		n := onnx.Node{
			Column: s.Column, Threshold: s.Threshold, MissingLeft: s.MissingLeft,
			Left: place(s.Left), Right: place(s.Right),
		}
		if s.Set != nil {
			q := setQuestion{set: s.Set}
			n.InSet = q.has
		}
		out.Nodes = append(out.Nodes, n)
	}
	for _, v := range t.Leaves {
		out.Nodes = append(out.Nodes, onnx.Node{Leaf: true, Value: v})
	}
	return out
}
