package app

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/surface/server"
)

// access says which grant a route asks for. A route that is not in the table
// fails TestRoutes: who adds one decides here who may call it.
var access = mlflowAccess(map[string]string{
	// Open to anybody: they tell that the server lives, and nothing else.
	"GET /healthz":         open,
	"GET /readyz":          open,
	"GET /v2/health/live":  open,
	"GET /v2/health/ready": open,
	"GET /{$}":             open,
	"GET /ping":            open,

	// Open to every key: what the server speaks, not what it knows.
	"GET /v2":                   anyKey,
	"GET /v2/{rest...}":         anyKey,
	"POST /v2/{rest...}":        anyKey,
	"GET /v2/models":            anyKey, // lists what the key may see
	"GET /v2/models/stats":      anyKey,
	"POST /v2/repository/index": anyKey,
	"GET /kserve/v1/models":     anyKey,
	"GET /openapi.json":         anyKey,
	"GET /openapi.yaml":         anyKey,
	"GET /openapi-3.0.json":     anyKey,
	"GET /openapi-3.0.yaml":     anyKey,

	"POST /v1/endpoints/{name}/score":                  "score",
	"POST /v2/models/{model}/infer":                    "score",
	"POST /v2/models/{model}/versions/{version}/infer": "score",
	"GET /v2/models/{model}":                           readOrScore,
	"GET /v2/models/{model}/ready":                     readOrScore,
	"GET /v2/models/{model}/versions/{version}":        readOrScore,
	"GET /v2/models/{model}/versions/{version}/ready":  readOrScore,
	"GET /v2/models/{model}/config":                    readOrScore,
	"GET /v2/models/{model}/versions/{version}/config": readOrScore,
	"GET /v2/models/{model}/stats":                     readOrScore,
	"GET /v2/models/{model}/versions/{version}/stats":  readOrScore,
	"POST /v2/repository/models/{model}/load":          "apply",
	"POST /v2/repository/models/{model}/unload":        "apply",

	"POST /v1/models/{model}":                           "score",
	"POST /v1/models/{model}/versions/{version}":        "score",
	"POST /kserve/v1/models/{model}":                    "score",
	"POST /kserve/v1/models/{model}/versions/{version}": "score",
	"GET /kserve/v1/models/{model}":                     readOrScore,
	"GET /kserve/v1/models/{model}/versions/{version}":  readOrScore,
	"POST /invocations":                                 "score",
	"POST /endpoints/{endpoint}/invocations":            "score",
	"POST /score":                                       "score",
	"POST /endpoints/{endpoint}/score":                  "score",
	"GET /swagger.json":                                 "score",
	"GET /endpoints/{endpoint}/swagger.json":            readOrScore,

	"POST /mcp":   anyKey, // offers what the key may use
	"GET /mcp":    anyKey,
	"DELETE /mcp": anyKey,
	"GET /.well-known/oauth-protected-resource":     open,
	"GET /.well-known/oauth-protected-resource/mcp": open,

	"POST /get-online-features":     "read",
	"POST /write-to-online-store":   "run",
	"POST /push":                    "run",
	"POST /materialize":             "run",
	"POST /materialize-incremental": "run",

	"GET /metrics":      "read",
	"GET /v1/status":    "read",
	"GET /v1/doctor":    "read",
	"GET /v1/resources": "read",
	"POST /v1/plan":     "read",
	"POST /v1/apply":    "apply",

	"GET /v1/knowledge":                                "read",
	"GET /v1/knowledge/{name}":                         "read",
	"POST /v1/knowledge/{name}/sync":                   "run",
	"GET /v1/knowledge/{name}/history":                 "read",
	"POST /v1/knowledge/{name}/rollback":               "knowledge",
	"POST /v1/knowledge/{name}/search":                 "search",
	"GET /v1/knowledge/{name}/citations":               "search",
	"GET /v1/knowledge/{name}/documents":               "search",
	"GET /v1/knowledge/{name}/errors":                  "knowledge",
	"GET /v1/knowledge/{name}/documents/{id}/versions": "search",
	"DELETE /v1/knowledge/{name}/documents/{id}":       "knowledge",
	"PUT /v1/knowledge/{name}/documents/{id}":          "knowledge",

	"POST /v1/run/{kind}/{name}": "run",
	"GET /v1/runs":               "read",
	"GET /v1/runs/{id}":          "read",
	"POST /v1/runs/{id}/cancel":  "run",
	"POST /v1/runs/{id}/retry":   "run",

	"GET /v1/streams":                      "read",
	"GET /v1/streams/{name}":               "read",
	"POST /v1/streams/{name}/events":       "score",
	"OPTIONS /v1/streams/{name}/events":    open, // asked without a key, and tells nothing
	"POST /v1/streams/{name}/pause":        "run",
	"POST /v1/streams/{name}/resume":       "run",
	"POST /v1/streams/{name}/seek":         "run",
	"GET /v1/streams/{name}/dead":          "read",
	"GET /v1/streams/{name}/dead/{letter}": "read",
	"PUT /v1/streams/{name}/dead/{letter}": "run",
	"POST /v1/streams/{name}/dead/replay":  "run",
	"POST /v1/streams/{name}/dead/drop":    "run",

	"GET /v1/llm":            "read",
	"GET /v1/llm/calls":      "read",
	"GET /v1/llm/calls/{id}": "read", // and its caller
	"GET /v1/llm/spend":      "read",

	"GET /v1/models":                              anyKey, // lists what the key may see
	"GET /v1/models/{name}":                       "read or ask or chat",
	"POST /v1/endpoints/{name}/deploy":            "apply",
	"POST /v1/models/{name}/versions":             "apply",
	"GET /v1/models/{name}/versions/{ref}":        "read",
	"GET /v1/models/{name}/versions/{ref}/report": "read",
	"GET /v1/models/{name}/versions/{ref}/onnx":   "read",
	"PUT /v1/models/{name}/aliases/{alias}":       "apply",

	"GET /v1/endpoints":                  "read",
	"GET /v1/endpoints/{name}":           "read",
	"GET /v1/endpoints/{name}/releases":  "read",
	"GET /v1/endpoints/{name}/history":   "read",
	"GET /v1/endpoints/{name}/at":        "read",
	"POST /v1/endpoints/{name}/rollback": "apply",

	"POST /v1/sql":             "read",
	"GET /v1/feature-history":  "read",
	"POST /v1/feature-history": "read",
	"GET /v1/tables":           "read",
	"GET /v1/decisions":        "read",
	"GET /v1/decisions/{id}":   "read",
	"GET /v1/signals":          "read",
	"GET /v1/events":           "read",

	"GET /v1/features":                     "read",
	"GET /v1/features/{name}":              "read",
	"POST /v1/features/read":               "read",
	"POST /v1/features/{name}/push":        "run",
	"POST /v1/features/{name}/materialise": "run",

	"GET /v1/assistants":                                                "read",
	"POST /v1/assistants/{name}/ask":                                    "ask",
	"POST /v1/chat/completions":                                         "ask or chat",
	"POST /v1/responses":                                                "ask or chat",
	"POST /v1/embeddings":                                               "ask or chat",
	"POST /openai/v1/chat/completions":                                  "ask or chat",
	"POST /openai/v1/responses":                                         "ask or chat",
	"POST /openai/v1/embeddings":                                        "ask or chat",
	"POST /openai/responses":                                            "ask or chat",
	"POST /openai/deployments/{deployment}/chat/completions":            "ask or chat",
	"POST /openai/deployments/{deployment}/extensions/chat/completions": "ask or chat",
	"POST /openai/deployments/{deployment}/embeddings":                  "ask or chat",
	"GET /v1/responses/{id}":                                            anyKey, // none is kept
	"GET /openai/v1/responses/{id}":                                     anyKey,
	"GET /openai/responses/{id}":                                        anyKey,
	"GET /openai/v1/models":                                             anyKey, // lists what the key may see
	"GET /openai/v1/models/{id...}":                                     "read or ask or chat",
	"GET /openai/models":                                                anyKey,
	"GET /openai/models/{id...}":                                        "read or ask or chat",
	"GET /v1/vector_stores":                                             anyKey, // lists what the key may see
	"GET /openai/v1/vector_stores":                                      anyKey,
	"GET /openai/vector_stores":                                         anyKey,
	"GET /v1/vector_stores/{store}":                                     "read or search",
	"GET /openai/v1/vector_stores/{store}":                              "read or search",
	"GET /openai/vector_stores/{store}":                                 "read or search",
	"POST /v1/vector_stores/{store}/search":                             "search",
	"POST /openai/v1/vector_stores/{store}/search":                      "search",
	"POST /openai/vector_stores/{store}/search":                         "search",
	"POST /rerank":                                                      "chat",
	"POST /v1/rerank":                                                   "chat",
	"POST /v2/rerank":                                                   "chat",
	"POST /openai/v1/rerank":                                            "chat",

	"GET /v1/keys":         "admin",
	"POST /v1/keys":        "admin",
	"DELETE /v1/keys/{id}": "admin",
})

