package oip_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/pattern/realtime"
	"github.com/leat-ai/leat/surface/compat"
	"github.com/leat-ai/leat/surface/compat/oip"
	"github.com/leat-ai/leat/surface/server"
)

// adder is a model whose score is a + b; its word is what it was handed. A row
// with a of 13 breaks it.
type adder struct{ inputs []model.Field }

func (m adder) Signature() model.Signature {
	return model.Signature{Task: model.Regression, Inputs: m.inputs, Outputs: []model.Field{
		{Name: "score", Type: frame.Double}, {Name: "word", Type: frame.String}}}
}

func (m adder) Predict(_ context.Context, in frame.Batch) (frame.Batch, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf([]frame.Column{{Name: "score", Type: frame.Double}, {Name: "word", Type: frame.String}}))
	defer b.Release()
	for row := range int(in.NumRows()) {
		sum, word := 0.0, ""
		for i := range m.inputs {
			col := in.Column(i)
			word += col.ValueStr(row) + ";"
			if f, ok := col.(*array.Float64); ok && f.IsValid(row) {
				if sum += f.Value(row); f.Value(row) == 13 {
					return nil, fault.New(fault.Invalid, "thirteen is unlucky")
				}
			}
		}
		b.Field(0).(*array.Float64Builder).Append(sum)
		b.Field(1).(*array.StringBuilder).Append(word)
	}
	return b.NewRecordBatch(), nil
}

// only is a world of one endpoint, "sum", whose live release is the seventh.
type only struct{ model adder }

func (o only) release() deploy.Release {
	return deploy.Release{ID: "r7", Endpoint: "sum", Number: 7, Content: deploy.Content{
		Variants: []deploy.Variant{{Name: "stable", Weight: 1, Model: "adder", Version: 1, ID: "v1"}}, Record: decide.RecordOff}}
}

func (o only) Live(_ context.Context, endpoint string) (deploy.Release, error) {
	if endpoint != "sum" {
		return deploy.Release{}, fault.New(fault.NotFound, "no release")
	}
	return o.release(), nil
}
func (o only) Release(context.Context, string) (deploy.Release, error) { return o.release(), nil }
func (o only) Version(context.Context, string, string) (registry.Version, error) {
	return registry.Version{Model: "adder", Number: 1, ID: "v1"}, nil
}
func (o only) Hold(context.Context, registry.Version) (model.Model, func(), error) {
	return o.model, func() {}, nil
}
func (o only) Full() bool { return false }

var scorer = identity.Principal{Name: "app", Grants: []string{"score:sum"}}

// serve is a server that speaks the protocol over a model of some inputs.
func serve(t *testing.T, inputs ...model.Field) *server.Server {
	t.Helper()
	w := only{adder{inputs}}
	router := decide.NewRouter(w, decide.Deps{Models: w})
	t.Cleanup(router.Close)
	if err := router.Refresh(t.Context(), "sum"); err != nil {
		t.Fatal(err)
	}
	tel, err := telemetry.New(t.Context(), telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Config{}, nil, tel)
	if err != nil {
		t.Fatal(err)
	}
	oip.Register(s, oip.Services{Version: "test", Front: compat.New(realtime.New(router, nil, clock.System{}), router, nil)})
	return s
}

var ab = []model.Field{{Name: "a", Type: frame.Double}, {Name: "b", Type: frame.Double}}

func ask(t *testing.T, s *server.Server, p identity.Principal, method, path, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(identity.With(t.Context(), p), method, "http://localhost"+path, strings.NewReader(body))
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	if w.Code < 500 && w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%s %s is answered as %s", method, path, w.Header().Get("Content-Type"))
	}
	return w.Code, strings.TrimSpace(w.Body.String())
}

