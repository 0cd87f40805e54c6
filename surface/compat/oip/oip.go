// Package oip speaks the Open Inference Protocol v2, which KServe, Triton and
// MLServer speak too, over REST and gRPC: an endpoint is a model, its releases
// are the versions, its columns are the tensors.
//
// Register puts the REST routes on a server, RegisterGRPC the service on its
// gRPC listener. Both are translators and nothing more: tensors in, a call of
// the real-time pattern, tensors out. What comes by either wire becomes the
// same request, so both take the same datatypes, shapes and parameters. With
// the protocol come the extensions that Triton's clients use: binary tensors,
// the repository, statistics and a model's configuration. Errors have the
// protocol's shape, {"error": "…"}, or a status of gRPC.
//
// Specification: kserve.github.io/open-inference-protocol.
package oip

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/surface/compat"
	"github.com/leat-ai/leat/surface/server"
)

// Repository is the endpoints of a server as models that come and go.
type Repository interface {
	// Index lists every declared or live endpoint.
	Index(ctx context.Context) ([]Model, error)
	// Load puts an endpoint in service with its last release.
	Load(ctx context.Context, endpoint, by string) error
	// Unload takes an endpoint out of service until Load or a deploy.
	Unload(ctx context.Context, endpoint, by string) error
}

// Model is an endpoint as the repository lists it.
type Model struct {
	Name    string `json:"name"`
	Version string `json:"version"` // of the live release; "" without
	State   string `json:"state"`   // Ready or Unavailable
	Reason  string `json:"reason"`
}

// The states of a Model.
const (
	Ready       = "READY"
	Unavailable = "UNAVAILABLE"
)

// Services is what the protocol is a surface of.
type Services struct {
	Version    string
	Front      *compat.Front
	Repository Repository // nil: the extension is not offered
	// Ready tells whether the server can answer; nil: it always can.
	Ready func(ctx context.Context) bool
}

type surface struct{ Services }

// Register puts the protocol's routes on a server.
func Register(s *server.Server, services Services) {
	o := surface{services}
	s.HandleOpen("GET /v2/health/live", handler(o.live))
	s.HandleOpen("GET /v2/health/ready", handler(o.ready))
	asked := func(pattern string, f func(http.ResponseWriter, *http.Request) error) {
		s.HandleAs(pattern, handler(f), refuse)
	}
	asked("GET /v2", o.server)
	asked("GET /v2/models", o.models)
	asked("GET /v2/models/stats", o.statistics)
	for _, path := range []string{"/v2/models/{model}", "/v2/models/{model}/versions/{version}"} {
		asked("GET "+path, o.model)
		asked("GET "+path+"/ready", o.modelReady)
		asked("GET "+path+"/config", o.config)
		asked("GET "+path+"/stats", o.statistics)
		asked("POST "+path+"/infer", o.infer)
	}
	if o.Repository != nil {
		asked("POST /v2/repository/index", o.index)
		asked("POST /v2/repository/models/{model}/load", o.load)
		asked("POST /v2/repository/models/{model}/unload", o.unload)
	}
	asked("GET /v2/{rest...}", nothing)
	asked("POST /v2/{rest...}", nothing)
}

// handler answers errors in the protocol's shape.
func handler(f func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := f(w, r); err != nil {
			refuse(w, err)
		}
	})
}

func refuse(w http.ResponseWriter, err error) {
	server.SetRetryAfter(w.Header(), err)
	answer(w, server.NewProblem(err).Status, map[string]string{"error": server.Sentence(err)})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that is gone has nobody to tell
}

// nothing answers what the protocol has and this server does not, such as
// shared memory.
func nothing(_ http.ResponseWriter, r *http.Request) error {
	return fault.New(fault.NotFound, "there is nothing at %.200s for %s", r.URL.Path, r.Method).Hint("GET /v2 lists the extensions")
}

func (o surface) live(w http.ResponseWriter, _ *http.Request) error {
	answer(w, http.StatusOK, map[string]bool{"live": true})
	return nil
}

