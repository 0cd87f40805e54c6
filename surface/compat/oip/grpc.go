package oip

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/surface/compat"
	"github.com/leat-ai/leat/surface/compat/oip/pb"
	"github.com/leat-ai/leat/surface/server"
)

// modelRepository is the name under which MLServer has the repository's
// methods, with the same messages.
const modelRepository = "inference.model_repository.ModelRepositoryService"

// RegisterGRPC adds the protocol's service to a listener.
func RegisterGRPC(g *server.GRPC, services Services) {
	s := &service{surface: surface{services}}
	g.Handle(pb.GRPCInferenceService_ServiceDesc, s, "ServerLive", "ServerReady")
	repository := grpc.ServiceDesc{
		ServiceName: modelRepository, HandlerType: pb.GRPCInferenceService_ServiceDesc.HandlerType,
		Metadata: pb.GRPCInferenceService_ServiceDesc.Metadata,
	}
	for _, m := range pb.GRPCInferenceService_ServiceDesc.Methods {
		if strings.HasPrefix(m.MethodName, "Repository") {
			repository.Methods = append(repository.Methods, m)
		}
	}
	g.Handle(repository, s)
}

// service is the protocol over gRPC.
type service struct {
	pb.UnimplementedGRPCInferenceServiceServer
	surface
}

// ServerLive says that the server lives.
func (s *service) ServerLive(context.Context, *pb.ServerLiveRequest) (*pb.ServerLiveResponse, error) {
	return &pb.ServerLiveResponse{Live: true}, nil
}

// ServerReady says whether the server can answer.
func (s *service) ServerReady(ctx context.Context, _ *pb.ServerReadyRequest) (*pb.ServerReadyResponse, error) {
	return &pb.ServerReadyResponse{Ready: s.isReady(ctx)}, nil
}

// ModelReady says whether a version of a model is live. That there is none is
// an answer here, not an error.
func (s *service) ModelReady(ctx context.Context, q *pb.ModelReadyRequest) (*pb.ModelReadyResponse, error) {
	p, _ := identity.From(ctx)
	_, err := s.Front.Release(ctx, p, q.GetName(), q.GetVersion())
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, err
	}
	return &pb.ModelReadyResponse{Ready: err == nil}, nil
}

func (s *service) livePath(ctx context.Context, name, version string) (*decide.Path, error) {
	p, _ := identity.From(ctx)
	return s.Front.Path(ctx, p, name, version)
}

// ServerMetadata says what the server is.
func (s *service) ServerMetadata(context.Context, *pb.ServerMetadataRequest) (*pb.ServerMetadataResponse, error) {
	return &pb.ServerMetadataResponse{Name: "leat", Version: s.Version, Extensions: s.extensions()}, nil
}

// ModelMetadata describes the tensors of a model.
func (s *service) ModelMetadata(ctx context.Context, q *pb.ModelMetadataRequest) (*pb.ModelMetadataResponse, error) {
	path, err := s.livePath(ctx, q.GetName(), q.GetVersion())
	if err != nil {
		return nil, err
	}
	m := &pb.ModelMetadataResponse{Name: q.GetName(), Versions: []string{compat.Version(path.Release())}, Platform: platform}
	inputs, outputs := tensorsOf(path)
	for _, t := range inputs {
		m.Inputs = append(m.Inputs, &pb.ModelMetadataResponse_TensorMetadata{Name: t.Name, Datatype: string(t.Datatype), Shape: t.Shape})
	}
	for _, t := range outputs {
		m.Outputs = append(m.Outputs, &pb.ModelMetadataResponse_TensorMetadata{Name: t.Name, Datatype: string(t.Datatype), Shape: t.Shape})
	}
	return m, nil
}

