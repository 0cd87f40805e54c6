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

// ancestry finds where values of a graph come from.
type ancestry struct {
	makers    map[string]*proto.Node
	constants map[string]*proto.Tensor
}

func initializers(g *proto.Graph) map[string]*proto.Tensor {
	constants := make(map[string]*proto.Tensor, len(g.Initializers))
	for i := range g.Initializers {
		constants[g.Initializers[i].Name] = &g.Initializers[i]
	}
	return constants
}

// trace looks for the labels of n classes where an output comes from: those of
// a classifier, or a constant that a place is looked up in. What renames
// labels on the way ends the search.
func trace(g *proto.Graph, name string, n int) []string {
	a := ancestry{makers: map[string]*proto.Node{}, constants: initializers(g)}
	for i := range g.Nodes {
		for _, out := range g.Nodes[i].Outputs {
			a.makers[out] = &g.Nodes[i]
		}
	}
	waiting, seen := []string{name}, map[string]bool{}
	for len(waiting) > 0 {
		node := a.makers[waiting[0]]
		waiting = waiting[1:]
		if node == nil || seen[node.Outputs[0]] {
			continue
		}
		seen[node.Outputs[0]] = true
		if found := a.classes(node, n); found != nil {
			return labels(found)
		}
		if node.Op == "LabelEncoder" || node.Op == "CategoryMapper" {
			return nil
		}
		waiting = append(waiting, node.Inputs...)
	}
	return nil
}

// classes returns the n labels that a node gives, nil for other nodes.
func (a *ancestry) classes(node *proto.Node, n int) *ops.Tensor {
	found := ops.Labels(node)
	if found == nil && (node.Op == "ArrayFeatureExtractor" || node.Op == "Gather") && len(node.Inputs) > 0 {
		found = a.constant(node.Inputs[0], n)
	}
	if found == nil || found.Len() != n {
		return nil
	}
	return found
}

// constant returns the value of an initializer or of a constant node that has
// n labels, nil for others.
func (a *ancestry) constant(name string, n int) *ops.Tensor {
	if node := a.makers[name]; node != nil && node.Op == "Identity" && len(node.Inputs) == 1 {
		name = node.Inputs[0]
	}
	c := a.constants[name]
	if node := a.makers[name]; node != nil && node.Op == "Constant" {
		for i := range node.Attributes {
			if at := &node.Attributes[i]; at.Name == "value" && at.Type == proto.OneTensor {
				value := at.Tensor()
				c = &value
			}
		}
	}
	if c == nil || c.Len() != n || c.Type != proto.String && c.Type != proto.Int64 && c.Type != proto.Int32 {
		return nil
	}
	t, _ := ops.Constant(c)
	return t
}
