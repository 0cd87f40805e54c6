package oip_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/surface/compat/oip/pb"
	"github.com/leat-ai/leat/surface/server"
)

func input(name, datatype string, contents *pb.InferTensorContents, shape ...int64) *pb.ModelInferRequest_InferInputTensor {
	return &pb.ModelInferRequest_InferInputTensor{Name: name, Datatype: datatype, Shape: shape, Contents: contents}
}

func as(ctx context.Context, token string, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, append([]string{"authorization", "Bearer " + token}, pairs...)...)
}

func TestTypedContents(t *testing.T) {
	_, address := listen(t, server.AuthKeys, model.Field{Name: "x", Type: frame.Double})
	c := dial(t, address)
	for datatype, contents := range map[string]*pb.InferTensorContents{
		"BOOL":   {BoolContents: []bool{true, false}},
		"INT8":   {IntContents: []int32{1, 0}},
		"INT16":  {IntContents: []int32{1, 0}},
		"INT32":  {IntContents: []int32{1, 0}},
		"INT64":  {Int64Contents: []int64{1, 0}},
		"UINT8":  {UintContents: []uint32{1, 0}},
		"UINT16": {UintContents: []uint32{1, 0}},
		"UINT32": {UintContents: []uint32{1, 0}},
		"UINT64": {Uint64Contents: []uint64{1, 0}},
		"FP32":   {Fp32Contents: []float32{1, 0}},
		"FP64":   {Fp64Contents: []float64{1, 0}},
	} {
		r, err := c.ModelInfer(as(t.Context(), "leat_scorer"), &pb.ModelInferRequest{ModelName: "echo", Id: "q", Inputs: []*pb.ModelInferRequest_InferInputTensor{input("x", datatype, contents, 2)}})
		if err != nil {
			t.Errorf("%s: %v", datatype, err)
			continue
		}
		out := r.GetOutputs()[0]
		if values := out.GetContents().GetFp64Contents(); len(values) != 2 || values[0] != 1 || values[1] != 0 || len(r.GetRawOutputContents()) != 0 {
			t.Errorf("%s comes back as %v", datatype, r)
		}
		if r.GetId() != "q" || r.GetModelVersion() != "3" || out.GetName() != "out_x" || out.GetDatatype() != "FP64" || r.GetParameters()["release"].GetStringParam() == "" {
			t.Errorf("%s: %v", datatype, r)
		}
	}
}

// TestMissingNumbers: NaN is a number that is not known, both ways.
func TestMissingNumbers(t *testing.T) {
	_, address := listen(t, server.AuthLocal, ab...)
	r, err := dial(t, address).ModelInfer(t.Context(), &pb.ModelInferRequest{ModelName: "echo",
		Inputs: []*pb.ModelInferRequest_InferInputTensor{input("x", "FP64", &pb.InferTensorContents{Fp64Contents: []float64{1, math.NaN()}}, 1, 2)}})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := r.GetOutputs()[0].GetContents().GetFp64Contents()[0], r.GetOutputs()[1].GetContents().GetFp64Contents()[0]; a != 1 || !math.IsNaN(b) {
		t.Errorf("%v, %v", a, b)
	}
}

