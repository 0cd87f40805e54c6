package ops

import (
	"context"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model/onnx/proto"
)

// Bounds of one run of a program. A batch that needs more is given in smaller
// parts; a single row that does is refused.
const (
	maxBytes = 256 << 20 // of all tensors together
	maxWork  = 1 << 30   // multiplications and the like
	maxKept  = 32 << 20  // bytes that wait for the next run
)

// kernel computes the outputs of a node. An input that is left out is nil; an
// output of no interest is there all the same.
type kernel func(r *run, in, out []*Tensor) error

// run is the memory of one execution. It is used again, so that serving
// allocates little.
type run struct {
	ctx     context.Context
	slots   []Tensor  // what nodes compute
	args    []*Tensor // by slot: the constant, the caller's input, or the above
	in      []*Tensor // of the present node
	out     []*Tensor
	spare   Tensor // of the present kernel
	aside   Tensor
	turns   [2]Tensor
	indices []int
	space   []int64
	more    []int64
	near    []float32
	matrix  []float64
	bytes   int
	work    int
}

// make gives an output its type, shape and memory.
func (r *run) make(t *Tensor, typ proto.Type, dims []int) error {
	n := multiplied(dims)
	k := kindOf(typ)
	if n < 0 || k == none || n > maxBytes/k.bytes() {
		return tooLarge(dims)
	}
	if r.bytes += n * k.bytes(); r.bytes > maxBytes {
		return tooLarge(dims)
	}
	if len(dims) > 16 {
		return fault.New(fault.Invalid, "a tensor of %d dimensions", len(dims))
	}
	t.Reshape(typ, dims...)
	return nil
}

func tooLarge(dims []int) error {
	return fault.New(fault.TooLarge, "a tensor of the shape %d is more than the %d MiB that one execution may take", dims, maxBytes>>20)
}

// spend is asked before work of n simple steps is done.
func (r *run) spend(n ...int) error {
	steps := multiplied(n)
	if steps < 0 || steps > maxWork {
		steps = maxWork + 1
	}
	if r.work += steps; r.work > maxWork {
		return fault.New(fault.TooLarge, "the graph takes too much work for Leat's own operators").
			Hint("ask for ONNX Runtime: \"engine\": \"onnxruntime\" in columns.json")
	}
	return nil
}

// scratch gives a kernel memory that lasts until it returns.
func scratch(r *run, t *Tensor, typ proto.Type, dims []int) (*Tensor, error) {
	return t, r.make(t, typ, dims)
}

// kept tells how many bytes a run holds.
func (r *run) kept() int {
	n := 0
	for i := range r.slots {
		o := &r.slots[i].own
		n += 4*cap(o.f) + 8*cap(o.d) + 8*cap(o.i) + 16*cap(o.s) + cap(o.b)
	}
	return n
}
