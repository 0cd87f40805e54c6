package ops_test

import (
	"context"
	"testing"
	"time"

	"github.com/leat-ai/leat/model/onnx/ops"
	"github.com/leat-ai/leat/model/onnx/proto"
)

// FuzzRun compiles and runs graphs made of those of the tables: none may panic,
// or take longer than the bounds of a run allow.
func FuzzRun(f *testing.F) {
	for _, b := range tables() {
		for _, c := range b.cases {
			f.Add(c.File)
		}
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		m, err := proto.Read(file)
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		p, err := ops.Compile(ctx, m)
		if err != nil {
			return
		}
		for _, rows := range []int{1, 3} {
			var inputs []*ops.Tensor
			for i := range m.Graph.Inputs {
				in, ok := sample(&m.Graph.Inputs[i], rows)
				if !ok {
					return
				}
				inputs = append(inputs, in)
			}
			err := p.Run(ctx, inputs, func(outputs []*ops.Tensor) error {
				for _, out := range outputs {
					if n := len(out.F) + len(out.D) + len(out.I) + len(out.S) + len(out.B); n != out.Len() {
						t.Errorf("%d elements for the shape %d", n, out.Dims)
					}
				}
				return nil
			})
			if err != nil && ctx.Err() != nil {
				t.Error("it takes too long")
			}
		}
	})
}

// sample makes a tensor for an input.
func sample(v *proto.Value, rows int) (*ops.Tensor, bool) {
	dims := []int{rows}
	for i, d := range v.Dims {
		if i == 0 {
			continue
		}
		if d < 0 {
			d = 2
		}
		if d > 64 || len(dims) > 4 {
			return nil, false
		}
		dims = append(dims, int(d))
	}
	t := &ops.Tensor{}
	t.Reshape(v.Type, dims...)
	for i := range t.F {
		t.F[i] = float32(i%7) - 2.5
	}
	for i := range t.D {
		t.D[i] = float64(i%5) - 1.5
	}
	for i := range t.I {
		t.I[i] = int64(i % 3)
	}
	for i := range t.S {
		t.S[i] = []string{"a", "b", ""}[i%3]
	}
	return t, len(t.F)+len(t.D)+len(t.I)+len(t.S)+len(t.B) == t.Len()
}
