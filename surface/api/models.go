package api

import (
	"context"
	"net/http"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/spec"
)

// ModelDetail is a model with its versions and the history of its aliases.
type ModelDetail struct {
	registry.Summary
	Versions []registry.Version     `json:"versions"`
	History  []registry.AliasChange `json:"history"`
}

// AskableModel is an assistant or a language model as clients of OpenAI read
// it.
type AskableModel struct {
	ID          string `json:"id"`
	Object      string `json:"object" enum:"model"`
	Created     int64  `json:"created" doc:"seconds since 1970"`
	OwnedBy     string `json:"owned_by"`
	Description string `json:"description,omitempty"`
}

// ModelList is two lists under one path, because both are expected there: the
// models of the registry, and what can be asked in OpenAI's form.
type ModelList struct {
	Object string         `json:"object" enum:"list"`
	Data   []AskableModel `json:"data" doc:"assistants and language models that the key may ask"`
	// Models are those of the registry; nil for a key that may not read them.
	Models []registry.Summary `json:"models,omitzero" doc:"models of the registry; absent where the key may not read them"`
}

// ModelShown is a model of the registry, or an assistant or language model, or
// both under one name.
type ModelShown struct {
	*ModelDetail
	ID          string `json:"id,omitempty" doc:"this and what follows: of what can be asked"`
	Object      string `json:"object,omitempty"`
	Created     int64  `json:"created,omitempty"`
	OwnedBy     string `json:"owned_by,omitempty"`
	Description string `json:"description,omitempty"`
}

// Document is a file as text with its media type.
type Document struct {
	Type string `json:"type"`
	Text string `json:"text,omitempty"`
	Data []byte `json:"data,omitempty"`
}

func (a *API) models() {
	s := a.services
	type noInput struct{}
	type named struct {
		Name string `path:"name"`
	}
	type version struct {
		Name string `path:"name"`
		Ref  string `path:"ref" doc:"number, alias, id prefix or latest"`
	}
	type alias struct {
		Name  string `path:"name"`
		Alias string `path:"alias"`
		Body  struct {
			Version int `json:"version" minimum:"0"`
		}
	}
	register(a, route{http.MethodGet, "/v1/models", "list-models", "List models, and what can be asked as OpenAI's clients list it", "models", verbAny}, anything,
		func(ctx context.Context, p identity.Principal, _ *noInput) (ModelList, error) {
			return a.listModels(ctx, p)
		})
	register(a, route{http.MethodGet, "/v1/models/{name}", "get-model", "Show a model, its versions and aliases, or what can be asked under the name", "models", verbAny},
		func(in *named) string { return in.Name },
		func(ctx context.Context, p identity.Principal, in *named) (ModelShown, error) {
			return a.showModel(ctx, p, in.Name)
		})
	register(a, route{http.MethodGet, "/v1/models/{name}/versions/{ref}", "get-version", "Show a model version", "models", verbRead},
		func(in *version) string { return in.Name },
		func(ctx context.Context, _ identity.Principal, in *version) (registry.Version, error) {
			return s.Registry.Version(ctx, in.Name, in.Ref)
		})
	register(a, route{http.MethodGet, "/v1/models/{name}/versions/{ref}/report", "get-report", "The evaluation report of a version", "models", verbRead},
		func(in *version) string { return in.Name },
		func(ctx context.Context, _ identity.Principal, in *version) (Document, error) {
			return a.report(ctx, in.Name, in.Ref)
		})
	register(a, route{http.MethodGet, "/v1/models/{name}/versions/{ref}/onnx", "export-onnx", "A version as an ONNX model", "models", verbRead},
		func(in *version) string { return in.Name },
		func(ctx context.Context, _ identity.Principal, in *version) (Document, error) {
			return a.onnx(ctx, in.Name, in.Ref)
		})
	register(a, route{http.MethodPut, "/v1/models/{name}/aliases/{alias}", "set-alias", "Point an alias at a version; 0 removes it", "models", verbApply},
		func(in *alias) string { return in.Name },
		func(ctx context.Context, p identity.Principal, in *alias) (ModelDetail, error) {
			if err := s.Registry.SetAlias(ctx, in.Name, in.Alias, in.Body.Version, p.Name); err != nil {
				return ModelDetail{}, err
			}
			return a.model(ctx, in.Name)
		})
}

