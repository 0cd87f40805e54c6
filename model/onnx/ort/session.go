package ort

import (
	"context"
	"strings"

	onnxruntime "github.com/yalue/onnxruntime_go"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model/onnx/ops"
	"github.com/leat-ai/leat/model/onnx/proto"
)

// session is a loaded graph. It meets graph.Engine and io.Closer.
type session struct {
	session *onnxruntime.DynamicAdvancedSession
	outputs []string
	turns   chan struct{}
}

// Close unloads the graph.
func (s *session) Close() error {
	if err := s.session.Destroy(); err != nil {
		return fault.Wrap(err, fault.Internal, "a session of ONNX Runtime does not end")
	}
	return nil
}

// Run computes the outputs; see graph.Engine. It waits for its turn, and ends
// early when ctx does.
func (s *session) Run(ctx context.Context, inputs []*ops.Tensor, use func([]*ops.Tensor) error) error {
	select {
	case s.turns <- struct{}{}:
		defer func() { <-s.turns }()
	case <-ctx.Done():
		return fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "ONNX Runtime was busy")
	}
	given := make([]onnxruntime.Value, 0, len(inputs))
	defer func() { destroy(given) }()
	for _, t := range inputs {
		v, err := valueOf(t)
		if err != nil {
			return err
		}
		given = append(given, v)
	}
	found := make([]onnxruntime.Value, len(s.outputs))
	defer func() { destroy(found) }()
	if err := s.run(ctx, given, found); err != nil {
		return err
	}
	outputs := make([]*ops.Tensor, len(found))
	for i, v := range found {
		var err error
		if outputs[i], err = tensorOf(v); err != nil {
			return fault.Wrap(err, fault.KindOf(err), "output %q", s.outputs[i])
		}
	}
	return use(outputs)
}

func (s *session) run(ctx context.Context, given, found []onnxruntime.Value) error {
	options, err := onnxruntime.NewRunOptions()
	if err != nil {
		return broken(err, "takes no settings")
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = options.Terminate()
		close(ended)
	})
	err = s.session.RunWithOptions(given, found, options)
	if !stop() {
		<-ended // options are still in use
	}
	_ = options.Destroy()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "scoring ended before its last row")
	case strings.Contains(err.Error(), "memory"): // there is no code for it
		return fault.New(fault.TooLarge, "the graph takes more than the %d MiB that ONNX Runtime may", maxMemory>>20).Because(err)
	}
	return refused(err)
}

func destroy(values []onnxruntime.Value) {
	for _, v := range values {
		if v != nil {
			_ = v.Destroy() // nothing is to be done about it
		}
	}
}

// valueOf hands a tensor to the library, which reads it in place.
func valueOf(t *ops.Tensor) (onnxruntime.Value, error) {
	shape := make(onnxruntime.Shape, len(t.Dims))
	for i, d := range t.Dims {
		shape[i] = int64(d)
	}
	switch t.Type {
	case proto.Float:
		return made(shape, t.F)
	case proto.Double:
		return made(shape, t.D)
	case proto.Int64:
		return made(shape, t.I)
	case proto.Int32:
		return made(shape, narrow[int32](t.I))
	case proto.Int16:
		return made(shape, narrow[int16](t.I))
	case proto.Int8:
		return made(shape, narrow[int8](t.I))
	case proto.Uint8:
		return made(shape, narrow[uint8](t.I))
	case proto.Uint16:
		return made(shape, narrow[uint16](t.I))
	case proto.Uint32:
		return made(shape, narrow[uint32](t.I))
	case proto.Bool:
		return made(shape, t.B)
	case proto.String:
		v, err := onnxruntime.NewStringTensor(shape)
		if err == nil {
			err = v.SetContents(t.S)
		}
		if err != nil {
			return nil, broken(err, "does not take text")
		}
		return v, nil
	}
	return nil, fault.New(fault.Unsupported, "tensors of %s are not given to ONNX Runtime", t.Type)
}