const open, anyKey, readOrScore = "open", "any key", "read or score"

// bodies are what routes accept that do not accept an empty object, so that a
// refusal is one of the caller and not of the body.
var bodies = map[string]string{
	"POST /v1/plan":                         `{"files":{}}`,
	"POST /v1/apply":                        `{"files":{}}`,
	"PUT /v1/models/{name}/aliases/{alias}": `{"version":0}`,
	"POST /v1/sql":                          `{"sql":"select 1"}`,
	"POST /v1/features/read":                `{"features":["risk:amount"],"entities":{}}`,
	"POST /v1/features/{name}/push":         `{"rows":[]}`,
	"POST /get-online-features":             `{"features":["risk:amount"],"entities":{"id":["a"]}}`,
	"POST /write-to-online-store":           `{"feature_view_name":"risk","df":{}}`,
	"POST /push":                            `{"push_source_name":"risk","df":{}}`,
	"POST /materialize":                     `{"start_ts":"2026-01-01","end_ts":"2026-01-02","feature_views":["risk"]}`,
	"POST /materialize-incremental":         `{"end_ts":"2026-01-02","feature_views":["risk"]}`,
	"POST /v1/streams/{name}/seek":          `{"to":"first"}`,
	"PUT /v1/streams/{name}/dead/{letter}":  `{"body":"e30="}`,
	"POST /v1/keys":                         `{"name":"k","grants":["*:*"]}`,

	"POST /v1/knowledge/{name}/search":                                  `{"query":"why?"}`,
	"POST /v1/assistants/{name}/ask":                                    `{"question":"why?"}`,
	"POST /v1/chat/completions":                                         askChat,
	"POST /openai/v1/chat/completions":                                  askChat,
	"POST /openai/deployments/{deployment}/chat/completions":            askChat,
	"POST /openai/deployments/{deployment}/extensions/chat/completions": askChat,
	"POST /v1/responses":                                                askInput,
	"POST /openai/v1/responses":                                         askInput,
	"POST /openai/responses":                                            askInput,
	"POST /v1/embeddings":                                               askInput,
	"POST /openai/v1/embeddings":                                        askInput,
	"POST /openai/deployments/{deployment}/embeddings":                  askInput,
	"POST /rerank":                                                      askRank,
	"POST /v1/rerank":                                                   askRank,
	"POST /v2/rerank":                                                   askRank,
	"POST /openai/v1/rerank":                                            askRank,
}

