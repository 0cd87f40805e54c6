package oip_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/pattern/realtime"
	"github.com/leat-ai/leat/surface/compat"
	"github.com/leat-ai/leat/surface/compat/oip"
	"github.com/leat-ai/leat/surface/compat/oip/pb"
	"github.com/leat-ai/leat/surface/server"
)

// echo is a model that answers what it was handed, column by column. The text
// "sleep" in its first row makes it wait for the end of the request.
type echo struct{ fields []model.Field }

func (m echo) Signature() model.Signature {
	s := model.Signature{Task: model.Custom, Inputs: m.fields}
	for _, f := range m.fields {
		s.Outputs = append(s.Outputs, model.Field{Name: "out_" + f.Name, Type: f.Type})
	}
	return s
}

func (m echo) Predict(ctx context.Context, in frame.Batch) (frame.Batch, error) {
	fields := make([]arrow.Field, len(m.fields))
	columns := make([]arrow.Array, len(m.fields))
	for i, f := range m.fields {
		fields[i] = arrow.Field{Name: "out_" + f.Name, Type: f.Type.Arrow(), Nullable: true}
		columns[i] = in.Column(i)
		if text, ok := columns[i].(*array.String); ok && text.Len() > 0 && text.Value(0) == "sleep" {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, in.NumRows()), nil
}

// echoes is a world whose endpoint "echo" comes and goes.
type echoes struct {
	model  echo
	gone   *atomic.Bool
	router *decide.Router
}

func (w *echoes) release() deploy.Release {
	return deploy.Release{ID: "3e7a3e7a3e7a", Endpoint: "echo", Number: 3, Content: deploy.Content{
		Variants: []deploy.Variant{{Name: "stable", Weight: 1, Model: "echo", Version: 1, ID: "v1"}}, Record: decide.RecordOff}}
}

func (w *echoes) Live(_ context.Context, endpoint string) (deploy.Release, error) {
	if endpoint != "echo" || w.gone.Load() {
		return deploy.Release{}, fault.New(fault.NotFound, "no release")
	}
	return w.release(), nil
}
func (w *echoes) Release(context.Context, string) (deploy.Release, error) { return w.release(), nil }
func (w *echoes) Version(context.Context, string, string) (registry.Version, error) {
	return registry.Version{Model: "echo", Number: 1, ID: "v1"}, nil
}
func (w *echoes) Hold(context.Context, registry.Version) (model.Model, func(), error) {
	return w.model, func() {}, nil
}
func (w *echoes) Full() bool { return false }

// Find makes release 2 one that was live once.
func (w *echoes) Find(_ context.Context, _, ref string) (deploy.Release, error) {
	if ref != "2" {
		return deploy.Release{}, fault.New(fault.NotFound, "no such release")
	}
	return deploy.Release{Number: 2}, nil
}

// shelf is the repository of the world.
type shelf struct{ *echoes }

func (s shelf) Index(context.Context) ([]oip.Model, error) {
	m := oip.Model{Name: "echo", Version: "3", State: oip.Ready}
	if s.gone.Load() {
		m = oip.Model{Name: "echo", State: oip.Unavailable, Reason: "it was unloaded"}
	}
	return []oip.Model{m, {Name: "other", State: oip.Unavailable, Reason: "it has no live release"}}, nil
}

func (s shelf) Load(ctx context.Context, endpoint, _ string) error {
	return s.set(ctx, endpoint, false)
}

func (s shelf) Unload(ctx context.Context, endpoint, _ string) error {
	return s.set(ctx, endpoint, true)
}

func (s shelf) set(ctx context.Context, endpoint string, gone bool) error {
	if endpoint != "echo" {
		return fault.New(fault.NotFound, "%s has had no release", endpoint)
	}
	s.gone.Store(gone)
	return s.router.Refresh(ctx, endpoint)
}

// keys knows two callers by their tokens.
type keys struct{}

func (keys) Authenticate(_ context.Context, token string) (identity.Principal, error) {
	switch token {
	case "leat_root":
		return identity.Principal{Name: "root", Grants: []string{"*:*"}}, nil
	case "leat_scorer":
		return identity.Principal{Name: "scorer", Grants: []string{"score:echo"}}, nil
	case "leat_eve":
		return identity.Principal{Name: "eve", Grants: []string{"score:else"}}, nil
	}
	return identity.Principal{}, fault.New(fault.Unauthenticated, "the API key is not known")
}

var columns = []model.Field{{Name: "d", Type: frame.Double}, {Name: "e", Type: frame.Double}, {Name: "n", Type: frame.Int},
	{Name: "ok", Type: frame.Bool}, {Name: "s", Type: frame.String}, {Name: "at", Type: frame.Timestamp}, {Name: "day", Type: frame.Date}}

// listen starts a server of a world by both wires on free ports.
func listen(t testing.TB, auth server.Auth, fields ...model.Field) (httpURL, grpcAddress string) {
	t.Helper()
	w := &echoes{model: echo{fields}, gone: new(atomic.Bool)}
	w.router = decide.NewRouter(w, decide.Deps{Models: w})
	t.Cleanup(w.router.Close)
	if err := w.router.Refresh(t.Context(), "echo"); err != nil {
		t.Fatal(err)
	}
	tel, err := telemetry.New(t.Context(), telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Config{Listen: "127.0.0.1:0", Auth: auth}, keys{}, tel)
	if err != nil {
		t.Fatal(err)
	}
	services := oip.Services{Version: "test", Front: compat.New(realtime.New(w.router, &ledger{}, clock.System{}), w.router, w), Repository: shelf{w}}
	oip.Register(s, services)
	g, err := server.NewGRPC(s, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	oip.RegisterGRPC(g, services)
	for _, start := range []func(context.Context) error{s.Start, g.Start} {
		if err := start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()); _ = g.Stop(context.Background()) })
	return s.URL(), g.Address()
}

// ledger remembers in memory.
type ledger struct{ known map[string][]byte }

func (l *ledger) Once(ctx context.Context, c decide.Claim, do func(context.Context) ([]byte, error)) ([]byte, bool, error) {
	if l.known == nil {
		l.known = map[string][]byte{}
	}
	name := c.Endpoint + c.Principal + c.Key
	if answer, ok := l.known[name]; ok {
		if string(l.known[name+" body"]) != string(c.Body) {
			return nil, false, fault.New(fault.Conflict, "another body")
		}
		return answer, true, nil
	}
	answer, err := do(ctx)
	if err == nil {
		l.known[name], l.known[name+" body"] = answer, c.Body
	}
	return answer, false, err
}

func dial(t testing.TB, address string) pb.GRPCInferenceServiceClient {
	t.Helper()
	c, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return pb.NewGRPCInferenceServiceClient(c)
}
