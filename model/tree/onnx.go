package tree

import (
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model/onnx"
)

// ONNX writes the ensemble as an ONNX file; package onnx says what it takes
// and gives. An ensemble that adds up, answers or reads its columns in the ways
// of another library is an Unsupported fault. Sums kept as float32 are written
// all the same: the operator sums in float32 too, if in another order.
func (e *Ensemble) ONNX() ([]byte, error) {
	if err := e.exportable(); err != nil {
		return nil, err
	}
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

// exportable returns why the ensemble cannot be written, or nil.
func (e *Ensemble) exportable() error {
	s := store(&e.def)
	s.Single, s.Infinite = false, nil
	if s.plain() {
		return nil
	}
	return fault.New(fault.Unsupported, "the ensemble cannot be written as ONNX, because of its link, its leaves or how it reads its columns").
		Hint("keep the file that it was imported from, or convert that with its own library's tools")
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
