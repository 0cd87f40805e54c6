package api

import (
	"context"
	"net/http"

	"github.com/leat-ai/leat/flow/deploy/resources"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/work"
)

// Files is a project as it is sent: the text of each resource file by its
// path in the project's folder.
type Files struct {
	Files map[string]string `json:"files"`
}

func (a *API) project() {
	s := a.services
	type noInput struct{}
	type files struct{ Body Files }
	register(a, route{http.MethodGet, "/v1/resources", "list-resources", "List the resources in force", "project", verbRead}, anything,
		func(ctx context.Context, _ identity.Principal, _ *noInput) ([]spec.Resource, error) {
			return s.Project.List(ctx)
		})
	register(a, route{http.MethodPost, "/v1/plan", "plan", "Show what an apply would change", "project", verbRead}, anything,
		func(ctx context.Context, _ identity.Principal, in *files) (spec.Plan, error) {
			return s.Project.Plan(ctx, in.Body.Files)
		})
	register(a, route{http.MethodPost, "/v1/apply", "apply", "Put a project in force, whole or not at all", "project", verbApply}, anything,
		func(ctx context.Context, p identity.Principal, in *files) (resources.Applied, error) {
			return s.Project.Apply(ctx, in.Body.Files, p.Name)
		})
}

// Started names a run that was begun.
type Started struct {
	Run string `json:"run"`
}

func (a *API) runs() {
	s := a.services
	type resource struct {
		Kind string `path:"kind" enum:"Source,Pipeline,Batch"`
		Name string `path:"name"`
	}
	type filter struct {
		Kind  string `query:"kind"`
		Name  string `query:"name"`
		State string `query:"state"`
		Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	}
	type id struct {
		ID string `path:"id"`
	}
	register(a, route{http.MethodPost, "/v1/run/{kind}/{name}", "start-run", "Run a source, pipeline or batch", "runs", verbRun},
		func(in *resource) string { return in.Name },
		func(ctx context.Context, p identity.Principal, in *resource) (Started, error) {
			run, err := s.Starter.Start(ctx, spec.Kind(in.Kind), in.Name, p.Name)
			return Started{Run: run}, err
		})
	register(a, route{http.MethodGet, "/v1/runs", "list-runs", "List durable runs, newest first", "runs", verbRead}, anything,
		func(ctx context.Context, _ identity.Principal, in *filter) ([]work.Status, error) {
			f := work.Filter{Kind: in.Kind, Name: in.Name, Limit: in.Limit}
			if in.State != "" {
				f.States = []work.State{work.State(in.State)}
			}
			return s.Runs.List(ctx, f)
		})
	register(a, route{http.MethodGet, "/v1/runs/{id}", "get-run", "Show a run with its steps and progress", "runs", verbRead}, anything,
		func(ctx context.Context, _ identity.Principal, in *id) (work.Status, error) {
			return s.Runs.Get(ctx, in.ID)
		})
	register(a, route{http.MethodPost, "/v1/runs/{id}/cancel", "cancel-run", "Cancel a run", "runs", verbRun}, anything,
		func(ctx context.Context, _ identity.Principal, in *id) (Started, error) {
			return Started{Run: in.ID}, s.Runs.Cancel(ctx, in.ID)
		})
	register(a, route{http.MethodPost, "/v1/runs/{id}/retry", "retry-run", "Go on with a failed run at the step that failed", "runs", verbRun}, anything,
		func(ctx context.Context, _ identity.Principal, in *id) (Started, error) {
			return Started{Run: in.ID}, s.Runs.Retry(ctx, in.ID)
		})
}