func (o surface) ready(w http.ResponseWriter, r *http.Request) error {
	status := http.StatusOK
	if !o.isReady(r.Context()) {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, map[string]bool{"ready": status == http.StatusOK})
	return nil
}

func (o surface) isReady(ctx context.Context) bool { return o.Ready == nil || o.Ready(ctx) }

// extensions names what is offered beside the protocol itself.
func (o surface) extensions() []string {
	list := []string{"binary_tensor_data", "model_configuration", "statistics"}
	if o.Repository != nil {
		list = append(list, "model_repository", "model_repository(unload_dependents)")
	}
	return list
}

func (o surface) server(w http.ResponseWriter, _ *http.Request) error {
	answer(w, http.StatusOK, struct {
		Name       string   `json:"name"`
		Version    string   `json:"version"`
		Extensions []string `json:"extensions"`
	}{"leat", o.Version, o.extensions()})
	return nil
}

func (o surface) models(w http.ResponseWriter, r *http.Request) error {
	p, _ := identity.From(r.Context())
	answer(w, http.StatusOK, map[string][]string{"models": o.Front.Visible(p)})
	return nil
}

// tensorInfo describes an input or output of a model.
type tensorInfo struct {
	Name     string   `json:"name"`
	Datatype datatype `json:"datatype"`
	Shape    []int64  `json:"shape"`
}

// anyRows is the shape of every tensor: one value for each row.
var anyRows = [...]int64{-1}

func tensorsOf(path *decide.Path) (inputs, outputs []tensorInfo) {
	for _, in := range path.Inputs() {
		inputs = append(inputs, tensorInfo{in.Name, datatypeOf(in.Type), anyRows[:]})
	}
	for _, out := range path.Outputs() {
		outputs = append(outputs, tensorInfo{out.Name, datatypeOf(out.Type), anyRows[:]})
	}
	return inputs, outputs
}

// platform is what metadata calls the runtime of every model.
const platform = "leat"

func (o surface) model(w http.ResponseWriter, r *http.Request) error {
	path, err := o.path(r)
	if err != nil {
		return err
	}
	inputs, outputs := tensorsOf(path)
	answer(w, http.StatusOK, struct {
		Name     string       `json:"name"`
		Versions []string     `json:"versions"`
		Platform string       `json:"platform"`
		Inputs   []tensorInfo `json:"inputs"`
		Outputs  []tensorInfo `json:"outputs"`
	}{r.PathValue("model"), []string{compat.Version(path.Release())}, platform, inputs, outputs})
	return nil
}

func (o surface) modelReady(w http.ResponseWriter, r *http.Request) error {
	p, _ := identity.From(r.Context())
	if _, err := o.Front.Release(r.Context(), p, r.PathValue("model"), r.PathValue("version")); err != nil {
		return err
	}
	answer(w, http.StatusOK, map[string]any{"name": r.PathValue("model"), "ready": true})
	return nil
}

// configured is a tensor in a model's configuration.
type configured struct {
	Name     string  `json:"name"`
	DataType string  `json:"data_type"`
	Dims     []int64 `json:"dims"`
}

func configuredOf(tensors []tensorInfo) []configured {
	list := make([]configured, len(tensors))
	for i, t := range tensors {
		list[i] = configured{t.Name, wires[t.Datatype].config.String(), t.Shape}
	}
	return list
}

func (o surface) config(w http.ResponseWriter, r *http.Request) error {
	path, err := o.path(r)
	if err != nil {
		return err
	}
	inputs, outputs := tensorsOf(path)
	answer(w, http.StatusOK, struct {
		Name     string       `json:"name"`
		Platform string       `json:"platform"`
		Backend  string       `json:"backend"`
		MaxBatch int          `json:"max_batch_size"`
		Input    []configured `json:"input"`
		Output   []configured `json:"output"`
	}{r.PathValue("model"), platform, platform, 0, configuredOf(inputs), configuredOf(outputs)})
	return nil
}

// path returns the live path of the model that a request names, if it is of
// the version that it names.
func (o surface) path(r *http.Request) (*decide.Path, error) {
	p, _ := identity.From(r.Context())
	return o.Front.Path(r.Context(), p, r.PathValue("model"), r.PathValue("version"))
}