func (a *API) listModels(ctx context.Context, p identity.Principal) (ModelList, error) {
	list := ModelList{Object: "list", Data: []AskableModel{}}
	if a.services.Askable != nil {
		list.Data = listed(a.services.Askable.List(ctx, p))
	}
	if !p.May(verbRead, "*") {
		return list, nil
	}
	models, err := a.services.Registry.Models(ctx)
	list.Models = listed(models)
	return list, err
}

// showModel finds a name in the registry and among what can be asked. Who may
// see neither is told that they may not, and nothing of what is there.
func (a *API) showModel(ctx context.Context, p identity.Principal, name string) (ModelShown, error) {
	var shown ModelShown
	_, missing := allowed(ctx, verbRead, name)
	if a.services.Askable != nil {
		var e AskableModel
		if e, missing = a.services.Askable.Show(ctx, p, name); missing == nil {
			shown.ID, shown.Object, shown.Created, shown.OwnedBy, shown.Description = e.ID, e.Object, e.Created, e.OwnedBy, e.Description
		}
	}
	if !p.May(verbRead, name) {
		return shown, missing
	}
	detail, err := a.model(ctx, name)
	switch {
	case err == nil:
		shown.ModelDetail = &detail
	case shown.ID == "" || !fault.Is(err, fault.NotFound):
		return shown, err
	}
	return shown, nil
}

func (a *API) model(ctx context.Context, name string) (ModelDetail, error) {
	models, err := a.services.Registry.Models(ctx)
	if err != nil {
		return ModelDetail{}, err
	}
	for _, m := range models {
		if m.Name != name {
			continue
		}
		d := ModelDetail{Summary: m}
		if d.Versions, err = a.services.Registry.Versions(ctx, name); err != nil {
			return d, err
		}
		d.History, err = a.services.Registry.History(ctx, name)
		return d, err
	}
	return ModelDetail{}, fault.New(fault.NotFound, "no model is called %q", name).Hint("`leat models` lists them")
}

func (a *API) report(ctx context.Context, name, ref string) (Document, error) {
	v, err := a.services.Registry.Version(ctx, name, ref)
	if err != nil {
		return Document{}, err
	}
	if v.Report == "" {
		return Document{}, fault.New(fault.NotFound, "%s version %d has no evaluation report", name, v.Number).
			Hint("nobody has measured it here: a pipeline with `trainer: import` measures a model that was made elsewhere")
	}
	text, err := a.services.Registry.Blob(ctx, v.Report)
	return Document{Type: "application/json", Text: string(text)}, err
}

func (a *API) onnx(ctx context.Context, name, ref string) (Document, error) {
	v, err := a.services.Registry.Version(ctx, name, ref)
	if err != nil {
		return Document{}, err
	}
	m, release, err := a.services.Registry.Hold(ctx, v)
	if err != nil {
		return Document{}, err
	}
	defer release()
	exporter, ok := m.(model.ONNXExporter)
	if !ok {
		return Document{}, fault.New(fault.Unsupported, "a model of the format %s has no ONNX form", v.Manifest.Format)
	}
	data, err := exporter.ONNX()
	return Document{Type: "application/octet-stream", Data: data}, err
}

// EndpointDetail is an endpoint with what it serves.
type EndpointDetail struct {
	Name    string          `json:"name"`
	Release *deploy.Release `json:"release,omitempty"` // live now
	Inputs  []model.Field   `json:"inputs,omitempty"`  // columns that every row names
	Outputs []Column        `json:"outputs,omitempty"`
	Problem string          `json:"problem,omitempty"` // why it does not serve
}

// Column is a column with its type.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