// ModelConfig describes a model as Triton's configuration does.
func (s *service) ModelConfig(ctx context.Context, q *pb.ModelConfigRequest) (*pb.ModelConfigResponse, error) {
	path, err := s.livePath(ctx, q.GetName(), q.GetVersion())
	if err != nil {
		return nil, err
	}
	c := &pb.ModelConfig{Name: q.GetName(), Platform: platform, Backend: platform}
	inputs, outputs := tensorsOf(path)
	for _, t := range inputs {
		c.Input = append(c.Input, &pb.ModelInput{Name: t.Name, DataType: wires[t.Datatype].config, Dims: t.Shape})
	}
	for _, t := range outputs {
		c.Output = append(c.Output, &pb.ModelOutput{Name: t.Name, DataType: wires[t.Datatype].config, Dims: t.Shape})
	}
	return &pb.ModelConfigResponse{Config: c}, nil
}

// ModelInfer scores.
func (s *service) ModelInfer(ctx context.Context, m *pb.ModelInferRequest) (*pb.ModelInferResponse, error) {
	call := compat.Call{
		Protocol: "oip gRPC", Endpoint: m.GetModelName(), Version: m.GetModelVersion(), Received: time.Now(), Key: keyOf(ctx),
	}
	call.Principal, _ = identity.From(ctx)
	x, err := s.Front.Open(ctx, call)
	if err != nil {
		return nil, err
	}
	defer x.Close()
	if size := proto.Size(m); int64(size) > x.Path().MaxBody() {
		return nil, fault.New(fault.TooLarge, "the message is over %d bytes", x.Path().MaxBody()).Hint("send fewer rows at a time, or raise limits.max_body of the endpoint")
	}
	if call.Key == "" {
		return inferred(ctx, x, m)
	}
	return s.once(ctx, x, m)
}

// once answers with what the call's idempotency key was answered before.
func (s *service) once(ctx context.Context, x *compat.Exchange, m *pb.ModelInferRequest) (*pb.ModelInferResponse, error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the message")
	}
	reply, known, err := x.Once(ctx, body, func(ctx context.Context) ([]byte, error) {
		answer, err := inferred(ctx, x, m)
		if err != nil {
			return nil, err
		}
		return proto.Marshal(answer)
	})
	if err != nil {
		return nil, err
	}
	if known {
		_ = grpc.SetHeader(ctx, metadata.Pairs("idempotent-replayed", "true")) // a client that is gone has nobody to tell
	}
	answer := new(pb.ModelInferResponse)
	return answer, fault.Wrap(proto.Unmarshal(reply, answer), fault.Corrupt, "a stored answer")
}

func keyOf(ctx context.Context) string {
	if keys := metadata.ValueFromIncomingContext(ctx, strings.ToLower(compat.IdempotencyKey)); len(keys) > 0 {
		return keys[0]
	}
	return ""
}

// inferred answers a message in the form that its inputs have: raw, or typed.
func inferred(ctx context.Context, x *compat.Exchange, m *pb.ModelInferRequest) (*pb.ModelInferResponse, error) {
	q, err := requestOf(m)
	if err != nil {
		return nil, err
	}
	answer := &pb.ModelInferResponse{ModelName: x.Endpoint, ModelVersion: compat.Version(x.Path().Release()), Id: m.GetId()}
	return answer, q.score(ctx, x, func(a *decide.Answer, outputs []output) error {
		answer.Parameters = map[string]*pb.InferParameter{"release": textParameter(a.Release), "variant": textParameter(a.Variant)}
		if a.ServedBy != "" {
			answer.Parameters["served_by"] = textParameter(a.ServedBy)
		}
		for _, o := range outputs {
			t := &pb.ModelInferResponse_InferOutputTensor{Name: o.name, Datatype: string(o.datatype), Shape: []int64{int64(o.rows)}}
			answer.Outputs = append(answer.Outputs, t)
			if !q.binary {
				if t.Contents, err = o.contents(); err != nil {
					return err
				}
				continue
			}
			raw, err := o.appendRaw(nil)
			if err != nil {
				return err
			}
			answer.RawOutputContents = append(answer.RawOutputContents, raw)
		}
		return nil
	})
}

func textParameter(v string) *pb.InferParameter {
	return &pb.InferParameter{ParameterChoice: &pb.InferParameter_StringParam{StringParam: v}}
}

