package sentence

import (
	"context"

	"github.com/leat-ai/leat/base/fault"
)

// graphEncoder is a transformer as an ONNX file.
type graphEncoder struct {
	graph   Graph
	inputs  []func(token int32, word bool) int64
	pooling pooling
	pad     int32
	size    int
}

// newGraphEncoder looks at what the file asks for and tries it with a text of
// nothing, which tells how long its vectors are.
func newGraphEncoder(ctx context.Context, g Graph, p pooling, t *tokenizer) (*graphEncoder, error) {
	e := &graphEncoder{graph: g, pooling: p, pad: t.pad}
	for _, name := range g.Inputs() {
		input := map[string]func(int32, bool) int64{
			"input_ids": func(token int32, _ bool) int64 { return int64(token) },
			"attention_mask": func(_ int32, word bool) int64 {
				if word {
					return 1
				}
				return 0
			},
			"token_type_ids": func(int32, bool) int64 { return 0 },
		}[name]
		if input == nil {
			return nil, fault.New(fault.Unsupported, "the ONNX file asks for %.100q, which a text has not", name)
		}
		e.inputs = append(e.inputs, input)
	}
	vectors, err := e.encode(ctx, [][]int32{{t.first, t.last}})
	if err != nil {
		return nil, err
	}
	e.size = len(vectors[0])
	return e, nil
}

func (e *graphEncoder) dimension() int { return e.size }

// encode pads the texts to the longest and runs them together. Texts come by
// falling length, so that little is padded.
func (e *graphEncoder) encode(ctx context.Context, texts [][]int32) ([][]float32, error) {
	columns := 0
	for _, t := range texts {
		columns = max(columns, len(t))
	}
	inputs := make([][]int64, len(e.inputs))
	for i, input := range e.inputs {
		inputs[i] = make([]int64, 0, len(texts)*columns)
		for _, t := range texts {
			for c := range columns {
				token := e.pad
				if c < len(t) {
					token = t[c]
				}
				inputs[i] = append(inputs[i], input(token, c < len(t)))
			}
		}
	}
	output, shape, err := e.graph.Run(ctx, inputs, len(texts), columns)
	if err != nil {
		return nil, err
	}
	return e.split(texts, columns, output, shape)
}

func (e *graphEncoder) split(texts [][]int32, columns int, output []float32, shape []int) ([][]float32, error) {
	n := 1
	for _, d := range shape {
		n *= d
	}
	pooled := len(shape) == 2
	if n != len(output) || n == 0 || !pooled && (len(shape) != 3 || shape[1] != columns) || shape[0] != len(texts) {
		return nil, fault.New(fault.Unsupported, "the first output of the ONNX file has the shape %v, which is no embedding of %d texts", shape, len(texts))
	}
	size := shape[len(shape)-1]
	if e.size != 0 && size != e.size {
		return nil, fault.New(fault.Internal, "the ONNX file made vectors of %d numbers, and of %d before", size, e.size)
	}
	out := make([][]float32, len(texts))
	for i, t := range texts {
		if pooled {
			out[i] = append([]float32(nil), output[i*size:][:size]...)
		} else {
			out[i] = e.pooling.pool(output[i*columns*size:][:len(t)*size], size)
		}
		for _, x := range out[i] {
			if x-x != 0 {
				return nil, fault.New(fault.Internal, "the ONNX file made numbers that are not finite")
			}
		}
	}
	return out, nil
}