func TestHostileMessages(t *testing.T) {
	_, address := listen(t, server.AuthLocal, ab...)
	c := dial(t, address)
	two := &pb.InferTensorContents{Fp64Contents: []float64{1, 2}}
	a, b := input("a", "FP64", two, 2), input("b", "FP64", two, 2)
	raw := make([]byte, 16)
	number := func(n int64) map[string]*pb.InferParameter {
		return map[string]*pb.InferParameter{"classification": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: n}}}
	}
	for name, q := range map[string]*pb.ModelInferRequest{
		"no inputs":                           {},
		"no contents":                         {Inputs: list(input("a", "FP64", nil, 2), b)},
		"a shape that overflows":              {Inputs: list(input("x", "FP64", two, math.MaxInt64, 2))},
		"a shape whose product overflows":     {Inputs: list(input("x", "FP64", two, 1<<33, 1<<33))},
		"a negative dimension":                {Inputs: list(input("x", "FP64", two, -1, -2))},
		"three dimensions":                    {Inputs: list(input("a", "FP64", two, 2, 1, 1), b)},
		"no shape":                            {Inputs: list(input("a", "FP64", two), b)},
		"more rows than values":               {Inputs: list(input("a", "FP64", two, 10000), input("b", "FP64", two, 10000))},
		"an unknown datatype":                 {Inputs: list(input("a", "FP128", two, 2), b)},
		"contents of another datatype":        {Inputs: list(input("a", "INT64", two, 2), b)},
		"FP16 without bytes":                  {Inputs: list(input("a", "FP16", two, 2), b)},
		"the same input twice":                {Inputs: list(a, a)},
		"fewer raw contents than inputs":      {Inputs: list(input("a", "FP64", nil, 2), input("b", "FP64", nil, 2)), RawInputContents: [][]byte{raw}},
		"raw and typed contents":              {Inputs: list(a, b), RawInputContents: [][]byte{raw, raw}},
		"raw contents that are too short":     {Inputs: list(input("a", "FP64", nil, 2), input("b", "FP64", nil, 2)), RawInputContents: [][]byte{raw, raw[1:]}},
		"text that is longer than its bytes":  {Inputs: list(input("a", "BYTES", nil, 1), input("b", "FP64", nil, 1)), RawInputContents: [][]byte{{255, 255, 255, 255}, raw[:8]}},
		"text for numbers":                    {Inputs: list(input("a", "BYTES", &pb.InferTensorContents{BytesContents: [][]byte{{'1'}, {'2'}}}, 2), b)},
		"a parameter that changes the answer": {Inputs: list(a, b), Parameters: number(3)},
		"one of an input":                     {Inputs: list(&pb.ModelInferRequest_InferInputTensor{Name: "a", Datatype: "FP64", Shape: []int64{2}, Contents: two, Parameters: number(1)}, b)},
	} {
		q.ModelName = "echo"
		if _, err := c.ModelInfer(t.Context(), q); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, q := range map[string]*pb.ModelInferRequest{
		"too many rows": {Inputs: list(input("a", "FP64", two, 10001), b)}, "a model that is none": {ModelName: "x"},
		"a version that was live": {ModelVersion: "2", Inputs: list(a, b)},
	} {
		if q.ModelName == "" {
			q.ModelName = "echo"
		}
		if _, err := c.ModelInfer(t.Context(), q); err == nil || status.Code(err) == codes.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func list(inputs ...*pb.ModelInferRequest_InferInputTensor) []*pb.ModelInferRequest_InferInputTensor {
	return inputs
}

func TestGrantsOverGRPC(t *testing.T) {
	_, address := listen(t, server.AuthKeys, ab...)
	c := dial(t, address)
	eve := as(t.Context(), "leat_eve")
	for name, err := range map[string]error{
		"infer":      second(c.ModelInfer(eve, &pb.ModelInferRequest{ModelName: "echo"})),
		"metadata":   second(c.ModelMetadata(eve, &pb.ModelMetadataRequest{Name: "echo"})),
		"ready":      second(c.ModelReady(eve, &pb.ModelReadyRequest{Name: "echo"})),
		"config":     second(c.ModelConfig(eve, &pb.ModelConfigRequest{Name: "echo"})),
		"statistics": second(c.ModelStatistics(eve, &pb.ModelStatisticsRequest{Name: "echo"})),
		"unload":     second(c.RepositoryModelUnload(as(t.Context(), "leat_scorer"), &pb.RepositoryModelUnloadRequest{ModelName: "echo"})),
		"load":       second(c.RepositoryModelLoad(as(t.Context(), "leat_scorer"), &pb.RepositoryModelLoadRequest{ModelName: "echo"})),
	} {
		if status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r, err := c.RepositoryIndex(eve, &pb.RepositoryIndexRequest{}); err != nil || len(r.GetModels()) != 0 {
		t.Errorf("the index shows others' models: %v, %v", r, err)
	}
	if r, err := c.ModelStatistics(eve, &pb.ModelStatisticsRequest{}); err != nil || len(r.GetModelStats()) != 0 {
		t.Errorf("the statistics show others' models: %v, %v", r, err)
	}
}

func second[T any](_ T, err error) error { return err }

// TestNamesOfRepositories: Triton and MLServer have the model in the second
// field, KServe in the first, MLServer under another service.
func TestNamesOfRepositories(t *testing.T) {
	_, address := listen(t, server.AuthLocal, ab...)
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ready := func() bool {
		r, err := pb.NewGRPCInferenceServiceClient(conn).ModelReady(t.Context(), &pb.ModelReadyRequest{Name: "echo"})
		return err == nil && r.GetReady()
	}
	for _, service := range []string{"inference.GRPCInferenceService", "inference.model_repository.ModelRepositoryService"} {
		for _, fields := range [][2]string{{"", "echo"}, {"echo", ""}, {"some repository", "echo"}} {
			unloaded, loaded := new(pb.RepositoryModelUnloadResponse), new(pb.RepositoryModelLoadResponse)
			if err := conn.Invoke(t.Context(), "/"+service+"/RepositoryModelUnload", &pb.RepositoryModelUnloadRequest{RepositoryName: fields[0], ModelName: fields[1]}, unloaded); err != nil || ready() || !unloaded.GetIsUnloaded() {
				t.Errorf("%s, %v: %v, ready %v", service, fields, err, ready())
			}
			if err := conn.Invoke(t.Context(), "/"+service+"/RepositoryModelLoad", &pb.RepositoryModelLoadRequest{RepositoryName: fields[0], ModelName: fields[1]}, loaded); err != nil || !ready() || loaded.GetModelName() != "echo" {
				t.Errorf("%s, %v: %v, ready %v", service, fields, err, ready())
			}
		}
	}
}

func TestTheSameKeyTheSameAnswer(t *testing.T) {
	_, address := listen(t, server.AuthLocal, ab...)
	c := dial(t, address)
	q := &pb.ModelInferRequest{ModelName: "echo", Inputs: list(input("x", "FP64", &pb.InferTensorContents{Fp64Contents: []float64{1, 2}}, 1, 2)),
		Outputs: []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "decision_id"}}}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "idempotency-key", "k1")
	first, err := c.ModelInfer(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	var header metadata.MD
	again, err := c.ModelInfer(ctx, q, grpc.Header(&header))
	if err != nil || !proto.Equal(first, again) || len(header.Get("idempotent-replayed")) != 1 {
		t.Errorf("%v, then %v, %v", first, again, err)
	}
	q.Id = "another"
	if _, err := c.ModelInfer(ctx, q); status.Code(err) != codes.Aborted {
		t.Errorf("another body: %v", err)
	}
	if other, err := c.ModelInfer(t.Context(), q); err != nil || strings.EqualFold(other.String(), first.String()) {
		t.Errorf("without a key: %v, %v", other, err)
	}
}

// FuzzMessage wants every message answered, and none to break the server.
func FuzzMessage(f *testing.F) {
	for _, q := range []*pb.ModelInferRequest{
		{ModelName: "echo", Inputs: list(input("a", "FP64", &pb.InferTensorContents{Fp64Contents: []float64{1}}, 1), input("b", "INT8", &pb.InferTensorContents{IntContents: []int32{1}}, 1))},
		{ModelName: "echo", Inputs: list(input("x", "FP16", nil, 1, 2)), RawInputContents: [][]byte{{1, 2, 3, 4}}},
		{ModelName: "echo", Inputs: list(input("s", "BYTES", nil, 1)), RawInputContents: [][]byte{{1, 0, 0, 0, 'x'}}},
	} {
		text, _ := proto.Marshal(q)
		f.Add(text)
	}
	_, address := listen(f, server.AuthLocal, append(append([]model.Field{}, ab...), model.Field{Name: "s", Type: frame.String})...)
	c := dial(f, address)
	f.Fuzz(func(t *testing.T, text []byte) {
		q := new(pb.ModelInferRequest)
		if proto.Unmarshal(text, q) != nil {
			return
		}
		q.ModelName = "echo"
		if _, err := c.ModelInfer(t.Context(), q); status.Code(err) == codes.Internal || status.Code(err) == codes.Unknown {
			t.Errorf("%v: %v", q, err)
		}
	})
}