func TestMetadata(t *testing.T) {
	s := serve(t, model.Field{Name: "a", Type: frame.Double}, model.Field{Name: "n", Type: frame.Int},
		model.Field{Name: "ok", Type: frame.Bool}, model.Field{Name: "name", Type: frame.String}, model.Field{Name: "at", Type: frame.Timestamp})
	for path, want := range map[string]string{
		"/v2":                               `{"name":"leat","version":"test","extensions":["binary_tensor_data","model_configuration","statistics"]}`,
		"/v2/health/live":                   `{"live":true}`,
		"/v2/health/ready":                  `{"ready":true}`,
		"/v2/models/sum/ready":              `{"name":"sum","ready":true}`,
		"/v2/models/sum/versions/7/ready":   `{"name":"sum","ready":true}`,
		"/v2/models/other":                  `{"error":"there is no endpoint \"other\" with a live release (` + "`leat releases`" + ` lists the endpoints; one becomes live when its pipeline deploys a model)"}`,
		"/v2/models/sum/versions/6":         `{"error":"sum has no version \"6\" that is live (release 7 is live, with adder@1; leave the version out to be answered by what is live)"}`,
		"/v2/models/sum/versions/six/ready": `{"error":"sum has no version \"six\" that is live (release 7 is live, with adder@1; leave the version out to be answered by what is live)"}`,
		"/v2/models/sum": `{"name":"sum","versions":["7"],"platform":"leat","inputs":[{"name":"a","datatype":"FP64","shape":[-1]},` +
			`{"name":"n","datatype":"INT64","shape":[-1]},{"name":"ok","datatype":"BOOL","shape":[-1]},{"name":"name","datatype":"BYTES","shape":[-1]},` +
			`{"name":"at","datatype":"BYTES","shape":[-1]}],"outputs":[{"name":"score","datatype":"FP64","shape":[-1]},{"name":"word","datatype":"BYTES","shape":[-1]}]}`,
	} {
		p := identity.Principal{Name: "root", Grants: []string{"*:*"}}
		code, got := ask(t, s, p, "GET", path, "")
		if wrong := strings.Contains(want, "error"); got != want || (code != 200) != wrong || wrong && code != 404 {
			t.Errorf("%s is answered %d %s\nwant %s", path, code, got, want)
		}
	}
}

func TestOthersModelsAreNotShown(t *testing.T) {
	s := serve(t, ab...)
	stranger := identity.Principal{Name: "eve", Grants: []string{"score:else"}}
	for _, c := range [][2]string{{"GET", "/v2/models/sum"}, {"GET", "/v2/models/sum/ready"}, {"POST", "/v2/models/sum/infer"}} {
		if code, got := ask(t, s, stranger, c[0], c[1], "{"); code != 403 || !strings.Contains(got, `"error":"eve may not`) {
			t.Errorf("%v is answered %d %s", c, code, got)
		}
	}
}

const (
	named  = `{"id":"q1","inputs":[{"name":"b","shape":[2],"datatype":"FP64","data":[10,20]},{"name":"a","shape":[2],"datatype":"FP64","data":[1,2.5]}]}`
	scores = `"outputs":[{"name":"score","shape":[2],"datatype":"FP64","data":[11,22.5]},{"name":"word","shape":[2],"datatype":"BYTES","data":["1;10;","2.5;20;"]}]`
)

func TestTheSameRowsInEveryForm(t *testing.T) {
	s := serve(t, ab...)
	for name, inputs := range map[string]string{
		"a tensor for each column": `{"name":"a","shape":[2],"datatype":"FP64","data":[1,2.5]},{"name":"b","shape":[2],"datatype":"FP64","data":[10,20]}`,
		"columns as matrices":      `{"name":"a","shape":[2,1],"datatype":"FP64","data":[[1],[2.5]]},{"name":"b","shape":[2,1],"datatype":"FP64","data":[10,20]}`,
		"narrower numbers":         `{"name":"a","shape":[2],"datatype":"FP32","data":[1,2.5]},{"name":"b","shape":[2],"datatype":"INT64","data":[10,20]}`,
		"one more that none reads": `{"name":"z","shape":[1],"datatype":"BOOL","data":[true]},{"name":"a","shape":[2],"datatype":"FP64","data":[1,2.5]},{"name":"b","shape":[2],"datatype":"FP64","data":[10,20]}`,
		"a matrix, nested":         `{"name":"x","shape":[2,2],"datatype":"FP64","data":[[1,10],[2.5,20]]}`,
		"a matrix, flat":           `{"name":"x","shape":[2,2],"datatype":"FP64","data":[1,10,2.5,20]}`,
	} {
		code, got := ask(t, s, scorer, "POST", "/v2/models/sum/infer", `{"inputs":[`+inputs+`]}`)
		if want := `{"model_name":"sum","model_version":"7","parameters":{"release":"r7","variant":"stable"},` + scores + `}`; code != 200 || got != want {
			t.Errorf("%s: %d %s\nwant %s", name, code, got, want)
		}
	}
	if code, got := ask(t, s, scorer, "POST", "/v2/models/sum/versions/7/infer", named); code != 200 || !strings.Contains(got, `"id":"q1"`) || !strings.Contains(got, scores) {
		t.Errorf("%d %s", code, got)
	}
}

