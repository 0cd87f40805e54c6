// Package graph serves ONNX files as models: record batches in, record
// batches out, whatever tensors are between.
//
// Format loads an artifact, New the bytes of a file. Package proto reads the
// file and checks it; package ops executes it with operators written in Go,
// which are all that converted scikit-learn pipelines and tree ensembles
// need; what they lack runs in a Runtime, which is ONNX Runtime (package
// ort).
package graph

import (
	"context"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/onnx/ops"
	"github.com/leat-ai/leat/model/onnx/proto"
)

// Runtime executes graphs that Leat's own operators cannot.
type Runtime interface {
	// Open makes a session of a file that was read and found sound. It is an
	// Unsupported fault, which says how to get it, when the runtime is absent.
	Open(ctx context.Context, file []byte, m *proto.Model) (Session, error)
}

// Session is a loaded graph. It is safe for many goroutines.
type Session interface {
	// Run computes the outputs of the graph in their order from its inputs in
	// theirs.
	Run(ctx context.Context, inputs []*ops.Tensor) ([]*ops.Tensor, error)
	Close() error
}

// New makes a model of the bytes of a file, which it may keep.
func New(ctx context.Context, file []byte, columns Columns, runtime Runtime) (model.Model, error) {
	_, _, _, _ = ctx, file, columns, runtime
	return nil, fault.New(fault.Unsupported, "ONNX graphs are not served yet")
}
