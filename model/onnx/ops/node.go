package ops

import (
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model/onnx/proto"
)

// node is what a builder sees of a node.
type node struct {
	*proto.Node
	version   int64     // of the set of operators
	constants []*Tensor // by input; nil for what is computed
	mistake   error     // the first attribute of the wrong type
}

// operator is an entry of the table.
type operator struct {
	build       func(*node) (kernel, error)
	least, most int // inputs
	outputs     int // at most; 0 means one, below 0 any number
}

// many stands for any number of inputs.
const many = 1 << 16

func (n *node) attribute(name string, typ proto.AttributeType) *proto.Attribute {
	for i := range n.Attributes {
		a := &n.Attributes[i]
		if a.Name != name {
			continue
		}
		if a.Type != typ && n.mistake == nil {
			n.mistake = fault.New(fault.Invalid, "the attribute %q has the type %d, not %d", name, a.Type, typ)
		}
		return a
	}
	return nil
}

func (n *node) has(name string) bool {
	for i := range n.Attributes {
		if n.Attributes[i].Name == name {
			return true
		}
	}
	return false
}

func (n *node) int(name string, otherwise int64) int64 {
	if a := n.attribute(name, proto.OneInt); a != nil {
		return a.Int()
	}
	return otherwise
}

func (n *node) float(name string, otherwise float32) float32 {
	if a := n.attribute(name, proto.OneFloat); a != nil {
		return a.Float()
	}
	return otherwise
}

func (n *node) text(name, otherwise string) string {
	if a := n.attribute(name, proto.OneText); a != nil {
		return a.Text()
	}
	return otherwise
}

func (n *node) count(name string, typ proto.AttributeType) int {
	if a := n.attribute(name, typ); a != nil {
		return a.Count()
	}
	return 0
}

func (n *node) ints(name string) []int64 {
	if a := n.attribute(name, proto.ManyInts); a != nil {
		return a.Ints()
	}
	return nil
}

// indices is ints for what counts nodes, features and outputs.
func (n *node) indices(name string) []int32 {
	a := n.attribute(name, proto.ManyInts)
	if a == nil {
		return nil
	}
	values, wrong, ok := a.Indices()
	if !ok && n.mistake == nil {
		n.mistake = fault.New(fault.Invalid, "%s has the index %d", name, wrong)
	}
	return values
}

func (n *node) floats(name string) []float32 {
	if a := n.attribute(name, proto.ManyFloats); a != nil {
		return a.Floats()
	}
	return nil
}

func (n *node) texts(name string) []string {
	if a := n.attribute(name, proto.ManyTexts); a != nil {
		return a.Texts()
	}
	return nil
}

func (n *node) tensor(name string) (*Tensor, error) {
	a := n.attribute(name, proto.OneTensor)
	if a == nil {
		return nil, nil
	}
	c := a.Tensor()
	return Constant(&c)
}

// unsupported refuses what Leat's operators do not do and others may.
func unsupported(format string, args ...any) error {
	return fault.New(fault.Unsupported, format, args...)
}

func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, format, args...)
}

// lookup returns the operator of a node.
func lookup(domain, name string) (operator, bool) {
	var op operator
	var ok bool
	switch domain {
	case "":
		op, ok = standard[name]
	case "ai.onnx.ml":
		op, ok = learning[name]
	}
	return op, ok
}
