// Package onnx writes models as ONNX files, so that any ONNX runtime can
// serve what Leat trained.
//
// It stands beside the runtimes of package model: each builds a Graph from
// its own weights (trees with Graph.Trees, linear models from the operators
// that they need) and ends it with Finish, which adds the link, the labels
// and the outputs. Package onnxtest compares the result with the model it was
// made from, in ONNX Runtime.
//
// Reading is apart: package proto takes files apart, package ops executes
// them, package graph serves them as models, package ort is ONNX Runtime.
//
// # What a file takes and gives
//
// There is one named input for each raw column, of shape rows × 1: text is
// tensor(string), everything else tensor(double): numbers as they are, bools
// as 0 and 1, timestamps as seconds and dates as days since 1970. A missing
// number is NaN. ONNX has no missing text; the empty string stands for it,
// unless the empty string was a category in training. There is one output for
// each output of the signature, of shape rows × 1, under the same name, or
// with "_out" behind it where an input has that name already.
//
// # Precision
//
// Inputs, thresholds and weights are doubles, so every decision of a tree is
// the one that Leat takes, whatever the input; a runtime that was handed
// float32 columns decides as if they were widened. TreeEnsembleRegressor
// returns its sum as float32, which moves a probability by less than 1e-6.
package onnx

import (
	"encoding/json"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
)

// Versions of what is written: old enough for the runtimes of the last years.
const (
	irVersion  = 8
	opset      = 15
	mlOpset    = 3
	mlDomain   = "ai.onnx.ml"
	maxMessage = 2<<30 - 1 // of protobuf
)

// Value names a tensor of a graph.
type Value string

// Graph is an ONNX graph under construction. It is for one goroutine.
type Graph struct {
	encoder *encode.Encoder
	task    model.Task
	classes []string
	names   map[string]bool
	inputs  []Value
	body    message // the repeated fields of GraphProto
	nodes   int
}

// New starts a graph with the inputs of an encoder, for a task with classes.
func New(e *encode.Encoder, task model.Task, classes []string) *Graph {
	g := &Graph{encoder: e, task: task, classes: classes, names: map[string]bool{}}
	for _, c := range e.Columns {
		elem := int64(elemDouble)
		if c.Kind == encode.Category {
			elem = elemString
		}
		g.names[c.Name] = true
		g.inputs = append(g.inputs, Value(c.Name))
		g.body.bytes(graphInput, valueInfo(c.Name, elem))
	}
	return g
}

// Input returns the raw input of a column of the encoder.
func (g *Graph) Input(column int) Value { return g.inputs[column] }

// unique returns name, or name with something behind it, that nothing in the
// graph has yet: columns may be called anything.
func (g *Graph) unique(name string) string {
	for g.names[name] {
		name += "_out"
	}
	g.names[name] = true
	return name
}

// Op adds an operator of the standard set and returns its output.
func (g *Graph) Op(op string, inputs ...Value) Value { return g.OpWith(op, nil, inputs...) }

// OpWith adds an operator with attributes.
func (g *Graph) OpWith(op string, attributes []Attribute, inputs ...Value) Value {
	return g.add("", op, attributes, inputs, 1)[0]
}

// MLOp adds an operator of the set for machine learning.
func (g *Graph) MLOp(op string, attributes []Attribute, inputs ...Value) Value {
	return g.add(mlDomain, op, attributes, inputs, 1)[0]
}

func (g *Graph) add(domain, op string, attributes []Attribute, inputs []Value, outputs int) []Value {
	g.nodes++
	var n message
	for _, in := range inputs {
		n.text(nodeInput, string(in))
	}
	out := make([]Value, outputs)
	for i := range out {
		out[i] = Value(g.unique("leat:" + op))
		n.text(nodeOutput, string(out[i]))
	}
	n.text(nodeName, string(out[0]))
	n.text(nodeOp, op)
	for _, a := range attributes {
		n.bytes(nodeAttribute, a)
	}
	if domain != "" {
		n.text(nodeDomain, domain)
	}
	g.body.bytes(graphNode, n)
	return out
}

// Doubles adds a constant tensor(double).
func (g *Graph) Doubles(dims []int64, values []float64) Value {
	return g.constant(func(name string) []byte { return doublesTensor(name, dims, values) })
}

// Double adds a constant that applies to every element.
func (g *Graph) Double(v float64) Value { return g.Doubles([]int64{1}, []float64{v}) }

// Integers adds a constant vector of tensor(int64).
func (g *Graph) Integers(values ...int64) Value {
	return g.constant(func(name string) []byte { return integersTensor(name, []int64{int64(len(values))}, values) })
}

// Strings adds a constant vector of tensor(string).
func (g *Graph) Strings(values []string) Value {
	return g.constant(func(name string) []byte { return stringsTensor(name, values) })
}

