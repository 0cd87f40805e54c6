// Package mlflow speaks MLflow's REST protocol, so that a stock MLflow client
// whose tracking URI is the address of a Leat server logs, registers and
// loads there: experiments, runs, logged models and artifacts are flow/track,
// registered models are flow/registry.
//
// It is a translator and nothing more: a message of the protocol in, a call of
// a stage, a message out. Register puts the routes on a server. Every route
// stands in one of two tables, trackingRoutes and registryRoutes; call makes a
// handler of a function from one message to another. Messages are the
// protocol's: 64-bit integers come as numbers or strings (wire.go), repeated
// fields of a GET as repeated parameters, errors as {"error_code", "message"}
// (errors.go), pages end in a token (page.go).
package mlflow

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/flow/registry/tracked"
	"github.com/leat-ai/leat/flow/registry/webhook"
	"github.com/leat-ai/leat/flow/track"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/surface/server"
)

// Services is what the protocol is a surface of.
type Services struct {
	Version string
	Track   *track.Track

	Registry *registry.Registry
	Versions *tracked.Versions
	Webhooks *webhook.Hooks
	// Aliased is called when an alias was set: an endpoint may have waited for
	// it.
	Aliased func(ctx context.Context, by string)
}

type surface struct{ Services }

// The verbs of grants: see Principal.May.
const (
	verbRead  = "read"  // see runs, versions and artifacts
	verbRun   = "run"   // log: make and change experiments, runs, logged models, artifacts
	verbApply = "apply" // change the registry
)

// route is one operation of the protocol.
type route struct {
	method string
	path   string // from the version on: 2.0/mlflow/runs/create
	verb   string // that the principal's grants must cover
	handle handle
}

type handle func(w http.ResponseWriter, r *http.Request) error

// prefixes are where clients and MLflow's own pages look for the operations.
func prefixes() [2]string { return [2]string{"/api/", "/ajax-api/"} }

// Register puts the protocol's routes on a server.
func Register(s *server.Server, services Services) {
	m := &surface{services}
	for _, prefix := range prefixes() {
		for _, routes := range [][]route{m.trackingRoutes(), m.registryRoutes()} {
			for _, r := range routes {
				s.HandleAs(r.method+" "+prefix+r.path, r.handler(), writeError)
			}
		}
		upload := m.uploadRoute()
		s.HandleLarge(upload.method+" "+prefix+upload.path, maxArtifact, upload.handler())
		for _, method := range [...]string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			s.HandleAs(method+" "+prefix, http.HandlerFunc(nowhere), writeError)
		}
	}
	s.HandleOpen("GET /health", http.HandlerFunc(healthy))
	s.HandleOpen("GET /version", http.HandlerFunc(version))
}

// handler answers a route, its errors in the protocol's shape.
func (rt route) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := rt.permit(r.Context()); err != nil {
			writeError(w, err)
			return
		}
		if err := rt.handle(w, r); err != nil {
			writeError(w, err)
		}
	})
}

// resource is the name in grants of what this protocol keeps: read:mlflow.
const resource = "mlflow"

func (rt route) permit(ctx context.Context) error {
	p := caller(ctx)
	if p.May(rt.verb, resource) {
		return nil
	}
	return fault.New(fault.Forbidden, "%s may not %s %s", p.Name, rt.verb, resource).
		Hint("a key with the grant %s:%s is needed", rt.verb, resource)
}

// caller is who asks; the server lets nobody in without a principal.
func caller(ctx context.Context) identity.Principal {
	p, _ := identity.From(ctx)
	return p
}

// Bounds of a message. The protocol's largest is a batch of metrics.
const (
	maxMessage = 8 << 20
	maxWait    = 30 * time.Second
)

// call makes a handler of an operation: the message of a request is decoded
// into Q, from the query of a GET and the JSON body of everything else, and
// the answer is JSON.
func call[Q, A any](f func(ctx context.Context, q Q) (A, error)) handle {
	shape := shapeOf[Q]()
	return func(w http.ResponseWriter, r *http.Request) error { return serve(w, r, shape, f) }
}

// called is call for an operation that has a part of its message in the path
// of its address; value returns such a part by its name.
func called[Q, A any](f func(ctx context.Context, value func(name string) string, q Q) (A, error)) handle {
	shape := shapeOf[Q]()
	return func(w http.ResponseWriter, r *http.Request) error {
		return serve(w, r, shape, func(ctx context.Context, q Q) (A, error) { return f(ctx, r.PathValue, q) })
	}
}

func serve[Q, A any](w http.ResponseWriter, r *http.Request, s shape, f func(ctx context.Context, q Q) (A, error)) error {
	var q Q
	if err := decode(w, r, s, &q); err != nil {
		return err
	}
	a, err := f(r.Context(), q)
	if err != nil {
		return err
	}
	return answer(w, a)
}

// none is a message without fields.
type none struct{}

func answer(w http.ResponseWriter, message any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(message); err != nil {
		return fault.Wrap(err, fault.Internal, "an answer could not be written")
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b.Bytes()) // a client that is gone has nobody to tell
	return nil
}
