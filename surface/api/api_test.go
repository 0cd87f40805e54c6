package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/llm/gateway"
	"github.com/leat-ai/leat/pattern/realtime"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/server"
)

// bare is a server with the API and nothing behind it that a mistaken or
// forbidden request should come to.
func bare(t *testing.T) (*server.Server, *api.API) {
	t.Helper()
	tel, err := telemetry.New(t.Context(), telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Config{}, nil, tel)
	if err != nil {
		t.Fatal(err)
	}
	router := decide.NewRouter(nil, decide.Deps{})
	return s, api.New(s, api.Services{Version: "test", Endpoints: endpoints{router}, Scoring: realtime.New(router, nil, clock.System{}), LLMs: noCalls{}})
}

// noCalls has kept none: whose a call is, is known only once it is found.
type noCalls struct{ api.LLMs }

func (noCalls) Find(context.Context, string) (gateway.Call, error) {
	return gateway.Call{}, fault.New(fault.NotFound, "no call")
}

// endpoints is a router that is never asked to roll back.
type endpoints struct{ *decide.Router }

func (endpoints) Deploy(context.Context, string, string, string) (deploy.Release, error) {
	return deploy.Release{}, nil
}

func (endpoints) Rollback(context.Context, string, string, string) (deploy.Release, error) {
	return deploy.Release{}, fault.New(fault.Internal, "it was asked to roll back")
}