func (g *Graph) constant(tensor func(name string) []byte) Value {
	name := g.unique("leat:constant")
	g.body.bytes(graphInitializer, tensor(name))
	return Value(name)
}

// Cast converts to tensor(double).
func (g *Graph) Cast(v Value) Value {
	return g.OpWith("Cast", []Attribute{Int("to", elemDouble)}, v)
}

// Concat joins columns to rows × columns.
func (g *Graph) Concat(columns ...Value) Value {
	return g.OpWith("Concat", []Attribute{Int("axis", 1)}, columns...)
}

// Code turns a category column into the row of a table, tensor(int64): its
// code, len(Categories) for unseen text, and len(Categories)+1 for missing.
func (g *Graph) Code(column int) Value {
	keys, missing := g.keys(column)
	codes := make([]int64, len(keys))
	for i := range codes {
		codes[i] = int64(i)
	}
	unseen := int64(len(g.encoder.Columns[column].Categories))
	if missing {
		codes[len(codes)-1] = unseen + 1
	}
	return g.MLOp("LabelEncoder", []Attribute{
		Strings("keys_strings", keys), Ints("values_int64s", codes), Int("default_int64", unseen),
	}, g.inputs[column])
}

// keys returns the texts that a category column tells apart, and whether the
// last of them is the empty one that stands for a missing value.
func (g *Graph) keys(column int) (keys []string, missing bool) {
	categories := g.encoder.Columns[column].Categories
	keys = make([]string, 0, len(categories)+1)
	for _, text := range categories {
		keys = append(keys, text)
		if text == "" {
			missing = true
		}
	}
	if missing {
		return keys, false
	}
	return append(keys, ""), true
}

// Finish ends the graph with raw scores, rows × scores tensor(double): one
// for binary and regression, one for each class for multiclass. Binary rows
// are labelled Classes[1] from the threshold upwards. It returns the file.
func (g *Graph) Finish(scores Value, threshold float64) ([]byte, error) {
	columns := make(map[string]Value)
	switch g.task {
	case model.Binary:
		prob := g.Op("Sigmoid", scores)
		above := g.OpWith("Cast", []Attribute{Int("to", elemInt64)}, g.Op("GreaterOrEqual", prob, g.Double(threshold)))
		columns[model.ScoreColumn] = prob
		columns[model.LabelColumn] = g.Op("Gather", g.Strings(g.classes), above)
	case model.Multiclass:
		prob := g.OpWith("Softmax", []Attribute{Int("axis", 1)}, scores)
		best := g.OpWith("ArgMax", []Attribute{Int("axis", 1), Int("keepdims", 1)}, prob)
		columns[model.LabelColumn] = g.Op("Gather", g.Strings(g.classes), best)
		split := g.add("", "Split", []Attribute{Int("axis", 1)}, []Value{prob}, len(g.classes))
		for k, class := range g.classes {
			columns[model.ScoreColumn+"_"+class] = split[k]
		}
	default:
		columns[model.ScoreColumn] = scores
	}
	for _, f := range model.Outputs(g.task, g.classes) {
		g.output(f, columns[f.Name])
	}
	return g.file()
}

func (g *Graph) output(f model.Field, v Value) {
	elem := int64(elemDouble)
	if f.Name == model.LabelColumn {
		elem = elemString
	}
	name := g.unique(f.Name)
	g.nodes++
	var n message
	n.text(nodeInput, string(v))
	n.text(nodeOutput, name)
	n.text(nodeName, name)
	n.text(nodeOp, "Identity")
	g.body.bytes(graphNode, n)
	g.body.bytes(graphOutput, valueInfo(name, elem))
}

func (g *Graph) file() ([]byte, error) {
	signature, err := json.Marshal(model.Signature{
		Task: g.task, Inputs: g.encoder.Fields(), Outputs: model.Outputs(g.task, g.classes), Classes: g.classes,
	})
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the signature cannot be written")
	}
	g.body.text(graphName, "leat")
	if len(g.body) > maxMessage-len(signature)-1024 {
		return nil, fault.New(fault.TooLarge, "the model is too large for an ONNX file")
	}
	var m message
	m.integer(modelIRVersion, irVersion)
	m.text(modelProducer, "leat")
	m.integer(modelVersion, 1)
	m.bytes(modelGraph, g.body)
	for _, set := range []struct {
		domain  string
		version int64
	}{{"", opset}, {mlDomain, mlOpset}} {
		var o message
		o.text(opsetDomain, set.domain)
		o.integer(opsetVersion, set.version)
		m.bytes(modelOpset, o)
	}
	var entry message
	entry.text(entryKey, "leat.signature")
	entry.text(entryValue, string(signature))
	m.bytes(modelMeta, entry)
	return m, nil
}
