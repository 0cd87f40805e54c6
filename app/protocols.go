package app

import (
	"context"
	"slices"
	"strconv"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/pattern/realtime"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/compat"
	"github.com/leat-ai/leat/surface/compat/azureml"
	"github.com/leat-ai/leat/surface/compat/cloudevents"
	"github.com/leat-ai/leat/surface/compat/oip"
	"github.com/leat-ai/leat/surface/compat/predict"
	"github.com/leat-ai/leat/surface/server"
)

// openProtocols lets in who scores by a protocol of others.
func (a *App) openProtocols(s *server.Server, scoring *realtime.Service) error {
	front := compat.New(scoring, endpoints{a}, a.releases)
	a.inference = oip.Services{Version: Version, Front: front, Repository: repository{a}, Ready: a.isReady}
	oip.Register(s, a.inference)
	azureml.Register(s, front)
	predict.Register(s, front)
	a.openFeast(s)
	a.openOpenAI(s)
	a.openMCP(s)
	return cloudevents.Register(s, a.inbox)
}

// isReady tells whether every part that all requests need answers.
func (a *App) isReady(ctx context.Context) bool {
	for _, c := range a.checks(ctx) {
		if !c.OK && !c.Partial {
			return false
		}
	}
	return true
}

// repository is the endpoints as clients of a model repository see them: one
// without a live release is not loaded.
type repository struct{ app *App }

// Index lists every endpoint that is declared or live.
func (r repository) Index(ctx context.Context) ([]oip.Model, error) {
	declared, err := project(r).List(ctx)
	if err != nil {
		return nil, err
	}
	names := r.app.router.Endpoints()
	for _, e := range spec.All[*spec.Endpoint](declared) {
		names = append(names, e.Name)
	}
	slices.Sort(names)
	models := []oip.Model{}
	for _, name := range slices.Compact(names) {
		models = append(models, r.model(ctx, name))
	}
	return models, nil
}

func (r repository) model(ctx context.Context, endpoint string) oip.Model {
	m := oip.Model{Name: endpoint, State: oip.Ready}
	live, err := r.app.router.Release(endpoint)
	if err == nil {
		m.Version = strconv.Itoa(live.Number)
	} else {
		m.State, m.Reason = oip.Unavailable, "it has no live release"
		if r.app.unloaded(ctx, endpoint) {
			m.Reason = "it was unloaded"
		}
	}
	if why := r.app.serving.Failure(endpoint); why != nil {
		m.Reason = why.Error()
	}
	return m
}

// Load makes the release live that was live last. One that is live already is
// tried again, if it could not be served.
func (r repository) Load(ctx context.Context, endpoint, by string) error {
	changes, err := r.app.releases.History(ctx, endpoint)
	if err != nil {
		return err
	}
	last := slices.IndexFunc(changes, func(c deploy.Change) bool { return c.Release != "" })
	if last < 0 {
		return fault.New(fault.NotFound, "%s has had no release", endpoint).Hint("a model is released by its pipeline, or by `leat apply`")
	}
	release, err := r.app.releases.Release(ctx, changes[last].Release)
	if err != nil {
		return err
	}
	if _, err := r.app.releases.Deploy(ctx, endpoint, release.Content, by, deploy.WhyLoad); err != nil {
		return err
	}
	return r.app.serve(ctx, endpoint)
}

// Unload leaves an endpoint without a live release, on every replica, until it
// is loaded or deployed. A restart does not bring it back.
func (r repository) Unload(ctx context.Context, endpoint, by string) error {
	if _, err := r.app.releases.Live(ctx, endpoint); err != nil {
		return err
	}
	if err := r.app.releases.Retire(ctx, endpoint, by, deploy.WhyUnload); err != nil {
		return err
	}
	return r.app.serve(ctx, endpoint)
}

// unloaded tells whether somebody took an endpoint out of service.
func (a *App) unloaded(ctx context.Context, endpoint string) bool {
	changes, err := a.releases.History(ctx, endpoint)
	return err == nil && len(changes) > 0 && changes[0].Release == "" && changes[0].Why == deploy.WhyUnload
}
