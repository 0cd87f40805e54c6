// Package proto is the form of ONNX files: a reader that believes nothing.
//
// Read takes the bytes of a file and returns its Model: what it says of
// itself, its graph, the graph's nodes in an order in which each finds its
// inputs computed. The numbers of attributes and tensors stay in the file's
// own bytes until they are asked for, so that reading takes little memory
// beside the file: less than four times its size, and a megabyte.
//
// Every length is checked before it is followed, every tensor against its
// shape, every name against the others. Data outside the file is refused:
// a path in a model is a way to read files of the machine that it runs on.
// What Read returned needs no further check of form; what operators make of
// it is the business of package ops.
package proto

import "strconv"

// Model is what a file holds.
type Model struct {
	IRVersion       int64
	Producer        string
	ProducerVersion string
	Version         int64
	Opsets          []Opset
	Metadata        []Entry
	Functions       []string // operators that the file defines itself
	Graph           Graph
}

// Opset is the version of a set of operators that a file was written for. The
// domain "" is that of ONNX itself, whose other name is "ai.onnx".
type Opset struct {
	Domain  string
	Version int64
}

// Entry is a key with its value.
type Entry struct{ Key, Value string }

// Graph is the computation.
type Graph struct {
	Name         string
	Inputs       []Value // those that the caller gives: without an initializer
	Outputs      []Value
	Initializers []Tensor
	Nodes        []Node // each behind those that compute its inputs
}

// Value is the name and type of an input or output.
type Value struct {
	Name   string
	Kind   Kind
	Type   Type // of the elements of a tensor
	Shaped bool // the number of dimensions is known
	Dims   []int64
}

// Unknown is the dimension that a file does not tell, or only by a name.
const Unknown = -1

// Kind is the kind of a value.
type Kind uint8

// The kinds.
const (
	OfTensor Kind = iota
	OfSequence
	OfMap
	OfOther // sparse, optional, opaque, untyped
)

// Node is one use of an operator. An input "" is an optional one left out, an
// output "" one of no interest.
type Node struct {
	Name, Op, Domain string
	Inputs, Outputs  []string
	Attributes       []Attribute
}

// Type is the type of a tensor's elements, with ONNX's own numbers.
type Type int32

// The types.
const (
	Float    Type = 1
	Uint8    Type = 2
	Int8     Type = 3
	Uint16   Type = 4
	Int16    Type = 5
	Int32    Type = 6
	Int64    Type = 7
	String   Type = 8
	Bool     Type = 9
	Float16  Type = 10
	Double   Type = 11
	Uint32   Type = 12
	Uint64   Type = 13
	BFloat16 Type = 16
)

// String returns the name of ONNX.
func (t Type) String() string {
	names := map[Type]string{
		Float: "float", Uint8: "uint8", Int8: "int8", Uint16: "uint16", Int16: "int16", Int32: "int32",
		Int64: "int64", String: "string", Bool: "bool", Float16: "float16", Double: "double",
		Uint32: "uint32", Uint64: "uint64", BFloat16: "bfloat16",
	}
	if name, ok := names[t]; ok {
		return name
	}
	return "type " + strconv.Itoa(int(t))
}

// size returns the bytes of an element in raw data, 0 for text and for types
// that share bytes or are not known.
func (t Type) size() int {
	switch t {
	case Uint8, Int8, Bool:
		return 1
	case Uint16, Int16, Float16, BFloat16:
		return 2
	case Float, Int32, Uint32:
		return 4
	case Int64, Double, Uint64:
		return 8
	}
	return 0
}

// Opset returns the version that the file imports of a domain, 0 for none.
func (m *Model) Opset(domain string) int64 {
	for _, o := range m.Opsets {
		if sameDomain(o.Domain, domain) {
			return o.Version
		}
	}
	return 0
}

func sameDomain(a, b string) bool { return standard(a) == standard(b) }

// standard gives ONNX's own domain its short name.
func standard(domain string) string {
	if domain == "ai.onnx" {
		return ""
	}
	return domain
}

// Meta returns the value of a metadata key, "" when there is none.
func (m *Model) Meta(key string) string {
	for _, e := range m.Metadata {
		if e.Key == key {
			return e.Value
		}
	}
	return ""
}
