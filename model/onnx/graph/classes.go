package graph

import (
	"slices"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/onnx/ops"
	"github.com/leat-ai/leat/model/onnx/proto"
)

// pick says which column of the outputs is a column of the signature.
type pick struct {
	column int
	label  bool // as text
}

// conclude finds out what the graph is as a model.
func (m *Model) conclude(p *proto.Model, columns Columns, given *model.Signature) {
	if given != nil && m.restore(given) {
		return
	}
	if m.classifier(p, columns) || m.regression() {
		return
	}
	m.signature.Task = model.Custom
	m.signature.Outputs = m.native()
	for i := range m.signature.Outputs {
		m.picks = append(m.picks, pick{column: i})
	}
}

// restore takes the signature of a model that Leat exported, whose outputs
// have its names, but where an input had one already.
func (m *Model) restore(given *model.Signature) bool {
	fields := m.native()
	if !slices.EqualFunc(fields, given.Outputs, func(a, b model.Field) bool {
		return a.Type == b.Type && (a.Name == b.Name || a.Name == b.Name+"_out")
	}) || !slices.EqualFunc(m.signature.Inputs, given.Inputs, func(a, b model.Field) bool { return a.Name == b.Name }) {
		return false
	}
	switch given.Task {
	case model.Binary, model.Multiclass, model.Regression:
	default:
		return false
	}
	if !slices.EqualFunc(given.Outputs, model.Outputs(given.Task, given.Classes), func(a, b model.Field) bool { return a.Name == b.Name }) {
		return false
	}
	m.signature.Task, m.signature.Outputs, m.signature.Classes = given.Task, given.Outputs, given.Classes
	for i := range fields {
		m.picks = append(m.picks, pick{column: i})
	}
	return true
}

// regression is a graph that ends in one number.
func (m *Model) regression() bool {
	if len(m.outputs) != 1 || len(m.outputs[0].columns) != 1 || m.outputs[0].typ != frame.Double {
		return false
	}
	m.signature.Task, m.signature.Outputs = model.Regression, model.Outputs(model.Regression, nil)
	m.picks = []pick{{column: 0}}
	return true
}

// classifier is a graph that gives a label and the probabilities of its
// classes, and tells which they are.
func (m *Model) classifier(p *proto.Model, columns Columns) bool {
	label, chances, first := -1, -1, 0
	var labelAt, chancesAt int
	for i := range m.outputs {
		o := &m.outputs[i]
		switch {
		case label < 0 && len(o.columns) == 1 && (o.typ == frame.Int || o.typ == frame.String):
			label, labelAt = i, first
		case chances < 0 && o.chances:
			chances, chancesAt = i, first
		}
		first += len(o.columns)
	}
	if label < 0 || chances < 0 {
		return false
	}
	classes := m.outputs[chances].keys
	if len(columns.Classes) > 0 {
		classes = columns.Classes
	}
	if classes == nil {
		classes = trace(&p.Graph, m.outputs[label].name, len(m.outputs[chances].columns))
	}
	if len(classes) != len(m.outputs[chances].columns) || len(classes) < 2 || repeated(classes) {
		return false
	}
	m.signature.Classes = classes
	if m.signature.Task = model.Multiclass; len(classes) == 2 {
		m.signature.Task = model.Binary
		m.picks = []pick{{column: chancesAt + 1}, {column: labelAt, label: true}}
	} else {
		m.picks = []pick{{column: labelAt, label: true}}
		for k := range classes {
			m.picks = append(m.picks, pick{column: chancesAt + k})
		}
	}
	m.signature.Outputs = model.Outputs(m.signature.Task, classes)
	return true
}

func repeated(classes []string) bool {
	seen := map[string]bool{}
	for _, c := range classes {
		if seen[c] {
			return true
		}
		seen[c] = true
	}
	return false
}

// trace looks for the labels of n classes where an output comes from: those of
// a classifier, or a constant that a place is looked up in. What renames
// labels on the way ends the search.
func trace(g *proto.Graph, name string, n int) []string {
	makers := map[string]*proto.Node{}
	for i := range g.Nodes {
		for _, out := range g.Nodes[i].Outputs {
			makers[out] = &g.Nodes[i]
		}
	}
	waiting, seen := []string{name}, map[string]bool{}
	for len(waiting) > 0 {
		node := makers[waiting[0]]
		waiting = waiting[1:]
		if node == nil || seen[node.Outputs[0]] {
			continue
		}
		seen[node.Outputs[0]] = true
		if found := classesOf(g, makers, node); found != nil {
			if found.Len() == n {
				return labels(found)
			}
			return nil
		}
		if node.Op == "LabelEncoder" || node.Op == "CategoryMapper" {
			return nil
		}
		waiting = append(waiting, node.Inputs...)
	}
	return nil
}

// classesOf returns the labels that a node gives, nil for other nodes.
func classesOf(g *proto.Graph, makers map[string]*proto.Node, n *proto.Node) *ops.Tensor {
	if found := ops.Labels(n); found != nil {
		return found
	}
	if n.Op != "ArrayFeatureExtractor" && n.Op != "Gather" || len(n.Inputs) == 0 {
		return nil
	}
	c := constant(g, makers, n.Inputs[0])
	if c == nil || c.S == nil && c.I == nil {
		return nil
	}
	return c
}

// constant returns the value of an initializer or a constant node.
func constant(g *proto.Graph, makers map[string]*proto.Node, name string) *ops.Tensor {
	for i := range g.Initializers {
		if g.Initializers[i].Name == name {
			t, _ := ops.Constant(&g.Initializers[i]) // of a type that is no label: nil
			return t
		}
	}
	n := makers[name]
	if n == nil || n.Op != "Constant" && n.Op != "Identity" {
		return nil
	}
	if n.Op == "Identity" && len(n.Inputs) == 1 {
		for i := range g.Initializers {
			if g.Initializers[i].Name == n.Inputs[0] {
				t, _ := ops.Constant(&g.Initializers[i])
				return t
			}
		}
		return nil
	}
	for i := range n.Attributes {
		if a := &n.Attributes[i]; a.Name == "value" && a.Type == proto.OneTensor {
			c := a.Tensor()
			t, _ := ops.Constant(&c)
			return t
		}
	}
	return nil
}
