// Package api is the native HTTP API: what the CLI, the Go client and an
// application speak with a Leat server.
//
// New puts its routes on a server. Each route is described by Go types, from
// which the OpenAPI document at /openapi.json is generated; none holds logic
// beyond asking whether the principal may, calling the part of the house that
// does it, and answering. Errors are problem documents (server.Problem).
// Scoring has a handler of its own, because it is the hot path.
package api

import (
	"context"
	"encoding/json"
	"net/http"
	"path"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/decide/record"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/deploy/resources"
	"github.com/leat-ai/leat/flow/monitor"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/llm/gateway"
	questions "github.com/leat-ai/leat/pattern/knowledge"
	"github.com/leat-ai/leat/pattern/realtime"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/server"
	"github.com/leat-ai/leat/work"
)

// Project plans and applies resource files, and says what is in force.
type Project interface {
	Plan(ctx context.Context, files map[string]string) (spec.Plan, error)
	Apply(ctx context.Context, files map[string]string, by string) (resources.Applied, error)
	List(ctx context.Context) ([]spec.Resource, error)
}

// Starter begins the durable run of a resource.
type Starter interface {
	Start(ctx context.Context, kind spec.Kind, name, by string) (run string, err error)
}

// Endpoints changes and shows what is live.
type Endpoints interface {
	Deploy(ctx context.Context, endpoint, ref, by string) (deploy.Release, error)
	Rollback(ctx context.Context, endpoint, to, by string) (deploy.Release, error)
	Path(endpoint string) (*decide.Path, error)
	Endpoints() []string
}

// Data answers SQL over the lake and the fresh decisions.
type Data interface {
	Query(ctx context.Context, sql string) (frame.Reader, error)
	Tables(ctx context.Context) ([]Table, error)
}

// Decisions finds what was decided.
type Decisions interface {
	Find(ctx context.Context, id string) (record.Decision, error)
	Latest(ctx context.Context, endpoint string, limit int) ([]record.Decision, error)
}

// Askable lists the assistants and language models that somebody may ask, as
// clients of OpenAI name them.
type Askable interface {
	List(ctx context.Context, p identity.Principal) []AskableModel
	// Show is one of them, by any of its names; a NotFound or Forbidden fault
	// otherwise.
	Show(ctx context.Context, p identity.Principal, id string) (AskableModel, error)
}

// Services is what the API is a surface of.
type Services struct {
	Version    string
	Project    Project
	Starter    Starter
	Runs       *work.Engine
	Registry   *registry.Registry
	Importer   Importer
	Releases   *deploy.Releases
	Endpoints  Endpoints
	Scoring    *realtime.Service
	Data       Data
	Decisions  Decisions
	Signals    *monitor.Signals
	Features   Features
	History    History
	Streams    Streams
	Events     Events
	Assistants Assistants
	// Repeats may be nil: questions are answered anew whatever their key.
	Repeats   *questions.Repeats
	Knowledge Knowledge
	LLMs      LLMs
	Keys      *identity.Keys
	Checks    func(ctx context.Context) []Check
	Askable   Askable
}

// API is the set of routes on a server.
type API struct {
	services Services
	huma     huma.API
	started  time.Time
}

// Resource is a spec.Resource as JSON has it.
type Resource struct {
	Kind spec.Kind       `json:"kind"`
	Name string          `json:"name"`
	Hash string          `json:"hash"` // SHA-256, in hex, of the canonical JSON of the spec
	At   spec.Position   `json:"at,omitzero"`
	Spec json.RawMessage `json:"spec"` // the fields of its kind
}

// described are types whose JSON is not what their Go type says, each with one
// that says it.
func described(r huma.Registry) {
	r.RegisterTypeAlias(reflect.TypeFor[spec.Columns](), reflect.TypeFor[map[string]string]())
	r.RegisterTypeAlias(reflect.TypeFor[spec.Features](), reflect.TypeFor[map[string]any]()) // an expression, or an aggregate
	r.RegisterTypeAlias(reflect.TypeFor[spec.Resource](), reflect.TypeFor[Resource]())
	r.RegisterTypeAlias(reflect.TypeFor[gateway.Money](), reflect.TypeFor[float64]())
}

// New registers the API's routes on a server.
func New(s *server.Server, services Services) *API {
	config := huma.DefaultConfig("Leat", services.Version)
	config.Info.Description = "Bring AI into the applications and processes that you already have."
	config.DocsPath, config.SchemasPath = "", ""
	config.CreateHooks = nil
	config.Transformers = []huma.Transformer{ownProblem}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{keyScheme: {
		Type: "http", Scheme: "bearer", Description: "An API key, where the server asks for one. The words beside it are the verbs that it must grant.",
	}}
	config.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	a := &API{services: services, huma: humago.New(authenticatedMux{s}, config), started: time.Now()}
	described(a.huma.OpenAPI().Components.Schemas)
	a.scoring(s)
	a.featureReading(s)
	a.features()
	a.project()
	a.runs()
	a.models()
	a.importing(s)
	a.endpoints()
	a.data()
	a.history(s)
	a.streams()
	a.events()
	a.assistants(s)
	a.knowledge(s)
	a.llms()
	a.keys()
	a.health(s)
	return a
}