// requestOf reads a message. Its answer is raw where it is.
func requestOf(m *pb.ModelInferRequest) (*request, error) {
	raw := m.GetRawInputContents()
	if len(raw) > 0 && len(raw) != len(m.GetInputs()) {
		return nil, fault.New(fault.Invalid, "there are %d raw contents for %d inputs", len(raw), len(m.GetInputs()))
	}
	timeout, err := readParameters(m.GetParameters())
	if err != nil {
		return nil, err
	}
	q := &request{id: m.GetId(), binary: len(raw) > 0, timeout: timeout, inputs: make([]tensor, len(m.GetInputs()))}
	for i, in := range m.GetInputs() {
		t := tensor{name: in.GetName(), datatype: datatype(in.GetDatatype()), shape: in.GetShape()}
		if err := t.datatype.known(); err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "input %q", t.name)
		}
		if _, err := readParameters(in.GetParameters()); err != nil {
			return nil, err
		}
		switch {
		case len(raw) == 0:
			t.content = typedContent{t.datatype, in.GetContents()}
		case in.GetContents() != nil:
			return nil, fault.New(fault.Invalid, "input %q has contents, and the request raw contents", t.name)
		default:
			t.content = rawContent{t.datatype, raw[i]}
		}
		q.inputs[i] = t
	}
	for _, out := range m.GetOutputs() {
		if _, err := readParameters(out.GetParameters()); err != nil {
			return nil, err
		}
		q.outputs = append(q.outputs, wanted{out.GetName(), q.binary})
	}
	return q, nil
}

// readParameters is parameters.check for messages.
func readParameters(list map[string]*pb.InferParameter) (timeout time.Duration, err error) {
	var p parameters
	for name, v := range list {
		switch name {
		case "classification":
			p.Classification = v.GetInt64Param()
		case "shared_memory_region":
			p.SharedMemory = v.GetStringParam()
		case "sequence_id":
			if v.GetInt64Param() != 0 || v.GetUint64Param() != 0 || v.GetStringParam() != "" {
				p.Sequence = name
			}
		case "timeout":
			p.Timeout = v.GetInt64Param() + int64(min(v.GetUint64Param(), 1e12))
		}
	}
	return time.Duration(min(p.Timeout, 1e12)) * time.Microsecond, p.check()
}

// contents is the values in the field of their datatype. A number that is not
// known is NaN there, a text that is not is empty.
func (o output) contents() (*pb.InferTensorContents, error) {
	t := &pb.InferTensorContents{}
	switch c := o.column.(type) {
	case *array.Float64:
		t.Fp64Contents = make([]float64, o.rows)
		for i := range t.Fp64Contents {
			t.Fp64Contents[i] = o.float(c, i)
		}
	case *array.Int64:
		if c.NullN() > 0 {
			return nil, o.hasNulls()
		}
		t.Int64Contents = append(t.Int64Contents, c.Int64Values()...)
	case *array.Boolean:
		if c.NullN() > 0 {
			return nil, o.hasNulls()
		}
		t.BoolContents = make([]bool, o.rows)
		for i := range t.BoolContents {
			t.BoolContents[i] = c.Value(i)
		}
	default:
		t.BytesContents = make([][]byte, o.rows)
		for i := range t.BytesContents {
			t.BytesContents[i] = []byte(o.text(i))
		}
	}
	return t, nil
}

// finalResponse is a parameter of a stream's requests that asks for a mark on
// the last answer of each; every request has one answer here.
const (
	finalResponse = "triton_enable_empty_final_response"
	isFinal       = "triton_final_response"
)

// ModelStreamInfer scores one message after another. A message that cannot be
// answered is told so, and the stream goes on.
func (s *service) ModelStreamInfer(stream grpc.BidiStreamingServer[pb.ModelInferRequest, pb.ModelStreamInferResponse]) error {
	for {
		m, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		answer, err := s.ModelInfer(stream.Context(), m)
		reply := &pb.ModelStreamInferResponse{InferResponse: answer}
		if err != nil {
			reply.ErrorMessage = server.Sentence(err)
			reply.InferResponse = &pb.ModelInferResponse{ModelName: m.GetModelName(), Id: m.GetId()}
		}
		if m.GetParameters()[finalResponse].GetBoolParam() {
			if reply.InferResponse.Parameters == nil {
				reply.InferResponse.Parameters = map[string]*pb.InferParameter{}
			}
			reply.InferResponse.Parameters[isFinal] = &pb.InferParameter{ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: true}}
		}
		if err := stream.Send(reply); err != nil {
			return err
		}
	}
}