// What OpenAI's clients and Cohere's send.
const (
	askChat  = `{"model":"risk","messages":[{"role":"user","content":"why?"}]}`
	askInput = `{"model":"risk","input":"why?"}`
	askRank  = `{"model":"risk","query":"why?","documents":["so"]}`
)

// values stand for the parts of a path. The names exist, so that what is not
// allowed cannot hide behind what is not there.
var values = strings.NewReplacer("{kind}", "Batch", "{name}", "risk", "{model}", "risk", "{endpoint}", "risk", "{rest...}", "else", "{$}", "", "{version}", "1",
	"{ref}", "1", "{alias}", "champion", "{id}", "the-learn", "{id...}", "risk", "{store}", "risk", "{deployment}", "risk", "{letter}", "1",
	"{model_id}", "m-0", "{key}", "k", "{path...}", "a/b", "{webhook_id}", "1")

func TestRoutes(t *testing.T) {
	l := newLoop(t, 2000) // before keys are asked for
	l.run("Pipeline", "learn", "the-learn")
	l.config.Server.Auth = server.AuthKeys
	l.App = l.again()

	var registered []string
	for _, r := range l.server.Routes() {
		registered = append(registered, r.Pattern)
		if r.Open != (access[r.Pattern] == open) {
			t.Errorf("%s: open is %v", r.Pattern, r.Open)
		}
	}
	slices.Sort(registered)
	if listed := slices.Sorted(maps.Keys(access)); !slices.Equal(registered, listed) {
		t.Fatalf("routes that the table of this test lacks: %v; routes that are gone: %v", without(registered, listed), without(listed, registered))
	}
	keys := map[string]string{"no key": "", "a made-up key": "leat_0000000000000000_" + strings.Repeat("a", 43)}
	for name, grants := range map[string][]string{
		"stranger":  {"score:line", "read:line", "run:line", "apply:line", "admin:line", "ask:line", "chat:line", "search:line"},
		"read-only": {"read:*"}, "scorer": {"score:*"}, "runner": {"run:*"}, "applier": {"apply:*"}, "admin": {"admin:*"},
		"searcher": {"search:*"}, "librarian": {"knowledge:*"}, "asker": {"ask:*"}, "chatter": {"chat:*"},
	} {
		token, _, err := l.keys.Create(t.Context(), identity.NewKey{Name: name, Grants: grants, By: "test"})
		if err != nil {
			t.Fatal(err)
		}
		keys[name] = token
	}
	for _, pattern := range registered {
		for name, token := range keys {
			status, body := l.ask(pattern, token, "localhost")
			if want := expected(access[pattern], name); want == refused(status) {
				t.Errorf("%s with %s: %d %s", pattern, name, status, body)
			}
		}
	}
}

