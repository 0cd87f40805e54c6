package backends

import (
	"context"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm/sentence"
	"github.com/leat-ai/leat/model/onnx/graph"
	"github.com/leat-ai/leat/model/onnx/ops"
	"github.com/leat-ai/leat/model/onnx/ort"
	"github.com/leat-ai/leat/model/onnx/proto"
)

// Sentence opens the folder of a sentence transformer, which embeds texts in
// the process. ONNX files run in ONNX Runtime where its library is installed
// and otherwise on Leat's own operators.
func Sentence(ctx context.Context, folder string) (*sentence.Model, error) {
	return sentence.Open(ctx, folder, sentence.Options{Graphs: textGraphs{}})
}

// textGraphs joins package sentence to the readers and engines of ONNX files.
type textGraphs struct{}

func (textGraphs) Load(ctx context.Context, file []byte) (sentence.Graph, error) {
	m, err := proto.Read(file)
	if err != nil {
		return nil, err
	}
	engine, err := ort.Runtime{}.Open(ctx, file, m)
	if fault.Is(err, fault.Unsupported) && len(ops.Missing(m)) == 0 {
		engine, err = ops.Compile(ctx, m)
	}
	if err != nil {
		return nil, err
	}
	g := &textGraph{engine: engine}
	for _, in := range m.Graph.Inputs {
		if in.Type != proto.Int64 {
			return nil, fault.New(fault.Unsupported, "the input %.100q of the ONNX file takes %s, and tokens are int64", in.Name, in.Type)
		}
		g.names = append(g.names, in.Name)
	}
	return g, nil
}

type textGraph struct {
	engine graph.Engine
	names  []string
}

func (g *textGraph) Inputs() []string { return g.names }

func (g *textGraph) Run(ctx context.Context, inputs [][]int64, rows, columns int) (output []float32, shape []int, err error) {
	tensors := make([]*ops.Tensor, len(inputs))
	for i, numbers := range inputs {
		tensors[i] = &ops.Tensor{Type: proto.Int64, Dims: []int{rows, columns}, I: numbers}
	}
	err = g.engine.Run(ctx, tensors, func(outputs []*ops.Tensor) error {
		if len(outputs) == 0 || outputs[0].Type != proto.Float {
			return fault.New(fault.Unsupported, "the first output of the ONNX file is no tensor of floats")
		}
		output, shape = append(output, outputs[0].F...), append(shape, outputs[0].Dims...)
		return nil
	})
	return output, shape, err
}