func (a *API) endpoints() {
	s := a.services
	type noInput struct{}
	type named struct {
		Name string `path:"name"`
	}
	type at struct {
		Name string    `path:"name"`
		Time time.Time `query:"time" required:"true"`
	}
	type rollback struct {
		Name string `path:"name"`
		Body struct {
			To string `json:"to,omitempty" doc:"number or id of the release; the last other one when empty"`
		}
	}
	type release struct {
		Name string `path:"name"`
		Body struct {
			Version string `json:"version,omitempty" doc:"number, alias, id prefix or latest; what the endpoint's model says when empty"`
		}
	}
	name := func(in *named) string { return in.Name }
	register(a, route{http.MethodGet, "/v1/endpoints", "list-endpoints", "List endpoints and what they serve", "endpoints", verbRead}, anything,
		func(ctx context.Context, _ identity.Principal, _ *noInput) ([]EndpointDetail, error) {
			return a.listEndpoints(ctx)
		})
	register(a, route{http.MethodGet, "/v1/endpoints/{name}", "get-endpoint", "Show an endpoint", "endpoints", verbRead}, name,
		func(ctx context.Context, _ identity.Principal, in *named) (EndpointDetail, error) {
			return a.endpoint(ctx, in.Name)
		})
	register(a, route{http.MethodGet, "/v1/endpoints/{name}/releases", "list-releases", "List the releases of an endpoint", "endpoints", verbRead}, name,
		func(ctx context.Context, _ identity.Principal, in *named) ([]deploy.Release, error) {
			return s.Releases.Releases(ctx, in.Name)
		})
	register(a, route{http.MethodGet, "/v1/endpoints/{name}/history", "endpoint-history", "What was live since when", "endpoints", verbRead}, name,
		func(ctx context.Context, _ identity.Principal, in *named) ([]deploy.Change, error) {
			return s.Releases.History(ctx, in.Name)
		})
	register(a, route{http.MethodGet, "/v1/endpoints/{name}/at", "release-at", "The release that was live at a time", "endpoints", verbRead},
		func(in *at) string { return in.Name },
		func(ctx context.Context, _ identity.Principal, in *at) (deploy.Release, error) {
			return s.Releases.At(ctx, in.Name, in.Time)
		})
	register(a, route{http.MethodPost, "/v1/endpoints/{name}/deploy", "deploy", "Release a version of the endpoint's model", "endpoints", verbApply},
		func(in *release) string { return in.Name },
		func(ctx context.Context, p identity.Principal, in *release) (deploy.Release, error) {
			return s.Endpoints.Deploy(ctx, in.Name, in.Body.Version, p.Name)
		})
	register(a, route{http.MethodPost, "/v1/endpoints/{name}/rollback", "rollback", "Make an earlier release live again, whole", "endpoints", verbApply},
		func(in *rollback) string { return in.Name },
		func(ctx context.Context, p identity.Principal, in *rollback) (deploy.Release, error) {
			return s.Endpoints.Rollback(ctx, in.Name, in.Body.To, p.Name)
		})
}

func (a *API) listEndpoints(ctx context.Context) ([]EndpointDetail, error) {
	declared, err := a.services.Project.List(ctx)
	if err != nil {
		return nil, err
	}
	list := []EndpointDetail{}
	for _, e := range spec.All[*spec.Endpoint](declared) {
		d, err := a.endpoint(ctx, e.Name)
		if err != nil {
			d = EndpointDetail{Name: e.Name, Problem: err.Error()}
		}
		list = append(list, d)
	}
	return list, nil
}

func (a *API) endpoint(_ context.Context, name string) (EndpointDetail, error) {
	path, err := a.services.Endpoints.Path(name)
	if err != nil {
		return EndpointDetail{}, err
	}
	release := path.Release()
	d := EndpointDetail{Name: name, Release: &release, Inputs: path.Inputs()}
	for _, c := range path.Outputs() {
		d.Outputs = append(d.Outputs, Column{Name: c.Name, Type: string(c.Type)})
	}
	return d, nil
}