func TestOutputsThatAreAskedFor(t *testing.T) {
	s := serve(t, ab...)
	ask1 := func(outputs string) (int, string) {
		return ask(t, s, scorer, "POST", "/v2/models/sum/infer", strings.TrimSuffix(named, "}")+`,"outputs":[`+outputs+`]}`)
	}
	code, got := ask1(`{"name":"word"},{"name":"decision_id"}`)
	var answer struct {
		Outputs []struct {
			Name, Datatype string
			Data           []string
		}
	}
	if err := json.Unmarshal([]byte(got), &answer); err != nil || code != 200 || len(answer.Outputs) != 2 {
		t.Fatalf("%d %s, %v", code, got, err)
	}
	if ids := answer.Outputs[1]; ids.Name != "decision_id" || len(ids.Data) != 2 || len(ids.Data[0]) != 26 || ids.Data[0] == ids.Data[1] {
		t.Errorf("%+v", ids)
	}
	if code, got := ask1(`{"name":"probability"}`); code != 400 || !strings.Contains(got, "decision_id, score, word") {
		t.Errorf("%d %s", code, got)
	}
}

func TestTypes(t *testing.T) {
	s := serve(t, model.Field{Name: "n", Type: frame.Int}, model.Field{Name: "ok", Type: frame.Bool}, model.Field{Name: "name", Type: frame.String},
		model.Field{Name: "at", Type: frame.Timestamp}, model.Field{Name: "day", Type: frame.Date})
	body := func(n, ok, name, at, day string) string {
		var parts []string
		for i, c := range []string{n, ok, name, at, day} {
			parts = append(parts, fmt.Sprintf(`{"name":%q,"shape":[1],"datatype":"BYTES","data":[%s]}`, []string{"n", "ok", "name", "at", "day"}[i], c))
		}
		return `{"inputs":[` + strings.Join(parts, ",") + `]}`
	}
	code, got := ask(t, s, scorer, "POST", "/v2/models/sum/infer", body("9007199254740993", "true", `"Zoë"`, `"2026-11-22T12:00:00.5Z"`, `"2026-11-22"`))
	if code != 200 || !strings.Contains(got, `9007199254740993;true;Zoë;2026-11-22T12:00:00.5Z;2026-11-22;`) {
		t.Errorf("%d %s", code, got)
	}
	if code, got := ask(t, s, scorer, "POST", "/v2/models/sum/infer", body("null", "null", "null", "null", "null")); code != 200 || !strings.Contains(got, strings.Repeat(array.NullValueStr+";", 5)) {
		t.Errorf("%d %s", code, got)
	}
	for want, text := range map[string]string{
		`input \"n\" takes INT64`:    body("1.5", "true", `""`, `"2026-11-22"`, `"2026-11-22"`),
		`input \"ok\" takes BOOL`:    body("1", "1", `""`, `"2026-11-22"`, `"2026-11-22"`),
		`input \"name\" takes BYTES`: body("1", "true", `7`, `"2026-11-22"`, `"2026-11-22"`),
		`input \"at\" takes BYTES`:   body("1", "true", `""`, `"yesterday"`, `"2026-11-22"`),
		`input \"day\" takes BYTES`:  body("1", "true", `""`, `"2026-11-22"`, `20261122`),
	} {
		if code, got := ask(t, s, scorer, "POST", "/v2/models/sum/infer", text); code != 400 || !strings.Contains(got, want) {
			t.Errorf("%d %s, want %s", code, got, want)
		}
	}
}