// schemaName names the schema of a type after its package and itself, because
// deploy.Change is not spec.Change.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	pkg := path.Base(t.PkgPath())
	if t.Name() == "" || pkg == "api" || pkg == "." {
		return name
	}
	return strings.ToUpper(pkg[:1]) + pkg[1:] + name
}

// OpenAPI returns the description of the API as JSON.
func (a *API) OpenAPI() ([]byte, error) { return a.huma.OpenAPI().MarshalJSON() }

// authenticatedMux lets the framework register its routes behind the server's
// authentication.
type authenticatedMux struct{ s *server.Server }

func (m authenticatedMux) HandleFunc(pattern string, f func(http.ResponseWriter, *http.Request)) {
	m.s.Handle(pattern, http.HandlerFunc(f))
}

func (m authenticatedMux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.s.Handler().ServeHTTP(w, r)
}

// The verbs of grants.
const (
	verbAny       = ""          // whoever has a key: an operation shows each what is theirs
	verbRead      = "read"      // see resources, versions, runs, data
	verbScore     = "score"     // ask an endpoint for decisions
	verbAsk       = "ask"       // ask an assistant questions
	verbSearch    = "search"    // find passages of a knowledge
	verbKnowledge = "knowledge" // send and remove its documents, go back
	verbRun       = "run"       // start and cancel runs
	verbApply     = "apply"     // change resources, aliases and releases
	verbAdmin     = "admin"     // keys
)

// allowed returns the principal of a request if it may, or a Forbidden fault.
func allowed(ctx context.Context, verb, name string) (identity.Principal, error) {
	p, ok := identity.From(ctx)
	if !ok {
		return p, fault.New(fault.Unauthenticated, "nobody is asking")
	}
	if verb != verbAny && !p.May(verb, name) {
		return p, fault.New(fault.Forbidden, "%s may not %s %s", p.Name, verb, name).
			Hint("a key with the grant %s:%s is needed", verb, name)
	}
	return p, nil
}

// Guarded lets only those reach a handler who may read something of a name.
func Guarded(name string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := allowed(r.Context(), verbRead, name); err != nil {
			server.WriteProblem(w, err)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Body is the answer of an operation.
type Body[T any] struct{ Body T }

// route describes one operation.
type route struct {
	method, path, id, summary, tag, verb string
}

// Bounds of the body of an operation; a project's files are the largest.
const (
	bodyTime = 30 * time.Second
	maxBody  = 8 << 20
)

// keyScheme is how the OpenAPI document names API keys.
const keyScheme = "key"

func needs(verb string) []map[string][]string {
	if verb == verbAny {
		return []map[string][]string{{keyScheme: {}}}
	}
	return []map[string][]string{{keyScheme: {verb}}}
}

// register adds an operation whose handler is called once the principal has
// the route's verb on what name picks out of the input.
func register[In, Out any](a *API, r route, name func(*In) string, handle func(ctx context.Context, p identity.Principal, in *In) (Out, error)) {
	op := huma.Operation{Method: r.method, Path: r.path, OperationID: r.id, Summary: r.summary, Tags: []string{r.tag}, Security: needs(r.verb), BodyReadTimeout: bodyTime, MaxBodyBytes: maxBody}
	huma.Register(a.huma, op, func(ctx context.Context, in *In) (*Body[Out], error) {
		p, err := allowed(ctx, r.verb, name(in))
		if err != nil {
			return nil, problem(err)
		}
		out, err := handle(ctx, p, in)
		if err != nil {
			return nil, problem(err)
		}
		return &Body[Out]{Body: out}, nil
	})
}

// problem makes an error one that the framework answers as a problem
// document, with Retry-After where it passes.
func problem(err error) error {
	p := server.NewProblem(err)
	headers := http.Header{}
	if server.SetRetryAfter(headers, err); len(headers) > 0 {
		return huma.ErrorWithHeaders(p, headers)
	}
	return p
}

// ownProblem makes what the framework finds wrong with a request a problem
// document like every other, without the value that was wrong: it may be
// large, and it may be a secret.
func ownProblem(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	kind := fault.Invalid
	for _, k := range fault.Kinds() {
		if k.HTTP() == m.Status && k != fault.Rejected {
			kind = k
		}
	}
	p := &server.Problem{Type: "about:blank", Title: http.StatusText(m.Status), Status: m.Status, Kind: string(kind), Detail: "the request is not understood", Hint: "GET /openapi.json says what each operation takes"}
	switch len(m.Errors) {
	case 0:
		p.Detail = m.Detail
	case 1:
		p.Detail, p.Where = m.Errors[0].Message, m.Errors[0].Location
	default:
		for _, e := range m.Errors {
			p.Errors = append(p.Errors, server.Mistake{Detail: e.Message, Where: e.Location})
		}
	}
	return p, nil
}

// anything is for routes whose verb is not asked on a name of its own.
func anything[In any](*In) string { return "*" }