func ask(t *testing.T, s *server.Server, p identity.Principal, method, path, body string, header ...string) (*httptest.ResponseRecorder, server.Problem) {
	t.Helper()
	r := httptest.NewRequestWithContext(identity.With(t.Context(), p), method, "http://localhost"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	var problem server.Problem
	if w.Code >= 400 {
		if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || w.Header().Get("Content-Type") != "application/problem+json" || problem.Status != w.Code {
			t.Fatalf("%s %s is answered %d %s, which is no problem document: %s", method, path, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
	return w, problem
}

var root = identity.Principal{Name: "root", Grants: []string{"*:*"}}

func TestMistakenRequestsAreProblemsLikeAllOthers(t *testing.T) {
	s, _ := bare(t)
	for name, c := range map[string]struct {
		method, path, body string
		kind               fault.Kind
		says               string
	}{
		"a field that is missing":     {"POST", "/v1/sql", `{}`, fault.Invalid, "sql"},
		"a field that is not known":   {"POST", "/v1/sql", `{"sql":"SELECT 1","limits":3}`, fault.Invalid, "limits"},
		"a value of another type":     {"POST", "/v1/sql", `{"sql":4711}`, fault.Invalid, "string"},
		"a value out of range":        {"POST", "/v1/sql", `{"sql":"SELECT 1","limit":0}`, fault.Invalid, "limit"},
		"a number that is none":       {"GET", "/v1/decisions?limit=many", "", fault.Invalid, "limit"},
		"JSON that breaks off":        {"POST", "/v1/sql", `{"sql":`, fault.Invalid, ""},
		"no body":                     {"POST", "/v1/sql", "", fault.Invalid, "body"},
		"a body that is too large":    {"POST", "/v1/sql", `{"sql":"` + strings.Repeat("x", 9<<20) + `"}`, fault.TooLarge, ""},
		"a score that is not JSON":    {"POST", "/v1/endpoints/fraud/score", "amount=3", fault.NotFound, "fraud"},
		"an operation of another day": {"POST", "/v1/teleport", "{}", fault.NotFound, "/v1/teleport"},
	} {
		t.Run(name, func(t *testing.T) {
			w, p := ask(t, s, root, c.method, c.path, c.body)
			if p.Kind != string(c.kind) || p.Detail == "" || p.Hint == "" || p.Title == "" || p.Type == "" || !strings.Contains(w.Body.String(), c.says) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

func TestSeveralMistakesOfARequestAreAllNamed(t *testing.T) {
	s, _ := bare(t)
	_, p := ask(t, s, root, "POST", "/v1/sql", `{"sql":7,"limit":"many","more":1}`)
	if len(p.Errors) != 3 || p.Kind != string(fault.Invalid) {
		t.Fatalf("%+v", p)
	}
	for i, m := range p.Errors {
		if m.Detail == "" || !strings.HasPrefix(m.Where, "body") {
			t.Errorf("mistake %d: %+v", i, m)
		}
	}
}

func TestWrongValuesAreNotRepeated(t *testing.T) {
	s, _ := bare(t)
	for _, body := range []string{`{"sql":["hunter2"]}`, `{"sql":"SELECT 1","limit":"hunter2"}`, `{"sql":1,"limit":"hunter2"}`} {
		if w, _ := ask(t, s, root, "POST", "/v1/sql", body); strings.Contains(w.Body.String(), "hunter2") {
			t.Errorf("%s is answered %s", body, w.Body)
		}
	}
}

// Who has no grant comes to nothing: every operation that the document
// describes refuses them before it does anything. There is nothing behind the
// API here, so one that went on would break.
func TestNothingIsDoneForThoseWithoutAGrant(t *testing.T) {
	s, a := bare(t)
	text, err := a.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(text, &document); err != nil || len(document.Paths) < 15 {
		t.Fatalf("%d paths, %v", len(document.Paths), err)
	}
	nobody := identity.Principal{Name: "nobody", Grants: []string{"elsewhere:*"}}
	bodies := map[string]string{"/v1/sql": `{"sql":"SELECT 1"}`, "/v1/apply": `{"files":{}}`, "/v1/plan": `{"files":{}}`}
	// What shows each key what is theirs shows nothing to who has nothing.
	if w, _ := ask(t, s, nobody, "GET", "/v1/models", ""); w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != `{"object":"list","data":[]}` {
		t.Errorf("models: %d %s", w.Code, w.Body)
	}
	delete(document.Paths, "/v1/models")
	for path, operations := range document.Paths {
		url := strings.NewReplacer("{kind}", "Pipeline", "{name}", "fraud", "{id}", "x", "{ref}", "1", "{alias}", "champion").Replace(path)
		for method := range operations {
			w, p := ask(t, s, nobody, strings.ToUpper(method), url, bodies[path])
			if p.Kind != string(fault.Forbidden) && p.Kind != string(fault.Invalid) {
				t.Errorf("%s %s is answered %d %s", method, path, w.Code, w.Body)
			}
			if p.Kind == string(fault.Forbidden) && !strings.Contains(p.Hint, "grant") {
				t.Errorf("%s %s does not say which grant is needed: %s", method, path, p.Hint)
			}
		}
	}
}

func TestIdempotencyKeysAreBounded(t *testing.T) {
	s, _ := bare(t)
	w, p := ask(t, s, root, "POST", "/v1/endpoints/fraud/score", "{}", api.IdempotencyKey, strings.Repeat("k", 300))
	if w.Code < 400 || p.Kind == string(fault.Internal) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestReadyNamesWhatIsNot(t *testing.T) {
	for name, c := range map[string]struct {
		checks []api.Check
		code   int
		body   string
	}{
		"all well":        {[]api.Check{{Name: "catalog", OK: true}}, http.StatusOK, `{"failed":[]}`},
		"one of many ill": {[]api.Check{{Name: "catalog", OK: true}, {Name: "fraud", Partial: true}}, http.StatusOK, `{"failed":[]}`},
		"a part ill":      {[]api.Check{{Name: "catalog", Note: "a secret of operators"}}, http.StatusServiceUnavailable, `{"failed":["catalog"]}`},
	} {
		tel, err := telemetry.New(t.Context(), telemetry.Config{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := server.New(server.Config{Auth: server.AuthKeys}, nil, tel)
		if err != nil {
			t.Fatal(err)
		}
		api.New(s, api.Services{Checks: func(context.Context) []api.Check { return c.checks }})
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/readyz", nil))
		if w.Code != c.code || strings.TrimSpace(w.Body.String()) != c.body {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}