func TestMistakesHaveTheProtocolsShape(t *testing.T) {
	s := serve(t, ab...)
	tensor := func(name, shape, data string) string {
		return fmt.Sprintf(`{"name":%q,"shape":%s,"datatype":"FP64","data":%s}`, name, shape, data)
	}
	b := tensor("b", "[2]", "[10,20]")
	for name, c := range map[string]struct {
		inputs string
		code   int
		says   string
	}{
		"no inputs":                 {"", 400, "no inputs"},
		"one is missing":            {b, 400, `no input \"a\"`},
		"fewer values than rows":    {tensor("a", "[2]", "[1]") + "," + b, 400, "other than the 2 values"},
		"more values than rows":     {tensor("a", "[2]", "[1,2,3]") + "," + b, 400, "other than the 2 values"},
		"columns of unlike length":  {tensor("a", "[3]", "[1,2,3]") + "," + b, 400, "the others"},
		"a column that is a matrix": {tensor("a", "[1,2]", "[1,2]") + "," + b, 400, "is one column"},
		"no shape":                  {tensor("a", "[]", "[1,2]") + "," + b, 400, "0 dimensions"},
		"three dimensions":          {tensor("a", "[1,2,1]", "[1,2]") + "," + b, 400, "3 dimensions"},
		"a negative dimension":      {tensor("a", "[-2]", "[1,2]") + "," + b, 400, "dimension of -2"},
		"a shape that lies":         {tensor("a", "[16777217]", "[]") + "," + b, 400, "dimension of 16777217"},
		"too many rows":             {tensor("a", "[10001]", "[]") + "," + b, 413, "10000 are the most"},
		"deeper than its shape":     {tensor("a", "[2]", "[[1],[2]]") + "," + b, 400, "nested deeper"},
		"an object":                 {tensor("a", "[2]", `[{"x":1},2]`) + "," + b, 400, "has an object"},
		"text for numbers":          {tensor("a", "[2]", `["1","2"]`) + "," + b, 400, "takes FP64"},
		"no data":                   {`{"name":"a","shape":[2],"datatype":"FP64"},` + b, 400, "has no data"},
		"a row that fails":          {tensor("a", "[2]", "[1,13]") + "," + b, 400, "row 1: thirteen is unlucky"},
	} {
		code, got := ask(t, s, scorer, "POST", "/v2/models/sum/infer", `{"inputs":[`+c.inputs+`]}`)
		var answer map[string]string
		if err := json.Unmarshal([]byte(got), &answer); err != nil || len(answer) != 1 || code != c.code || !strings.Contains(got, c.says) {
			t.Errorf("%s: %d %s, want %d %s", name, code, got, c.code, c.says)
		}
	}
	for _, body := range []string{"", "{", "[]", `{"inputs":"a"}`} {
		if code, got := ask(t, s, scorer, "POST", "/v2/models/sum/infer", body); code != 400 || !strings.HasPrefix(got, `{"error":`) {
			t.Errorf("%q: %d %s", body, code, got)
		}
	}
	if code, got := ask(t, s, scorer, "POST", "/v2/models/sum/versions/6/infer", named); code != 404 || !strings.Contains(got, "release 7 is live") {
		t.Errorf("%d %s", code, got)
	}
}

// FuzzInfer wants every body answered, with the shape of the protocol, and
// none to break the server.
func FuzzInfer(f *testing.F) {
	f.Add(named)
	f.Add(`{"inputs":[{"name":"x","shape":[2,2],"datatype":"FP64","data":[[1,10],[2.5,null]]}]}`)
	f.Add(`{"inputs":[{"name":"a","shape":[0],"data":[]},{"name":"b","shape":[0],"data":[]}]}`)
	w := only{adder{ab}}
	router := decide.NewRouter(w, decide.Deps{Models: w})
	if err := router.Refresh(context.Background(), "sum"); err != nil {
		f.Fatal(err)
	}
	tel, err := telemetry.New(context.Background(), telemetry.Config{})
	if err != nil {
		f.Fatal(err)
	}
	s, err := server.New(server.Config{}, nil, tel)
	if err != nil {
		f.Fatal(err)
	}
	oip.Register(s, oip.Services{Front: compat.New(realtime.New(router, nil, clock.System{}), router, nil)})
	f.Fuzz(func(t *testing.T, body string) {
		code, got := ask(t, s, scorer, "POST", "/v2/models/sum/infer", body)
		if !json.Valid([]byte(got)) || code >= 500 {
			t.Errorf("%q is answered %d %s", body, code, got)
		}
	})
}
