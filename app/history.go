package app

import (
	"context"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/feature/tables"
	"github.com/leat-ai/leat/spec"
)

// history finds features of the past for the API.
type history struct{ app *App }

// History meets api.History.
func (h history) History(ctx context.Context, names []string, time string) (*tables.Training, error) {
	list, err := h.app.resources.List(ctx, h.app.config.Env)
	if err != nil {
		return nil, err
	}
	var known []string
	for _, v := range spec.All[*spec.FeatureView](list) {
		known = append(known, v.Name)
	}
	views := make([]spec.FeatureView, len(names))
	for i, name := range names {
		v, ok := spec.Find[*spec.FeatureView](list, name)
		if !ok {
			err := fault.New(fault.NotFound, "no feature view is called %q", name)
			if near := fault.Nearest(name, known); near != "" {
				return nil, err.Hint("did you mean %s?", near)
			}
			return nil, err.Hint("is the project applied? `leat apply`")
		}
		views[i] = *v
	}
	return h.app.features.History(ctx, views, time)
}

// Scratch meets api.History.
func (h history) Scratch() string { return h.app.scratch() }
