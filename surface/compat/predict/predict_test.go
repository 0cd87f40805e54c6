package predict_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/surface/compat/compattest"
	"github.com/leat-ai/leat/surface/compat/predict"
	"github.com/leat-ai/leat/surface/server"
)

var columns = []model.Field{{Name: "a", Type: frame.Double}, {Name: "n", Type: frame.Int}, {Name: "s", Type: frame.String}}

func serve(t testing.TB, endpoints ...compattest.Endpoint) *server.Server {
	t.Helper()
	s, front := compattest.Serve(t, server.Config{Listen: "127.0.0.1:0"}, endpoints...)
	predict.Register(s, front)
	return s
}

func ask(t testing.TB, s *server.Server, method, path, body string, headers ...string) (int, string) {
	t.Helper()
	p := identity.Principal{Name: "app", Grants: []string{"score:*"}}
	r := httptest.NewRequestWithContext(identity.With(t.Context(), p), method, "http://localhost"+path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

const two = `[{"a":1.5,"n":2,"s":"x"},{"a":null,"n":-3,"s":"Zoë"}]`

// TestTheSameRowsInEveryForm: what is sent in any form comes back alike.
func TestTheSameRowsInEveryForm(t *testing.T) {
	s := serve(t, compattest.Echo("one", columns...))
	for _, c := range []struct{ path, body, media string }{
		{"/v1/models/one:predict", `{"instances":` + two + `}`, ""},
		{"/v1/models/one:predict", `{"signature_name":"serving_default","instances":[[1.5,2,"x"],[null,-3,"Zoë"]]}`, ""},
		{"/v1/models/one/versions/1:predict", `{"instances":` + two + `}`, ""},
		{"/kserve/v1/models/one:predict", `{"instances":` + two + `}`, ""},
		{"/invocations", `{"dataframe_records":` + two + `}`, "application/json"},
		{"/invocations", `{"dataframe_split":{"columns":["s","a","n"],"index":[7,8],"data":[["x",1.5,2],["Zoë",null,-3]]}}`, "application/json; charset=utf-8"},
		{"/invocations", `{"dataframe_split":{"columns":["s","more","a","n"],"data":[["x",{"any":[1]},1.5,2],["Zoë",null,null,-3]]},"params":{"k":1}}`, ""},
		{"/invocations", `{"instances":` + two + `}`, ""},
		{"/invocations", `{"inputs":{"a":[1.5,null],"n":[2,-3],"s":["x","Zoë"],"more":[]}}`, ""},
		{"/invocations", `{"inputs":[[1.5,2,"x"],[null,-3,"Zoë"]]}`, ""},
		{"/invocations", "a,s,more,n\n1.5,x,,2\n,\"Zoë\",1,-3\n", "text/csv"},
		{"/endpoints/one/invocations", "\ufeffa,s,n\r\n1.5,x,2\r\n,Zoë,-3\r\n", "text/csv; header=present"},
	} {
		code, got := ask(t, s, "POST", c.path, c.body, "Content-Type", c.media)
		var answer struct{ Predictions []map[string]any }
		if err := json.Unmarshal([]byte(got), &answer); err != nil || code != 200 || len(answer.Predictions) != 2 {
			t.Errorf("%s %s: %d %s, %v", c.path, c.body, code, got, err)
			continue
		}
		if got := answer.Predictions; got[0]["a"] != 1.5 || got[0]["n"] != 2.0 || got[0]["s"] != "x" || got[1]["a"] != nil || got[1]["n"] != -3.0 || got[1]["s"] != "Zoë" {
			t.Errorf("%s %s: %v", c.path, c.body, got)
		}
	}
}

// TestOneOutputIsAValue: an endpoint of one output predicts values, and one of
// one input takes them.
func TestOneOutputIsAValue(t *testing.T) {
	s := serve(t, compattest.Echo("one", columns[0]))
	for path, body := range map[string]string{
		"/v1/models/one:predict": `{"instances":[1, 2.5]}`, "/invocations": `{"inputs":[[1],[2.5]]}`, "/endpoints/one/invocations": `{"inputs":{"a":[1,2.5]}}`,
	} {
		if code, got := ask(t, s, "POST", path, body); code != 200 || strings.ReplaceAll(got, " ", "") != `{"predictions":[1,2.5]}` {
			t.Errorf("%s: %d %s", path, code, got)
		}
	}
	if code, got := ask(t, s, "POST", "/invocations", `{"inputs":{"a":4}}`); code != 200 || !strings.Contains(got, "[4]") {
		t.Errorf("one row by bare values: %d %s", code, got)
	}
}

func TestMistakes(t *testing.T) {
	s := serve(t, compattest.Echo("one", columns...), compattest.Echo("two", columns[0]))
	deep := strings.Repeat("[", 100_000)
	for _, c := range []struct {
		path, body string
		code       int
		says       string
	}{
		{"/v1/models/one:predict", `{}`, 400, "no instances"},
		{"/v1/models/one:predict", `{"instances":{"a":1}}`, 400, "no array"},
		{"/v1/models/one:predict", `{"instances":[[1,2]]}`, 400, "fewer than 3"},
		{"/v1/models/one:predict", `{"instances":[[1,2,"x"],[]]}`, 400, "fewer than 3"},
		{"/v1/models/one:predict", `{"instances":[[1,2,"x",4]]}`, 400, "more than 3"},
		{"/v1/models/one:predict", `{"instances":[[1,2.5,"x"]]}`, 400, `column \"n\"`},
		{"/v1/models/one:predict", `{"instances":[[true,2,"x"]]}`, 400, `column \"a\"`},
		{"/v1/models/one:predict", `{"instances":[[[1],2,"x"]]}`, 400, `column \"a\"`},
		{"/v1/models/one:predict", `{"instances":[1]}`, 400, "has 3 values"},
		{"/v1/models/one:predict", `{"instances":[{"a":1,"n":2}]}`, 400, "lacks the column"},
		{"/v1/models/one:predict", `{"instances":` + deep, 400, "not understood"},
		{"/v1/models/one:predict", `{"instances":[` + deep + `]}`, 400, "not understood"},
		{"/v1/models/one:predict", deep, 400, "not understood"},
		{"/v1/models/one:predict", `{"instances":[` + strings.Repeat("[],", 10_000) + `[]]}`, 413, "10000 rows"},
		{"/v1/models/one:predict", `{"instances":[` + strings.Repeat("[],", 9_000) + `[]]}`, 400, "fewer than 3"},
		{"/v1/models/one:classify", `{"instances":[]}`, 404, ":predict"},
		{"/v1/models/none:predict", `{"instances":[]}`, 404, "no endpoint"},
		{"/v1/models/one/versions/9:predict", `{"instances":[]}`, 404, "release 1 is live"},
		{"/invocations", `{"inputs":[]}`, 404, "one, two"},
		{"/endpoints/one/invocations", `{"inputs":[],"instances":[]}`, 400, "2 of the forms"},
		{"/endpoints/one/invocations", `{"rows":[]}`, 400, "0 of the forms"},
		{"/endpoints/one/invocations", `{"inputs":{"a":[1],"n":[2,3],"s":["x"]}}`, 400, "the others"},
		{"/endpoints/one/invocations", `{"inputs":{"a":[1]}}`, 400, `\"n\" is missing`},
		{"/endpoints/one/invocations", `{"dataframe_split":{"columns":["a","a","n","s"],"data":[]}}`, 400, "twice"},
		{"/endpoints/one/invocations", `{"dataframe_split":[]}`, 400, "not understood"},
	} {
		code, got := ask(t, s, "POST", c.path, c.body)
		shape := `{"error":`
		if strings.Contains(c.path, "invocations") {
			shape = `{"error_code":`
		}
		if code != c.code || !strings.Contains(got, c.says) || !strings.HasPrefix(got, shape) {
			t.Errorf("%s %.100s: %d %.300s", c.path, c.body, code, got)
		}
	}
	for body, says := range map[string]string{"": "line of names", "a,n\n1,2\n": "is missing", "a,n,s\n1,2\n": "not CSV", "a,n,s\nx,2,y\n": `column \"a\"`, "a,n,s\n\"1,2,x": "not CSV"} {
		if code, got := ask(t, s, "POST", "/endpoints/one/invocations", body, "Content-Type", "text/csv"); code != 400 || !strings.Contains(got, says) {
			t.Errorf("%q: %d %s", body, code, got)
		}
	}
	if code, got := ask(t, s, "POST", "/invocations", `{"inputs":[[7]]}`, "Leat-Endpoint", "two"); code != 200 || !strings.Contains(got, "[7]") {
		t.Errorf("by header: %d %s", code, got)
	}
}

func TestStatus(t *testing.T) {
	s := serve(t, compattest.Echo("one", columns...))
	for path, want := range map[string]string{
		"/kserve/v1/models":                `{"models":["one"]}`,
		"/kserve/v1/models/one":            `{"name":"one","ready":true,"model_version_status":[{"version":"1","state":"AVAILABLE","status":{"error_code":"OK","error_message":""}}]}`,
		"/kserve/v1/models/one/versions/2": `{"error":"one has no version \"2\" that is live (release 1 is live, with one@1; leave the version out to be answered by what is live)"}`,
		"/ping":                            "",
	} {
		if _, got := ask(t, s, "GET", path, ""); got != want {
			t.Errorf("%s is answered %s", path, got)
		}
	}
}

// TestMLflowClient drives /invocations with MLflow's own client of scoring
// servers.
func TestMLflowClient(t *testing.T) {
	python := filepath.Join(os.Getenv("LEAT_TOOLS"), "venv-mlflow3", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		t.Fatalf("the client is not installed: run make tools and set LEAT_TOOLS (%v)", err)
	}
	s := serve(t, compattest.Echo("one", columns...))
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	out, err := exec.CommandContext(t.Context(), python, "testdata/invoke.py", strings.TrimPrefix(s.URL(), "http://")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "as it should be") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func FuzzRows(f *testing.F) {
	for _, body := range []string{`{"instances":` + two + `}`, `{"inputs":{"a":[1],"n":[2],"s":["x"]}}`, `{"dataframe_split":{"columns":["s","a","n"],"data":[["x",1,2]]}}`, "a,n,s\n1,2,x\n"} {
		f.Add(body)
	}
	s := serve(f, compattest.Echo("one", columns...))
	f.Fuzz(func(t *testing.T, body string) {
		if strings.Contains(body, "sleep") {
			return
		}
		for path, media := range map[string]string{"/v1/models/one:predict": "", "/invocations": "application/json", "/endpoints/one/invocations": "text/csv"} {
			if code, got := ask(t, s, "POST", path, body, "Content-Type", media); code >= 500 || !json.Valid([]byte(got)) {
				t.Errorf("%s: %d %q", path, code, got)
			}
		}
	})
}
