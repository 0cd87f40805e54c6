// Package compattest is a small world for tests of translators: endpoints that
// answer what they are asked, behind a server and a front.
package compattest

import (
	"context"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

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
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/compat"
	"github.com/leat-ai/leat/surface/server"
)

// Endpoint is an endpoint of the world.
type Endpoint struct {
	Name   string
	Inputs []model.Field
	Limits spec.Limits
}

// Echo is an endpoint that answers its inputs, column by column. A row whose
// text is "fail" breaks it, "sleep" makes it wait for the request's end.
func Echo(name string, inputs ...model.Field) Endpoint { return Endpoint{Name: name, Inputs: inputs} }

// Serve returns a server without routes and the front of some endpoints.
func Serve(t testing.TB, c server.Config, endpoints ...Endpoint) (*server.Server, *compat.Front) {
	t.Helper()
	w := world{}
	for _, e := range endpoints {
		w[e.Name] = e
	}
	router := decide.NewRouter(w, decide.Deps{Models: w})
	t.Cleanup(router.Close)
	for name := range w {
		if err := router.Refresh(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	tel, err := telemetry.New(t.Context(), telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(c, nobody{}, tel)
	if err != nil {
		t.Fatal(err)
	}
	return s, compat.New(realtime.New(router, nil, clock.System{}), router, nil)
}

// nobody knows no key.
type nobody struct{}

func (nobody) Authenticate(context.Context, string) (identity.Principal, error) {
	return identity.Principal{}, fault.New(fault.Unauthenticated, "the API key is not known")
}

// world is releases and models at once.
type world map[string]Endpoint

func (w world) Live(_ context.Context, endpoint string) (deploy.Release, error) {
	e, ok := w[endpoint]
	if !ok {
		return deploy.Release{}, fault.New(fault.NotFound, "no release")
	}
	return deploy.Release{ID: endpoint, Endpoint: endpoint, Number: 1, Content: deploy.Content{
		Variants: []deploy.Variant{{Name: "stable", Weight: 1, Model: endpoint, Version: 1, ID: endpoint}}, Limits: e.Limits, Record: decide.RecordOff}}, nil
}

func (w world) Release(ctx context.Context, id string) (deploy.Release, error) {
	return w.Live(ctx, id)
}

func (w world) Version(_ context.Context, name, _ string) (registry.Version, error) {
	return registry.Version{Model: name, Number: 1, ID: name}, nil
}

func (w world) Hold(_ context.Context, v registry.Version) (model.Model, func(), error) {
	return echo{w[v.ID].Inputs}, func() {}, nil
}

func (w world) Full() bool { return false }

type echo struct{ inputs []model.Field }

// Signature has the inputs as outputs.
func (m echo) Signature() model.Signature {
	return model.Signature{Task: model.Custom, Inputs: m.inputs, Outputs: m.inputs}
}

// Predict returns its columns.
func (m echo) Predict(ctx context.Context, in frame.Batch) (frame.Batch, error) {
	fields := make([]arrow.Field, len(m.inputs))
	columns := make([]arrow.Array, len(m.inputs))
	for i, f := range m.inputs {
		fields[i], columns[i] = arrow.Field{Name: f.Name, Type: f.Type.Arrow(), Nullable: true}, in.Column(i)
		text, ok := in.Column(i).(*array.String)
		for row := 0; ok && row < text.Len(); row++ {
			switch text.Value(row) {
			case "fail":
				return nil, fault.New(fault.Invalid, "the model fails")
			case "sleep":
				<-ctx.Done()
				return nil, ctx.Err()
			}
		}
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, in.NumRows()), nil
}