// ModelStatistics tells what models have answered.
func (s *service) ModelStatistics(ctx context.Context, q *pb.ModelStatisticsRequest) (*pb.ModelStatisticsResponse, error) {
	list, err := s.counts(ctx, q.GetName(), q.GetVersion())
	if err != nil {
		return nil, err
	}
	answer := &pb.ModelStatisticsResponse{}
	for _, m := range list {
		of := m.Inference
		stats := &pb.ModelStatistics{
			Name: m.Name, Version: m.Version,
			LastInference: m.LastInference, InferenceCount: m.InferenceCount, ExecutionCount: m.ExecutionCount,
			InferenceStats: &pb.InferStatistics{
				Success: duration(of.Success), Fail: duration(of.Fail), Queue: duration(of.Queue), ComputeInput: duration(of.ComputeInput),
				ComputeInfer: duration(of.ComputeInfer), ComputeOutput: duration(of.ComputeOutput), CacheHit: duration(of.CacheHit), CacheMiss: duration(of.CacheMiss),
			},
		}
		for _, b := range m.Batches {
			stats.BatchStats = append(stats.BatchStats, &pb.InferBatchStatistics{
				BatchSize: b.Size, ComputeInput: duration(b.ComputeInput), ComputeInfer: duration(b.ComputeInfer), ComputeOutput: duration(b.ComputeOutput)})
		}
		answer.ModelStats = append(answer.ModelStats, stats)
	}
	return answer, nil
}

func duration(d compat.Duration) *pb.StatisticDuration {
	return &pb.StatisticDuration{Count: d.Count, Ns: d.NS}
}

func (s *service) offered() error {
	if s.Repository == nil {
		return fault.New(fault.Unsupported, "this server has no repository")
	}
	return nil
}

// RepositoryIndex lists the models.
func (s *service) RepositoryIndex(ctx context.Context, q *pb.RepositoryIndexRequest) (*pb.RepositoryIndexResponse, error) {
	if err := s.offered(); err != nil {
		return nil, err
	}
	p, _ := identity.From(ctx)
	models, err := s.indexFor(ctx, p, q.GetReady())
	if err != nil {
		return nil, err
	}
	answer := &pb.RepositoryIndexResponse{}
	for _, m := range models {
		answer.Models = append(answer.Models, &pb.RepositoryIndexResponse_ModelIndex{Name: m.Name, Version: m.Version, State: m.State, Reason: m.Reason})
	}
	return answer, nil
}

// modelOf is the model that a request to the repository names. Triton and
// MLServer have it in the second field, behind the repository's name; KServe
// has it in the first.
func modelOf(first, second string) string {
	if second != "" {
		return second
	}
	return first
}

// RepositoryModelLoad puts a model in service.
func (s *service) RepositoryModelLoad(ctx context.Context, q *pb.RepositoryModelLoadRequest) (*pb.RepositoryModelLoadResponse, error) {
	name := modelOf(q.GetRepositoryName(), q.GetModelName())
	if err := s.offered(); err != nil {
		return nil, err
	}
	for parameter := range q.GetParameters() {
		if err := overrides(parameter); err != nil {
			return nil, err
		}
	}
	if err := s.change(ctx, name, s.Repository.Load); err != nil {
		return nil, err
	}
	return &pb.RepositoryModelLoadResponse{ModelName: name, IsLoaded: true}, nil
}

// RepositoryModelUnload takes a model out of service.
func (s *service) RepositoryModelUnload(ctx context.Context, q *pb.RepositoryModelUnloadRequest) (*pb.RepositoryModelUnloadResponse, error) {
	name := modelOf(q.GetRepositoryName(), q.GetModelName())
	if err := s.offered(); err != nil {
		return nil, err
	}
	if err := s.change(ctx, name, s.Repository.Unload); err != nil {
		return nil, err
	}
	return &pb.RepositoryModelUnloadResponse{ModelName: name, IsUnloaded: true}, nil
}
