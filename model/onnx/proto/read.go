package proto

import (
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/leat-ai/leat/base/fault"
)

// Bounds of what Read takes.
const (
	maxDepth = 8       // of graphs within nodes of graphs
	maxDims  = 16      // of a shape
	maxSets  = 64      // of operators that are imported
	slack    = 1 << 20 // bytes of memory that the smallest file may take
)

// Read takes a file apart. It keeps the file's bytes, which are not to be
// changed afterwards. What is wrong is an Invalid fault that says where; what
// lies outside the file is an Unsupported one.
func Read(file []byte) (*Model, error) {
	r := &reader{left: 3*len(file) + slack}
	m := &Model{}
	graphs := 0
	err := fields(file, func(x field) error {
		switch x.number {
		case modelIRVersion:
			m.IRVersion = int64(x.value)
		case modelVersion:
			m.Version = int64(x.value)
		case modelProducer:
			return r.text(&m.Producer, x)
		case modelProducerVersion:
			return r.text(&m.ProducerVersion, x)
		case modelGraph:
			graphs++
			if graphs > 1 { // protobuf would merge them, which nobody writes
				return invalid("the file has more than one graph")
			}
			return r.graph(&m.Graph, x.bytes, 0)
		case modelOpset:
			return r.opset(m, x.bytes)
		case modelMeta:
			return r.entry(m, x.bytes)
		case modelFunction:
			return r.function(m, x.bytes)
		case modelTraining:
			return r.training(x.bytes)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if graphs == 0 || m.IRVersion <= 0 {
		return nil, invalid("the file has no graph and no version: it is no ONNX model")
	}
	if err := r.order(&m.Graph); err != nil {
		return nil, err
	}
	return m, nil
}

func invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, format, args...)
}

// at says where in the file an error lies.
func at(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fault.Wrap(err, fault.KindOf(err), format, args...)
}

// reader counts down the memory that is left for what it makes.
type reader struct{ left int }

// take is asked before memory is.
func (r *reader) take(bytes int) error {
	if r.left -= bytes; r.left < 0 {
		return fault.New(fault.TooLarge, "the file is made of so many small parts that its structure takes several times its size")
	}
	return nil
}

// text reads a name.
func (r *reader) text(dst *string, x field) error {
	if x.kind != protowire.BytesType || !utf8.Valid(x.bytes) {
		return invalid("field %d is not a text", x.number)
	}
	if err := r.take(len(x.bytes)); err != nil {
		return err
	}
	*dst = string(x.bytes)
	return nil
}

// room makes a slice for all occurrences of a field of a message.
func room[T any](r *reader, message []byte, number protowire.Number, size int) ([]T, error) {
	n := 0
	err := fields(message, func(x field) error {
		if x.number == number {
			n++
		}
		return nil
	})
	if err != nil || n == 0 {
		return nil, err
	}
	if err := r.take(n * size); err != nil {
		return nil, err
	}
	return make([]T, 0, n), nil
}

func (r *reader) opset(m *Model, body []byte) error {
	var o Opset
	err := fields(body, func(x field) error {
		switch x.number {
		case opsetDomain:
			return r.text(&o.Domain, x)
		case opsetVersion:
			o.Version = int64(x.value)
		}
		return nil
	})
	if err == nil && len(m.Opsets) == maxSets {
		err = invalid("the file imports more than %d sets of operators", maxSets)
	}
	m.Opsets = append(m.Opsets, o)
	return err
}

func (r *reader) entry(m *Model, body []byte) error {
	var e Entry
	err := fields(body, func(x field) error {
		switch x.number {
		case entryKey:
			return r.text(&e.Key, x)
		case entryValue:
			return r.text(&e.Value, x)
		}
		return nil
	})
	if err == nil {
		err = r.take(64)
	}
	m.Metadata = append(m.Metadata, e)
	return err
}

// function notes an operator that the file defines. What it does is checked
// for data outside the file and left to runtimes that know functions.
func (r *reader) function(m *Model, body []byte) error {
	var name, domain string
	err := fields(body, func(x field) error {
		switch x.number {
		case functionName:
			return r.text(&name, x)
		case functionDomain:
			return r.text(&domain, x)
		case functionNode:
			return r.node(&Node{}, x.bytes, 1)
		case functionAttribute:
			return r.attribute(&Attribute{}, x.bytes, 1)
		}
		return nil
	})
	if err == nil {
		err = r.take(64 + len(domain) + len(name))
	}
	m.Functions = append(m.Functions, domain+"."+name)
	return at(err, "function %q", name)
}

// training looks at what a file holds for training only: nothing runs it, but
// a runtime may read it.
func (r *reader) training(body []byte) error {
	return fields(body, func(x field) error {
		if x.number == trainingInitialization || x.number == trainingAlgorithm {
			return r.graph(&Graph{}, x.bytes, 1)
		}
		return nil
	})
}

// Sizes of what a graph is made of, in bytes of memory.
const (
	nodeSize   = 128
	valueSize  = 72
	tensorSize = 80
	attrSize   = 48
	nameSize   = 16
)

func (r *reader) graph(g *Graph, body []byte, depth int) (err error) {
	if depth > maxDepth {
		return invalid("graphs lie within graphs, more than %d deep", maxDepth)
	}
	if g.Nodes, err = room[Node](r, body, graphNode, nodeSize); err != nil {
		return err
	}
	if g.Inputs, err = room[Value](r, body, graphInput, valueSize); err != nil {
		return err
	}
	if g.Outputs, err = room[Value](r, body, graphOutput, valueSize); err != nil {
		return err
	}
	if g.Initializers, err = room[Tensor](r, body, graphInitializer, tensorSize); err != nil {
		return err
	}
	return fields(body, func(x field) error { return r.graphField(g, x, depth) })
}

func (r *reader) graphField(g *Graph, x field, depth int) error {
	switch x.number {
	case graphName:
		return r.text(&g.Name, x)
	case graphNode:
		var n Node
		if err := r.node(&n, x.bytes, depth); err != nil {
			return at(err, "node %d (%s)", len(g.Nodes), n.label())
		}
		g.Nodes = append(g.Nodes, n)
	case graphInitializer:
		t, err := r.tensor(x.bytes)
		if err != nil {
			return at(err, "initializer %q", t.Name)
		}
		g.Initializers = append(g.Initializers, t)
	case graphSparse:
		return at(r.sparse(x.bytes), "sparse initializer")
	case graphInput:
		v, err := r.value(x.bytes)
		g.Inputs = append(g.Inputs, v)
		return at(err, "input %q", v.Name)
	case graphOutput:
		v, err := r.value(x.bytes)
		g.Outputs = append(g.Outputs, v)
		return at(err, "output %q", v.Name)
	}
	return nil
}

// label names a node for people.
func (n *Node) label() string {
	if n.Name == "" {
		return n.Op
	}
	return n.Op + " " + strconv.Quote(n.Name)
}

func (r *reader) node(n *Node, body []byte, depth int) (err error) {
	if n.Inputs, err = room[string](r, body, nodeInput, nameSize); err != nil {
		return err
	}
	if n.Outputs, err = room[string](r, body, nodeOutput, nameSize); err != nil {
		return err
	}
	if n.Attributes, err = room[Attribute](r, body, nodeAttribute, attrSize); err != nil {
		return err
	}
	err = fields(body, func(x field) error {
		switch x.number {
		case nodeName:
			return r.text(&n.Name, x)
		case nodeOp:
			return r.text(&n.Op, x)
		case nodeDomain:
			return r.text(&n.Domain, x)
		case nodeInput:
			n.Inputs = append(n.Inputs, "")
			return r.text(&n.Inputs[len(n.Inputs)-1], x)
		case nodeOutput:
			n.Outputs = append(n.Outputs, "")
			return r.text(&n.Outputs[len(n.Outputs)-1], x)
		case nodeAttribute:
			var a Attribute
			if err := r.attribute(&a, x.bytes, depth); err != nil {
				return at(err, "attribute %q", a.Name)
			}
			n.Attributes = append(n.Attributes, a)
		}
		return nil
	})
	if err == nil && n.Op == "" {
		err = invalid("the node names no operator")
	}
	n.Domain = standard(n.Domain)
	return err
}

func (r *reader) attribute(a *Attribute, body []byte, depth int) error {
	a.body = body
	var seen AttributeType // by the field that is there, for files of old that do not tell
	var once [64]bool
	err := fields(body, func(x field) error {
		switch x.number {
		case attrName:
			return r.text(&a.Name, x)
		case attrType:
			a.Type = AttributeType(x.value)
		case attrReference:
			return nil
		case attrTensor, attrGraph, attrSparse:
			if once[x.number] {
				return invalid("field %d stands there twice", x.number)
			}
			once[x.number] = true
		}
		kind, err := r.attributeValue(x, depth)
		if kind != 0 {
			seen = kind
		}
		return err
	})
	if a.Type == 0 {
		a.Type = seen
	}
	return err
}

// attributeValue checks a field with a value and tells the type that it makes
// the attribute.
func (r *reader) attributeValue(x field, depth int) (AttributeType, error) {
	var err error
	switch x.number {
	case attrFloat:
		return OneFloat, wants(x, protowire.Fixed32Type)
	case attrInt:
		return OneInt, wants(x, protowire.VarintType)
	case attrText:
		return OneText, wants(x, protowire.BytesType)
	case attrTexts:
		return ManyTexts, wants(x, protowire.BytesType)
	case attrFloats:
		_, err = repeated(x, 4)
		return ManyFloats, err
	case attrInts:
		_, err = repeated(x, 0)
		return ManyInts, err
	case attrTensor, attrTensors:
		_, err = r.tensor(x.bytes)
		return OneTensor, err
	case attrGraph, attrGraphs:
		err = r.graph(&Graph{}, x.bytes, depth+1)
		return OneGraph, err
	case attrSparse, attrSparses:
		err = r.sparse(x.bytes)
	}
	return 0, err
}

func wants(x field, kind protowire.Type) error {
	if x.kind != kind {
		return invalid("field %d has a value of another type", x.number)
	}
	return nil
}

// repeated counts the numbers of a field: fixed ones of a width, or varints.
func repeated(x field, width int) (int, error) {
	plain := map[int]protowire.Type{0: protowire.VarintType, 4: protowire.Fixed32Type, 8: protowire.Fixed64Type}[width]
	if x.kind != plain && x.kind != protowire.BytesType {
		return 0, invalid("field %d has values of another type", x.number)
	}
	return count(x, width)
}

func (r *reader) sparse(body []byte) error {
	return fields(body, func(x field) error {
		if x.number == sparseValues || x.number == sparseIndices {
			_, err := r.tensor(x.bytes)
			return err
		}
		return nil
	})
}

func (r *reader) value(body []byte) (Value, error) {
	v := Value{Kind: OfOther}
	err := fields(body, func(x field) error {
		switch x.number {
		case valueName:
			return r.text(&v.Name, x)
		case valueType:
			return r.valueType(&v, x.bytes)
		}
		return nil
	})
	return v, err
}

func (r *reader) valueType(v *Value, body []byte) error {
	return fields(body, func(x field) error {
		switch x.number {
		case typeTensor:
			v.Kind = OfTensor
			return fields(x.bytes, func(x field) error {
				switch x.number {
				case shapedElem:
					v.Type = Type(x.value)
				case shaped:
					v.Shaped = true
					return r.shape(v, x.bytes)
				}
				return nil
			})
		case typeSequence:
			v.Kind = OfSequence
		case typeMap:
			v.Kind = OfMap
		}
		return nil
	})
}

func (r *reader) shape(v *Value, body []byte) error {
	return fields(body, func(x field) error {
		if x.number != shapeDim {
			return nil
		}
		if len(v.Dims) == maxDims {
			return invalid("more than %d dimensions", maxDims)
		}
		dim := int64(Unknown)
		err := fields(x.bytes, func(x field) error {
			if x.number == dimValue && x.kind == protowire.VarintType {
				dim = int64(x.value)
			}
			return nil
		})
		if dim < 0 { // some writers put 0 or -1 for unknown; 0 is a size too
			dim = Unknown
		}
		v.Dims = append(v.Dims, dim)
		if err != nil {
			return err
		}
		return r.take(16)
	})
}
