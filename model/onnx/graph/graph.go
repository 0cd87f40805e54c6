// Package graph serves ONNX files as models: record batches in, record
// batches out, whatever tensors are between.
//
// Format loads an artifact, New the bytes of a file. Package proto reads the
// file and checks it; package ops executes it with operators written in Go,
// which are all that converted scikit-learn pipelines and tree ensembles
// need; what they lack runs in a Runtime, which is ONNX Runtime (package
// ort).
//
// # What a graph reads and writes as a model
//
// An input of one column is a column of its name; a wider one is as many
// columns, X_0, X_1, … unless columns.json names them. A missing number is
// NaN, missing text the empty string; integers and truths cannot be missing.
//
// A graph that ends in a label and the probabilities of known classes is a
// classifier with the columns that all classifiers have (score and label), and
// one that ends in one number a regression, so that thresholds, gates and
// monitors work; every other is Custom, with its outputs as columns. Native
// gives the outputs of the graph under their own names in any case.
//
// Rows are given to the graph in parts of some hundred, so that what it takes
// at a time is bounded; a graph that mixes rows of a batch is no model of rows.
package graph

import (
	"context"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/onnx/ops"
	"github.com/leat-ai/leat/model/onnx/proto"
)

// Engine executes a graph. It is safe for many goroutines.
type Engine interface {
	// Run computes the outputs of the graph in their order from its inputs in
	// theirs, and calls use with them; they are only its until it returns.
	Run(ctx context.Context, inputs []*ops.Tensor, use func(outputs []*ops.Tensor) error) error
}

// Runtime makes engines for graphs that Leat's own operators cannot execute.
type Runtime interface {
	// Open makes an engine of a file that was read and found sound. When it is
	// an io.Closer it is closed after its last Run. It is an Unsupported fault,
	// which says how to get it, when the runtime is absent.
	Open(ctx context.Context, file []byte, m *proto.Model) (Engine, error)
}

// Model is a graph as a model. It meets model.Model and its optional
// interfaces, and is an io.Closer.
type Model struct {
	signature model.Signature
	inputs    []input
	outputs   []output
	shape     shape
	picks     []pick // of the signature's outputs
	engine    Engine
	about     model.Description
	size      int64

	bound   atomic.Pointer[binding]
	rows    atomic.Int64 // how many are given at a time
	buffers sync.Pool    // of *buffer
}

var (
	_ model.Model     = (*Model)(nil)
	_ model.Native    = (*Model)(nil)
	_ model.Sizer     = (*Model)(nil)
	_ model.Describer = (*Model)(nil)
	_ model.Batcher   = (*Model)(nil)
	_ io.Closer       = (*Model)(nil)
)

// Batching lets requests that come while every processor executes the graph go
// together: going from operator to operator costs as much for some rows as for
// one.
func (m *Model) Batching() model.Batching {
	return model.Batching{Calls: runtime.GOMAXPROCS(0), Rows: rowsAtATime}
}

// rowsAtATime is how many rows a graph is given at first; fewer when that is
// too much for it.
const rowsAtATime = 512

// New makes a model of the bytes of a file, which it may keep. runtime may be
// nil.
func New(ctx context.Context, file []byte, columns Columns, runtime Runtime) (*Model, error) {
	p, err := proto.Read(file)
	if err != nil {
		return nil, err
	}
	engine, name, err := open(ctx, file, p, columns.Engine, runtime)
	if err != nil {
		return nil, err
	}
	m := &Model{engine: engine, about: describe(p), size: int64(len(file))}
	m.about.Runtime = name
	m.rows.Store(rowsAtATime)
	if err := m.fit(ctx, p, columns); err != nil {
		_ = m.Close() // what is wrong is told
		return nil, err
	}
	return m, nil
}

// fit joins the graph's ends to columns.
func (m *Model) fit(ctx context.Context, p *proto.Model, columns Columns) error {
	given := exported(p)
	fields, err := m.bindInputs(p, columns, given)
	if err != nil {
		return err
	}
	m.signature.Inputs = fields
	outputs, err := m.probe(ctx, &p.Graph)
	if err != nil {
		return err
	}
	m.outputs = outputs
	m.conclude(p, columns, given)
	return nil
}

// open chooses what executes a graph: Leat's operators if they suffice and
// nothing else is asked for.
func open(ctx context.Context, file []byte, p *proto.Model, asked string, runtime Runtime) (Engine, string, error) {
	var refused error
	if asked != "" && asked != EngineGo && asked != EngineORT {
		return nil, "", fault.New(fault.Invalid, "%q is no engine for ONNX graphs", asked).Hint("%q or %q", EngineGo, EngineORT)
	}
	if asked != EngineORT {
		program, err := ops.Compile(ctx, p)
		if err == nil {
			return program, "Leat", nil
		}
		if !fault.Is(err, fault.Unsupported) || asked == EngineGo {
			return nil, "", err
		}
		refused = err
	}
	if runtime == nil {
		if refused == nil {
			refused = fault.New(fault.Unsupported, "ONNX Runtime is asked for and is not part of this program")
		}
		return nil, "", refused
	}
	engine, err := runtime.Open(ctx, file, p)
	if err != nil && refused != nil {
		return nil, "", fault.Wrap(err, fault.KindOf(err), "%v; ONNX Runtime would", refused)
	}
	return engine, "ONNX Runtime", err
}

// Signature says what the model reads and writes.
func (m *Model) Signature() model.Signature { return m.signature }

// Size is about how much memory the model takes: constants are unpacked
// beside the file, and trees are compiled.
func (m *Model) Size() int64 { return 3 * m.size }

// Describe says what the file is.
func (m *Model) Describe() model.Description { return m.about }

// Close gives back what an engine holds beside memory.
func (m *Model) Close() error {
	if c, ok := m.engine.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// describe tells what a file says of itself.
func describe(p *proto.Model) model.Description {
	d := model.Description{
		Kind: "ONNX graph", Library: p.Producer, LibraryVersion: p.ProducerVersion,
		Operators: map[string]int{}, Notes: map[string]string{},
	}
	for i := range p.Graph.Nodes {
		n := &p.Graph.Nodes[i]
		d.Operators[n.Op]++
		trees, leaves := ops.Trees(n)
		d.Trees, d.Leaves = d.Trees+trees, d.Leaves+leaves
	}
	var opsets []string
	for _, o := range p.Opsets {
		name := o.Domain
		if name == "" {
			name = "ai.onnx"
		}
		if text := name + " " + decimal(o.Version); !slices.Contains(opsets, text) {
			opsets = append(opsets, text)
		}
	}
	d.Notes["opsets"] = strings.Join(opsets, ", ")
	d.Notes["ir_version"] = decimal(p.IRVersion)
	if p.Graph.Name != "" {
		d.Notes["graph"] = p.Graph.Name
	}
	return d
}
