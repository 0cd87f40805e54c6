package oip

import (
	"context"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/surface/compat"
)

// index lists the models that somebody may see.
func (o surface) indexFor(ctx context.Context, p identity.Principal, onlyReady bool) ([]Model, error) {
	all, err := o.Repository.Index(ctx)
	if err != nil {
		return nil, err
	}
	models := []Model{}
	for _, m := range all {
		if (p.May("read", m.Name) || p.May("score", m.Name)) && (m.State == Ready || !onlyReady) {
			models = append(models, m)
		}
	}
	return models, nil
}

// change loads or unloads a model for somebody who may.
func (o surface) change(ctx context.Context, model string, do func(ctx context.Context, endpoint, by string) error) error {
	p, _ := identity.From(ctx)
	if !p.May("apply", model) {
		return fault.New(fault.Forbidden, "%s may not load or unload %s", p.Name, model).Hint("a key with the grant apply:%s is needed", model)
	}
	return do(ctx, model, p.Name)
}

// overrides refuses the parameters with which a model is loaded as something
// else than what it is.
func overrides(names ...string) error {
	for _, name := range names {
		if name != "unload_dependents" { // nothing depends on an endpoint
			return fault.New(fault.Invalid, "a model is loaded as it was released; the parameter %.40q is not supported", name)
		}
	}
	return nil
}

// maxControl bounds the body of a request to the repository.
const maxControl = 1 << 20

// control reads the body of a request to the repository; an empty one is fine.
func control(w http.ResponseWriter, r *http.Request, into any) error {
	d := jsontext.NewDecoder(http.MaxBytesReader(w, r.Body, maxControl))
	if d.PeekKind() == 0 { // nothing, or nothing that is JSON
		return nil
	}
	if err := json.UnmarshalDecode(d, into); err != nil {
		return fault.New(fault.Invalid, "the request is not understood").Because(err)
	}
	return nil
}

func (o surface) index(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Ready bool `json:"ready"`
	}
	if err := control(w, r, &q); err != nil {
		return err
	}
	p, _ := identity.From(r.Context())
	models, err := o.indexFor(r.Context(), p, q.Ready)
	if err == nil {
		answer(w, http.StatusOK, models)
	}
	return err
}

func (o surface) load(w http.ResponseWriter, r *http.Request) error {
	return o.switched(w, r, o.Repository.Load)
}

func (o surface) unload(w http.ResponseWriter, r *http.Request) error {
	return o.switched(w, r, o.Repository.Unload)
}

func (o surface) switched(w http.ResponseWriter, r *http.Request, do func(ctx context.Context, endpoint, by string) error) error {
	err := o.change(r.Context(), r.PathValue("model"), func(ctx context.Context, endpoint, by string) error {
		var q struct {
			Parameters map[string]jsontext.Value `json:"parameters"`
		}
		if err := control(w, r, &q); err != nil {
			return err
		}
		for name := range q.Parameters {
			if err := overrides(name); err != nil {
				return err
			}
		}
		return do(ctx, endpoint, by)
	})
	if err == nil {
		answer(w, http.StatusOK, struct{}{})
	}
	return err
}

// modelCounts is the statistics of one model.
type modelCounts struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	compat.Counts
}

// counts returns the statistics of a model's live version, or of every model
// that somebody may see.
func (o surface) counts(ctx context.Context, model, version string) ([]modelCounts, error) {
	p, _ := identity.From(ctx)
	names := []string{model}
	if model == "" {
		names = o.Front.Visible(p)
	}
	list := []modelCounts{}
	for _, name := range names {
		release, err := o.Front.Release(ctx, p, name, version)
		if err != nil && model == "" {
			continue // it went away meanwhile
		}
		if err != nil {
			return nil, err
		}
		list = append(list, modelCounts{name, compat.Version(release), o.Front.Statistics().Of(release)})
	}
	return list, nil
}

func (o surface) statistics(w http.ResponseWriter, r *http.Request) error {
	list, err := o.counts(r.Context(), r.PathValue("model"), r.PathValue("version"))
	if err == nil {
		answer(w, http.StatusOK, map[string][]modelCounts{"model_stats": list})
	}
	return err
}
