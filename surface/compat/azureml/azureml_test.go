package azureml_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/compat/azureml"
	"github.com/leat-ai/leat/surface/compat/compattest"
	"github.com/leat-ai/leat/surface/server"
)

var columns = []model.Field{{Name: "a", Type: frame.Double}, {Name: "n", Type: frame.Int}, {Name: "s", Type: frame.String}}

func serve(t testing.TB, c server.Config, endpoints ...compattest.Endpoint) *server.Server {
	t.Helper()
	s, front := compattest.Serve(t, c, endpoints...)
	azureml.Register(s, front)
	return s
}

func ask(t testing.TB, s *server.Server, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://localhost"+path, strings.NewReader(body))
	r = r.WithContext(identity.With(r.Context(), identity.Principal{Name: "app", Grants: []string{"score:*"}}))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func TestBodies(t *testing.T) {
	s := serve(t, server.Config{}, compattest.Echo("one", columns...))
	const want = `[{"a":1.5,"n":2,"s":"x"},{"a":null,"n":-3,"s":"y"}]`
	for body, want := range map[string]string{
		`{"data":[[1.5,2,"x"],[null,-3,"y"]]}`:                                                      want,
		`{"data":[{"a":1.5,"n":2,"s":"x"},{"s":"y","a":null,"n":-3}]}`:                              want,
		`{"data":[{"a":1.5,"n":2,"s":"x"},{"s":"y","a":null,"n":-3}],"method":"predict"}`:           want,
		`{"input_data":[[1.5,2,"x"],[null,-3,"y"]]}`:                                                want,
		`{"input_data":{"columns":["s","a","n"],"index":[0,1],"data":[["x",1.5,2],["y",null,-3]]}}`: want,
		`{"input_data":{"data":[[1.5,2,"x"],[null,-3,"y"]]},"params":{}}`:                           want,
		`{"Inputs":{"data":[[1.5,2,"x"],[null,-3,"y"]]},"GlobalParameters":{"method":"predict"}}`:   `{"Results": ` + want + `}`,
		`{"Inputs":{"WebServiceInput0":[{"a":1.5,"n":2,"s":"x"},{"s":"y","a":null,"n":-3}]}}`:       `{"Results": ` + want + `}`,
	} {
		w := ask(t, s, "POST", "/score", body, "X-Ms-Client-Request-Id", "c1", "X-Request-Id", "r1")
		if w.Code != 200 || w.Body.String() != want || w.Header().Get("X-Ms-Request-Id") != "r1" || w.Header().Get("X-Ms-Client-Request-Id") != "c1" {
			t.Errorf("%s: %d %s %v", body, w.Code, w.Body, w.Header())
		}
	}
}

func TestStatuses(t *testing.T) {
	slow := compattest.Echo("slow", columns...)
	slow.Limits.Timeout = spec.Duration(50 * time.Millisecond)
	limited := compattest.Echo("limited", columns...)
	limited.Limits.Rate = 1
	small := compattest.Echo("small", columns...)
	small.Limits.MaxBody = 64
	s := serve(t, server.Config{}, compattest.Echo("one", columns...), slow, limited, small)
	const row = `{"data":[[1,2,"x"]]}`
	ask(t, s, "POST", "/endpoints/limited/score", row) // uses up the second's rate
	for name, c := range map[string]struct {
		path, body, deployment string
		status                 int
		model                  string // ms-azureml-model-error-statuscode
	}{
		"an endpoint by path":           {"/endpoints/one/score", row, "", 200, ""},
		"by the deployment":             {"/score", row, "one", 200, ""},
		"a deployment that is there":    {"/endpoints/one/score", row, "stable", 200, ""},
		"a deployment that is not":      {"/endpoints/one/score", row, "blue", 404, ""},
		"an endpoint that is not there": {"/endpoints/none/score", row, "", 404, ""},
		"several endpoints, none named": {"/score", row, "", 404, ""},
		"a model that fails":            {"/endpoints/one/score", `{"data":[[1,2,"fail"]]}`, "", 424, "400"},
		"rows that do not fit":          {"/endpoints/one/score", `{"data":[[1,2]]}`, "", 424, "400"},
		"no rows":                       {"/endpoints/one/score", `{}`, "", 424, "400"},
		"no JSON":                       {"/endpoints/one/score", `{`, "", 424, "400"},
		"two sets of rows":              {"/endpoints/one/score", `{"data":[],"input_data":[]}`, "", 424, "400"},
		"deep JSON":                     {"/endpoints/one/score", `{"data":` + strings.Repeat("[", 100_000), "", 424, "400"},
		"a model that takes too long":   {"/endpoints/slow/score", `{"data":[[1,2,"sleep"]]}`, "", 408, ""},
		"over the rate":                 {"/endpoints/limited/score", row, "", 429, ""},
		"over the size":                 {"/endpoints/small/score", row + strings.Repeat(" ", 64), "", 413, ""},
	} {
		headers := []string{"X-A", "b"}
		if c.deployment != "" {
			headers = []string{"azureml-model-deployment", c.deployment}
		}
		w := ask(t, s, "POST", c.path, c.body, headers...)
		if w.Code != c.status || w.Header().Get("ms-azureml-model-error-statuscode") != c.model {
			t.Errorf("%s: %d %v %s", name, w.Code, w.Header(), w.Body)
		}
		if (c.model != "") != (w.Header().Get("ms-azureml-model-error-reason") != "") || c.status == 429 && w.Header().Get("Retry-After") != "1" {
			t.Errorf("%s: %v", name, w.Header())
		}
		var answer struct {
			Error struct{ Code, Message string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); c.status != 200 && (err != nil || answer.Error.Message == "" || answer.Error.Code == "") {
			t.Errorf("%s is told as %s", name, w.Body)
		}
	}
}

func TestNobodyIsRefusedInTheProtocolsShape(t *testing.T) {
	s := serve(t, server.Config{Auth: server.AuthKeys}, compattest.Echo("one", columns...))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/score", strings.NewReader("{}"))
	r.Header.Set("Authorization", "Bearer some-key")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	if w.Code != 401 || !strings.HasPrefix(w.Body.String(), `{"error":{"code":"unauthenticated"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestDescription(t *testing.T) {
	s := serve(t, server.Config{}, compattest.Echo("one", columns...))
	if w := ask(t, s, "GET", "/", ""); w.Code != 200 || w.Body.String() != "Healthy" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for path, want := range map[string][]string{
		"/swagger.json":                         {`"swagger":"2.0"`, `"/score":{"post"`, `"format":"int64"`},
		"/endpoints/one/swagger.json":           {`"swagger":"2.0"`, `"/endpoints/one/score":{"post"`},
		"/endpoints/one/swagger.json?version=3": {`"openapi":"3.0.3"`, `"/endpoints/one/score":{"post"`, `"requestBody"`},
	} {
		w := ask(t, s, "GET", path, "")
		for _, part := range want {
			if w.Code != 200 || !json.Valid(w.Body.Bytes()) || !strings.Contains(w.Body.String(), part) {
				t.Errorf("%s: %d %s lacks %s", path, w.Code, w.Body, part)
			}
		}
	}
}

func FuzzScore(f *testing.F) {
	f.Add(`{"data":[[1,2,"x"]]}`)
	f.Add(`{"input_data":{"columns":["s","a","n"],"data":[["x",1,2]]}}`)
	f.Add(`{"Inputs":{"data":[{"a":1,"n":2,"s":"x"}]}}`)
	s := serve(f, server.Config{}, compattest.Echo("one", columns...))
	f.Fuzz(func(t *testing.T, body string) {
		if strings.Contains(body, "sleep") {
			return
		}
		if w := ask(t, s, "POST", "/score", body); w.Code >= 500 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%d %q", w.Code, w.Body)
		}
	})
}
