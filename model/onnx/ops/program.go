// Package ops executes ONNX graphs with operators written in Go: those of
// ONNX-ML and those of ONNX that converters of scikit-learn and of boosted
// trees use beside them.
//
// Compile turns a graph into a Program once: the versions of operators are
// resolved, attributes are read, what depends on no input is computed. Run
// executes it, with memory that is used again. A Program is immutable and
// safe for many goroutines.
//
// Where ONNX says float the arithmetic is of 32 bits, so that answers are
// those of other runtimes, within the few last bits in which these differ
// among themselves. Trees run in the one engine that all trees have, package
// tree. What an operator may take is bounded: a shape that explodes is
// refused before there is memory for it.
package ops

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model/onnx/proto"
)

// Program is a compiled graph.
type Program struct {
	steps    []step
	constant []*Tensor // by slot; nil for what is computed
	inputs   []int     // slots
	outputs  []int
	bytes    int64
	runs     sync.Pool // of *run
}

// step is one node: its kernel and the slots that it reads and writes. An
// input that is left out is the slot -1.
type step struct {
	label string
	run   kernel
	in    []int
	out   []int
}

// Missing returns the operators of a graph that Leat has not, each once,
// sorted.
func Missing(m *proto.Model) []string {
	seen := map[string]bool{}
	for i := range m.Graph.Nodes {
		n := &m.Graph.Nodes[i]
		if _, ok := lookup(n.Domain, n.Op); !ok {
			seen[strings.TrimPrefix(n.Domain+"."+n.Op, ".")] = true
		}
	}
	names := make([]string, 0, len(seen))
	for name := range seen {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Compile makes a program of a graph that was read and found sound. An
// operator that Leat has not, or not in this version or with these attributes,
// is an Unsupported fault; a node that can never work is an Invalid one.
func Compile(ctx context.Context, m *proto.Model) (*Program, error) {
	if missing := Missing(m); len(missing) > 0 {
		return nil, fault.New(fault.Unsupported, "the graph has operators that Leat does not execute itself: %s", some(missing))
	}
	if len(m.Functions) > 0 {
		return nil, fault.New(fault.Unsupported, "the graph defines functions of its own: %s", some(m.Functions))
	}
	if v := max(m.Opset(""), 0); v > newest || m.Opset("ai.onnx.ml") > newestLearning {
		return nil, fault.New(fault.Unsupported, "the graph is of a newer version of ONNX (%d, ai.onnx.ml %d) than Leat's operators (%d, %d)",
			v, m.Opset("ai.onnx.ml"), newest, newestLearning)
	}
	c := &compiler{model: m, slots: map[string]int{}, program: &Program{}}
	if err := c.compile(ctx); err != nil {
		return nil, err
	}
	return c.program, nil
}

// The newest versions of the sets of operators that are known here.
const (
	newest         = 28
	newestLearning = 5
)

// some joins names, as many as a message can bear.
func some(names []string) string {
	const most = 12
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// compiler builds a program.
type compiler struct {
	model   *proto.Model
	slots   map[string]int
	program *Program
}

func (c *compiler) slot(name string) int {
	if name == "" {
		return -1
	}
	at, ok := c.slots[name]
	if !ok {
		at = len(c.program.constant)
		c.slots[name] = at
		c.program.constant = append(c.program.constant, nil)
	}
	return at
}

func (c *compiler) compile(ctx context.Context) error {
	g := &c.model.Graph
	for i := range g.Initializers {
		t, err := Constant(&g.Initializers[i])
		if err != nil {
			return fault.Wrap(err, fault.KindOf(err), "initializer %q", g.Initializers[i].Name)
		}
		c.program.constant[c.slot(g.Initializers[i].Name)] = t
	}
	for i := range g.Inputs {
		c.program.inputs = append(c.program.inputs, c.slot(g.Inputs[i].Name))
	}
	r := &run{ctx: ctx}
	for i := range g.Nodes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.node(r, &g.Nodes[i]); err != nil {
			return fault.Wrap(err, fault.KindOf(err), "node %d (%s)", i, label(&g.Nodes[i]))
		}
	}
	for i := range g.Outputs {
		c.program.outputs = append(c.program.outputs, c.slot(g.Outputs[i].Name))
	}
	c.program.drop()
	return nil
}

func label(n *proto.Node) string {
	if n.Name == "" {
		return n.Op
	}
	return n.Op + " " + n.Name
}

// node compiles one node, and computes it when it depends on no input.
func (c *compiler) node(r *run, n *proto.Node) error {
	s := step{label: label(n)}
	b := &node{Node: n, version: c.model.Opset(n.Domain)}
	folds := true
	for _, name := range n.Inputs {
		at := c.slot(name)
		s.in = append(s.in, at)
		var constant *Tensor
		if at >= 0 {
			constant = c.program.constant[at]
			folds = folds && constant != nil
		}
		b.constants = append(b.constants, constant)
	}
	for _, name := range n.Outputs {
		if name == "" {
			name = "\x00" + s.label // nobody can ask for it
			delete(c.slots, name)
		}
		s.out = append(s.out, c.slot(name))
	}
	var err error
	op, _ := lookup(n.Domain, n.Op)
	if len(n.Inputs) < op.least || len(n.Inputs) > op.most || len(n.Outputs) == 0 {
		return fault.New(fault.Invalid, "%d inputs and %d outputs", len(n.Inputs), len(n.Outputs))
	}
	for i, name := range n.Inputs {
		if name == "" && (i < op.least || op.most == many) {
			return fault.New(fault.Invalid, "input %d is left out", i)
		}
	}
	if len(n.Outputs) > max(op.outputs, 1) && op.outputs >= 0 {
		return fault.New(fault.Invalid, "%d outputs", len(n.Outputs))
	}
	if b.version <= 0 {
		return fault.New(fault.Invalid, "the file imports no operators of the domain %q", n.Domain)
	}
	if s.run, err = op.build(b); err != nil {
		return err
	}
	if b.mistake != nil {
		return b.mistake
	}
	if !folds {
		c.program.steps = append(c.program.steps, s)
		return nil
	}
	return c.fold(r, &s)
}

// fold computes a step whose inputs are constants.
func (c *compiler) fold(r *run, s *step) error {
	in, out := make([]*Tensor, len(s.in)), make([]*Tensor, len(s.out))
	for i, at := range s.in {
		if at >= 0 {
			in[i] = c.program.constant[at]
		}
	}
	for i := range out {
		out[i] = &Tensor{}
	}
	if err := s.run(r, in, out); err != nil {
		return err
	}
	for i, at := range s.out {
		c.program.constant[at] = out[i].clone()
	}
	return nil
}

// drop forgets constants that only the compiler needed, and counts the rest.
func (p *Program) drop() {
	used := make([]bool, len(p.constant))
	for i := range p.steps {
		for _, at := range p.steps[i].in {
			if at >= 0 {
				used[at] = true
			}
		}
	}
	for _, at := range p.outputs {
		used[at] = true
	}
	for at, t := range p.constant {
		if t != nil && !used[at] {
			p.constant[at] = nil
		} else if t != nil {
			p.bytes += int64(t.Len() * kindOf(t.Type).bytes())
		}
	}
}

// Bytes is about how much memory the constants of the program take.
func (p *Program) Bytes() int64 { return p.bytes }

// Run computes the outputs of the graph in their order, from its inputs in
// theirs, and calls use with them: they are only its until it returns.
func (p *Program) Run(ctx context.Context, inputs []*Tensor, use func(outputs []*Tensor) error) error {
	if len(inputs) != len(p.inputs) {
		return fault.New(fault.Internal, "%d inputs for a graph of %d", len(inputs), len(p.inputs))
	}
	r, ok := p.runs.Get().(*run)
	if !ok {
		r = p.newRun()
	}
	r.ctx, r.bytes, r.work = ctx, 0, 0
	defer func() {
		r.ctx = nil
		for _, at := range p.inputs {
			r.args[at] = nil
		}
		if r.kept() <= maxKept {
			p.runs.Put(r)
		}
	}()
	for i, at := range p.inputs {
		r.args[at] = inputs[i]
	}
	for i := range p.steps {
		if err := p.steps[i].execute(r); err != nil {
			return err
		}
	}
	outputs := make([]*Tensor, len(p.outputs))
	for i, at := range p.outputs {
		outputs[i] = r.args[at]
	}
	return use(outputs)
}

func (p *Program) newRun() *run {
	r := &run{slots: make([]Tensor, len(p.constant)), args: make([]*Tensor, len(p.constant))}
	for at, t := range p.constant {
		if r.args[at] = &r.slots[at]; t != nil {
			r.args[at] = t
		}
	}
	return r
}

func (s *step) execute(r *run) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	r.in, r.out = r.in[:0], r.out[:0]
	for _, at := range s.in {
		if at < 0 {
			r.in = append(r.in, nil)
		} else {
			r.in = append(r.in, r.args[at])
		}
	}
	for _, at := range s.out {
		r.out = append(r.out, r.args[at])
	}
	if err := s.run(r, r.in, r.out); err != nil {
		return fault.Wrap(err, fault.KindOf(err), "%s", s.label)
	}
	return nil
}