func made[T onnxruntime.TensorData](shape onnxruntime.Shape, data []T) (onnxruntime.Value, error) {
	v, err := onnxruntime.NewTensor(shape, data)
	if err != nil {
		return nil, broken(err, "does not take the rows")
	}
	return v, nil
}

func narrow[T onnxruntime.IntData](wide []int64) []T {
	out := make([]T, len(wide))
	for i, v := range wide {
		out[i] = T(v)
	}
	return out
}

func widen[T onnxruntime.IntData](data []T) []int64 {
	out := make([]int64, len(data))
	for i, v := range data {
		out[i] = int64(v)
	}
	return out
}

// tensorOf reads what the library answered.
func tensorOf(v onnxruntime.Value) (*ops.Tensor, error) {
	t := &ops.Tensor{}
	for _, d := range v.GetShape() {
		t.Dims = append(t.Dims, int(d))
	}
	switch v := v.(type) {
	case *onnxruntime.Tensor[float32]:
		t.Type, t.F = proto.Float, v.GetData()
	case *onnxruntime.Tensor[float64]:
		t.Type, t.D = proto.Double, v.GetData()
	case *onnxruntime.Tensor[int64]:
		t.Type, t.I = proto.Int64, v.GetData()
	case *onnxruntime.Tensor[int32]:
		t.Type, t.I = proto.Int32, widen(v.GetData())
	case *onnxruntime.Tensor[int16]:
		t.Type, t.I = proto.Int16, widen(v.GetData())
	case *onnxruntime.Tensor[int8]:
		t.Type, t.I = proto.Int8, widen(v.GetData())
	case *onnxruntime.Tensor[uint8]:
		t.Type, t.I = proto.Uint8, widen(v.GetData())
	case *onnxruntime.Tensor[uint16]:
		t.Type, t.I = proto.Uint16, widen(v.GetData())
	case *onnxruntime.Tensor[uint32]:
		t.Type, t.I = proto.Uint32, widen(v.GetData())
	case *onnxruntime.Tensor[bool]:
		t.Type, t.B = proto.Bool, v.GetData()
	case *onnxruntime.StringTensor:
		words, err := v.GetContents()
		if err != nil {
			return nil, broken(err, "gives no text")
		}
		t.Type, t.S = proto.String, words
	case *onnxruntime.Sequence:
		return mapsOf(v)
	default:
		return nil, fault.New(fault.Unsupported, "ONNX Runtime answers with %T, which is no tensor", v)
	}
	return t, nil
}

// mapsOf reads a sequence of maps, as ZipMap makes them: one for each row, all
// with the same keys.
func mapsOf(sequence *onnxruntime.Sequence) (*ops.Tensor, error) {
	rows, err := sequence.GetValues()
	if err != nil {
		return nil, broken(err, "gives no sequence")
	}
	t := &ops.Tensor{Type: proto.Float}
	for _, row := range rows {
		m, ok := row.(*onnxruntime.Map)
		if !ok {
			return nil, fault.New(fault.Unsupported, "a sequence of %T is not one of maps", row)
		}
		k, v, err := m.GetKeysAndValues()
		if err != nil {
			return nil, broken(err, "gives no map")
		}
		keys, err := tensorOf(k)
		if err != nil {
			return nil, err
		}
		values, ok := v.(*onnxruntime.Tensor[float32])
		if !ok || t.Maps != nil && keys.Len() != t.Maps.Len() {
			return nil, fault.New(fault.Unsupported, "the maps of a sequence differ, or are not of numbers")
		}
		t.Maps = keys
		t.F = append(t.F, values.GetData()...)
	}
	if t.Maps == nil {
		return nil, fault.New(fault.Unsupported, "a sequence of nothing")
	}
	t.Dims = []int{len(rows), t.Maps.Len()}
	return t, nil
}