// expected tells whether a key may call a route.
func expected(grant, key string) bool {
	switch key {
	case "no key", "a made-up key":
		return grant == open
	case "stranger":
		return grant == open || grant == anyKey
	}
	verb := map[string]string{"read-only": "read", "scorer": "score", "runner": "run", "applier": "apply", "admin": "admin", "searcher": "search", "librarian": "knowledge", "asker": "ask", "chatter": "chat"}[key]
	return grant == open || grant == anyKey || slices.Contains(strings.Split(grant, " or "), verb)
}

func refused(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// TestWrongHost: without keys, a request that came by a name of somebody else
// (DNS rebinding), or from a page of somebody else, reaches nothing.
func TestWrongHost(t *testing.T) {
	l := newLoop(t, 10)
	for _, r := range l.server.Routes() {
		for _, host := range []string{"evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::ffff:10.0.0.1]:80", ""} {
			if status, body := l.ask(r.Pattern, "", host); status != http.StatusForbidden {
				t.Errorf("%s for host %q: %d %s", r.Pattern, host, status, body)
			}
		}
		if method, _, _ := strings.Cut(r.Pattern, " "); method == http.MethodGet {
			continue
		}
		if status, body := l.ask(r.Pattern, "", "localhost", "Sec-Fetch-Site", "cross-site", "Origin", "http://evil.example"); status != http.StatusForbidden {
			t.Errorf("%s from another site: %d %s", r.Pattern, status, body)
		}
	}
}

// ask sends a request for a pattern to the handler.
func (l *loop) ask(pattern, token, host string, headers ...string) (status int, body string) {
	method, path, _ := strings.Cut(values.Replace(pattern), " ")
	if pattern == "GET /v1/endpoints/{name}/at" {
		path += "?time=2030-01-01T00:00:00Z"
	}
	if pattern == "GET /v1/knowledge/{name}/citations" {
		path += "?source=a&version=b"
	}
	text := bodies[pattern]
	if text == "" && method != http.MethodGet {
		text = "{}"
	}
	r := httptest.NewRequestWithContext(l.Context(), method, path, strings.NewReader(text))
	r.Host = host
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	l.server.Handler().ServeHTTP(w, r)
	answer, _ := io.ReadAll(w.Body)
	return w.Code, fmt.Sprintf("%.200s", answer)
}

// again ends the app and starts another without applying the project.
func (l *loop) again() *App {
	l.Helper()
	if err := stopped(l.App); err != nil {
		l.Fatal(err)
	}
	a, err := Start(context.WithoutCancel(l.Context()), l.config)
	if err != nil {
		l.Fatal(err)
	}
	return a
}

// without returns what is only in the first list.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}
